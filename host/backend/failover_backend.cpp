#include "host/backend/failover_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "common/base/log.h"
#include "common/esp/engine.h"
#include "host/backend/held_sa.h"

namespace esplanade::host {

namespace {

using Steady = std::chrono::steady_clock;

constexpr std::chrono::seconds kFlapping{60}, kRest{3600};
constexpr std::size_t kFailuresMax = 3;
constexpr int kTries = 2;  // of one call, on a card that is lost with it and on its successor
constexpr int kSpiTries = 64;
// Of several cards: below what espd has inside them at once, so that a card that hangs leaves room to the others.
constexpr std::size_t kInsideMax = 224;
constexpr std::chrono::milliseconds kStalled{100};
constexpr int kStalledPolls = 8;  // and so often looked at in vain: time alone passes while another card is opened
constexpr std::chrono::milliseconds kSettlePatience{200};
constexpr SaHandle kNoHandle{std::numeric_limits<std::uint32_t>::max()};

/// Errors after which a card cannot be used on: gone, stopped, reset, hanging, or talking nonsense.
bool is_loss(const Error& error) {
  return error.code == Errc::kDeviceLost || error.code == Errc::kMalformed || error.code == Errc::kTimeout || error.code == Errc::kState || error.code == Errc::kIo;
}

/// The weight of a place for a policy; all octets of the input matter to all of the output (the finalizer of SplitMix64).
std::uint64_t weight(std::uint32_t reqid, std::size_t place) {
  std::uint64_t x = (std::uint64_t{reqid} << 32 | place) + 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// ESP and AH have separate SPI spaces (RFC 4301 s4.1).
std::uint64_t inbound_key(esp::Protocol protocol, std::uint32_t spi) {
  return std::uint64_t{static_cast<std::uint8_t>(protocol)} << 32 | spi;
}

class FailoverBackend final : public Backend {
 public:
  FailoverBackend(std::vector<std::string> cards, std::size_t in_use, OpenBackend open) : open_(std::move(open)) {
    for (std::string& card : cards) cards_.push_back({std::move(card), {}, {}});
    for (std::size_t i = 0; i < in_use; ++i) places_.push_back(Place{.home = i, .at = i});
  }

  Status start() { return mend(); }

  std::string name() const override {
    const auto up = static_cast<std::size_t>(std::ranges::count_if(places_, [](const Place& p) { return p.inner != nullptr; }));
    if (up == 0) return "none";
    const std::string after = losses() == 0 ? "" : fmt::format("after {} loss{}", losses(), losses() == 1 ? "" : "es");
    if (places_.size() == 1) {
      const Place& p = places_.front();
      return after.empty() ? p.inner->name() : fmt::format("{} ({} of {}, {})", p.inner->name(), p.at + 1, cards_.size(), after);
    }
    std::string out = fmt::format("{} of {} cards:", up, places_.size());
    for (const Place& p : places_) out += fmt::format(" {}{}", p.inner ? p.inner->name() : "none", &p == &places_.back() ? "" : ",");
    return after.empty() ? out : fmt::format("{} ({})", out, after);
  }

  Result<std::uint32_t> allocate_spi(std::uint32_t reqid) override {
    for (int i = 0; i < kSpiTries; ++i) {
      ESPLANADE_TRY(spi, guarded<Result<std::uint32_t>>([&] { return choose(reqid); }, [&](Place& p) { return p.inner->allocate_spi(reqid); }));
      if (reserve_spi(spi)) return spi;
    }
    return Error{Errc::kTableFull, fmt::format("no SPI whose entry is free on each of {} cards", places_.size())};
  }
  Status reserve_spi(std::uint32_t spi) override {
    larval_.insert(spi);
    const Status reserved = reserve_everywhere(spi);
    if (!reserved) release_spi(spi);
    return reserved;
  }
  void release_spi(std::uint32_t spi) override {
    larval_.erase(spi);
    for (Place& p : places_) {
      if (p.inner) p.inner->release_spi(spi);
    }
  }

  Result<SaHandle> install(esp::SaParams params) override {
    const bool inbound = !params.outbound;
    const std::uint32_t spi = params.spi, reqid = params.reqid;
    const std::uint64_t key = inbound_key(params.protocol, spi);
    const bool allotted = larval_.contains(spi);
    if (inbound && !allotted) {
      if (inbound_.contains(inbound_key(esp::Protocol::kEsp, spi)) || inbound_.contains(inbound_key(esp::Protocol::kAh, spi)))
        return Error{Errc::kTableFull, "an inbound SA with this SPI is installed already"};
      ESPLANADE_CHECK(reserve_spi(spi));
    }
    Held held{HeldSa(std::move(params))};
    const auto installed = guarded<Result<SaHandle>>(
        [&] {
          held.place = choose(reqid);
          return held.place;
        },
        [&](Place& p) { return p.inner->install(held.sa.params().clone()); });
    if (!installed) {
      if (inbound && !allotted) release_spi(spi);
      return installed.error();
    }
    held.inner = *installed;
    const SaHandle own{++last_handle_};
    held.place->own[held.inner] = own;
    held_.emplace(own, std::move(held));
    if (inbound) {
      inbound_[key] = own;
      larval_.erase(spi);
    }
    return own;
  }

  Status remove(SaHandle sa) override {
    const auto found = held_.find(sa);
    if (found == held_.end()) return no_such_sa();
    Held& held = found->second;
    if (held.place != nullptr) {
      const Status removed = on_card<Status>(held, [&](Backend& card) { return card.remove(held.inner); });
      if (!removed && !is_loss(removed.error())) return removed;
      if (held.place != nullptr) held.place->own.erase(held.inner);
    }
    const esp::SaParams& p = held.sa.params();
    if (!p.outbound) {
      inbound_.erase(inbound_key(p.protocol, p.spi));
      release_spi(p.spi);
    }
    held_.erase(found);
    return ok();
  }

  Status move(SaHandle sa, const esp::IpAddress& src, const esp::IpAddress& dst, const std::optional<esp::Natt>& natt) override {
    const auto found = held_.find(sa);
    if (found == held_.end()) return no_such_sa();
    Held& held = found->second;
    ESPLANADE_CHECK(on_card<Status>(held, [&](Backend& card) { return card.move(held.inner, src, dst, natt); }));
    held.sa.move(src, dst, natt);
    return ok();
  }

  Result<SaView> view(SaHandle sa) override {
    const auto found = held_.find(sa);
    if (found == held_.end()) return no_such_sa();
    Held& held = found->second;
    auto view = on_card<Result<SaView>>(held, [&](Backend& card) { return card.view(held.inner); });
    if (view) {
      view->packets += held.sa.before().packets;
      view->bytes += held.sa.before().bytes;
    }
    return view;
  }

  Result<Totals> totals() override {
    Totals all{};
    for (Place& place : places_) {
      const auto now = guarded<Result<Totals>>([&] { return place.inner ? &place : nullptr; }, [](Place& p) { return p.inner->totals(); });
      if (now) place.totals = *now;
      if (!now && none_up()) return now.error();
      all = sum(sum(all, place.before), place.totals);
    }
    return all;
  }

  Status submit_encap(SaHandle sa, ByteView packet, std::uint64_t cookie, std::optional<std::array<Byte, 8>> iv) override {
    const auto found = held_.find(sa);
    Held* held = found == held_.end() ? nullptr : &found->second;
    // A handle that is not there: the card says so, in the order of packets.
    Place* place = held != nullptr && held->place != nullptr ? held->place : first_up();
    const SaHandle inner = held != nullptr && held->place != nullptr ? held->inner : kNoHandle;
    bool went = false;
    const Status handed = submit(place, card::Op::kEncap, cookie, [&](Backend& card) {
      const Status taken = card.submit_encap(inner, packet, cookie, iv);
      went = static_cast<bool>(taken);
      return taken;
    });
    if (went && held != nullptr) held->sa.handed(packet.size());
    return handed;
  }

  Status submit_decap(ByteView outer, std::uint64_t cookie) override {
    return submit(place_of(outer), card::Op::kDecap, cookie, [&](Backend& card) { return card.submit_decap(outer, cookie); });
  }

  std::size_t in_flight() const override {
    std::size_t inside = ready_.size();
    for (const Place& p : places_) inside += p.inner ? p.inner->in_flight() : 0;
    return inside;
  }

  bool recording() const override {
    return std::ranges::any_of(places_, [](const Place& p) { return p.inner && p.inner->recording(); });
  }
  void note_arrival(Steady::time_point when) override {
    for (Place& p : places_) {
      if (p.inner) p.inner->note_arrival(when);
    }
  }
  void note_sent(const Outcome& outcome, Steady::time_point when) override {
    const auto held = outcome.sa ? held_.find(*outcome.sa) : held_.end();
    if (held != held_.end() && held->second.place != nullptr) held->second.place->inner->note_sent(outcome, when);
  }

  Status poll(Outcomes& out, std::chrono::milliseconds wait) override {
    const std::size_t before = out.size();
    const auto end = Steady::now() + wait;
    give_ready(out);
    if (none_up()) return none_left();
    // One card waits for itself; of several none may wait while another has something.
    for (std::chrono::microseconds pause{20};; pause = std::min(pause * 2, std::chrono::microseconds(1000))) {
      next_ = (next_ + 1) % places_.size();
      for (std::size_t i = 0; i < places_.size(); ++i) {
        Place& p = places_[(next_ + i) % places_.size()];
        if (!p.inner) continue;
        const Status polled = poll_place(p, out, places_.size() == 1 ? wait : std::chrono::milliseconds(0));
        const Status mended = polled || !is_loss(polled.error()) ? polled : recover(p, polled.error());
        give_ready(out);
        ESPLANADE_CHECK(mended);
      }
      if (out.size() != before || in_flight() == 0 || Steady::now() >= end) return ok();
      std::this_thread::sleep_for(pause);
    }
  }

  Status poll_events(std::vector<SaEvent>& out) override {
    if (none_up()) return none_left();
    for (Place& place : places_) {
      if (!place.inner) continue;
      std::vector<SaEvent> found;
      if (const Status polled = place.inner->poll_events(found); !polled) {
        if (!is_loss(polled.error())) return polled;
        ESPLANADE_CHECK(recover(place, polled.error()));
        continue;
      }
      for (SaEvent& event : found) {
        if (event.type != card::EventType::kError) {
          const auto own = place.own.find(event.sa);
          if (own == place.own.end()) continue;
          event.sa = own->second;
        }
        out.push_back(event);
      }
    }
    out.insert(out.end(), events_.begin(), events_.end());
    events_.clear();
    return ok();
  }

  std::vector<CardView> cards() override {
    std::vector<CardView> out;
    for (const Place& p : places_) {
      const auto state = !p.inner ? CardView::State::kLost : p.drained ? CardView::State::kDrained : CardView::State::kUp;
      out.push_back({cards_[p.at].name, p.inner ? p.inner->name() : "none", state, p.own.size(), p.inner ? p.inner->in_flight() : 0, p.losses, sum(p.before, p.totals)});
    }
    return out;
  }

  Status reset(std::size_t number) override {
    ESPLANADE_CHECK(check_number(number));
    for (std::size_t i = 0; i < places_.size(); ++i) {
      if (number != 0 && number != i + 1) continue;
      Place& p = places_[i];
      log_warn("{} is reset by an operator", label(p));
      for (Card& card : cards_) {  // who resets knows better than our record of failures
        card.failures.clear();
        card.rests_until = {};
      }
      if (p.inner) settle(p);
      ESPLANADE_CHECK(renew(p, p.home, Error{Errc::kState, "reset by an operator"}));
      p.drained = false;
      if (!p.inner) return Error{Errc::kDeviceLost, fmt::format("card {} cannot be opened; the log says why", i + 1)};
    }
    return rebalance();
  }

  Status drain(std::size_t number, bool on) override {
    if (places_.size() == 1) return Backend::drain(number, on);
    ESPLANADE_CHECK(check_number(number));
    if (number == 0) return Error{Errc::kBadConfig, "which card? They have numbers from 1"};
    Place& p = places_[number - 1];
    if (!p.inner) return Error{Errc::kState, fmt::format("card {} is lost: nothing is on it; reset takes it into use", number)};
    const bool others = std::ranges::any_of(places_, [&](const Place& o) { return &o != &p && o.inner && !o.drained; });
    if (on && !others) return Error{Errc::kState, "no other card is up that could carry the SAs of this one"};
    p.drained = on;
    log_warn("{} is {} by an operator", label(p), on ? "drained" : "taken into use again");
    return rebalance();
  }

  std::size_t losses() const override {
    std::size_t all = 0;
    for (const Place& p : places_) all += p.losses;
    return all;
  }

 private:
  struct Card {
    std::string name;
    std::vector<Steady::time_point> failures;
    Steady::time_point rests_until;
  };
  /// Where a card in use sits. Policies belong to places, so a card that stands in for another carries just what that one did.
  struct Place {
    std::size_t home, at;  // of cards_: the one that belongs here, the one that is or was here
    bool wanted = true;    // a card shall be opened here
    bool drained = false;
    std::unique_ptr<Backend> inner{};                // null: lost
    std::unordered_map<SaHandle, SaHandle> own{};    // handle of the card here -> ours
    std::size_t losses = 0;
    Totals totals{}, before{};                       // of the card here, of those before
    Steady::time_point progress{};                   // it finished a packet, or had none
    int vain_polls = 0;                              // since then
  };
  struct Held {
    HeldSa sa;
    Place* place = nullptr;         // where it is; null: on no card
    SaHandle inner = kNoHandle;     // its handle there
    bool refused = false;           // by a card that is well
  };

  static Error no_such_sa() { return Error{Errc::kUnknownSpi, "no such SA"}; }
  static Error none_left() { return Error{Errc::kDeviceLost, "every card of the list failed"}; }

  std::string label(const Place& place) const {
    return places_.size() == 1 ? "card " + cards_[place.at].name : fmt::format("card {} ({})", &place - places_.data() + 1, cards_[place.at].name);
  }
  Status check_number(std::size_t number) const {
    if (number <= places_.size()) return ok();
    return Error{Errc::kBadConfig, fmt::format("there is no card {}: {} in use", number, places_.size() == 1 ? "one is" : fmt::format("{} are", places_.size()))};
  }
  Place* first_up() {
    const auto found = std::ranges::find_if(places_, [](const Place& p) { return p.inner != nullptr; });
    return found == places_.end() ? nullptr : &*found;
  }
  bool none_up() { return first_up() == nullptr; }

  /// Where the SAs of a policy belong now.
  Place* choose(std::uint32_t reqid) {
    Place* best = nullptr;
    std::uint64_t highest = 0;
    for (Place& p : places_) {
      const std::uint64_t w = weight(reqid, p.home);
      if (p.inner == nullptr || p.drained || (best != nullptr && w <= highest)) continue;
      best = &p;
      highest = w;
    }
    return best;
  }

  /// Where the SA of an inbound packet is; what belongs to none goes to any card, which counts it.
  Place* place_of(ByteView outer) {
    if (places_.size() == 1) return first_up();
    const auto found = esp::find_spi(outer);
    const auto own = found ? inbound_.find(inbound_key(found->protocol, found->spi)) : inbound_.end();
    Place* place = own == inbound_.end() ? nullptr : held_.at(own->second).place;
    return place != nullptr ? place : first_up();
  }

  /// `call` on the card that `where` tells; once more where it fails because that card is lost.
  template <class T, class Where, class Call>
  T guarded(Where where, Call call) {
    for (int left = kTries;;) {
      Place* place = where();
      if (place == nullptr || !place->inner) return none_left();
      T result = call(*place);
      if (result || !is_loss(result.error()) || --left == 0) return result;
      if (const Status recovered = recover(*place, result.error()); !recovered) return recovered.error();
    }
  }
  /// The same on the card that has an SA.
  template <class T, class Call>
  T on_card(Held& held, Call call) {
    if (held.place == nullptr) return none_up() ? none_left() : Error{Errc::kUnknownSpi, "this SA is on no card"};
    return guarded<T>([&] { return held.place; }, [&](Place& p) { return call(*p.inner); });
  }

  template <class Call>
  Status submit(Place* place, card::Op op, std::uint64_t cookie, Call call) {
    if (place == nullptr) return none_left();
    const std::size_t inside = place->inner->in_flight();
    if (inside == 0) {
      progressed(*place);
    } else if (places_.size() > 1 && inside >= kInsideMax / places_.size()) {
      if (place->vain_polls < kStalledPolls || Steady::now() - place->progress < kStalled) return Error{Errc::kRingFull, "this card's share of the packets inside is used up"};
      ready_.push_back({cookie, op, card::Status::kBusError, std::nullopt, 0, 0, 0, {}});
      return ok();
    }
    const Status handed = call(*place->inner);
    if (handed || !is_loss(handed.error())) return handed;
    ESPLANADE_CHECK(recover(*place, handed.error()));
    return Error{Errc::kRingFull, "the card was replaced: once more"};
  }

  Status poll_place(Place& place, Outcomes& out, std::chrono::milliseconds wait) {
    const std::size_t before = out.size();
    const Status polled = place.inner->poll(out, wait);
    for (std::size_t i = before; i < out.size(); ++i) note(place, out[i]);
    if (out.size() != before) {
      progressed(place);
    } else {
      ++place.vain_polls;
    }
    return polled;
  }

  static void progressed(Place& place) {
    place.progress = Steady::now();
    place.vain_polls = 0;
  }

  void note(Place& place, Outcome& outcome) {
    if (!outcome.sa) return;
    const auto own = place.own.find(*outcome.sa);
    if (own == place.own.end()) {
      outcome.sa.reset();
      return;
    }
    outcome.sa = own->second;
    if (outcome.op == card::Op::kDecap && outcome.status == card::Status::kOk) held_.at(own->second).sa.accepted(outcome.seq, outcome.packet.size());
  }

  void give_ready(Outcomes& out) {
    std::ranges::move(ready_, std::back_inserter(out));
    ready_.clear();
  }

  /// Takes what a card still finishes, for a moment.
  void settle(Place& place) {
    const auto end = Steady::now() + kSettlePatience;
    while (place.inner->in_flight() != 0 && Steady::now() < end) {
      if (!poll_place(place, ready_, std::chrono::milliseconds(1))) return;  // whoever uses it next learns the same
    }
  }

  /// The card of a place is lost: what it carried onto another, or onto others.
  Status recover(Place& place, const Error& why) {
    note_failure(place, why);
    return renew(place, place.at, why);
  }

  void note_failure(Place& place, const Error& why) {
    const auto now = Steady::now();
    Card& card = cards_[place.at];
    log_error("{} is lost: {}", label(place), why.detail);
    std::erase_if(card.failures, [&](Steady::time_point t) { return now - t > kFlapping; });
    card.failures.push_back(now);
    if (card.failures.size() < kFailuresMax) return;
    card.rests_until = now + kRest;
    log_error("{} failed {} times within a minute: it is left alone for an hour", label(place), card.failures.size());
  }

  /// Opens a card anew, `first` or the next one that can be opened, and gives every SA of the place a card.
  Status renew(Place& place, std::size_t first, const Error& why) {
    const auto began = Steady::now();
    std::vector<SaHandle> carried;
    for (const auto& [inner, own] : place.own) carried.push_back(own);
    const std::size_t inside = place.inner ? place.inner->in_flight() : 0;
    if (place.inner) let_go(place);
    place.at = first;
    place.wanted = true;
    if (const Status mended = mend(); !mended) {
      log_error("no card is left: {}", mended.error().detail);
      return Error{Errc::kDeviceLost, fmt::format("{}; and no other: {}", why.detail, mended.error().detail)};
    }
    const auto installed = std::ranges::count_if(carried, [&](SaHandle own) { return held_.at(own).place != nullptr; });
    log_warn("{} SAs of {} are on {} after {:.1f} ms; {} packets were lost", installed, carried.size(), place.inner ? label(place) : "the other cards",
             std::chrono::duration<double, std::milli>(Steady::now() - began).count(), inside);
    return ok();
  }

  /// Closes the card of a place; its packets are lost, its SAs without a card.
  void let_go(Place& place) {
    for (std::size_t inside = place.inner->in_flight(); inside > 0; --inside) ready_.push_back({0, card::Op::kNop, card::Status::kBusError, std::nullopt, 0, 0, 0, {}});
    place.before = sum(place.before, place.totals);
    place.totals = {};
    place.inner.reset();
    ++place.losses;
    for (const auto& [inner, own] : place.own) held_.at(own).place = nullptr;
    place.own.clear();
  }

  /// Gives every place a card that can have one, and every SA a card. The error is that of the card tried last: none is left.
  Status mend() {
    for (;;) {
      Status opened = none_left();
      for (Place& p : places_) {
        if (!p.inner && p.wanted) opened = open_next(p);
      }
      if (none_up()) return opened;
      if (std::ranges::none_of(places_, [](const Place& p) { return p.inner && !p.drained; })) {
        log_warn("no other card is left: those that were drained are taken into use again");
        for (Place& p : places_) p.drained = false;
      }
      if (install_all()) return ok();
    }
  }

  Status open_next(Place& place) {
    Status last = none_left();
    place.wanted = false;
    for (std::size_t i = 0; i < cards_.size(); ++i) {
      const std::size_t at = (place.at + i) % cards_.size();
      Card& card = cards_[at];
      const bool elsewhere = std::ranges::any_of(places_, [&](const Place& p) { return &p != &place && p.at == at && (p.inner || p.wanted); });
      if (elsewhere || Steady::now() < card.rests_until) continue;
      auto opened = open_(card.name);
      const Status ready = opened ? reserve_all(**opened) : opened.error();
      if (ready) {
        place.inner = std::move(*opened);
        place.at = at;
        return ok();
      }
      if (cards_.size() > 1) log_warn("card {} cannot be opened: {}", card.name, ready.error().detail);
      last = ready.error();
    }
    return last;
  }

  /// Keeps the entries of all inbound SPIs on a card that was opened.
  Status reserve_all(Backend& card) {
    const auto reserve = [&](std::uint32_t spi) {
      const Status reserved = card.reserve_spi(spi);
      if (reserved || is_loss(reserved.error())) return reserved;
      log_error("SPI {:08x} has no place on a card that was opened: {}", spi, reserved.error().detail);
      return ok();
    };
    for (const std::uint32_t spi : larval_) ESPLANADE_CHECK(reserve(spi));
    for (const auto& [key, own] : inbound_) ESPLANADE_CHECK(reserve(static_cast<std::uint32_t>(key)));
    return ok();
  }

  /// kTableFull where one of the cards has no room for this SPI's SA.
  Status reserve_everywhere(std::uint32_t spi) {
    for (Place& place : places_) {
      if (!place.inner) continue;
      const Status reserved = place.inner->reserve_spi(spi);
      if (reserved) continue;
      if (!is_loss(reserved.error())) return reserved;
      ESPLANADE_CHECK(recover(place, reserved.error()));  // the next card reserves all that is larval
    }
    return ok();
  }

  /// Installs each SA that has no card on the one where it belongs; false: that one was lost meanwhile.
  bool install_all() {
    for (auto& [own, held] : held_) {
      if (held.place != nullptr || held.refused) continue;
      Place& place = *choose(held.sa.params().reqid);
      const auto installed = place.inner->install(held.sa.for_next_card());
      if (installed) {
        held.place = &place;
        held.inner = *installed;
        place.own[held.inner] = own;
        continue;
      }
      const Error& why = installed.error();
      if (why.code == Errc::kDeviceLost || why.code == Errc::kTimeout || (is_loss(why) && !place.inner->totals())) {
        note_failure(place, why);
        let_go(place);
        place.wanted = true;
        return false;
      }
      held.refused = true;
      log_error("an SA (SPI {:08x}) cannot be installed on {}: {}", held.sa.params().spi, label(place), why.detail);
      events_.push_back({card::EventType::kHardSeconds, own, held.sa.params().spi});  // its owner must renew it
    }
    return true;
  }

  /// Moves each SA that belongs to another card there.
  Status rebalance() {
    const auto began = Steady::now();
    std::size_t moved = 0;
    for (Place& place : places_) {
      std::vector<SaHandle> leaving;
      for (const auto& [inner, own] : place.own) {
        if (choose(held_.at(own).sa.params().reqid) != &place) leaving.push_back(own);
      }
      if (leaving.empty()) continue;
      settle(place);
      for (const SaHandle own : leaving) {
        Held& held = held_.at(own);
        if (held.place != &place) continue;  // it was lost, and all went elsewhere
        const Status removed = place.inner->remove(held.inner);
        if (!removed && is_loss(removed.error())) {
          ESPLANADE_CHECK(recover(place, removed.error()));
          break;
        }
        place.own.erase(held.inner);
        held.place = nullptr;
        if (!held.sa.params().outbound) static_cast<void>(place.inner->reserve_spi(held.sa.params().spi));  // it may come back
        ++moved;
      }
    }
    ESPLANADE_CHECK(mend());
    if (moved != 0) log_warn("{} SAs moved between the cards within {:.1f} ms", moved, std::chrono::duration<double, std::milli>(Steady::now() - began).count());
    return ok();
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
  std::vector<Place> places_;  // never changes its size
  std::size_t next_ = 0;       // of places_: who is polled first
  std::uint32_t last_handle_ = 0;
  std::map<SaHandle, Held> held_;
  std::unordered_map<std::uint64_t, SaHandle> inbound_;  // by protocol and SPI
  std::unordered_set<std::uint32_t> larval_;             // SPIs that were allotted and not installed yet
  Outcomes ready_;                                       // of packets that end here or were taken early
  std::vector<SaEvent> events_;
};

}  // namespace

Result<std::unique_ptr<Backend>> open_failover_backend(std::vector<std::string> cards, std::size_t in_use, OpenBackend open) {
  auto made = std::make_unique<FailoverBackend>(std::move(cards), in_use, std::move(open));
  ESPLANADE_CHECK(made->start());
  return std::unique_ptr<Backend>(std::move(made));
}

}  // namespace esplanade::host
