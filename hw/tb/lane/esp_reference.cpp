#define OPENSSL_SUPPRESS_DEPRECATED  // SHA_CTX shows the chaining value; EVP does not
#include "hw/tb/lane/esp_reference.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <cstdlib>
#include <random>

namespace esplanade::tb {
namespace {

void check(bool ok, const char* what) {
  if (!ok) {
    std::fprintf(stderr, "esp_reference: %s failed\n", what);
    std::abort();
  }
}

void put16(Octets& out, unsigned v) {
  out.push_back(static_cast<std::uint8_t>(v >> 8));
  out.push_back(static_cast<std::uint8_t>(v));
}
void put32(Octets& out, std::uint32_t v) {
  put16(out, v >> 16);
  put16(out, v & 0xffff);
}
void put(Octets& out, View v) { out.insert(out.end(), v.begin(), v.end()); }

/// RFC 1071 checksum of the first 20 octets, into octets 10 and 11.
void set_ip_checksum(Octets& header) {
  header[10] = header[11] = 0;
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < 20; i += 2) sum += static_cast<std::uint32_t>(header[i] << 8 | header[i + 1]);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  header[10] = static_cast<std::uint8_t>(~sum >> 8);
  header[11] = static_cast<std::uint8_t>(~sum);
}

}  // namespace

std::array<std::uint8_t, 20> hmac_state(const EspKeys& keys, std::uint8_t pad) {
  std::array<std::uint8_t, 64> block;
  block.fill(pad);
  for (std::size_t i = 0; i < keys.auth.size(); ++i) block[i] = keys.auth[i] ^ pad;
  SHA_CTX ctx;
  SHA1_Init(&ctx);
  SHA1_Transform(&ctx, block.data());
  std::array<std::uint8_t, 20> out;
  const std::array<std::uint32_t, 5> h{ctx.h0, ctx.h1, ctx.h2, ctx.h3, ctx.h4};
  for (std::size_t i = 0; i < 20; ++i) out[i] = static_cast<std::uint8_t>(h[i / 4] >> (24 - 8 * (i % 4)));
  return out;
}

Octets cbc(const EspKeys& keys, View iv, View data, bool encrypt) {
  std::array<std::uint8_t, 24> key = keys.enc;
  if (keys.single_des)
    for (std::size_t i = 8; i < 24; ++i) key[i] = key[i - 8];
  Octets out(data.size());
  int len = 0;
  EVP_CIPHER_CTX* ctx = EVP_CIPHER_CTX_new();
  check(EVP_CipherInit_ex(ctx, EVP_des_ede3_cbc(), nullptr, key.data(), iv.data(), encrypt ? 1 : 0) == 1,
        "init");
  EVP_CIPHER_CTX_set_padding(ctx, 0);
  check(EVP_CipherUpdate(ctx, out.data(), &len, data.data(), static_cast<int>(data.size())) == 1, "update");
  check(len == static_cast<int>(data.size()), "length");
  EVP_CIPHER_CTX_free(ctx);
  return out;
}

Octets padded(View inner) {
  Octets out(inner.begin(), inner.end());
  const std::size_t pad = (8 - (inner.size() + 2) % 8) % 8;
  for (std::size_t i = 1; i <= pad; ++i) out.push_back(static_cast<std::uint8_t>(i));
  out.push_back(static_cast<std::uint8_t>(pad));
  out.push_back(inner[0] >> 4 == 6 ? 41 : 4);
  return out;
}

Octets esp_from_plain(const EspKeys& keys, const EspShape& shape, View plain) {
  Octets out;
  put32(out, shape.spi);
  put32(out, shape.seq);
  put(out, shape.iv);
  put(out, cbc(keys, shape.iv, plain, true));
  std::array<std::uint8_t, 20> mac;
  unsigned mac_len = 0;
  HMAC(EVP_sha1(), keys.auth.data(), static_cast<int>(keys.auth.size()), out.data(), out.size(), mac.data(),
       &mac_len);
  put(out, View(mac).first(12));
  return out;
}

Octets wrap(const EspShape& shape, std::uint8_t tos, bool df, View esp) {
  const unsigned udp = shape.natt ? 8 : 0;
  const auto total = static_cast<unsigned>(20 + udp + esp.size());
  Octets out{0x45, tos};
  put16(out, total);
  put16(out, shape.ip_id);
  put16(out, df ? 0x4000 : 0);
  out.push_back(shape.ttl);
  out.push_back(shape.natt ? 17 : 50);
  put16(out, 0);
  put(out, shape.src);
  put(out, shape.dst);
  set_ip_checksum(out);
  if (shape.natt) {
    put16(out, shape.udp_src);
    put16(out, shape.udp_dst);
    put16(out, total - 20);
    put16(out, 0);
  }
  put(out, esp);
  return out;
}

Octets encap(const EspKeys& keys, const EspShape& shape, View inner) {
  const bool v6 = inner[0] >> 4 == 6;
  const auto inner_tos = static_cast<std::uint8_t>(v6 ? (inner[0] << 4 | inner[1] >> 4) : inner[1]);
  const auto tos = static_cast<std::uint8_t>((shape.dscp_set ? shape.dscp << 2 : inner_tos & 0xfc) |
                                             (shape.ecn_clear ? 0 : inner_tos & 3));
  const bool df = shape.df_policy == 2 || (shape.df_policy == 0 && !v6 && (inner[6] & 0x40) != 0);
  return wrap(shape, tos, df, esp_from_plain(keys, shape, padded(inner)));
}

Octets random_ipv4(std::size_t len, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  Octets out(len);
  for (auto& o : out) o = static_cast<std::uint8_t>(engine());
  out[0] = 0x45;
  out[2] = static_cast<std::uint8_t>(len >> 8);
  out[3] = static_cast<std::uint8_t>(len);
  out[6] &= 0x40;
  out[7] = 0;
  set_ip_checksum(out);
  return out;
}

}  // namespace esplanade::tb
