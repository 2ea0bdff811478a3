// Main mode, RFC 2409 s5, as initiator and responder, with NAT detection (RFC 3947). No aggressive mode.
#pragma once

#include "keyd/exchange/auth.h"
#include "keyd/exchange/protect.h"
#include "keyd/sa/core.h"

namespace esplanade::ike {

class MainMode {
 public:
  explicit MainMode(Core& core) : core_(core) {}

  /// Sends message 1; `pending` starts when the SA is established.
  void start(const std::shared_ptr<const Connection>& connection, const esp::IpAddress& remote,
             std::optional<MmSa::Pending> pending);
  /// Takes a datagram of exchange type 2. Returns the SA when this message established it, else null.
  MmSa* on_message(const Header& header, const Path& path, ByteView datagram);
  /// Repeats message 1 with the cookie that a responder in distress asked for.
  void on_dos_cookie(MmSa& mm, const Cookie& cookie);
  /// Sends the last message again, or gives up.
  void on_retransmit(MmSa& mm);
  /// The half-open responder's or the established SA's time is over.
  void on_expire(MmSa& mm);

 private:
  struct Incoming {
    const Header& header;
    const Path& path;
    ByteView datagram;
    const Payloads& payloads;
  };
  void on_message1(const Header& header, const Path& path, ByteView datagram);
  Status respond1(const Incoming& in);
  /// Makes the half-open SA of an acceptable message 1 and answers it; `choice` is what was chosen.
  MmSa& open_responder(const Incoming& in, std::shared_ptr<const Connection> connection, MmChoice choice,
                       const Cookie& cky_r);
  static Bytes message2(const Incoming& in, const MmChoice& choice, const Cookie& cky_r);
  void challenge(const Incoming& in, const MmChoice& choice);
  /// The half-open SA for a message 3 whose cookie proves that our message 2 arrived; null: no such.
  MmSa* admit(const Header& header, const Path& path);
  Status got2(MmSa& mm, const Incoming& in);
  Status got3(MmSa& mm, const Incoming& in);
  Status got4(MmSa& mm, const Incoming& in);
  Status got_proof(MmSa& mm, const Incoming& in);
  Status take_ke_nonce(MmSa& mm, const Incoming& in);
  Status derive(MmSa& mm);
  void add_ke_nonce_natd(const MmSa& mm, ChainBuilder& chain) const;
  Result<Bytes> proof_message(MmSa& mm, bool initial_contact);
  bool first_contact(const MmSa& mm) const;
  void drop_others(const MmSa& mm);
  void note_vendors(MmSa& mm, const Payloads& payloads) const;
  void note_nat(MmSa& mm, const Incoming& in) const;
  /// Sends a message and, as initiator, arms its retransmission.
  void send_step(MmSa& mm, Bytes message);
  void bad_proof(MmSa& mm);
  void refuse(const Header& header, const Cookie& cky_r, const Path& path, NotifyType type);
  std::shared_ptr<const Connection> connection_for(const Path& path) const;

  Core& core_;
};

}  // namespace esplanade::ike
