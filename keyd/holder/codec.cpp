#include "keyd/holder/codec.h"

#include <algorithm>

namespace esplanade::ike {
namespace {

constexpr std::uint8_t kCodecVersion = 1;
enum class Kind : std::uint8_t { kPsk = 1, kRsa, kStep, kWrap, kUnwrap, kEnd };

constexpr std::size_t kConnectionMax = 255;
constexpr std::size_t kCertificateMax = 32 * 1024;
constexpr std::size_t kWrappedMax = 4096;
constexpr std::size_t kDetailMax = 500;
constexpr auto kLastErrc = Errc::kBadInner;

ByteView view(std::string_view text) { return {reinterpret_cast<const Byte*>(text.data()), text.size()}; }
void put_short(Bytes& out, ByteView in) {
  put_be16(out, static_cast<std::uint16_t>(in.size()));
  put(out, in);
}
void put_long(Bytes& out, ByteView in) {
  put_be32(out, static_cast<std::uint32_t>(in.size()));
  put(out, in);
}
void put_be64(Bytes& out, std::uint64_t v) {
  put_be32(out, static_cast<std::uint32_t>(v >> 32));
  put_be32(out, static_cast<std::uint32_t>(v));
}

Result<ByteView> bounded(Reader& in, std::size_t len, std::size_t least, std::size_t most, const char* what) {
  if (len < least || len > most) return Error{Errc::kBadLength, std::string(what) + " is too short or too long"};
  return in.take(len, what);
}
Result<ByteView> take_short(Reader& in, std::size_t least, std::size_t most, const char* what) {
  ESPLANADE_TRY(len, in.u16(what));
  return bounded(in, len, least, most, what);
}
Result<ByteView> take_long(Reader& in, std::size_t least, std::size_t most, const char* what) {
  ESPLANADE_TRY(len, in.u32(what));
  return bounded(in, len, least, most, what);
}
Result<std::uint64_t> take_u64(Reader& in, const char* what) {
  ESPLANADE_TRY(octets, in.take(8, what));
  return load_be64(octets.data());
}
Result<bool> take_bool(Reader& in, const char* what) {
  ESPLANADE_TRY(octet, in.u8(what));
  if (octet > 1) return Error{Errc::kMalformed, std::string(what) + " is neither 0 nor 1"};
  return octet == 1;
}
Bytes copy(ByteView in) { return Bytes(in.begin(), in.end()); }
std::string text(ByteView in) { return std::string(in.begin(), in.end()); }

Status all_read(const Reader& in) {
  if (in.left() != 0) return Error{Errc::kMalformed, "octets follow the end of a packet", in.offset()};
  return ok();
}

struct Encoder {
  Bytes& out;
  void kind(Kind k, const std::string& connection) {
    out.push_back(static_cast<Byte>(k));
    put_short(out, view(connection));
  }
  bool fits(std::size_t size, std::size_t most) { return size <= most; }

  bool operator()(const std::string& connection, const PskSkeyid& r) {
    kind(Kind::kPsk, connection);
    out.push_back(static_cast<Byte>(r.hash));
    put_short(out, r.ni_b);
    put_short(out, r.nr_b);
    return fits(r.ni_b.size(), kNonceMax) && fits(r.nr_b.size(), kNonceMax);
  }
  bool operator()(const std::string& connection, const RsaSign& r) {
    kind(Kind::kRsa, connection);
    put_short(out, r.hash);
    put_long(out, r.certificate);
    return fits(r.hash.size(), 20) && fits(r.certificate.size(), kCertificateMax);
  }
  bool operator()(const std::string& connection, const GssStep& r) {
    kind(Kind::kStep, connection);
    put_be64(out, r.context);
    out.push_back(r.initiator ? 1 : 0);
    put_short(out, view(r.target));
    put_long(out, r.token);
    return fits(r.target.size(), kGssNameMax) && fits(r.token.size(), kGssTokenMax);
  }
  bool operator()(const std::string& connection, const GssWrap& r) {
    kind(Kind::kWrap, connection);
    put_be64(out, r.context);
    put_long(out, r.octets);
    return fits(r.octets.size(), kWrappedMax);
  }
  bool operator()(const std::string& connection, const GssUnwrap& r) {
    kind(Kind::kUnwrap, connection);
    put_be64(out, r.context);
    put_long(out, r.octets);
    return fits(r.octets.size(), kWrappedMax);
  }
  bool operator()(const std::string& connection, const GssEnd& r) {
    kind(Kind::kEnd, connection);
    put_be64(out, r.context);
    return true;
  }
};

Result<PskSkeyid> decode_psk(Reader& in) {
  PskSkeyid r;
  ESPLANADE_TRY(hash, in.u8("hash"));
  if (hash > static_cast<std::uint8_t>(crypto::Hash::kSha1))
    return Error{Errc::kMalformed, "hash is not known"};
  r.hash = static_cast<crypto::Hash>(hash);
  ESPLANADE_TRY(ni, take_short(in, kNonceMin, kNonceMax, "Ni_b"));
  ESPLANADE_TRY(nr, take_short(in, kNonceMin, kNonceMax, "Nr_b"));
  r.ni_b = copy(ni);
  r.nr_b = copy(nr);
  return r;
}

Result<RsaSign> decode_rsa(Reader& in) {
  RsaSign r;
  ESPLANADE_TRY(hash, take_short(in, 16, 20, "hash"));
  ESPLANADE_TRY(certificate, take_long(in, 1, kCertificateMax, "certificate"));
  r.hash = copy(hash);
  r.certificate = copy(certificate);
  return r;
}

Result<GssStep> decode_step(Reader& in) {
  GssStep r;
  ESPLANADE_TRY(context, take_u64(in, "context"));
  ESPLANADE_TRY(initiator, take_bool(in, "initiator"));
  ESPLANADE_TRY(target, take_short(in, 0, kGssNameMax, "target"));
  ESPLANADE_TRY(token, take_long(in, 0, kGssTokenMax, "token"));
  if (std::ranges::find(target, Byte{0}) != target.end())
    return Error{Errc::kMalformed, "target has a NUL octet"};
  r.context = context;
  r.initiator = initiator;
  r.target = text(target);
  r.token = copy(token);
  return r;
}

template <class T>
Result<T> decode_wrapping(Reader& in) {
  T r;
  ESPLANADE_TRY(context, take_u64(in, "context"));
  ESPLANADE_TRY(octets, take_long(in, 1, kWrappedMax, "octets"));
  r.context = context;
  r.octets = copy(octets);
  return r;
}

template <class T>
Status store(CredentialRequest& request, Result<T> what) {
  if (!what) return what.error();
  request.what = std::move(*what);
  return ok();
}

Status decode_kind(Reader& in, Kind kind, CredentialRequest& request) {
  switch (kind) {
    case Kind::kPsk:
      return store(request, decode_psk(in));
    case Kind::kRsa:
      return store(request, decode_rsa(in));
    case Kind::kStep:
      return store(request, decode_step(in));
    case Kind::kWrap:
      return store(request, decode_wrapping<GssWrap>(in));
    case Kind::kUnwrap:
      return store(request, decode_wrapping<GssUnwrap>(in));
    case Kind::kEnd: {
      ESPLANADE_TRY(context, take_u64(in, "context"));
      request.what = GssEnd{context};
      return ok();
    }
  }
  return Error{Errc::kMalformed, "kind of request is not known"};
}

Result<Ticket> decode_start(Reader& in) {
  ESPLANADE_TRY(version, in.u8("version"));
  if (version != kCodecVersion) return Error{Errc::kMalformed, "version of a packet is not known"};
  return in.u32("ticket");
}

}  // namespace

Result<Secret> encode_request(const CredentialRequest& request) {
  Bytes out{kCodecVersion};
  put_be32(out, request.ticket);
  Encoder encoder{out};
  const bool fits =
      std::visit([&](const auto& what) { return encoder(request.connection, what); }, request.what);
  if (!fits || request.connection.size() > kConnectionMax)
    return Error{Errc::kBadLength, "a request is too long for the holder of secrets"};
  return Secret(std::move(out));
}

Result<CredentialRequest> decode_request(ByteView packet) {
  Reader in(packet);
  CredentialRequest request;
  ESPLANADE_TRY(ticket, decode_start(in));
  ESPLANADE_TRY(kind, in.u8("kind"));
  ESPLANADE_TRY(connection, take_short(in, 1, kConnectionMax, "connection"));
  request.ticket = ticket;
  request.connection = text(connection);
  ESPLANADE_CHECK(decode_kind(in, static_cast<Kind>(kind), request));
  ESPLANADE_CHECK(all_read(in));
  return request;
}

Secret encode_reply(Ticket ticket, const Result<Credential>& credential) {
  Bytes out;
  if (credential) {
    // Reserved whole, so that growing leaves no copy of a secret behind.
    const ByteView octets = credential->octets.reveal();
    if (octets.size() > kGssTokenMax || credential->peer.size() > kGssNameMax)
      return encode_reply(ticket, Error{Errc::kBadLength, "a credential is longer than a reply can be"});
    out.reserve(1 + 4 + 1 + 4 + octets.size() + 1 + 2 + credential->peer.size());
    out.push_back(kCodecVersion);
    put_be32(out, ticket);
    out.push_back(0);
    put_long(out, octets);
    out.push_back(credential->complete ? 1 : 0);
    put_short(out, view(credential->peer));
  } else {
    out.push_back(kCodecVersion);
    put_be32(out, ticket);
    out.push_back(1);
    out.push_back(static_cast<Byte>(credential.error().code));
    put_short(out, view(std::string_view(credential.error().detail).substr(0, kDetailMax)));
  }
  return Secret(std::move(out));
}

Result<HolderReply> decode_reply(ByteView packet) {
  Reader in(packet);
  ESPLANADE_TRY(ticket, decode_start(in));
  ESPLANADE_TRY(failed, take_bool(in, "status"));
  if (failed) {
    ESPLANADE_TRY(code, in.u8("code"));
    if (code > static_cast<std::uint8_t>(kLastErrc)) return Error{Errc::kMalformed, "code is not known"};
    ESPLANADE_TRY(detail, take_short(in, 0, kDetailMax, "detail"));
    ESPLANADE_CHECK(all_read(in));
    return HolderReply{ticket, Error{static_cast<Errc>(code), text(detail)}};
  }
  ESPLANADE_TRY(octets, take_long(in, 0, kGssTokenMax, "octets"));
  ESPLANADE_TRY(complete, take_bool(in, "complete"));
  ESPLANADE_TRY(peer, take_short(in, 0, kGssNameMax, "peer"));
  ESPLANADE_CHECK(all_read(in));
  return HolderReply{ticket, Credential{Secret(octets), complete, text(peer)}};
}

}  // namespace esplanade::ike
