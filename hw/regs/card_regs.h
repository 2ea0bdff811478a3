// Made by hw/regs/gen_regs.py from hw/regs/card.toml; do not edit.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

static_assert(std::endian::native == std::endian::little, "formats are little-endian, and so must the machine be");

namespace esplanade::card {

inline constexpr std::uint32_t kFormatVersion = 2;  // Version of this file's formats; the driver refuses another.
inline constexpr std::uint32_t kDescriptorBytes = 64;  // Size of a submission ring entry.
inline constexpr std::uint32_t kCompletionBytes = 64;  // Size of a completion ring entry.
inline constexpr std::uint32_t kEventBytes = 32;  // Size of an event ring entry.
inline constexpr std::uint32_t kSaEntryBytes = 256;  // Size of the SA entry window.
inline constexpr std::uint32_t kSaViewBytes = 128;  // Size of the SA view window.
inline constexpr std::uint32_t kMaxQueues = 16;  // Queues that the register map has room for.
inline constexpr std::uint32_t kNumWindows = 4;  // Memory windows that the host can register.
inline constexpr std::uint32_t kRingLog2Max = 15;  // Largest log2 of ring entries.
inline constexpr std::uint32_t kBufferAlign = 64;  // Alignment in bytes of rings, packet buffers, segments and segment lists.
inline constexpr std::uint32_t kMaxSegments = 8;  // Most segments of a source or destination list; one entry is 16 bytes.

/// Result of one descriptor, in the completion; each has a counter (PACKETS_BY_STATUS).
enum class Status : std::uint8_t {
  kOk = 0,  // Done.
  kBadDescriptor = 1,  // Unknown operation or a reserved bit set.
  kBadAddress = 2,  // Source or destination outside the registered windows.
  kBadAlign = 3,  // Source, destination, segment or segment list not aligned to BufferAlign, or a segment before the last whose length is not a multiple of it.
  kBadLength = 4,  // Source length below an IP header or above MAX_PACKET, segments that do not add up to it, or a result above MAX_PACKET.
  kDstTooSmall = 5,  // The result would not fit the destination buffer.
  kBusError = 6,  // The memory answered a packet read or write with an error.
  kNoSa = 7,  // No SA at this index, or none with this SPI (RFC 4303 s3.4.2).
  kWrongDirection = 8,  // Encapsulation asked of an inbound SA or the reverse.
  kBadHeader = 9,  // IP header malformed: version, header length, total length or checksum.
  kFragment = 10,  // A fragment where a whole packet is needed (RFC 4303 s3.3.4, s3.4.1).
  kWrongProtocol = 11,  // Not the protocol of the SA (ESP, ESP in UDP, AH).
  kWrongAddress = 12,  // Outer addresses are not those of the SA.
  kBadEspLength = 13,  // ESP packet truncated or ciphertext not a multiple of the block size.
  kReplay = 14,  // Sequence number 0, left of the window or seen before (RFC 4303 s3.4.3).
  kBadIcv = 15,  // Integrity check failed (RFC 4303 s3.4.4.1).
  kBadPadding = 16,  // Pad length exceeds the payload or pad octets are not 1, 2, 3... (RFC 4303 s2.4).
  kBadNextHeader = 17,  // Next header is not what the SA's mode allows.
  kDummy = 18,  // Next header 59: a dummy packet, discarded (RFC 4303 s2.6); not an error.
  kSeqOverflow = 19,  // The sequence number would wrap (RFC 4303 s3.3.3).
  kExpired = 20,  // Hard lifetime reached.
  kNoSeed = 21,  // Encapsulation before the IV generator was seeded.
  kHostIvRefused = 22,  // Descriptor brings an IV, but CONTROL.TEST_MODE is off.
  kUnsupported = 23,  // Well formed, but not done by this build of the card; see CAPS.
  kPoisoned = 24,  // The SA's state failed its parity check.
  kBadInner = 26,  // Inner packet of a tunnel is not of the stated family or length, or its IPv4 header checksum is wrong.
};
/// Name of the value as card.toml writes it, or "?".
constexpr const char* name_of(Status value) {
  switch (value) {
    case Status::kOk: return "Ok";
    case Status::kBadDescriptor: return "BadDescriptor";
    case Status::kBadAddress: return "BadAddress";
    case Status::kBadAlign: return "BadAlign";
    case Status::kBadLength: return "BadLength";
    case Status::kDstTooSmall: return "DstTooSmall";
    case Status::kBusError: return "BusError";
    case Status::kNoSa: return "NoSa";
    case Status::kWrongDirection: return "WrongDirection";
    case Status::kBadHeader: return "BadHeader";
    case Status::kFragment: return "Fragment";
    case Status::kWrongProtocol: return "WrongProtocol";
    case Status::kWrongAddress: return "WrongAddress";
    case Status::kBadEspLength: return "BadEspLength";
    case Status::kReplay: return "Replay";
    case Status::kBadIcv: return "BadIcv";
    case Status::kBadPadding: return "BadPadding";
    case Status::kBadNextHeader: return "BadNextHeader";
    case Status::kDummy: return "Dummy";
    case Status::kSeqOverflow: return "SeqOverflow";
    case Status::kExpired: return "Expired";
    case Status::kNoSeed: return "NoSeed";
    case Status::kHostIvRefused: return "HostIvRefused";
    case Status::kUnsupported: return "Unsupported";
    case Status::kPoisoned: return "Poisoned";
    case Status::kBadInner: return "BadInner";
  }
  return "?";
}

/// Operation of a descriptor.
enum class Op : std::uint8_t {
  kNop = 0,  // Completes with Ok and touches no packet memory.
  kEncap = 1,  // Protect: source is an IP packet, destination gets the whole outer IP packet.
  kDecap = 2,  // Unprotect: source is a whole outer IP packet, destination gets the IP packet inside. The SA is found by the packet's SPI.
};
/// Name of the value as card.toml writes it, or "?".
constexpr const char* name_of(Op value) {
  switch (value) {
    case Op::kNop: return "Nop";
    case Op::kEncap: return "Encap";
    case Op::kDecap: return "Decap";
  }
  return "?";
}

/// Values of SA_COMMAND.
enum class SaCommand : std::uint8_t {
  kInstall = 1,  // Copy the SA entry window into entry SA_INDEX, atomically to traffic; the window is wiped.
  kRemove = 2,  // Wipe entry SA_INDEX; completes when no packet holds it.
  kView = 3,  // Copy the keyless state of entry SA_INDEX to the SA view window.
  kClear = 4,  // Wipe the whole table.
  kUpdate = 5,  // Copy addresses, ports, Natt, CheckOuter, Ttl, DF, DSCP and ECN policy and lifetimes from the window into the valid entry SA_INDEX of the same SPI and direction, atomically to traffic; keys, algorithms, numbers, window and counters stay; the window is wiped.
};
/// Name of the value as card.toml writes it, or "?".
constexpr const char* name_of(SaCommand value) {
  switch (value) {
    case SaCommand::kInstall: return "Install";
    case SaCommand::kRemove: return "Remove";
    case SaCommand::kView: return "View";
    case SaCommand::kClear: return "Clear";
    case SaCommand::kUpdate: return "Update";
  }
  return "?";
}

/// Values of SA_STATUS.RESULT.
enum class SaResult : std::uint8_t {
  kOk = 0,  // Done.
  kBadIndex = 1,  // SA_INDEX is not below SA_ENTRIES.
  kOccupied = 2,  // Install over a valid entry: remove it first.
  kEmpty = 3,  // No valid entry there.
  kUnsupported = 4,  // The entry asks for something that CAPS does not offer.
  kBadEntry = 5,  // The entry is inconsistent: reserved SPI, index not the low bits of an inbound SPI, NULL with NULL; or, for Update, not that SPI and direction.
  kBadCommand = 6,  // No such command.
};
/// Name of the value as card.toml writes it, or "?".
constexpr const char* name_of(SaResult value) {
  switch (value) {
    case SaResult::kOk: return "Ok";
    case SaResult::kBadIndex: return "BadIndex";
    case SaResult::kOccupied: return "Occupied";
    case SaResult::kEmpty: return "Empty";
    case SaResult::kUnsupported: return "Unsupported";
    case SaResult::kBadEntry: return "BadEntry";
    case SaResult::kBadCommand: return "BadCommand";
  }
  return "?";
}

/// Type of an event ring entry.
enum class EventType : std::uint8_t {
  kSoftBytes = 1,  // Soft byte lifetime reached.
  kSoftPackets = 2,  // Soft packet lifetime reached.
  kSoftSeconds = 3,  // Soft time lifetime reached.
  kHardBytes = 4,  // Hard byte lifetime reached; the entry is closed.
  kHardPackets = 5,  // Hard packet lifetime reached; the entry is closed.
  kHardSeconds = 6,  // Hard time lifetime reached; the entry is closed.
  kSeqSoon = 7,  // Outbound sequence number passed 2^32 - 2^28 without ESN: rekey.
  kSeqOverflow = 8,  // Outbound sequence number exhausted; the entry is closed.
  kError = 9,  // ERROR_CAUSE has a new bit; ARG has the cause bits.
};
/// Name of the value as card.toml writes it, or "?".
constexpr const char* name_of(EventType value) {
  switch (value) {
    case EventType::kSoftBytes: return "SoftBytes";
    case EventType::kSoftPackets: return "SoftPackets";
    case EventType::kSoftSeconds: return "SoftSeconds";
    case EventType::kHardBytes: return "HardBytes";
    case EventType::kHardPackets: return "HardPackets";
    case EventType::kHardSeconds: return "HardSeconds";
    case EventType::kSeqSoon: return "SeqSoon";
    case EventType::kSeqOverflow: return "SeqOverflow";
    case EventType::kError: return "Error";
  }
  return "?";
}

/// Encryption algorithm of an SA.
enum class Cipher : std::uint8_t {
  kNull = 0,  // RFC 2410.
  kDesCbc = 1,  // RFC 2405.
  kTripleDesCbc = 2,  // RFC 2451, EDE, three keys.
};
/// Name of the value as card.toml writes it, or "?".
constexpr const char* name_of(Cipher value) {
  switch (value) {
    case Cipher::kNull: return "Null";
    case Cipher::kDesCbc: return "DesCbc";
    case Cipher::kTripleDesCbc: return "TripleDesCbc";
  }
  return "?";
}

/// Authentication algorithm of an SA.
enum class Auth : std::uint8_t {
  kNone = 0,  // No ICV; not with the NULL cipher.
  kHmacMd5_96 = 1,  // RFC 2403.
  kHmacSha1_96 = 2,  // RFC 2404.
};
/// Name of the value as card.toml writes it, or "?".
constexpr const char* name_of(Auth value) {
  switch (value) {
    case Auth::kNone: return "None";
    case Auth::kHmacMd5_96: return "HmacMd5_96";
    case Auth::kHmacSha1_96: return "HmacSha1_96";
  }
  return "?";
}

/// DF bit of an outer IPv4 header (RFC 4301 s8.1).
enum class DfPolicy : std::uint8_t {
  kCopy = 0,  // From an inner IPv4 header; 0 for inner IPv6.
  kClear = 1,  // 0.
  kSet = 2,  // 1.
};
/// Name of the value as card.toml writes it, or "?".
constexpr const char* name_of(DfPolicy value) {
  switch (value) {
    case DfPolicy::kCopy: return "Copy";
    case DfPolicy::kClear: return "Clear";
    case DfPolicy::kSet: return "Set";
  }
  return "?";
}

/// A bit field of a register.
struct RegField {
  const char* name;
  std::uint32_t lsb;
  std::uint32_t width;
  const char* doc;
  constexpr std::uint32_t mask() const { return (width >= 32 ? ~0u : (1u << width) - 1) << lsb; }
  constexpr std::uint32_t get(std::uint32_t word) const { return (word & mask()) >> lsb; }
  constexpr std::uint32_t put(std::uint32_t value) const { return (value << lsb) & mask(); }
};

enum class Access : std::uint8_t { kRo, kRw, kWo, kW1c };

/// A register or an array of them; `offset` in bytes from the kernel's base.
struct Reg {
  const char* name;
  std::uint32_t offset;
  std::uint32_t count;
  std::uint32_t stride;
  Access access;
  const char* doc;
  const char* on_read;  // what a read changes, in words; empty: nothing
  std::span<const RegField> fields;
  constexpr std::uint32_t at(std::uint32_t n = 0) const { return offset + n * stride; }
};

/// A field of a format in memory: `lsb` and `width` in bits of the entry's little-endian vector.
struct Field {
  std::uint32_t lsb;
  std::uint32_t width;
};

/// Reads a number field (width up to 64) of an entry. The entry must be whole.
constexpr std::uint64_t get(std::span<const std::uint8_t> entry, Field f) {
  std::uint64_t value = 0;
  if (!std::is_constant_evaluated() && f.lsb % 8 == 0 && f.width % 8 == 0 && f.width <= 64) {  // whole octets, most fields: as this machine reads them
    std::memcpy(&value, entry.data() + f.lsb / 8, f.width / 8);
    return value;
  }
  for (std::uint32_t bit = 0; bit < f.width;) {
    const std::uint32_t at = f.lsb + bit;
    const std::uint32_t take = f.width - bit < 8 - at % 8 ? f.width - bit : 8 - at % 8;
    value |= (std::uint64_t{entry[at / 8]} >> (at % 8) & ((1u << take) - 1)) << bit;
    bit += take;
  }
  return value;
}

/// Writes a number field; bits of `value` above its width must be 0. Other fields stay.
constexpr void set(std::span<std::uint8_t> entry, Field f, std::uint64_t value) {
  if (!std::is_constant_evaluated() && f.lsb % 8 == 0 && f.width % 8 == 0 && f.width <= 64) {
    std::memcpy(entry.data() + f.lsb / 8, &value, f.width / 8);
    return;
  }
  for (std::uint32_t bit = 0; bit < f.width;) {
    const std::uint32_t at = f.lsb + bit;
    const std::uint32_t take = f.width - bit < 8 - at % 8 ? f.width - bit : 8 - at % 8;
    const auto mask = static_cast<std::uint8_t>(((1u << take) - 1) << (at % 8));
    const auto bits = static_cast<std::uint8_t>((value >> bit) << (at % 8));
    entry[at / 8] = static_cast<std::uint8_t>((entry[at / 8] & ~mask) | (bits & mask));
    bit += take;
  }
}

/// The octets of an octet-string field.
constexpr std::span<std::uint8_t> octets(std::span<std::uint8_t> entry, Field f) { return entry.subspan(f.lsb / 8, f.width / 8); }
constexpr std::span<const std::uint8_t> octets(std::span<const std::uint8_t> entry, Field f) { return entry.subspan(f.lsb / 8, f.width / 8); }

/// Submission ring entry. Reserved bits are 0.
namespace descriptor {
inline constexpr std::size_t kSize = 64;
inline constexpr Field kOp{0, 8};  // Enum Op.
inline constexpr Field kHostIv{8, 1};  // Encap: use IV instead of a generated one; test mode only.
inline constexpr Field kNumSegments{16, 8};  // 0: SrcAddr is the packet; n, up to MaxSegments: SrcAddr is a list of n {u64 address, u32 length, u32 0}.
inline constexpr Field kNumDstSegments{24, 8};  // The same for DstAddr.
inline constexpr Field kSaIndex{32, 32};  // Encap: SA entry. Decap: ignored.
inline constexpr Field kCookie{64, 64};  // Returned in the completion, not looked at.
inline constexpr Field kSrcAddr{128, 64};  // Source packet, or segment list.
inline constexpr Field kDstAddr{192, 64};  // Destination buffer.
inline constexpr Field kSrcLen{256, 32};  // Source bytes.
inline constexpr Field kDstSize{288, 32};  // Destination buffer bytes.
inline constexpr Field kIv{320, 64};  // IV where HostIv is set.
}

/// Completion ring entry. The cycle stamps are the low 32 bits of CYCLES; 0 where the packet did not get that far.
namespace completion {
inline constexpr std::size_t kSize = 64;
inline constexpr Field kPhase{0, 1};  // 1 on the first lap of the ring, then 0, and so on.
inline constexpr Field kOp{8, 8};  // The descriptor's operation.
inline constexpr Field kStatus{16, 8};  // Enum Status.
inline constexpr Field kNextHeader{24, 8};  // Decap: next header found (4 IPv4, 41 IPv6).
inline constexpr Field kSaIndex{32, 32};  // SA entry used; 0xffffffff when none was found.
inline constexpr Field kCookie{64, 64};  // From the descriptor.
inline constexpr Field kOutLen{128, 32};  // Bytes at DstAddr; 0 unless Ok.
inline constexpr Field kSpi{160, 32};  // SPI sent or received, as a number.
inline constexpr Field kSeq{192, 64};  // Sequence number sent or received; the high word is 0 without ESN.
inline constexpr Field kCycleFetched{256, 32};  // Descriptor seen.
inline constexpr Field kCycleStarted{288, 32};  // SA found, handed to a lane.
inline constexpr Field kCycleCiphered{320, 32};  // Last cipher block done.
inline constexpr Field kCycleHashed{352, 32};  // ICV made or checked.
inline constexpr Field kCycleDone{384, 32};  // Result in memory.
}

/// Event ring entry.
namespace event {
inline constexpr std::size_t kSize = 32;
inline constexpr Field kPhase{0, 1};  // As in a completion.
inline constexpr Field kType{8, 8};  // Enum EventType.
inline constexpr Field kSaIndex{32, 32};  // SA entry; 0xffffffff when none.
inline constexpr Field kSpi{64, 32};  // Its SPI.
inline constexpr Field kArg{96, 32};  // Type's own argument.
inline constexpr Field kCycle{128, 64};  // CYCLES when it happened.
}

/// Security association as the host writes it, once, through the SA entry window. Reserved bits are 0.
namespace sa_entry {
inline constexpr std::size_t kSize = 256;
inline constexpr Field kOutbound{0, 1};  // 1 encapsulates, 0 decapsulates.
inline constexpr Field kTransport{1, 1};  // 1 transport mode, 0 tunnel mode.
inline constexpr Field kAh{2, 1};  // 1 AH, 0 ESP.
inline constexpr Field kOuterV6{3, 1};  // Outer IP version 6.
inline constexpr Field kNatt{4, 1};  // ESP in UDP (RFC 3948).
inline constexpr Field kEsn{5, 1};  // Extended sequence numbers (RFC 4303 s2.2.1).
inline constexpr Field kCheckOuter{6, 1};  // Inbound: outer addresses must be Src and Dst.
inline constexpr Field kInnerV4{7, 1};  // Inbound tunnel: inner IPv4 allowed.
inline constexpr Field kInnerV6{8, 1};  // Inbound tunnel: inner IPv6 allowed.
inline constexpr Field kCipher{12, 4};  // Enum Cipher.
inline constexpr Field kAuth{16, 4};  // Enum Auth.
inline constexpr Field kDfPolicy{20, 2};  // Enum DfPolicy.
inline constexpr Field kDscpSet{22, 1};  // 1: outer DSCP is Dscp; 0: copied from the inner header.
inline constexpr Field kEcnClear{23, 1};  // 1: outer ECN is 00 (RFC 2401); 0: copied (RFC 4301).
inline constexpr Field kDscp{24, 6};  // Outer DSCP when DscpSet.
inline constexpr Field kSpi{32, 32};  // SPI as a number.
inline constexpr Field kReplayWindow{64, 16};  // Inbound: window in packets, 0 for no check; a multiple of 32.
inline constexpr Field kTtl{80, 8};  // Outer TTL or hop limit.
inline constexpr Field kIpId{96, 16};  // Outbound IPv4: identification of the first packet; then +1 each.
inline constexpr Field kSeq{128, 64};  // Outbound: last number used (0 on a new SA). Inbound: highest number seen, window empty below it.
inline constexpr Field kUdpSrc{192, 16};  // NAT-T: UDP source port of sent packets.
inline constexpr Field kUdpDst{208, 16};  // NAT-T: UDP destination port of sent packets.
inline constexpr Field kSoftSeconds{224, 32};  // Soft lifetime in seconds from installation; 0 none.
inline constexpr Field kHardSeconds{256, 32};  // Hard lifetime in seconds; 0 none.
inline constexpr Field kSoftBytes{320, 64};  // Soft lifetime in bytes of source (out) or result (in) packets; 0 none.
inline constexpr Field kHardBytes{384, 64};  // Hard lifetime in bytes; 0 none.
inline constexpr Field kSoftPackets{448, 64};  // Soft lifetime in packets; 0 none.
inline constexpr Field kHardPackets{512, 64};  // Hard lifetime in packets; 0 none.
inline constexpr Field kSrc{640, 128};  // Outer source address; IPv4 in the first 4 octets.
inline constexpr Field kDst{768, 128};  // Outer destination address.
inline constexpr Field kEncKey{1024, 192};  // Encryption key; DES in the first 8 octets.
inline constexpr Field kAuthKey{1280, 160};  // Authentication key; MD5 in the first 16 octets.
}

/// Keyless state of an SA entry, as command View copies it.
namespace sa_view {
inline constexpr std::size_t kSize = 128;
inline constexpr Field kValid{0, 1};  // The entry is in use.
inline constexpr Field kOutbound{1, 1};  // Direction.
inline constexpr Field kExpired{2, 1};  // A hard limit closed it.
inline constexpr Field kPoisoned{3, 1};  // Parity error.
inline constexpr Field kCipher{8, 4};  // Enum Cipher.
inline constexpr Field kAuth{12, 4};  // Enum Auth.
inline constexpr Field kSpi{32, 32};  // SPI.
inline constexpr Field kSeq{64, 64};  // Outbound: last number used. Inbound: highest number authenticated.
inline constexpr Field kPackets{128, 64};  // Packets done.
inline constexpr Field kBytes{192, 64};  // Bytes of source (out) or result (in) packets.
inline constexpr Field kReplayDrops{256, 32};  // Dropped by the replay check.
inline constexpr Field kIcvDrops{288, 32};  // Dropped by the integrity check.
inline constexpr Field kOtherDrops{320, 32};  // Dropped for any other reason.
inline constexpr Field kAgeSeconds{352, 32};  // Seconds since installation.
inline constexpr Field kPaddingDrops{384, 32};  // Dropped for padding (BadPadding).
inline constexpr Field kNextHeaderDrops{416, 32};  // Dropped for the next header (BadNextHeader, Dummy).
inline constexpr Field kInnerDrops{448, 32};  // Dropped for the inner packet (BadInner).
inline constexpr Field kProtocolDrops{480, 32};  // Dropped for the protocol or direction (WrongProtocol, WrongDirection).
inline constexpr Field kAddressDrops{512, 32};  // Dropped for the outer addresses (WrongAddress).
inline constexpr Field kExpiredDrops{544, 32};  // Dropped for a hard lifetime (Expired).
inline constexpr Field kSeqDrops{576, 32};  // Dropped for want of a sequence number (SeqOverflow).
inline constexpr Field kLengthDrops{608, 32};  // Dropped for a length (BadEspLength, BadLength, DstTooSmall).
}

namespace reg {
inline constexpr Reg kId{"ID", 0x0000, 1, 4, Access::kRo, "0x43505345: the octets E S P C.", "", {}};
inline constexpr Reg kVersion{"VERSION", 0x0004, 1, 4, Access::kRo, "FormatVersion of the card.", "", {}};
inline constexpr Reg kBuild{"BUILD", 0x0008, 1, 4, Access::kRo, "First 32 bits of the source revision that the card was built from; 0 if unknown.", "", {}};
inline constexpr RegField kCapsTripleDes{"TRIPLE_DES", 0, 1, "3DES-CBC."};
inline constexpr RegField kCapsDes{"DES", 1, 1, "DES-CBC."};
inline constexpr RegField kCapsNullCipher{"NULL_CIPHER", 2, 1, "NULL encryption."};
inline constexpr RegField kCapsHmacSha1{"HMAC_SHA1", 4, 1, "HMAC-SHA1-96."};
inline constexpr RegField kCapsHmacMd5{"HMAC_MD5", 5, 1, "HMAC-MD5-96."};
inline constexpr RegField kCapsAuthNone{"AUTH_NONE", 6, 1, "ESP without ICV."};
inline constexpr RegField kCapsEsp{"ESP", 8, 1, "ESP."};
inline constexpr RegField kCapsAh{"AH", 9, 1, "AH."};
inline constexpr RegField kCapsTunnel{"TUNNEL", 12, 1, "Tunnel mode."};
inline constexpr RegField kCapsTransport{"TRANSPORT", 13, 1, "Transport mode."};
inline constexpr RegField kCapsOuterV4{"OUTER_V4", 16, 1, "Outer IPv4."};
inline constexpr RegField kCapsOuterV6{"OUTER_V6", 17, 1, "Outer IPv6."};
inline constexpr RegField kCapsInnerV4{"INNER_V4", 18, 1, "Inner IPv4."};
inline constexpr RegField kCapsInnerV6{"INNER_V6", 19, 1, "Inner IPv6."};
inline constexpr RegField kCapsNatt{"NATT", 20, 1, "ESP in UDP (RFC 3948)."};
inline constexpr RegField kCapsEsn{"ESN", 21, 1, "Extended sequence numbers."};
inline constexpr RegField kCapsLifetimes{"LIFETIMES", 22, 1, "Byte, packet and second lifetimes."};
inline constexpr RegField kCapsScatterGather{"SCATTER_GATHER", 23, 1, "Segment lists."};
inline constexpr RegField kCapsTestMode{"TEST_MODE", 24, 1, "CONTROL.TEST_MODE can be set: not a production build."};
inline constexpr RegField kCapsSaUpdate{"SA_UPDATE", 25, 1, "SaCommand Update."};
inline constexpr RegField kCapsFields[] = {kCapsTripleDes, kCapsDes, kCapsNullCipher, kCapsHmacSha1, kCapsHmacMd5, kCapsAuthNone, kCapsEsp, kCapsAh, kCapsTunnel, kCapsTransport, kCapsOuterV4, kCapsOuterV6, kCapsInnerV4, kCapsInnerV6, kCapsNatt, kCapsEsn, kCapsLifetimes, kCapsScatterGather, kCapsTestMode, kCapsSaUpdate};
inline constexpr Reg kCaps{"CAPS", 0x000c, 1, 4, Access::kRo, "What this build does; one bit each.", "", kCapsFields};
inline constexpr RegField kSizesLanes{"LANES", 0, 8, "Lanes. Queue n belongs to lane n modulo LANES."};
inline constexpr RegField kSizesQueues{"QUEUES", 8, 8, "Queues."};
inline constexpr RegField kSizesSlots{"SLOTS", 16, 16, "Packet slots a lane."};
inline constexpr RegField kSizesFields[] = {kSizesLanes, kSizesQueues, kSizesSlots};
inline constexpr Reg kSizes{"SIZES", 0x0010, 1, 4, Access::kRo, "Parameters of the build.", "", kSizesFields};
inline constexpr Reg kSaEntries{"SA_ENTRIES", 0x0014, 1, 4, Access::kRo, "Entries of the SA table, a power of two. The low log2 bits of an inbound SPI are its index.", "", {}};
inline constexpr Reg kMaxPacket{"MAX_PACKET", 0x0018, 1, 4, Access::kRo, "Largest source and result packet in bytes.", "", {}};
inline constexpr Reg kReplayMax{"REPLAY_MAX", 0x001c, 1, 4, Access::kRo, "Largest replay window in packets.", "", {}};
inline constexpr Reg kClockHz{"CLOCK_HZ", 0x0020, 1, 4, Access::kRo, "Frequency of ap_clk in hertz, for cycles to seconds.", "", {}};
inline constexpr RegField kControlEnable{"ENABLE", 0, 1, "Fetch descriptors. Cleared: finish what is in flight, fetch no more."};
inline constexpr RegField kControlTestMode{"TEST_MODE", 1, 1, "Accept an IV from a descriptor. Stays 0 when CAPS.TEST_MODE is 0."};
inline constexpr RegField kControlSoftReset{"SOFT_RESET", 2, 1, "Write 1: drop packets in flight, empty the rings, keep the SA table. Reads 1 until done."};
inline constexpr RegField kControlFields[] = {kControlEnable, kControlTestMode, kControlSoftReset};
inline constexpr Reg kControl{"CONTROL", 0x0024, 1, 4, Access::kRw, "Global control.", "", kControlFields};
inline constexpr RegField kStatusIdle{"IDLE", 0, 1, "No packet in flight and nothing to fetch."};
inline constexpr RegField kStatusSeeded{"SEEDED", 1, 1, "The IV generator runs."};
inline constexpr RegField kStatusFault{"FAULT", 2, 1, "ERROR_CAUSE is not 0."};
inline constexpr RegField kStatusFields[] = {kStatusIdle, kStatusSeeded, kStatusFault};
inline constexpr Reg kStatus{"STATUS", 0x0028, 1, 4, Access::kRo, "State of the card.", "", kStatusFields};
inline constexpr RegField kErrorCauseRingRead{"RING_READ", 0, 1, "Bus error on a descriptor read; the queue stops."};
inline constexpr RegField kErrorCausePacketRead{"PACKET_READ", 1, 1, "Bus error on a packet read."};
inline constexpr RegField kErrorCausePacketWrite{"PACKET_WRITE", 2, 1, "Bus error on a packet write."};
inline constexpr RegField kErrorCauseRingWrite{"RING_WRITE", 3, 1, "Bus error on a completion or event write; the queue stops."};
inline constexpr RegField kErrorCauseRingConfig{"RING_CONFIG", 4, 1, "Ring enabled with a base or size that the windows do not hold."};
inline constexpr RegField kErrorCauseBadDoorbell{"BAD_DOORBELL", 5, 1, "Tail written further ahead than the ring is long."};
inline constexpr RegField kErrorCauseEventLost{"EVENT_LOST", 6, 1, "Event ring full: an event was dropped."};
inline constexpr RegField kErrorCauseSaParity{"SA_PARITY", 7, 1, "SA state failed its parity check."};
inline constexpr RegField kErrorCauseWatchdog{"WATCHDOG", 8, 1, "A packet stayed in a slot too long."};
inline constexpr RegField kErrorCauseAxilUnmapped{"AXIL_UNMAPPED", 9, 1, "Access to a register that does not exist."};
inline constexpr RegField kErrorCauseFields[] = {kErrorCauseRingRead, kErrorCausePacketRead, kErrorCausePacketWrite, kErrorCauseRingWrite, kErrorCauseRingConfig, kErrorCauseBadDoorbell, kErrorCauseEventLost, kErrorCauseSaParity, kErrorCauseWatchdog, kErrorCauseAxilUnmapped};
inline constexpr Reg kErrorCause{"ERROR_CAUSE", 0x002c, 1, 4, Access::kW1c, "Sticky causes of card errors (not of bad packets, which have a completion status).", "", kErrorCauseFields};
inline constexpr RegField kIrqEnableCompletion{"COMPLETION", 0, 1, "A completion was written."};
inline constexpr RegField kIrqEnableEvent{"EVENT", 1, 1, "An event was written."};
inline constexpr RegField kIrqEnableError{"ERROR", 2, 1, "ERROR_CAUSE is not 0."};
inline constexpr RegField kIrqEnableFields[] = {kIrqEnableCompletion, kIrqEnableEvent, kIrqEnableError};
inline constexpr Reg kIrqEnable{"IRQ_ENABLE", 0x0030, 1, 4, Access::kRw, "Which causes raise the interrupt line.", "", kIrqEnableFields};
inline constexpr RegField kIrqStatusCompletion{"COMPLETION", 0, 1, "A completion was written."};
inline constexpr RegField kIrqStatusEvent{"EVENT", 1, 1, "An event was written."};
inline constexpr RegField kIrqStatusError{"ERROR", 2, 1, "ERROR_CAUSE gained a bit."};
inline constexpr RegField kIrqStatusFields[] = {kIrqStatusCompletion, kIrqStatusEvent, kIrqStatusError};
inline constexpr Reg kIrqStatus{"IRQ_STATUS", 0x0034, 1, 4, Access::kW1c, "Pending interrupt causes, same bits as IRQ_ENABLE.", "", kIrqStatusFields};
inline constexpr Reg kErrorAddrLo{"ERROR_ADDR_LO", 0x0038, 1, 4, Access::kRo, "Address of the first bus error since ERROR_CAUSE was 0, low word.", "", {}};
inline constexpr Reg kErrorAddrHi{"ERROR_ADDR_HI", 0x003c, 1, 4, Access::kRo, "High word of it.", "", {}};
inline constexpr Reg kCyclesLo{"CYCLES_LO", 0x0040, 1, 4, Access::kRo, "Clock cycles since reset, low word. Read HI, LO, HI again and repeat if HI changed.", "", {}};
inline constexpr Reg kCyclesHi{"CYCLES_HI", 0x0044, 1, 4, Access::kRo, "High word of it.", "", {}};
inline constexpr Reg kBusyCyclesLo{"BUSY_CYCLES_LO", 0x0048, 1, 4, Access::kRo, "Cycles in which at least one packet was in flight, low word.", "", {}};
inline constexpr Reg kBusyCyclesHi{"BUSY_CYCLES_HI", 0x004c, 1, 4, Access::kRo, "High word of it.", "", {}};
inline constexpr Reg kSeconds{"SECONDS", 0x0050, 1, 4, Access::kRo, "Seconds since reset, from CLOCK_HZ.", "", {}};
inline constexpr Reg kRngSeed{"RNG_SEED", 0x0060, 5, 4, Access::kWo, "Seed of the IV generator (Trivium: words 0 to 2 low half are the 80-bit key, the rest the 80-bit IV). Writing word 4 starts it.", "", {}};
inline constexpr Reg kWindowBaseLo{"WINDOW_BASE_LO", 0x0080, 4, 16, Access::kRw, "Memory window: first address, low word. Rings and buffers must lie whole inside one enabled window.", "", {}};
inline constexpr Reg kWindowBaseHi{"WINDOW_BASE_HI", 0x0084, 4, 16, Access::kRw, "First address, high word.", "", {}};
inline constexpr Reg kWindowSize{"WINDOW_SIZE", 0x0088, 4, 16, Access::kRw, "Size in units of 4,096 bytes.", "", {}};
inline constexpr RegField kWindowControlEnable{"ENABLE", 0, 1, "The window counts."};
inline constexpr RegField kWindowControlFields[] = {kWindowControlEnable};
inline constexpr Reg kWindowControl{"WINDOW_CONTROL", 0x008c, 4, 16, Access::kRw, "Use of the window.", "", kWindowControlFields};
inline constexpr Reg kSaIndex{"SA_INDEX", 0x0400, 1, 4, Access::kRw, "Entry that the next SA_COMMAND works on.", "", {}};
inline constexpr Reg kSaCommand{"SA_COMMAND", 0x0404, 1, 4, Access::kWo, "Starts a command (enum SaCommand) unless SA_STATUS.BUSY.", "", {}};
inline constexpr RegField kSaStatusBusy{"BUSY", 0, 1, "Command under way."};
inline constexpr RegField kSaStatusResult{"RESULT", 8, 8, "Enum SaResult, valid when not BUSY."};
inline constexpr RegField kSaStatusFields[] = {kSaStatusBusy, kSaStatusResult};
inline constexpr Reg kSaStatus{"SA_STATUS", 0x0408, 1, 4, Access::kRo, "Progress and result of the last command.", "", kSaStatusFields};
inline constexpr Reg kSaValidCount{"SA_VALID_COUNT", 0x040c, 1, 4, Access::kRo, "Valid entries in the table.", "", {}};
inline constexpr Reg kSaEntry{"SA_ENTRY", 0x0500, 64, 4, Access::kWo, "SA entry window (format SaEntry). Wiped when a command has taken it.", "", {}};
inline constexpr Reg kSaView{"SA_VIEW", 0x0600, 32, 4, Access::kRo, "SA view window (format SaView).", "", {}};
inline constexpr Reg kEventBaseLo{"EVENT_BASE_LO", 0x0700, 1, 4, Access::kRw, "Event ring address, low word.", "", {}};
inline constexpr Reg kEventBaseHi{"EVENT_BASE_HI", 0x0704, 1, 4, Access::kRw, "High word of it.", "", {}};
inline constexpr RegField kEventControlEnable{"ENABLE", 0, 1, "Write events."};
inline constexpr RegField kEventControlLog2Size{"LOG2_SIZE", 8, 4, "log2 of the entries."};
inline constexpr RegField kEventControlFields[] = {kEventControlEnable, kEventControlLog2Size};
inline constexpr Reg kEventControl{"EVENT_CONTROL", 0x0708, 1, 4, Access::kRw, "Event ring set-up. Setting ENABLE resets its indices.", "", kEventControlFields};
inline constexpr Reg kEventHead{"EVENT_HEAD", 0x070c, 1, 4, Access::kRw, "Events consumed by the host, free-running.", "", {}};
inline constexpr Reg kEventTail{"EVENT_TAIL", 0x0710, 1, 4, Access::kRo, "Events written by the card, free-running.", "", {}};
inline constexpr Reg kSqBaseLo{"SQ_BASE_LO", 0x1000, 16, 64, Access::kRw, "Submission ring address of queue n, low word.", "", {}};
inline constexpr Reg kSqBaseHi{"SQ_BASE_HI", 0x1004, 16, 64, Access::kRw, "High word of it.", "", {}};
inline constexpr Reg kCqBaseLo{"CQ_BASE_LO", 0x1008, 16, 64, Access::kRw, "Completion ring address of queue n, low word.", "", {}};
inline constexpr Reg kCqBaseHi{"CQ_BASE_HI", 0x100c, 16, 64, Access::kRw, "High word of it.", "", {}};
inline constexpr RegField kQControlEnable{"ENABLE", 0, 1, "The queue runs."};
inline constexpr RegField kQControlInOrder{"IN_ORDER", 1, 1, "Complete in submission order (else only per SA)."};
inline constexpr RegField kQControlLog2Size{"LOG2_SIZE", 8, 4, "log2 of the entries of both rings."};
inline constexpr RegField kQControlFields[] = {kQControlEnable, kQControlInOrder, kQControlLog2Size};
inline constexpr Reg kQControl{"Q_CONTROL", 0x1010, 16, 64, Access::kRw, "Queue set-up. Setting ENABLE resets the queue's indices to 0 and its phase to 1.", "", kQControlFields};
inline constexpr Reg kSqTail{"SQ_TAIL", 0x1014, 16, 64, Access::kRw, "Doorbell: descriptors produced by the host, free-running.", "", {}};
inline constexpr Reg kSqHead{"SQ_HEAD", 0x1018, 16, 64, Access::kRo, "Descriptors fetched by the card, free-running.", "", {}};
inline constexpr Reg kCqHead{"CQ_HEAD", 0x101c, 16, 64, Access::kRw, "Completions consumed by the host, free-running. The card never overruns it.", "", {}};
inline constexpr Reg kCqTail{"CQ_TAIL", 0x1020, 16, 64, Access::kRo, "Completions written by the card, free-running; each is in memory before this shows it.", "", {}};
inline constexpr RegField kQStatusStopped{"STOPPED", 0, 1, "Stopped by an error; see ERROR_CAUSE. Clear ENABLE to restart."};
inline constexpr RegField kQStatusFields[] = {kQStatusStopped};
inline constexpr Reg kQStatus{"Q_STATUS", 0x1024, 16, 64, Access::kRo, "State of the queue.", "", kQStatusFields};
inline constexpr Reg kPacketsByStatus{"PACKETS_BY_STATUS", 0x2000, 32, 4, Access::kRo, "Completions with status n, modulo 2^32.", "", {}};
inline constexpr Reg kQPacketsByStatus{"Q_PACKETS_BY_STATUS", 0x3000, 512, 4, Access::kRo, "Completions of queue n / 32 with status n modulo 32, modulo 2^32.", "", {}};
inline constexpr Reg kEncapPackets{"ENCAP_PACKETS", 0x2100, 1, 4, Access::kRo, "Packets encapsulated, modulo 2^32.", "", {}};
inline constexpr Reg kEncapBytesLo{"ENCAP_BYTES_LO", 0x2104, 1, 4, Access::kRo, "Bytes of their source packets, low word.", "", {}};
inline constexpr Reg kEncapBytesHi{"ENCAP_BYTES_HI", 0x2108, 1, 4, Access::kRo, "High word of it.", "", {}};
inline constexpr Reg kDecapPackets{"DECAP_PACKETS", 0x210c, 1, 4, Access::kRo, "Packets decapsulated, modulo 2^32.", "", {}};
inline constexpr Reg kDecapBytesLo{"DECAP_BYTES_LO", 0x2110, 1, 4, Access::kRo, "Bytes of their result packets, low word.", "", {}};
inline constexpr Reg kDecapBytesHi{"DECAP_BYTES_HI", 0x2114, 1, 4, Access::kRo, "High word of it.", "", {}};
inline constexpr Reg kAll[] = {kId, kVersion, kBuild, kCaps, kSizes, kSaEntries, kMaxPacket, kReplayMax, kClockHz, kControl, kStatus, kErrorCause, kIrqEnable, kIrqStatus, kErrorAddrLo, kErrorAddrHi, kCyclesLo, kCyclesHi, kBusyCyclesLo, kBusyCyclesHi, kSeconds, kRngSeed, kWindowBaseLo, kWindowBaseHi, kWindowSize, kWindowControl, kSaIndex, kSaCommand, kSaStatus, kSaValidCount, kSaEntry, kSaView, kEventBaseLo, kEventBaseHi, kEventControl, kEventHead, kEventTail, kSqBaseLo, kSqBaseHi, kCqBaseLo, kCqBaseHi, kQControl, kSqTail, kSqHead, kCqHead, kCqTail, kQStatus, kPacketsByStatus, kQPacketsByStatus, kEncapPackets, kEncapBytesLo, kEncapBytesHi, kDecapPackets, kDecapBytesLo, kDecapBytesHi};
}  // namespace reg

}  // namespace esplanade::card
