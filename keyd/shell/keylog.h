// The opt-in files of keys for Wireshark, ikev1_decryption_table and esp_sa as it reads them from its profile
// folder. Who has them reads everything: only --insecure-keylog makes them.
#pragma once

#include "common/esp/sa.h"
#include "common/pfkey/socket.h"
#include "keyd/wire/isakmp_header.h"

namespace esplanade::ike {

class Keylog {
 public:
  /// The file, open to append, that the parent gives under this name. An unknown name is ignored.
  void set_file(std::string_view name, pfkey::Fd fd);
  bool active() const { return ike_ || esp_; }
  /// The initiator's cookie and the cipher key of a main mode SA.
  void main_mode(const Cookie& cky_i, ByteView key);
  void sa(const esp::SaParams& sa);

 private:
  static void append(const pfkey::Fd& fd, std::string line);
  pfkey::Fd ike_;
  pfkey::Fd esp_;
};

}  // namespace esplanade::ike
