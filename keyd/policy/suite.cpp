#include "keyd/policy/suite.h"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "common/base/log.h"

namespace esplanade::ike {
namespace {

struct Name {
  std::string_view text;
  std::uint16_t value;
};
constexpr std::array<Name, 2> kMmEncNames{{{"des", kMmDesCbc}, {"3des", kMmTripleDesCbc}}};
constexpr std::array<Name, 2> kMmHashNames{{{"md5", kMmMd5}, {"sha1", kMmSha1}}};
// The first name of a value is the one that is printed. "high" is Windows' group 3, on the wire group 14.
constexpr std::array<Name, 6> kGroupNames{
    {{"modp768", 1}, {"modp1024", 2}, {"modp2048", 14}, {"low", 1}, {"medium", 2}, {"high", 14}}};
constexpr std::array<Name, 3> kEspEncNames{{{"null", kEspNull}, {"des", kEspDes}, {"3des", kEspTripleDes}}};
constexpr std::array<Name, 3> kEspAuthNames{{{"md5", kQmHmacMd5}, {"sha1", kQmHmacSha1}, {"none", 0}}};
constexpr std::array<Name, 2> kAhTransformNames{{{"md5", kAhMd5}, {"sha1", kAhSha}}};

Result<std::uint16_t> value_of(std::span<const Name> names, std::string_view word, const char* kind) {
  std::string known;
  for (const Name& n : names) {
    if (n.text == word) return n.value;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", n.text);
  }
  return Error{Errc::kBadConfig,
               fmt::format("unknown {} '{}' (known: {})", kind, printable(word, 20), known)};
}

std::string_view name_of(std::span<const Name> names, std::uint16_t value) {
  for (const Name& n : names)
    if (n.value == value) return n.text;
  return "?";
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> out;
  for (std::size_t at = 0;;) {
    const auto dash = text.find('-', at);
    out.push_back(text.substr(at, dash - at));
    if (dash == text.npos) return out;
    at = dash + 1;
  }
}

}  // namespace

bool group_supported(std::uint16_t group) { return group == 1 || group == 2 || group == 14; }

Result<MmSuite> parse_mm_suite(std::string_view text) {
  const auto words = words_of(text);
  if (words.size() != 3)
    return Error{Errc::kBadConfig, "not of the form ENC-HASH-GROUP, e.g. 3des-sha1-modp1024"};
  MmSuite s;
  ESPLANADE_TRY(encryption, value_of(kMmEncNames, words[0], "cipher"));
  ESPLANADE_TRY(hash, value_of(kMmHashNames, words[1], "hash"));
  ESPLANADE_TRY(group, value_of(kGroupNames, words[2], "group"));
  s.encryption = encryption;
  s.hash = hash;
  s.group = group;
  return s;
}

Result<QmSuite> parse_esp_suite(std::string_view text) {
  const auto words = words_of(text);
  if (words.size() == 3)
    return Error{Errc::kBadConfig, "names a group: PFS is set by pfs = true, its group is that of main mode"};
  if (words.size() != 2) return Error{Errc::kBadConfig, "not of the form ENC-AUTH, e.g. 3des-sha1"};
  QmSuite s;
  ESPLANADE_TRY(transform, value_of(kEspEncNames, words[0], "cipher"));
  ESPLANADE_TRY(auth, value_of(kEspAuthNames, words[1], "integrity algorithm"));
  s.transform = static_cast<std::uint8_t>(transform);
  s.auth = auth;
  if (s.transform == kEspNull && s.auth == 0)  // RFC 4303 s3.2
    return Error{Errc::kBadConfig, "neither encrypts nor authenticates"};
  return s;
}

Result<QmSuite> parse_ah_suite(std::string_view text) {
  ESPLANADE_TRY(transform, value_of(kAhTransformNames, text, "integrity algorithm"));
  // RFC 2407 s4.4.3: the attribute says the same as the transform.
  return QmSuite{ProtocolId::kAh, static_cast<std::uint8_t>(transform),
                 transform == kAhMd5 ? kQmHmacMd5 : kQmHmacSha1, 0};
}

std::string to_string(const MmSuite& s) {
  return fmt::format("{}-{}-{}", name_of(kMmEncNames, s.encryption), name_of(kMmHashNames, s.hash),
                     name_of(kGroupNames, s.group));
}

std::string to_string(const QmSuite& s) {
  std::string out =
      s.protocol == ProtocolId::kAh
          ? fmt::format("ah-{}", name_of(kAhTransformNames, s.transform))
          : fmt::format("{}-{}", name_of(kEspEncNames, s.transform), name_of(kEspAuthNames, s.auth));
  if (s.group != 0) out += fmt::format("-{}", name_of(kGroupNames, s.group));
  return out;
}

esp::Protocol esp_protocol(const QmSuite& s) {
  return s.protocol == ProtocolId::kAh ? esp::Protocol::kAh : esp::Protocol::kEsp;
}

esp::Cipher esp_cipher(const QmSuite& s) {
  if (s.protocol != ProtocolId::kEsp || s.transform == kEspNull) return esp::Cipher::kNull;
  return s.transform == kEspDes ? esp::Cipher::kDesCbc : esp::Cipher::kTripleDesCbc;
}

esp::Auth esp_auth(const QmSuite& s) {
  return s.auth == kQmHmacMd5    ? esp::Auth::kHmacMd5_96
         : s.auth == kQmHmacSha1 ? esp::Auth::kHmacSha1_96
                                 : esp::Auth::kNone;
}

std::size_t keymat_len(const QmSuite& s) { return esp::key_len(esp_cipher(s)) + esp::key_len(esp_auth(s)); }

}  // namespace esplanade::ike
