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
             MmSa::Pending pending);
  /// Takes a datagram of exchange type 2. Returns the SA when this message established it, else null.
  MmSa* on_message(const Header& header, const Path& path, ByteView datagram);
  /// The answer of the holder of the secrets to what `mm` asked for. Returns the SA when that established it.
  MmSa* on_credential(MmSa& mm, const Result<Credential>& result);
  /// Repeats message 1 with the cookie that a responder in distress asked for.
  void on_dos_cookie(MmSa& mm, const Cookie& cookie);
  /// Sends the last message again, or gives up.
  void on_retransmit(MmSa& mm);
  /// The half-open responder's time is over.
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
  /// What the responder makes of an offer, and under which connection.
  struct Chosen {
    std::shared_ptr<const Connection> connection;
    MmChoice choice;
  };
  /// The first of `candidates` that an offer fits; without our name for GSS-API where message 2 with it would have
  /// more than `message1_len` octets. Errors: kUnsupported, or those of parse_sa().
  static Result<Chosen> choose(const std::vector<std::shared_ptr<const Connection>>& candidates,
                               const Payloads& payloads, std::size_t message1_len);
  /// Makes the half-open SA of an acceptable message 1 and answers it.
  MmSa& open_responder(const Incoming& in, const Chosen& chosen, const Cookie& cky_r);
  struct Message2 {
    Bytes octets;
    std::vector<Bytes> vendors_later;  // bodies of vendor IDs that go with message 4
  };
  /// Never longer than message 1.
  static Message2 message2(const Incoming& in, const Chosen& chosen, const Cookie& cky_r);
  void challenge(const Incoming& in, const Chosen& chosen);
  /// The half-open SA for a message 3 whose cookie proves that our message 2 arrived; null: no such.
  MmSa* admit(const Header& header, const Path& path);
  Status got2(MmSa& mm, const Incoming& in);
  Status got3(MmSa& mm, const Incoming& in);
  Status got4(MmSa& mm, const Incoming& in);
  Status got_proof(MmSa& mm, const Incoming& in, const Iv& next_iv);
  /// What the message proves, if it is the identity that the connection of `mm` wants.
  Result<std::optional<Id>> prove(MmSa& mm, const AuthState::Claim& claim, const Payloads& payloads) const;
  /// The message of `claim` counts; it proved `id`, if that is set.
  void accept_proof(MmSa& mm, const AuthState::Claim& claim, std::optional<Id> id);
  MmSa* on_unwrapped(MmSa& mm, const Result<Credential>& result);
  /// Goes on until our next message is out, the SA is established or the holder is asked. Returns the SA when it is
  /// established. `mm` may be gone afterwards.
  MmSa* advance(MmSa& mm);
  MmSa* establish(MmSa& mm);
  Status take_ke_nonce(MmSa& mm, const Incoming& in) const;
  Status derive(MmSa& mm);
  Result<Bytes> next_message(MmSa& mm);
  /// Ends a negotiation that cannot go on and tells the peer.
  void fail(MmSa& mm, const Error& why);
  bool first_contact(const MmSa& mm) const;
  void drop_others(const MmSa& mm);
  void note_vendors(MmSa& mm, const Payloads& payloads) const;
  void note_abilities(MmSa& mm, const Payloads& payloads) const;
  void note_nat(MmSa& mm, const Incoming& in) const;
  /// Sends a message and, as initiator, arms its retransmission.
  void send_step(MmSa& mm, Bytes message);
  /// Counts a message 5 or 6 that did not decrypt (`opened` false) or prove; several end the negotiation.
  void bad_proof(MmSa& mm, bool opened, const Iv& last_block, const Error& why);
  /// Tells the peer of an error: in clear, or from the third round trip on protected (R121), with the IV made from
  /// `last_block`.
  void refuse(const Header& header, const Cookie& cky_r, const Path& path, NotifyType type);
  void refuse_protected(MmSa& mm, const Iv& last_block, NotifyType type);
  std::vector<std::shared_ptr<const Connection>> connections_for(const Path& path) const;

  Core& core_;
};

}  // namespace esplanade::ike
