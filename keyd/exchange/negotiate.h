// Offers of SA payloads and the choice among them, for both phases. RFC 2409 s5, App. A; RFC 2407 s4.4, s4.5.
#pragma once

#include "keyd/policy/config.h"
#include "keyd/wire/payload_sa.h"

namespace esplanade::ike {

/// Main mode: one proposal, a transform for each suite in order of preference.
std::vector<Proposal> mm_offer(const Connection& connection);

/// The attribute of a main mode transform by which its sender names itself for GSS-API.
bool is_gss_name(const Attribute& attribute);

struct MmChoice {
  MmSuite suite;
  std::uint16_t auth = kAuthPsk;     // RFC 2409 App. A
  Bytes gss_name;                    // attribute 16384; empty: none
  std::chrono::seconds life{28800};  // what the transform says, or the default
  std::uint64_t kilobytes = 0;       // 0: none named
  Proposal reply;                    // the proposal with the chosen transform alone, octets as offered
};
/// What a transform says, if it is a complete one of ours: the four mandatory attributes with values that we
/// have, nothing that we do not know. Errors: kUnsupported.
Result<MmChoice> read_mm_transform(const Proposal& proposal, const Transform& transform);
/// The responder's choice: the first transform offered that the connection allows, with its method of
/// authentication. Where the initiator names itself for GSS-API, the reply names us. Errors: kUnsupported.
Result<MmChoice> choose_mm(const std::vector<Proposal>& offer, const Connection& connection);
/// The initiator's check of message 2: one proposal with one transform, equal to an offered one (R77).
Result<MmChoice> accept_mm(const std::vector<Proposal>& reply, const std::vector<Proposal>& offer);

/// Whether NAT was found, and which numbers the peer uses for UDP encapsulation (RFC 3947 s5.1, its drafts).
enum class Encap : std::uint8_t { kPlain, kUdp, kUdpDraft };

/// Inbound SPIs of ours for an offer; 0 where the child has no such protocol.
struct OwnSpis {
  std::uint32_t esp = 0;
  std::uint32_t ah = 0;
};

/// Quick mode: ESP and AH as alternatives, or with the same number as a bundle (RFC 2408 s4.2). `group`: of
/// main mode when PFS is wanted, else 0; the same in every transform (RFC 2409 s5.5).
std::vector<Proposal> qm_offer(const ChildConfig& child, const OwnSpis& spis, Encap encap,
                               std::uint16_t group);

/// What was agreed on for one protocol.
struct QmPart {
  QmSuite suite;          // group as offered
  std::uint32_t spi = 0;  // of the peer
  Proposal reply;         // the proposal with the chosen transform alone; its SPI is the peer's
};
struct QmChoice {
  std::vector<QmPart> parts;  // as offered: one, or AH and ESP of a bundle
  std::uint16_t group = 0;    // 0: no PFS
  bool transport = false;
  std::chrono::seconds life{28800};  // RFC 2407 s4.5: 8 h when no life is named
  std::uint64_t kilobytes = 0;       // 0: none named
};
/// For logs: "3des-sha1", "ah-md5 + des-sha1-modp1024".
std::string to_string(const QmChoice& choice);

/// The responder's choice: the first offered proposal, or bundle, that the child allows. `mm_group` is the
/// only group that PFS may use (R38); PFS that the child wants is required, PFS that it does not want is taken
/// (R36, R37). Errors: kUnsupported.
Result<QmChoice> choose_qm(const std::vector<Proposal>& offer, const ChildConfig& child,
                           std::uint16_t mm_group, Encap encap);
/// The initiator's check of message 2: all protocols of one offered proposal, each with one transform equal to
/// an offered one (R77). Errors: kUnsupported.
Result<QmChoice> accept_qm(const std::vector<Proposal>& reply, const std::vector<Proposal>& offer,
                           Encap encap);

/// Life attributes of a RESPONDER-LIFETIME notify (RFC 2407 s4.6.3.1), for either phase.
struct NotifiedLife {
  std::optional<std::chrono::seconds> seconds;
  std::optional<std::uint64_t> kilobytes;
};
/// Errors: kTruncated, kMalformed, kUnsupported. `phase1`: the attribute numbers are those of main mode.
Result<NotifiedLife> parse_notified_life(ByteView data, bool phase1);
Bytes build_notified_life(std::chrono::seconds seconds, std::uint64_t kilobytes, bool phase1);

}  // namespace esplanade::ike
