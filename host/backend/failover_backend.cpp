#include "host/backend/failover_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <unordered_map>
#include <utility>

#include "common/base/log.h"

namespace esplanade::host {

namespace {

using Steady = std::chrono::steady_clock;

constexpr std::chrono::seconds kFlapping{60}, kRest{3600};
constexpr std::size_t kFailuresMax = 3;

/// Errors after which a card cannot be used on: gone, stopped, reset, hanging, or talking nonsense.
bool is_loss(const Error& error) {
  return error.code == Errc::kDeviceLost || error.code == Errc::kMalformed || error.code == Errc::kTimeout || error.code == Errc::kState || error.code == Errc::kIo;
}

/// What is left of a limit; a limit that is reached stays reached with the next packet or second.
template <class T>
T left_of(T limit, T used) {
  return limit == 0 ? 0 : limit > used ? static_cast<T>(limit - used) : T{1};
}

class FailoverBackend final : public Backend {
 public:
  FailoverBackend(std::vector<std::string> cards, OpenBackend open) : open_(std::move(open)) {
    for (std::string& card : cards) cards_.push_back({std::move(card), {}, {}});
  }

  Status start() { return open_next(0); }

  std::string name() const override {
    if (inner_ == nullptr) return "none";
    return losses_ == 0 ? inner_->name() : fmt::format("{} ({} of {}, after {} loss{})", inner_->name(), at_ + 1, cards_.size(), losses_, losses_ == 1 ? "" : "es");
  }

  Result<std::uint32_t> allocate_spi() override {
    return guarded<Result<std::uint32_t>>([this] { return inner_->allocate_spi(); });
  }
  void release_spi(std::uint32_t spi) override {
    if (inner_) inner_->release_spi(spi);
  }

  Result<SaHandle> install(esp::SaParams params) override {
    Held held{.params = std::move(params)};
    held.born = Steady::now();
    const auto installed = guarded<Result<SaHandle>>([&] { return inner_->install(held.params.clone()); });
    if (!installed) return installed.error();
    held.inner = *installed;
    const SaHandle own{++last_handle_};
    own_[held.inner] = own;
    held_.emplace(own, std::move(held));
    return own;
  }

  Status remove(SaHandle sa) override {
    const auto found = held_.find(sa);
    if (found == held_.end()) return no_such_sa();
    if (own_.contains(found->second.inner)) {
      const Status removed = guarded<Status>([&] { return inner_->remove(found->second.inner); });
      if (!removed && !is_loss(removed.error())) return removed;
      own_.erase(found->second.inner);
    }
    held_.erase(found);
    return ok();
  }

  Status move(SaHandle sa, const esp::IpAddress& src, const esp::IpAddress& dst, const std::optional<esp::Natt>& natt) override {
    const auto found = held_.find(sa);
    if (found == held_.end()) return no_such_sa();
    ESPLANADE_CHECK(guarded<Status>([&] { return inner_->move(found->second.inner, src, dst, natt); }));
    found->second.params.src = src;
    found->second.params.dst = dst;
    found->second.params.natt = natt;
    return ok();
  }

  Result<SaView> view(SaHandle sa) override {
    const auto found = held_.find(sa);
    if (found == held_.end()) return no_such_sa();
    auto view = guarded<Result<SaView>>([&] { return inner_->view(found->second.inner); });
    if (view) {
      view->packets += found->second.before.packets;
      view->bytes += found->second.before.bytes;
    }
    return view;
  }

  Result<Totals> totals() override {
    auto now = guarded<Result<Totals>>([this] { return inner_->totals(); });
    if (!now) return now;
    totals_ = *now;
    return sum(before_, *now);
  }

  Status submit_encap(SaHandle sa, ByteView packet, std::uint64_t cookie, std::optional<std::array<Byte, 8>> iv) override {
    const auto found = held_.find(sa);
    // A handle that is not there: the card says so, in the order of packets.
    const SaHandle inner = found == held_.end() ? SaHandle{std::numeric_limits<std::uint32_t>::max()} : found->second.inner;
    if (!inner_) return none_left();
    const Status handed = inner_->submit_encap(inner, packet, cookie, iv);
    if (!handed && is_loss(handed.error())) {
      ESPLANADE_CHECK(recover(handed.error()));
      return Error{Errc::kRingFull, "the card was replaced: once more"};
    }
    if (handed && found != held_.end()) {
      found->second.packets += 1;
      found->second.bytes += packet.size();
    }
    return handed;
  }

  Status submit_decap(ByteView outer, std::uint64_t cookie) override {
    if (!inner_) return none_left();
    const Status handed = inner_->submit_decap(outer, cookie);
    if (handed || !is_loss(handed.error())) return handed;
    ESPLANADE_CHECK(recover(handed.error()));
    return Error{Errc::kRingFull, "the card was replaced: once more"};
  }

  std::size_t in_flight() const override { return lost_packets_ + (inner_ ? inner_->in_flight() : 0); }

  bool recording() const override { return inner_ && inner_->recording(); }
  void note_arrival(Steady::time_point when) override {
    if (inner_) inner_->note_arrival(when);
  }
  void note_sent(const Outcome& outcome) override {
    if (inner_) inner_->note_sent(outcome);
  }

  Status poll(std::vector<Outcome>& out, std::chrono::milliseconds wait) override {
    give_lost(out);
    if (!inner_) return none_left();
    const std::size_t before = out.size();
    const Status polled = inner_->poll(out, wait);
    for (std::size_t i = before; i < out.size(); ++i) note(out[i]);
    if (polled || !is_loss(polled.error())) return polled;
    const Status recovered = recover(polled.error());
    give_lost(out);
    return recovered;
  }

  Status poll_events(std::vector<SaEvent>& out) override {
    const std::size_t before = out.size();
    ESPLANADE_CHECK(guarded<Status>([&] {
      out.resize(before);
      return inner_->poll_events(out);
    }));
    std::erase_if(out, [&, n = std::size_t{0}](SaEvent& event) mutable {
      if (n++ < before || event.type == card::EventType::kError) return false;
      const auto own = own_.find(event.sa);
      if (own != own_.end()) event.sa = own->second;
      return own == own_.end();
    });
    out.insert(out.end(), events_.begin(), events_.end());
    events_.clear();
    return ok();
  }

  Status reset() override {
    if (!inner_) return none_left();
    log_warn("card {} is reset by an operator", cards_[at_].name);
    return replace(Error{Errc::kState, "reset by an operator"});
  }
  std::size_t losses() const override { return losses_; }

 private:
  struct Card {
    std::string name;
    std::vector<Steady::time_point> failures;
    Steady::time_point rests_until;
  };
  struct Held {
    esp::SaParams params;
    SaHandle inner{};
    std::uint64_t highest = 0;              // inbound: highest number accepted
    std::uint64_t packets = 0, bytes = 0;   // since the SA was installed on the present card; each outbound one may have used a number
    esp::Lifetime before{};                 // and before that
    Steady::time_point born{};
  };

  static Error no_such_sa() { return Error{Errc::kUnknownSpi, "no such SA"}; }
  static Error none_left() { return Error{Errc::kDeviceLost, "every card of the list failed"}; }

  /// `call` on the card; once more on the next one where it fails because the card is lost.
  template <class T, class Call>
  T guarded(Call call) {
    if (!inner_) return none_left();
    T result = call();
    if (result || !is_loss(result.error())) return result;
    if (const Status recovered = recover(result.error()); !recovered) return recovered.error();
    return call();
  }

  void note(Outcome& outcome) {
    if (!outcome.sa) return;
    const auto own = own_.find(*outcome.sa);
    if (own == own_.end()) {
      outcome.sa.reset();
      return;
    }
    outcome.sa = own->second;
    Held& held = held_.at(own->second);
    if (outcome.op != card::Op::kDecap || outcome.status != card::Status::kOk) return;
    held.highest = std::max(held.highest, outcome.seq);
    ++held.packets;
    held.bytes += outcome.packet.size();
  }

  void give_lost(std::vector<Outcome>& out) {
    for (; lost_packets_ > 0; --lost_packets_) out.push_back({0, card::Op::kNop, card::Status::kBusError, std::nullopt, 0, 0, 0, {}});
  }

  /// The card is lost: everything onto another. kDeviceLost: there is none.
  Status recover(const Error& why) {
    const auto began = Steady::now();
    Card& card = cards_[at_];
    log_error("card {} is lost: {}", card.name, why.detail);
    std::erase_if(card.failures, [&](Steady::time_point t) { return began - t > kFlapping; });
    card.failures.push_back(began);
    if (card.failures.size() >= kFailuresMax) {
      card.rests_until = began + kRest;
      log_error("card {} failed {} times within a minute: it is left alone for an hour", card.name, card.failures.size());
    }
    return replace(why);
  }

  /// Opens the present card anew, or the next one that can be opened, and puts every SA back there.
  Status replace(const Error& why) {
    const auto began = Steady::now();
    const std::size_t inside = inner_->in_flight();
    lost_packets_ += inside;
    before_ = sum(before_, totals_);
    totals_ = {};
    inner_.reset();
    ++losses_;
    // The same card first: a reset is the usual mend.
    if (const Status opened = open_next(at_); !opened) {
      log_error("no card is left: {}", opened.error().detail);
      return Error{Errc::kDeviceLost, fmt::format("{}; and no other: {}", why.detail, opened.error().detail)};
    }
    own_.clear();
    std::size_t installed = 0;
    for (auto& [own, held] : held_) installed += put_back(own, held);
    log_warn("{} SAs of {} are on card {} after {:.1f} ms; {} packets were lost", installed, held_.size(), cards_[at_].name,
             std::chrono::duration<double, std::milli>(Steady::now() - began).count(), inside);
    return ok();
  }

  Status open_next(std::size_t first) {
    Status last = none_left();
    for (std::size_t i = 0; i < cards_.size(); ++i) {
      const std::size_t at = (first + i) % cards_.size();
      Card& card = cards_[at];
      if (Steady::now() < card.rests_until) continue;
      auto opened = open_(card.name);
      if (opened) {
        inner_ = std::move(*opened);
        at_ = at;
        return ok();
      }
      if (cards_.size() > 1) log_warn("card {} cannot be opened: {}", card.name, opened.error().detail);
      last = opened.error();
    }
    return last;
  }

  /// Installs a held SA on the present card, as it stands now.
  bool put_back(SaHandle own, Held& held) {
    esp::SaParams& p = held.params;
    const std::uint64_t last = p.esn ? std::numeric_limits<std::uint64_t>::max() : std::numeric_limits<std::uint32_t>::max();
    const auto add = [last](std::uint64_t a, std::uint64_t b) { return b > last - std::min(a, last) ? last : a + b; };
    if (p.outbound) {
      p.seq = add(p.seq, held.packets);
    } else if (p.replay_window != 0 && held.highest != 0) {
      // The window ends where the numbers not yet seen begin.
      p.seq = add(held.highest, p.replay_window);
    }
    held.before.packets += std::exchange(held.packets, 0);
    held.before.bytes += std::exchange(held.bytes, 0);
    esp::SaParams now = p.clone();
    const auto age = static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(Steady::now() - held.born).count());
    for (esp::Lifetime* limit : {&now.soft, &now.hard}) {
      limit->bytes = left_of(limit->bytes, held.before.bytes);
      limit->packets = left_of(limit->packets, held.before.packets);
      limit->seconds = left_of(limit->seconds, age);
    }
    const auto installed = inner_->install(std::move(now));
    if (!installed) {
      log_error("an SA (SPI {:08x}) cannot be installed on the present card: {}", p.spi, installed.error().detail);
      events_.push_back({card::EventType::kHardSeconds, own, p.spi});  // its owner must renew it
      held.inner = SaHandle{std::numeric_limits<std::uint32_t>::max()};
      return false;
    }
    held.inner = *installed;
    own_[held.inner] = own;
    return true;
  }

  static Totals sum(Totals a, const Totals& b) {
    a.encap_packets += b.encap_packets;
    a.encap_bytes += b.encap_bytes;
    a.decap_packets += b.decap_packets;
    a.decap_bytes += b.decap_bytes;
    a.cycles += b.cycles;
    a.busy_cycles += b.busy_cycles;
    a.clock_hz = b.clock_hz != 0 ? b.clock_hz : a.clock_hz;
    for (std::size_t i = 0; i < a.by_status.size(); ++i) a.by_status[i] += b.by_status[i];
    return a;
  }

  std::vector<Card> cards_;
  const OpenBackend open_;
  std::unique_ptr<Backend> inner_;  // null: every card failed
  std::size_t at_ = 0;              // of cards_
  std::size_t losses_ = 0, lost_packets_ = 0;
  std::uint32_t last_handle_ = 0;
  std::map<SaHandle, Held> held_;
  std::unordered_map<SaHandle, SaHandle> own_;  // handle of the present card -> ours
  std::vector<SaEvent> events_;
  Totals totals_{}, before_{};
};

}  // namespace

Result<std::unique_ptr<Backend>> open_failover_backend(std::vector<std::string> cards, OpenBackend open) {
  auto made = std::make_unique<FailoverBackend>(std::move(cards), std::move(open));
  ESPLANADE_CHECK(made->start());
  return std::unique_ptr<Backend>(std::move(made));
}

}  // namespace esplanade::host
