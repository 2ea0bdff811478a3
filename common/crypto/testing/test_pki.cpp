#include "common/crypto/testing/test_pki.h"

#include <openssl/bn.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>

#include "common/crypto/library.h"
#include "common/crypto/x509.h"

namespace esplanade::crypto::testing {

namespace {
template <class T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

void need(bool fine, const char* what) {
  if (!fine) detail::die(what);
}

Owned<EVP_PKEY> key_of(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr), EVP_PKEY_free);
  BIO_free(bio);
  need(key != nullptr, "test key");
  return key;
}

Owned<X509> certificate_of(ByteView der) {
  const Byte* at = der.data();
  Owned<X509> x(d2i_X509(nullptr, &at, static_cast<long>(der.size())), X509_free);
  need(x != nullptr, "test certificate");
  return x;
}

Owned<EVP_PKEY> new_key(const CertificateSpec& spec) {
  Owned<EVP_PKEY_CTX> ctx(EVP_PKEY_CTX_new_from_name(nullptr, spec.elliptic ? "EC" : "RSA", nullptr), EVP_PKEY_CTX_free);
  need(ctx && EVP_PKEY_keygen_init(ctx.get()) == 1, "key generation");
  if (spec.elliptic) {
    need(EVP_PKEY_CTX_set_group_name(ctx.get(), "P-256") == 1, "curve");
  } else {
    Owned<BIGNUM> e(BN_new(), BN_free);
    need(e && BN_set_word(e.get(), spec.exponent) == 1 &&
             EVP_PKEY_CTX_set_rsa_keygen_bits(ctx.get(), static_cast<int>(spec.bits)) == 1 &&
             EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx.get(), e.get()) == 1,
         "RSA parameters");
  }
  EVP_PKEY* key = nullptr;
  need(EVP_PKEY_generate(ctx.get(), &key) == 1, "key generation");
  return {key, EVP_PKEY_free};
}

template <class T>
Bytes der_of(const T* object, int (*i2d)(const T*, unsigned char**)) {
  Byte* der = nullptr;
  const int len = i2d(object, &der);
  need(len > 0, "encoding");
  Bytes out(der, der + len);
  OPENSSL_free(der);
  return out;
}
}  // namespace

std::string to_pem(const char* kind, ByteView der) {
  BIO* bio = BIO_new(BIO_s_mem());
  need(PEM_write_bio(bio, kind, "", der.data(), static_cast<long>(der.size())) > 0, "PEM");
  char* text = nullptr;
  const long len = BIO_get_mem_data(bio, &text);
  std::string out(text, static_cast<std::size_t>(len));
  BIO_free(bio);
  return out;
}

Identity make_certificate(const CertificateSpec& spec, const Identity* issuer) {
  Owned<EVP_PKEY> key = new_key(spec);
  Owned<X509> x(X509_new(), X509_free);
  const auto name_der = name_from_text(spec.subject);
  need(x && static_cast<bool>(name_der), "subject");
  const Byte* at = name_der.value().data();
  Owned<X509_NAME> name(d2i_X509_NAME(nullptr, &at, static_cast<long>(name_der.value().size())), X509_NAME_free);
  static long serial = 1000;
  need(X509_set_version(x.get(), 2) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(x.get()), ++serial) == 1 &&
           ASN1_TIME_set(X509_getm_notBefore(x.get()), static_cast<time_t>(spec.not_before)) != nullptr &&
           ASN1_TIME_set(X509_getm_notAfter(x.get()), static_cast<time_t>(spec.not_after)) != nullptr &&
           X509_set_subject_name(x.get(), name.get()) == 1 && X509_set_pubkey(x.get(), key.get()) == 1,
       "certificate fields");
  auto add = [&](int nid, const std::string& value) {
    if (value.empty()) return;
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
    need(extension != nullptr && X509_add_ext(x.get(), extension, -1) == 1, value.c_str());
    X509_EXTENSION_free(extension);
  };
  std::string alt_names;
  for (const std::string& n : spec.alt_names) alt_names += (alt_names.empty() ? "" : ",") + n;
  add(NID_subject_alt_name, alt_names);
  add(NID_basic_constraints, spec.basic_constraints);
  add(NID_key_usage, spec.key_usage);
  add(NID_crl_distribution_points, spec.crl_uri.empty() ? "" : "URI:" + spec.crl_uri);
  Owned<EVP_PKEY> signer(nullptr, EVP_PKEY_free);
  if (issuer != nullptr) {
    signer = key_of(issuer->key_pem);
    need(X509_set_issuer_name(x.get(), X509_get_subject_name(certificate_of(issuer->certificate).get())) == 1, "issuer");
  } else {
    need(X509_set_issuer_name(x.get(), name.get()) == 1, "issuer");
  }
  need(X509_sign(x.get(), signer ? signer.get() : key.get(), EVP_get_digestbyname(spec.digest.c_str())) > 0, "signature");
  BIO* bio = BIO_new(BIO_s_mem());
  need(PEM_write_bio_PKCS8PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1, "key");
  char* text = nullptr;
  const long len = BIO_get_mem_data(bio, &text);
  Identity out{der_of<X509>(x.get(), i2d_X509), std::string(text, static_cast<std::size_t>(len))};
  BIO_free(bio);
  return out;
}

Bytes make_crl(const Identity& issuer, const std::vector<Bytes>& revoked, std::int64_t this_update, std::int64_t next_update) {
  Owned<X509_CRL> crl(X509_CRL_new(), X509_CRL_free);
  Owned<X509> authority = certificate_of(issuer.certificate);
  Owned<ASN1_TIME> from(ASN1_TIME_set(nullptr, static_cast<time_t>(this_update)), ASN1_STRING_free);
  Owned<ASN1_TIME> to(ASN1_TIME_set(nullptr, static_cast<time_t>(next_update)), ASN1_STRING_free);
  need(X509_CRL_set_version(crl.get(), 1) == 1 && X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(authority.get())) == 1 &&
           X509_CRL_set1_lastUpdate(crl.get(), from.get()) == 1 && X509_CRL_set1_nextUpdate(crl.get(), to.get()) == 1,
       "CRL");
  for (const Bytes& der : revoked) {
    X509_REVOKED* entry = X509_REVOKED_new();
    Owned<X509> x = certificate_of(der);
    need(X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(x.get())) == 1 &&
             X509_REVOKED_set_revocationDate(entry, from.get()) == 1 && X509_CRL_add0_revoked(crl.get(), entry) == 1,
         "CRL entry");
  }
  need(X509_CRL_sort(crl.get()) == 1 && X509_CRL_sign(crl.get(), key_of(issuer.key_pem).get(), EVP_sha256()) > 0, "CRL signature");
  return der_of<X509_CRL>(crl.get(), i2d_X509_CRL);
}

Bytes make_pkcs7(const std::vector<Bytes>& certificates) {
  Owned<PKCS7> p7(PKCS7_new(), PKCS7_free);
  need(p7 && PKCS7_set_type(p7.get(), NID_pkcs7_signed) == 1 && PKCS7_content_new(p7.get(), NID_pkcs7_data) == 1, "PKCS #7");
  for (const Bytes& der : certificates) need(PKCS7_add_certificate(p7.get(), certificate_of(der).get()) == 1, "PKCS #7");
  return der_of<PKCS7>(p7.get(), i2d_PKCS7);
}

Bytes private_operation(const Identity& identity, ByteView block) {
  Owned<EVP_PKEY> key = key_of(identity.key_pem);
  Owned<EVP_PKEY_CTX> ctx(EVP_PKEY_CTX_new(key.get(), nullptr), EVP_PKEY_CTX_free);
  Bytes out(static_cast<std::size_t>(EVP_PKEY_get_size(key.get())));
  std::size_t len = out.size();
  need(EVP_PKEY_sign_init(ctx.get()) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx.get(), RSA_NO_PADDING) == 1 &&
           EVP_PKEY_sign(ctx.get(), out.data(), &len, block.data(), block.size()) == 1,
       "raw signature");
  return out;
}

Bytes cube_root(ByteView prefix, std::size_t len) {
  Bytes target(prefix.begin(), prefix.end());
  target.resize(len, 0xff);  // the largest number with the prefix: its root's cube still has it
  Owned<BN_CTX> ctx(BN_CTX_new(), BN_CTX_free);
  Owned<BIGNUM> n(BN_bin2bn(target.data(), static_cast<int>(len), nullptr), BN_free);
  Owned<BIGNUM> root(BN_new(), BN_free), trial(BN_new(), BN_free), cube(BN_new(), BN_free);
  need(n && root && trial && cube && ctx, "memory");
  BN_zero(root.get());
  for (int bit = static_cast<int>(len) * 8 / 3; bit >= 0; --bit) {
    need(BN_copy(trial.get(), root.get()) != nullptr && BN_set_bit(trial.get(), bit) == 1 &&
             BN_sqr(cube.get(), trial.get(), ctx.get()) == 1 && BN_mul(cube.get(), cube.get(), trial.get(), ctx.get()) == 1,
         "cube");
    if (BN_cmp(cube.get(), n.get()) <= 0) need(BN_copy(root.get(), trial.get()) != nullptr, "copy");
  }
  Bytes out(len);
  need(BN_bn2binpad(root.get(), out.data(), static_cast<int>(len)) >= 0, "padding");
  return out;
}

}  // namespace esplanade::crypto::testing
