// The socket between front and model: one call at a time each way, both processes on one machine and of one
// build, so the header travels as it lies in memory. A model that died shows as end of file.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace esplanade::sim {

enum class LinkOp : std::uint32_t {
  kReadRegisters = 1,  // front -> model; address is the offset from the kernel's base
  kWriteRegisters,
  kReadMemory,
  kWriteMemory,
  kTime,  // answer: 8 octets, nanoseconds of simulated time, in the machine's order
  kClose,
  kAnswer,    // model -> front
  kHostRead,  // model -> front
  kHostWrite,
  kHostAnswer,  // front -> model
  kLastWords,   // model -> front: why it ends; no answer
  kInject,      // front -> model: a plan of faults; answer: one line
  kLast = kInject,
};

struct LinkFrame {
  LinkOp op = LinkOp::kAnswer;
  bool valid = false;         // of an answer: the access was good
  std::uint64_t address = 0;  // bytes
  std::uint64_t size = 0;     // bytes wanted by a read
  Bytes payload;              // data of a write or of a read's answer
};

inline constexpr std::size_t kLinkPayloadMax = std::size_t{64} << 20;

/// One end. Owns the descriptor.
class Link {
 public:
  explicit Link(int fd) : fd_(fd) {}
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  virtual ~Link();

  int fd() const { return fd_; }
  /// Writes one frame, header and payload. Blocks while the other end is slow. Error: kDeviceLost, the other
  /// end is gone.
  virtual Status send(const LinkFrame& head, ByteView payload);
  /// The next frame, or nothing when none began within `wait` (negative: for ever). Errors: kDeviceLost at
  /// end of file, kMalformed for a header that cannot be.
  virtual Result<std::optional<LinkFrame>> receive(std::chrono::milliseconds wait);
  /// The next frame from the socket, past those put back; waits for ever.
  virtual Result<LinkFrame> receive_new();
  /// A frame that was read while waiting for another one; receive() gives it out first.
  void put_back(LinkFrame frame) { waiting_.push_back(std::move(frame)); }
  /// The model's clock now, for those that write it down (record.h).
  void tell_cycle(std::uint64_t cycle) { cycle_ = cycle; }

 protected:
  std::uint64_t cycle() const { return cycle_; }
  bool holds_frames() const { return !waiting_.empty(); }

 private:
  Status read_exactly(void* to, std::size_t size);
  int fd_;
  std::uint64_t cycle_ = 0;
  std::deque<LinkFrame> waiting_;
};

}  // namespace esplanade::sim
