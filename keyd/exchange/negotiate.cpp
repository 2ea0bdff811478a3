#include "keyd/exchange/negotiate.h"

#include <algorithm>
#include <limits>

#include "keyd/wire/payload_gss.h"

namespace esplanade::ike {
bool is_gss_name(const Attribute& a) { return a.type == static_cast<std::uint16_t>(MmAttribute::kGssName); }

namespace {

Attribute basic(std::uint16_t type, std::uint16_t value) {
  Attribute a{type, true, {}};
  put_be16(a.value, value);
  return a;
}
Attribute basic(MmAttribute type, std::uint16_t value) {
  return basic(static_cast<std::uint16_t>(type), value);
}
Attribute basic(QmAttribute type, std::uint16_t value) {
  return basic(static_cast<std::uint16_t>(type), value);
}
Attribute duration(std::uint16_t type, std::uint32_t value) {
  Attribute a{type, false, {}};
  put_be32(a.value, value);
  return a;
}

const Error kNoChoice{Errc::kUnsupported, "no offered transform fits the configuration"};
const Error kForeign{Errc::kUnsupported, "the peer's choice is not one of the offered transforms"};

std::chrono::seconds to_seconds(std::uint64_t v) {
  return std::chrono::seconds(std::min<std::uint64_t>(v, std::numeric_limits<std::int32_t>::max()));
}

// Life attributes come in pairs, type before duration, and may repeat (RFC 2409 App. A, RFC 2407 s4.5).
struct Lives {
  std::uint16_t pending = 0;
  std::optional<std::uint64_t> seconds;
  std::optional<std::uint64_t> kilobytes;

  Status type(const Attribute& a) {
    ESPLANADE_TRY(v, basic_value(a));
    if (v != kLifeSeconds && v != kLifeKilobytes) return Error{Errc::kUnsupported, "unknown life type"};
    pending = v;
    return ok();
  }
  Status duration_of(const Attribute& a) {
    ESPLANADE_TRY(v, variable_value(a));
    if (pending == 0) return Error{Errc::kMalformed, "life duration without its type"};
    if (v == 0) return Error{Errc::kMalformed, "life duration of 0"};
    (pending == kLifeSeconds ? seconds : kilobytes) = v;
    pending = 0;
    return ok();
  }
};

Status set_once(std::uint16_t& field, const Attribute& a) {
  ESPLANADE_TRY(v, basic_value(a));
  if (field != 0) return Error{Errc::kMalformed, "attribute stands twice"};
  if (v == 0) return Error{Errc::kUnsupported, "attribute value 0"};
  field = v;
  return ok();
}

Proposal with_only(const Proposal& p, const Transform& t) {
  return Proposal{p.number, p.protocol, p.spi, {t}};
}

// A number's form is the sender's choice: strongSwan turns a life duration of 4 octets into a basic attribute
// when it fits. So leading zero octets and the form do not count.
Attributes normalised(const Attributes& in) {
  Attributes out = in;
  for (Attribute& a : out) {
    if (a.value.size() > 8) continue;
    a.basic = false;
    while (a.value.size() > 1 && a.value.front() == 0) a.value.erase(a.value.begin());
  }
  return out;
}

// Equal as a set of attributes (R77); the order is the sender's business too. The name for GSS-API, where one was
// offered, is the responder's in the reply.
bool same_attributes(const Attributes& offered, const Attributes& chosen) {
  Attributes a = normalised(offered), b = normalised(chosen);
  if (std::erase_if(a, is_gss_name) != 0) std::erase_if(b, is_gss_name);
  auto less = [](const Attribute& x, const Attribute& y) {
    return std::tie(x.type, x.basic, x.value) < std::tie(y.type, y.basic, y.value);
  };
  std::ranges::sort(a, less);
  std::ranges::sort(b, less);
  return a == b;
}

// The offered transform that a reply repeats.
bool was_offered(const Proposal& reply, const std::vector<Proposal>& offer) {
  for (const Proposal& p : offer) {
    if (p.number != reply.number || p.protocol != reply.protocol) continue;
    for (const Transform& t : p.transforms) {
      const Transform& r = reply.transforms.front();
      if (t.number == r.number && t.id == r.id && same_attributes(t.attributes, r.attributes)) return true;
    }
  }
  return false;
}

// What a quick mode transform says.
struct QmReading {
  QmSuite suite;
  bool transport = false;
  std::chrono::seconds life{28800};
  std::uint64_t kilobytes = 0;
};

std::uint16_t mode_number(bool transport, Encap encap) {
  switch (encap) {
    case Encap::kPlain:
      return transport ? kEncapTransport : kEncapTunnel;
    case Encap::kUdp:
      return transport ? kEncapUdpTransport : kEncapUdpTunnel;
    case Encap::kUdpDraft:
      break;
  }
  return transport ? kEncapUdpTransportDraft : kEncapUdpTunnelDraft;
}

// The mode says tunnel or transport, and must fit the path: RFC 3947 s5.1, the UDP modes are for a path with
// NAT and only for that. AH cannot pass NAT, so it has no UDP mode (RFC 3948 s1).
Status read_mode(std::uint16_t mode, bool ah, Encap encap, bool& transport) {
  const bool udp = mode == kEncapUdpTunnel || mode == kEncapUdpTransport || mode == kEncapUdpTunnelDraft ||
                   mode == kEncapUdpTransportDraft;
  transport = mode == kEncapTransport || mode == kEncapUdpTransport || mode == kEncapUdpTransportDraft;
  if (mode == 0 || (!udp && mode > kEncapTransport) || udp != (encap != Encap::kPlain) || (ah && udp))
    return Error{Errc::kUnsupported, "encapsulation mode does not fit the path"};
  return ok();
}

bool known_suite(const QmSuite& s) {
  const bool hmac = s.auth == kQmHmacMd5 || s.auth == kQmHmacSha1;
  if (s.group != 0 && !group_supported(s.group)) return false;
  if (s.protocol == ProtocolId::kAh)  // RFC 2407 s4.4.3: transform and attribute agree
    return (s.transform == kAhMd5 && s.auth == kQmHmacMd5) || (s.transform == kAhSha && s.auth == kQmHmacSha1);
  if (s.transform == kEspNull) return hmac;  // RFC 2407 s4.5: NULL needs authentication
  return (s.transform == kEspDes || s.transform == kEspTripleDes) && (hmac || s.auth == 0);
}

Result<QmReading> read_qm_transform(const Proposal& proposal, const Transform& transform, Encap encap) {
  const bool ah = proposal.protocol == ProtocolId::kAh;
  if ((!ah && proposal.protocol != ProtocolId::kEsp) || proposal.spi.size() != 4)
    return Error{Errc::kUnsupported, "not a proposal for AH or ESP with an SPI of 4 octets"};
  if (load_be32(proposal.spi.data()) < 256)
    return Error{Errc::kUnsupported, "reserved SPI"};  // RFC 2406 s2.1
  QmReading r;
  r.suite = QmSuite{proposal.protocol, transform.id, 0, 0};
  std::uint16_t mode = 0;
  Lives lives;
  for (const Attribute& a : transform.attributes) {
    switch (static_cast<QmAttribute>(a.type)) {
      case QmAttribute::kLifeType:
        ESPLANADE_CHECK(lives.type(a));
        break;
      case QmAttribute::kLifeDuration:
        ESPLANADE_CHECK(lives.duration_of(a));
        break;
      case QmAttribute::kGroup:
        ESPLANADE_CHECK(set_once(r.suite.group, a));
        break;
      case QmAttribute::kEncapsulation:
        ESPLANADE_CHECK(set_once(mode, a));
        break;
      case QmAttribute::kAuth:
        ESPLANADE_CHECK(set_once(r.suite.auth, a));
        break;
      default:
        return Error{Errc::kUnsupported, "transform with an attribute that we do not know"};
    }
  }
  ESPLANADE_CHECK(read_mode(mode, ah, encap, r.transport));
  if (!known_suite(r.suite))
    return Error{Errc::kUnsupported, "transform with algorithms that we do not have"};
  if (lives.seconds) r.life = to_seconds(*lives.seconds);
  if (lives.kilobytes) r.kilobytes = *lives.kilobytes;
  return r;
}

// One more protocol of the choice. False: its mode or group is not that of the part before (RFC 2407 s4.5).
bool add_part(QmChoice& c, const Proposal& p, const Transform& t, const QmReading& r) {
  if (!c.parts.empty() && (c.transport != r.transport || c.group != r.suite.group)) return false;
  const bool first = c.parts.empty();
  c.transport = r.transport;
  c.group = r.suite.group;
  c.life = first ? r.life : std::min(c.life, r.life);
  if (r.kilobytes != 0 && (c.kilobytes == 0 || r.kilobytes < c.kilobytes)) c.kilobytes = r.kilobytes;
  c.parts.push_back({r.suite, load_be32(p.spi.data()), with_only(p, t)});
  return true;
}

bool child_takes(const ChildConfig& child, std::uint16_t mm_group, const QmReading& r) {
  if (r.transport != child.transport) return false;
  if (r.suite.group == 0 ? child.pfs : r.suite.group != mm_group) return false;
  QmSuite wanted = r.suite;
  wanted.group = 0;
  const auto& list = wanted.protocol == ProtocolId::kAh ? child.ah_suites : child.suites;
  return std::ranges::find(list, wanted) != list.end();
}

// Completes `c` with a transform of each proposal of `bundle` from `at` on, the first that fits.
bool choose_parts(const std::vector<const Proposal*>& bundle, std::size_t at, const ChildConfig& child,
                  std::uint16_t mm_group, Encap encap, QmChoice& c) {
  if (at == bundle.size()) return true;
  for (const Transform& t : bundle[at]->transforms) {
    auto r = read_qm_transform(*bundle[at], t, encap);
    if (!r || !child_takes(child, mm_group, *r)) continue;
    QmChoice next = c;
    if (!add_part(next, *bundle[at], t, *r) ||
        !choose_parts(bundle, at + 1, child, mm_group, encap, next))
      continue;
    c = std::move(next);
    return true;
  }
  return false;
}

// The proposals with this number: a logical AND of protocols (RFC 2408 s4.2).
std::vector<const Proposal*> with_number(const std::vector<Proposal>& offer, std::uint8_t number) {
  std::vector<const Proposal*> out;
  for (const Proposal& p : offer)
    if (p.number == number) out.push_back(&p);
  return out;
}

// ESP alone, AH alone, or one of each: nothing else may share a number.
bool fits_child(const std::vector<const Proposal*>& bundle, const ChildConfig& child) {
  if (!child.bundle) return bundle.size() == 1;
  return bundle.size() == 2 && bundle[0]->protocol != bundle[1]->protocol;
}

}  // namespace

std::vector<Proposal> mm_offer(const Connection& connection) {
  Proposal p;
  p.number = 1;
  p.protocol = ProtocolId::kIsakmp;
  for (const MmSuite& s : connection.suites) {
    Transform t;
    t.number = static_cast<std::uint8_t>(p.transforms.size() + 1);
    t.id = kTransformKeyIke;
    t.attributes = {basic(MmAttribute::kEncryption, s.encryption),
                    basic(MmAttribute::kHash, s.hash),
                    basic(MmAttribute::kGroup, s.group),
                    basic(MmAttribute::kAuthMethod, auth_value(connection.auth)),
                    basic(MmAttribute::kLifeType, kLifeSeconds),
                    duration(static_cast<std::uint16_t>(MmAttribute::kLifeDuration),
                             static_cast<std::uint32_t>(connection.life.count()))};
    if (connection.life_kilobytes != 0) {
      t.attributes.push_back(basic(MmAttribute::kLifeType, kLifeKilobytes));
      t.attributes.push_back(duration(static_cast<std::uint16_t>(MmAttribute::kLifeDuration),
                                      connection.life_kilobytes));
    }
    if (connection.auth == AuthMethod::kGss)
      t.attributes.push_back({static_cast<std::uint16_t>(MmAttribute::kGssName), false,
                              build_gss_name(connection.gss_name)});
    p.transforms.push_back(std::move(t));
  }
  return {p};
}

Result<MmChoice> read_mm_transform(const Proposal& proposal, const Transform& transform) {
  if (proposal.protocol != ProtocolId::kIsakmp || transform.id != kTransformKeyIke)
    return Error{Errc::kUnsupported, "not a proposal for an ISAKMP SA with KEY_IKE"};
  MmChoice c;
  c.suite = MmSuite{0, 0, 0};
  c.auth = 0;
  Lives lives;
  for (const Attribute& a : transform.attributes) {
    switch (static_cast<MmAttribute>(a.type)) {
      case MmAttribute::kEncryption:
        ESPLANADE_CHECK(set_once(c.suite.encryption, a));
        break;
      case MmAttribute::kHash:
        ESPLANADE_CHECK(set_once(c.suite.hash, a));
        break;
      case MmAttribute::kAuthMethod:
        ESPLANADE_CHECK(set_once(c.auth, a));
        break;
      case MmAttribute::kGroup:
        ESPLANADE_CHECK(set_once(c.suite.group, a));
        break;
      case MmAttribute::kLifeType:
        ESPLANADE_CHECK(lives.type(a));
        break;
      case MmAttribute::kLifeDuration:
        ESPLANADE_CHECK(lives.duration_of(a));
        break;
      case MmAttribute::kGssName:
        if (!c.gss_name.empty()) return Error{Errc::kMalformed, "attribute stands twice"};
        c.gss_name = a.value;
        break;
      default:
        return Error{Errc::kUnsupported, "transform with an attribute that we do not know"};
    }
  }
  // All four are mandatory (R63); what is absent is 0 and fails here.
  const bool known = (c.suite.encryption == kMmDesCbc || c.suite.encryption == kMmTripleDesCbc) &&
                     (c.suite.hash == kMmMd5 || c.suite.hash == kMmSha1) &&
                     (c.auth == kAuthPsk || c.auth == kAuthRsaSig || c.auth == kAuthGssKerberos) &&
                     (c.gss_name.empty() || c.auth == kAuthGssKerberos) && group_supported(c.suite.group);
  if (!known) return Error{Errc::kUnsupported, "transform with algorithms that we do not have"};
  if (lives.seconds) c.life = to_seconds(*lives.seconds);
  if (lives.kilobytes) c.kilobytes = *lives.kilobytes;
  c.reply = with_only(proposal, transform);
  return c;
}

Result<MmChoice> choose_mm(const std::vector<Proposal>& offer, const Connection& connection) {
  for (const Proposal& p : offer) {
    for (const Transform& t : p.transforms) {
      auto choice = read_mm_transform(p, t);
      if (!choice || choice->auth != auth_value(connection.auth) ||
          std::ranges::find(connection.suites, choice->suite) == connection.suites.end())
        continue;
      for (Attribute& a : choice->reply.transforms.front().attributes)
        if (is_gss_name(a)) a.value = build_gss_name(connection.gss_name);
      return choice;
    }
  }
  return kNoChoice;
}

Result<MmChoice> accept_mm(const std::vector<Proposal>& reply, const std::vector<Proposal>& offer) {
  if (reply.size() != 1 || reply.front().transforms.size() != 1 || !was_offered(reply.front(), offer))
    return kForeign;
  return read_mm_transform(reply.front(), reply.front().transforms.front());
}

std::vector<Proposal> qm_offer(const ChildConfig& child, const OwnSpis& spis, Encap encap,
                               std::uint16_t group) {
  std::vector<Proposal> offer;
  auto add = [&](ProtocolId protocol, std::uint32_t spi, const std::vector<QmSuite>& suites) {
    if (suites.empty()) return;
    Proposal p;
    p.number = static_cast<std::uint8_t>(child.bundle ? 1 : offer.size() + 1);
    p.protocol = protocol;
    put_be32(p.spi, spi);
    for (const QmSuite& s : suites) {
      Transform t;
      t.number = static_cast<std::uint8_t>(p.transforms.size() + 1);
      t.id = s.transform;
      t.attributes = {basic(QmAttribute::kEncapsulation, mode_number(child.transport, encap)),
                      basic(QmAttribute::kLifeType, kLifeSeconds),
                      duration(static_cast<std::uint16_t>(QmAttribute::kLifeDuration),
                               static_cast<std::uint32_t>(child.life.count()))};
      if (child.life_kilobytes != 0) {
        t.attributes.push_back(basic(QmAttribute::kLifeType, kLifeKilobytes));
        t.attributes.push_back(
            duration(static_cast<std::uint16_t>(QmAttribute::kLifeDuration), child.life_kilobytes));
      }
      if (s.auth != 0) t.attributes.push_back(basic(QmAttribute::kAuth, s.auth));
      if (group != 0) t.attributes.push_back(basic(QmAttribute::kGroup, group));
      p.transforms.push_back(std::move(t));
    }
    offer.push_back(std::move(p));
  };
  // RFC 2408 s4.2 writes AH first in a bundle; as alternatives ESP is preferred.
  if (child.bundle) add(ProtocolId::kAh, spis.ah, child.ah_suites);
  add(ProtocolId::kEsp, spis.esp, child.suites);
  if (!child.bundle && encap == Encap::kPlain) add(ProtocolId::kAh, spis.ah, child.ah_suites);
  return offer;
}

std::string to_string(const QmChoice& choice) {
  std::string out;
  for (const QmPart& p : choice.parts) out += (out.empty() ? "" : " + ") + to_string(p.suite);
  return out;
}

Result<QmChoice> choose_qm(const std::vector<Proposal>& offer, const ChildConfig& child,
                           std::uint16_t mm_group, Encap encap) {
  for (const Proposal& p : offer) {
    const auto bundle = with_number(offer, p.number);
    if (bundle.front() != &p || !fits_child(bundle, child)) continue;
    QmChoice choice;
    if (choose_parts(bundle, 0, child, mm_group, encap, choice)) return choice;
  }
  return kNoChoice;
}

Result<QmChoice> accept_qm(const std::vector<Proposal>& reply, const std::vector<Proposal>& offer,
                           Encap encap) {
  QmChoice choice;
  for (const Proposal& p : reply) {
    if (p.number != reply.front().number || p.transforms.size() != 1 || !was_offered(p, offer))
      return kForeign;
    ESPLANADE_TRY(reading, read_qm_transform(p, p.transforms.front(), encap));
    for (const QmPart& other : choice.parts)
      if (other.suite.protocol == p.protocol) return kForeign;
    if (!add_part(choice, p, p.transforms.front(), reading)) return kForeign;
  }
  // All protocols of the bundle or none (RFC 2408 s4.2).
  if (reply.size() != with_number(offer, reply.front().number).size()) return kForeign;
  return choice;
}

Result<NotifiedLife> parse_notified_life(ByteView data, bool phase1) {
  ESPLANADE_TRY(attributes, parse_attributes(data));
  const auto type = static_cast<std::uint16_t>(phase1 ? static_cast<std::uint16_t>(MmAttribute::kLifeType)
                                                      : static_cast<std::uint16_t>(QmAttribute::kLifeType));
  Lives lives;
  for (const Attribute& a : attributes) {
    if (a.type == type) {
      ESPLANADE_CHECK(lives.type(a));
    } else if (a.type == type + 1) {  // the duration's number follows that of the type in both phases
      ESPLANADE_CHECK(lives.duration_of(a));
    }
  }
  NotifiedLife out;
  // A peer may shorten a life, but not so far that the two do nothing but negotiate.
  constexpr std::chrono::seconds kSecondsMin{30};
  constexpr std::uint64_t kKilobytesMin = 4;
  if (lives.seconds) out.seconds = std::max(to_seconds(*lives.seconds), kSecondsMin);
  if (lives.kilobytes) out.kilobytes = std::max(*lives.kilobytes, kKilobytesMin);
  return out;
}

Bytes build_notified_life(std::chrono::seconds seconds, std::uint64_t kilobytes, bool phase1) {
  const auto type = static_cast<std::uint16_t>(phase1 ? static_cast<std::uint16_t>(MmAttribute::kLifeType)
                                                      : static_cast<std::uint16_t>(QmAttribute::kLifeType));
  const auto length = static_cast<std::uint16_t>(type + 1);
  Bytes out;
  put_basic(out, type, kLifeSeconds);
  put_u32(out, length, static_cast<std::uint32_t>(seconds.count()));
  if (kilobytes != 0) {
    put_basic(out, type, kLifeKilobytes);
    put_u32(out, length, static_cast<std::uint32_t>(std::min<std::uint64_t>(kilobytes, UINT32_MAX)));
  }
  return out;
}

}  // namespace esplanade::ike
