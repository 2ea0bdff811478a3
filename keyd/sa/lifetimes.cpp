// When SAs are renewed and when they end. espd counts the seconds and octets of installed pairs and tells (R113);
// here are the lives of main mode SAs, renewals that failed, idle pairs and negotiations without answer.
#include <algorithm>

#include "common/base/log.h"
#include "keyd/sa/engine.h"

namespace esplanade::ike {
namespace {

constexpr int kIdleLooks = 5;  // at a pair within its idle time

}  // namespace

void Engine::renew(ChildSa& child) {
  // Of several pairs for the same traffic only the newest goes on; the others age out.
  if (core_.superseded(child)) return;
  child.rekeying = true;
  const MmSa::Pending pending{child.child, child.spi_in, false, false};
  if (!start({child.connection, child.child}, child.remote, pending)) core_.negotiation_failed(pending, true);
}

void Engine::on_renew_timer(std::uint32_t spi_in) {
  auto it = core_.children.find(spi_in);
  if (it != core_.children.end() && !it->second.rekeying) renew(it->second);
}

void Engine::end_child(const ChildSa& child, const std::string& why) {
  if (MmSa* mm = core_.find_established(*child.connection, child.remote))
    info_.send_delete_child(*mm, child);
  core_.remove_child(child.spi_in, why);
}

void Engine::end_unfinished(std::uint32_t spi_in) {
  for (std::uint64_t number : core_.mm_numbers()) {
    MmSa& mm = *core_.find_mm(number);
    for (auto& [id, qm] : mm.exchanges) {
      if (qm.phase == QmExchange::Phase::kDone || std::ranges::find(qm.sas, spi_in, &QmSa::spi_in) == qm.sas.end())
        continue;
      for (const QmSa& sa : qm.sas)
        if (sa.spi_in != 0) info_.send_delete_sas(mm, sa.protocol, {sa.spi_in});
      return core_.drop_qm(mm, qm, "lifetime reached");
    }
  }
}

void Engine::on_idle_timer(std::uint32_t spi_in) {
  auto it = core_.children.find(spi_in);
  if (it == core_.children.end()) return;
  const ChildSa& c = it->second;
  std::erase_if(core_.use_tickets, [&](const auto& t) { return c.has_spi(t.second); });  // espd did not answer in time
  for (bool outbound : {false, true}) {
    const std::uint32_t spi = outbound ? c.spi_out : c.spi_in;
    const Ticket ticket = core_.next_ticket();
    core_.use_tickets[ticket] = spi;
    core_.out.push_back(QueryUse{ticket, c.protocol, spi, outbound ? c.local : c.remote, outbound ? c.remote : c.local});
  }
  core_.timers.arm({TimerKey::Kind::kIdle, spi_in, 0}, core_.now + Time(c.child->idle) / kIdleLooks);
}

void Engine::on_use(Ticket ticket, const Result<std::uint64_t>& packets, Time now) {
  core_.now = now;
  if (dpd_.on_use(ticket, packets)) return start_wanted();
  auto node = core_.use_tickets.extract(ticket);
  ChildSa* c = node.empty() ? nullptr : core_.find_child(node.mapped());
  if (c == nullptr || !packets) return;
  const bool inbound = node.mapped() == c->spi_in;
  std::uint64_t& seen = inbound ? c->packets_in : c->packets_out;
  if (*packets != seen) c->busy = now;
  seen = *packets;
  // The question about the outbound SA is the second of the two.
  if (!inbound && now - c->busy >= c->child->idle) end_child(*c, "idle");
}

// A new main mode SA before the old one ends, for the pairs that will want to be renewed, deleted or watched
// under it. The old one stays for what runs under it and is deleted at its time.
void Engine::on_mm_rekey_timer(MmSa& mm) {
  const esp::IpAddress remote = mm.path.remote.address;
  const bool needed = std::ranges::any_of(core_.children, [&](const auto& e) {
    return e.second.connection == mm.connection && e.second.remote == remote;
  });
  const MmSa* newest = core_.find_usable(*mm.connection, remote);
  const bool reachable = mm.initiator || !mm.remote_behind_nat;
  if (!needed || !reachable || newest != &mm || core_.stopping) return;
  main_.start(mm.connection, remote, {});
}

void Engine::on_mm_end(MmSa& mm) {
  if (mm.remove_when_acked) return;
  core_.move_quick_modes(mm);
  info_.send_delete_mm(mm);
  if (!mm.deletes.empty()) {  // the peer acknowledges: until then it is there for nothing else
    mm.expired = true;
    mm.remove_when_acked = true;
    return;
  }
  core_.remove_mm(mm, "lifetime reached");
}

// R81: espd may let the traffic go in clear after a short while, long before the attempts are used up.
void Engine::on_no_answer(MmSa& mm) {
  if (mm.answered || mm.established) return;
  for (const MmSa::Pending& p : mm.pending)
    if (p.child != nullptr && !p.replaces) core_.out.push_back(AcquireFailed{p.child->reqid, false});
}

void Engine::on_qm_retransmit(MmSa& mm, QmExchange& qm) {
  // R100: a quick mode after the first without answer makes us negotiate main mode anew. R101: the first one
  // only fails.
  const bool anew = quick_.attempts_used_up(qm) && mm.quick_modes > 1 && !qm.retried;
  const Core::Wanted again{
      mm.connection, mm.path.remote.address, {qm.child, qm.replaces, qm.pfs && !qm.child->pfs, true}};
  quick_.on_retransmit(mm, qm, anew);
  if (!anew) return;
  core_.wanted.push_back(again);
  core_.move_quick_modes(mm);
  core_.remove_mm(mm, "a quick mode had no answer");
}

}  // namespace esplanade::ike
