#include "keyd/exchange/dpd.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/log.h"

namespace esplanade::ike {
namespace {
constexpr std::uint32_t kRenewalsMax = 2;  // of a pair with packets one way only: the first may fail
constexpr std::size_t kPairsAsked = 32;  // of one peer at a time: the newest
}

Dpd::Peer* Dpd::find(const Connection& connection, const esp::IpAddress& remote) {
  for (auto& [number, p] : peers_)
    if (p.connection.get() == &connection && p.remote == remote) return &p;
  return nullptr;
}

void Dpd::arm(std::uint64_t number, Time at) { core_.timers.arm({TimerKey::Kind::kDpd, number, 0}, at); }

void Dpd::watch(const std::shared_ptr<const Connection>& connection, const esp::IpAddress& remote) {
  if (core_.stopping || connection->dpd_delay.count() == 0 || find(*connection, remote) != nullptr) return;
  Peer p;
  p.connection = connection;
  p.remote = remote;
  p.heard = core_.now;
  p.sequence = load_be32(core_.random(4).data()) & 0x7fffffff;  // RFC 3706 s5.5: room to grow
  const std::uint64_t number = next_number_++;
  arm(number, core_.now + p.connection->dpd_delay);
  peers_.emplace(number, std::move(p));
}

// The latest of what traffic and authenticated messages have shown.
Time Dpd::heard(const Peer& p) {
  Time latest = p.heard;
  for (const MmSa* mm : main_modes(p))
    if (mm->established) latest = std::max(latest, mm->heard);
  return latest;
}

std::vector<const ChildSa*> Dpd::pairs(const Peer& p) const {
  std::vector<const ChildSa*> out;
  for (std::uint32_t spi : core_.children_at(*p.connection, p.remote))
    if (const ChildSa& child = core_.children.at(spi); child.connection == p.connection) out.push_back(&child);
  return out;
}

// Another peer behind the same NAT, which has no pairs, shows nothing about the one that has them.
std::vector<MmSa*> Dpd::main_modes(const Peer& p) const {
  auto out = core_.mms_of(*p.connection, p.remote);
  const auto known = pairs(p);
  std::erase_if(out, [&](const MmSa* mm) {
    return mm->established && mm->remote_behind_nat && !known.empty() &&
           std::ranges::none_of(known, [&](const ChildSa* c) { return c->peer_id == *mm->peer_id; });
  });
  return out;
}

void Dpd::on_timer(std::uint64_t number) {
  auto it = peers_.find(number);
  if (it == peers_.end()) return;
  Peer& p = it->second;
  const auto known = pairs(p);
  const auto mms = core_.mms_of(*p.connection, p.remote);
  if (known.empty() && std::ranges::none_of(mms, &MmSa::established)) {
    std::erase_if(tickets_, [&](const auto& t) { return t.second.first == number; });
    peers_.erase(it);
    return;
  }
  const Time latest = heard(p);
  if (p.probing && latest < p.probing_since) {
    if (core_.now - p.probing_since >= p.connection->dpd_timeout) return bury(number);
    return probe(number, p);
  }
  p.probing = false;
  look(number, p);
}

void Dpd::look(std::uint64_t number, Peer& p) {
  arm(number, core_.now + p.connection->dpd_delay);
  for (Ticket t : p.asked) tickets_.erase(t);  // espd did not answer in time
  p.asked.clear();
  remove_dead(p);
  auto known = pairs(p);
  if (known.size() > kPairsAsked) known.erase(known.begin(), known.end() - kPairsAsked);
  std::map<std::uint32_t, Pair> still;
  for (const ChildSa* c : known) {
    still[c->spi_in] = p.pairs[c->spi_in];
    for (bool outbound : {false, true}) {
      const Ticket t = core_.next_ticket();
      tickets_[t] = {number, {c->spi_in, outbound}};
      p.asked.insert(t);
      core_.out.push_back(QueryUse{t, c->protocol, outbound ? c->spi_out : c->spi_in,
                                   outbound ? c->local : c->remote, outbound ? c->remote : c->local});
    }
  }
  p.pairs = std::move(still);
}

/// A pair that the peer seems to have lost goes when the one that renewed it has been there for a while. The peer, which does not know it, would never delete
/// it; and once it deletes the others, traffic would go on under it, into nothing, instead of asking for a new one.
void Dpd::remove_dead(Peer& p) {
  std::vector<std::uint32_t> dead;
  for (const ChildSa* c : pairs(p)) {
    if (c->dead != 0 && core_.now - c->since >= p.connection->dpd_delay) dead.push_back(std::exchange(core_.children.at(c->spi_in).dead, 0));
  }
  for (const std::uint32_t spi_in : dead) {
    const auto found = core_.children.find(spi_in);
    if (found == core_.children.end()) continue;
    if (MmSa* mm = core_.find_established(*p.connection, p.remote)) info_.send_delete_child(*mm, found->second);
    core_.remove_child(spi_in, "nothing came back under it, and another took its place");
  }
}

bool Dpd::on_use(Ticket ticket, const Result<std::uint64_t>& packets) {
  auto node = tickets_.extract(ticket);
  if (node.empty()) return false;
  const auto& [number, use] = node.mapped();
  auto it = peers_.find(number);
  if (it == peers_.end()) return true;
  Peer& p = it->second;
  p.asked.erase(ticket);
  auto pair = p.pairs.find(use.spi_in);
  if (packets && pair != p.pairs.end()) {
    std::uint64_t& count = use.outbound ? pair->second.out : pair->second.in;
    if (*packets > count) {
      count = *packets;
      if (use.outbound) {
        p.carried = pair->second.carried = core_.now;
        if (!std::exchange(pair->second.one_way, true)) pair->second.since = core_.now;
      } else {
        p.heard = core_.now;
        p.afresh = false;
        pair->second.one_way = false;
      }
    }
  }
  if (p.asked.empty()) judge(number, p);
  return true;
}

void Dpd::judge(std::uint64_t number, Peer& p) {
  if (p.probing) return;
  renew(p);
  const Time latest = heard(p);
  if (p.carried <= latest || core_.now - latest < p.connection->dpd_delay || !can_ask(p)) return;
  p.probing = true;
  p.probing_since = core_.now;
  ++p.sequence;  // RFC 3706 s5.5: a probe sent again keeps its number
  probe(number, p);
}

void Dpd::renew(Peer& p) {
  const auto timeout = p.connection->dpd_timeout;
  if (core_.now - heard(p) >= timeout && can_ask(p)) return;  // it may be dead: probes tell
  for (auto& [spi_in, pair] : p.pairs) {
    if (!pair.one_way || pair.attempts >= kRenewalsMax || core_.now - pair.since < timeout ||
        pair.carried <= pair.since) continue;
    auto it = core_.children.find(spi_in);
    if (it == core_.children.end() || it->second.rekeying || (it->second.one_way_heir && p.afresh)) continue;
    log_info("{}: SPI out {:08x} carries packets and none come back: renewed, for {} may not have it any more",
             p.connection->name, it->second.spi_out, esp::to_string(p.remote));
    ++pair.attempts;
    pair.since = core_.now;
    ++core_.counters.one_way_renewed;
    const Core::ConfiguredChild child{it->second.connection, it->second.child};
    if (it->second.one_way_heir) {
      p.afresh = true;
      MmSa* mm = core_.find_established(*p.connection, p.remote);
      if (mm != nullptr && p.connection->remote) {
        info_.send_delete_mm(*mm);
        core_.remove_mm(*mm, "nothing comes back from the peer under it");
      }
    }
    if (negotiate && (p.connection->remote || core_.find_usable(*p.connection, p.remote) != nullptr))
      negotiate(child, p.remote, spi_in);
    return;
  }
}

// An established SA carries questions also where it serves no more quick modes; else the one in the making.
MmSa* Dpd::asked_by(const Peer& p) const {
  const auto mms = main_modes(p);
  const auto up = std::find_if(mms.rbegin(), mms.rend(), [](const MmSa* mm) { return mm->established && !mm->remove_when_acked; });
  if (up != mms.rend()) return *up;
  const auto known = pairs(p);
  return core_.find_usable(*p.connection, p.remote, known.empty() ? std::nullopt : std::optional(known.back()->peer_id));
}

// By an SA with a peer that knows R-U-THERE, or by a main mode to an address that the configuration names.
bool Dpd::can_ask(const Peer& p) const {
  const MmSa* mm = asked_by(p);
  return mm == nullptr ? p.connection->remote.has_value() : !mm->established || mm->peer_dpd;
}

void Dpd::probe(std::uint64_t number, Peer& p) {
  const auto step = std::min<Time>(p.connection->dpd_delay, p.connection->dpd_timeout / 4);
  arm(number, core_.now + std::max<Time>(step, std::chrono::seconds(1)));
  if (!can_ask(p)) {
    p.probing = false;
    return;
  }
  MmSa* mm = asked_by(p);
  if (mm == nullptr) return main_.start(p.connection, p.remote, {});
  if (!mm->established) return;  // main mode's own retransmissions ask
  ++core_.counters.dpd_probes;
  send(*mm, NotifyType::kRUThere, p.sequence);
}

bool Dpd::on_notify(MmSa& mm, const Notify& n) {
  const auto type = static_cast<NotifyType>(n.type);
  if (type != NotifyType::kRUThere && type != NotifyType::kRUThereAck) return false;
  Bytes cookies(mm.cookies.first.begin(), mm.cookies.first.end());
  put(cookies, mm.cookies.second);
  const bool well_formed = n.spi == cookies && n.data.size() == 4;  // RFC 3706 s5.2, s5.3
  const std::uint32_t sequence = well_formed ? load_be32(n.data.data()) : 0;
  if (type == NotifyType::kRUThere) {
    // RFC 3706 s6.2: older than what was seen is stale; the same again is a probe whose answer was lost.
    const bool stale = mm.dpd_seen && static_cast<std::int32_t>(sequence - *mm.dpd_seen) < 0;
    if (!well_formed || stale) {
      ++core_.counters.unexpected;
    } else {
      log_debug("{}: R-U-THERE {} of {}", mm.connection->name, sequence, to_string(mm.path.remote));
      mm.dpd_seen = sequence;
      send(mm, NotifyType::kRUThereAck, sequence);
    }
    return true;
  }
  Peer* p = find(*mm.connection, mm.path.remote.address);
  if (!well_formed || p == nullptr || sequence != p->sequence) {
    ++core_.counters.unexpected;
    mm.heard = mm.heard_before;  // it may have been held back for long: no proof of life
    return true;
  }
  log_debug("{}: {} is there", mm.connection->name, to_string(mm.path.remote));
  p->heard = core_.now;
  return true;
}

void Dpd::bury(std::uint64_t number) {
  auto node = peers_.extract(number);
  const Peer& p = node.mapped();
  for (Ticket t : p.asked) tickets_.erase(t);
  ++core_.counters.dead_peers;
  log_warn("{}: the peer {} is dead: no answer for {} s", p.connection->name, esp::to_string(p.remote),
           p.connection->dpd_timeout.count());
  std::vector<Core::ConfiguredChild> restart;
  for (const ChildSa* c : pairs(p)) {
    if (c->child->dpd_action == DpdAction::kRestart &&
        std::ranges::find(restart, c->child, &Core::ConfiguredChild::child) == restart.end())
      restart.push_back({c->connection, c->child});
  }
  std::vector<std::uint32_t> spis;
  for (const ChildSa* c : pairs(p)) spis.push_back(c->spi_in);
  std::vector<std::uint64_t> mms;
  for (const MmSa* mm : main_modes(p)) mms.push_back(mm->number);
  for (std::uint32_t spi : spis) core_.remove_child(spi, "the peer is dead");
  for (const std::uint64_t mm_number : mms)
    if (MmSa* mm = core_.find_mm(mm_number)) core_.remove_mm(*mm, "the peer is dead");
  for (const Core::ConfiguredChild& c : restart)
    if (c.connection->remote && negotiate) negotiate(c, *c.connection->remote, std::nullopt);
}

void Dpd::stop() {
  for (const auto& [number, p] : peers_) core_.timers.cancel({TimerKey::Kind::kDpd, number, 0});
  peers_.clear();
  tickets_.clear();
}

void Dpd::send(MmSa& mm, NotifyType type, std::uint32_t sequence) {
  Notify n;
  n.protocol = static_cast<std::uint8_t>(ProtocolId::kIsakmp);
  n.type = static_cast<std::uint16_t>(type);
  put(n.spi, mm.cookies.first);
  put(n.spi, mm.cookies.second);
  put_be32(n.data, sequence);
  info_.send_notify(mm, n);
}

}  // namespace esplanade::ike
