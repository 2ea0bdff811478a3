#include "hw/tb/card/axi_memory.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>

namespace esplanade::tb {

AxiMemory::AxiMemory(std::uint64_t base, std::size_t size, std::uint64_t seed)
    : base_(base), bytes_(size), rng_(seed) {}

MutableBytes AxiMemory::at(std::uint64_t address, std::size_t size) {
  if (!inside(address, size)) {
    fmt::print(stderr, "bench: {:#x} + {} is not in memory\n", address, size);
    std::abort();
  }
  return MutableBytes(bytes_).subspan(address - base_, size);
}

bool AxiMemory::inside(std::uint64_t address, std::uint64_t size) const {
  return address >= base_ && address - base_ <= bytes_.size() && size <= bytes_.size() - (address - base_);
}
void AxiMemory::allow(Range r) { allowed_[r.first] = r.size; }
bool AxiMemory::may_write(std::uint64_t address) const {
  auto range = allowed_.upper_bound(address);
  if (range == allowed_.begin()) return false;
  --range;
  return address - range->first < range->second;
}
bool AxiMemory::stall() { return stalls_ != 0 && rng_() % 100 < stalls_; }

void AxiMemory::complain(const std::string& rule, std::uint64_t address) {
  if (violations_.size() < 20) violations_.push_back(fmt::format("cycle {}: {:#x}: {}", now_, address, rule));
}

void AxiMemory::check_burst(const char* channel, std::uint64_t address, unsigned beats, unsigned size,
                            unsigned type, unsigned id) {
  if (size != 6) complain(fmt::format("{}: beats of {} bytes", channel, 1u << size), address);
  if (type != 1) complain(fmt::format("{}: burst type {}", channel, type), address);
  if (id != 0) complain(fmt::format("{}: ID {}", channel, id), address);
  if (address % 64 != 0) complain(fmt::format("{}: not aligned", channel), address);
  if (address / 4096 != (address + 64ull * beats - 1) / 4096)
    complain(fmt::format("{}: crosses 4 KiB", channel), address);
}

void AxiMemory::sample(const Vesp_card& card) {
  ++now_;
  // Address channels: stable while waiting
  const auto watch = [&](Held& held, const char* name, bool valid, bool ready, std::uint64_t address,
                         unsigned beats) {
    if (held.valid && (!valid || address != held.address || beats != held.beats))
      complain(fmt::format("{}: changed before it was taken", name), held.address);
    held = {valid && !ready, address, beats, {}};
  };
  const unsigned ar_beats = card.m_axi_gmem_arlen + 1u, aw_beats = card.m_axi_gmem_awlen + 1u;
  watch(ar_held_, "AR", card.m_axi_gmem_arvalid, card.m_axi_gmem_arready, card.m_axi_gmem_araddr, ar_beats);
  watch(aw_held_, "AW", card.m_axi_gmem_awvalid, card.m_axi_gmem_awready, card.m_axi_gmem_awaddr, aw_beats);
  if (card.m_axi_gmem_arvalid && card.m_axi_gmem_arready) {
    check_burst("AR", card.m_axi_gmem_araddr, ar_beats, card.m_axi_gmem_arsize, card.m_axi_gmem_arburst,
                card.m_axi_gmem_arid);
    ar_.push_back({card.m_axi_gmem_araddr, ar_beats, now_ + latency_});
    ++reads_;
  }
  if (card.m_axi_gmem_awvalid && card.m_axi_gmem_awready) {
    check_burst("AW", card.m_axi_gmem_awaddr, aw_beats, card.m_axi_gmem_awsize, card.m_axi_gmem_awburst,
                card.m_axi_gmem_awid);
    aw_.push_back({card.m_axi_gmem_awaddr, aw_beats, 0});
    ++writes_;
  }
  // Write data
  Beat beat{{}, card.m_axi_gmem_wstrb, card.m_axi_gmem_wlast != 0};
  for (std::size_t i = 0; i < 16; ++i) beat.data[i] = card.m_axi_gmem_wdata[i];
  if (w_held_.valid && (!card.m_axi_gmem_wvalid || beat.data != w_held_.beat.data ||
                        beat.strobe != w_held_.beat.strobe || beat.last != w_held_.beat.last))
    complain("W: changed before it was taken", 0);
  w_held_ = {card.m_axi_gmem_wvalid && !card.m_axi_gmem_wready, 0, 0, beat};
  if (card.m_axi_gmem_wvalid && card.m_axi_gmem_wready) w_.push_back(beat);
  finish_write();

  r_took_ = card.m_axi_gmem_rvalid && card.m_axi_gmem_rready;
  b_took_ = card.m_axi_gmem_bvalid && card.m_axi_gmem_bready;
}

// Applies the oldest burst once its address and all its beats are there.
void AxiMemory::finish_write() {
  if (aw_.empty() || w_.size() < aw_.front().beats) {
    for (std::size_t i = 0; !aw_.empty() && i < w_.size(); ++i)
      if (w_[i].last) complain("W: last beat too early", aw_.front().address);
    return;
  }
  const Burst burst = aw_.front();
  aw_.pop_front();
  bool error = !inside(burst.address, 64ull * burst.beats);
  for (unsigned i = 0; i < burst.beats; ++i) {
    const Beat beat = w_.front();
    w_.pop_front();
    const std::uint64_t address = burst.address + 64ull * i;
    if (beat.last != (i + 1 == burst.beats)) complain("W: last beat misplaced", address);
    for (const Range& r : fail_writes_) error = error || r.holds(address);
    for (unsigned b = 0; b < 64; ++b) {
      if ((beat.strobe >> b & 1) == 0) continue;
      if (!may_write(address + b)) complain("W: byte outside what the test allows", address + b);
      if (!error) bytes_[address + b - base_] = static_cast<Byte>(beat.data[b / 4] >> (8 * (b % 4)));
    }
  }
  b_.push_back({error, now_ + latency_});
}

void AxiMemory::drive(Vesp_card& card) {
  card.m_axi_gmem_arready = ar_.size() < 32 && !stall();
  card.m_axi_gmem_awready = aw_.size() < 32 && !stall();
  card.m_axi_gmem_wready = w_.size() < 256 && !stall();
  card.m_axi_gmem_rid = 0;
  card.m_axi_gmem_bid = 0;

  if (r_took_) {
    r_valid_ = false;
    if (++r_beat_ == ar_.front().beats) {
      ar_.pop_front();
      r_beat_ = 0;
    }
  }
  if (!r_valid_ && !ar_.empty() && ar_.front().due <= now_ && !stall()) {
    r_valid_ = true;
    const std::uint64_t address = ar_.front().address + 64ull * r_beat_;
    bool error = !inside(address, 64);
    for (const Range& r : fail_reads_) error = error || r.holds(address);
    for (unsigned i = 0; i < 16; ++i) {
      std::uint32_t word = 0xdeadbeef;
      if (!error) std::memcpy(&word, &bytes_[address - base_ + 4ull * i], 4);
      card.m_axi_gmem_rdata[i] = word;
    }
    card.m_axi_gmem_rresp = error ? 2 : 0;
    card.m_axi_gmem_rlast = r_beat_ + 1 == ar_.front().beats;
  }
  card.m_axi_gmem_rvalid = r_valid_;

  if (b_took_) {
    b_valid_ = false;
    b_.pop_front();
  }
  if (!b_valid_ && !b_.empty() && b_.front().due <= now_ && !stall()) {
    b_valid_ = true;
    card.m_axi_gmem_bresp = b_.front().error ? 2 : 0;
  }
  card.m_axi_gmem_bvalid = b_valid_;
}

}  // namespace esplanade::tb
