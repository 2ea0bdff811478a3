// What every RTL bench shares: a seed that can be given, a clocked model with a cycle limit, octet helpers.
#pragma once

#include <verilated.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "common/testing/seed.h"

namespace esplanade::tb {

/// Random source of one test: the same seed and salt give the same run.
class Random {
 public:
  explicit Random(std::uint64_t salt) : engine_(testing::seed() * 0x9e3779b97f4a7c15ULL + salt) {}
  std::uint64_t bits() { return engine_(); }
  /// Uniform in [lo, hi].
  std::uint64_t between(std::uint64_t lo, std::uint64_t hi) { return lo + engine_() % (hi - lo + 1); }
  bool percent(unsigned p) { return engine_() % 100 < p; }
  void fill(std::span<std::uint8_t> out) {
    for (auto& b : out) b = static_cast<std::uint8_t>(engine_());
  }
  std::vector<std::uint8_t> octets(std::size_t n) {
    std::vector<std::uint8_t> v(n);
    fill(v);
    return v;
  }

 private:
  std::mt19937_64 engine_;
};

/// A Verilated module with clk_i and rst_ni. Inputs set between two tick() calls are sampled at the next
/// rising edge.
template <class Model>
class Clocked {
 public:
  Clocked()
      : context_(std::make_unique<VerilatedContext>()), model_(std::make_unique<Model>(context_.get())) {
    model_->clk_i = 0;
    model_->rst_ni = 0;
  }
  ~Clocked() { model_->final(); }
  Clocked(const Clocked&) = delete;
  Clocked& operator=(const Clocked&) = delete;

  Model* operator->() { return model_.get(); }
  std::uint64_t cycle() const { return cycle_; }

  /// Two cycles of reset.
  void reset() {
    model_->rst_ni = 0;
    tick();
    tick();
    model_->rst_ni = 1;
    settle();
  }
  /// Lets outputs follow inputs within the cycle.
  void settle() { model_->eval(); }
  /// One rising edge; outputs are those after it.
  void tick() {
    model_->clk_i = 1;
    model_->eval();
    model_->clk_i = 0;
    model_->eval();
    ++cycle_;
  }

 private:
  std::unique_ptr<VerilatedContext> context_;
  std::unique_ptr<Model> model_;
  std::uint64_t cycle_ = 0;
};

/// Writes octets into a wide port whose first octet stands on top (`bits` wide).
template <class Port>
void set_top_first(Port& port, std::span<const std::uint8_t> octets) {
  const std::size_t words = octets.size() / 4;
  for (std::size_t w = 0; w < words; ++w) {
    const std::uint8_t* o = octets.data() + 4 * (words - 1 - w);
    port[w] = static_cast<std::uint32_t>(o[0]) << 24 | static_cast<std::uint32_t>(o[1]) << 16 |
              static_cast<std::uint32_t>(o[2]) << 8 | o[3];
  }
}
/// The reverse of set_top_first for `n` octets, n a multiple of 4.
template <class Port>
std::vector<std::uint8_t> get_top_first(const Port& port, std::size_t n) {
  std::vector<std::uint8_t> out(n);
  for (std::size_t i = 0; i < n; ++i) {
    out[i] = static_cast<std::uint8_t>(port[(n - 1 - i) / 4] >> (8 * ((n - 1 - i) % 4)));
  }
  return out;
}
inline std::uint64_t load_be64(const std::uint8_t* o) {
  std::uint64_t v = 0;
  for (int i = 0; i < 8; ++i) v = v << 8 | o[i];
  return v;
}
inline void store_be64(std::uint8_t* o, std::uint64_t v) {
  for (int i = 7; i >= 0; --i, v >>= 8) o[i] = static_cast<std::uint8_t>(v);
}

}  // namespace esplanade::tb
