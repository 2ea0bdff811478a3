// Quick mode, RFC 2409 s5.5, as initiator and responder, with PFS and the commit bit. A pair of SAs reaches
// espd in the order that loses no packet: the inbound SA is in place before the peer can send, the outbound
// one after the peer can receive.
#pragma once

#include "keyd/exchange/protect.h"
#include "keyd/exchange/steps.h"
#include "keyd/sa/core.h"

namespace esplanade::ike {

class QuickMode {
 public:
  explicit QuickMode(Core& core) : core_(core) {}

  /// True when the child needs AH and `mm` has found a NAT, which AH cannot pass.
  static bool nat_forbids(const MmSa& mm, const ChildConfig& child);
  /// Starts a negotiation under an established SA; `pending.replaces` names the pair that it renews.
  void start(MmSa& mm, const MmSa::Pending& pending);
  /// Takes a datagram of exchange type 32 for `mm`.
  void on_message(MmSa& mm, const Header& header, const Path& path, ByteView datagram);
  /// The SPI that espd allotted, or its error.
  void on_spi(MmSa& mm, QmExchange& qm, const Result<std::uint32_t>& spi);
  /// espd installed the SA that was asked for last, or could not.
  void on_installed(MmSa& mm, QmExchange& qm, const Status& status);
  /// True when the last message has been sent as often as it may be.
  bool attempts_used_up(const QmExchange& qm) const;
  /// Sends the last message again, or drops `qm` when the attempts are used up; `goes_on` as in
  /// Core::drop_qm.
  void on_retransmit(MmSa& mm, QmExchange& qm, bool goes_on);
  /// The responder's wait for message 3 is over.
  void on_expire(MmSa& mm, QmExchange& qm);

 private:
  struct Refusal {
    NotifyType notify;
    std::string why;
  };
  void on_message1(MmSa& mm, const Header& header, const Path& path, ByteView datagram);
  std::optional<Refusal> read_message1(MmSa& mm, QmExchange& qm, const Payloads& payloads);
  Status got2(MmSa& mm, QmExchange& qm, const Header& header, const Payloads& payloads);
  Status got3(MmSa& mm, QmExchange& qm, const Payloads& payloads);
  Status got4(MmSa& mm, QmExchange& qm, const Payloads& payloads);

  void want_spi(MmSa& mm, QmExchange& qm);
  /// Turns what was agreed on into `qm.sas`; an SPI allotted for a protocol that was not chosen goes back.
  void adopt_choice(MmSa& mm, QmExchange& qm, QmChoice choice);
  void delete_at_peer(MmSa& mm, const std::vector<QmSa>& sas);
  Status derive(MmSa& mm, QmExchange& qm);
  void install(MmSa& mm, QmExchange& qm, bool outbound);
  Status send_message1(MmSa& mm, QmExchange& qm);
  Status send_message2(MmSa& mm, QmExchange& qm);
  Status send_message3(MmSa& mm, QmExchange& qm);
  Status send_message4(MmSa& mm, QmExchange& qm);
  /// HASH over `content`, then `content`, protected and sent. `ni_b` is hashed in front of it in message 2.
  Status send(MmSa& mm, QmExchange& qm, const ChainBuilder& content, ByteView ni_b, std::uint8_t flags);
  void arm_retransmit(MmSa& mm, QmExchange& qm);

  Core& core_;
};

}  // namespace esplanade::ike
