// IP packets from and to capture files, over libpcap: classic pcap and pcapng in, classic pcap of raw IP out.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/base/bytes.h"

namespace esplanade::pcap {

/// One IP packet of a capture. `ip` is what lies behind the link layer, padding included; valid until the next read.
struct Packet {
  std::uint64_t number = 0;  // in the file, from 1
  std::int64_t seconds = 0;
  std::int64_t microseconds = 0;
  ByteView ip;
  bool truncated = false;  // the capture holds less than the packet had
};

class Reader {
 public:
  /// `path` "-" is standard input. Link types taken: Ethernet (VLAN tags skipped), raw IP, Linux cooked v1 and v2,
  /// loopback. Errors: kIo, kMalformed (not a capture), kUnsupported (another link type, by name).
  static Result<Reader> open(const std::string& path);
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();
  /// The next IP packet, or nothing at the end of the file. Frames that carry no IP are counted and skipped. kMalformed
  /// where the file is damaged; the text says which packet.
  Result<std::optional<Packet>> next();
  std::uint64_t skipped() const;

 private:
  struct State;
  explicit Reader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class Writer {
 public:
  /// Empties the file. `path` "-" is standard output. Errors: kIo.
  static Result<Writer> create(const std::string& path);
  Writer(Writer&&) noexcept;
  Writer& operator=(Writer&&) noexcept;
  ~Writer();
  void write(ByteView ip, std::int64_t seconds, std::int64_t microseconds);
  /// Flushes; kIo when anything did not reach the file.
  Status close();

 private:
  struct State;
  explicit Writer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace esplanade::pcap
