#include "sim/model/pcie_link.h"

#include <algorithm>
#include <array>

namespace esplanade::sim {

namespace {

constexpr std::uint64_t kTlpOverhead = 24;      // bytes: framing 2, sequence number 2, header of 4 words 16, LCRC 4
constexpr std::uint64_t kMaxReadRequest = 512;  // bytes; Max_Read_Request_Size as Linux leaves it

std::uint64_t pieces(std::uint64_t bytes, std::uint64_t of) { return std::max<std::uint64_t>(1, (bytes + of - 1) / of); }

/// Bytes a second of one lane, one direction, by generation.
double lane_rate(std::uint32_t generation) {
  constexpr std::array<double, 6> kGigaTransfers{0, 2.5, 5, 8, 16, 32};
  const double code = generation < 3 ? 8.0 / 10 : 128.0 / 130;
  return kGigaTransfers.at(generation) * 1e9 * code / 8;
}

}  // namespace

sc_core::sc_time wire_time(const Timing& timing, std::uint64_t bytes) {
  const auto on_wires = static_cast<double>(bytes + pieces(bytes, timing.pcie_payload) * kTlpOverhead);
  return sc_core::sc_time(on_wires / (lane_rate(timing.pcie_generation) * timing.pcie_lanes) * 1e12, sc_core::SC_PS);
}

PcieLink::PcieLink(sc_core::sc_module_name name, const Timing& timing, sc_core::sc_time clock_period, std::size_t channels)
    : sc_module(name), from_card("from_card", channels), to_host("to_host", channels), hot_reset("hot_reset"), timing_(timing),
      latency_(clock_period * static_cast<double>(timing.pcie_latency)) {
  for (std::size_t i = 0; i < from_card.size(); ++i) {
    from_card[i].register_b_transport(this, &PcieLink::b_transport, static_cast<int>(i));
    from_card[i].register_transport_dbg(this, &PcieLink::transport_dbg, static_cast<int>(i));
  }
}

void PcieLink::go_down(sc_core::sc_time delay) {
  if (timing_.link_down_resets == 0) return;
  tlm::tlm_generic_payload access;
  access.set_write();
  hot_reset->b_transport(access, delay);
}

unsigned PcieLink::transport_dbg(int channel, tlm::tlm_generic_payload& access) {
  return to_host[static_cast<std::size_t>(channel)]->transport_dbg(access);
}

/// When a read that wants `tags` of them and could start at `start` does.
sc_core::sc_time PcieLink::with_tags(std::size_t tags, sc_core::sc_time start) {
  const std::size_t all = timing_.pcie_tags;
  for (tags = std::min(tags, all); tags_.size() + tags > all || (!tags_.empty() && tags_.front() <= start); tags_.pop_front()) {
    start = std::max(start, tags_.front());
  }
  return start;
}

void PcieLink::b_transport(int channel, tlm::tlm_generic_payload& access, sc_core::sc_time& delay) {
  const sc_core::sc_time now = sc_core::sc_time_stamp();
  const std::uint64_t size = access.get_data_length();
  const bool read = access.is_read();
  const std::size_t tags = read ? pieces(size, kMaxReadRequest) : 0;
  sc_core::sc_time at = std::max(read ? with_tags(tags, now + delay) : now + delay, up_free_at_);
  at += wire_time(timing_, read ? 0 : size);
  up_free_at_ = at;
  sc_core::sc_time there = at + latency_ - now;
  to_host[static_cast<std::size_t>(channel)]->b_transport(access, there);
  delay = there;
  if (!read) return;
  at = std::max(now + there, down_free_at_) + wire_time(timing_, size);
  down_free_at_ = at;
  tags_.insert(tags_.end(), tags, at + latency_);
  delay = at + latency_ - now;
}

}  // namespace esplanade::sim
