#include "keyd/wire/payload_sa.h"

namespace esplanade::ike {
namespace {

// Splits a nested chain in which every element has one type (RFC 2408 s3.5, s3.6).
Result<Payloads> split_nested(PayloadType type, ByteView octets, const char* empty) {
  if (octets.empty()) return Error{Errc::kMalformed, empty};
  ESPLANADE_TRY(chain, split_payloads(type, octets, false));
  for (const RawPayload& p : chain)
    if (p.type != type) return Error{Errc::kMalformed, "foreign payload inside an SA payload"};
  return chain;
}

Result<Transform> parse_transform(ByteView body) {
  Reader in(body);
  Transform t;
  ESPLANADE_TRY(number, in.u8("transform number"));
  ESPLANADE_TRY(id, in.u8("transform id"));
  ESPLANADE_TRY(reserved, in.u16("transform reserved"));
  if (reserved != 0) return Error{Errc::kMalformed, "reserved octets of a transform are not 0", 2};
  ESPLANADE_TRY(attributes, parse_attributes(body.subspan(in.offset())));
  t.number = number;
  t.id = id;
  t.attributes = std::move(attributes);
  return t;
}

Result<Proposal> parse_proposal(ByteView body) {
  Reader in(body);
  Proposal p;
  ESPLANADE_TRY(number, in.u8("proposal number"));
  ESPLANADE_TRY(protocol, in.u8("protocol id"));
  ESPLANADE_TRY(spi_len, in.u8("SPI size"));
  ESPLANADE_TRY(num_transforms, in.u8("number of transforms"));
  ESPLANADE_TRY(spi, in.take(spi_len, "SPI"));
  ESPLANADE_TRY(
      chain, split_nested(PayloadType::kTransform, body.subspan(in.offset()), "proposal without transform"));
  if (chain.size() != num_transforms)
    return Error{Errc::kMalformed, "proposal's number of transforms is wrong", 3};
  p.number = number;
  p.protocol = static_cast<ProtocolId>(protocol);
  p.spi.assign(spi.begin(), spi.end());
  for (const RawPayload& raw : chain) {
    ESPLANADE_TRY(transform, parse_transform(raw.body));
    p.transforms.push_back(std::move(transform));
  }
  return p;
}

Bytes build_proposal(const Proposal& p) {
  Bytes out{p.number, static_cast<Byte>(p.protocol), static_cast<Byte>(p.spi.size()),
            static_cast<Byte>(p.transforms.size())};
  put(out, p.spi);
  ChainBuilder chain;
  for (const Transform& t : p.transforms) {
    Bytes body{t.number, t.id, 0, 0};
    for (const Attribute& a : t.attributes) {
      put_be16(body, static_cast<std::uint16_t>(a.type | (a.basic ? 0x8000 : 0)));
      if (!a.basic) put_be16(body, static_cast<std::uint16_t>(a.value.size()));
      put(body, a.value);
    }
    chain.add(PayloadType::kTransform, body);
  }
  put(out, chain.octets());
  return out;
}

}  // namespace

Result<std::vector<Proposal>> parse_sa(ByteView body) {
  Reader in(body);
  ESPLANADE_TRY(doi, in.u32("DOI"));
  if (doi != kDoiIpsec) return Error{Errc::kUnsupported, "DOI of the SA payload is not IPsec", 0};
  ESPLANADE_TRY(situation, in.u32("situation"));
  if (situation != kSitIdentityOnly)
    return Error{Errc::kUnsupported, "situation of the SA payload is not identity-only", 4};
  ESPLANADE_TRY(
      chain, split_nested(PayloadType::kProposal, body.subspan(in.offset()), "SA payload without proposal"));
  std::vector<Proposal> out;
  for (const RawPayload& raw : chain) {
    ESPLANADE_TRY(proposal, parse_proposal(raw.body));
    out.push_back(std::move(proposal));
  }
  return out;
}

Bytes build_sa(const std::vector<Proposal>& proposals) {
  Bytes out;
  put_be32(out, kDoiIpsec);
  put_be32(out, kSitIdentityOnly);
  ChainBuilder chain;
  for (const Proposal& p : proposals) chain.add(PayloadType::kProposal, build_proposal(p));
  put(out, chain.octets());
  return out;
}

}  // namespace esplanade::ike
