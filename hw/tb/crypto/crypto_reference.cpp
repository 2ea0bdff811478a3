#define OPENSSL_SUPPRESS_DEPRECATED  // SHA_CTX and MD5_CTX show the chaining value; EVP does not
#include "hw/tb/crypto/crypto_reference.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/md5.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace esplanade::tb {
namespace {

void check(bool ok, const char* what) {
  if (!ok) {
    std::fprintf(stderr, "crypto_reference: %s failed\n", what);
    std::abort();
  }
}

/// CBC from octet 16 on, IV in octets 8 to 15; single DES as three equal keys.
Octets cbc(const CryptoJob& job, bool encrypt) {
  Octets key = job.key;
  while (key.size() < 24) key.insert(key.end(), job.key.begin(), job.key.end());
  Octets out = job.stream;
  int len = 0;
  EVP_CIPHER_CTX* ctx = EVP_CIPHER_CTX_new();
  check(EVP_CipherInit_ex(ctx, EVP_des_ede3_cbc(), nullptr, key.data(), job.stream.data() + 8, encrypt) == 1,
        "init");
  EVP_CIPHER_CTX_set_padding(ctx, 0);
  const int n = static_cast<int>(out.size()) - 16;
  check(EVP_CipherUpdate(ctx, out.data() + 16, &len, job.stream.data() + 16, n) == 1 && len == n, "cbc");
  EVP_CIPHER_CTX_free(ctx);
  return out;
}

/// RFC 4303 s3.4.4.1 and the inner header, on a plaintext stream.
void inspect(const CryptoJob& job, const Octets& s, CryptoExpected& e) {
  const std::size_t at = job.ciphered() ? 16 : 8;
  const std::size_t room = s.size() - at - 2;
  const std::size_t pad = s[s.size() - 2];
  e.next_header = s[s.size() - 1];
  e.status = kBadPadding;
  if (pad > room) return;
  for (std::size_t i = 0; i < pad; ++i)
    if (s[s.size() - 2 - pad + i] != i + 1) return;
  const std::size_t end = room - pad;
  if (e.next_header == 59) {
    e.status = kDummy;
    return;
  }
  if (!job.tunnel) {
    e.status = kOk;
    e.len = static_cast<unsigned>(end);
    return;
  }
  if (e.next_header != 4 && e.next_header != 41) {
    e.status = kBadNextHeader;
    return;
  }
  e.status = kBadInner;
  const std::uint8_t* p = s.data() + at;
  std::size_t len = 0;
  if (end < 20) return;
  if (e.next_header == 4) {
    len = static_cast<std::size_t>(p[2] << 8 | p[3]);
    const std::size_t header = 4U * (p[0] & 15U);
    if (!job.inner_v4 || p[0] >> 4 != 4 || header < 20 || len < header || len > end || ipv4_sum(p) != 0xffff) return;
  } else {
    len = static_cast<std::size_t>(p[4] << 8 | p[5]) + 40;
    if (!job.inner_v6 || p[0] >> 4 != 6) return;
  }
  if (len > end) return;
  e.status = kOk;
  e.len = static_cast<unsigned>(len);
}

}  // namespace

unsigned ipv4_sum(const std::uint8_t* header) {
  unsigned sum = 0;
  for (unsigned i = 0; i < 4 * (header[0] & 15U); i += 2) sum += static_cast<unsigned>(header[i] << 8 | header[i + 1]);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

void seal_ipv4(std::uint8_t* header) {
  header[10] = header[11] = 0;
  const unsigned sum = ~ipv4_sum(header);
  header[10] = static_cast<std::uint8_t>(sum >> 8);
  header[11] = static_cast<std::uint8_t>(sum);
}

std::array<std::uint8_t, 12> icv_of(const CryptoJob& job, View stream) {
  std::array<std::uint8_t, 12> icv{};
  if (job.auth == Auth::kNone) return icv;
  Octets all(stream.begin(), stream.end());
  if (job.esn)
    for (int i = 24; i >= 0; i -= 8) all.push_back(static_cast<std::uint8_t>(job.seq_hi >> i));
  std::array<std::uint8_t, 64> out{};
  unsigned n = 0;
  HMAC(job.auth == Auth::kMd5 ? EVP_md5() : EVP_sha1(), job.auth_key.data(),
       static_cast<int>(job.auth_key.size()), all.data(), all.size(), out.data(), &n);
  std::copy_n(out.begin(), 12, icv.begin());
  return icv;
}

std::array<std::uint8_t, 20> pad_state(const CryptoJob& job, std::uint8_t pad) {
  std::array<std::uint8_t, 64> block;
  block.fill(pad);
  for (std::size_t i = 0; i < job.auth_key.size(); ++i) block[i] ^= job.auth_key[i];
  std::array<std::uint32_t, 5> h{};
  if (job.auth == Auth::kMd5) {
    MD5_CTX ctx;
    MD5_Init(&ctx);
    MD5_Transform(&ctx, block.data());
    h = {ctx.A, ctx.B, ctx.C, ctx.D, 0};
  } else if (job.auth == Auth::kSha1) {
    SHA_CTX ctx;
    SHA1_Init(&ctx);
    SHA1_Transform(&ctx, block.data());
    h = {ctx.h0, ctx.h1, ctx.h2, ctx.h3, ctx.h4};
  }
  std::array<std::uint8_t, 20> out{};
  for (std::size_t i = 0; i < 20; ++i) out[i] = static_cast<std::uint8_t>(h[i / 4] >> (24 - 8 * (i % 4)));
  return out;
}

CryptoExpected expected(const CryptoJob& job) {
  CryptoExpected e;
  if (!job.run) {
    e.status = job.status;
    return e;
  }
  if (job.encap) {
    e.moved = true;
    e.stream = job.ciphered() ? cbc(job, true) : job.stream;
    e.icv = icv_of(job, e.stream);
    return e;
  }
  e.icv_ok = job.auth == Auth::kNone || icv_of(job, job.stream) == job.icv;
  if (!e.icv_ok) {
    e.status = kBadIcv;
    return e;
  }
  e.moved = true;
  e.stream = job.ciphered() ? cbc(job, false) : job.stream;
  if (job.esp) inspect(job, e.stream, e);
  return e;
}

CryptoJob reverse(const CryptoJob& encap) {
  CryptoJob job = encap;
  const CryptoExpected e = expected(encap);
  job.encap = false;
  job.stream = e.stream;
  job.icv = e.icv;
  return job;
}

}  // namespace esplanade::tb
