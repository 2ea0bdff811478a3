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
constexpr std::uint32_t kCookiesMax = 2;  // times that message 1 is repeated with a cookie that was asked for
constexpr std::uint32_t kBadAuthMax = 3;  // messages 5 that fail before the negotiation is given up

Header mm_header(const CookiePair& cookies) {
  Header h;
  h.cky_i = cookies.first;
  h.cky_r = cookies.second;
  h.exchange = Exchange::kMainMode;
  return h;
}

constexpr Vendor kVendors[] = {Vendor::kRfc3947, Vendor::kNattDraft03, Vendor::kNattDraft02n, Vendor::kDpd,
                               Vendor::kFragmentation, Vendor::kEsplanade};
constexpr Byte kFragmentMainMode = 0x80;  // first of the capability octets: in main mode

Bytes vendor_body(Vendor v) {
  const ByteView id = vendor_id(v);
  Bytes body(id.begin(), id.end());
  if (v == Vendor::kFragmentation) put_be32(body, std::uint32_t{kFragmentMainMode} << 24);
  return body;
}

// As initiator all; as responder what the initiator has shown, so that message 2 is never longer than message 1
// and cannot serve to amplify. Of the ways through NAT the first that both know.
void add_vendors(ChainBuilder& chain, const Payloads* shown) {
  bool natt = false;
  for (Vendor v : kVendors) {
    Bytes body = vendor_body(v);
    if (shown != nullptr) {
      auto it = std::ranges::find_if(*shown, [&](const RawPayload& p) {
        return p.type == PayloadType::kVendorId && vendor_of(p.body) == v;
      });
      const bool is_natt = v == Vendor::kRfc3947 || v == Vendor::kNattDraft03 || v == Vendor::kNattDraft02n;
      if (it == shown->end() || (is_natt && natt)) continue;
      natt = natt || is_natt;
      body.resize(std::min(body.size(), it->body.size()));
    }
    chain.add(PayloadType::kVendorId, body);
  }
}

bool knows_dos_cookie(const Payloads& payloads) {
  return std::ranges::any_of(payloads, [](const RawPayload& p) {
    if (p.type != PayloadType::kVendorId) return false;
    const Vendor v = vendor_of(p.body);
    return v == Vendor::kEsplanade || v == Vendor::kMicrosoft;
  });
}

// RFC 2407 s4.6.2: protocol and port of a phase 1 identity.
bool phase1_port_ok(const Id& id) {
  if (id.protocol == 0) return id.port == 0;
  return id.protocol == 17 && (id.port == 0 || id.port == 500 || id.port == kNattPort);
}

}  // namespace

void MainMode::start(const std::shared_ptr<const Connection>& connection, const esp::IpAddress& remote,
                     std::optional<MmSa::Pending> pending) {
  const std::uint16_t port = core_.config->port;
  MmSa& mm = core_.add_mm({core_.random_cookie(), kNoCookie}, true,
                          Path{{connection->local, port}, {remote, port}}, connection);
  if (pending) mm.pending.push_back(*pending);
  mm.offer = mm_offer(*connection);
  mm.sai_b = build_sa(mm.offer);
  mm.expect = 1;
  ChainBuilder chain;
  chain.add(PayloadType::kSa, mm.sai_b);
  add_vendors(chain, nullptr);
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
  if (found == nullptr) {
    // A message 1 with the cookie that we asked for, or a message 3 that carries it.
    if (header.next == PayloadType::kSa && !header.encrypted() &&
        core_.admission.proves(path, header.cky_i, header.cky_r, core_.now)) {
      on_message1(header, path, datagram);
      return nullptr;
    }
    found = admit(header, path);
  }
  if (found == nullptr || path.remote.address != found->path.remote.address ||
      path.local.address != found->path.local.address) {
    ++core_.counters.unknown_sa;
    return nullptr;
  }
  MmSa& mm = *found;
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
  if (header.cky_r == kNoCookie && !core_.sources.allow(path.remote.address, core_.now)) {
    ++core_.counters.rate_limited;
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
  if (in.header.cky_r != kNoCookie) {  // the cookie that we asked for
    ++core_.counters.cookies_proved;
    open_responder(in, connection, std::move(choice), in.header.cky_r);
  } else if (core_.under_attack()) {
    challenge(in, choice);
  } else {
    open_responder(in, connection, std::move(choice), core_.random_cookie());
  }
  return ok();
}

MmSa& MainMode::open_responder(const Incoming& in, std::shared_ptr<const Connection> connection, MmChoice choice,
                               const Cookie& cky_r) {
  const ByteView sai_b = find(in.payloads, PayloadType::kSa)->body;
  MmSa& mm = core_.add_mm({in.header.cky_i, cky_r}, false, in.path, std::move(connection));
  mm.suite = choice.suite;
  mm.life = choice.life;
  mm.sai_b.assign(sai_b.begin(), sai_b.end());
  mm.expect = 2;
  mm.reliability.last_received = digest_of(in.datagram);
  note_vendors(mm, in.payloads);
  send_step(mm, message2(in, choice, cky_r));
  return mm;
}

Bytes MainMode::message2(const Incoming& in, const MmChoice& choice, const Cookie& cky_r) {
  ChainBuilder chain;
  chain.add(PayloadType::kSa, build_sa({choice.reply}));
  add_vendors(chain, &in.payloads);
  return clear_message(mm_header({in.header.cky_i, cky_r}), chain);
}

// Many negotiations are half open: the stranger must first show that our answers reach him.
void MainMode::challenge(const Incoming& in, const MmChoice& choice) {
  ++core_.counters.cookies_asked;
  const Cookie cky_r = core_.admission.cookie(in.path, in.header.cky_i, core_.now);
  if (knows_dos_cookie(in.payloads)) {
    Notify n;
    n.protocol = static_cast<std::uint8_t>(ProtocolId::kIsakmp);
    n.type = static_cast<std::uint16_t>(NotifyType::kDosCookie);
    n.data.assign(cky_r.begin(), cky_r.end());
    ChainBuilder chain;
    chain.add(PayloadType::kNotify, build_notify(n));
    Header h = mm_header({in.header.cky_i, kNoCookie});
    h.exchange = Exchange::kInformational;
    h.message_id = load_be32(core_.random(4).data()) | 1;
    return core_.send(in.path, clear_message(h, chain));
  }
  if (in.datagram.size() > core_.config->limits.cookie_message_max) {
    ++core_.counters.half_open_refused;
    return;
  }
  Bytes answer = message2(in, choice, cky_r);
  core_.send(in.path, answer);
  core_.admission.wait({in.header.cky_i, cky_r},
                       {Bytes(in.datagram.begin(), in.datagram.end()), std::move(answer)});
}

MmSa* MainMode::admit(const Header& header, const Path& path) {
  const CookiePair cookies{header.cky_i, header.cky_r};
  if (core_.stopping || header.encrypted() || core_.admission.find(cookies) == nullptr) return nullptr;
  if (!core_.admission.proves(path, header.cky_i, header.cky_r, core_.now)) {
    ++core_.counters.cookies_wrong;
    return nullptr;
  }
  if (!core_.half_open_allowed(path.remote.address)) {
    ++core_.counters.half_open_refused;
    return nullptr;
  }
  const auto waiting = core_.admission.admit(cookies);
  auto connection = connection_for(path);
  auto header1 = parse_header(waiting->message1);
  if (!connection || !header1) return nullptr;
  auto payloads = split_payloads(header1->next, ByteView(waiting->message1).subspan(kHeaderLen), false);
  if (!payloads) return nullptr;
  auto offer = parse_sa(find(*payloads, PayloadType::kSa)->body);
  if (!offer) return nullptr;
  auto choice = choose_mm(*offer, *connection);
  if (!choice) return nullptr;
  ++core_.counters.cookies_proved;
  const std::size_t sent = core_.out.size();
  MmSa& mm = open_responder({*header1, path, waiting->message1, *payloads}, std::move(connection),
                            std::move(*choice), header.cky_r);
  core_.out.resize(sent);  // message 2 went out with the cookie
  return &mm;
}

void MainMode::on_dos_cookie(MmSa& mm, const Cookie& cookie) {
  if (mm.cookie_asked >= kCookiesMax) return;
  ++mm.cookie_asked;
  Bytes again = mm.reliability.last_sent;
  std::ranges::copy(cookie, again.begin() + 8);
  send_step(mm, std::move(again));
}

Status MainMode::got2(MmSa& mm, const Incoming& in) {
  ESPLANADE_TRY(reply, parse_sa(find(in.payloads, PayloadType::kSa)->body));
  ESPLANADE_TRY(choice, accept_mm(reply, mm.offer));
  ESPLANADE_TRY(dh, core_.new_dh(choice.suite.group));
  core_.set_responder_cookie(mm, in.header.cky_r);
  mm.suite = choice.suite;
  mm.life = choice.life;
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
    ESPLANADE_TRY(message, proof_message(mm, first_contact(mm)));
    // The peer may have moved to port 4500. NAT-D payloads are not covered by any hash: where the two ends differ
    // over the NAT, the port that the initiator chose for message 5 decides, or no quick mode would ever fit.
    if (mm.peer_natt && mm.path.local.port != kNattPort) {
      const bool floated = in.path.local.port == kNattPort;
      if (!floated) mm.local_behind_nat = mm.remote_behind_nat = false;
      if (floated && !mm.nat()) mm.remote_behind_nat = true;
    }
    mm.path = in.path;
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
    chain.add(mm.natt_draft ? PayloadType::kNatDDraft : PayloadType::kNatD,
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
  bool rfc = false;
  for (const RawPayload& p : payloads) {
    if (p.type != PayloadType::kVendorId) continue;
    const Vendor v = vendor_of(p.body);
    if (v == Vendor::kRfc3947) mm.peer_natt = true, rfc = true;
    if (v == Vendor::kNattDraft02 || v == Vendor::kNattDraft02n || v == Vendor::kNattDraft03) mm.peer_natt = true;
    if (v == Vendor::kDpd) mm.peer_dpd = true;
    if (v == Vendor::kFragmentation && (p.body.size() < 20 || (p.body[16] & kFragmentMainMode) != 0))
      mm.peer_fragments = true;
    if (v == Vendor::kMicrosoft) mm.peer_microsoft = true;
    if (v == Vendor::kEsplanade || v == Vendor::kMicrosoft) mm.peer_commit = true;
  }
  mm.natt_draft = mm.peer_natt && !rfc;
}

void MainMode::note_nat(MmSa& mm, const Incoming& in) const {
  mm.local_behind_nat = mm.remote_behind_nat = false;
  const PayloadType nat_d = mm.natt_draft ? PayloadType::kNatDDraft : PayloadType::kNatD;
  if (!mm.peer_natt || count(in.payloads, nat_d) < 2) return;
  auto hash_at = [&](const Endpoint& e) {
    return natd_hash(mm.suite.hash, mm.cookies.first, mm.cookies.second, e.address, e.port);
  };
  const Bytes mine = hash_at(in.path.local);
  const Bytes theirs = hash_at(in.path.remote);
  bool first = true, source_seen = false;
  for (const RawPayload& p : in.payloads) {
    if (p.type != nat_d) continue;
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
  if (mm.established) {
    Informational(core_).send_delete_mm(mm);
    core_.remove_mm(mm, "lifetime reached");
  } else {
    core_.remove_mm(mm, "the initiator went silent");
  }
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
