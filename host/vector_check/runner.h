// Runs packets of test vectors through a backend, many at a time, and compares what comes out.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>

#include "host/backend/backend.h"
#include "host/vector_check/report.h"

namespace esplanade::host {

/// What one packet must give.
struct Expected {
  card::Status status = card::Status::kOk;
  std::optional<Bytes> packet;  // compared octet for octet where given
};

class Runner {
 public:
  Runner(Backend& backend, Report& report) : backend_(backend), report_(report) {}

  /// One packet through an SA of its own, checked later by finish(). An SA that the backend lacks is a skip.
  /// kDeviceLost ends the run; everything else is a failure of the case.
  Status encap(const std::string& id, esp::SaParams sa, ByteView packet, std::optional<std::array<Byte, 8>> iv, Expected expected);
  Status decap(const std::string& id, esp::SaParams sa, ByteView packet, Expected expected);

  /// Waits for what is in flight, compares, and removes the SAs.
  Status finish();

  /// Outcomes of `packets` through one inbound SA, one at a time, so that each meets the window that those before it
  /// left, and its state afterwards; nothing else may be in flight. No value where the backend lacks the SA (a skip, reported).
  struct Sequence {
    Outcomes outcomes;
    SaView view;
  };
  Result<std::optional<Sequence>> decap_sequence(esp::SaParams sa, const std::vector<Bytes>& packets);
  /// One packet through one SA, waited for.
  Result<std::optional<Outcome>> once(esp::SaParams sa, ByteView packet, std::optional<std::array<Byte, 8>> iv);

 private:
  struct Pending {
    std::string id;
    SaHandle sa;
    Expected expected;
  };
  static constexpr std::size_t kMaxPending = 64;

  Result<std::optional<SaHandle>> install(esp::SaParams sa);
  Status submit(const std::string& id, esp::SaParams sa, ByteView packet, std::optional<std::array<Byte, 8>> iv, Expected expected);
  void compare(const Pending& pending, const Outcome& outcome);
  Status drain(Outcomes& out);

  Backend& backend_;
  Report& report_;
  std::unordered_map<std::uint64_t, Pending> pending_;
  std::uint64_t next_cookie_ = 1;
};

}  // namespace esplanade::host
