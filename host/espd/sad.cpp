#include "host/espd/sad.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <tuple>

#include "common/base/log.h"

namespace esplanade::espd {

namespace {

constexpr std::size_t kMaxLarval = 4096;
// An exchange that answers is done in seconds; five retransmissions that double from one second take 31.
constexpr std::chrono::seconds kLarvalLife{120};
// For so long the peer of a new SA may still be busy with it.
constexpr std::chrono::seconds kOverlap{1};

bool used_up(const esp::Lifetime& limit, const Sa& sa) {
  return (limit.bytes != 0 && sa.bytes >= limit.bytes) || (limit.packets != 0 && sa.packets >= limit.packets);
}

bool reached(const esp::Lifetime& limit, const Sa& sa, Clock::time_point now) {
  return used_up(limit, sa) || (limit.seconds != 0 && now - sa.installed >= std::chrono::seconds(limit.seconds));
}

bool can_carry(const Sa& sa, std::uint64_t bytes) {
  return (sa.hard.bytes == 0 || sa.reserved_bytes + bytes <= sa.hard.bytes) && (sa.hard.packets == 0 || sa.reserved_packets < sa.hard.packets);
}

// ESP in UDP over IPv6 is plain ESP to the card: there the sockets, which give and take no headers, make and take off that of
// UDP too, with the checksum that IPv6 wants.
std::optional<esp::Natt> natt_of_card(esp::Protocol protocol, const esp::IpAddress& outer, const std::optional<esp::Natt>& natt) {
  return protocol == esp::Protocol::kEsp && outer.version == 6 ? std::nullopt : natt;
}

}  // namespace

Result<std::uint32_t> Sad::get_spi(const Larval& wanted, std::uint32_t min, std::uint32_t max) {
  ESPLANADE_CHECK(check_ends(wanted.reqid, wanted.id.protocol, wanted.id.dst, wanted.src));
  if (larval_.size() >= kMaxLarval) return Error{Errc::kTableFull, "too many SPIs wait for their SA"};
  ESPLANADE_TRY(spi, backend_.allocate_spi(wanted.reqid));
  // The card chooses; its low bits index the SA table. A range is there to keep 0 to 255 out, which it does.
  if (spi < min || spi > max) {
    backend_.release_spi(spi);
    return Error{Errc::kTableFull, "the card has no free SPI in the range asked for"};
  }
  Larval larval = wanted;
  larval.id.spi = spi;
  larval.deadline = Clock::now() + kLarvalLife;
  larval_.emplace(larval.id, larval);
  return spi;
}

Status Sad::check_ends(std::uint32_t reqid, esp::Protocol protocol, const esp::IpAddress& local, const esp::IpAddress& peer) const {
  const Policy* policy = policies_.by_reqid(reqid);
  if (policy == nullptr) return Error{Errc::kMalformed, fmt::format("no policy has reqid {}", reqid)};
  const auto refuse = [&](const char* why) { return Error{Errc::kMalformed, fmt::format("does not fit policy {}: {}", policy->name, why)}; };
  if (!policy->has_ends(local, peer)) return refuse("outer addresses differ");
  if (!policy->needs(protocol)) return refuse(protocol == esp::Protocol::kAh ? "it is AH" : "it is ESP");
  return ok();
}

Status Sad::check_form(std::uint32_t reqid, bool outbound, esp::Protocol protocol, esp::Mode mode, const std::optional<esp::Natt>& natt) const {
  const Policy& policy = *policies_.by_reqid(reqid);
  const auto refuse = [&](const char* why) { return Error{Errc::kMalformed, fmt::format("does not fit policy {}: {}", policy.name, why)}; };
  // Around ESP, AH is in transport mode (RFC 2401 s4.3, transport adjacency).
  if (mode != (protocol == policy.inner_protocol() ? policy.mode : esp::Mode::kTransport)) return refuse(mode == esp::Mode::kTunnel ? "it is in tunnel mode" : "it is in transport mode");
  if (natt && policy.udp_encap == UdpEncap::kNever) return refuse("it is UDP-encapsulated");
  if (!natt && policy.udp_encap == UdpEncap::kAlways) return refuse("it is not UDP-encapsulated");
  if (natt && (outbound ? natt->src_port : natt->dst_port) != 4500) return refuse("its UDP port on this side is not 4500");
  return ok();
}

Result<host::SaHandle> Sad::install(esp::SaParams params, std::uint32_t reqid, ClientId owner) {
  const auto& [near, far] = params.outbound ? std::tie(params.src, params.dst) : std::tie(params.dst, params.src);
  ESPLANADE_CHECK(check_ends(reqid, params.protocol, near, far));
  ESPLANADE_CHECK(check_form(reqid, params.outbound, params.protocol, params.mode, params.natt));
  // renew_checksum() relies on it.
  if (params.natt && params.mode == esp::Mode::kTransport && params.auth == esp::Auth::kNone)
    return Error{Errc::kMalformed, "in UDP and transport mode it needs authentication (RFC 3948 s3.1.2)"};
  Sa record;
  record.natt = params.natt;
  params.natt = natt_of_card(params.protocol, params.src, params.natt);
  // A raw socket of Linux puts an identification of its own where it finds 0, but for packets that may not be fragmented. AH
  // covers it (RFC 4302 s3.3.3.1.1.1), and the card's numbers pass 0.
  params.df = params.protocol == esp::Protocol::kAh ? esp::DfPolicy::kSet : policies_.by_reqid(reqid)->df;
  ESPLANADE_CHECK(esp::validate(params));
  record.id = {params.protocol, params.spi, params.dst};
  const auto larval = larval_.find(record.id);
  if (!params.outbound && (larval == larval_.end() || larval->second.reqid != reqid)) {
    return Error{Errc::kUnknownSpi, "SPI was not allotted by SADB_GETSPI for this policy, or ran out"};
  }
  if (by_id_.contains(record.id))
    return Error{Errc::kState, "an SA with this SPI and destination is there already"};
  record.src = params.src;
  record.reqid = reqid;
  record.outbound = params.outbound;
  record.mode = params.mode;
  record.cipher = params.cipher;
  record.auth = params.auth;
  record.replay_window = params.replay_window;
  record.soft = params.soft;
  record.hard = params.hard;
  record.owner = owner;
  record.installed = Clock::now();
  record.installed_unix = std::time(nullptr);
  params.reqid = reqid;
  ESPLANADE_TRY(handle, backend_.install(std::move(params)));
  record.handle = handle;
  if (larval != larval_.end()) larval_.erase(larval);
  by_id_[record.id] = handle;
  const Use use{reqid, record.id.protocol};
  if (record.outbound) {
    const auto inbound = inbound_.find(use);
    record.proven = inbound == inbound_.end() || !sas_.contains(inbound->second);
    if (!record.proven) record.sibling = inbound->second;
    outbound_[use].push_back(handle);
  } else {
    inbound_[use] = handle;
  }
  sas_.emplace(handle, std::move(record));
  return handle;
}

Status Sad::remove(const SaId& id) {
  if (const auto found = by_id_.find(id); found != by_id_.end()) return remove(found->second);
  const auto larval = larval_.find(id);
  if (larval == larval_.end()) return Error{Errc::kUnknownSpi, "no such SA"};
  backend_.release_spi(id.spi);
  larval_.erase(larval);
  return ok();
}

Status Sad::remove(host::SaHandle handle) {
  const auto found = sas_.find(handle);
  if (found == sas_.end()) return Error{Errc::kUnknownSpi, "no such SA"};
  by_id_.erase(found->second.id);
  if (found->second.outbound) std::erase(outbound_[{found->second.reqid, found->second.id.protocol}], handle);
  sas_.erase(found);
  return backend_.remove(handle);
}

Status Sad::move(esp::Protocol protocol, std::uint32_t spi, std::uint32_t reqid, const esp::IpAddress& src,
                 const esp::IpAddress& dst, const esp::Natt& natt) {
  const Policy* policy = policies_.by_reqid(reqid);
  if (policy == nullptr) return Error{Errc::kMalformed, "no policy has this reqid"};
  const bool outbound = src == policy->local;
  const auto& [near, far] = outbound ? std::tie(src, dst) : std::tie(dst, src);
  if (!policy->has_ends(near, far))
    return Error{Errc::kMalformed, "the policy does not have these outer addresses"};
  if ((outbound ? natt.src_port : natt.dst_port) != 4500)
    return Error{Errc::kMalformed, "the UDP port on this side is not 4500"};
  const auto found = std::ranges::find_if(sas_, [&](const auto& e) {
    const Sa& sa = e.second;
    return sa.reqid == reqid && sa.id.spi == spi && sa.id.protocol == protocol && sa.outbound == outbound;
  });
  if (found == sas_.end()) return Error{Errc::kUnknownSpi, "no such SA"};
  Sa& sa = found->second;
  ESPLANADE_CHECK(backend_.move(sa.handle, src, dst, natt_of_card(protocol, src, natt)));
  by_id_.erase(sa.id);
  sa.src = src;
  sa.id.dst = dst;
  sa.natt = natt;
  by_id_[sa.id] = sa.handle;
  return ok();
}

template <class Which>
std::size_t Sad::release_larval(Which which) {
  return std::erase_if(larval_, [&](const auto& entry) {
    const bool chosen = which(entry.second);
    if (chosen) backend_.release_spi(entry.first.spi);
    return chosen;
  });
}

std::size_t Sad::flush(ClientId owner) {
  std::vector<host::SaHandle> mine;
  for (const auto& [handle, sa] : sas_) {
    if (sa.owner == owner) mine.push_back(handle);
  }
  for (const host::SaHandle handle : mine) {
    if (const Status removed = remove(handle); !removed)
      log_warn("cannot remove an SA: {}", removed.error().detail);
  }
  return mine.size() + release_larval([&](const Larval& larval) { return larval.owner == owner; });
}

void Sad::orphan(ClientId owner, Clock::time_point now) {
  for (auto& [handle, sa] : sas_) {
    if (sa.owner != owner) continue;
    sa.orphaned = true;
    sa.idle_packets = sa.packets;
    sa.idle_since = now;
  }
}

bool Sad::is_superseded(const Sa& sa) const {
  const Use use{sa.reqid, sa.id.protocol};
  const auto of_ours = outbound_.find(use);
  const auto of_peers = inbound_.find(use);
  const Sa* newest = sa.outbound ? (of_ours == outbound_.end() || of_ours->second.empty() ? nullptr : find(of_ours->second.back()))
                                 : (of_peers == inbound_.end() ? nullptr : find(of_peers->second));
  return newest != nullptr && !newest->orphaned;
}

std::vector<host::SaHandle> Sad::give_up(std::uint32_t reqid) {
  release_larval([&](const Larval& larval) { return larval.reqid == reqid; });
  std::vector<host::SaHandle> out;
  for (const auto& [handle, sa] : sas_) {
    if (sa.reqid == reqid) out.push_back(handle);
  }
  return out;
}

void Sad::remove_all() {
  while (!sas_.empty()) {
    if (const Status removed = remove(sas_.begin()->first); !removed)
      log_warn("cannot remove an SA: {}", removed.error().detail);
  }
  release_larval([](const Larval&) { return true; });
}

const Sa* Sad::find(host::SaHandle handle) const {
  const auto found = sas_.find(handle);
  return found == sas_.end() ? nullptr : &found->second;
}

const Sa* Sad::find(const SaId& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : find(found->second);
}

bool Sad::ready(const Policy& policy) const {
  return std::ranges::all_of(std::array{esp::Protocol::kEsp, esp::Protocol::kAh},
                             [&](esp::Protocol p) { return !policy.needs(p) || outbound(policy.reqid, p) != nullptr; });
}

const Sa* Sad::outbound(std::uint32_t reqid, esp::Protocol protocol, std::size_t bytes) const {
  const auto found = outbound_.find({reqid, protocol});
  if (found == outbound_.end() || found->second.empty()) return nullptr;
  const Sa* newest = find(found->second.back());
  if (newest->proven || found->second.size() == 1 || Clock::now() - newest->installed >= kOverlap) return newest;
  const Sa* before = find(found->second[found->second.size() - 2]);
  return !before->hard_told && can_carry(*before, bytes) ? before : newest;
}

std::vector<const Sa*> Sad::all() const {
  std::vector<const Sa*> out;
  for (const auto& [handle, sa] : sas_) out.push_back(&sa);
  std::ranges::stable_sort(out, {}, &Sa::installed);
  return out;
}

void Sad::count(host::SaHandle handle, std::uint64_t bytes) {
  const auto found = sas_.find(handle);
  if (found == sas_.end()) return;
  Sa& sa = found->second;
  sa.bytes += bytes;
  ++sa.packets;
  if (!sa.outbound && !sa.proven) {
    sa.proven = true;
    for (const host::SaHandle other : outbound_[{sa.reqid, sa.id.protocol}]) {
      if (Sa& out = sas_.at(other); out.sibling == handle) out.proven = true;
    }
  }
  if (used_up(sa.hard, sa)) {
    if (tell(handle, true)) reached_.push_back({handle, true});
  } else if (used_up(sa.soft, sa)) {
    if (tell(handle, false)) reached_.push_back({handle, false});
  }
}

bool Sad::reserve(host::SaHandle handle, std::uint64_t bytes) {
  const auto found = sas_.find(handle);
  if (found == sas_.end()) return false;
  Sa& sa = found->second;
  if (!can_carry(sa, bytes)) return false;
  sa.reserved_bytes += bytes;
  ++sa.reserved_packets;
  return true;
}

void Sad::tick(Clock::time_point now, std::vector<Expiry>& out) {
  release_larval([&](const Larval& larval) {
    if (larval.deadline > now) return false;
    log_info("SPI {:08x} was not used in time", larval.id.spi);
    return true;
  });
  out.insert(out.end(), reached_.begin(), reached_.end());
  reached_.clear();
  for (const auto& [handle, sa] : sas_) {
    if (reached(sa.hard, sa, now)) {
      if (tell(handle, true)) out.push_back({handle, true});
    } else if (reached(sa.soft, sa, now)) {
      if (tell(handle, false)) out.push_back({handle, false});
    }
  }
  for (auto& [handle, sa] : sas_) {
    if (!sa.orphaned) continue;
    if (std::exchange(sa.idle_packets, sa.packets) != sa.packets) sa.idle_since = now;
    if (now - sa.idle_since >= kOrphanIdle && is_superseded(sa) && tell(handle, true)) out.push_back({handle, true});
  }
}

bool Sad::tell(host::SaHandle handle, bool hard) {
  const auto found = sas_.find(handle);
  if (found == sas_.end()) return false;
  Sa& sa = found->second;
  const bool before = hard ? sa.hard_told : sa.soft_told;
  sa.soft_told = true;  // a hard limit makes the soft one old news
  if (hard) sa.hard_told = true;
  return !before;
}

}  // namespace esplanade::espd
