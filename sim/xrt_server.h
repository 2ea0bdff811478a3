// Stock XRT's hardware emulation protocol, device side (checked with XRT 2.13). This pair of files and
// xrt_hw_emu.proto are all that knows it.
//
// Framing, both sockets: a header message of fixed size {size, api}, then the call message; the answer has a
// header {size}, then the answer message. One call at a time on a socket. On the second socket we are the
// caller, and the header of the answer is of the longer kind.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace google::protobuf {
class MessageLite;
}

namespace esplanade::sim {

/// What the protocol needs of a card. Addresses and sizes in bytes. No call fails: a card that is gone reads
/// as all ones and drops what is written, as one that fell off the PCIe bus does.
class CardPort {
 public:
  virtual ~CardPort() = default;
  virtual Bytes read_registers(std::uint64_t address, std::uint32_t size) = 0;
  virtual void write_registers(std::uint64_t address, ByteView data) = 0;
  virtual Bytes read_memory(std::uint64_t address, std::uint64_t size) = 0;
  virtual void write_memory(std::uint64_t address, ByteView data) = 0;
  virtual std::uint64_t time_ns() = 0;
  virtual void close() = 0;
  /// Text for the host's standard output since the last call; usually none.
  virtual std::string take_messages() = 0;
};

/// Where XRT listens for us; `id` is EMULATION_SOCKETID. Without USER the first is the same for all processes
/// of the machine: XRT's way, so hosts had better set USER.
std::string xrt_call_socket(const std::string& id);
std::string xrt_host_memory_socket(const std::string& id);
/// Connects; tries again until `patience_ms` have gone. The descriptor, or kIo.
Result<int> connect_xrt(const std::string& path, int patience_ms);

/// The main socket, where XRT calls. Owns the descriptor.
class XrtServer {
 public:
  explicit XrtServer(int fd) : fd_(fd) {}
  XrtServer(const XrtServer&) = delete;
  XrtServer& operator=(const XrtServer&) = delete;
  ~XrtServer();

  int fd() const { return fd_; }
  /// Takes one call and answers it. False: XRT closed the card or the connection. An error is a call that
  /// cannot be understood or answered: kMalformed, kIo.
  Result<bool> serve(CardPort& card);

 private:
  Result<bool> dispatch(std::uint32_t api, CardPort& card);
  Status answer(const google::protobuf::MessageLite& message);
  template <class Message>
  Status parse(Message& message, const char* what);

  int fd_;
  Bytes call_, answer_;
};

/// The second socket, where the card calls: memory of the host's buffers. Owns the descriptor; tells XRT at
/// the end.
class HostMemoryClient {
 public:
  explicit HostMemoryClient(int fd) : fd_(fd) {}
  HostMemoryClient(const HostMemoryClient&) = delete;
  HostMemoryClient& operator=(const HostMemoryClient&) = delete;
  ~HostMemoryClient();

  /// `size` bytes of host memory; an error when XRT says no or does not answer within seconds.
  Result<Bytes> read(std::uint64_t address, std::uint32_t size);
  Status write(std::uint64_t address, ByteView data);

 private:
  Result<Bytes> call(std::uint32_t api, std::uint64_t address, std::uint32_t size, ByteView data);
  int fd_;
};

}  // namespace esplanade::sim
