// Reads what two engines say to each other after main mode, with the keys that they hold: for tests of what is on
// the wire.
#pragma once

#include <deque>

#include "keyd/exchange/protect.h"
#include "keyd/keymat/quick_mode_keys.h"
#include "keyd/wire/payload_notify.h"
#include "keyd/wire/vendor_id.h"
#include "world.h"

namespace esplanade::ike::test {

/// The SA of main mode with these cookies, at the left end before the right one or the other way round.
inline const MmSa* mm_of(World& w, const Header& h, bool left_first = true) {
  for (Node* n : left_first ? std::array{&w.left(), &w.right()} : std::array{&w.right(), &w.left()})
    for (std::uint64_t number : n->engine->core().mm_numbers()) {
      const MmSa* mm = n->engine->core().find_mm(number);
      if (mm->cookies == CookiePair(h.cky_i, h.cky_r)) return mm;
    }
  return nullptr;
}

struct Heard {
  Time at{0};
  bool from_left = false;
  Header header;
  Bytes octets;
  Opened opened;  // empty for messages in clear and those of main mode
  bool again = false;  // the same octets as before
  const RawPayload* payload(PayloadType type) const { return find(opened.payloads, type); }
  bool is_quick_mode() const { return header.exchange == Exchange::kQuickMode; }
  bool is_message1_of_main_mode() const {
    return header.exchange == Exchange::kMainMode && header.cky_r == kNoCookie;
  }
};

class Sniffer {
 public:
  /// Takes the tap of `w`, and asks `then`, if given, whether a message is to go on.
  explicit Sniffer(World& w, std::function<bool(const Heard&)> then = {}) : w_(w), then_(std::move(then)) {
    w.tap = [this](const Node& from, Bytes& octets) { return on(from, octets); };
  }
  std::deque<Heard> heard;  // stays in place: payloads point into it

  template <class F>
  std::size_t count(F&& f) const {
    return static_cast<std::size_t>(std::ranges::count_if(heard, f));
  }
  /// Main modes begun, quick modes begun; retransmissions not counted.
  std::size_t main_modes() const {
    return count([](const Heard& h) { return h.is_message1_of_main_mode() && !h.again; });
  }
  std::size_t quick_modes() const {
    std::set<std::uint32_t> ids;
    for (const Heard& h : heard)
      if (h.is_quick_mode()) ids.insert(h.header.message_id);
    return ids.size();
  }
  /// Messages with a Delete for this protocol.
  std::size_t deletes(ProtocolId protocol) const {
    return count([&](const Heard& h) {
      const RawPayload* p = h.payload(PayloadType::kDelete);
      auto del = p != nullptr ? parse_delete(p->body) : Result<Delete>(Error{Errc::kMalformed, ""});
      return del && del->protocol == static_cast<std::uint8_t>(protocol) && !h.again;
    });
  }
  /// Messages with a Notify of this type.
  std::size_t notifies(NotifyType type) const {
    return count([&](const Heard& h) {
      const RawPayload* p = h.payload(PayloadType::kNotify);
      auto n = p != nullptr ? parse_notify(p->body) : Result<Notify>(Error{Errc::kMalformed, ""});
      return n && n->type == static_cast<std::uint16_t>(type);
    });
  }

 private:
  bool on(const Node& from, Bytes& octets) {
    Heard h;
    auto header = parse_header(octets);
    if (!header) return true;
    h.at = w_.now();
    h.from_left = from.name == "left";
    h.header = *header;
    h.octets = octets;
    h.again = std::ranges::any_of(heard, [&](const Heard& x) { return x.octets == octets; });
    const MmSa* mm = mm_of(w_, h.header, h.from_left);  // who sends has the keys already
    if (h.header.encrypted() && h.header.message_id != 0 && mm != nullptr) {
      const auto key = std::pair(mm->cookies, h.header.message_id);
      if (!ivs_.contains(key)) ivs_[key] = phase2_iv(mm->suite.hash, mm->iv, h.header.message_id);
      if (!h.again) {
        auto opened = open(mm->keys, mm->suite.encryption, ivs_[key], h.header, octets);
        REQUIRE(opened);
        ivs_[key] = opened->next_iv;
        h.opened = std::move(*opened);
      }
    }
    heard.push_back(std::move(h));
    return !then_ || then_(heard.back());
  }

  World& w_;
  std::function<bool(const Heard&)> then_;
  std::map<std::pair<CookiePair, std::uint32_t>, Iv> ivs_;
};

}  // namespace esplanade::ike::test
