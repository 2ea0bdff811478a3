#include "keyd/exchange/negotiate.h"

#include <algorithm>
#include <limits>

namespace esplanade::ike {
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

// Equal as a set of attributes (R77); the order is the sender's business too.
bool same_attributes(const Attributes& offered, const Attributes& chosen) {
  Attributes a = normalised(offered), b = normalised(chosen);
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

// True when the proposal shares its number with another: a logical AND of protocols (RFC 2408 s4.2).
bool is_bundle(const std::vector<Proposal>& offer, const Proposal& p) {
  return std::ranges::count(offer, p.number, &Proposal::number) > 1;
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
                    basic(MmAttribute::kAuthMethod, kAuthPsk),
                    basic(MmAttribute::kLifeType, kLifeSeconds),
                    duration(static_cast<std::uint16_t>(MmAttribute::kLifeDuration),
                             static_cast<std::uint32_t>(connection.life.count()))};
    p.transforms.push_back(std::move(t));
  }
  return {p};
}

Result<MmChoice> read_mm_transform(const Proposal& proposal, const Transform& transform) {
  if (proposal.protocol != ProtocolId::kIsakmp || transform.id != kTransformKeyIke)
    return Error{Errc::kUnsupported, "not a proposal for an ISAKMP SA with KEY_IKE"};
  MmChoice c;
  c.suite = MmSuite{0, 0, 0};
  std::uint16_t auth = 0;
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
        ESPLANADE_CHECK(set_once(auth, a));
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
      default:
        return Error{Errc::kUnsupported, "transform with an attribute that we do not know"};
    }
  }
  // All four are mandatory (R63); what is absent is 0 and fails here.
  const bool known = (c.suite.encryption == kMmDesCbc || c.suite.encryption == kMmTripleDesCbc) &&
                     (c.suite.hash == kMmMd5 || c.suite.hash == kMmSha1) && auth == kAuthPsk &&
                     group_supported(c.suite.group);
  if (!known) return Error{Errc::kUnsupported, "transform with algorithms that we do not have"};
  if (lives.seconds) c.life = to_seconds(*lives.seconds);
  c.reply = with_only(proposal, transform);
  return c;
}

Result<MmChoice> choose_mm(const std::vector<Proposal>& offer, const Connection& connection) {
  for (const Proposal& p : offer) {
    for (const Transform& t : p.transforms) {
      auto choice = read_mm_transform(p, t);
      if (choice && std::ranges::find(connection.suites, choice->suite) != connection.suites.end())
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

std::vector<Proposal> qm_offer(const ChildConfig& child, std::uint32_t spi, Encap encap) {
  Proposal p;
  p.number = 1;
  p.protocol = ProtocolId::kEsp;
  put_be32(p.spi, spi);
  const int shift = encap == Encap::kUdp        ? kEncapUdpTunnel - kEncapTunnel
                    : encap == Encap::kUdpDraft ? kEncapUdpTunnelDraft - kEncapTunnel
                                                : 0;
  const auto mode = static_cast<std::uint16_t>((child.transport ? kEncapTransport : kEncapTunnel) + shift);
  for (const QmSuite& s : child.suites) {
    Transform t;
    t.number = static_cast<std::uint8_t>(p.transforms.size() + 1);
    t.id = s.transform;
    t.attributes = {basic(QmAttribute::kEncapsulation, mode), basic(QmAttribute::kLifeType, kLifeSeconds),
                    duration(static_cast<std::uint16_t>(QmAttribute::kLifeDuration),
                             static_cast<std::uint32_t>(child.life.count()))};
    if (child.life_kilobytes != 0) {
      t.attributes.push_back(basic(QmAttribute::kLifeType, kLifeKilobytes));
      t.attributes.push_back(
          duration(static_cast<std::uint16_t>(QmAttribute::kLifeDuration), child.life_kilobytes));
    }
    if (s.auth != 0) t.attributes.push_back(basic(QmAttribute::kAuth, s.auth));
    if (s.group != 0) t.attributes.push_back(basic(QmAttribute::kGroup, s.group));
    p.transforms.push_back(std::move(t));
  }
  return {p};
}

Result<QmChoice> read_qm_transform(const Proposal& proposal, const Transform& transform, Encap encap) {
  if (proposal.protocol != ProtocolId::kEsp || proposal.spi.size() != 4)
    return Error{Errc::kUnsupported, "not a proposal for ESP with an SPI of 4 octets"};
  QmChoice c;
  c.suite = QmSuite{ProtocolId::kEsp, transform.id, 0, 0};
  c.spi = load_be32(proposal.spi.data());
  if (c.spi < 256) return Error{Errc::kUnsupported, "reserved SPI"};  // RFC 2406 s2.1
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
        ESPLANADE_CHECK(set_once(c.suite.group, a));
        break;
      case QmAttribute::kEncapsulation:
        ESPLANADE_CHECK(set_once(mode, a));
        break;
      case QmAttribute::kAuth:
        ESPLANADE_CHECK(set_once(c.suite.auth, a));
        break;
      default:
        return Error{Errc::kUnsupported, "transform with an attribute that we do not know"};
    }
  }
  const bool udp = mode == kEncapUdpTunnel || mode == kEncapUdpTransport || mode == kEncapUdpTunnelDraft ||
                   mode == kEncapUdpTransportDraft;
  c.transport = mode == kEncapTransport || mode == kEncapUdpTransport || mode == kEncapUdpTransportDraft;
  // RFC 3947 s5.1: the UDP modes are for a path with NAT, and only for that.
  if (mode == 0 || (!udp && mode > kEncapTransport) || udp != (encap != Encap::kPlain))
    return Error{Errc::kUnsupported, "encapsulation mode does not fit the path"};
  const bool known =
      (c.suite.transform == kEspNull || c.suite.transform == kEspDes || c.suite.transform == kEspTripleDes) &&
      (c.suite.auth == kQmHmacMd5 || c.suite.auth == kQmHmacSha1) &&
      (c.suite.group == 0 || group_supported(c.suite.group));
  if (!known) return Error{Errc::kUnsupported, "transform with algorithms that we do not have"};
  if (lives.seconds) c.life = to_seconds(*lives.seconds);
  if (lives.kilobytes) c.kilobytes = *lives.kilobytes;
  c.reply = with_only(proposal, transform);
  return c;
}

Result<QmChoice> choose_qm(const std::vector<Proposal>& offer, const ChildConfig& child, Encap encap) {
  for (const Proposal& p : offer) {
    if (is_bundle(offer, p)) continue;
    for (const Transform& t : p.transforms) {
      auto choice = read_qm_transform(p, t, encap);
      if (!choice || choice->transport != child.transport) continue;
      for (QmSuite s : child.suites) {
        // R36: PFS that only the initiator wants is accepted; R37: PFS that we want is required.
        if (s.group == 0) s.group = choice->suite.group;
        if (s == choice->suite) return choice;
      }
    }
  }
  return kNoChoice;
}

Result<QmChoice> accept_qm(const std::vector<Proposal>& reply, const std::vector<Proposal>& offer,
                           Encap encap) {
  if (reply.size() != 1 || reply.front().transforms.size() != 1 || !was_offered(reply.front(), offer))
    return kForeign;
  return read_qm_transform(reply.front(), reply.front().transforms.front(), encap);
}

}  // namespace esplanade::ike
