#include "keyd/sa/core.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>

namespace esplanade::ike {
namespace {

constexpr std::uint32_t kDuplicatesMax = 32;  // answers to copies of one message
constexpr std::size_t kDoneKept = 32;         // finished quick modes kept under one main mode SA
constexpr std::size_t kSeenIdsMax = 4096;     // Message-IDs remembered under one main mode SA
constexpr std::uint32_t kStrangersPerSecond = 20;
constexpr std::size_t kExponentLen = 32;  // 256 random bits: enough for groups 1, 2 and 14 (RFC 3526 s8)

Bytes source_key(const esp::IpAddress& a) { return Bytes(a.bytes().begin(), a.bytes().end()); }

void cancel_mm_timers(TimerQueue& timers, std::uint64_t number) {
  for (auto kind : {TimerKey::Kind::kMmRetransmit, TimerKey::Kind::kMmExpire, TimerKey::Kind::kKeepalive})
    timers.cancel({kind, number, 0});
}

}  // namespace

Core::Core(std::shared_ptr<const Config> config_in, Rng& rng_in) : config(std::move(config_in)), rng(rng_in) {
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

MmSa* Core::find_half_open(const Cookie& cky_i, const Endpoint& remote) {
  for (auto it = mms_.lower_bound({cky_i, kNoCookie}); it != mms_.end() && it->first.first == cky_i; ++it)
    if (!it->second->initiator && it->second->path.remote == remote) return it->second.get();
  return nullptr;
}

MmSa* Core::find_usable(const Connection& connection, const esp::IpAddress& remote) {
  auto it = by_peer_.find(peer_key(connection, remote));
  if (it == by_peer_.end()) return nullptr;
  MmSa* negotiating = nullptr;
  for (MmSa* mm : it->second | std::views::reverse) {
    if (mm->established) return mm;
    if (mm->initiator) negotiating = mm;
  }
  return negotiating;
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

void Core::mark_established(MmSa& mm) {
  leave_half_open(mm);
  mm.established = true;
  ++counters.main_modes;
  if (key_log) key_log(mm.cookies.first, mm.keys.cipher.reveal());
  const auto life = std::min(mm.life, mm.connection->life);
  timers.arm({TimerKey::Kind::kMmExpire, mm.number, 0}, now + life);
  if (mm.local_behind_nat && config->limits.keepalive.count() != 0)
    timers.arm({TimerKey::Kind::kKeepalive, mm.number, 0}, now + config->limits.keepalive);
  event(Event::Kind::kMainModeUp, *mm.connection, nullptr,
        fmt::format("main mode with {} as {}, {}, {}", to_string(mm.path.remote), to_string(*mm.peer_id),
                    to_string(mm.suite), mm.nat() ? "NAT found: UDP encapsulation" : "no NAT"));
}

void Core::remove_mm(MmSa& mm, const std::string& why) {
  while (!mm.exchanges.empty()) {
    QmExchange& qm = mm.exchanges.begin()->second;
    if (qm.phase == QmExchange::Phase::kDone) {
      drop_qm_state(mm, qm);
    } else {
      drop_qm(mm, qm, why);
    }
  }
  leave_half_open(mm);
  if (mm.established) {
    event(Event::Kind::kMainModeDown, *mm.connection, nullptr, why);
  } else if (mm.initiator) {
    event(Event::Kind::kFailed, *mm.connection, nullptr, why);
  }
  for (const MmSa::Pending& p : mm.pending) child_lost(*p.child);
  std::erase_if(tickets, [&](const auto& t) { return t.second.mm_number == mm.number; });
  end_gss(mm);
  cancel_mm_timers(timers, mm.number);
  leave_peer(mm);
  by_number_.erase(mm.number);
  mms_.erase(CookiePair(mm.cookies));
}

void Core::ask(const MmSa& mm, decltype(CredentialRequest::what) what) {
  const Ticket ticket = next_ticket_++;
  tickets[ticket] = {mm.number, 0};
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

Ticket Core::new_ticket(const MmSa& mm, const QmExchange& qm) {
  const Ticket ticket = next_ticket_++;
  tickets[ticket] = {mm.number, qm.message_id};
  return ticket;
}

void Core::drop_qm_state(MmSa& mm, QmExchange& qm) {
  timers.cancel({TimerKey::Kind::kQmRetransmit, mm.number, qm.message_id});
  timers.cancel({TimerKey::Kind::kQmExpire, mm.number, qm.message_id});
  std::erase_if(tickets, [&](const auto& t) {
    return t.second.mm_number == mm.number && t.second.message_id == qm.message_id;
  });
  mm.exchanges.erase(std::uint32_t{qm.message_id});
}

void Core::drop_qm(MmSa& mm, QmExchange& qm, const std::string& why) {
  const esp::IpAddress& local = mm.path.local.address;
  const esp::IpAddress& remote = mm.path.remote.address;
  if (qm.spi_in != 0) out.push_back(RemoveSa{esp::Protocol::kEsp, qm.spi_in, remote, local});
  if (qm.phase == QmExchange::Phase::kInstallOutbound)
    out.push_back(RemoveSa{esp::Protocol::kEsp, qm.spi_out, local, remote});
  event(Event::Kind::kFailed, *mm.connection, qm.child, why);
  if (qm.replaces) {
    if (auto it = children.find(*qm.replaces); it != children.end()) it->second.rekeying = false;
  } else if (qm.initiator) {
    child_lost(*qm.child);
  }
  drop_qm_state(mm, qm);
}

void Core::finish_qm(MmSa& mm, QmExchange& qm) {
  ChildSa child;
  child.connection = mm.connection;
  child.child = qm.child;
  child.spi_in = qm.spi_in;
  child.spi_out = qm.spi_out;
  child.local = mm.path.local.address;
  child.remote = mm.path.remote.address;
  child.peer_id = *mm.peer_id;
  child.initiator = qm.initiator;
  children.insert_or_assign(qm.spi_in, std::move(child));
  ++counters.quick_modes;
  event(Event::Kind::kChildUp, *mm.connection, qm.child,
        fmt::format("SPI in {:08x} out {:08x}, {}, {} <-> {}", qm.spi_in, qm.spi_out,
                    to_string(qm.choice.suite), to_string(qm.local_ts), to_string(qm.remote_ts)));
  timers.cancel({TimerKey::Kind::kQmRetransmit, mm.number, qm.message_id});
  timers.cancel({TimerKey::Kind::kQmExpire, mm.number, qm.message_id});
  qm.phase = QmExchange::Phase::kDone;
  qm.keymat_in = Secret();
  qm.keymat_out = Secret();
  mm.done_order.push_back(qm.message_id);
  while (mm.done_order.size() > kDoneKept) {
    auto it = mm.exchanges.find(mm.done_order.front());
    mm.done_order.pop_front();
    if (it != mm.exchanges.end()) drop_qm_state(mm, it->second);
  }
}

void Core::remove_child(std::uint32_t spi_in, const std::string& why) {
  auto it = children.find(spi_in);
  if (it == children.end()) return;
  const ChildSa& c = it->second;
  out.push_back(RemoveSa{c.protocol, c.spi_out, c.local, c.remote});
  out.push_back(RemoveSa{c.protocol, c.spi_in, c.remote, c.local});
  event(Event::Kind::kChildDown, *c.connection, c.child, fmt::format("SPI in {:08x}: {}", spi_in, why));
  const ChildConfig& child = *c.child;
  children.erase(it);
  const bool another =
      std::ranges::any_of(children, [&](const auto& other) { return other.second.child == &child; });
  if (!another) child_lost(child);
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
  if (mm.seen_order.size() > kSeenIdsMax) {
    mm.seen_ids.erase(mm.seen_order.front());
    mm.seen_order.pop_front();
  }
  return true;
}

std::uint32_t Core::new_message_id(MmSa& mm) {
  for (;;) {
    const std::uint32_t id = load_be32(random(4).data());
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
  if (r.last_sent.empty() || r.duplicates >= kDuplicatesMax) return;
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
  return ++stranger_answers_ <= kStrangersPerSecond;
}

}  // namespace esplanade::ike
