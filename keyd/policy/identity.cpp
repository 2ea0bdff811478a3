#include "keyd/policy/identity.h"

#include <algorithm>

namespace esplanade::ike {
namespace {

std::string_view text_of(const Id& id) {
  return {reinterpret_cast<const char*>(id.data.data()), id.data.size()};
}

bool same_letters(std::string_view a, std::string_view b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

Status check_phase1_id(const Id& id) {
  const bool port_ok = id.protocol == 0 ? id.port == 0
                                        : id.protocol == 17 && (id.port == 0 || id.port == 500 || id.port == 4500);
  if (!port_ok) return Error{Errc::kBadId, "identity with a foreign protocol or port"};
  switch (id.type) {
    case IdType::kIpv4Addr:
    case IdType::kIpv6Addr:
    case IdType::kFqdn:
    case IdType::kUserFqdn:
    case IdType::kDerDn:
    case IdType::kKeyId:
      break;
    default:
      return Error{Errc::kBadId, "identity of a type that names no single peer"};
  }
  if (id.data.empty()) return Error{Errc::kBadId, "identity without data"};
  return ok();
}

bool same_identity(const Id& a, const Id& b) {
  if (a.type != b.type) return false;
  if (a.type == IdType::kDerDn) return crypto::same_name(a.data, b.data);
  if (a.type == IdType::kFqdn || a.type == IdType::kUserFqdn) return same_letters(text_of(a), text_of(b));
  return a.data == b.data;
}

bool certificate_has(const crypto::Certificate& certificate, const Id& id) {
  switch (id.type) {
    case IdType::kDerDn:
      return certificate.has_subject(id.data);
    case IdType::kFqdn:
      return certificate.has_dns_name(text_of(id));
    case IdType::kUserFqdn:
      return certificate.has_email(text_of(id));
    case IdType::kIpv4Addr:
    case IdType::kIpv6Addr:
      return certificate.has_address(id.data);
    default:
      return false;
  }
}

bool principal_fits(std::string_view pattern, std::string_view principal) {
  // Greedy with one point of return: linear in the product of the lengths, both at most 255.
  std::size_t p = 0, s = 0, star = pattern.npos, after = 0;
  while (s < principal.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      after = s;
    } else if (p < pattern.size() && pattern[p] == principal[s]) {
      ++p;
      ++s;
    } else if (star != pattern.npos && principal[after] != '@') {
      p = star + 1;
      s = ++after;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

Id id_from_principal(std::string_view principal) {
  return Id{IdType::kUserFqdn, 0, 0, Bytes(principal.begin(), principal.end())};
}

}  // namespace esplanade::ike
