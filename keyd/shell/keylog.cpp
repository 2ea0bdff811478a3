#include "keyd/shell/keylog.h"

#include <fmt/format.h>
#include <unistd.h>

namespace esplanade::ike {
namespace {

// The names of epan/dissectors/packet-ipsec.c.
const char* wireshark_name(esp::Cipher c) {
  return c == esp::Cipher::kTripleDesCbc ? "TripleDES-CBC [RFC2451]"
         : c == esp::Cipher::kDesCbc     ? "DES-CBC [RFC2405]"
                                         : "NULL";
}
const char* wireshark_name(esp::Auth a) {
  return a == esp::Auth::kHmacSha1_96  ? "HMAC-SHA-1-96 [RFC2404]"
         : a == esp::Auth::kHmacMd5_96 ? "HMAC-MD5-96 [RFC2403]"
                                       : "NULL";
}
std::string key_text(const Secret& key) { return key.empty() ? "" : "0x" + to_hex(key.reveal()); }

}  // namespace

void Keylog::set_file(std::string_view name, pfkey::Fd fd) {
  if (name == "ikev1_decryption_table") ike_ = std::move(fd);
  if (name == "esp_sa") esp_ = std::move(fd);
}

void Keylog::append(const pfkey::Fd& fd, std::string line) {
  line += '\n';
  [[maybe_unused]] const auto written = ::write(fd.get(), line.data(), line.size());  // an aid, not a duty
  wipe(MutableBytes(reinterpret_cast<Byte*>(line.data()), line.size()));
}

void Keylog::main_mode(const Cookie& cky_i, ByteView key) {
  if (ike_) append(ike_, fmt::format("{},{}", to_hex(cky_i), to_hex(key)));
}

void Keylog::sa(const esp::SaParams& sa) {
  if (!esp_ || sa.protocol != esp::Protocol::kEsp) return;
  append(esp_, fmt::format(R"("{}","{}","{}","0x{:08x}","{}","{}","{}","{}")",
                           sa.src.version == 4 ? "IPv4" : "IPv6", esp::to_string(sa.src), esp::to_string(sa.dst),
                           sa.spi, wireshark_name(sa.cipher), key_text(sa.enc_key), wireshark_name(sa.auth),
                           key_text(sa.auth_key)));
}

}  // namespace esplanade::ike
