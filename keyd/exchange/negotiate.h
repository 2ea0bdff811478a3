// Offers of SA payloads and the choice among them, for both phases. RFC 2409 s5, App. A; RFC 2407 s4.4, s4.5.
#pragma once

#include "keyd/policy/config.h"
#include "keyd/wire/payload_sa.h"

namespace esplanade::ike {

/// Main mode: one proposal, a transform for each suite in order of preference.
std::vector<Proposal> mm_offer(const Connection& connection);

struct MmChoice {
  MmSuite suite;
  std::chrono::seconds life{28800};  // what the transform says, or the default
  Proposal reply;                    // the proposal with the chosen transform alone, octets as offered
};
/// What a transform says, if it is a complete one of ours: the four mandatory attributes, PSK, nothing that
/// we do not know. Errors: kUnsupported.
Result<MmChoice> read_mm_transform(const Proposal& proposal, const Transform& transform);
/// The responder's choice: the first transform offered that the connection allows. Errors: kUnsupported.
Result<MmChoice> choose_mm(const std::vector<Proposal>& offer, const Connection& connection);
/// The initiator's check of message 2: one proposal with one transform, equal to an offered one (R77).
Result<MmChoice> accept_mm(const std::vector<Proposal>& reply, const std::vector<Proposal>& offer);

/// Whether NAT was found, and which numbers the peer uses for UDP encapsulation.
enum class Encap : std::uint8_t { kPlain, kUdp, kUdpDraft };

std::vector<Proposal> qm_offer(const ChildConfig& child, std::uint32_t spi, Encap encap);

struct QmChoice {
  QmSuite suite;          // group as offered
  std::uint32_t spi = 0;  // of the peer
  bool transport = false;
  std::chrono::seconds life{28800};  // RFC 2407 s4.5: 8 h when no life is named
  std::uint64_t kilobytes = 0;       // 0: none named
  Proposal reply;                    // the proposal with the chosen transform alone; its SPI is the peer's
};
Result<QmChoice> read_qm_transform(const Proposal& proposal, const Transform& transform, Encap encap);
Result<QmChoice> choose_qm(const std::vector<Proposal>& offer, const ChildConfig& child, Encap encap);
Result<QmChoice> accept_qm(const std::vector<Proposal>& reply, const std::vector<Proposal>& offer,
                           Encap encap);

}  // namespace esplanade::ike
