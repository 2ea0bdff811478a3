// Recordings of all that passes between front and model: made while a card is simulated, replayed without XRT. docs/recording.md
// has the format and what it keeps secret.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "common/base/secret.h"
#include "sim/link.h"
#include "sim/platform.h"

namespace esplanade::sim {

/// One frame as it passed, or one that both sides may want to compare.
struct RecordedFrame {
  bool to_model = false;
  std::uint64_t cycle = 0;  // of the model's clock, when it was sent or taken
  LinkFrame frame;
};

struct Recording {
  std::string description;  // the platform's description, whole
  std::string overrides;    // the file of ESPLANADE_SIM_CONFIG; empty: none
  std::string model;        // rtl or functional
  std::vector<RecordedFrame> frames;
  bool complete = false;    // its end was written
};

/// Reads the recording at `path`; sealed frames with the key at `path`.key. kIo; kMalformed with the offset; kBadIcv: sealed, and
/// the key is missing or another.
Result<Recording> read_recording(const std::string& path);
/// The same of octets; `key` is empty where there is none. For tests and fuzzing.
Result<Recording> parse_recording(ByteView octets, ByteView key);

/// A link that writes down what passes.
class RecordLink final : public Link {
 public:
  /// Takes over `fd`. Writes `path` anew, and `path`.key, which only its owner can read. kIo.
  static Result<std::unique_ptr<RecordLink>> create(int fd, const std::string& path, const Recording& head, const Platform& platform);
  ~RecordLink() override;

  Status send(const LinkFrame& head, ByteView payload) override;
  Result<std::optional<LinkFrame>> receive(std::chrono::milliseconds wait) override;
  Result<LinkFrame> receive_new() override;

 private:
  RecordLink(int fd, std::FILE* file, Secret key, std::vector<SecretRange> secrets)
      : Link(fd), file_(file), key_(std::move(key)), secrets_(std::move(secrets)) {}
  void write(bool to_model, const LinkFrame& frame, ByteView payload);
  void put_out(ByteView octets);

  std::FILE* file_;
  const Secret key_;
  const std::vector<SecretRange> secrets_;
  std::uint64_t written_ = 0;
  bool in_host_access_ = false;  // the model waits for the host's memory: calls that cross it are put back
  Bytes line_;
};

/// A link at whose other end a recording sits: gives the model each frame at the cycle at which it came, and compares what the
/// model sends.
class ReplayLink final : public Link {
 public:
  explicit ReplayLink(Recording recording) : Link(-1), recording_(std::move(recording)) {}

  Status send(const LinkFrame& head, ByteView payload) override;
  Result<std::optional<LinkFrame>> receive(std::chrono::milliseconds wait) override;
  Result<LinkFrame> receive_new() override;

  std::size_t position() const { return at_; }
  std::size_t size() const { return recording_.frames.size(); }
  /// What the model did otherwise than in the recording, first time; empty: nothing.
  const std::string& divergence() const { return divergence_; }

 private:
  const RecordedFrame* next() const { return at_ < recording_.frames.size() ? &recording_.frames[at_] : nullptr; }
  Error diverge(const std::string& what);

  const Recording recording_;
  std::size_t at_ = 0;
  std::string divergence_;
};

}  // namespace esplanade::sim
