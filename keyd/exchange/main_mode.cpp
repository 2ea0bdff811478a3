#include "keyd/exchange/main_mode.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/log.h"
#include "keyd/exchange/informational.h"
#include "keyd/keymat/quick_mode_keys.h"
#include "keyd/policy/identity.h"
#include "keyd/wire/payload_gss.h"
#include "keyd/wire/payload_notify.h"
#include "keyd/wire/vendor_id.h"

namespace esplanade::ike {
namespace {

constexpr std::size_t kNonceLen = 20;     // octets of our nonces
constexpr std::uint32_t kBadAuthMax = 3;  // messages 5 or 6 that fail before the negotiation is given up
constexpr std::size_t kMessagesMax = 12;  // of a main mode with more rounds of tokens
constexpr std::uint32_t kCookiesMax = 2;  // times that message 1 is repeated with a cookie that was asked for
constexpr std::size_t kNotifyLen = kHeaderLen + kGenericHeaderLen + 8;  // an error of ours in clear

Header mm_header(const CookiePair& cookies) {
  Header h;
  h.cky_i = cookies.first;
  h.cky_r = cookies.second;
  h.exchange = Exchange::kMainMode;
  return h;
}

// In the order in which message 2 has room for them: without the first two kinds the negotiation cannot go on as it
// should, and long tokens want fragments in message 3 already.
constexpr Vendor kVendors[] = {Vendor::kGssApi,      Vendor::kGssApiLong,   Vendor::kGssApiRacoon,
                               Vendor::kRfc3947,     Vendor::kNattDraft03,  Vendor::kNattDraft02n,
                               Vendor::kFragmentation, Vendor::kDpd,        Vendor::kEsplanade};
constexpr Byte kFragmentMainMode = 0x80;  // first of the capability octets: in main mode

Bytes vendor_body(Vendor v) {
  const ByteView id = vendor_id(v);
  Bytes body(id.begin(), id.end());
  if (v == Vendor::kFragmentation) put_be32(body, std::uint32_t{kFragmentMainMode} << 24);
  return body;
}

bool for_gss_only(Vendor v) {
  return v == Vendor::kGssApi || v == Vendor::kGssApiLong || v == Vendor::kGssApiRacoon;
}

bool is_natt(Vendor v) { return v == Vendor::kRfc3947 || v == Vendor::kNattDraft03 || v == Vendor::kNattDraft02n; }

// As initiator all that go with the method.
void offer_vendors(ChainBuilder& chain, AuthMethod method) {
  for (Vendor v : kVendors) {
    // Racoon's is a name of the same for those who use it.
    if (v == Vendor::kGssApiRacoon || (for_gss_only(v) && method != AuthMethod::kGss)) continue;
    chain.add(PayloadType::kVendorId, vendor_body(v));
  }
}

// As responder those that the initiator has shown, while message 2 has `room` octets: it must not be longer than
// message 1, or it would serve to amplify. Of the ways through NAT, and of the names of GSS-API, the first that both
// know. What had no room is returned, for message 4.
std::vector<Bytes> answer_vendors(ChainBuilder& chain, AuthMethod method, const Payloads& shown, std::size_t room) {
  std::vector<Bytes> later;
  bool natt = false, gss = false;
  for (Vendor v : kVendors) {
    if ((for_gss_only(v) && (gss || method != AuthMethod::kGss)) || (is_natt(v) && natt)) continue;
    const auto it = std::ranges::find_if(shown, [&](const RawPayload& p) {
      return p.type == PayloadType::kVendorId && vendor_of(p.body) == v;
    });
    if (it == shown.end()) continue;
    natt = natt || is_natt(v);
    gss = gss || for_gss_only(v);
    Bytes body = vendor_body(v);
    body.resize(std::min(body.size(), it->body.size()));
    if (kGenericHeaderLen + body.size() <= room) {
      room -= kGenericHeaderLen + body.size();
      chain.add(PayloadType::kVendorId, body);
    } else if (!is_natt(v)) {  // message 3 has the NAT-D payloads: too late for it
      later.push_back(std::move(body));
    }
  }
  return later;
}

bool knows_dos_cookie(const Payloads& payloads) {
  return std::ranges::any_of(payloads, [](const RawPayload& p) {
    if (p.type != PayloadType::kVendorId) return false;
    const Vendor v = vendor_of(p.body);
    return v == Vendor::kEsplanade || v == Vendor::kMicrosoft;
  });
}

bool means_gss(Vendor v) {
  return v == Vendor::kGssApi || v == Vendor::kGssApiLong || v == Vendor::kGssApiRacoon || v == Vendor::kMicrosoft;
}

NotifyType notify_for(Errc code) {
  switch (code) {
    case Errc::kUnsupported:
      return NotifyType::kNoProposalChosen;
    case Errc::kBadKe:
      return NotifyType::kInvalidKeyInformation;
    case Errc::kBadId:
      return NotifyType::kInvalidIdInformation;
    case Errc::kBadCertificate:
      return NotifyType::kInvalidCertificate;
    case Errc::kUnknownAuthority:
      return NotifyType::kInvalidCertAuthority;
    case Errc::kBadSignature:
      return NotifyType::kInvalidSignature;
    case Errc::kTruncated:
    case Errc::kMalformed:
    case Errc::kBadLength:
      return NotifyType::kPayloadMalformed;
    default:
      return NotifyType::kAuthenticationFailed;
  }
}

// Rows of the table of GSS-API repeat at its end.
const Step& step_at(std::span<const Step> steps, std::size_t index) {
  return steps[index < steps.size() ? index : steps.size() - 2 + index % 2];
}

// Whom an initiator asks a ticket for: the name in message 2, if policy allows it; without one, the one that policy
// names.
Result<std::string> gss_target(const Connection& connection, ByteView gss_name) {
  if (gss_name.empty()) {
    const auto& names = connection.gss_remote;
    const auto plain = std::ranges::find_if(names, [](const std::string& n) { return n.find('*') == n.npos; });
    if (plain != names.end()) return *plain;
    return Error{Errc::kBadAuth, "the peer does not name itself, and gss_name has patterns only"};
  }
  ESPLANADE_TRY(name, parse_gss_name(gss_name));
  for (const std::string& pattern : connection.gss_remote)
    if (principal_fits(pattern, name)) return name;
  return Error{Errc::kBadAuth, fmt::format("the peer names itself {}, whom gss_name does not allow", printable(name))};
}

bool names_us(const MmChoice& choice) {
  return std::ranges::any_of(choice.reply.transforms.front().attributes, is_gss_name);
}

// Of a message 2 with what it cannot do without: the SA payload and a vendor ID for GSS-API.
std::size_t message2_len(const MmChoice& choice) {
  return kHeaderLen + kGenericHeaderLen + build_sa({choice.reply}).size() + kGenericHeaderLen +
         vendor_id(Vendor::kGssApi).size();
}

// The name is optional (draft-ietf-ipsec-isakmp-gss-auth-07 s3.2): one that would make message 2 longer than message 1
// is left to the initiator's policy.
void leave_out_gss_name(MmChoice& choice) { std::erase_if(choice.reply.transforms.front().attributes, is_gss_name); }

bool has_initial_contact(const Payloads& payloads) {
  return std::ranges::any_of(payloads, [](const RawPayload& p) {
    if (p.type != PayloadType::kNotify) return false;
    auto notify = parse_notify(p.body);
    return notify && notify->type == static_cast<std::uint16_t>(NotifyType::kInitialContact);
  });
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
  offer_vendors(chain, connection->auth);
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
  mm.answered = true;
  if (digest_of(datagram) == mm.reliability.last_received) {
    // Only the responder answers: what an initiator waits for, it asks for by its own timer (R116).
    if (!mm.initiator) core_.answer_duplicate(mm.reliability, path);
    return nullptr;
  }
  const auto steps = authenticator(mm.connection->auth).steps();
  // What comes while the holder of the secrets is asked is early, or forged.
  if (mm.established || mm.auth.wait != AuthState::Wait::kNothing || mm.expect >= kMessagesMax ||
      (mm.expect >= steps.size() && mm.connection->auth != AuthMethod::kGss) ||
      step_at(steps, mm.expect).encrypted != header.encrypted()) {
    ++core_.counters.unexpected;
    return nullptr;
  }
  const Step& step = step_at(steps, mm.expect);

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
  if (status && in.payloads.empty()) status = Error{Errc::kMalformed, "message without payload"};
  if (status) status = check_step(step, in.payloads);
  const bool readable = static_cast<bool>(status);
  const std::size_t was = mm.expect;
  if (status)
    status = was >= 4   ? got_proof(mm, in, opened.next_iv)
             : was == 1 ? got2(mm, in)
             : was == 2 ? got3(mm, in)
                        : got4(mm, in);
  if (!status) {
    ++(step.encrypted ? core_.counters.bad_crypto : core_.counters.malformed);
    log_info("{}: message {} from {} dropped: {}", mm.connection->name, was + 1, to_string(path.remote),
             status.error().detail);
    if (step.encrypted) {
      bad_proof(mm, readable, opened.next_iv, status.error());
    } else if (datagram.size() >= kNotifyLen && core_.may_answer_stranger()) {
      refuse(header, header.cky_r, path, notify_for(status.error().code));
    }
    return nullptr;
  }
  if (!step.encrypted) {
    mm.reliability.last_received = digest_of(datagram);
    mm.reliability.last_sent.clear();  // no answer to duplicates before the new one is ready
    core_.timers.cancel({TimerKey::Kind::kMmRetransmit, mm.number, 0});
  }
  return advance(mm);
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
    if (datagram.size() >= kNotifyLen) refuse(header, kNoCookie, path, notify_for(status.error().code));
  }
}

// Those that name the peer's address; if there are none, those for any peer. In the order of the configuration.
std::vector<std::shared_ptr<const Connection>> MainMode::connections_for(const Path& path) const {
  std::vector<std::shared_ptr<const Connection>> exact, any;
  for (const auto& c : core_.config->connections) {
    if (c->local != path.local.address) continue;
    if (c->remote == path.remote.address) exact.push_back(c);
    if (!c->remote) any.push_back(c);
  }
  return exact.empty() ? any : exact;
}

Status MainMode::respond1(const Incoming& in) {
  const auto candidates = connections_for(in.path);
  if (candidates.empty()) return Error{Errc::kUnsupported, "no connection is configured for this peer"};
  if (!core_.half_open_allowed(in.path.remote.address)) {
    ++core_.counters.half_open_refused;
    return ok();  // silence: the source may be forged
  }
  const auto chosen = choose(candidates, in.payloads, in.datagram.size());
  if (!chosen) return chosen.error();
  if (in.header.cky_r != kNoCookie) {  // the cookie that we asked for
    ++core_.counters.cookies_proved;
    open_responder(in, *chosen, in.header.cky_r);
  } else if (core_.under_attack()) {
    challenge(in, *chosen);
  } else {
    open_responder(in, *chosen, core_.random_cookie());
  }
  return ok();
}

// Several connections may take a peer, with different methods: the offer decides.
Result<MainMode::Chosen> MainMode::choose(const std::vector<std::shared_ptr<const Connection>>& candidates,
                                          const Payloads& payloads, std::size_t message1_len) {
  ESPLANADE_TRY(offer, parse_sa(find(payloads, PayloadType::kSa)->body));
  const bool peer_gss = std::ranges::any_of(payloads, [](const RawPayload& p) {
    return p.type == PayloadType::kVendorId && means_gss(vendor_of(p.body));
  });
  Error why{Errc::kUnsupported, "method 65001 of a peer that does not mean GSS-API by it"};
  for (const auto& c : candidates) {
    if (c->auth == AuthMethod::kGss && !peer_gss) continue;
    auto choice = choose_mm(offer, *c);
    if (choice) {
      if (message2_len(*choice) > message1_len) leave_out_gss_name(*choice);
      return Chosen{c, std::move(*choice)};
    }
    why = choice.error();
  }
  return why;
}

MmSa& MainMode::open_responder(const Incoming& in, const Chosen& chosen, const Cookie& cky_r) {
  const MmChoice& choice = chosen.choice;
  const ByteView sai_b = find(in.payloads, PayloadType::kSa)->body;
  MmSa& mm = core_.add_mm({in.header.cky_i, cky_r}, false, in.path, chosen.connection);
  mm.suite = choice.suite;
  mm.life = choice.life;
  mm.life_kilobytes = choice.kilobytes;
  mm.sai_b.assign(sai_b.begin(), sai_b.end());
  mm.auth.peer_name = choice.gss_name;
  if (names_us(choice)) mm.auth.own_name = build_gss_name(mm.connection->gss_name);
  mm.expect = 2;
  mm.reliability.last_received = digest_of(in.datagram);
  note_vendors(mm, in.payloads);
  auto [message, later] = message2(in, chosen, cky_r);
  mm.auth.vendors_later = std::move(later);
  send_step(mm, std::move(message));
  return mm;
}

MainMode::Message2 MainMode::message2(const Incoming& in, const Chosen& chosen, const Cookie& cky_r) {
  ChainBuilder chain;
  const Bytes sa = build_sa({chosen.choice.reply});
  chain.add(PayloadType::kSa, sa);
  const std::size_t used = kHeaderLen + kGenericHeaderLen + sa.size();
  auto later = answer_vendors(chain, chosen.connection->auth, in.payloads,
                              in.datagram.size() - std::min(used, in.datagram.size()));
  return {clear_message(mm_header({in.header.cky_i, cky_r}), chain), std::move(later)};
}

// Many negotiations are half open: the stranger must first show that our answers reach him.
void MainMode::challenge(const Incoming& in, const Chosen& chosen) {
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
  Bytes answer = message2(in, chosen, cky_r).octets;
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
  auto header1 = parse_header(waiting->message1);
  if (!header1) return nullptr;
  auto payloads = split_payloads(header1->next, ByteView(waiting->message1).subspan(kHeaderLen), false);
  if (!payloads) return nullptr;
  const auto chosen = choose(connections_for(path), *payloads, waiting->message1.size());
  if (!chosen) return nullptr;  // the configuration is another by now
  ++core_.counters.cookies_proved;
  const std::size_t sent = core_.out.size();
  MmSa& mm = open_responder({*header1, path, waiting->message1, *payloads}, *chosen, header.cky_r);
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
  std::string target;
  if (mm.connection->auth == AuthMethod::kGss) {
    const auto gss = std::ranges::find_if(in.payloads, [](const RawPayload& p) {
      return p.type == PayloadType::kVendorId && means_gss(vendor_of(p.body));
    });
    if (gss == in.payloads.end())
      return Error{Errc::kUnsupported, "method 65001 of a peer that does not mean GSS-API by it"};
    ESPLANADE_TRY(named, gss_target(*mm.connection, choice.gss_name));
    target = std::move(named);
  }
  ESPLANADE_TRY(dh, core_.new_dh(choice.suite.group));
  core_.set_responder_cookie(mm, in.header.cky_r);
  mm.suite = choice.suite;
  mm.life = choice.life;
  mm.life_kilobytes = choice.kilobytes;
  note_vendors(mm, in.payloads);
  mm.g_xi = dh.public_value();
  mm.dh = std::move(dh);
  mm.ni_b = core_.random(kNonceLen);
  if (!target.empty()) {
    mm.auth.gss_target = std::move(target);
    mm.auth.own_name = build_gss_name(mm.connection->gss_name);
    mm.auth.peer_name = choice.gss_name;
  }
  mm.expect = 3;
  return ok();
}

Status MainMode::got3(MmSa& mm, const Incoming& in) {
  ESPLANADE_TRY(dh, core_.new_dh(mm.suite.group));
  mm.g_xr = dh.public_value();
  mm.dh = std::move(dh);
  ESPLANADE_CHECK(take_ke_nonce(mm, in));
  mm.nr_b = core_.random(kNonceLen);
  note_nat(mm, in);
  mm.expect = 4;
  return ok();
}

Status MainMode::got4(MmSa& mm, const Incoming& in) {
  ESPLANADE_CHECK(take_ke_nonce(mm, in));
  note_abilities(mm, in.payloads);
  note_nat(mm, in);
  mm.expect = 5;
  if (mm.nat() &&
      mm.path.local.port != kNattPort) {  // RFC 3947 s4: the initiator changes ports with message 5
    mm.path.local.port = kNattPort;
    mm.path.remote.port = kNattPort;
  }
  return ok();
}

// Message 5 or later.
Status MainMode::got_proof(MmSa& mm, const Incoming& in, const Iv& next_iv) {
  AuthState::Claim claim;
  claim.digest = digest_of(in.datagram);
  claim.next_iv = next_iv;
  claim.path = in.path;
  claim.initial_contact = has_initial_contact(in.payloads);
  const std::size_t ids = count(in.payloads, PayloadType::kId);
  if (ids != (mm.expect < 6 ? 1 : 0)) return Error{Errc::kMalformed, "an identity too many"};
  const ByteView id_b = ids != 0 ? find(in.payloads, PayloadType::kId)->body : ByteView(mm.auth.id_b);
  claim.id_b.assign(id_b.begin(), id_b.end());
  auto id = parse_id(id_b);
  if (!id) return Error{Errc::kBadId, id.error().detail};
  ESPLANADE_CHECK(check_phase1_id(*id));
  auto proved = prove(mm, claim, in.payloads);
  if (!proved && !mm.initiator && mm.connection->auth == AuthMethod::kPubkey) {
    // The identity decides between connections that take this peer and made the same answer to its offer.
    const auto first = mm.connection;
    for (const auto& c : connections_for(in.path)) {
      if (c == first || c->auth != first->auth || std::ranges::find(c->suites, mm.suite) == c->suites.end()) continue;
      core_.move_to(mm, c);
      auto other = prove(mm, claim, in.payloads);
      if (other) proved = std::move(other);
      if (proved) break;
    }
    if (!proved) core_.move_to(mm, first);
  }
  if (!proved) return proved.error();
  if (mm.auth.claim) return ok();  // counts when its HASH has been unwrapped
  accept_proof(mm, claim, std::move(*proved));
  return ok();
}

Result<std::optional<Id>> MainMode::prove(MmSa& mm, const AuthState::Claim& claim, const Payloads& payloads) const {
  const auto& wanted = mm.connection->remote_id;
  ESPLANADE_TRY(id, parse_id(claim.id_b));
  if (wanted && !same_identity(id, *wanted))  // before anything that costs
    return Error{Errc::kBadId, fmt::format("identity {} is not the configured one", to_string(id))};
  return authenticator(mm.connection->auth).check_proof(mm, claim, payloads, core_.wall_clock());
}

void MainMode::accept_proof(MmSa& mm, const AuthState::Claim& claim, std::optional<Id> id) {
  mm.iv = claim.next_iv;
  mm.auth.id_b = claim.id_b;
  mm.auth.initial_contact = mm.auth.initial_contact || claim.initial_contact;
  if (id) {
    mm.peer_id = std::move(id);
    mm.auth.peer_proved = true;
  }
  if (!mm.initiator) {
    // The peer may have moved to port 4500. NAT-D payloads are not covered by any hash: where the two ends differ
    // over the NAT, the port that the initiator chose for message 5 decides, or no quick mode would ever fit.
    if (mm.peer_natt && mm.path.local.port != kNattPort) {
      const bool floated = claim.path.local.port == kNattPort;
      if (!floated) mm.local_behind_nat = mm.remote_behind_nat = false;
      if (floated && !mm.nat()) mm.remote_behind_nat = true;
    }
    mm.path = claim.path;
  }
  mm.expect += 2;
  mm.reliability.last_received = claim.digest;
  mm.reliability.last_sent.clear();
  core_.timers.cancel({TimerKey::Kind::kMmRetransmit, mm.number, 0});
}

MmSa* MainMode::on_credential(MmSa& mm, const Result<Credential>& result) {
  const auto wait = std::exchange(mm.auth.wait, AuthState::Wait::kNothing);
  if (wait == AuthState::Wait::kNothing) return nullptr;
  if (mm.initiator) core_.timers.cancel({TimerKey::Kind::kMmExpire, mm.number, 0});
  if (wait == AuthState::Wait::kUnwrap) return on_unwrapped(mm, result);
  const Status status = result ? authenticator(mm.connection->auth).take(mm, *result) : Status(result.error());
  if (status) return advance(mm);
  fail(mm, status.error());
  return nullptr;
}

// The peer's HASH under GSS-API.
MmSa* MainMode::on_unwrapped(MmSa& mm, const Result<Credential>& result) {
  const AuthState::Claim claim = std::move(*mm.auth.claim);
  mm.auth.claim.reset();
  if (!result || !constant_time_equal(hash_of(mm, false, claim.id_b), result->octets.reveal())) {
    ++core_.counters.bad_crypto;
    bad_proof(mm, true, claim.next_iv, {Errc::kBadAuth, "the peer's HASH is not what its context wraps"});
    return nullptr;
  }
  accept_proof(mm, claim, id_from_principal(mm.auth.principal));
  return advance(mm);
}

MmSa* MainMode::advance(MmSa& mm) {
  AuthState& a = mm.auth;
  const Authenticator& auth = authenticator(mm.connection->auth);
  auto ask = [&] {
    auto what = auth.need(mm);
    if (!what) return false;
    if (const auto* step = std::get_if<GssStep>(&*what); step != nullptr && a.tokens_sent.empty())
      ++core_.counters.gss_contexts;
    core_.ask(mm, std::move(*what));
    if (mm.initiator)  // a responder's time is limited anyhow
      core_.timers.arm({TimerKey::Kind::kMmExpire, mm.number, 0}, core_.now + core_.config->limits.half_open_life);
    return true;
  };
  if (ask()) return nullptr;
  if (!a.g_xy.empty()) {
    if (Status s = derive(mm); !s) return fail(mm, s.error()), nullptr;
    if (ask()) return nullptr;
  }
  if (mm.initiator && a.peer_proved && a.proof_sent) return establish(mm);
  auto message = next_message(mm);
  if (!message) return fail(mm, message.error()), nullptr;
  send_step(mm, std::move(*message));
  return !mm.initiator && a.peer_proved && a.proof_sent ? establish(mm) : nullptr;
}

MmSa* MainMode::establish(MmSa& mm) {
  if (mm.auth.initial_contact) drop_others(mm);
  core_.end_gss(mm);
  mm.auth = AuthState();
  core_.mark_established(mm);
  return &mm;
}

Status MainMode::take_ke_nonce(MmSa& mm, const Incoming& in) const {
  const ByteView ke = find(in.payloads, PayloadType::kKe)->body;
  const ByteView nonce = find(in.payloads, PayloadType::kNonce)->body;
  if (nonce.size() < kNonceLenMin || nonce.size() > kNonceLenMax)
    return Error{Errc::kBadLength, "nonce is not of 8 to 256 octets"};
  if (ke.size() != crypto::prime_len(static_cast<crypto::DhGroup>(mm.suite.group)))
    return Error{Errc::kBadKe, "key exchange value does not have the length of its group"};
  auto g_xy = mm.dh->shared(ke);
  if (!g_xy) return Error{Errc::kBadKe, g_xy.error().detail};
  ESPLANADE_CHECK(authenticator(mm.connection->auth).take_public(mm, in.payloads));
  mm.auth.g_xy = std::move(*g_xy);
  (mm.initiator ? mm.g_xr : mm.g_xi).assign(ke.begin(), ke.end());
  (mm.initiator ? mm.nr_b : mm.ni_b).assign(nonce.begin(), nonce.end());
  return ok();
}

Status MainMode::derive(MmSa& mm) {
  Secret skeyid = authenticator(mm.connection->auth).skeyid(mm);
  ESPLANADE_TRY(keys, derive_mm_keys(mm.suite, std::move(skeyid), mm.auth.g_xy.reveal(), mm.cookies.first,
                                     mm.cookies.second));
  mm.keys = std::move(keys);
  mm.auth.g_xy = Secret();
  mm.iv = phase1_iv(mm.suite.hash, mm.g_xi, mm.g_xr);
  mm.dh.reset();
  return ok();
}

Result<Bytes> MainMode::next_message(MmSa& mm) {
  const Authenticator& auth = authenticator(mm.connection->auth);
  const std::size_t index = next_to_send(mm);
  ChainBuilder chain;
  if (index < 4) {
    chain.add(PayloadType::kKe, mm.initiator ? mm.g_xi : mm.g_xr);
    chain.add(PayloadType::kNonce, mm.initiator ? mm.ni_b : mm.nr_b);
    auth.add_public(mm, chain);
    for (const Bytes& body : std::exchange(mm.auth.vendors_later, {})) chain.add(PayloadType::kVendorId, body);
    if (mm.peer_natt)
      for (const Endpoint* e : {&mm.path.remote, &mm.path.local})  // destination first, RFC 3947 s3.2
        chain.add(mm.natt_draft ? PayloadType::kNatDDraft : PayloadType::kNatD,
                  natd_hash(mm.suite.hash, mm.cookies.first, mm.cookies.second, e->address, e->port));
    return clear_message(mm_header(mm.cookies), chain);
  }
  if (index < 6) chain.add(PayloadType::kId, build_id(mm.connection->local_id));
  const bool before = mm.auth.proof_sent;
  auth.add_proof(mm, chain);
  if (!before && mm.auth.proof_sent && first_contact(mm)) {
    Notify n;
    n.protocol = static_cast<std::uint8_t>(ProtocolId::kIsakmp);
    n.type = static_cast<std::uint16_t>(NotifyType::kInitialContact);
    put(n.spi, mm.cookies.first);
    put(n.spi, mm.cookies.second);
    chain.add(PayloadType::kNotify, build_notify(n));
  }
  return protect(mm.keys, mm.suite.encryption, mm.iv, mm_header(mm.cookies), chain);
}

void MainMode::fail(MmSa& mm, const Error& why) {
  log_warn("{}: main mode with {} failed: {}", mm.connection->name, to_string(mm.path.remote), why.detail);
  if (next_to_send(mm) >= 4 && !mm.keys.cipher.empty()) {
    refuse_protected(mm, mm.iv, notify_for(why.code));
  } else {
    refuse(mm_header(mm.cookies), mm.cookies.second, mm.path, notify_for(why.code));
  }
  if (!mm.initiator) core_.event(Event::Kind::kFailed, *mm.connection, nullptr, why.detail);
  core_.remove_mm(mm, why.detail);
}

bool MainMode::first_contact(const MmSa& mm) const {
  return core_.is_only_one(mm) && core_.children_at(*mm.connection, mm.path.remote.address).empty();
}

// RFC 2407 s4.6.3.3: the peer has no other SA with us. Identities have been proved by now.
void MainMode::drop_others(const MmSa& mm) {
  const Core::Proved before = core_.proved(*mm.connection, *mm.peer_id);
  for (std::uint64_t number : before.main_modes)
    if (number != mm.number) core_.remove_mm(*core_.find_mm(number), "the peer started afresh");
  for (std::uint32_t spi : before.children) core_.remove_child(spi, "the peer started afresh");
}

void MainMode::note_vendors(MmSa& mm, const Payloads& payloads) const {
  bool rfc = false;
  for (const RawPayload& p : payloads) {
    if (p.type != PayloadType::kVendorId) continue;
    const Vendor v = vendor_of(p.body);
    if (v == Vendor::kRfc3947) mm.peer_natt = true, rfc = true;
    if (v == Vendor::kNattDraft02 || v == Vendor::kNattDraft02n || v == Vendor::kNattDraft03) mm.peer_natt = true;
    if (means_gss(v)) mm.peer_gss = true;
  }
  mm.natt_draft = mm.peer_natt && !rfc;
  note_abilities(mm, payloads);
}

// Vendor IDs that may come as late as message 4.
void MainMode::note_abilities(MmSa& mm, const Payloads& payloads) const {
  for (const RawPayload& p : payloads) {
    if (p.type != PayloadType::kVendorId) continue;
    const Vendor v = vendor_of(p.body);
    if (v == Vendor::kDpd) mm.peer_dpd = true;
    if (v == Vendor::kFragmentation && (p.body.size() < 20 || (p.body[16] & kFragmentMainMode) != 0))
      mm.peer_fragments = true;
    if (v == Vendor::kMicrosoft) mm.peer_microsoft = true;
    if (v == Vendor::kEsplanade || v == Vendor::kMicrosoft) mm.peer_commit = true;
    if (v == Vendor::kEsplanade) mm.peer_keyd = true;
  }
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
    core_.remove_mm(mm, fmt::format("no answer from {} to message {}{}", to_string(mm.path.remote), mm.expect,
                                    mm.expect >= 5 ? ": wrong credential or identity at one end?" : ""));
    return;
  }
  ++r.tries;
  ++core_.counters.retransmits;
  core_.send(mm.path, r.last_sent);
  core_.timers.arm({TimerKey::Kind::kMmRetransmit, mm.number, 0}, core_.now + core_.retransmit_wait(r.tries));
}

void MainMode::on_expire(MmSa& mm) {
  const bool holder = mm.auth.wait != AuthState::Wait::kNothing;
  core_.remove_mm(mm, holder ? "no answer from the holder of the secrets" : "the initiator went silent");
}

// One forged message must not end a negotiation at once; several are more likely a wrong credential.
void MainMode::bad_proof(MmSa& mm, bool opened, const Iv& last_block, const Error& why) {
  if (++mm.bad_auth < kBadAuthMax) return;
  const std::string text =
      opened ? why.detail : std::string("what it encrypted cannot be read: wrong pre-shared key at one end?");
  log_warn("{}: {} failed to authenticate {} times: {}", mm.connection->name, to_string(mm.path.remote), mm.bad_auth,
           text);
  refuse_protected(mm, opened ? last_block : mm.iv, opened ? notify_for(why.code) : NotifyType::kAuthenticationFailed);
  if (mm.initiator && opened) {  // the responder believes in the SA: it need not
    mm.iv = last_block;
    Informational(core_).send_delete_mm(mm);
  }
  if (!mm.initiator) core_.event(Event::Kind::kFailed, *mm.connection, nullptr, text);
  core_.remove_mm(mm, text);
}

void MainMode::refuse_protected(MmSa& mm, const Iv& last_block, NotifyType type) {
  Header h = mm_header(mm.cookies);
  h.exchange = Exchange::kInformational;
  h.message_id = core_.new_message_id(mm);
  Notify n;
  n.protocol = static_cast<std::uint8_t>(ProtocolId::kIsakmp);
  n.type = static_cast<std::uint16_t>(type);
  ChainBuilder content, chain;
  content.add(PayloadType::kNotify, build_notify(n));
  chain.add(PayloadType::kHash,
            qm_hash1(mm.suite.hash, mm.keys.skeyid_a.reveal(), h.message_id, content.octets()));
  chain.append(content);
  Iv iv = phase2_iv(mm.suite.hash, last_block, h.message_id);
  if (auto message = protect(mm.keys, mm.suite.encryption, iv, h, chain)) core_.send(mm.path, *message);
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
