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

/// One quick mode in the making.
struct QmExchange {
  enum class Phase : std::uint8_t {
    kWantSpi,         // GetSpi is on its way
    kWaitMessage2,    // initiator
    kInstallInbound,  // InstallSa of the inbound SA is on its way
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
  std::uint32_t spi_in = 0;
  std::uint32_t spi_out = 0;
  Bytes ni_b;
  Bytes nr_b;
  std::optional<crypto::DhKey> dh;  // PFS
  Bytes peer_ke;
  Bytes idci_b;  // as on the wire; empty when the peer sent none
  Bytes idcr_b;
  bool commit = false;  // the responder set the commit bit in message 2
  bool connected = false;
  Secret keymat_in;
  Secret keymat_out;
  std::optional<std::uint32_t> replaces;  // inbound SPI of the pair that this one renews
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
  std::uint32_t bad_auth = 0;  // messages 5 that did not decrypt or prove

  std::vector<Proposal> offer;  // initiator's
  MmSuite suite;
  std::chrono::seconds life{28800};
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
  bool peer_microsoft = false;
  std::uint32_t cookie_asked = 0;          // times that we repeated message 1 with the peer's cookie
  std::optional<std::uint32_t> dpd_seen;   // sequence number of the peer's latest R-U-THERE
  std::uint16_t fragment_id = 0;           // of the message cut last
  Time heard{0};         // of the latest authentic message, and of the one before
  Time heard_before{0};
  Time sent{0};  // behind NAT: when we last sent by the path that the NAT must keep open
  bool peer_commit = false;  // may be sent the commit bit
  bool local_behind_nat = false;
  bool remote_behind_nat = false;
  bool nat() const { return local_behind_nat || remote_behind_nat; }
  Encap encap() const { return !nat() ? Encap::kPlain : natt_draft ? Encap::kUdpDraft : Encap::kUdp; }

  std::optional<Id> peer_id;  // once proved
  bool established = false;
  std::uint32_t quick_modes = 0;                  // started by us: R100 and R101 distinguish the first
  std::map<std::uint32_t, QmExchange> exchanges;  // by Message-ID
  std::deque<std::uint32_t> done_order;           // finished exchanges still kept, oldest first
  std::set<std::uint32_t> seen_ids;      // Message-IDs used by either side: never again (RFC 2409 s5.5)
  std::uint32_t id_key = 0;      // of the permutation that our own identifiers come from
  std::uint32_t id_count = 0;
  std::deque<std::uint32_t> seen_order;  // to bound the set
  bool seen_all = true;                  // false once an identifier was forgotten

  struct Pending {
    const ChildConfig* child = nullptr;
    std::optional<std::uint32_t> replaces;
  };
  std::vector<Pending> pending;  // quick modes to start when this is established
};

/// An installed pair of SAs.
struct ChildSa {
  std::shared_ptr<const Connection> connection;
  const ChildConfig* child = nullptr;
  esp::Protocol protocol = esp::Protocol::kEsp;
  std::uint32_t spi_in = 0;
  std::uint32_t spi_out = 0;
  esp::IpAddress local;
  esp::IpAddress remote;
  std::uint16_t remote_port = 0;  // of UDP encapsulation; 0: plain
  Id peer_id;
  bool initiator = true;
  bool rekeying = false;
  bool one_way_heir = false;  // made because the pair before had packets one way only
};

}  // namespace esplanade::ike
