// Informational exchanges, RFC 2409 s5.7: protected notify and delete. What arrives in clear is a hint for
// the log and changes nothing.
#pragma once

#include <functional>

#include "keyd/exchange/protect.h"
#include "keyd/sa/core.h"
#include "keyd/wire/payload_notify.h"

namespace esplanade::ike {

class Informational {
 public:
  explicit Informational(Core& core) : core_(core) {}

  /// Takes a datagram of exchange type 5.
  void on_message(const Header& header, const Path& path, ByteView datagram);
  /// Tells the peer that the main mode SA ends (R109). Does not remove it.
  void send_delete_mm(MmSa& mm);
  /// Tells the peer that inbound SAs of ours are gone, one message a protocol.
  void send_delete_sas(MmSa& mm, esp::Protocol protocol, const std::vector<std::uint32_t>& spis_in);
  void send_notify(MmSa& mm, NotifyType type, std::uint32_t spi);
  void send_notify(MmSa& mm, const Notify& notify);

  /// Sees each authenticated notify first; true: it was dealt with.
  std::function<bool(MmSa&, const Notify&)> on_own_notify;
  /// A responder in distress asks for message 1 with this cookie (DOS_COOKIE, in clear).
  std::function<void(MmSa&, const Cookie&)> on_dos_cookie;

 private:
  void on_clear(const Header& header, const Path& path, ByteView datagram);
  void on_notify(MmSa& mm, const Notify& notify);
  /// False when the delete removed `mm`.
  bool on_delete(MmSa& mm, const Delete& del);
  void send(MmSa& mm, PayloadType type, ByteView body);

  Core& core_;
};

}  // namespace esplanade::ike
