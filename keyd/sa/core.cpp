#include "keyd/sa/core.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/log.h"
#include "keyd/wire/payload_fragment.h"

namespace esplanade::ike {
namespace {

constexpr std::size_t kExponentLen = 32;  // 256 random bits: enough for groups 1, 2 and 14 (RFC 3526 s8)

Bytes source_key(const esp::IpAddress& a) { return Bytes(a.bytes().begin(), a.bytes().end()); }

void cancel_mm_timers(TimerQueue& timers, std::uint64_t number) {
  for (auto kind : {TimerKey::Kind::kMmRetransmit, TimerKey::Kind::kMmExpire, TimerKey::Kind::kKeepalive,
                    TimerKey::Kind::kMmRekey, TimerKey::Kind::kNoAnswer})
    timers.cancel({kind, number, 0});
}

}  // namespace

Core::Core(std::shared_ptr<const Config> config_in, Rng& rng_in)
    : config(std::move(config_in)),
      rng(rng_in),
      admission(rng, config->limits.cookie_waiting_max),
      sources(config->limits.source_rate, config->limits.source_burst, config->limits.sources_max),
      reassembly(config->limits) {
  for (const auto& connection : config->connections)
    for (const ChildConfig& child : connection->children) configured.push_back({connection, &child});
}

Core::PeerKey Core::peer_key(const Connection& c, const esp::IpAddress& remote) {
  return {&c, source_key(remote)};
}

MmSa& Core::add_mm(const CookiePair& cookies, bool initiator, const Path& path,
                   std::shared_ptr<const Connection> connection) {
  auto owned = std::make_unique<MmSa>();
  MmSa& mm = *owned;
  mm.number = next_number_++;
  mm.cookies = cookies;
  mm.initiator = initiator;
  mm.path = path;
  mm.connection = std::move(connection);
  by_number_[mm.number] = &mm;
  by_peer_[peer_key(*mm.connection, path.remote.address)].push_back(&mm);
  mms_[cookies] = std::move(owned);
  if (!initiator) {
    ++half_open_;
    ++half_open_by_source_[source_key(path.remote.address)];
    timers.arm({TimerKey::Kind::kMmExpire, mm.number, 0}, now + config->limits.half_open_life);
  }
  return mm;
}

void Core::leave_half_open(const MmSa& mm) {
  if (mm.initiator || mm.established) return;
  --half_open_;
  auto it = half_open_by_source_.find(source_key(mm.path.remote.address));
  if (it != half_open_by_source_.end() && --it->second == 0) half_open_by_source_.erase(it);
}

bool Core::half_open_allowed(const esp::IpAddress& source) const {
  auto it = half_open_by_source_.find(source_key(source));
  return half_open_ < config->limits.half_open_max &&
         (it == half_open_by_source_.end() || it->second < config->limits.half_open_per_source_max);
}

void Core::set_responder_cookie(MmSa& mm, const Cookie& cky_r) {
  auto node = mms_.extract(mm.cookies);
  mm.cookies.second = cky_r;
  node.key() = mm.cookies;
  mms_.insert(std::move(node));
}

MmSa* Core::find_mm(const CookiePair& cookies) {
  auto it = mms_.find(cookies);
  return it == mms_.end() ? nullptr : it->second.get();
}

MmSa* Core::find_mm(std::uint64_t number) {
  auto it = by_number_.find(number);
  return it == by_number_.end() ? nullptr : it->second;
}

const MmSa* Core::find_mm(std::uint64_t number) const {
  auto it = by_number_.find(number);
  return it == by_number_.end() ? nullptr : it->second;
}

MmSa* Core::find_half_open(const Cookie& cky_i, const Endpoint& remote) {
  for (auto it = mms_.lower_bound({cky_i, kNoCookie}); it != mms_.end() && it->first.first == cky_i; ++it)
    if (!it->second->initiator && it->second->path.remote == remote) return it->second.get();
  return nullptr;
}

MmSa* Core::find_established(const Connection& connection, const esp::IpAddress& remote) {
  auto it = by_peer_.find(peer_key(connection, remote));
  if (it == by_peer_.end()) return nullptr;
  for (auto mm = it->second.rbegin(); mm != it->second.rend(); ++mm)
    if ((*mm)->established && !(*mm)->remove_when_acked) return *mm;
  return nullptr;
}

MmSa* Core::find_usable(const Connection& connection, const esp::IpAddress& remote, const std::optional<Id>& peer) {
  auto it = by_peer_.find(peer_key(connection, remote));
  if (it == by_peer_.end()) return nullptr;
  MmSa* negotiating = nullptr;
  for (auto mm = it->second.rbegin(); mm != it->second.rend(); ++mm) {
    const bool another = peer && (*mm)->remote_behind_nat && (*mm)->peer_id != *peer;
    if ((*mm)->established && !used_up(**mm) && !another) return *mm;
    if (!(*mm)->established && (*mm)->initiator) negotiating = *mm;
  }
  return negotiating;
}

std::vector<MmSa*> Core::mms_of(const Connection& connection, const esp::IpAddress& remote) const {
  auto it = by_peer_.find(peer_key(connection, remote));
  return it == by_peer_.end() ? std::vector<MmSa*>() : it->second;
}

bool Core::may_come_from(const MmSa& mm, const Path& path) {
  if (path.remote.address == mm.path.remote.address) return true;
  return mm.established && mm.remote_behind_nat && !mm.connection->remote && path.local.port == kNattPort &&
         path.remote.address.version == mm.path.remote.address.version;
}

void Core::follow(MmSa& mm, const Path& path) {
  mm.heard_before = mm.heard;
  mm.heard = now;
  // Where identifiers were forgotten, a replay cannot be told from a fresh message: such an SA stays put.
  if (mm.remote_behind_nat && path.local.port == kNattPort && path.remote != mm.path.remote && mm.seen_all)
    move(mm, path.remote);
}

void Core::move(MmSa& mm, const Endpoint& remote) {
  const Endpoint old = mm.path.remote;
  ++counters.moved;
  log_info("{}: the peer moved from {} to {}", mm.connection->name, to_string(old), to_string(remote));
  leave_peer(mm);
  mm.path.remote = remote;
  by_peer_[peer_key(*mm.connection, remote.address)].push_back(&mm);
  for (std::uint32_t spi_in : proved(*mm.connection, *mm.peer_id).children) {
    ChildSa& child = children.at(spi_in);
    if (child.connection == mm.connection && child.remote == old.address && child.remote_port == old.port)
      move_child(child, remote);
  }
  using Phase = QmExchange::Phase;
  for (const auto& [id, qm] : mm.exchanges) {
    const bool inbound = qm.phase == Phase::kInstallInbound;
    const bool outbound = qm.phase == Phase::kInstallOutbound;
    if (!inbound && !outbound && qm.phase != Phase::kWaitMessage3 && qm.phase != Phase::kWaitConnected) continue;
    for (std::size_t i = 0; i < qm.sas.size(); ++i) {
      const QmSa& sa = qm.sas[i];
      if (!inbound || i <= qm.step) move_sa(*qm.child, sa.protocol, sa.spi_in, false, mm.path.local.address, remote);
      if (outbound && i <= qm.step) move_sa(*qm.child, sa.protocol, sa.spi_out, true, mm.path.local.address, remote);
    }
  }
}

// Only pairs in UDP come here, and AH has no such form: no bundle is among them.
void Core::move_child(ChildSa& child, const Endpoint& remote) {
  unlist(child);
  child.remote = remote.address;
  child.remote_port = remote.port;
  list(child);
  move_sa(*child.child, child.protocol, child.spi_in, false, child.local, remote);
  move_sa(*child.child, child.protocol, child.spi_out, true, child.local, remote);
}

void Core::move_sa(const ChildConfig& child, esp::Protocol protocol, std::uint32_t spi, bool outbound,
                   const esp::IpAddress& local, const Endpoint& remote) {
  MoveSa m;
  m.protocol = protocol;
  m.mode = child.transport ? esp::Mode::kTransport : esp::Mode::kTunnel;
  m.spi = spi;
  m.reqid = child.reqid;
  m.src = outbound ? local : remote.address;
  m.dst = outbound ? remote.address : local;
  m.natt = outbound ? esp::Natt{kNattPort, remote.port} : esp::Natt{remote.port, kNattPort};
  out.push_back(m);
}

void Core::adopt(const MmSa& mm) {
  if (!mm.remote_behind_nat || mm.path.local.port != kNattPort) return;
  for (std::uint32_t spi_in : proved(*mm.connection, *mm.peer_id).children) {
    ChildSa& child = children.at(spi_in);
    const Endpoint at{child.remote, child.remote_port};
    if (child.connection != mm.connection || child.remote_port == 0 || at == mm.path.remote) continue;
    const auto there = mms_of(*child.connection, at.address);
    if (std::ranges::none_of(there, [&](const MmSa* other) {
          return other->established && other->path.remote == at && other->peer_id == mm.peer_id;
        }))
      move_child(child, mm.path.remote);
  }
}

bool Core::is_only_one(const MmSa& mm) const {
  auto it = by_peer_.find(peer_key(*mm.connection, mm.path.remote.address));
  return it == by_peer_.end() || it->second.size() <= 1;
}

void Core::leave_peer(MmSa& mm) {
  auto peer = by_peer_.find(peer_key(*mm.connection, mm.path.remote.address));
  if (peer == by_peer_.end()) return;
  std::erase(peer->second, &mm);
  if (peer->second.empty()) by_peer_.erase(peer);
}

void Core::move_to(MmSa& mm, const std::shared_ptr<const Connection>& connection) {
  leave_peer(mm);
  mm.connection = connection;
  by_peer_[peer_key(*mm.connection, mm.path.remote.address)].push_back(&mm);
}

// The initiator renews a main mode SA before its end; the responder later, should the initiator not do it.
void Core::arm_life(const MmSa& mm) {
  const Time life = mm.life;
  const Time early = life_margin(mm.life) / (mm.initiator ? 1 : 2);
  timers.arm({TimerKey::Kind::kMmExpire, mm.number, 0}, now + life);
  timers.arm({TimerKey::Kind::kMmRekey, mm.number, 0}, now + life - early);
}

void Core::mark_established(MmSa& mm) {
  leave_half_open(mm);
  mm.established = true;
  mm.since = mm.heard = mm.heard_before = now;
  ++counters.main_modes;
  if (key_log) key_log(mm.cookies.first, mm.keys.cipher.reveal());
  mm.shortened = mm.connection->life < mm.life;
  mm.life = std::min(mm.life, mm.connection->life);
  if (const std::uint64_t own = mm.connection->life_kilobytes;
      own != 0 && (mm.life_kilobytes == 0 || own < mm.life_kilobytes)) {
    mm.shortened = true;
    mm.life_kilobytes = own;
  }
  arm_life(mm);
  proved_[proved_key(*mm.connection, *mm.peer_id)].main_modes.insert(mm.number);
  adopt(mm);
  if (mm.local_behind_nat && config->limits.keepalive.count() != 0)
    timers.arm({TimerKey::Kind::kKeepalive, mm.number, 0}, now + config->limits.keepalive);
  event(Event::Kind::kMainModeUp, *mm.connection, nullptr,
        fmt::format("main mode with {} as {}, {}, {}", to_string(mm.path.remote), to_string(*mm.peer_id),
                    to_string(mm.suite), mm.nat() ? "NAT found: UDP encapsulation" : "no NAT"));
}

void Core::remove_mm(MmSa& mm, const std::string& why) {
  const std::vector<MmSa::Pending> pending = std::exchange(mm.pending, {});  // none of them starts when those under way end
  while (!mm.exchanges.empty()) {
    QmExchange& qm = mm.exchanges.begin()->second;
    if (qm.phase == QmExchange::Phase::kDone) {
      drop_qm_state(mm, qm);
    } else {
      drop_qm(mm, qm, why);
    }
  }
  leave_half_open(mm);
  for (const auto& [id, del] : mm.deletes) timers.cancel({TimerKey::Kind::kDelete, mm.number, id});
  if (mm.established) {
    event(Event::Kind::kMainModeDown, *mm.connection, nullptr, why);
  } else if (mm.initiator) {
    event(Event::Kind::kFailed, *mm.connection, nullptr, why);
  }
  for (const MmSa::Pending& p : pending) negotiation_failed(p, mm.answered || mm.established);
  std::erase_if(tickets, [&](const auto& t) { return t.second.mm_number == mm.number && !t.second.larval; });
  end_gss(mm);
  cancel_mm_timers(timers, mm.number);
  reassembly.forget(mm.number);
  leave_peer(mm);
  by_number_.erase(mm.number);
  if (mm.established) {
    auto it = proved_.find(proved_key(*mm.connection, *mm.peer_id));
    it->second.main_modes.erase(mm.number);
    if (mm.remote_behind_nat && !it->second.main_modes.empty()) adopt(*by_number_.at(*it->second.main_modes.rbegin()));
    if (it->second.main_modes.empty() && it->second.children.empty()) proved_.erase(it);
  }
  mms_.erase(CookiePair(mm.cookies));
}

void Core::ask(const MmSa& mm, decltype(CredentialRequest::what) what) {
  const Ticket ticket = next_ticket_++;
  tickets[ticket] = {mm.number, 0, std::nullopt};
  out.push_back(CredentialRequest{ticket, mm.connection->name, std::move(what)});
}

void Core::end_gss(MmSa& mm) {
  if (std::exchange(mm.auth.gss_begun, false))
    out.push_back(CredentialRequest{0, mm.connection->name, GssEnd{mm.number}});
}

std::vector<std::uint64_t> Core::mm_numbers() const {
  std::vector<std::uint64_t> out_numbers;
  for (const auto& [number, mm] : by_number_) out_numbers.push_back(number);
  return out_numbers;
}

Core::Proved Core::proved(const Connection& connection, const Id& id) const {
  auto it = proved_.find(proved_key(connection, id));
  return it == proved_.end() ? Proved() : it->second;
}

std::set<std::uint32_t> Core::children_at(const Connection& connection, const esp::IpAddress& remote) const {
  auto it = children_at_.find(place_key(connection, remote));
  return it == children_at_.end() ? std::set<std::uint32_t>() : it->second;
}

void Core::list(const ChildSa& child) {
  proved_[proved_key(*child.connection, child.peer_id)].children.insert(child.spi_in);
  children_at_[place_key(*child.connection, child.remote)].insert(child.spi_in);
}

void Core::unlist(const ChildSa& child) {
  auto id = proved_.find(proved_key(*child.connection, child.peer_id));
  id->second.children.erase(child.spi_in);
  if (id->second.main_modes.empty() && id->second.children.empty()) proved_.erase(id);
  auto place = children_at_.find(place_key(*child.connection, child.remote));
  place->second.erase(child.spi_in);
  if (place->second.empty()) children_at_.erase(place);
}

Ticket Core::new_ticket(const MmSa& mm, const QmExchange& qm) {
  const Ticket ticket = next_ticket_++;
  tickets[ticket] = {mm.number, qm.message_id, std::nullopt};
  return ticket;
}

void Core::drop_qm_state(MmSa& mm, QmExchange& qm) {
  timers.cancel({TimerKey::Kind::kQmRetransmit, mm.number, qm.message_id});
  timers.cancel({TimerKey::Kind::kQmExpire, mm.number, qm.message_id});
  std::erase_if(tickets, [&](const auto& t) {
    return t.second.mm_number == mm.number && t.second.message_id == qm.message_id && !t.second.larval;
  });
  mm.exchanges.erase(std::uint32_t{qm.message_id});
}

void Core::drop_qm(MmSa& mm, QmExchange& qm, const std::string& why, bool goes_on) {
  const esp::IpAddress& local = mm.path.local.address;
  const esp::IpAddress& remote = mm.path.remote.address;
  for (std::size_t i = 0; i < qm.sas.size(); ++i) {
    const QmSa& sa = qm.sas[i];
    if (sa.spi_in != 0) out.push_back(RemoveSa{sa.protocol, sa.spi_in, remote, local});
    if (qm.phase == QmExchange::Phase::kInstallOutbound && i <= qm.step)
      out.push_back(RemoveSa{sa.protocol, sa.spi_out, local, remote});
  }
  event(Event::Kind::kFailed, *mm.connection, qm.child, why);
  if (qm.initiator && !goes_on) negotiation_failed({qm.child, qm.replaces, false, false}, true);
  const bool ours = qm.initiator;
  drop_qm_state(mm, qm);
  if (ours) start_next(mm);
}

void Core::start_next(MmSa& mm) {
  if (mm.pending.empty()) return;
  wanted.push_back({mm.connection, mm.path.remote.address, mm.pending.front()});
  mm.pending.erase(mm.pending.begin());
}

void Core::move_quick_modes(MmSa& mm) {
  for (const MmSa::Pending& p : std::exchange(mm.pending, {})) wanted.push_back({mm.connection, mm.path.remote.address, p});
  for (auto it = mm.exchanges.begin(); it != mm.exchanges.end();) {
    QmExchange& qm = it->second;
    ++it;
    const bool early = qm.phase == QmExchange::Phase::kWantSpi || qm.phase == QmExchange::Phase::kWaitMessage2;
    if (!qm.initiator || !early || qm.retried) continue;
    wanted.push_back({mm.connection, mm.path.remote.address, {qm.child, qm.replaces, false, true}});
    drop_qm(mm, qm, "its main mode SA ends; trying under another", true);
  }
}

void Core::finish_qm(MmSa& mm, QmExchange& qm) {
  ChildSa child;
  child.connection = mm.connection;
  child.child = qm.child;
  for (const QmSa& sa : qm.sas) {
    if (qm.sas.size() > 1 && sa.protocol == esp::Protocol::kAh) {
      child.ah = ChildSa::Spis{sa.spi_in, sa.spi_out};
      continue;
    }
    child.protocol = sa.protocol;
    child.spi_in = sa.spi_in;
    child.spi_out = sa.spi_out;
  }
  child.local_ts = qm.local_ts;
  child.remote_ts = qm.remote_ts;
  child.number = next_child_++;
  child.since = child.busy = now;
  child.local = mm.path.local.address;
  child.remote = mm.path.remote.address;
  child.remote_port = mm.nat() ? mm.path.remote.port : std::uint16_t{0};
  child.peer_id = *mm.peer_id;
  child.initiator = qm.initiator;
  if (qm.replaces) {
    auto before = children.find(*qm.replaces);
    child.one_way_heir = before != children.end() && !before->second.rekeying;
    if (child.one_way_heir) child.dead = *qm.replaces;
  }
  ++counters.quick_modes;
  event(Event::Kind::kChildUp, *mm.connection, qm.child,
        fmt::format("SPI in {:08x} out {:08x}, {}, {} <-> {}", child.spi_in, child.spi_out,
                    to_string(qm.choice), to_string(qm.local_ts), to_string(qm.remote_ts)));
  if (qm.child->idle.count() != 0)
    timers.arm({TimerKey::Kind::kIdle, child.spi_in, 0}, now + qm.child->idle);
  if (auto old = children.find(child.spi_in); old != children.end()) unlist(old->second);
  list(child);
  children.insert_or_assign(child.spi_in, std::move(child));
  timers.cancel({TimerKey::Kind::kQmRetransmit, mm.number, qm.message_id});
  timers.cancel({TimerKey::Kind::kQmExpire, mm.number, qm.message_id});
  qm.phase = QmExchange::Phase::kDone;
  for (QmSa& sa : qm.sas) {
    sa.keymat_in = Secret();
    sa.keymat_out = Secret();
  }
  const bool ours = qm.initiator;
  mm.done_order.push_back(qm.message_id);
  while (mm.done_order.size() > config->limits.quick_modes_done_kept) {
    auto it = mm.exchanges.find(mm.done_order.front());
    mm.done_order.pop_front();
    if (it != mm.exchanges.end()) drop_qm_state(mm, it->second);
  }
  if (ours) start_next(mm);
}

void Core::remove_child(std::uint32_t spi_in, const std::string& why) {
  auto it = children.find(spi_in);
  if (it == children.end()) return;
  const ChildSa& c = it->second;
  out.push_back(RemoveSa{c.protocol, c.spi_out, c.local, c.remote});
  out.push_back(RemoveSa{c.protocol, c.spi_in, c.remote, c.local});
  if (c.ah) {
    out.push_back(RemoveSa{esp::Protocol::kAh, c.ah->out, c.local, c.remote});
    out.push_back(RemoveSa{esp::Protocol::kAh, c.ah->in, c.remote, c.local});
  }
  timers.cancel({TimerKey::Kind::kRenew, spi_in, 0});
  timers.cancel({TimerKey::Kind::kIdle, spi_in, 0});
  event(Event::Kind::kChildDown, *c.connection, c.child, fmt::format("SPI in {:08x}: {}", spi_in, why));
  std::erase_if(use_tickets, [&](const auto& t) { return c.has_spi(t.second); });
  const ChildConfig& child = *c.child;
  unlist(c);
  const std::set<std::uint32_t> others = proved(*c.connection, c.peer_id).children;
  children.erase(it);
  // It may have been the one that renewed another: that one is without a successor again.
  bool another = false;
  for (std::uint32_t spi : others)
    if (ChildSa& other = children.at(spi); other.child == &child) {
      other.rekeying = false;
      another = true;
    }
  if (!another) child_lost(child);
}

void Core::negotiation_failed(const MmSa::Pending& pending, bool answered) {
  if (pending.child == nullptr || stopping) return;
  if (!pending.replaces) {
    out.push_back(AcquireFailed{pending.child->reqid, answered});
    child_lost(*pending.child);
  } else if (auto it = children.find(*pending.replaces); it != children.end()) {
    it->second.rekeying = false;
    timers.arm({TimerKey::Kind::kRenew, it->first, 0}, now + config->limits.restart_delay);
  }
}

ChildSa* Core::find_child(std::uint32_t spi) {
  auto it = children.find(spi);
  if (it == children.end())
    it = std::ranges::find_if(children, [&](const auto& c) { return c.second.has_spi(spi); });
  return it == children.end() ? nullptr : &it->second;
}

bool Core::superseded(const ChildSa& child) const {
  constexpr Time kSameTime{10000};  // two initiators that have not seen each other's messages
  auto rank = [](const ChildSa& c) { return std::minmax(c.spi_in, c.spi_out); };
  return std::ranges::any_of(children_at(*child.connection, child.remote), [&](std::uint32_t spi) {
    const ChildSa& other = children.at(spi);
    if (&other == &child || other.child != child.child || other.local_ts != child.local_ts || other.remote_ts != child.remote_ts)
      return false;
    const bool at_once = other.initiator != child.initiator && !other.rekeying &&
                         std::chrono::abs(other.since - child.since) < kSameTime;
    return at_once ? rank(other) > rank(child) : other.number > child.number;
  });
}

void Core::count_octets(MmSa& mm, std::size_t octets) {
  mm.octets += octets;
  if (mm.established && !mm.remove_when_acked && mm.life_kilobytes != 0 && mm.octets >= mm.life_kilobytes * 1024)
    timers.arm({TimerKey::Kind::kMmExpire, mm.number, 0}, now);
}

void Core::child_lost(const ChildConfig& child) {
  if (stopping || child.start != StartAction::kStart) return;
  for (std::size_t i = 0; i < configured.size(); ++i)
    if (configured[i].child == &child)
      timers.arm({TimerKey::Kind::kStartChild, i, 0}, now + config->limits.restart_delay);
}

bool Core::remember_message_id(MmSa& mm, std::uint32_t message_id) {
  if (!mm.seen_ids.insert(message_id).second) return false;
  mm.seen_order.push_back(message_id);
  if (mm.seen_order.size() > config->limits.message_ids_max) {
    mm.seen_all = false;
    mm.seen_ids.erase(mm.seen_order.front());
    mm.seen_order.pop_front();
  }
  return true;
}

std::uint32_t Core::new_message_id(MmSa& mm) {
  // A permutation of a counter: no identifier comes twice, however many there are. The set of those seen keeps
  // clear of the peer's.
  if (mm.id_count == 0) mm.id_key = load_be32(random(4).data());
  for (;;) {
    std::uint32_t x = ++mm.id_count + mm.id_key;
    for (std::uint32_t odd : {0x7feb352du, 0x846ca68bu}) x = (x ^ (x >> 16)) * odd;
    const std::uint32_t id = x ^ (x >> 15);
    if (id != 0 && remember_message_id(mm, id)) return id;
  }
}

void Core::event(Event::Kind kind, const Connection& connection, const ChildConfig* child, std::string text) {
  out.push_back(Event{kind, connection.name, child != nullptr ? child->name : "", std::move(text)});
}

Bytes Core::random(std::size_t len) {
  Bytes octets(len);
  rng.fill(octets);
  return octets;
}

Cookie Core::random_cookie() {
  Cookie cookie{};
  while (cookie == kNoCookie) rng.fill(cookie);
  return cookie;
}

Result<crypto::DhKey> Core::new_dh(std::uint16_t group) {
  Secret exponent(random(kExponentLen));
  return crypto::DhKey::from_private(static_cast<crypto::DhGroup>(group), exponent.reveal());
}

void Core::answer_duplicate(Reliability& r, const Path& path) {
  ++counters.duplicates;
  if (r.last_sent.empty() || r.duplicates >= config->limits.duplicates_max) return;
  ++r.duplicates;
  send(path, r.last_sent);
}

Time Core::retransmit_wait(std::uint32_t n) const {
  const std::uint32_t doublings = std::min({n, config->limits.retransmit_tries - 1, std::uint32_t{10}});
  return config->limits.retransmit_base * (1 << doublings);
}

bool Core::may_answer_stranger() {
  if (now - stranger_since_ >= std::chrono::seconds(1)) {
    stranger_since_ = now;
    stranger_answers_ = 0;
  }
  const bool allowed = ++stranger_answers_ <= config->limits.stranger_answers_per_second;
  counters.unanswered += allowed ? 0 : 1;
  return allowed;
}

void Core::send(const Path& path, ByteView octets) {
  if (path.local.port == kNattPort && octets.size() >= kHeaderLen) {
    CookiePair cookies;
    std::copy_n(octets.begin(), 8, cookies.first.begin());
    std::copy_n(octets.begin() + 8, 8, cookies.second.begin());
    if (MmSa* mm = find_mm(cookies)) mm->sent = now;
  }
  if (!send_fragments(path, octets)) out.push_back(SendDatagram{path, Bytes(octets.begin(), octets.end())});
}

// Only messages that carry an ID payload are cut (MS-IKEE 3.3): the last pair of main mode and quick mode. A
// Microsoft peer gets the whole message first, as it would itself send it.
bool Core::send_fragments(const Path& path, ByteView octets) {
  const std::size_t overhead = (path.remote.address.version == 4 ? 20u : 40u) + 8u +  // IP, UDP
                               (path.local.port == kNattPort ? 4u : 0u);                // non-ESP marker
  const std::size_t most = config->limits.fragment_size - overhead;
  if (octets.size() <= most) return false;
  auto header = parse_header(octets);
  if (!header || !header->encrypted() ||
      (header->exchange != Exchange::kMainMode && header->exchange != Exchange::kQuickMode))
    return false;
  MmSa* mm = find_mm({header->cky_i, header->cky_r});
  if (mm == nullptr || !mm->peer_fragments) return false;
  if (mm->peer_microsoft) {
    auto qm = mm->exchanges.find(header->message_id);
    const Reliability& r = qm == mm->exchanges.end() ? mm->reliability : qm->second.reliability;
    if (r.tries + r.duplicates == 0) return false;
  }
  const auto pieces = cut_message(octets, most, ++mm->fragment_id, !mm->peer_microsoft);
  if (pieces.empty()) return false;
  ++counters.fragmented_sent;
  log_debug("{}: message of {} octets goes in {} fragments", mm->connection->name, octets.size(), pieces.size());
  for (const Bytes& piece : pieces) out.push_back(SendDatagram{path, piece});
  return true;
}

}  // namespace esplanade::ike
