#include "host/espd/data_plane.h"

#include <algorithm>

#include "common/base/log.h"
#include "common/esp/ip.h"
#include "host/espd/checksum.h"
#include "host/espd/mss.h"
#include "host/espd/oversize.h"
#include "host/espd/routes.h"

namespace esplanade::espd {

namespace {

constexpr int kBatch = 64;                           // packets read from one descriptor a turn
constexpr std::size_t kMaxInFlight = 256;            // inside the card; beyond, packets wait in the sockets
constexpr std::size_t kMaxWaiting = 64;              // a policy, for its first SA
constexpr std::chrono::seconds kWaitingLife{30};     // of such a packet; its sender has given up by then
constexpr std::chrono::seconds kAcquireInterval{2};  // an ACQUIRE a policy at most
constexpr std::size_t kIkeLeast = 4 + 28;  // non-ESP marker, ISAKMP header
constexpr std::size_t kTellsATick = 1000;  // ICMP messages to senders inside: RFC 1812 s4.3.2.8

// Before AH in transport mode: see Sad::install on the identification 0.
bool lacks_number(ByteView packet) {
  return packet.size() >= 20 && packet[0] >> 4 == 4 && load_be16(&packet[4]) == 0 && (packet[6] & 0x40) == 0;
}
Bytes numbered(ByteView packet) {
  Bytes out(packet.begin(), packet.end());
  store_be16(&out[4], 1);
  const std::size_t header = std::size_t{out[0] & 15U} * 4;
  store_be16(&out[10], esp::ipv4_checksum(ByteView(out).first(std::min(header, out.size()))));
  return out;
}

// Which of `count` threads: the same for all packets of a TCP connection, in this direction, and for all others between two hosts.
std::size_t thread_of(Flow flow, std::size_t count) {
  if (flow.protocol != esp::kProtoTcp) flow.protocol = 0, flow.ports.reset();
  return hash_of(flow) % count;
}

// What a packet is for comes back in the cookie: the bytes that lifetimes count, and the policy whose AH belongs around the ESP.
std::uint64_t cookie_of(const DataPlane::Job& job) { return (std::uint64_t{job.bundle_reqid} << 32) | job.bytes; }
std::uint32_t bytes_of(std::uint64_t cookie) { return static_cast<std::uint32_t>(cookie); }
std::uint32_t bundle_reqid_of(std::uint64_t cookie) { return static_cast<std::uint32_t>(cookie >> 32); }

}  // namespace

DataPlane::DataPlane(host::Backend& backend, Sad& sad, const PolicyTable& policies, Tun& tun,
                     Outside& outside, Counters& counters, Hooks hooks)
    : backend_(backend),
      sad_(sad),
      policies_(policies),
      tun_(tun),
      outside_(outside),
      sender_(outside),
      counters_(counters),
      hooks_(std::move(hooks)),
      reassembly_([this](std::size_t fragments) { counters_.drop(Drop::kFragment, fragments); }),
      path_mtu_(hooks_.link_mtu),
      may_tell_(kTellsATick) {}

// `receive` takes and handles one packet; false: none is left. While the card is full nothing is read: the
// packets wait, and in the end are dropped, where the kernel bounds and counts them.
template <class Receive>
void DataPlane::read_batch(Receive receive) {
  for (int i = 0; i < kBatch; ++i) {
    if (!lost_ && (!backlog_.empty() || backend_.in_flight() >= kMaxInFlight)) return;
    if (!receive()) return;
  }
}

Status DataPlane::start_threads(Doorbell& bell) {
  for (TunQueue& queue : tun_.queues()) {
    ESPLANADE_TRY(thread, IoThread::start(threads_.size() + 1, queue, outside_, bell, [this](const host::Outcome& outcome, Clock::time_point when) {
                    if (backend_.recording()) backend_.note_sent(outcome, when);
                  }));
    threads_.push_back(std::move(thread));
  }
  return ok();
}

// The clock is not looked at where nobody asks.
void DataPlane::arrives(std::optional<Clock::time_point> when) {
  arrived_ = !backend_.recording() ? Clock::time_point() : when ? *when : Clock::now();
}

Status DataPlane::on_tun() {
  Status status = ok();
  const auto read = [&](const auto& receive) {
    read_batch([&] {
      const Result<bool> got = receive();
      if (!got && got.error().code == Errc::kMalformed) log_warn("{}", got.error().detail);
      if (!got && got.error().code != Errc::kMalformed) status = got.error();
      return got && *got;
    });
  };
  const auto take = [this](ByteView packet, std::optional<Clock::time_point> came) {
    arrives(came);
    ++counters_.tun_in;
    from_tun(packet);
  };
  if (threads_.empty()) {
    read([&] { return tun_.queues().front().read([&](ByteView packet) { take(packet, std::nullopt); }); });
    return status;
  }
  for (const auto& thread : threads_) {
    read([&] { return thread->receive(take); });
    thread->ring();
  }
  return status;
}

void DataPlane::on_outside(Outside::Channel channel) {
  std::size_t most = Outside::kBatch;
  if (!lost_) {
    if (!backlog_.empty() || backend_.in_flight() >= kMaxInFlight) return;
    most = kMaxInFlight - backend_.in_flight();
  }
  outside_.receive(
      channel, most,
      [this, channel](MutableBytes packet, const Path& path) {
        arrives(std::nullopt);
        return Outside::is_udp(channel) ? from_udp(packet, path) : from_raw(packet, channel, path);
      },
      [this](const TooBig& error) { path_told(error); });
}

void DataPlane::from_raw(MutableBytes packet, Outside::Channel channel, const Path& path) {
  const std::uint8_t protocol = Outside::protocol_of(channel);
  if (!Outside::is_whole(channel)) {
    write_headers(packet, path, protocol);
  } else if (packet.size() < 20 || packet[9] != protocol) {
    return counters_.drop(Drop::kNotEsp);
  }
  ++counters_.raw_esp_in;
  submit({std::nullopt, packet.size()}, packet);
}

/// An error about one of our packets. That it quotes an SPI which is in use shows that who sent it saw the packet.
void DataPlane::path_told(const TooBig& error) {
  const Sa* sa = sad_.find(SaId{error.protocol, error.spi, error.peer});
  if (sa == nullptr || !sa->outbound) {
    ++counters_.icmp_ignored;
    return;
  }
  if (!path_mtu_.told(error.peer, error.mtu, Clock::now())) return;
  ++counters_.path_mtu_lowered;
  log_info("path MTU towards {} is {} octets", esp::to_string(error.peer), path_mtu_.towards(error.peer, Clock::now()));
}

void DataPlane::from_tun(ByteView packet) {
  const auto flow = outbound_flows_.of(packet, Clock::now());
  if (!flow) return counters_.drop(Drop::kNotIp);
  const auto [policy, unclear] = policies_.match(*flow);
  if (policy == nullptr) return counters_.drop(unclear ? Drop::kFragment : Drop::kNoPolicy);
  if (policy->action == Action::kDiscard) return counters_.drop(Drop::kDiscard);
  if (policy->action == Action::kBypass) return send_clear(packet);
  if (lost_) return counters_.drop(Drop::kCardLost);
  if (policy->mode == esp::Mode::kTransport) return protect_whole(*policy, packet);
  protect(*policy, packet);
}

/// Transport mode takes whole datagrams (RFC 4303 s3.3.4, RFC 4302 s3.3.4), which the kernel cut to the TUN device's size.
void DataPlane::protect_whole(const Policy& policy, ByteView packet) {
  Bytes whole;
  const bool cut = esp::parse_ip(packet)->fragment;
  if (cut) {
    auto datagram = reassembly_.take(packet, Clock::now());
    if (!datagram) return;
    whole = std::move(*datagram);
    packet = whole;
  }
  protect(policy, policy.ipsec == Ipsec::kAh && lacks_number(packet) ? ByteView(numbered(packet)) : packet, cut);
}

std::size_t DataPlane::path_mtu(const Policy& policy, const Sa& sa) {
  return std::min(path_mtu_.towards(sa.outbound ? sa.id.dst : sa.src, Clock::now()), policy.path_mtu);
}

/// The largest packet inside that goes in one outer packet.
std::size_t DataPlane::largest_through(const Policy& policy, const Sa& sa) {
  return largest_inner(sa, path_mtu(policy, sa) - (policy.ipsec == Ipsec::kAhEsp ? kAhLen : 0));
}

/// What is too large for the path is cut before it is protected, so that the peer's host and not its gateway puts it together; in
/// transport mode, which takes whole packets alone (RFC 4303 s3.3.4), after. What may not be cut, its sender is told of. It goes
/// whole, and the outer packet in fragments, where the policy wants that, and where no less may be asked of an IPv6 sender
/// (RFC 8200 s5, RFC 2473 s7.1).
/// `cut`: the sender cut it already, so its size is no news to it.
void DataPlane::protect(const Policy& policy, ByteView packet, bool cut) {
  const Sa* found = sad_.outbound(policy.reqid, policy.inner_protocol(), packet.size());
  if (found == nullptr || (policy.ipsec == Ipsec::kAhEsp && !sad_.ready(policy))) return without_sa(policy, packet);
  const Sa& sa = *found;
  const std::size_t most = largest_through(policy, sa);
  const auto lowered = may_be_syn(packet) ? with_lower_mss(packet, most) : std::nullopt;
  if (lowered) packet = *lowered;
  if (packet.size() <= most || cut) return hand_over(policy, sa, packet);
  if (may_fragment(packet) && esp::parse_ip(packet)) {
    if (policy.mode == esp::Mode::kTransport) return hand_over(policy, sa, packet);
    ++counters_.fragmented;
    fragment_ipv4(packet, most, [&](ByteView fragment) {
      // The SA of the one before may be used up.
      const Sa* next = sad_.outbound(policy.reqid, policy.inner_protocol(), fragment.size());
      next == nullptr ? wait_for_sa(policy, fragment) : hand_over(policy, *next, fragment);
    });
    return;
  }
  const std::size_t least = packet[0] >> 4 == 6 ? least_mtu(6) : 0;
  if (policy.df == esp::DfPolicy::kClear || packet.size() <= least) return hand_over(policy, sa, packet);
  too_big(packet, std::max(most, least));
}

void DataPlane::too_big(ByteView packet, std::size_t mtu) {
  counters_.drop(Drop::kTooBig);
  if (may_tell_ == 0) return;
  const auto message = icmp_too_big(packet, mtu);
  if (!message || !outside_.send_icmp(esp::source_of(packet), *message)) return;
  --may_tell_;
  ++counters_.too_big_told;
}

/// A packet that its SA may no longer carry waits for the next one.
void DataPlane::hand_over(const Policy& policy, const Sa& sa, ByteView packet) {
  if (!sad_.reserve(sa.handle, packet.size())) return wait_for_sa(policy, packet);
  submit({sa.handle, packet.size(), policy.ipsec == Ipsec::kAhEsp ? policy.reqid : 0}, packet);
}

void DataPlane::from_udp(MutableBytes packet, const Path& path) {
  const ByteView payload = packet.subspan(headers_len(path.src.version));
  switch (classify(payload)) {
    case Natt::kKeepalive:
      ++counters_.keepalives_in;
      return;
    case Natt::kShort:
      return counters_.drop(Drop::kUdpShort);
    case Natt::kIke: {
      if (payload.size() < kIkeLeast) return counters_.drop(Drop::kUdpShort);
      ++counters_.ike_in;
      const pfkey::NattFrame frame{false,         path.src,      path.dst,
                                   path.src_port, path.dst_port, payload.subspan(4)};
      if (!hooks_.ike(frame)) counters_.drop(Drop::kIkeNoDaemon);
      return;
    }
    case Natt::kEsp:
      break;
  }
  ++counters_.udp_esp_in;
  write_headers(packet, path, esp::kProtoEsp);
  submit({std::nullopt, packet.size()}, packet);
}

void DataPlane::without_sa(const Policy& policy, ByteView packet) {
  const Fallback::Verdict verdict = fallback_.packet(policy.reqid, Clock::now());
  if (verdict == Fallback::Verdict::kHold) return wait_for_sa(policy, packet);
  send_clear(packet);
  if (verdict == Fallback::Verdict::kClearAndAsk) (void)hooks_.acquire(policy);
}

void DataPlane::send_clear(ByteView packet) {
  if (!outside_.send_clear(packet)) return counters_.drop(Drop::kOutsideSend);
  ++counters_.clear_out;
}

void DataPlane::wait_for_sa(const Policy& policy, ByteView packet) {
  Waiting& waiting = waiting_[policy.reqid];
  const auto now = Clock::now();
  if (waiting.packets.size() >= kMaxWaiting) {
    counters_.drop(Drop::kQueueFull);
  } else {
    waiting.packets.emplace_back(now, Bytes(packet.begin(), packet.end()));
  }
  ask(policy, waiting, now);
}

void DataPlane::ask(const Policy& policy, Waiting& waiting, Clock::time_point now) {
  if (now >= waiting.next_acquire && hooks_.acquire(policy)) waiting.next_acquire = now + kAcquireInterval;
}

void DataPlane::outbound_ready(std::uint32_t reqid) {
  const Policy* policy = policies_.by_reqid(reqid);
  if (policy == nullptr || !sad_.ready(*policy)) return;
  fallback_.protect(reqid);
  const auto found = waiting_.find(reqid);
  if (found == waiting_.end()) return;
  const auto packets = std::move(found->second.packets);
  waiting_.erase(found);
  for (const auto& [since, packet] : packets) {
    arrived_ = since;
    protect(*policy, packet, policy->mode == esp::Mode::kTransport);  // the first ones rather in fragments than not at all
  }
}

void DataPlane::acquire_failed(std::uint32_t reqid, bool silent) {
  const Policy* policy = policies_.by_reqid(reqid);
  const bool clear = policy != nullptr && fallback_.failed(*policy, silent, Clock::now());
  const auto found = waiting_.find(reqid);
  if (found == waiting_.end()) return;
  if (clear) {
    for (const auto& [since, packet] : found->second.packets) send_clear(packet);
    found->second.packets.clear();
    return;
  }
  // A silent peer may still answer: what waits goes on waiting, until its time is over.
  if (silent) return;
  counters_.drop(Drop::kNegotiationFailed, found->second.packets.size());
  found->second.packets.clear();  // next_acquire stays: no storm of requests
}

void DataPlane::policy_changed(std::uint32_t reqid) {
  const auto found = waiting_.find(reqid);
  if (found == waiting_.end()) return;
  counters_.drop(Drop::kNoPolicy, found->second.packets.size());
  waiting_.erase(found);
}

void DataPlane::tick(Clock::time_point now) {
  may_tell_ = kTellsATick;
  reassembly_.tick(now);
  for (auto& [reqid, waiting] : waiting_) {
    while (!waiting.packets.empty() && now - waiting.packets.front().first > kWaitingLife) {
      counters_.drop(Drop::kQueueExpired);
      waiting.packets.pop_front();
    }
    if (!waiting.packets.empty()) ask(*policies_.by_reqid(reqid), waiting, now);
  }
}

std::size_t DataPlane::num_waiting() const {
  std::size_t sum = 0;
  for (const auto& [reqid, waiting] : waiting_) sum += waiting.packets.size();
  return sum;
}

Status DataPlane::try_submit(const Job& job, ByteView packet) {
  if (backend_.recording()) backend_.note_arrival(job.arrived);
  return job.encap ? backend_.submit_encap(*job.encap, packet, cookie_of(job)) : backend_.submit_decap(packet, cookie_of(job));
}

void DataPlane::submit(Job job, ByteView packet) {
  job.arrived = arrived_;
  if (lost_) return counters_.drop(Drop::kCardLost);
  if (drained_) return counters_.drop(Drop::kDrained);
  if (backlog_.empty()) {
    const Status handed = try_submit(job, packet);
    if (handed) return;
    if (handed.error().code == Errc::kDeviceLost) {
      set_lost(handed.error().detail);
      return counters_.drop(Drop::kCardLost);
    }
    if (handed.error().code != Errc::kRingFull) {
      log_debug("packet refused: {}", handed.error().detail);
      return counters_.drop(Drop::kCard);
    }
  }
  // Bounded: nothing is read while there is a backlog, so it holds what waited for one SA, one batch of packets, or what was
  // inside at most.
  backlog_.emplace_back(job, Bytes(packet.begin(), packet.end()));
}

void DataPlane::drain_backlog() {
  while (!backlog_.empty() && !lost_) {
    const auto& [job, packet] = backlog_.front();
    const Status handed = try_submit(job, packet);
    if (!handed && handed.error().code == Errc::kRingFull) return;
    if (!handed && handed.error().code == Errc::kDeviceLost) return set_lost(handed.error().detail);
    if (!handed) counters_.drop(Drop::kCard);
    backlog_.pop_front();
  }
}

void DataPlane::reap(std::chrono::milliseconds wait) {
  if (!busy()) return;
  if (backend_.in_flight() != 0) {
    outcomes_.clear();
    arrived_ = {};
    const Status polled = backend_.poll(outcomes_, wait);
    for (host::Outcome& outcome : outcomes_) finish(outcome);
    pass_on();
    if (!polled) return set_lost(polled.error().detail);
  }
  drain_backlog();
}

void DataPlane::finish(host::Outcome& outcome) {
  if (outcome.status == card::Status::kDummy) return;  // RFC 4303 s2.6: discarded, and no error
  if (outcome.status != card::Status::kOk) return counters_.drop(Drop::kCard);
  if (outcome.op == card::Op::kEncap) return finish_encap(outcome);
  if (outcome.op == card::Op::kDecap) return finish_decap(outcome);
}

void DataPlane::finish_encap(host::Outcome& outcome) {
  if (outcome.sa) sad_.count(*outcome.sa, bytes_of(outcome.cookie));
  if (const std::uint32_t reqid = bundle_reqid_of(outcome.cookie); reqid != 0) return add_ah(reqid, outcome.packet);
  const Sa* sa = outcome.sa ? sad_.find(*outcome.sa) : nullptr;
  // The card may use a handle again: what was in flight for its former SA is not the new one's.
  if (sa != nullptr && sa->id.spi != outcome.spi) sa = nullptr;
  const Policy* policy = sa == nullptr ? nullptr : policies_.by_reqid(sa->reqid);
  // The last packets of an SA that is gone still go, where they have all their headers.
  if (policy == nullptr && (outcome.packet.size() < 20 || outcome.packet[0] >> 4 == 6)) return counters_.drop(Drop::kNotOfSa);
  const std::size_t mtu = policy == nullptr ? path_mtu_.towards(esp::destination_of(outcome.packet), Clock::now()) : path_mtu(*policy, *sa);
  if (outcome.packet.size() > mtu) ++counters_.outer_fragmented;
  const std::uint16_t udp_port = sa != nullptr && sa->natt ? sa->natt->dst_port : std::uint16_t{0};
  // The packets of an SA keep their order.
  if (!threads_.empty()) return threads_[outcome.spi % threads_.size()]->send(outcome, mtu, udp_port);
  sender_.send(outcome.packet, mtu, udp_port);
  passes(outcome);
}

void DataPlane::add_ah(std::uint32_t reqid, ByteView esp_packet) {
  const Sa* ah = sad_.outbound(reqid, esp::Protocol::kAh, esp_packet.size());
  if (ah == nullptr || !sad_.reserve(ah->handle, esp_packet.size())) return counters_.drop(Drop::kNotOfSa);
  submit({ah->handle, esp_packet.size()}, lacks_number(esp_packet) ? ByteView(numbered(esp_packet)) : esp_packet);
}

void DataPlane::passes(const host::Outcome& outcome) {
  if (backend_.recording()) passed_.push_back(&outcome);
}

void DataPlane::pass_on() {
  if (threads_.empty()) {
    count({tun_.queues().front().flush(), sender_.flush()});
    const auto now = passed_.empty() ? Clock::time_point() : Clock::now();
    for (const host::Outcome* outcome : passed_) backend_.note_sent(*outcome, now);
    passed_.clear();
  }
  for (const auto& thread : threads_) thread->ring();
  collect();
}

void DataPlane::collect() {
  for (const auto& thread : threads_) count(thread->collect());
}

void DataPlane::count(const IoThread::Passed& passed) {
  counters_.tun_out += passed.tun.packets;
  counters_.drop(Drop::kTunWrite, passed.tun.failed);
  counters_.udp_esp_out += passed.outside.udp;
  counters_.raw_esp_out += passed.outside.raw;
  counters_.drop(Drop::kOutsideSend, passed.outside.failed);
}

void DataPlane::finish_decap(host::Outcome& outcome) {
  const Sa* sa = outcome.sa ? sad_.find(*outcome.sa) : nullptr;
  // The card may use a handle again: what was in flight for its former SA is not the new one's.
  if (sa == nullptr || sa->outbound || sa->id.spi != outcome.spi) return counters_.drop(Drop::kNotOfSa);
  sad_.count(*outcome.sa, outcome.packet.size());
  const Policy* policy = policies_.by_reqid(sa->reqid);
  if (policy == nullptr) return counters_.drop(Drop::kSelector);
  if (policy->ipsec == Ipsec::kAhEsp) {
    if (sa->id.protocol == esp::Protocol::kAh) return submit({std::nullopt, outcome.packet.size(), policy->reqid}, outcome.packet);
    if (bundle_reqid_of(outcome.cookie) != policy->reqid) return counters_.drop(Drop::kSelector);
  }
  const auto flow = inbound_flows_.of(outcome.packet, Clock::now());
  if (!flow || !policies_.inbound_allowed(*policy, *flow)) return counters_.drop(flow && flow->unclear ? Drop::kFragment : Drop::kSelector);
  if (sa->natt && sa->mode == esp::Mode::kTransport) renew_checksum(outcome.packet);
  if (may_be_syn(outcome.packet)) {
    if (auto lowered = with_lower_mss(outcome.packet, largest_through(*policy, *sa))) outcome.packet = std::move(*lowered);
  }
  if (!threads_.empty()) return threads_[thread_of(*flow, threads_.size())]->write(outcome);
  tun_.queues().front().write(outcome.packet);
  passes(outcome);
}

void DataPlane::set_lost(const std::string& why) {
  if (lost_) return;
  lost_ = true;
  log_error(
      "the card is lost: {}. Traffic of all policies is dropped, none goes in clear; restart espd when the "
      "card is back",
      why);
  counters_.drop(Drop::kCardLost, backend_.in_flight() + backlog_.size() + num_waiting());
  backlog_.clear();
  waiting_.clear();
}

}  // namespace esplanade::espd
