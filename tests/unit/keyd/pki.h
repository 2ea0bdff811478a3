// Authorities and certificates for two sides, made anew at each run, with their files in a folder of their own.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/crypto/testing/test_pki.h"
#include "world.h"

namespace esplanade::ike::test {

using crypto::testing::CertificateSpec;
using crypto::testing::Identity;

inline constexpr std::int64_t kYear = 365 * 86400;

inline CertificateSpec authority_spec(std::string subject) {
  CertificateSpec s;
  s.subject = std::move(subject);
  s.basic_constraints = "critical,CA:TRUE";
  s.key_usage = "critical,keyCertSign,cRLSign";
  s.not_before = kWallClock - kYear;
  s.not_after = kWallClock + kYear;
  return s;
}
inline CertificateSpec peer_spec(std::string subject, std::vector<std::string> alt_names) {
  CertificateSpec s;
  s.subject = std::move(subject);
  s.alt_names = std::move(alt_names);
  s.key_usage = "digitalSignature";
  s.not_before = kWallClock - kYear;
  s.not_after = kWallClock + kYear;
  return s;
}

class Pki {
 public:
  Pki() {
    char name[] = "/tmp/esplanade-pki-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    folder_ = name;
  }
  ~Pki() { std::filesystem::remove_all(folder_); }
  Pki(const Pki&) = delete;
  Pki& operator=(const Pki&) = delete;

  Identity ca = crypto::testing::make_certificate(authority_spec("O=Test, CN=Root"));
  Identity left = make(peer_spec("C=CH, O=Test, CN=left", {"DNS:left.example", "IP:192.0.2.1", "email:l@left.example"}));
  Identity right = make(peer_spec("C=CH, O=Test, CN=right", {"DNS:right.example", "IP:192.0.2.2"}));

  Identity make(const CertificateSpec& spec) const { return crypto::testing::make_certificate(spec, &ca); }

  /// Writes objects as PEM and returns the file's name.
  std::string file(const std::vector<Bytes>& objects, const char* kind = "CERTIFICATE") {
    const std::string path = folder_ + "/" + std::to_string(++files_) + ".pem";
    std::ofstream out(path);
    for (const Bytes& der : objects) out << crypto::testing::to_pem(kind, der);
    return path;
  }
  /// One side: its certificates, what it believes, and further lines of its remote table.
  Setup side(const Identity& own, const std::string& local_more = "", const std::string& remote_more = "",
             const std::vector<Bytes>& intermediates = {}, const std::vector<Bytes>& authorities = {}) {
    Setup s;
    s.ike = "3des-sha1-modp768";
    std::vector<Bytes> chain{own.certificate};
    chain.insert(chain.end(), intermediates.begin(), intermediates.end());
    s.local = fmt::format("auth = \"pubkey\"\ncerts = \"{}\"\n{}", file(chain), local_more);
    s.remote = fmt::format("auth = \"pubkey\"\ncacerts = \"{}\"\n{}",
                           file(authorities.empty() ? std::vector<Bytes>{ca.certificate} : authorities), remote_more);
    s.keys = {own.key_pem};
    return s;
  }

 private:
  std::string folder_;
  int files_ = 0;
};

}  // namespace esplanade::ike::test
