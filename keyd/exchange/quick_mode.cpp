#include "keyd/exchange/quick_mode.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/log.h"
#include "keyd/exchange/informational.h"
#include "keyd/keymat/quick_mode_keys.h"

namespace esplanade::ike {
namespace {

constexpr std::size_t kNonceLen = 20;       // octets of our nonces
constexpr Time kInstallWait{30000};         // for espd to answer

using Phase = QmExchange::Phase;

Header qm_header(const MmSa& mm, const QmExchange& qm) {
  Header h;
  h.cky_i = mm.cookies.first;
  h.cky_r = mm.cookies.second;
  h.exchange = Exchange::kQuickMode;
  h.message_id = qm.message_id;
  return h;
}

// The row of the step table that this phase waits for, or none.
const Step* awaited(const QmExchange& qm) {
  switch (qm.phase) {
    case Phase::kWaitMessage2:
      return &kQuickMode[1];
    case Phase::kWaitMessage3:
      return &kQuickMode[2];
    case Phase::kWaitConnected:
      return &kQuickMode[3];
    default:
      return nullptr;
  }
}

Status check_nonce(ByteView nonce) {
  if (nonce.size() < kNonceLenMin || nonce.size() > kNonceLenMax)
    return Error{Errc::kBadLength, "nonce is not of 8 to 256 octets"};
  return ok();
}

// RFC 2409 s5.5: the group is named in the SA payload exactly when key exchange values are there.
Status check_ke(const Payloads& payloads, std::uint16_t group) {
  const RawPayload* ke = find(payloads, PayloadType::kKe);
  if ((ke != nullptr) != (group != 0))
    return Error{Errc::kMalformed, "group description and key exchange disagree"};
  if (ke != nullptr && ke->body.size() != crypto::prime_len(static_cast<crypto::DhGroup>(group)))
    return Error{Errc::kBadLength, "key exchange value does not have the length of its group"};
  return ok();
}

std::vector<ByteView> ids_of(const Payloads& payloads) {
  std::vector<ByteView> out;
  for (const RawPayload& p : payloads)
    if (p.type == PayloadType::kId) out.push_back(p.body);
  return out;
}

Result<Selector> selector_of(ByteView id_b) {
  ESPLANADE_TRY(id, parse_id(id_b));
  return selector_from_id(id);
}

Selector host(const esp::IpAddress& a) { return Selector{a, a, 0, 0}; }

// What the child stands for under this main mode SA: "dynamic" is the address of that end.
Selector local_ts_of(const ChildConfig& child, const MmSa& mm) {
  return child.local_ts.value_or(host(mm.path.local.address));
}
Selector remote_ts_of(const ChildConfig& child, const MmSa& mm) {
  return child.remote_ts.value_or(host(mm.path.remote.address));
}

// Behind NAT an end of transport mode names the address that it knows, not the one that the other sees (RFC
// 3947 s5.1): then any one address stands for it, and its path says where it is.
bool same_traffic(const Selector& wanted, const Selector& named, bool translated) {
  return wanted == named || (translated && named.first == named.last && wanted.first == wanted.last &&
                             wanted.protocol == named.protocol && wanted.port == named.port);
}

// In transport mode the hosts behind one NAT look alike from here, and the pair made last would take the traffic of the others (RFC
// 3948 s5.2). So who has it keeps it: the identity of another peer at the address of `mm` that has a pair for this child or
// negotiates one.
const Id* neighbour_behind_nat(const Core& core, const MmSa& mm, const ChildConfig& child) {
  if (!child.transport || !mm.remote_behind_nat) return nullptr;
  for (const std::uint32_t spi_in : core.children_at(*mm.connection, mm.path.remote.address)) {
    const ChildSa& pair = core.children.at(spi_in);
    if (pair.child == &child && pair.peer_id != *mm.peer_id) return &pair.peer_id;
  }
  for (const MmSa* other : core.mms_of(*mm.connection, mm.path.remote.address)) {
    const bool negotiates = std::ranges::any_of(other->exchanges, [&](const auto& e) { return e.second.child == &child && e.second.phase != Phase::kDone; });
    if (negotiates && *other->peer_id != *mm.peer_id) return &*other->peer_id;
  }
  return nullptr;
}

std::string taken_by(const Id& neighbour) {
  return fmt::format("{}, behind the same NAT, has this traffic in transport mode (RFC 3948 s5.2)", to_string(neighbour));
}

// Protocols that an initiator offers, with an SPI each. AH cannot pass NAT.
std::vector<QmSa> offered_sas(const ChildConfig& child, Encap encap) {
  std::vector<QmSa> sas;
  auto add = [&](esp::Protocol protocol) {
    sas.emplace_back();
    sas.back().protocol = protocol;
  };
  if (!child.suites.empty()) add(esp::Protocol::kEsp);
  if (!child.ah_suites.empty() && encap == Encap::kPlain) add(esp::Protocol::kAh);
  return sas;
}

ProtocolId protocol_id(esp::Protocol p) {
  return p == esp::Protocol::kAh ? ProtocolId::kAh : ProtocolId::kEsp;
}

// Without the keys: what is needed to name them to the peer.
std::vector<QmSa> copy_spis(const std::vector<QmSa>& in) {
  std::vector<QmSa> out;
  for (const QmSa& sa : in) out.push_back({sa.protocol, sa.suite, sa.spi_in, sa.spi_out, {}, {}});
  return out;
}

// RFC 3947 s5.2: in transport mode across NAT each end tells the addresses that it knows, the initiator's
// first: with them the other can put transport checksums right. A peer's are passed over: espd makes those anew.
void add_natoa(const MmSa& mm, const QmExchange& qm, ChainBuilder& chain) {
  if (!qm.choice.transport || mm.encap() == Encap::kPlain) return;
  const esp::IpAddress& mine = mm.path.local.address;
  const esp::IpAddress& theirs = mm.path.remote.address;
  for (const esp::IpAddress* a : {qm.initiator ? &mine : &theirs, qm.initiator ? &theirs : &mine}) {
    Bytes body{static_cast<Byte>(a->version == 4 ? IdType::kIpv4Addr : IdType::kIpv6Addr), 0, 0, 0};
    put(body, a->bytes());
    chain.add(mm.natt_draft ? PayloadType::kNatOaDraft : PayloadType::kNatOa, body);
  }
}

// RFC 2407 s4.5.4: a life that is shorter than the offered one is told to the initiator.
void add_responder_lifetime(const QmExchange& qm, ChainBuilder& chain) {
  const bool shorter = qm.life < qm.choice.life ||
                       (qm.kilobytes != 0 && (qm.choice.kilobytes == 0 || qm.kilobytes < qm.choice.kilobytes));
  if (!shorter) return;
  for (const QmSa& sa : qm.sas) {
    Notify n;
    n.protocol = static_cast<std::uint8_t>(protocol_id(sa.protocol));
    n.type = static_cast<std::uint16_t>(NotifyType::kResponderLifetime);
    put_be32(n.spi, sa.spi_in);
    n.data = build_notified_life(qm.life, qm.kilobytes, false);
    chain.add(PayloadType::kNotify, build_notify(n));
  }
}

// The other side of it: only ever shortens. What does not parse is ignored, as an unknown notify would be.
void take_responder_lifetime(QmExchange& qm, const Payloads& payloads) {
  for (const RawPayload& p : payloads) {
    if (p.type != PayloadType::kNotify) continue;
    auto notify = parse_notify(p.body);
    if (!notify || notify->type != static_cast<std::uint16_t>(NotifyType::kResponderLifetime)) continue;
    auto life = parse_notified_life(notify->data, false);
    if (!life) continue;
    if (life->seconds) qm.life = std::min(qm.life, *life->seconds);
    if (life->kilobytes && (qm.kilobytes == 0 || *life->kilobytes < qm.kilobytes))
      qm.kilobytes = *life->kilobytes;
  }
}

// The limits of an SA. A peer that may drop the pair the moment its life is over needs the new one before;
// another keyd keeps it a little longer, as we do, so that a key serves its life to the end (R18).
void set_limits(const MmSa& mm, const QmExchange& qm, std::uint32_t jitter, esp::SaParams& sa) {
  const Time margin = life_margin(qm.life);
  auto seconds = [](Time t) { return static_cast<std::uint32_t>(t.count() / 1000); };
  const Time hard = Time(qm.life) + (mm.peer_keyd ? std::max<Time>(margin, std::chrono::seconds(2)) : Time(0));
  const Time early = mm.peer_keyd ? hard - Time(qm.life) : margin + margin * (jitter % 16) / 64;
  sa.hard.seconds = seconds(hard);
  // The initiator of the pair renews it first, so that the two ends seldom do it at once.
  sa.soft.seconds = seconds(hard - (qm.initiator ? early : early / 2));
  // Octets have no such slack: no key may ever see more of them (R23).
  sa.hard.bytes = qm.kilobytes * 1024;
  sa.soft.bytes = sa.hard.bytes / 100 * (qm.initiator ? 95 : 97);
}

}  // namespace

bool QuickMode::nat_forbids(const MmSa& mm, const ChildConfig& child) {
  return mm.nat() && (child.bundle || child.suites.empty());
}

void QuickMode::start(MmSa& mm, const MmSa::Pending& pending) {
  if (nat_forbids(mm, *pending.child)) {
    core_.event(Event::Kind::kFailed, *mm.connection, pending.child, "AH cannot pass the NAT on the path");
    return core_.negotiation_failed(pending, true);
  }
  if (const Id* neighbour = neighbour_behind_nat(core_, mm, *pending.child)) {
    core_.event(Event::Kind::kFailed, *mm.connection, pending.child, taken_by(*neighbour));
    return core_.negotiation_failed(pending, true);
  }
  ++mm.quick_modes;
  const std::uint32_t id = core_.new_message_id(mm);
  QmExchange& qm = mm.exchanges[id];
  qm.message_id = id;
  qm.initiator = true;
  qm.child = pending.child;
  qm.replaces = pending.replaces;
  qm.pfs = pending.child->pfs || pending.with_pfs;
  qm.retried = pending.retried;
  qm.sas = offered_sas(*pending.child, mm.encap());
  qm.local_ts = local_ts_of(*pending.child, mm);
  qm.remote_ts = remote_ts_of(*pending.child, mm);
  qm.choice.transport = pending.child->transport;
  qm.iv = phase2_iv(mm.suite.hash, mm.iv, id);
  want_spi(mm, qm);
}

void QuickMode::want_spi(MmSa& mm, QmExchange& qm) {
  GetSpi g;
  g.ticket = core_.new_ticket(mm, qm);
  g.protocol = qm.sas[qm.step].protocol;
  g.mode = qm.choice.transport ? esp::Mode::kTransport : esp::Mode::kTunnel;
  g.src = mm.path.remote.address;
  g.dst = mm.path.local.address;
  g.reqid = qm.child->reqid;
  core_.tickets[g.ticket].larval = RemoveSa{g.protocol, 0, g.src, g.dst};
  qm.phase = Phase::kWantSpi;
  core_.timers.arm({TimerKey::Kind::kQmExpire, mm.number, qm.message_id}, core_.now + kInstallWait);
  core_.out.push_back(std::move(g));
}

void QuickMode::on_spi(MmSa& mm, QmExchange& qm, const Result<std::uint32_t>& spi) {
  if (qm.phase != Phase::kWantSpi) return;
  Status status = ok();
  if (!spi) {
    status = spi.error();
  } else {
    qm.sas[qm.step].spi_in = *spi;
    if (++qm.step < qm.sas.size()) return want_spi(mm, qm);
    qm.step = 0;
    if (qm.initiator) {
      core_.timers.cancel({TimerKey::Kind::kQmExpire, mm.number, qm.message_id});
      status = send_message1(mm, qm);
    } else {
      status = derive(mm, qm);
      if (status) install(mm, qm, false);
    }
  }
  if (!status) core_.drop_qm(mm, qm, fmt::format("quick mode failed: {}", status.error().detail));
}

void QuickMode::on_message(MmSa& mm, const Header& header, const Path& path, ByteView datagram) {
  if (!header.encrypted() || header.message_id == 0) {
    ++core_.counters.unexpected;
    return;
  }
  auto it = mm.exchanges.find(header.message_id);
  if (it == mm.exchanges.end()) return on_message1(mm, header, path, datagram);
  QmExchange& qm = it->second;
  if (digest_of(datagram) == qm.reliability.last_received) {
    core_.answer_duplicate(qm.reliability, mm.path);
    return;
  }
  const Step* step = awaited(qm);
  if (step == nullptr) {
    ++core_.counters.unexpected;
    return;
  }
  auto opened = open(mm.keys, mm.suite.encryption, qm.iv, header, datagram);
  Status status = opened ? check_step(*step, opened->payloads) : Status(opened.error());
  const Iv before = qm.iv;
  if (status) {
    qm.iv = opened->next_iv;
    status = qm.phase == Phase::kWaitMessage2   ? got2(mm, qm, header, opened->payloads)
             : qm.phase == Phase::kWaitMessage3 ? got3(mm, qm, opened->payloads)
                                                : got4(mm, qm, opened->payloads);
  }
  if (!status) {
    qm.iv = before;
    ++core_.counters.bad_crypto;
    log_info("{}: quick mode message from {} dropped: {}", mm.connection->name, to_string(path.remote),
             status.error().detail);
    return;
  }
  qm.reliability.last_received = digest_of(datagram);
  core_.count_octets(mm, datagram.size());
  core_.follow(mm, path);
}

void QuickMode::on_message1(MmSa& mm, const Header& header, const Path& path, ByteView datagram) {
  auto opened = open(mm.keys, mm.suite.encryption, phase2_iv(mm.suite.hash, mm.iv, header.message_id), header,
                     datagram);
  Status status = opened ? check_step(kQuickMode[0], opened->payloads) : Status(opened.error());
  if (status && !constant_time_equal(qm_hash1(mm.suite.hash, mm.keys.skeyid_a.reveal(), header.message_id,
                                              after_hash(opened->payloads)),
                                     opened->payloads.front().body))
    status = Error{Errc::kMalformed, "wrong hash"};
  if (!status) {
    ++core_.counters.bad_crypto;
    log_debug("{}: quick mode message from {} dropped: {}", mm.connection->name, to_string(path.remote),
              status.error().detail);
    return;
  }
  if (!core_.remember_message_id(mm, header.message_id)) {  // a replay of a finished or refused quick mode
    ++core_.counters.duplicates;
    return;
  }
  core_.count_octets(mm, datagram.size());
  core_.follow(mm, path);
  if (core_.used_up(mm)) {
    // R111, R118. INVALID-COOKIE tells the peer that this main mode SA serves no more quick modes.
    log_info("{}: quick mode of {} refused: its main mode SA is used up", mm.connection->name,
             to_string(path.remote));
    Informational(core_).send_notify(mm, NotifyType::kInvalidCookie, 0, ProtocolId::kIsakmp);
    return;
  }
  const auto unfinished = std::ranges::count_if(
      mm.exchanges, [](const auto& e) { return !e.second.initiator && e.second.phase != Phase::kDone; });
  if (core_.stopping || unfinished >= static_cast<std::ptrdiff_t>(core_.config->limits.quick_modes_per_peer_max)) {
    ++core_.counters.peer_limit;
    return;
  }
  QmExchange qm;
  qm.message_id = header.message_id;
  qm.initiator = false;
  qm.iv = opened->next_iv;
  if (auto refusal = read_message1(mm, qm, opened->payloads)) {
    log_warn("{}: quick mode of {} refused: {}", mm.connection->name, to_string(path.remote), refusal->why);
    // An SPI of the offer names this quick mode: the peer may have others under way, which it would end with an unnamed one.
    const auto offer = parse_sa(find(opened->payloads, PayloadType::kSa)->body);
    const bool named = offer && !offer->empty() && offer->front().spi.size() == 4;
    Informational(core_).send_notify(mm, refusal->notify, named ? load_be32(offer->front().spi.data()) : 0,
                                     named ? offer->front().protocol : ProtocolId::kEsp);
    return;
  }
  ++mm.quick_modes;
  qm.reliability.last_received = digest_of(datagram);
  want_spi(mm, mm.exchanges.emplace(qm.message_id, std::move(qm)).first->second);
}

std::optional<QuickMode::Refusal> QuickMode::read_message1(MmSa& mm, QmExchange& qm,
                                                           const Payloads& payloads) {
  auto malformed = [](const Error& e) { return Refusal{NotifyType::kPayloadMalformed, e.detail}; };
  // IDci names the initiator's side, IDcr ours; without them the addresses of the two ends are meant.
  const auto ids = ids_of(payloads);
  if (ids.size() != 0 && ids.size() != 2)
    return Refusal{NotifyType::kInvalidIdInformation, "one identity, or more than two"};
  qm.remote_ts = host(mm.path.remote.address);
  qm.local_ts = host(mm.path.local.address);
  if (ids.size() == 2) {
    auto remote_ts = selector_of(ids[0]);
    auto local_ts = selector_of(ids[1]);
    if (!remote_ts || !local_ts)
      return Refusal{NotifyType::kInvalidIdInformation, (remote_ts ? local_ts : remote_ts).error().detail};
    qm.remote_ts = *remote_ts;
    qm.local_ts = *local_ts;
    qm.idci_b.assign(ids[0].begin(), ids[0].end());
    qm.idcr_b.assign(ids[1].begin(), ids[1].end());
  }
  auto offer = parse_sa(find(payloads, PayloadType::kSa)->body);
  if (!offer) return malformed(offer.error());
  std::optional<Error> why;
  for (const ChildConfig& child : mm.connection->children) {
    if (!same_traffic(local_ts_of(child, mm), qm.local_ts, child.transport && mm.local_behind_nat) ||
        !same_traffic(remote_ts_of(child, mm), qm.remote_ts, child.transport && mm.remote_behind_nat))
      continue;
    auto choice = choose_qm(*offer, child, mm.suite.group, mm.encap());
    if (!choice) {
      why = choice.error();
      continue;
    }
    qm.child = &child;
    adopt_choice(mm, qm, std::move(*choice));
    break;
  }
  if (qm.child == nullptr) {
    if (why) return Refusal{NotifyType::kNoProposalChosen, why->detail};
    return Refusal{NotifyType::kInvalidIdInformation,
                   fmt::format("no child for {} <-> {}", to_string(qm.local_ts), to_string(qm.remote_ts))};
  }
  if (const Id* neighbour = neighbour_behind_nat(core_, mm, *qm.child)) return Refusal{NotifyType::kInvalidIdInformation, taken_by(*neighbour)};
  const ByteView nonce = find(payloads, PayloadType::kNonce)->body;
  if (auto s = check_nonce(nonce); !s) return malformed(s.error());
  if (auto s = check_ke(payloads, qm.choice.group); !s)
    return Refusal{NotifyType::kInvalidKeyInformation, s.error().detail};
  qm.ni_b.assign(nonce.begin(), nonce.end());
  qm.nr_b = core_.random(kNonceLen);
  if (qm.choice.group != 0) {
    const ByteView ke = find(payloads, PayloadType::kKe)->body;
    qm.peer_ke.assign(ke.begin(), ke.end());
    auto dh = core_.new_dh(qm.choice.group);
    if (!dh) return malformed(dh.error());
    qm.own_ke = dh->public_value();
    qm.dh = std::move(*dh);
  }
  return std::nullopt;
}

Status QuickMode::got2(MmSa& mm, QmExchange& qm, const Header& header, const Payloads& payloads) {
  const Bytes want =
      qm_hash2(mm.suite.hash, mm.keys.skeyid_a.reveal(), qm.message_id, qm.ni_b, after_hash(payloads));
  if (!constant_time_equal(want, payloads.front().body))
    return Error{Errc::kMalformed, "wrong hash in message 2"};
  // Authentic from here on: what does not fit now never will, but the peer's error ends in our time-out.
  ESPLANADE_TRY(reply, parse_sa(find(payloads, PayloadType::kSa)->body));
  ESPLANADE_TRY(choice, accept_qm(reply, qm.offer, mm.encap()));
  const auto ids = ids_of(payloads);
  const bool echoed =
      ids.size() == 2 && std::ranges::equal(ids[0], qm.idci_b) && std::ranges::equal(ids[1], qm.idcr_b);
  // RFC 2409 s5.5: without identities the addresses of the two ends are meant.
  const bool implied = ids.empty() && qm.local_ts == host(mm.path.local.address) &&
                       qm.remote_ts == host(mm.path.remote.address);
  // strongSwan answers with the addresses that it sees.
  const auto seen = [&](ByteView id_b, const Selector& named, bool translated) {
    const auto answered = selector_of(id_b);
    return answered && same_traffic(named, *answered, translated);
  };
  const bool translated = qm.child->transport && mm.nat() && ids.size() == 2 && seen(ids[0], qm.local_ts, mm.local_behind_nat) &&
                          seen(ids[1], qm.remote_ts, mm.remote_behind_nat);
  if (!echoed && !implied && !translated)
    return Error{Errc::kMalformed, "the identities in message 2 are not those of message 1"};
  const ByteView nonce = find(payloads, PayloadType::kNonce)->body;
  ESPLANADE_CHECK(check_nonce(nonce));
  ESPLANADE_CHECK(check_ke(payloads, choice.group));
  qm.nr_b.assign(nonce.begin(), nonce.end());
  if (const RawPayload* ke = find(payloads, PayloadType::kKe))
    qm.peer_ke.assign(ke->body.begin(), ke->body.end());
  adopt_choice(mm, qm, std::move(choice));
  take_responder_lifetime(qm, payloads);
  ESPLANADE_CHECK(derive(mm, qm));
  qm.commit = (header.flags & kFlagCommit) != 0;
  core_.timers.cancel({TimerKey::Kind::kQmRetransmit, mm.number, qm.message_id});
  qm.reliability.last_sent.clear();
  install(mm, qm, false);
  return ok();
}

Status QuickMode::got3(MmSa& mm, QmExchange& qm, const Payloads& payloads) {
  const Bytes want = qm_hash3(mm.suite.hash, mm.keys.skeyid_a.reveal(), qm.message_id, qm.ni_b, qm.nr_b);
  if (!constant_time_equal(want, payloads.front().body))
    return Error{Errc::kMalformed, "wrong hash in message 3"};
  qm.reliability.last_sent.clear();
  install(mm, qm, true);
  return ok();
}

// The responder's CONNECTED, RFC 2408 s3.1. Its SPI field is not looked at: some write the size wrong.
Status QuickMode::got4(MmSa& mm, QmExchange& qm, const Payloads& payloads) {
  const Bytes want = qm_hash1(mm.suite.hash, mm.keys.skeyid_a.reveal(), qm.message_id, after_hash(payloads));
  if (!constant_time_equal(want, payloads.front().body))
    return Error{Errc::kMalformed, "wrong hash in message 4"};
  ESPLANADE_TRY(notify, parse_notify(find(payloads, PayloadType::kNotify)->body));
  if (notify.type != static_cast<std::uint16_t>(NotifyType::kConnected))
    return Error{Errc::kMalformed, "message 4 is not CONNECTED"};
  core_.timers.cancel({TimerKey::Kind::kQmRetransmit, mm.number, qm.message_id});
  qm.reliability.last_sent.clear();
  install(mm, qm, true);
  return ok();
}

Status QuickMode::derive(MmSa& mm, QmExchange& qm) {
  Secret g_xy;
  if (qm.choice.group != 0) {
    ESPLANADE_TRY(shared, qm.dh->shared(qm.peer_ke));
    g_xy = std::move(shared);
  }
  for (QmSa& sa : qm.sas) {
    auto keymat = [&](std::uint32_t spi) {
      return derive_keymat(mm.suite.hash, mm.keys.skeyid_d.reveal(), g_xy.reveal(), sa.suite.protocol, spi,
                           qm.ni_b, qm.nr_b, keymat_len(sa.suite));
    };
    sa.keymat_in = keymat(sa.spi_in);
    sa.keymat_out = keymat(sa.spi_out);
  }
  qm.dh.reset();  // its exponent makes this one key (R43)
  return ok();
}

void QuickMode::adopt_choice(MmSa& mm, QmExchange& qm, QmChoice choice) {
  std::vector<QmSa> sas;
  for (const QmPart& part : choice.parts) {
    QmSa sa;
    sa.protocol = esp_protocol(part.suite);
    sa.suite = part.suite;
    sa.spi_out = part.spi;
    for (QmSa& offered : qm.sas)
      if (offered.protocol == sa.protocol) sa.spi_in = std::exchange(offered.spi_in, 0);
    sas.push_back(std::move(sa));
  }
  for (const QmSa& unused : qm.sas)
    if (unused.spi_in != 0)
      core_.out.push_back(RemoveSa{unused.protocol, unused.spi_in, mm.path.remote.address,
                                   mm.path.local.address});
  qm.sas = std::move(sas);
  qm.choice = std::move(choice);
  qm.life = std::min(qm.choice.life, qm.child->life);
  qm.kilobytes = qm.child->life_kilobytes;
  if (qm.choice.kilobytes != 0 && (qm.kilobytes == 0 || qm.choice.kilobytes < qm.kilobytes))
    qm.kilobytes = qm.choice.kilobytes;
}

void QuickMode::install(MmSa& mm, QmExchange& qm, bool outbound) {
  const esp::IpAddress& local = mm.path.local.address;
  const esp::IpAddress& remote = mm.path.remote.address;
  InstallSa i;
  i.ticket = core_.new_ticket(mm, qm);
  i.reqid = qm.child->reqid;
  esp::SaParams& sa = i.sa;
  const QmSa& part = qm.sas[qm.step];
  sa.protocol = part.protocol;
  // AH of a bundle goes around the packet that ESP has made (RFC 2401 s4.3, transport adjacency).
  const bool around = qm.sas.size() > 1 && part.protocol == esp::Protocol::kAh;
  sa.mode = qm.choice.transport || around ? esp::Mode::kTransport : esp::Mode::kTunnel;
  sa.outbound = outbound;
  sa.spi = outbound ? part.spi_out : part.spi_in;
  sa.cipher = esp_cipher(part.suite);
  sa.auth = esp_auth(part.suite);
  if (sa.auth == esp::Auth::kNone) sa.replay_window = 0;  // RFC 4303 s3.4.3
  const ByteView keymat = (outbound ? part.keymat_out : part.keymat_in).reveal();
  sa.enc_key = Secret(keymat.first(esp::key_len(sa.cipher)));
  sa.auth_key = Secret(keymat.subspan(esp::key_len(sa.cipher)));
  sa.src = outbound ? local : remote;
  sa.dst = outbound ? remote : local;
  if (mm.encap() != Encap::kPlain)
    sa.natt =
        outbound ? esp::Natt{kNattPort, mm.path.remote.port} : esp::Natt{mm.path.remote.port, kNattPort};
  set_limits(mm, qm, core_.random(1)[0], sa);
  qm.phase = outbound ? Phase::kInstallOutbound : Phase::kInstallInbound;
  core_.timers.arm({TimerKey::Kind::kQmExpire, mm.number, qm.message_id}, core_.now + kInstallWait);
  core_.out.push_back(std::move(i));
}

void QuickMode::on_installed(MmSa& mm, QmExchange& qm, const Status& result) {
  Status status = result;
  const bool installing = qm.phase == Phase::kInstallInbound || qm.phase == Phase::kInstallOutbound;
  if (status && installing && ++qm.step < qm.sas.size())
    return install(mm, qm, qm.phase == Phase::kInstallOutbound);
  if (status && installing) qm.step = 0;
  if (status && qm.phase == Phase::kInstallInbound) {
    core_.timers.cancel({TimerKey::Kind::kQmExpire, mm.number, qm.message_id});
    status = qm.initiator ? send_message3(mm, qm) : send_message2(mm, qm);
  } else if (status && qm.phase == Phase::kInstallOutbound) {
    if (!qm.initiator && qm.commit) status = send_message4(mm, qm);
    if (status) return core_.finish_qm(mm, qm);
  }
  if (status) return;
  const auto sas = copy_spis(qm.sas);
  core_.drop_qm(mm, qm, fmt::format("espd cannot install the SA: {}", status.error().detail));
  delete_at_peer(mm, sas);
}

void QuickMode::delete_at_peer(MmSa& mm, const std::vector<QmSa>& sas) {
  for (const QmSa& sa : sas) Informational(core_).send_delete_sas(mm, sa.protocol, {sa.spi_in});
}

Status QuickMode::send_message1(MmSa& mm, QmExchange& qm) {
  OwnSpis spis;
  for (const QmSa& sa : qm.sas) (sa.protocol == esp::Protocol::kAh ? spis.ah : spis.esp) = sa.spi_in;
  const std::uint16_t group = qm.pfs ? mm.suite.group : std::uint16_t{0};  // R38
  qm.offer = qm_offer(*qm.child, spis, mm.encap(), group);
  qm.ni_b = core_.random(kNonceLen);
  qm.idci_b = build_id(id_from_selector(qm.local_ts));
  qm.idcr_b = build_id(id_from_selector(qm.remote_ts));
  ChainBuilder chain;
  chain.add(PayloadType::kSa, build_sa(qm.offer));
  chain.add(PayloadType::kNonce, qm.ni_b);
  if (group != 0) {
    ESPLANADE_TRY(dh, core_.new_dh(group));
    chain.add(PayloadType::kKe, dh.public_value());
    qm.dh = std::move(dh);
  }
  chain.add(PayloadType::kId, qm.idci_b);
  chain.add(PayloadType::kId, qm.idcr_b);
  add_natoa(mm, qm, chain);
  qm.phase = Phase::kWaitMessage2;
  ESPLANADE_CHECK(send(mm, qm, chain, {}, 0));
  arm_retransmit(mm, qm);
  return ok();
}

Status QuickMode::send_message2(MmSa& mm, QmExchange& qm) {
  std::vector<Proposal> reply;
  for (std::size_t i = 0; i < qm.sas.size(); ++i) {
    reply.push_back(qm.choice.parts[i].reply);
    reply.back().spi.clear();
    put_be32(reply.back().spi, qm.sas[i].spi_in);
  }
  ChainBuilder chain;
  chain.add(PayloadType::kSa, build_sa(reply));
  chain.add(PayloadType::kNonce, qm.nr_b);
  if (!qm.own_ke.empty()) chain.add(PayloadType::kKe, qm.own_ke);
  if (!qm.idci_b.empty()) {
    chain.add(PayloadType::kId, qm.idci_b);
    chain.add(PayloadType::kId, qm.idcr_b);
  }
  add_natoa(mm, qm, chain);
  add_responder_lifetime(qm, chain);
  qm.commit = mm.peer_commit;
  qm.phase = Phase::kWaitMessage3;
  core_.timers.arm({TimerKey::Kind::kQmExpire, mm.number, qm.message_id},
                   core_.now + core_.config->limits.half_open_life);
  return send(mm, qm, chain, qm.ni_b, qm.commit ? kFlagCommit : 0);
}

Status QuickMode::send_message3(MmSa& mm, QmExchange& qm) {
  ChainBuilder chain;
  chain.add(PayloadType::kHash,
            qm_hash3(mm.suite.hash, mm.keys.skeyid_a.reveal(), qm.message_id, qm.ni_b, qm.nr_b));
  ESPLANADE_TRY(message, protect(mm.keys, mm.suite.encryption, qm.iv, qm_header(mm, qm), chain));
  core_.count_octets(mm, message.size());
  core_.send(mm.path, message);
  qm.reliability = {std::move(qm.reliability.last_received), std::move(message), 0, 0};
  if (qm.commit) {
    qm.phase = Phase::kWaitConnected;
    arm_retransmit(mm, qm);
  } else {
    install(mm, qm, true);
  }
  return ok();
}

Status QuickMode::send_message4(MmSa& mm, QmExchange& qm) {
  Notify n;
  n.protocol = static_cast<std::uint8_t>(protocol_id(qm.sas.front().protocol));
  n.type = static_cast<std::uint16_t>(NotifyType::kConnected);
  put_be32(n.spi, qm.sas.front().spi_in);
  ChainBuilder chain;
  chain.add(PayloadType::kNotify, build_notify(n));
  return send(mm, qm, chain, {}, 0);
}

Status QuickMode::send(MmSa& mm, QmExchange& qm, const ChainBuilder& content, ByteView ni_b,
                       std::uint8_t flags) {
  const Bytes hash =
      qm_hash2(mm.suite.hash, mm.keys.skeyid_a.reveal(), qm.message_id, ni_b, content.octets());
  ChainBuilder chain;
  chain.add(PayloadType::kHash, hash);
  chain.append(content);
  Header header = qm_header(mm, qm);
  header.flags = flags;
  ESPLANADE_TRY(message, protect(mm.keys, mm.suite.encryption, qm.iv, header, chain));
  core_.count_octets(mm, message.size());
  core_.send(mm.path, message);
  qm.reliability = {std::move(qm.reliability.last_received), std::move(message), 0, 0};
  return ok();
}

void QuickMode::arm_retransmit(MmSa& mm, QmExchange& qm) {
  core_.timers.arm({TimerKey::Kind::kQmRetransmit, mm.number, qm.message_id},
                   core_.now + core_.retransmit_wait(qm.reliability.tries));
}

bool QuickMode::attempts_used_up(const QmExchange& qm) const {
  return qm.reliability.tries >= core_.config->limits.retransmit_tries;
}

void QuickMode::on_retransmit(MmSa& mm, QmExchange& qm, bool goes_on) {
  if (attempts_used_up(qm)) {
    // A responder whose CONNECTED was lost each time holds the pair: tell it.
    const auto sas = qm.phase == Phase::kWaitConnected ? copy_spis(qm.sas) : std::vector<QmSa>();
    core_.drop_qm(mm, qm, fmt::format("no answer from {} in quick mode", to_string(mm.path.remote)),
                  goes_on);
    delete_at_peer(mm, sas);
    return;
  }
  ++qm.reliability.tries;
  ++core_.counters.retransmits;
  core_.send(mm.path, qm.reliability.last_sent);
  arm_retransmit(mm, qm);
  if (qm.initiator && qm.reliability.tries == 1) core_.start_next(mm);
}

void QuickMode::on_expire(MmSa& mm, QmExchange& qm) {
  // The initiator may believe in the pair, for message 3 carries no answer: tell it.
  const bool tell = qm.phase == Phase::kWaitMessage3;
  const auto sas = tell ? copy_spis(qm.sas) : std::vector<QmSa>();
  core_.drop_qm(mm, qm, tell ? "no message 3 from the peer" : "no answer from espd");
  delete_at_peer(mm, sas);
}

}  // namespace esplanade::ike
