#include "host/espd/data_plane.h"

#include "common/base/log.h"
#include "common/esp/ip.h"

namespace esplanade::espd {

namespace {

constexpr int kBatch = 64;                           // packets read from one descriptor a turn
constexpr std::size_t kMaxInFlight = 256;            // inside the card; beyond, packets wait in the sockets
constexpr std::size_t kMaxWaiting = 64;              // a policy, for its first SA
constexpr std::chrono::seconds kWaitingLife{30};     // of such a packet; its sender has given up by then
constexpr std::chrono::seconds kAcquireInterval{2};  // an ACQUIRE a policy at most
constexpr std::size_t kMaxPacket = 65535;
constexpr std::size_t kIkeLeast = 4 + 28;  // non-ESP marker, ISAKMP header

}  // namespace

DataPlane::DataPlane(host::Backend& backend, Sad& sad, const PolicyTable& policies, Tun& tun,
                     Outside& outside, Counters& counters, Hooks hooks)
    : backend_(backend),
      sad_(sad),
      policies_(policies),
      tun_(tun),
      outside_(outside),
      counters_(counters),
      hooks_(std::move(hooks)),
      room_(kMaxPacket) {}

// `receive` takes and handles one packet; false: none is left. While the card is full nothing is read: the
// packets wait, and in the end are dropped, where the kernel bounds and counts them.
template <class Receive>
void DataPlane::read_batch(Receive receive) {
  for (int i = 0; i < kBatch; ++i) {
    if (!lost_ && (!backlog_.empty() || backend_.in_flight() >= kMaxInFlight)) return;
    if (!receive()) return;
  }
}

void DataPlane::arrives() {
  arrived_ = backend_.recording() ? Clock::now() : Clock::time_point();
}

void DataPlane::on_tun() {
  read_batch([this] {
    const auto got = tun_.read(room_);
    if (!got) log_error("{}", got.error().detail);
    if (!got || *got == 0) return false;
    arrives();
    ++counters_.tun_in;
    from_tun(ByteView(room_).first(*got));
    return true;
  });
}

void DataPlane::on_udp() {
  read_batch([this] {
    UdpPath path;
    const auto got = outside_.receive_udp(room_, path);
    if (!got) log_debug("{}", got.error().detail);
    if (!got || *got == 0) return false;
    arrives();
    from_udp(MutableBytes(room_).first(*got), path);
    return true;
  });
}

void DataPlane::on_raw() {
  read_batch([this] {
    const auto got = outside_.receive_raw(room_);
    if (!got) log_debug("{}", got.error().detail);
    if (!got || *got == 0) return false;
    arrives();
    const ByteView packet = ByteView(room_).first(*got);
    if (packet.size() < 20 || packet[9] != esp::kProtoEsp) {
      counters_.drop(Drop::kNotEsp);
      return true;
    }
    ++counters_.raw_esp_in;
    submit(std::nullopt, packet);
    return true;
  });
}

void DataPlane::from_tun(ByteView packet) {
  const auto flow = flow_of(packet);
  if (!flow) return counters_.drop(Drop::kNotIp);
  const Policy* policy = policies_.match_outbound(*flow);
  if (policy == nullptr) return counters_.drop(Drop::kNoPolicy);
  if (lost_) return counters_.drop(Drop::kCardLost);
  const Sa* sa = sad_.outbound(policy->reqid, packet.size());
  if (sa == nullptr) return without_sa(*policy, packet);
  protect(*policy, *sa, packet);
}

/// A packet that its SA may no longer carry waits for the next one.
void DataPlane::protect(const Policy& policy, const Sa& sa, ByteView packet) {
  if (!sad_.reserve(sa.handle, packet.size())) return wait_for_sa(policy, packet);
  submit(sa.handle, packet);
}

void DataPlane::from_udp(MutableBytes packet, const UdpPath& path) {
  const ByteView payload = packet.subspan(kUdpHeaders);
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
  write_udp_headers(packet, path);
  submit(std::nullopt, packet);
}

void DataPlane::without_sa(const Policy& policy, ByteView packet) {
  const Fallback::Verdict verdict = fallback_.packet(policy.reqid, Clock::now());
  if (verdict == Fallback::Verdict::kHold) return wait_for_sa(policy, packet);
  send_clear(policy, packet);
  if (verdict == Fallback::Verdict::kClearAndAsk) (void)hooks_.acquire(policy);
}

void DataPlane::send_clear(const Policy& policy, ByteView packet) {
  if (!outside_.send_clear(packet, policy.peer)) return counters_.drop(Drop::kOutsideSend);
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
  fallback_.protect(reqid);
  const auto found = waiting_.find(reqid);
  if (found == waiting_.end() || sad_.outbound(reqid) == nullptr) return;
  const auto packets = std::move(found->second.packets);
  waiting_.erase(found);
  for (const auto& [since, packet] : packets) {
    arrived_ = since;
    protect(*policies_.by_reqid(reqid), *sad_.outbound(reqid, packet.size()), packet);
  }
}

void DataPlane::acquire_failed(std::uint32_t reqid, bool silent) {
  const Policy* policy = policies_.by_reqid(reqid);
  const bool clear = policy != nullptr && fallback_.failed(*policy, silent, Clock::now());
  const auto found = waiting_.find(reqid);
  if (found == waiting_.end()) return;
  if (clear) {
    for (const auto& [since, packet] : found->second.packets) send_clear(*policy, packet);
    found->second.packets.clear();
    return;
  }
  // A silent peer may still answer: what waits goes on waiting, until its time is over.
  if (silent) return;
  counters_.drop(Drop::kNegotiationFailed, found->second.packets.size());
  found->second.packets.clear();  // next_acquire stays: no storm of requests
}

void DataPlane::tick(Clock::time_point now) {
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

Status DataPlane::try_submit(std::optional<host::SaHandle> encap, ByteView packet, Clock::time_point arrived) {
  if (backend_.recording()) backend_.note_arrival(arrived);
  const std::uint64_t cookie = packet.size();  // comes back with the outcome; lifetimes count these bytes
  return encap ? backend_.submit_encap(*encap, packet, cookie) : backend_.submit_decap(packet, cookie);
}

void DataPlane::submit(std::optional<host::SaHandle> encap, ByteView packet) {
  if (lost_) return counters_.drop(Drop::kCardLost);
  if (drained_) return counters_.drop(Drop::kDrained);
  if (backlog_.empty()) {
    const Status handed = try_submit(encap, packet, arrived_);
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
  // Bounded: nothing is read while there is a backlog, so it holds what waited for one SA at most.
  backlog_.push_back({encap, Bytes(packet.begin(), packet.end()), arrived_});
}

void DataPlane::drain_backlog() {
  while (!backlog_.empty() && !lost_) {
    const Job& job = backlog_.front();
    const Status handed = try_submit(job.encap, job.packet, job.arrived);
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
    const Status polled = backend_.poll(outcomes_, wait);
    for (const host::Outcome& outcome : outcomes_) finish(outcome);
    if (!polled) return set_lost(polled.error().detail);
  }
  drain_backlog();
}

void DataPlane::finish(const host::Outcome& outcome) {
  if (outcome.status == card::Status::kDummy) return;  // RFC 4303 s2.6: discarded, and no error
  if (outcome.status != card::Status::kOk) return counters_.drop(Drop::kCard);
  if (outcome.op == card::Op::kEncap) return finish_encap(outcome);
  if (outcome.op == card::Op::kDecap) return finish_decap(outcome);
}

void DataPlane::finish_encap(const host::Outcome& outcome) {
  if (outcome.sa) sad_.count(*outcome.sa, outcome.cookie);
  switch (outside_.send_esp(outcome.packet)) {
    case Outside::Sent::kUdp:
      ++counters_.udp_esp_out;
      return backend_.note_sent(outcome);
    case Outside::Sent::kRaw:
      ++counters_.raw_esp_out;
      return backend_.note_sent(outcome);
    case Outside::Sent::kNot:
      return counters_.drop(Drop::kOutsideSend);
  }
}

void DataPlane::finish_decap(const host::Outcome& outcome) {
  const Sa* sa = outcome.sa ? sad_.find(*outcome.sa) : nullptr;
  // The card may use a handle again: what was in flight for its former SA is not the new one's.
  if (sa == nullptr || sa->outbound || sa->id.spi != outcome.spi) return counters_.drop(Drop::kNotOfSa);
  sad_.count(*outcome.sa, outcome.packet.size());
  const Policy* policy = policies_.by_reqid(sa->reqid);
  const auto flow = flow_of(outcome.packet);
  if (policy == nullptr || !flow || !PolicyTable::inbound_allowed(*policy, *flow))
    return counters_.drop(Drop::kSelector);
  if (!tun_.write(outcome.packet)) return counters_.drop(Drop::kTunWrite);
  ++counters_.tun_out;
  backend_.note_sent(outcome);
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
