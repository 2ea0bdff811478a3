#include "host/backend/card_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <unordered_map>
#include <utility>

#include "esplanade/event_queue.h"
#include "esplanade/packet_queue.h"
#include "esplanade/sa_table.h"

namespace esplanade::host {

namespace {
namespace reg = card::reg;
using Steady = std::chrono::steady_clock;

class CardBackend final : public Backend {
 public:
  CardBackend(std::unique_ptr<Device> device, SaTable table, PacketQueue queue, EventQueue events)
      : device_(std::move(device)), table_(std::move(table)), queue_(std::move(queue)), events_(std::move(events)) {}

  std::string name() const override { return device_->info().simulated ? "esp_card (simulated)" : "esp_card"; }

  Result<std::uint32_t> allocate_spi(std::uint32_t) override { return table_.allocate_spi(); }
  Status reserve_spi(std::uint32_t spi) override { return table_.reserve_spi(spi); }
  void release_spi(std::uint32_t spi) override { table_.release_spi(spi); }

  Result<SaHandle> install(esp::SaParams params) override {
    const esp::Lifetime soft = params.soft, hard = params.hard;
    if (reg::kCapsLifetimes.get(device_->info().caps) == 0) params.soft = params.hard = {};
    if (host_counts_seconds()) params.soft.seconds = params.hard.seconds = 0;
    ESPLANADE_TRY(index, table_.install(params));
    const SaHandle handle{index};
    sas_[handle] = {params.spi, params.outbound, soft, hard, Steady::now(), {}};
    outer_.insert_or_assign(handle, params.without_keys());
    return handle;
  }

  Status remove(SaHandle sa) override {
    ESPLANADE_CHECK(table_.remove(static_cast<SaIndex>(sa)));
    sas_.erase(sa);
    outer_.erase(sa);
    return ok();
  }

  Status move(SaHandle sa, const esp::IpAddress& src, const esp::IpAddress& dst,
              const std::optional<esp::Natt>& natt) override {
    const auto found = outer_.find(sa);
    if (found == outer_.end()) return Error{Errc::kUnknownSpi, "no such SA"};
    esp::SaParams moved = found->second.without_keys();
    if (src.version != moved.src.version || natt.has_value() != moved.natt.has_value())
      return Error{Errc::kBadConfig, "a move keeps the IP version and the kind of encapsulation"};
    moved.src = src;
    moved.dst = dst;
    moved.natt = natt;
    ESPLANADE_CHECK(table_.update(static_cast<SaIndex>(sa), moved));
    found->second = std::move(moved);
    return ok();
  }

  Result<SaView> view(SaHandle sa) override {
    ESPLANADE_TRY(v, table_.view(static_cast<SaIndex>(sa)));
    const auto other = static_cast<std::uint32_t>(v.drops.total() - v.drops.replay - v.drops.icv);
    return SaView{v.outbound, v.expired, v.spi, v.seq, v.packets, v.bytes, v.drops.replay, v.drops.icv, other};
  }

  Result<Totals> totals() override {
    Totals out{};
    ESPLANADE_TRY(encap_packets, device_->read32(reg::kEncapPackets.at()));
    ESPLANADE_TRY(encap_bytes, device_->read64(reg::kEncapBytesLo, reg::kEncapBytesHi));
    ESPLANADE_TRY(decap_packets, device_->read32(reg::kDecapPackets.at()));
    ESPLANADE_TRY(decap_bytes, device_->read64(reg::kDecapBytesLo, reg::kDecapBytesHi));
    ESPLANADE_TRY(cycles, device_->read64(reg::kCyclesLo, reg::kCyclesHi));
    ESPLANADE_TRY(busy_cycles, device_->read64(reg::kBusyCyclesLo, reg::kBusyCyclesHi));
    out = {encap_packets, encap_bytes, decap_packets, decap_bytes, cycles, busy_cycles, device_->info().clock_hz, {}};
    for (std::uint32_t status = 0; status < out.by_status.size(); ++status) {
      ESPLANADE_TRY(count, device_->read32(reg::kPacketsByStatus.at(status)));
      out.by_status[status] = count;
    }
    return out;
  }

  Status submit_encap(SaHandle sa, ByteView packet, std::uint64_t cookie, std::optional<std::array<Byte, 8>> iv) override {
    return queue_.submit({.op = card::Op::kEncap, .sa_index = static_cast<std::uint32_t>(sa), .packet = packet, .cookie = cookie, .iv = iv, .arrived = std::exchange(arrived_, {})});
  }
  Status submit_decap(ByteView outer, std::uint64_t cookie) override {
    return queue_.submit({.op = card::Op::kDecap, .sa_index = 0, .packet = outer, .cookie = cookie, .arrived = std::exchange(arrived_, {})});
  }
  std::size_t in_flight() const override { return queue_.in_flight(); }

  Status poll(Outcomes& out, std::chrono::milliseconds wait) override {
    ESPLANADE_CHECK(queue_.flush());
    const std::size_t before = out.size();
    const auto end = Steady::now() + wait;
    // Looks grow apart from 20 us to 1 ms: a packet alone takes some microseconds on a card, milliseconds simulated.
    for (std::chrono::microseconds pause{20};; pause = std::min(pause * 2, std::chrono::microseconds(1000))) {
      ESPLANADE_CHECK(queue_.reap([this, &out](const Completed& c) { fill(out.add(), c); }));
      if (out.size() != before || queue_.in_flight() == 0 || Steady::now() >= end) return ok();
      std::this_thread::sleep_for(pause);
    }
  }

  bool recording() const override { return device_->recording(); }
  void note_arrival(Steady::time_point when) override { arrived_ = when; }
  void note_sent(const Outcome& outcome, Steady::time_point when) override { queue_.note_sent(outcome.number, when); }

  Status poll_events(std::vector<SaEvent>& out) override {
    std::vector<Event> events;
    ESPLANADE_CHECK(events_.poll(events));
    for (const Event& e : events) {
      if (sas_.contains(SaHandle{e.sa_index})) out.push_back({e.type, SaHandle{e.sa_index}, e.spi});
    }
    if (host_counts_seconds()) watch_seconds(out);
    return ok();
  }

 private:
  /// A card without lifetimes, and a simulated one: its seconds are not the peer's.
  bool host_counts_seconds() const { return reg::kCapsLifetimes.get(device_->info().caps) == 0 || device_->info().simulated; }

  struct Sa {
    std::uint32_t spi;
    bool outbound;
    esp::Lifetime soft, hard;
    Steady::time_point born;
    struct {
      bool soft = false, hard = false;
    } told;
  };

  void fill(Outcome& out, const Completed& c) const {
    Bytes packet = std::move(out.packet);  // its memory
    packet.assign(c.packet.begin(), c.packet.end());
    out = {c.cookie, c.op, c.status, std::nullopt, c.spi, c.seq, c.next_header, std::move(packet), c.number};
    if (sas_.contains(SaHandle{c.sa_index})) out.sa = SaHandle{c.sa_index};
  }

  void watch_seconds(std::vector<SaEvent>& out) {
    for (auto& [handle, sa] : sas_) {
      const auto age = std::chrono::duration_cast<std::chrono::seconds>(Steady::now() - sa.born).count();
      if (sa.soft.seconds != 0 && age >= sa.soft.seconds && !std::exchange(sa.told.soft, true)) out.push_back({card::EventType::kSoftSeconds, handle, sa.spi});
      if (sa.hard.seconds != 0 && age >= sa.hard.seconds && !std::exchange(sa.told.hard, true)) out.push_back({card::EventType::kHardSeconds, handle, sa.spi});
    }
  }

  std::unique_ptr<Device> device_;  // outlives its queues: they switch themselves off through it
  SaTable table_;
  PacketQueue queue_;
  EventQueue events_;
  Steady::time_point arrived_{};  // of the packet that is submitted next
  std::unordered_map<SaHandle, Sa> sas_;
  std::unordered_map<SaHandle, esp::SaParams> outer_;  // no keys in them
};
}  // namespace

Result<std::unique_ptr<Backend>> open_card_backend(const BackendOptions& options) {
  ESPLANADE_TRY(device, Device::open({options.card, "", options.test_mode}));
  ESPLANADE_TRY(table, SaTable::create(*device));
  ESPLANADE_TRY(queue, PacketQueue::create(*device));
  ESPLANADE_TRY(events, EventQueue::create(*device));
  return std::unique_ptr<Backend>(std::make_unique<CardBackend>(std::move(device), std::move(table), std::move(queue), std::move(events)));
}

}  // namespace esplanade::host
