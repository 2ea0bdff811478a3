#include "keyd/exchange/main_mode.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/log.h"
#include "keyd/exchange/informational.h"
#include "keyd/wire/payload_notify.h"
#include "keyd/wire/vendor_id.h"

namespace esplanade::ike {
namespace {

constexpr std::size_t kNonceLen = 20;     // octets of our nonces
constexpr std::uint32_t kBadAuthMax = 3;  // messages 5 that fail before the negotiation is given up

Header mm_header(const CookiePair& cookies) {
  Header h;
  h.cky_i = cookies.first;
  h.cky_r = cookies.second;
  h.exchange = Exchange::kMainMode;
  return h;
}

void add_vendors(ChainBuilder& chain) {
  for (Vendor v : {Vendor::kRfc3947, Vendor::kEsplanade}) chain.add(PayloadType::kVendorId, vendor_id(v));
}

// RFC 2407 s4.6.2: protocol and port of a phase 1 identity.
bool phase1_port_ok(const Id& id) {
  if (id.protocol == 0) return id.port == 0;
  return id.protocol == 17 && (id.port == 0 || id.port == 500 || id.port == kNattPort);
}

}  // namespace

void MainMode::start(const std::shared_ptr<const Connection>& connection, const esp::IpAddress& remote,
                     MmSa::Pending pending) {
  const std::uint16_t port = core_.config->port;
  MmSa& mm = core_.add_mm({core_.random_cookie(), kNoCookie}, true,
                          Path{{connection->local, port}, {remote, port}}, connection);
  mm.pending.push_back(pending);
  mm.offer = mm_offer(*connection);
  mm.sai_b = build_sa(mm.offer);
  mm.expect = 1;
  ChainBuilder chain;
  chain.add(PayloadType::kSa, mm.sai_b);
  add_vendors(chain);
  log_info("{}: main mode to {}", connection->name, to_string(mm.path.remote));
  send_step(mm, clear_message(mm_header(mm.cookies), chain));
}

MmSa* MainMode::on_message(const Header& header, const Path& path, ByteView datagram) {
  if (header.message_id != 0) {
    ++core_.counters.malformed;
    return nullptr;
  }
  if (header.cky_r == kNoCookie) {
    on_message1(header, path, datagram);
    return nullptr;
  }
  MmSa* found = core_.find_mm({header.cky_i, header.cky_r});
  if (found == nullptr) found = core_.find_mm({header.cky_i, kNoCookie});  // our message 1 was answered
  if (found == nullptr || path.remote.address != found->path.remote.address ||
      path.local.address != found->path.local.address) {
    ++core_.counters.unknown_sa;
    return nullptr;
  }
  MmSa& mm = *found;
  mm.answered = true;
  if (digest_of(datagram) == mm.reliability.last_received) {
    // Only the responder answers: what an initiator waits for, it asks for by its own timer (R116).
    if (!mm.initiator) core_.answer_duplicate(mm.reliability, path);
    return nullptr;
  }
  const auto steps = authenticator(mm.connection->auth).steps();
  if (mm.expect >= steps.size() || steps[mm.expect].encrypted != header.encrypted()) {
    ++core_.counters.unexpected;
    return nullptr;
  }
  const Step& step = steps[mm.expect];
  const bool last_pair = mm.expect + 2 >= steps.size();

  // From here on nothing of `mm` changes until the message has proved good.
  Opened opened;
  Payloads clear;
  Status status = ok();
  if (step.encrypted) {
    auto result = open(mm.keys, mm.suite.encryption, mm.iv, header, datagram);
    if (result)
      opened = std::move(*result);
    else
      status = result.error();
  } else {
    auto result = split_payloads(header.next, datagram.subspan(kHeaderLen), false);
    if (result)
      clear = std::move(*result);
    else
      status = result.error();
  }
  const Incoming in{header, path, datagram, step.encrypted ? opened.payloads : clear};
  if (status) status = check_step(step, in.payloads);
  const std::size_t was = mm.expect;
  if (status) {
    if (last_pair) {
      const Iv before = mm.iv;
      mm.iv = opened.next_iv;
      status = got_proof(mm, in);
      if (!status) mm.iv = before;
    } else {
      status = was == 1 ? got2(mm, in) : was == 2 ? got3(mm, in) : got4(mm, in);
    }
  }
  if (!status) {
    ++(step.encrypted ? core_.counters.bad_crypto : core_.counters.malformed);
    log_info("{}: message {} from {} dropped: {}", mm.connection->name, was + 1, to_string(path.remote),
             status.error().detail);
    if (step.encrypted && !mm.initiator) bad_proof(mm);
    return nullptr;
  }
  mm.reliability.last_received = digest_of(datagram);
  return mm.established ? &mm : nullptr;
}

void MainMode::on_message1(const Header& header, const Path& path, ByteView datagram) {
  if (MmSa* half_open = core_.find_half_open(header.cky_i, path.remote)) {
    if (half_open->expect == 2 && digest_of(datagram) == half_open->reliability.last_received) {
      core_.answer_duplicate(half_open->reliability, path);
    } else {
      ++core_.counters.unexpected;
    }
    return;
  }
  if (core_.stopping || header.encrypted()) {
    ++core_.counters.unexpected;
    return;
  }
  auto payloads = split_payloads(header.next, datagram.subspan(kHeaderLen), false);
  Status status = payloads ? (payloads->empty() ? Status(Error{Errc::kMalformed, "no payload"})
                                                : check_step(kMainModePsk[0], *payloads))
                           : Status(payloads.error());
  if (status) status = respond1({header, path, datagram, *payloads});
  if (status) return;
  if (status.error().code != Errc::kUnsupported) ++core_.counters.malformed;
  if (core_.may_answer_stranger()) {
    log_info("message 1 from {} refused: {}", to_string(path.remote), status.error().detail);
    if (status.error().code == Errc::kUnsupported)
      refuse(header, kNoCookie, path, NotifyType::kNoProposalChosen);
  }
}

std::shared_ptr<const Connection> MainMode::connection_for(const Path& path) const {
  std::shared_ptr<const Connection> any;
  for (const auto& c : core_.config->connections) {
    if (c->local != path.local.address) continue;
    if (c->remote == path.remote.address) return c;
    if (!c->remote && !any) any = c;
  }
  return any;
}

Status MainMode::respond1(const Incoming& in) {
  auto connection = connection_for(in.path);
  if (!connection) return Error{Errc::kUnsupported, "no connection is configured for this peer"};
  if (!core_.half_open_allowed(in.path.remote.address)) {
    ++core_.counters.half_open_refused;
    return ok();  // silence: the source may be forged
  }
  const ByteView sai_b = find(in.payloads, PayloadType::kSa)->body;
  ESPLANADE_TRY(offer, parse_sa(sai_b));
  ESPLANADE_TRY(choice, choose_mm(offer, *connection));
  MmSa& mm = core_.add_mm({in.header.cky_i, core_.random_cookie()}, false, in.path, connection);
  mm.suite = choice.suite;
  mm.life = choice.life;
  mm.life_kilobytes = choice.kilobytes;
  mm.sai_b.assign(sai_b.begin(), sai_b.end());
  mm.expect = 2;
  mm.reliability.last_received = digest_of(in.datagram);
  note_vendors(mm, in.payloads);
  ChainBuilder chain;
  chain.add(PayloadType::kSa, build_sa({choice.reply}));
  add_vendors(chain);
  send_step(mm, clear_message(mm_header(mm.cookies), chain));
  return ok();
}

Status MainMode::got2(MmSa& mm, const Incoming& in) {
  ESPLANADE_TRY(reply, parse_sa(find(in.payloads, PayloadType::kSa)->body));
  ESPLANADE_TRY(choice, accept_mm(reply, mm.offer));
  ESPLANADE_TRY(dh, core_.new_dh(choice.suite.group));
  core_.set_responder_cookie(mm, in.header.cky_r);
  mm.suite = choice.suite;
  mm.life = choice.life;
  mm.life_kilobytes = choice.kilobytes;
  note_vendors(mm, in.payloads);
  mm.g_xi = dh.public_value();
  mm.dh = std::move(dh);
  mm.ni_b = core_.random(kNonceLen);
  mm.expect = 3;
  ChainBuilder chain;
  add_ke_nonce_natd(mm, chain);
  send_step(mm, clear_message(mm_header(mm.cookies), chain));
  return ok();
}

Status MainMode::got3(MmSa& mm, const Incoming& in) {
  ESPLANADE_TRY(dh, core_.new_dh(mm.suite.group));
  mm.g_xr = dh.public_value();
  mm.dh = std::move(dh);
  mm.nr_b = core_.random(kNonceLen);
  ESPLANADE_CHECK(take_ke_nonce(mm, in));
  note_nat(mm, in);
  ESPLANADE_CHECK(derive(mm));
  mm.expect = 4;
  ChainBuilder chain;
  add_ke_nonce_natd(mm, chain);
  send_step(mm, clear_message(mm_header(mm.cookies), chain));
  return ok();
}

Status MainMode::got4(MmSa& mm, const Incoming& in) {
  ESPLANADE_CHECK(take_ke_nonce(mm, in));
  note_nat(mm, in);
  ESPLANADE_CHECK(derive(mm));
  mm.expect = 5;
  if (mm.nat() &&
      mm.path.local.port != kNattPort) {  // RFC 3947 s4: the initiator changes ports with message 5
    mm.path.local.port = kNattPort;
    mm.path.remote.port = kNattPort;
  }
  ESPLANADE_TRY(message, proof_message(mm, first_contact(mm)));
  send_step(mm, std::move(message));
  return ok();
}

// Message 5 or 6. The IV has been moved on for the answer; the caller puts it back on an error.
Status MainMode::got_proof(MmSa& mm, const Incoming& in) {
  const ByteView id_b = find(in.payloads, PayloadType::kId)->body;
  if (count(in.payloads, PayloadType::kId) != 1) return Error{Errc::kMalformed, "more than one identity"};
  ESPLANADE_CHECK(authenticator(mm.connection->auth).check_proof(mm, id_b, in.payloads));
  ESPLANADE_TRY(id, parse_id(id_b));
  if (!phase1_port_ok(id)) return Error{Errc::kMalformed, "identity with a foreign protocol or port"};
  if (mm.connection->remote_id &&
      (mm.connection->remote_id->type != id.type || mm.connection->remote_id->data != id.data))
    return Error{Errc::kMalformed, fmt::format("identity {} is not the configured one", to_string(id))};
  if (!mm.initiator) {
    ESPLANADE_TRY(message, proof_message(mm, false));
    mm.path = in.path;  // the peer may have moved to port 4500
    send_step(mm, std::move(message));
  } else {
    core_.timers.cancel({TimerKey::Kind::kMmRetransmit, mm.number, 0});
  }
  mm.peer_id = std::move(id);
  mm.expect = authenticator(mm.connection->auth).steps().size();
  for (const RawPayload& p : in.payloads) {
    if (p.type != PayloadType::kNotify) continue;
    auto notify = parse_notify(p.body);
    if (notify && notify->type == static_cast<std::uint16_t>(NotifyType::kInitialContact)) drop_others(mm);
  }
  core_.mark_established(mm);
  return ok();
}

Status MainMode::take_ke_nonce(MmSa& mm, const Incoming& in) {
  const ByteView ke = find(in.payloads, PayloadType::kKe)->body;
  const ByteView nonce = find(in.payloads, PayloadType::kNonce)->body;
  if (nonce.size() < kNonceLenMin || nonce.size() > kNonceLenMax)
    return Error{Errc::kBadLength, "nonce is not of 8 to 256 octets"};
  if (ke.size() != crypto::prime_len(static_cast<crypto::DhGroup>(mm.suite.group)))
    return Error{Errc::kBadLength, "key exchange value does not have the length of its group"};
  (mm.initiator ? mm.g_xr : mm.g_xi).assign(ke.begin(), ke.end());
  (mm.initiator ? mm.nr_b : mm.ni_b).assign(nonce.begin(), nonce.end());
  return ok();
}

Status MainMode::derive(MmSa& mm) {
  ESPLANADE_TRY(g_xy, mm.dh->shared(mm.initiator ? mm.g_xr : mm.g_xi));
  Secret skeyid = authenticator(mm.connection->auth).skeyid(mm, g_xy.reveal());
  ESPLANADE_TRY(
      keys, derive_mm_keys(mm.suite, std::move(skeyid), g_xy.reveal(), mm.cookies.first, mm.cookies.second));
  mm.keys = std::move(keys);
  mm.iv = phase1_iv(mm.suite.hash, mm.g_xi, mm.g_xr);
  mm.dh.reset();
  return ok();
}

void MainMode::add_ke_nonce_natd(const MmSa& mm, ChainBuilder& chain) const {
  chain.add(PayloadType::kKe, mm.initiator ? mm.g_xi : mm.g_xr);
  chain.add(PayloadType::kNonce, mm.initiator ? mm.ni_b : mm.nr_b);
  if (!mm.peer_natt) return;
  for (const Endpoint* e : {&mm.path.remote, &mm.path.local})  // destination first, RFC 3947 s3.2
    chain.add(PayloadType::kNatD,
              natd_hash(mm.suite.hash, mm.cookies.first, mm.cookies.second, e->address, e->port));
}

Result<Bytes> MainMode::proof_message(MmSa& mm, bool initial_contact) {
  const Bytes id_b = build_id(mm.connection->local_id);
  ChainBuilder chain;
  chain.add(PayloadType::kId, id_b);
  ESPLANADE_CHECK(authenticator(mm.connection->auth).add_proof(mm, id_b, chain));
  if (initial_contact) {
    Notify n;
    n.protocol = static_cast<std::uint8_t>(ProtocolId::kIsakmp);
    n.type = static_cast<std::uint16_t>(NotifyType::kInitialContact);
    put(n.spi, mm.cookies.first);
    put(n.spi, mm.cookies.second);
    chain.add(PayloadType::kNotify, build_notify(n));
  }
  return protect(mm.keys, mm.suite.encryption, mm.iv, mm_header(mm.cookies), chain);
}

bool MainMode::first_contact(const MmSa& mm) const {
  return core_.is_only_one(mm) && std::ranges::none_of(core_.children, [&](const auto& c) {
           return c.second.connection == mm.connection && c.second.remote == mm.path.remote.address;
         });
}

// RFC 2407 s4.6.3.3: the peer has no other SA with us. Identities have been proved by now.
void MainMode::drop_others(const MmSa& mm) {
  for (std::uint64_t number : core_.mm_numbers()) {
    MmSa* other = core_.find_mm(number);
    if (other != nullptr && other != &mm && other->established && other->connection == mm.connection &&
        other->peer_id == mm.peer_id)
      core_.remove_mm(*other, "the peer started afresh");
  }
  std::vector<std::uint32_t> stale;
  for (const auto& [spi, child] : core_.children)
    if (child.connection == mm.connection && child.peer_id == *mm.peer_id) stale.push_back(spi);
  for (std::uint32_t spi : stale) core_.remove_child(spi, "the peer started afresh");
}

void MainMode::note_vendors(MmSa& mm, const Payloads& payloads) const {
  for (const RawPayload& p : payloads) {
    if (p.type != PayloadType::kVendorId) continue;
    const Vendor v = vendor_of(p.body);
    if (v == Vendor::kRfc3947) mm.peer_natt = true;
    if (v == Vendor::kEsplanade || v == Vendor::kMicrosoft) mm.peer_commit = true;
    if (v == Vendor::kEsplanade) mm.peer_keyd = true;
    if (v == Vendor::kMicrosoft) mm.peer_microsoft = true;
  }
}

void MainMode::note_nat(MmSa& mm, const Incoming& in) const {
  mm.local_behind_nat = mm.remote_behind_nat = false;
  if (!mm.peer_natt || count(in.payloads, PayloadType::kNatD) < 2) return;
  auto hash_at = [&](const Endpoint& e) {
    return natd_hash(mm.suite.hash, mm.cookies.first, mm.cookies.second, e.address, e.port);
  };
  const Bytes mine = hash_at(in.path.local);
  const Bytes theirs = hash_at(in.path.remote);
  bool first = true, source_seen = false;
  for (const RawPayload& p : in.payloads) {
    if (p.type != PayloadType::kNatD) continue;
    if (first)
      mm.local_behind_nat = !std::ranges::equal(p.body, mine);
    else
      source_seen = source_seen || std::ranges::equal(p.body, theirs);
    first = false;
  }
  mm.remote_behind_nat = !source_seen;
}

void MainMode::send_step(MmSa& mm, Bytes message) {
  mm.reliability.tries = 0;
  mm.reliability.duplicates = 0;
  core_.send(mm.path, message);
  mm.reliability.last_sent = std::move(message);
  if (mm.initiator)
    core_.timers.arm({TimerKey::Kind::kMmRetransmit, mm.number, 0}, core_.now + core_.retransmit_wait(0));
}

void MainMode::on_retransmit(MmSa& mm) {
  Reliability& r = mm.reliability;
  if (r.tries >= core_.config->limits.retransmit_tries) {
    const bool proof = mm.expect + 1 == authenticator(mm.connection->auth).steps().size();
    core_.remove_mm(mm, fmt::format("no answer from {} to message {}{}", to_string(mm.path.remote), mm.expect,
                                    proof ? ": wrong pre-shared key or identity at one end?" : ""));
    return;
  }
  ++r.tries;
  ++core_.counters.retransmits;
  core_.send(mm.path, r.last_sent);
  core_.timers.arm({TimerKey::Kind::kMmRetransmit, mm.number, 0}, core_.now + core_.retransmit_wait(r.tries));
}

void MainMode::on_expire(MmSa& mm) {
  core_.remove_mm(mm, "the initiator went silent");
}

// A forged message 5 must not end a negotiation at once; several are more likely a wrong secret.
void MainMode::bad_proof(MmSa& mm) {
  if (++mm.bad_auth < kBadAuthMax) return;
  log_warn("{}: {} failed to authenticate {} times: wrong pre-shared key or identity?", mm.connection->name,
           to_string(mm.path.remote), mm.bad_auth);
  Header h = mm_header(mm.cookies);
  refuse(h, mm.cookies.second, mm.path, NotifyType::kAuthenticationFailed);
  core_.remove_mm(mm, "authentication failed");
}

void MainMode::refuse(const Header& header, const Cookie& cky_r, const Path& path, NotifyType type) {
  Header h;
  h.cky_i = header.cky_i;
  h.cky_r = cky_r;
  h.exchange = Exchange::kInformational;
  h.message_id = load_be32(core_.random(4).data()) | 1;
  Notify n;
  n.protocol = static_cast<std::uint8_t>(ProtocolId::kIsakmp);
  n.type = static_cast<std::uint16_t>(type);
  ChainBuilder chain;
  chain.add(PayloadType::kNotify, build_notify(n));
  core_.send(path, clear_message(h, chain));
}

}  // namespace esplanade::ike
