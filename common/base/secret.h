// Key material. A Secret is move-only, wiped when it is moved from, assigned over or destroyed, and has no
// stream or format operator, so that it cannot reach a log by accident.
#pragma once

#include "common/base/bytes.h"

namespace esplanade {

/// Overwrites the octets in a way that the compiler keeps.
void wipe(MutableBytes bytes);

class Secret {
 public:
  Secret() = default;
  explicit Secret(ByteView in) : b_(in.begin(), in.end()) {}
  /// Takes over `in` without leaving a copy behind.
  explicit Secret(Bytes&& in) noexcept : b_(std::move(in)) { in.clear(); }
  Secret(Secret&& o) noexcept : b_(std::move(o.b_)) { o.b_.clear(); }
  Secret& operator=(Secret&& o) noexcept {
    if (this != &o) {
      esplanade::wipe(b_);
      b_ = std::move(o.b_);
      o.b_.clear();
    }
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { esplanade::wipe(b_); }

  /// An explicit copy, where two owners are really wanted.
  Secret clone() const { return Secret(ByteView(b_)); }
  /// The octets. Every use can be found with grep.
  ByteView reveal() const { return b_; }
  MutableBytes reveal_mutable() { return b_; }
  std::size_t size() const { return b_.size(); }
  bool empty() const { return b_.empty(); }

 private:
  Bytes b_;
};

/// Compares in a time that depends on the lengths alone.
bool constant_time_equal(ByteView a, ByteView b);

}  // namespace esplanade
