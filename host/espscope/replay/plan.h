// What a replay of a driver's recording does, step by step: made by `espscope replay` (host/espscope/scope/replays.py), read here as hostile input.
// One line a step, numbers in decimal:
//   queue NUMBER LOG2_SIZE IN_ORDER SLOT_BYTES
//   sa INDEX COMMAND ENTRY                 COMMAND 1 installs, 5 updates; ENTRY: the keyless part of format SaEntry in hexadecimal
//   remove INDEX
//   packet QUEUE NUMBER RECORD OP SA BYTES ROOM  VERSION FLAGS PROTOCOL HEADER TOTAL SPI SEQ  OUTCOME OUT_SA OUT_BYTES OUT_SEQ NEXT_HEADER OVERTAKEN CYCLES
//   ring QUEUE                             what was handed in since goes to the card
//   await QUEUE NUMBER                     the program had the completion of this packet before it went on
//   event RECORD TYPE SA ARG
#pragma once

#include <array>
#include <string_view>
#include <variant>

#include "common/base/bytes.h"
#include "hw/regs/card_regs.h"

namespace esplanade::replay {

inline constexpr std::size_t kKeyless = card::sa_entry::kEncKey.lsb / 8;
inline constexpr std::uint32_t kPacketMax = 65535, kQueuesMax = card::kMaxQueues, kSaMax = 1 << 20;

struct QueueStep {
  std::uint32_t number, log2_size;
  bool in_order;
  std::uint32_t slot_bytes;
};
struct SaStep {
  std::uint32_t index;
  card::SaCommand command;                     // kInstall or kUpdate
  std::array<Byte, card::sa_entry::kSize> entry;  // its keys are zero
};
struct RemoveStep {
  std::uint32_t index;
};

/// What is known of the headers of a packet. `version` 0: nothing.
struct Shape {
  std::uint8_t version;
  bool sound, fragment;  // not sound: version, lengths and checksum are not all as they should be
  std::uint8_t protocol;
  std::uint32_t header_len, total_len;
  std::uint32_t spi;  // of one to be decapsulated
  std::uint64_t seq;
};
/// What became of a packet. kUnknown: its completion is not in the recording; kLost: and one that had to wait for it is.
inline constexpr int kUnknown = -1, kLost = -2;
struct PacketStep {
  std::uint32_t queue;
  std::uint64_t number, record;
  card::Op op;
  std::uint32_t sa;   // of one to be encapsulated
  std::uint32_t len;  // octets handed over
  std::uint32_t room;
  Shape shape;
  int outcome;  // card::Status, kUnknown or kLost
  std::uint32_t out_sa, out_len;
  std::uint64_t out_seq;
  std::uint8_t next_header;
  bool overtaken;        // a later packet that had to wait for it came before
  std::uint32_t cycles;  // from its descriptor to its result; 0: not known
  bool ended(card::Status s) const { return outcome == static_cast<int>(s); }
};
struct RingStep {
  std::uint32_t queue;
};
struct AwaitStep {
  std::uint32_t queue;
  std::uint64_t number;
};
struct EventStep {
  std::uint64_t record;
  card::EventType type;
  std::uint32_t sa, arg;
};

using Step = std::variant<QueueStep, SaStep, RemoveStep, PacketStep, RingStep, AwaitStep, EventStep>;

/// One line. kMalformed says what of it is wrong; `at` is the number of the word.
Result<Step> parse_step(std::string_view line);

}  // namespace esplanade::replay
