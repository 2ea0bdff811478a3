#include "common/crypto/x509.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <set>

#include "common/base/log.h"
#include "common/crypto/library.h"
#include "common/crypto/rsa.h"

namespace esplanade::crypto {

namespace {
template <class T, void (*Free)(T*)>
struct Freer {
  void operator()(T* p) const { Free(p); }
};
using X509Ptr = std::unique_ptr<X509, Freer<X509, X509_free>>;
using CrlPtr = std::unique_ptr<X509_CRL, Freer<X509_CRL, X509_CRL_free>>;
using NamePtr = std::unique_ptr<X509_NAME, Freer<X509_NAME, X509_NAME_free>>;
using StorePtr = std::unique_ptr<X509_STORE, Freer<X509_STORE, X509_STORE_free>>;
using StoreCtxPtr = std::unique_ptr<X509_STORE_CTX, Freer<X509_STORE_CTX, X509_STORE_CTX_free>>;
using GeneralNamesPtr = std::unique_ptr<GENERAL_NAMES, Freer<GENERAL_NAMES, GENERAL_NAMES_free>>;
using Pkcs7Ptr = std::unique_ptr<PKCS7, Freer<PKCS7, PKCS7_free>>;
struct StackFree {
  void operator()(STACK_OF(X509) * s) const { sk_X509_free(s); }
};
struct BioFree {
  void operator()(BIO* b) const { BIO_free(b); }
};
using BioPtr = std::unique_ptr<BIO, BioFree>;

struct QuietErrors {
  ~QuietErrors() { ERR_clear_error(); }
};

constexpr std::size_t kNestingMax = 20;     // a certificate has about 10
constexpr std::size_t kElementsMax = 4096;  // a certificate has some 100
constexpr int kChainDepthMax = 6;           // intermediates between leaf and authority
constexpr std::size_t kPkcs7Max = 64 * 1024;
constexpr std::size_t kNameMax = 2048;

// One DER element and nothing after it, with definite lengths and bounded nesting: what OpenSSL's recursive parsers
// may safely be given.
bool is_sane_der(ByteView in) {
  std::array<std::size_t, kNestingMax> ends{};
  std::size_t depth = 0, at = 0;
  for (std::size_t elements = 0; elements < kElementsMax; ++elements) {
    while (depth != 0 && at == ends[depth - 1]) --depth;
    if (depth == 0 && at != 0) return at == in.size();
    const std::size_t limit = depth != 0 ? ends[depth - 1] : in.size();
    if (limit - at < 2) return false;
    const Byte tag = in[at];
    if ((tag & 0x1f) == 0x1f) return false;  // tag numbers above 30 do not occur in X.509
    std::size_t len = in[at + 1];
    at += 2;
    if (len >= 0x80) {
      const std::size_t octets = len & 0x7f;
      if (octets == 0 || octets > 3 || limit - at < octets) return false;
      len = 0;
      for (std::size_t i = 0; i < octets; ++i) len = (len << 8) | in[at + i];
      at += octets;
    }
    if (len > limit - at) return false;
    if ((tag & 0x20) == 0) {
      at += len;
    } else {
      if (depth == kNestingMax) return false;
      ends[depth++] = at + len;
    }
  }
  return false;
}

template <class T>
Bytes to_der(const T* object, int (*i2d)(const T*, unsigned char**)) {
  Byte* der = nullptr;
  const int len = i2d(object, &der);
  if (len <= 0) detail::die("encoding DER");
  Bytes out(der, der + len);
  OPENSSL_free(der);
  return out;
}

NamePtr parse_name(ByteView der) {
  if (der.size() > kNameMax || !is_sane_der(der)) return nullptr;
  const Byte* at = der.data();
  NamePtr name(d2i_X509_NAME(nullptr, &at, static_cast<long>(der.size())));
  return at == der.data() + der.size() ? std::move(name) : nullptr;
}

std::string text_of(const X509_NAME* name) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  // RFC 2253's escapes, most general part first.
  if (!bio || X509_NAME_print_ex(bio.get(), name, 0, (XN_FLAG_ONELINE & ~XN_FLAG_SPC_EQ) & ~ASN1_STRFLGS_ESC_MSB) < 0)
    return "malformed name";
  char* text = nullptr;
  const long len = BIO_get_mem_data(bio.get(), &text);
  return printable(std::string_view(text, len > 0 ? static_cast<std::size_t>(len) : 0), 160);
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_letters(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

ByteView octets_of(const ASN1_STRING* s) {
  return {ASN1_STRING_get0_data(s), static_cast<std::size_t>(ASN1_STRING_length(s))};
}

// True when `fits` accepts the value of a subjectAltName of the type.
template <class F>
bool any_alt_name(const X509* x, int type, F&& fits) {
  QuietErrors quiet;
  GeneralNamesPtr names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(x, NID_subject_alt_name, nullptr, nullptr)));
  if (!names) return false;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    int found = -1;
    const void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &found);
    if (found == type && fits(octets_of(static_cast<const ASN1_STRING*>(value)))) return true;
  }
  return false;
}

bool text_alt_name(const X509* x, int type, std::string_view name) {
  return !name.empty() && any_alt_name(x, type, [&](ByteView v) {
    return same_letters({reinterpret_cast<const char*>(v.data()), v.size()}, name);
  });
}

X509Ptr parse_x509(ByteView der) {
  X509* x = X509_new_ex(detail::context(), nullptr);
  const Byte* at = der.data();
  if (x == nullptr) detail::die("memory");
  if (d2i_X509(&x, &at, static_cast<long>(der.size())) == nullptr) return nullptr;  // d2i has freed it
  X509Ptr out(x);
  return at == der.data() + der.size() ? std::move(out) : nullptr;
}

Result<std::vector<Bytes>> objects_of_file(ByteView text, std::string_view kind) {
  QuietErrors quiet;
  const std::string_view view(reinterpret_cast<const char*>(text.data()), text.size());
  if (view.find("-----BEGIN ") == view.npos) {
    if (text.empty() || text[0] != 0x30) return Error{Errc::kMalformed, "neither PEM nor DER"};
    return std::vector<Bytes>{Bytes(text.begin(), text.end())};
  }
  BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  if (!bio) detail::die("memory");
  std::vector<Bytes> out;
  char* name = nullptr;
  char* header = nullptr;
  Byte* data = nullptr;
  long len = 0;
  while (PEM_read_bio(bio.get(), &name, &header, &data, &len) == 1) {
    if (name == kind) out.emplace_back(data, data + len);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, static_cast<std::size_t>(len));
  }
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) return Error{Errc::kMalformed, "PEM that does not decode"};
  if (out.empty()) return Error{Errc::kMalformed, "PEM without a part named " + std::string(kind)};
  return out;
}
}  // namespace

struct Certificate::State {
  X509Ptr x;
  Bytes der;
};

Result<Certificate> Certificate::parse(ByteView der) {
  QuietErrors quiet;
  if (der.size() > kCertificateMax) return Error{Errc::kBadLength, "the certificate is longer than 16 KiB"};
  auto state = std::make_shared<State>();
  if (is_sane_der(der)) state->x = parse_x509(der);
  if (!state->x) return Error{Errc::kMalformed, "the certificate is not one DER element of X.509"};
  state->der.assign(der.begin(), der.end());
  return Certificate(std::move(state));
}

const Bytes& Certificate::der() const { return state_->der; }
Bytes Certificate::subject() const { return to_der(X509_get_subject_name(state_->x.get()), i2d_X509_NAME); }
Status Certificate::verify_raw(ByteView hash, ByteView signature) const {
  QuietErrors quiet;
  EVP_PKEY* const key = X509_get0_pubkey(state_->x.get());
  if (key == nullptr) return Error{Errc::kMalformed, "the public key does not parse"};
  return detail::rsa_verify_raw(key, hash, signature);
}

bool Certificate::has_subject(ByteView name) const {
  QuietErrors quiet;
  const NamePtr parsed = parse_name(name);
  return parsed && X509_NAME_entry_count(parsed.get()) > 0 &&
         X509_NAME_cmp(parsed.get(), X509_get_subject_name(state_->x.get())) == 0;
}
bool Certificate::has_dns_name(std::string_view name) const { return text_alt_name(state_->x.get(), GEN_DNS, name); }
bool Certificate::has_email(std::string_view name) const { return text_alt_name(state_->x.get(), GEN_EMAIL, name); }
bool Certificate::has_address(ByteView address) const {
  return any_alt_name(state_->x.get(), GEN_IPADD, [&](ByteView v) { return std::ranges::equal(v, address); });
}

struct TrustStore::State {
  StorePtr store;
  std::set<Bytes> pinned;
  std::vector<Bytes> names;
};

Result<TrustStore> TrustStore::create(const std::vector<Bytes>& authorities, const std::vector<Bytes>& pinned,
                                      const std::vector<Bytes>& crls) {
  QuietErrors quiet;
  auto state = std::make_shared<State>();
  state->store.reset(X509_STORE_new());
  if (!state->store) detail::die("memory");
  auto add = [&](const Bytes& der) -> Result<Certificate> {
    ESPLANADE_TRY(certificate, Certificate::parse(der));
    if (X509_STORE_add_cert(state->store.get(), certificate.state_->x.get()) != 1)
      return Error{Errc::kMalformed, "the certificate cannot be used"};
    return certificate;
  };
  for (const Bytes& der : authorities) {
    ESPLANADE_TRY(certificate, add(der));
    if (X509_check_ca(certificate.state_->x.get()) == 0)
      return Error{Errc::kMalformed, name_to_text(certificate.subject()) + " is not an authority: no basicConstraints CA"};
    state->names.push_back(certificate.subject());
  }
  for (const Bytes& der : pinned) {
    ESPLANADE_CHECK(add(der));
    state->pinned.insert(der);
  }
  for (const Bytes& der : crls) {
    X509_CRL* crl = X509_CRL_new_ex(detail::context(), nullptr);
    const Byte* at = der.data();
    if (crl == nullptr) detail::die("memory");
    if (d2i_X509_CRL(&crl, &at, static_cast<long>(der.size())) == nullptr) return Error{Errc::kMalformed, "a CRL does not parse"};
    const CrlPtr owned(crl);
    if (X509_STORE_add_crl(state->store.get(), crl) != 1) return Error{Errc::kMalformed, "a CRL cannot be used"};
  }
  return TrustStore(std::move(state));
}

const std::vector<Bytes>& TrustStore::authority_names() const { return state_->names; }

namespace {
bool names_crl(const X509* x) { return X509_get_ext_by_NID(x, NID_crl_distribution_points, -1) >= 0; }

// OpenSSL's callback: 1 goes on. Only the lack of a CRL may be forgiven; that a CRL lists the certificate never is.
int forgive_missing_crl(int fine, X509_STORE_CTX* ctx) {
  if (fine == 1) return 1;
  switch (X509_STORE_CTX_get_error(ctx)) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
      break;
    default:
      return 0;
  }
  const auto revocation = static_cast<Revocation>(reinterpret_cast<std::uintptr_t>(X509_STORE_CTX_get_app_data(ctx)));
  const int last = sk_X509_num(X509_STORE_CTX_get0_chain(ctx)) - 1;
  const X509* subject = X509_STORE_CTX_get_current_cert(ctx);
  // The configuration vouches for the last of the chain.
  const bool forgive = X509_STORE_CTX_get_error_depth(ctx) == last || revocation == Revocation::kRelaxed ||
                       (revocation == Revocation::kIfUri && subject != nullptr && !names_crl(subject));
  if (forgive) X509_STORE_CTX_set_error(ctx, X509_V_OK);
  return forgive ? 1 : 0;
}

// RFC 5280 s4.2.1.3, s4.2.1.9 and what OpenSSL leaves to its purposes and security levels.
Status check_links(STACK_OF(X509) * chain) {
  const int last = sk_X509_num(chain) - 1;
  for (int i = 0; i <= last; ++i) {
    X509* x = sk_X509_value(chain, i);
    const std::string who = text_of(X509_get_subject_name(x));
    const EVP_PKEY* key = X509_get0_pubkey(x);
    if (key == nullptr) return Error{Errc::kBadCertificate, who + ": the public key does not parse"};
    const bool rsa = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
    if (i == 0 && !rsa) return Error{Errc::kBadCertificate, who + ": the key is not an RSA key"};
    const auto bits = static_cast<unsigned>(EVP_PKEY_get_bits(key));
    if (rsa && (bits < kRsaBitsMin || bits > kRsaBitsMax))
      return Error{Errc::kBadCertificate, who + ": an RSA key of " + std::to_string(bits) + " bits is not accepted"};
    if (i == 0 && (X509_get_key_usage(x) & KU_DIGITAL_SIGNATURE) == 0)
      return Error{Errc::kBadCertificate, who + ": keyUsage without digitalSignature"};
    if (i == last) break;  // an authority of ours, or pinned
    if (i > 0 && X509_check_ca(x) != 1) return Error{Errc::kBadCertificate, who + ": an issuer without basicConstraints CA"};
    int digest = NID_undef;
    if (OBJ_find_sigid_algs(X509_get_signature_nid(x), &digest, nullptr) != 1 || digest == NID_md5 || digest == NID_md4 ||
        digest == NID_md2)
      return Error{Errc::kBadCertificate, who + ": signed with an algorithm that is not accepted"};
  }
  return ok();
}
}  // namespace

Status TrustStore::verify(const Certificate& leaf, const std::vector<Certificate>& others, std::int64_t now,
                          Revocation revocation) const {
  QuietErrors quiet;
  if (!state_->pinned.empty() && !state_->pinned.contains(leaf.der()))
    return Error{Errc::kUnknownAuthority, name_to_text(leaf.subject()) + ": not one of the pinned certificates"};
  if (others.size() > kCertificatesMax) return Error{Errc::kBadCertificate, "more than 8 certificates"};
  std::unique_ptr<STACK_OF(X509), StackFree> untrusted(sk_X509_new_null());
  StoreCtxPtr ctx(X509_STORE_CTX_new_ex(detail::context(), nullptr));
  if (!untrusted || !ctx) detail::die("memory");
  for (const Certificate& c : others) sk_X509_push(untrusted.get(), c.state_->x.get());
  if (X509_STORE_CTX_init(ctx.get(), state_->store.get(), leaf.state_->x.get(), untrusted.get()) != 1) detail::die("chain");
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(ctx.get());
  X509_VERIFY_PARAM_set_time(param, static_cast<time_t>(now));
  X509_VERIFY_PARAM_set_depth(param, kChainDepthMax);
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL | X509_V_FLAG_PARTIAL_CHAIN);
  X509_STORE_CTX_set_app_data(ctx.get(), reinterpret_cast<void*>(static_cast<std::uintptr_t>(revocation)));
  X509_STORE_CTX_set_verify_cb(ctx.get(), forgive_missing_crl);
  if (X509_verify_cert(ctx.get()) != 1) {
    const int why = X509_STORE_CTX_get_error(ctx.get());
    const bool unknown = why == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT || why == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
                         why == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN || why == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
                         why == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
    const X509* at = X509_STORE_CTX_get_current_cert(ctx.get());
    return Error{unknown ? Errc::kUnknownAuthority : Errc::kBadCertificate,
                 text_of(X509_get_subject_name(at != nullptr ? at : leaf.state_->x.get())) + ": " +
                     X509_verify_cert_error_string(why)};
  }
  return check_links(X509_STORE_CTX_get0_chain(ctx.get()));
}

Result<std::vector<Bytes>> certificates_of_file(ByteView text) { return objects_of_file(text, PEM_STRING_X509); }
Result<std::vector<Bytes>> crls_of_file(ByteView text) { return objects_of_file(text, PEM_STRING_X509_CRL); }

Result<std::vector<Bytes>> certificates_of_pkcs7(ByteView der) {
  QuietErrors quiet;
  const Error bad{Errc::kMalformed, "not a PKCS #7 SignedData with 1 to 8 certificates"};
  if (der.size() > kPkcs7Max || !is_sane_der(der)) return bad;
  const Byte* at = der.data();
  const Pkcs7Ptr p7(d2i_PKCS7(nullptr, &at, static_cast<long>(der.size())));
  if (!p7 || !PKCS7_type_is_signed(p7.get()) || p7->d.sign == nullptr) return bad;
  const STACK_OF(X509)* certificates = p7->d.sign->cert;
  const int count = certificates == nullptr ? 0 : sk_X509_num(certificates);
  if (count < 1 || static_cast<std::size_t>(count) > kCertificatesMax) return bad;
  std::vector<Bytes> out;
  for (int i = 0; i < count; ++i) out.push_back(to_der(sk_X509_value(certificates, i), i2d_X509));
  return out;
}

Result<Bytes> name_from_text(std::string_view text) {
  QuietErrors quiet;
  NamePtr name(X509_NAME_new());
  if (!name) detail::die("memory");
  auto trimmed = [](std::string_view s) {
    while (s.starts_with(' ')) s.remove_prefix(1);
    while (s.ends_with(' ')) s.remove_suffix(1);
    return s;
  };
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    const auto equals = part.find('=');
    if (equals == part.npos) return Error{Errc::kBadConfig, "not a distinguished name like \"C=CH, O=Example, CN=gw\""};
    const std::string type(trimmed(part.substr(0, equals)));
    const std::string_view value = trimmed(part.substr(equals + 1));
    if (value.empty() || X509_NAME_add_entry_by_txt(name.get(), type.c_str(), MBSTRING_UTF8,
                                                    reinterpret_cast<const Byte*>(value.data()),
                                                    static_cast<int>(value.size()), -1, 0) != 1)
      return Error{Errc::kBadConfig, "distinguished name with the unknown or empty part '" + printable(type, 20) + "'"};
    begin = end + 1;
  }
  return to_der(static_cast<const X509_NAME*>(name.get()), i2d_X509_NAME);
}

std::string name_to_text(ByteView der) {
  QuietErrors quiet;
  const NamePtr name = parse_name(der);
  return name ? text_of(name.get()) : "malformed name";
}

bool same_name(ByteView a, ByteView b) {
  QuietErrors quiet;
  const NamePtr x = parse_name(a), y = parse_name(b);
  return x && y && X509_NAME_cmp(x.get(), y.get()) == 0;
}

}  // namespace esplanade::crypto
