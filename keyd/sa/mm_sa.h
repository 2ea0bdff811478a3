// The state of one main mode SA and of the quick modes that run under it. Data only: exchange/ works on it.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>

#include "common/crypto/dh.h"
#include "keyd/exchange/negotiate.h"
#include "keyd/keymat/main_mode_keys.h"
#include "keyd/sa/io.h"

namespace esplanade::ike {

/// What every exchange keeps to survive loss and duplication: RFC 2408 s5.1, RFC 2409 s5.
struct Reliability {
  Bytes last_received;           // digest of the last message accepted
  Bytes last_sent;               // to send again: by timer (initiator) or on a duplicate (responder)
  std::uint32_t tries = 0;       // retransmissions of last_sent by timer
  std::uint32_t duplicates = 0;  // retransmissions on duplicates: bounded, for a flood of them is an attack
};

/// What the method of authentication keeps while main mode runs.
struct AuthState {
  /// What the holder of the secrets was asked for last; nothing else is asked meanwhile.
  enum class Wait : std::uint8_t { kNothing, kSkeyid, kToken, kUnwrap, kProof };
  Wait wait = Wait::kNothing;
  Secret g_xy;    // until SKEYID is there
  Secret skeyid;  // pre-shared key: prf(psk, Ni_b | Nr_b), until the keys are there
  Bytes id_b;     // the peer's ID body: GSS-API sends it once and may prove it later
  Bytes proof;    // for our next message: signature or wrapped HASH
  bool proof_sent = false;
  bool peer_proved = false;
  bool initial_contact = false;  // the peer says that it has no other SA with us

  /// A message with the peer's HASH, kept until the holder has unwrapped it. Nothing of it counts before.
  struct Claim {
    Bytes digest;
    Iv next_iv{};
    Bytes id_b;
    Bytes hash;  // wrapped
    Path path;
    bool initial_contact = false;
  };
  std::optional<Claim> claim;

  // GSS-API. The context's number is that of the main mode SA.
  bool gss_begun = false;     // the holder has a context for us
  bool gss_complete = false;  // at our end
  std::string principal;      // the peer's, once complete
  std::string gss_target;     // initiator: whom we ask a ticket for
  Bytes own_name;             // GIi and GIr, octets of the attribute
  Bytes peer_name;
  std::vector<Bytes> vendors_later;  // responder: bodies of vendor IDs for which message 2 had no room
  Bytes token_in;  // the peer's next token, for the holder
  Bytes token_out;
  Bytes tokens_sent;  // all of them: hashed at the end
  Bytes tokens_got;
};

/// One protocol of a quick mode: a pair of SAs in the making.
struct QmSa {
  esp::Protocol protocol = esp::Protocol::kEsp;
  QmSuite suite;
  std::uint32_t spi_in = 0;
  std::uint32_t spi_out = 0;
  Secret keymat_in;
  Secret keymat_out;
};

/// One quick mode in the making.
struct QmExchange {
  enum class Phase : std::uint8_t {
    kWantSpi,         // GetSpi is on its way, for sas[step]
    kWaitMessage2,    // initiator
    kInstallInbound,  // InstallSa of the inbound SA of sas[step] is on its way
    kWaitMessage3,    // responder
    kWaitConnected,   // initiator, the responder set the commit bit
    kInstallOutbound,
    kDone,  // kept to answer duplicates
  };
  std::uint32_t message_id = 0;
  bool initiator = true;
  Phase phase = Phase::kWantSpi;
  const ChildConfig* child = nullptr;
  Selector local_ts;
  Selector remote_ts;
  Iv iv{};
  Reliability reliability;
  std::vector<Proposal> offer;  // initiator's
  QmChoice choice;              // what was agreed
  std::vector<QmSa> sas;        // initiator before message 2: a protocol each that is offered
  std::size_t step = 0;
  Bytes ni_b;
  Bytes nr_b;
  std::optional<crypto::DhKey> dh;  // PFS
  Bytes own_ke;                     // responder's public value
  Bytes peer_ke;
  Bytes idci_b;  // as on the wire; empty when the peer sent none
  Bytes idcr_b;
  bool commit = false;  // the responder set the commit bit in message 2
  bool connected = false;
  std::optional<std::uint32_t> replaces;  // inbound SPI of the pair that this one renews
  bool pfs = false;                       // initiator: offer a group
  bool retried = false;                   // its first attempt ended with its main mode SA
  // What the two ends agreed on, not more than the child's own.
  std::chrono::seconds life{0};
  std::uint64_t kilobytes = 0;  // 0: no limit
};

using CookiePair = std::pair<Cookie, Cookie>;  // initiator's, responder's

struct MmSa {
  std::uint64_t number = 0;  // never used again
  CookiePair cookies{};
  bool initiator = true;
  std::size_t expect = 0;  // index in the step table of the message that comes next; its size: established
  std::shared_ptr<const Connection> connection;
  Path path;
  Reliability reliability;
  std::uint32_t bad_auth = 0;  // messages 5 or 6 that did not decrypt or prove
  AuthState auth;

  std::vector<Proposal> offer;  // initiator's
  MmSuite suite;
  std::chrono::seconds life{28800};
  std::uint64_t life_kilobytes = 0;  // negotiated; 0: no limit
  std::uint64_t octets = 0;          // of messages protected by these keys, sent and received
  Bytes sai_b;  // octets of the SA body of message 1
  Bytes ni_b;
  Bytes nr_b;
  std::optional<crypto::DhKey> dh;  // gone once the keys are there
  Bytes g_xi;
  Bytes g_xr;
  MmKeys keys;
  Iv iv{};  // phase 1: of the next message; then the last block, from which phase 2 IVs are made

  bool peer_natt = false;
  bool natt_draft = false;  // the peer knows the drafts' numbers only
  bool peer_dpd = false;
  bool peer_fragments = false;  // takes IKE fragments
  bool peer_microsoft = false;  // acknowledges deletes (MS-IKEE s3.8)
  std::uint32_t cookie_asked = 0;          // times that we repeated message 1 with the peer's cookie
  std::optional<std::uint32_t> dpd_seen;   // sequence number of the peer's latest R-U-THERE
  std::uint16_t fragment_id = 0;           // of the message cut last
  Time heard{0};         // of the latest authentic message, and of the one before
  Time heard_before{0};
  Time sent{0};  // behind NAT: when we last sent by the path that the NAT must keep open
  bool peer_commit = false;  // may be sent the commit bit
  bool peer_gss = false;     // means GSS-API with method 65001, which XAUTH uses too
  bool local_behind_nat = false;
  bool remote_behind_nat = false;
  bool nat() const { return local_behind_nat || remote_behind_nat; }
  Encap encap() const { return !nat() ? Encap::kPlain : natt_draft ? Encap::kUdpDraft : Encap::kUdp; }
  bool peer_keyd = false;  // keeps an SA for a while after its life, as we do

  std::optional<Id> peer_id;  // once proved
  bool shortened = false;  // ends sooner than was agreed: our own limits are lower
  bool answered = false;   // initiator: the peer has sent something
  bool established = false;
  Time since{0};  // when it was
  bool expired = false;           // serves no new quick mode (R111, R118)
  std::uint32_t quick_modes = 0;  // begun by either side: R24; R100 and R101 distinguish the first
  std::map<std::uint32_t, QmExchange> exchanges;  // by Message-ID
  std::deque<std::uint32_t> done_order;           // finished exchanges still kept, oldest first
  std::set<std::uint32_t> seen_ids;      // Message-IDs used by either side: never again (RFC 2409 s5.5)
  std::uint32_t id_key = 0;      // of the permutation that our own identifiers come from
  std::uint32_t id_count = 0;
  std::deque<std::uint32_t> seen_order;  // to bound the set
  bool seen_all = true;                  // false once an identifier was forgotten

  struct Pending {
    const ChildConfig* child = nullptr;  // null: main mode is all that is wanted
    std::optional<std::uint32_t> replaces;
    bool with_pfs = false;  // whatever the child says
    bool retried = false;   // the second attempt
  };
  // Quick modes to start: when this is established; then, those beyond what IkeLimits has at once.
  std::vector<Pending> pending;

  /// A delete that the peer has yet to acknowledge (MS-IKEE s3.8), by Message-ID.
  struct ReliableDelete {
    Bytes message;
    Iv iv{};  // of the answer
    Bytes ni_b;
    std::uint32_t tries = 0;  // retransmissions
  };
  std::map<std::uint32_t, ReliableDelete> deletes;
  bool remove_when_acked = false;  // the delete of this SA itself is among them
};

/// An installed pair of SAs, or two: AH around ESP. ESP's SPI names a bundle.
struct ChildSa {
  std::shared_ptr<const Connection> connection;
  const ChildConfig* child = nullptr;
  esp::Protocol protocol = esp::Protocol::kEsp;
  std::uint32_t spi_in = 0;
  std::uint32_t spi_out = 0;
  struct Spis {
    std::uint32_t in = 0;
    std::uint32_t out = 0;
  };
  std::optional<Spis> ah;  // the AH part of a bundle
  esp::IpAddress local;
  esp::IpAddress remote;
  std::uint16_t remote_port = 0;  // of UDP encapsulation; 0: plain
  Selector local_ts;
  Selector remote_ts;
  Id peer_id;
  bool initiator = true;
  bool rekeying = false;
  bool one_way_heir = false;  // made because the pair before had packets one way only
  std::uint32_t dead = 0;     // inbound SPI of that pair, until it is removed
  std::uint64_t number = 0;  // in order of installation
  Time since{0};             // of installation
  std::uint64_t packets_in = 0;  // at the last look: for the idle time-out
  std::uint64_t packets_out = 0;
  Time busy{0};  // when packets were last seen to move

  bool has_spi(std::uint32_t spi) const {
    return spi == spi_in || spi == spi_out || (ah && (spi == ah->in || spi == ah->out));
  }
};

}  // namespace esplanade::ike
