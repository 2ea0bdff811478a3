#include "host/backend/soft_backend.h"

#include <deque>
#include <unordered_map>
#include <unordered_set>

#include "common/crypto/random.h"
#include "common/esp/engine.h"
#include "hw/regs/errc_status.h"

namespace esplanade::host {

namespace {

card::EventType to_event(esp::Limit limit) {
  switch (limit) {
    case esp::Limit::kSoftBytes: return card::EventType::kSoftBytes;
    case esp::Limit::kSoftPackets: return card::EventType::kSoftPackets;
    case esp::Limit::kSoftSeconds: return card::EventType::kSoftSeconds;
    case esp::Limit::kHardBytes: return card::EventType::kHardBytes;
    case esp::Limit::kHardPackets: return card::EventType::kHardPackets;
    case esp::Limit::kHardSeconds: return card::EventType::kHardSeconds;
    case esp::Limit::kSeqSoon: return card::EventType::kSeqSoon;
    case esp::Limit::kSeqOverflow: return card::EventType::kSeqOverflow;
  }
  return card::EventType::kError;
}

// ESP and AH have separate SPI spaces (RFC 4301 s4.1).
std::uint64_t inbound_key(esp::Protocol protocol, std::uint32_t spi) {
  return std::uint64_t{static_cast<std::uint8_t>(protocol)} << 32 | spi;
}

class SoftBackend final : public Backend {
 public:
  explicit SoftBackend(bool test_mode) : test_mode_(test_mode) {}

  std::string name() const override { return "reference engine"; }

  Result<std::uint32_t> allocate_spi(std::uint32_t) override {
    // A handful of tries: the table is far smaller than the space.
    for (int i = 0; i < 64; ++i) {
      Byte octets[4];
      crypto::random_bytes(octets);
      const std::uint32_t spi = load_be32(octets);
      if (spi >= 256 && !inbound_.contains(inbound_key(esp::Protocol::kEsp, spi)) &&
          !inbound_.contains(inbound_key(esp::Protocol::kAh, spi)) && allotted_.insert(spi).second) {
        return spi;
      }
    }
    return Error{Errc::kTableFull, "no free SPI found"};
  }
  Status reserve_spi(std::uint32_t spi) override {
    allotted_.insert(spi);
    return ok();
  }
  void release_spi(std::uint32_t spi) override { allotted_.erase(spi); }

  Result<SaHandle> install(esp::SaParams params) override {
    const bool outbound = params.outbound;
    const std::uint64_t key = inbound_key(params.protocol, params.spi);
    const std::uint32_t spi = params.spi;
    if (!outbound && inbound_.contains(key)) return Error{Errc::kTableFull, "an inbound SA with this SPI is installed already"};
    ESPLANADE_TRY(sa, esp::SoftSa::create(std::move(params)));
    const SaHandle handle{++last_handle_};
    sas_.emplace(handle, std::move(sa));
    if (!outbound) {
      inbound_[key] = handle;
      allotted_.erase(spi);
    }
    return handle;
  }

  Status remove(SaHandle handle) override {
    const auto found = sas_.find(handle);
    if (found == sas_.end()) return Error{Errc::kUnknownSpi, "no such SA"};
    const esp::SaParams& sa = found->second.params();
    if (!sa.outbound) inbound_.erase(inbound_key(sa.protocol, sa.spi));
    sas_.erase(found);
    return ok();
  }

  Status move(SaHandle handle, const esp::IpAddress& src, const esp::IpAddress& dst,
              const std::optional<esp::Natt>& natt) override {
    const auto found = sas_.find(handle);
    if (found == sas_.end()) return Error{Errc::kUnknownSpi, "no such SA"};
    return found->second.move(src, dst, natt);
  }

  Result<SaView> view(SaHandle handle) override {
    const auto found = sas_.find(handle);
    if (found == sas_.end()) return Error{Errc::kUnknownSpi, "no such SA"};
    const esp::SoftSa& sa = found->second;
    const esp::SaCounters& c = sa.counters();
    return SaView{sa.params().outbound, sa.expired(), sa.params().spi, sa.seq(), c.packets, c.bytes, c.replay_drops, c.icv_drops, c.other_drops};
  }

  Result<Totals> totals() override { return totals_; }

  Status submit_encap(SaHandle handle, ByteView packet, std::uint64_t cookie, std::optional<std::array<Byte, 8>> iv) override {
    if (done_.size() >= kMaxDone) return Error{Errc::kRingFull, "finished packets wait to be polled"};
    Outcome out{cookie, card::Op::kEncap, card::Status::kOk, std::nullopt, 0, 0, 0, {}};
    const auto found = sas_.find(handle);
    if (iv && !test_mode_) {
      out.status = card::Status::kHostIvRefused;
    } else if (found == sas_.end()) {
      out.status = card::Status::kNoSa;
    } else {
      out.sa = handle;
      out.spi = found->second.params().spi;
      auto result = found->second.encap(packet, iv);
      if (result) {
        ++totals_.encap_packets;
        totals_.encap_bytes += packet.size();
        out.seq = result->seq;
        out.packet = std::move(result->packet);
      } else {
        out.status = card::to_status(result.error().code);
      }
    }
    finish(std::move(out));
    return ok();
  }

  Status submit_decap(ByteView outer, std::uint64_t cookie) override {
    if (done_.size() >= kMaxDone) return Error{Errc::kRingFull, "finished packets wait to be polled"};
    Outcome out{cookie, card::Op::kDecap, card::Status::kOk, std::nullopt, 0, 0, 0, {}};
    const auto spi = esp::find_spi(outer);
    if (!spi) {
      out.status = card::to_status(spi.error().code);
    } else if (const auto found = inbound_.find(inbound_key(spi->protocol, spi->spi)); found == inbound_.end()) {
      out.status = card::Status::kNoSa;
      out.spi = spi->spi;
    } else {
      out.sa = found->second;
      out.spi = spi->spi;
      auto result = sas_.at(found->second).decap(outer);
      if (result) {
        ++totals_.decap_packets;
        totals_.decap_bytes += result->packet.size();
        out.seq = result->seq;
        out.next_header = result->next_header;
        out.packet = std::move(result->packet);
      } else {
        out.status = card::to_status(result.error().code);
      }
    }
    finish(std::move(out));
    return ok();
  }

  std::size_t in_flight() const override { return done_.size(); }

  // Everything is finished when it is handed in: there is nothing to wait for.
  Status poll(Outcomes& out, std::chrono::milliseconds) override {
    for (Outcome& o : done_) out.push_back(std::move(o));
    done_.clear();
    return ok();
  }

  Status poll_events(std::vector<SaEvent>& out) override {
    for (auto& [handle, sa] : sas_) {
      for (const esp::Limit limit : sa.take_limits()) out.push_back({to_event(limit), handle, sa.params().spi});
    }
    return ok();
  }

 private:
  static constexpr std::size_t kMaxDone = 1024;

  void finish(Outcome out) {
    ++totals_.by_status[static_cast<std::size_t>(out.status)];
    done_.push_back(std::move(out));
  }

  bool test_mode_;
  std::uint32_t last_handle_ = 0;
  std::unordered_map<SaHandle, esp::SoftSa> sas_;
  std::unordered_map<std::uint64_t, SaHandle> inbound_;
  std::unordered_set<std::uint32_t> allotted_;
  std::deque<Outcome> done_;
  Totals totals_{};
};

}  // namespace

std::unique_ptr<Backend> open_soft_backend(const BackendOptions& options) {
  return std::make_unique<SoftBackend>(options.test_mode);
}

}  // namespace esplanade::host
