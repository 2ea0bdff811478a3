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
  /// Tells the peer that an installed pair, or bundle, of ours is gone.
  void send_delete_child(MmSa& mm, const ChildSa& child);
  void send_notify(MmSa& mm, NotifyType type, std::uint32_t spi, ProtocolId protocol = ProtocolId::kEsp);
  void send_notify(MmSa& mm, const Notify& notify);
  /// Tells the initiator of `mm` that it ends sooner than was agreed (RFC 2407 s4.6.3.1).
  void send_mm_lifetime(MmSa& mm);
  /// Sends an unacknowledged delete again, or gives it up, with it an SA that only waited for that.
  void on_delete_timer(MmSa& mm, std::uint32_t message_id);

  /// Sees each authenticated notify first; true: it was dealt with.
  std::function<bool(MmSa&, const Notify&)> on_own_notify;
  /// A responder in distress asks for message 1 with this cookie (DOS_COOKIE, in clear).
  std::function<void(MmSa&, const Cookie&)> on_dos_cookie;

 private:
  /// Takes a protected message of a peer whose identity is not proved yet: an error that ends our attempt.
  void on_early(MmSa& mm, const Header& header, ByteView datagram);
  void on_clear(const Header& header, const Path& path, ByteView datagram);
  /// Both: false when `mm` is gone.
  bool on_notify(MmSa& mm, const Notify& notify);
  bool on_delete(MmSa& mm, const Delete& del);
  /// An error of the peer about quick modes that wait for message 2.
  bool on_refusal(MmSa& mm, const Notify& notify);
  void on_mm_lifetime(MmSa& mm, const Notify& notify);
  /// True when the message was the acknowledgement of a delete; `mm` may then be gone.
  bool on_delete_ack(MmSa& mm, const Header& header, const Payloads& payloads);
  void acknowledge_delete(MmSa& mm, std::uint32_t message_id, const Opened& del);
  void send(MmSa& mm, PayloadType type, ByteView body);
  void send_delete(MmSa& mm, const Delete& del);
  /// HASH, then `content`, protected and sent; the octets, empty on an error. Moves `iv` on.
  Bytes send_chain(MmSa& mm, std::uint32_t message_id, Iv& iv, ByteView hash, const ChainBuilder& content);

  Core& core_;
};

}  // namespace esplanade::ike
