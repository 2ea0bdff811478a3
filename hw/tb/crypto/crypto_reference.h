// What crypto_lane must make of a stream, by OpenSSL and plain C++: shares no code with the RTL.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace esplanade::tb {

using Octets = std::vector<std::uint8_t>;
using View = std::span<const std::uint8_t>;

enum class Cipher : unsigned { kNull = 0, kDes = 1, kTripleDes = 2 };
enum class Auth : unsigned { kNone = 0, kMd5 = 1, kSha1 = 2 };

// card_pkg::Status*
inline constexpr unsigned kOk = 0, kBadIcv = 15, kBadPadding = 16, kBadNextHeader = 17, kDummy = 18,
                          kBadInner = 26;

/// One slot's work. For decap `stream` is the protected one, without ICV.
struct CryptoJob {
  bool run = true;
  unsigned status = 0;  // where not run
  bool encap = true, esp = true, tunnel = true, inner_v4 = true, inner_v6 = true;
  Cipher cipher = Cipher::kTripleDes;
  Auth auth = Auth::kSha1;
  Octets stream;
  bool esn = false;
  std::uint32_t seq_hi = 0;
  std::array<std::uint8_t, 12> icv{};  // decap
  Octets key;                          // 8 or 24 octets; empty for NULL
  Octets auth_key;
  bool ordered = false;
  unsigned order = 0;
  bool jumbo = false;

  bool ciphered() const { return esp && cipher != Cipher::kNull; }
};

struct CryptoExpected {
  unsigned status = 0;
  bool icv_ok = false;
  unsigned len = 0;
  unsigned next_header = 0;
  std::array<std::uint8_t, 12> icv{};
  bool moved = false;  // the stream is in M2
  Octets stream;       // there; where ciphered, octets 0 to 15 are not moved
};

CryptoExpected expected(const CryptoJob& job);
/// The decap of what an encap job makes, with its ICV.
CryptoJob reverse(const CryptoJob& encap);
/// State after the pad block, as the card wants it: 20 octets, MD5 as four numbers on top.
std::array<std::uint8_t, 20> pad_state(const CryptoJob& job, std::uint8_t pad);
/// Folded ones' complement sum of an IPv4 header: ffff when its checksum is right (RFC 791).
unsigned ipv4_sum(const std::uint8_t* header);
/// Makes the checksum right.
void seal_ipv4(std::uint8_t* header);
std::array<std::uint8_t, 12> icv_of(const CryptoJob& job, View stream);

}  // namespace esplanade::tb
