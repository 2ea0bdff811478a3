#include "keyd/exchange/fragment.h"

#include <algorithm>

namespace esplanade::ike {

Reassembly::Result Reassembly::add(std::uint64_t owner, const Header& outer, const Fragment& fragment,
                                   Time now) {
  sweep(now);
  const Key key{owner, outer.exchange, outer.message_id, fragment.id};
  auto it = open_.find(key);
  const bool fresh = it == open_.end();
  if (!fresh) {
    const Open& open = it->second;
    if (open.pieces.contains(fragment.number)) return {Taken::kDuplicate, {}};
    const std::uint8_t highest = open.pieces.rbegin()->first;
    if ((open.last != 0 && (fragment.last || fragment.number > open.last)) ||
        (fragment.last && highest > fragment.number) ||
        open.octets + fragment.data.size() > limits_.fragment_message_max)
      return {};
  }
  if (fragment.number > limits_.fragments_per_message_max ||
      fragment.data.size() > limits_.fragment_message_max || !make_room(owner, fragment.data.size()))
    return {};
  // Making room may have dropped older pieces of this very message; then it starts anew.
  Open& open = open_[key];
  if (open.pieces.empty()) open.deadline = now + limits_.fragment_life;
  open.pieces.emplace(fragment.number, Bytes(fragment.data.begin(), fragment.data.end()));
  open.octets += fragment.data.size();
  octets_ += fragment.data.size();
  if (fragment.last) open.last = fragment.number;
  if (open.last == 0 || open.pieces.size() < open.last) return {Taken::kKept, {}};

  Bytes whole;
  whole.reserve(open.octets);
  for (const auto& [number, piece] : open.pieces) put(whole, piece);
  erase(open_.find(key));
  return {Taken::kWhole, std::move(whole)};
}

void Reassembly::forget(std::uint64_t owner) {
  for (auto it = open_.lower_bound({owner, Exchange::kNone, 0, 0}); it != open_.end() && it->first.owner == owner;)
    erase(it++);
}

void Reassembly::sweep(Time now) {
  for (auto it = open_.begin(); it != open_.end();)
    if (auto at = it++; at->second.deadline <= now) erase(at);
}

std::optional<Time> Reassembly::next() const {
  if (open_.empty()) return std::nullopt;
  return std::ranges::min_element(open_, {}, [](const auto& e) { return e.second.deadline; })->second.deadline;
}

void Reassembly::erase(std::map<Key, Open>::iterator it) {
  octets_ -= it->second.octets;
  open_.erase(it);
}

// The oldest goes first: of the same peer when it has as many as it may, else of all.
bool Reassembly::make_room(std::uint64_t owner, std::size_t octets) {
  if (octets > limits_.fragment_octets_max) return false;
  auto oldest = [&](auto&& fits) {
    auto found = open_.end();
    for (auto it = open_.begin(); it != open_.end(); ++it)
      if (fits(*it) && (found == open_.end() || it->second.deadline < found->second.deadline)) found = it;
    return found;
  };
  auto own = [&](const auto& e) { return e.first.owner == owner; };
  while (std::ranges::count_if(open_, own) > static_cast<std::ptrdiff_t>(limits_.fragment_messages_per_peer_max))
    erase(oldest(own));
  while (octets_ + octets > limits_.fragment_octets_max) erase(oldest([](const auto&) { return true; }));
  return true;
}

}  // namespace esplanade::ike
