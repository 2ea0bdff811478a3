#include "hw/tb/fullcard/axi_port.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>

namespace esplanade::fullcard {

namespace {
constexpr std::size_t kMaxBursts = 64, kMaxBeats = 256;
}

AxiPort::AxiPort(unsigned number, const AxiPins& pins, Memory& memory, std::uint64_t seed)
    : number_(number), p_(pins), memory_(memory), rng_(seed * 2 + 1) {}

// xorshift64*: the quality does not matter, the speed does.
std::uint32_t AxiPort::random() {
  rng_ ^= rng_ >> 12;
  rng_ ^= rng_ << 25;
  rng_ ^= rng_ >> 27;
  return static_cast<std::uint32_t>((rng_ * 0x2545f4914f6cdd1dULL) >> 33);
}

void AxiPort::complain(const char* rule, std::uint64_t address) {
  memory_.complain(fmt::format("port {}: {:#x}: {}", number_, address, rule));
}

void AxiPort::take_address(const char* channel, std::uint64_t address, unsigned len, unsigned size, unsigned burst, unsigned id) {
  const std::uint64_t bytes = 64ull * (len + 1);
  const auto rule = [&](bool good, const char* text) {
    if (!good) complain(fmt::format("{}: {}", channel, text).c_str(), address);
  };
  rule(size == 6, "beats are not of 64 bytes");
  rule(burst == 1, "burst type is not INCR");
  rule(id == 0, "ID is not 0");
  rule(address % 64 == 0, "not aligned");
  rule(address / 4096 == (address + bytes - 1) / 4096, "burst crosses 4 KiB");
  rule(memory_.in_window(address, bytes), "outside every window");
}

void AxiPort::check_reset() {
  if (*p_.awvalid || *p_.wvalid || *p_.arvalid) complain("valid during reset", 0);
}

void AxiPort::sample() {
  ++now_;
  const auto watch = [&](HeldAddress& held, const char* rule, bool valid, bool ready, std::uint64_t address, unsigned len) {
    if (held.valid && (!valid || address != held.address || len != held.len)) complain(rule, held.address);
    held.valid = valid && !ready;
    held.address = address;
    held.len = len;
  };
  if (ar_held_.valid || *p_.arvalid)
    watch(ar_held_, "AR changed before it was taken", *p_.arvalid, *p_.arready, *p_.araddr, *p_.arlen);
  if (*p_.arvalid && *p_.arready) {
    take_address("AR", *p_.araddr, *p_.arlen, *p_.arsize, *p_.arburst, *p_.arid);
    ar_.push_back({*p_.araddr, now_ + timing.read_latency, *p_.arlen + 1u});
  }
  if (aw_held_.valid || *p_.awvalid)
    watch(aw_held_, "AW changed before it was taken", *p_.awvalid, *p_.awready, *p_.awaddr, *p_.awlen);
  if (*p_.awvalid && *p_.awready) {
    take_address("AW", *p_.awaddr, *p_.awlen, *p_.awsize, *p_.awburst, *p_.awid);
    aw_.push_back({*p_.awaddr, 0, *p_.awlen + 1u});
  }
  if (w_held_) {
    if (!*p_.wvalid || *p_.wstrb != w_held_beat_.strobe || (*p_.wlast != 0) != w_held_beat_.last ||
        !std::ranges::equal(w_held_beat_.data, std::span(p_.wdata, w_held_beat_.data.size())))
      complain("W changed before it was taken", aw_.empty() ? 0 : aw_.front().address);
    w_held_ = false;
  }
  if (*p_.wvalid) {
    Beat beat;
    std::memcpy(beat.data.data(), p_.wdata, 64);
    beat.strobe = *p_.wstrb;
    beat.last = *p_.wlast != 0;
    if (*p_.wready) {
      ++write_beats_;
      lasts_ += beat.last;
      w_.push_back(beat);
    } else {
      w_held_ = true;
      w_held_beat_ = beat;
    }
  }
  if (lasts_ != 0 && !aw_.empty()) finish_write();
  r_took_ = *p_.rvalid && *p_.rready;
  b_took_ = *p_.bvalid && *p_.bready;
}

// The oldest burst, when its address and its last beat are there.
void AxiPort::finish_write() {
  const Burst burst = aw_.front();
  std::size_t beats = 0;
  while (!w_[beats].last) ++beats;
  ++beats;
  aw_.pop_front();
  --lasts_;
  if (beats != burst.beats) complain("W: last beat misplaced", burst.address);
  Answer answer{burst.address, now_ + timing.write_latency, {}, !Memory::inside(burst.address, 64ull * beats)};
  for (std::size_t i = 0; i < beats; ++i) {
    const std::uint64_t address = burst.address + 64 * i;
    const std::uint64_t strobe = w_[i].strobe;
    for (const Range& r : memory_.fail_writes) answer.error = answer.error || r.holds(address);
    if (strobe == 0) continue;
    if (!Memory::inside(address, 64) || memory_.forbidden(address, strobe) != 0)
      complain("W: an octet that the card may not write", address);
  }
  const bool early = timing.early_writes && random() % 2 == 0;
  for (std::size_t i = 0; i < beats; ++i) {
    if (!answer.error && early) apply(burst.address + 64 * i, w_.front());
    if (!answer.error && !early) answer.beats.push_back(w_.front());
    w_.pop_front();
  }
  b_.push_back(std::move(answer));
}

void AxiPort::apply(std::uint64_t address, const Beat& beat) {
  if (beat.strobe != 0) memory_.write_line(address, beat.data.data(), beat.strobe);
}

void AxiPort::drive() {
  const bool rest = now_ < resting_until_;
  if (!rest && timing.long_stalls != 0 && random() % 10000 < timing.long_stalls) resting_until_ = now_ + random() % 200;
  *p_.arready = !rest && ar_.size() < kMaxBursts && !stall();
  *p_.awready = !rest && aw_.size() < kMaxBursts && !stall();
  *p_.wready = !rest && !timing.no_write_data && w_.size() < kMaxBeats && !stall();

  if (r_took_) {
    r_took_ = r_valid_ = false;
    ++read_beats_;
    if (++r_beat_ == ar_.front().beats) {
      ar_.pop_front();
      r_beat_ = 0;
    }
  }
  if (!r_valid_ && !ar_.empty() && ar_.front().due <= now_ && !rest && !stall()) {
    r_valid_ = true;
    const std::uint64_t address = ar_.front().address + 64ull * r_beat_;
    bool error = !Memory::inside(address, 64);
    for (const Range& r : memory_.fail_reads) error = error || r.holds(address);
    if (error) {
      std::memset(p_.rdata, 0xdb, 64);
    } else {
      std::memcpy(p_.rdata, memory_.line(address), 64);
    }
    *p_.rresp = error ? 2 : 0;
    *p_.rlast = r_beat_ + 1 == ar_.front().beats;
  }
  *p_.rvalid = r_valid_;

  if (b_took_) {
    b_took_ = b_valid_ = false;
    b_.pop_front();
  }
  if (!b_valid_ && !b_.empty() && b_.front().due <= now_ && !rest && !stall()) {
    b_valid_ = true;
    Answer& answer = b_.front();
    for (std::size_t i = 0; i < answer.beats.size(); ++i) apply(answer.address + 64 * i, answer.beats[i]);
    *p_.bresp = answer.error ? 2 : 0;
  }
  *p_.bvalid = b_valid_;
}

}  // namespace esplanade::fullcard
