#include "keyd/sa/engine.h"

#include <algorithm>

#include "common/base/log.h"

namespace esplanade::ike {

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
  MmSa* mm = core_.find_usable(*c.connection, remote);
  if (mm != nullptr && mm->established) {
    const bool running = std::ranges::any_of(mm->exchanges, [&](const auto& e) {
      return e.second.initiator && e.second.child == c.child && e.second.phase != QmExchange::Phase::kDone;
    });
    if (!running) quick_.start(*mm, pending);
    return !running;
  }
  if (mm != nullptr) {
    if (std::ranges::find(mm->pending, c.child, &MmSa::Pending::child) != mm->pending.end()) return false;
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
  if (!mm.initiator && mm.shortened) info_.send_mm_lifetime(mm);
  for (const MmSa::Pending& p : std::exchange(mm.pending, {})) {
    if (p.child == nullptr) continue;
    if (Core::used_up(mm)) {  // R24: the limit is reached, the rest needs another main mode
      core_.wanted.push_back({mm.connection, mm.path.remote.address, p});
    } else {
      quick_.start(mm, p);
    }
  }
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
  switch (header->exchange) {
    case Exchange::kMainMode:
      if (MmSa* mm = main_.on_message(*header, path, octets)) on_established(*mm);
      return start_wanted();
    case Exchange::kQuickMode:
      return on_quick_mode(*header, path, octets);
    case Exchange::kInformational:
      info_.on_message(*header, path, octets);
      return start_wanted();
    default:
      // Aggressive mode and the rest are refused by silence (R62): an answer would help a forger of sources.
      ++core_.counters.unexpected;
      log_debug("exchange type {} of {} dropped", static_cast<int>(header->exchange), to_string(path.remote));
  }
}

void Engine::on_quick_mode(const Header& header, const Path& path, ByteView octets) {
  MmSa* mm = core_.find_mm({header.cky_i, header.cky_r});
  if (mm == nullptr || !mm->established || path.remote.address != mm->path.remote.address) {
    ++core_.counters.unknown_sa;  // R102
    return;
  }
  quick_.on_message(*mm, header, path, octets);
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
  auto [mm, qm] = take_ticket(ticket);
  if (qm != nullptr) quick_.on_spi(*mm, *qm, spi);
}

void Engine::on_installed(Ticket ticket, const Status& status, Time now) {
  core_.now = now;
  auto [mm, qm] = take_ticket(ticket);
  if (qm != nullptr) quick_.on_installed(*mm, *qm, status);
}

void Engine::on_credential(Ticket ticket, const Result<Credential>& result, Time now) {
  core_.now = now;
  MmSa* mm = take_ticket(ticket).first;
  if (mm == nullptr) return;
  if (MmSa* up = main_.on_credential(*mm, result)) on_established(*up);
  start_wanted();
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
  if (child == nullptr) return;
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
  auto [mm, qm] = find({key.owner, key.message_id});
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
    case TimerKey::Kind::kKeepalive:
      core_.out.push_back(SendKeepalive{mm->path});
      core_.timers.arm(key, core_.now + core_.config->limits.keepalive);
      return;
    case TimerKey::Kind::kQmExpire:
      if (qm != nullptr) quick_.on_expire(*mm, *qm);
      return;
    case TimerKey::Kind::kQmRetransmit:
      if (qm != nullptr) on_qm_retransmit(*mm, *qm);
      return;
    case TimerKey::Kind::kStartChild:
    case TimerKey::Kind::kRenew:
    case TimerKey::Kind::kIdle:
      return;
  }
}

void Engine::shutdown(Time now) {
  core_.now = now;
  core_.stopping = true;
  std::map<std::pair<MmSa*, esp::Protocol>, std::vector<std::uint32_t>> by_mm;
  for (const auto& [spi_in, child] : core_.children) {
    MmSa* mm = core_.find_established(*child.connection, child.remote);
    if (mm == nullptr) continue;
    by_mm[{mm, child.protocol}].push_back(spi_in);
    if (child.ah) by_mm[{mm, esp::Protocol::kAh}].push_back(child.ah->in);
  }
  for (const auto& [key, spis] : by_mm) info_.send_delete_sas(*key.first, key.second, spis);
  while (!core_.children.empty()) core_.remove_child(core_.children.begin()->first, "keyd stops");
  for (std::uint64_t number : core_.mm_numbers()) {
    MmSa* mm = core_.find_mm(number);
    if (mm->established && !mm->remove_when_acked) info_.send_delete_mm(*mm);
    core_.remove_mm(*mm, "keyd stops");
  }
}

}  // namespace esplanade::ike
