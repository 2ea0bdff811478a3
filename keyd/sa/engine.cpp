#include "keyd/sa/engine.h"

#include <algorithm>

#include "common/base/log.h"

namespace esplanade::ike {
namespace {

constexpr Time kNatDoubt{60000};  // least age of a main mode SA whose finding about NAT is doubted

}  // namespace

void Engine::start(Time now) {
  core_.now = now;
  for (const Core::ConfiguredChild& c : core_.configured)
    if (c.child->start == StartAction::kStart) start_child(c, *c.connection->remote, std::nullopt);
}

void Engine::start_child(const Core::ConfiguredChild& c, const esp::IpAddress& remote,
                         std::optional<std::uint32_t> replaces) {
  (void)start(c, remote, {c.child, replaces, false, false});
}

bool Engine::start(const Core::ConfiguredChild& c, const esp::IpAddress& remote,
                   const MmSa::Pending& pending) {
  if (core_.stopping) return false;
  // Several peers may be behind the NAT at one address: a pair is renewed with its own.
  const auto former = pending.replaces ? core_.children.find(*pending.replaces) : core_.children.end();
  const std::optional<Id> peer = former == core_.children.end() ? std::nullopt : std::optional(former->second.peer_id);
  MmSa* mm = core_.find_usable(*c.connection, remote, peer);
  // What main mode finds about NAT stands in payloads that no hash covers: where it forbids all that the child wants,
  // another main mode looks again, now and then.
  if (mm != nullptr && mm->established && c.connection->remote && QuickMode::nat_forbids(*mm, *c.child) &&
      core_.now - mm->since >= kNatDoubt) {
    core_.move_quick_modes(*mm);
    info_.send_delete_mm(*mm);
    core_.remove_mm(*mm, "the NAT that it found is looked for again");
    mm = core_.find_usable(*c.connection, remote, peer);
  }
  if (mm != nullptr && std::ranges::find(mm->pending, c.child, &MmSa::Pending::child) != mm->pending.end()) return false;
  if (mm != nullptr && mm->established) {
    std::uint32_t running = 0;
    for (const auto& [id, qm] : mm->exchanges) {
      if (!qm.initiator || qm.phase == QmExchange::Phase::kDone) continue;
      if (qm.child == c.child) return false;
      // One that the peer leaves unanswered does not hold up the others.
      if (qm.reliability.tries == 0) ++running;
    }
    const IkeLimits& limits = core_.config->limits;
    if (running < (mm->peer_keyd ? limits.quick_modes_at_once_keyd : limits.quick_modes_at_once))
      quick_.start(*mm, pending);
    else
      mm->pending.push_back(pending);  // goes on when one of them ends: one of a child, so the list is bounded
    return true;
  }
  if (mm != nullptr) {
    mm->pending.push_back(pending);
  } else {
    main_.start(c.connection, remote, pending);
    mm = core_.find_usable(*c.connection, remote);
  }
  if (mm != nullptr && !mm->answered)
    core_.timers.arm({TimerKey::Kind::kNoAnswer, mm->number, 0}, core_.now + core_.config->limits.no_answer);
  return true;
}

void Engine::start_wanted() {
  for (const Core::Wanted& w : std::exchange(core_.wanted, {}))
    if (!start({w.connection, w.pending.child}, w.remote, w.pending))
      core_.negotiation_failed(w.pending, true);
}

void Engine::on_established(MmSa& mm) {
  core_.timers.cancel({TimerKey::Kind::kNoAnswer, mm.number, 0});
  dpd_.watch(mm.connection, mm.path.remote.address);
  // A peer may not fill the table with SAs that it has proved.
  const auto all = core_.mms_of(*mm.connection, mm.path.remote.address);
  std::vector<MmSa*> same;
  for (MmSa* other : all)
    if (other->established && other->peer_id == mm.peer_id) same.push_back(other);
  if (same.size() > core_.config->limits.main_modes_per_peer_max && same.front() != &mm) {
    ++core_.counters.peer_limit;
    core_.move_quick_modes(*same.front());
    info_.send_delete_mm(*same.front());
    core_.remove_mm(*same.front(), "the peer has newer ones");
  }
  if (!mm.initiator && mm.shortened) info_.send_mm_lifetime(mm);
  // What a limit of quick modes (R24) leaves over gets another main mode.
  for (const MmSa::Pending& p : std::exchange(mm.pending, {}))
    if (p.child != nullptr) core_.wanted.push_back({mm.connection, mm.path.remote.address, p});
}

void Engine::on_datagram(const Path& path, ByteView octets, Time now) {
  core_.now = now;
  ++core_.counters.datagrams;
  auto header = parse_header(octets);
  if (!header) {
    ++core_.counters.malformed;
    log_debug("datagram from {} dropped: {}", to_string(path.remote), header.error().detail);
    return;
  }
  if (header->next == PayloadType::kFragment && !header->encrypted()) return on_fragment(*header, path, octets);
  dispatch(*header, path, octets);
}

void Engine::dispatch(const Header& header, const Path& path, ByteView octets) {
  switch (header.exchange) {
    case Exchange::kMainMode:
      if (MmSa* mm = main_.on_message(header, path, octets)) on_established(*mm);
      return start_wanted();
    case Exchange::kQuickMode:
      return on_quick_mode(header, path, octets);
    case Exchange::kInformational:
      info_.on_message(header, path, octets);
      return start_wanted();
    default:
      // Aggressive mode and the rest are refused by silence (R62): an answer would help a forger of sources.
      ++core_.counters.unexpected;
      log_debug("exchange type {} of {} dropped", static_cast<int>(header.exchange), to_string(path.remote));
  }
}

// A piece is kept only under cookies that both ends know, from where that peer is.
void Engine::on_fragment(const Header& header, const Path& path, ByteView octets) {
  MmSa* mm = header.cky_r == kNoCookie ? nullptr : core_.find_mm({header.cky_i, header.cky_r});
  if (mm == nullptr || !mm->peer_fragments || !Core::may_come_from(*mm, path)) {
    ++core_.counters.unknown_sa;
    return;
  }
  auto fragment = parse_fragment(octets.subspan(kHeaderLen));
  if (!fragment) {
    ++core_.counters.malformed;
    log_debug("fragment from {} dropped: {}", to_string(path.remote), fragment.error().detail);
    return;
  }
  const std::uint64_t number = mm->number;
  auto result = core_.reassembly.add(number, header, *fragment, core_.now);
  switch (result.taken) {
    case Reassembly::Taken::kDuplicate:
      ++core_.counters.fragments_duplicate;
      return;
    case Reassembly::Taken::kRefused:
      ++core_.counters.fragments_refused;
      return;
    case Reassembly::Taken::kKept:
      ++core_.counters.fragments;
      core_.timers.arm({TimerKey::Kind::kFragments, 0, 0}, *core_.reassembly.next());
      return;
    case Reassembly::Taken::kWhole:
      break;
  }
  ++core_.counters.fragments;
  arm_fragments();
  // The pieces hold the whole message with its own header. It must be of the negotiation that its pieces named;
  // some write main mode and Message-ID 0 on the pieces of any message.
  auto whole = parse_header(result.message);
  if (!whole || whole->cky_i != header.cky_i || whole->cky_r != header.cky_r ||
      whole->next == PayloadType::kFragment) {
    ++core_.counters.malformed;
    return;
  }
  log_debug("message of {} octets from {} was put together", result.message.size(), to_string(path.remote));
  dispatch(*whole, path, result.message);
}

void Engine::arm_fragments() {
  const TimerKey key{TimerKey::Kind::kFragments, 0, 0};
  if (auto next = core_.reassembly.next())
    core_.timers.arm(key, *next);
  else
    core_.timers.cancel(key);
}

void Engine::on_quick_mode(const Header& header, const Path& path, ByteView octets) {
  MmSa* mm = core_.find_mm({header.cky_i, header.cky_r});
  if (mm == nullptr || !mm->established || !Core::may_come_from(*mm, path)) {
    ++core_.counters.unknown_sa;  // R102
    return;
  }
  quick_.on_message(*mm, header, path, octets);
  start_wanted();
}

std::pair<MmSa*, QmExchange*> Engine::find(const TicketUse& use) {
  MmSa* mm = core_.find_mm(use.mm_number);
  if (mm == nullptr) return {nullptr, nullptr};
  auto it = mm->exchanges.find(use.message_id);
  return {mm, it == mm->exchanges.end() ? nullptr : &it->second};
}

std::pair<MmSa*, QmExchange*> Engine::take_ticket(Ticket ticket) {
  auto node = core_.tickets.extract(ticket);
  if (node.empty()) return {nullptr, nullptr};
  return find(node.mapped());
}

void Engine::on_spi(Ticket ticket, const Result<std::uint32_t>& spi, Time now) {
  core_.now = now;
  auto node = core_.tickets.extract(ticket);
  if (node.empty()) return;
  auto [mm, qm] = find(node.mapped());
  if (qm != nullptr) {
    quick_.on_spi(*mm, *qm, spi);
    return start_wanted();
  }
  if (!spi || !node.mapped().larval) return;
  node.mapped().larval->spi = *spi;  // nobody waits for it any more
  core_.out.push_back(*node.mapped().larval);
}

void Engine::on_installed(Ticket ticket, const Status& status, Time now) {
  core_.now = now;
  auto [mm, qm] = take_ticket(ticket);
  if (qm != nullptr) quick_.on_installed(*mm, *qm, status);
  start_wanted();
}

void Engine::on_credential(Ticket ticket, const Result<Credential>& result, Time now) {
  core_.now = now;
  MmSa* mm = take_ticket(ticket).first;
  if (mm == nullptr) return;
  if (MmSa* up = main_.on_credential(*mm, result)) on_established(*up);
  start_wanted();
}

Engine::Sizes Engine::sizes() const {
  Sizes s;
  for (std::uint64_t number : core_.mm_numbers()) {
    const MmSa& mm = *core_.find_mm(number);
    ++s.main_modes;
    s.exchanges += mm.exchanges.size();
    s.pending += mm.pending.size();
    s.deletes += mm.deletes.size();
  }
  s.half_open = core_.half_open();
  s.children = core_.children.size();
  s.tickets = core_.tickets.size() + core_.use_tickets.size() + dpd_.num_tickets();
  s.watched = dpd_.num_peers();
  s.timers = core_.timers.size();
  s.waiting = core_.admission.waiting();
  s.sources = core_.sources.size();
  s.fragment_messages = core_.reassembly.messages();
  s.fragment_octets = core_.reassembly.octets();
  return s;
}

void Engine::on_acquire(std::uint32_t reqid, const esp::IpAddress& remote, Time now) {
  core_.now = now;
  for (const Core::ConfiguredChild& c : core_.configured) {
    if (c.child->reqid != reqid || c.child->start == StartAction::kNone) continue;
    return start_child(c, c.connection->remote.value_or(remote), std::nullopt);
  }
  log_debug("acquire for reqid {}: no child may start for it", reqid);
}

void Engine::on_expire(std::uint32_t spi, bool hard, Time now) {
  core_.now = now;
  ChildSa* child = core_.find_child(spi);
  if (child == nullptr) {
    if (hard) end_unfinished(spi);
    return start_wanted();
  }
  if (hard) {
    end_child(*child, "lifetime reached");
  } else if (!child->rekeying) {
    renew(*child);
  }
}

void Engine::on_timer(Time now) {
  core_.now = now;
  while (auto key = core_.timers.pop_due(now)) {
    fire(*key);
    start_wanted();
  }
}

void Engine::fire(const TimerKey& key) {
  if (key.kind == TimerKey::Kind::kStartChild) {
    const Core::ConfiguredChild& c = core_.configured[key.owner];
    const bool up =
        std::ranges::any_of(core_.children, [&](const auto& e) { return e.second.child == c.child; });
    if (!up) start_child(c, *c.connection->remote, std::nullopt);
    return;
  }
  if (key.kind == TimerKey::Kind::kRenew) return on_renew_timer(static_cast<std::uint32_t>(key.owner));
  if (key.kind == TimerKey::Kind::kIdle) return on_idle_timer(static_cast<std::uint32_t>(key.owner));
  if (key.kind == TimerKey::Kind::kDpd) return dpd_.on_timer(key.owner);
  if (key.kind == TimerKey::Kind::kFragments) {
    const std::size_t before = core_.reassembly.messages();
    core_.reassembly.sweep(core_.now);
    core_.counters.fragments_expired += before - core_.reassembly.messages();
    return arm_fragments();
  }
  auto [mm, qm] = find({key.owner, key.message_id, std::nullopt});
  if (mm == nullptr) return;
  switch (key.kind) {
    case TimerKey::Kind::kMmRetransmit:
      return main_.on_retransmit(*mm);
    case TimerKey::Kind::kMmExpire:
      return mm->established ? on_mm_end(*mm) : main_.on_expire(*mm);
    case TimerKey::Kind::kMmRekey:
      return on_mm_rekey_timer(*mm);
    case TimerKey::Kind::kNoAnswer:
      return on_no_answer(*mm);
    case TimerKey::Kind::kDelete:
      return info_.on_delete_timer(*mm, key.message_id);
    case TimerKey::Kind::kKeepalive: {  // only where nothing else kept the NAT's mapping (RFC 3948 s4)
      const Time wait = core_.config->limits.keepalive;
      if (core_.now - mm->sent >= wait) {
        core_.out.push_back(SendKeepalive{mm->path});
        mm->sent = core_.now;
      }
      core_.timers.arm(key, mm->sent + wait);
      return;
    }
    case TimerKey::Kind::kQmExpire:
      if (qm != nullptr) quick_.on_expire(*mm, *qm);
      return;
    case TimerKey::Kind::kQmRetransmit:
      if (qm != nullptr) on_qm_retransmit(*mm, *qm);
      return;
    case TimerKey::Kind::kStartChild:
    case TimerKey::Kind::kRenew:
    case TimerKey::Kind::kIdle:
    case TimerKey::Kind::kDpd:
    case TimerKey::Kind::kFragments:
      return;
  }
}

void Engine::shutdown(Time now) {
  core_.now = now;
  core_.stopping = true;
  end_children([](const ChildSa&) { return true; }, "keyd stops");
  for (std::uint64_t number : core_.mm_numbers()) {
    MmSa* mm = core_.find_mm(number);
    if (mm->established && !mm->remove_when_acked) info_.send_delete_mm(*mm);
    core_.remove_mm(*mm, "keyd stops");
  }
  for (std::size_t i = 0; i < core_.configured.size(); ++i)
    core_.timers.cancel({TimerKey::Kind::kStartChild, i, 0});
  dpd_.stop();
  arm_fragments();
}

}  // namespace esplanade::ike
