#include "sim/xrt_server.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "common/base/log.h"
#include "xrt_hw_emu.pb.h"

namespace esplanade::sim {

namespace {

enum Api : std::uint32_t {
  kClose = 1,
  kAlloc = 4,
  kFree = 5,
  kHostToDevice = 6,
  kDeviceToHost = 7,
  kWriteMemory = 8,
  kWriteRegisters = 9,
  kReadMemory = 10,
  kReadRegisters = 11,
  kTimestamp = 17,
  kDebugMessages = 19,
  kSetEnvironment = 20,
  kHostRead = 34,
  kHostWrite = 35,
};

constexpr std::size_t kCallHeaderBytes = 1 + 8 + 1 + 4;
constexpr std::size_t kAnswerHeaderBytes = 1 + 8;
constexpr std::uint64_t kMessageBytesMax = std::uint64_t{256}
                                           << 20;  // XRT cuts transfers into far smaller calls
constexpr std::uint32_t kRegisterBytesMax = 65'536;
constexpr int kHostAnswerMs = 5'000;

/// Reads all of `to`. False at end of file or error; with `wait_ms` also when the peer is silent for that
/// long.
bool read_all(int fd, MutableBytes to, int wait_ms = -1) {
  while (!to.empty()) {
    if (wait_ms >= 0) {
      pollfd readable{fd, POLLIN, 0};
      if (::poll(&readable, 1, wait_ms) <= 0) return false;
    }
    const ssize_t got = ::recv(fd, to.data(), to.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to = to.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

bool write_all(int fd, ByteView from) {
  while (!from.empty()) {
    const ssize_t done = ::send(fd, from.data(), from.size(), MSG_NOSIGNAL);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    from = from.subspan(static_cast<std::size_t>(done));
  }
  return true;
}

/// The octets of header and message, one after the other.
template <class Header>
bool frame(Bytes& out, Header& header, const google::protobuf::MessageLite& message) {
  const std::size_t size = message.ByteSizeLong();
  header.set_size(size);
  const std::size_t head = header.ByteSizeLong();
  out.resize(head + size);
  return header.SerializeToArray(out.data(), static_cast<int>(head)) &&
         message.SerializeToArray(out.data() + head, static_cast<int>(size));
}

ByteView view(const std::string& text) { return {reinterpret_cast<const Byte*>(text.data()), text.size()}; }

}  // namespace

std::string xrt_call_socket(const std::string& id) {
  const char* user = std::getenv("USER");
  return user != nullptr ? fmt::format("/tmp/{}/{}", user, id) : "/tmp/xcl_sock";
}

std::string xrt_host_memory_socket(const std::string& id) {
  const char* user = std::getenv("USER");
  return fmt::format("/tmp/{}{}D2X_unix_sock_{}", user != nullptr ? user : "", user != nullptr ? "/" : "",
                     id);
}

Result<int> connect_xrt(const std::string& path, int patience_ms) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Error{Errc::kIo, "socket path too long: " + path};
  std::ranges::copy(path, address.sun_path);
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(patience_ms);
  for (;;) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return Error{Errc::kIo, std::string("socket: ") + std::strerror(errno)};
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    const int why = errno;
    ::close(fd);
    if (std::chrono::steady_clock::now() >= until) {
      return Error{Errc::kIo, fmt::format("cannot connect to XRT at {}: {}", path, std::strerror(why))};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

XrtServer::~XrtServer() { ::close(fd_); }

Result<bool> XrtServer::serve(CardPort& card) {
  Byte head[kCallHeaderBytes];
  if (!read_all(fd_, head)) return false;
  wire::CallHeader header;
  if (!header.ParseFromArray(head, sizeof head)) return Error{Errc::kMalformed, "XRT sent a bad call header"};
  if (header.size() > kMessageBytesMax) {
    return Error{Errc::kMalformed, fmt::format("XRT announced a call of {} bytes", header.size())};
  }
  call_.resize(header.size());
  if (!read_all(fd_, call_)) return false;
  return dispatch(header.api(), card);
}

template <class Message>
Status XrtServer::parse(Message& message, const char* what) {
  if (message.ParseFromArray(call_.data(), static_cast<int>(call_.size()))) return ok();
  return Error{Errc::kMalformed, fmt::format("XRT sent a bad {} message of {} bytes", what, call_.size())};
}

Status XrtServer::answer(const google::protobuf::MessageLite& message) {
  wire::AnswerHeader header;
  if (!frame(answer_, header, message)) return Error{Errc::kIo, "answer too large"};
  static_assert(kAnswerHeaderBytes == 9);
  if (!write_all(fd_, answer_)) return Error{Errc::kIo, "XRT closed its socket before the answer"};
  return ok();
}

Result<bool> XrtServer::dispatch(std::uint32_t api, CardPort& card) {
  switch (api) {
    case kSetEnvironment: {
      wire::AckAnswer out;
      out.set_ack(true);
      ESPLANADE_CHECK(answer(out));
      return true;
    }
    case kAlloc: {
      wire::AllocCall in;
      ESPLANADE_CHECK(parse(in, "AllocDeviceBuffer"));
      if (in.peer_to_peer()) log_warn("peer-to-peer buffers have no host mapping in the simulation");
      wire::AllocAnswer out;
      out.set_ack(true);
      out.set_file("");
      ESPLANADE_CHECK(answer(out));
      return true;
    }
    case kFree: {
      wire::AckAnswer out;
      out.set_ack(true);
      ESPLANADE_CHECK(answer(out));
      return true;
    }
    case kHostToDevice: {
      wire::HostToDeviceCall in;
      ESPLANADE_CHECK(parse(in, "CopyBufferHost2Device"));
      // `destination` is the buffer's start, `seek` the offset in it; the data begins at the offset.
      card.write_memory(in.destination() + in.seek(),
                        view(in.data()).first(std::min<std::size_t>(in.size(), in.data().size())));
      wire::HostToDeviceAnswer out;
      out.set_size(in.size());
      ESPLANADE_CHECK(answer(out));
      return true;
    }
    case kDeviceToHost: {
      wire::DeviceToHostCall in;
      ESPLANADE_CHECK(parse(in, "CopyBufferDevice2Host"));
      if (in.size() > kMessageBytesMax)
        return Error{Errc::kMalformed, "XRT asked for more than a message can hold"};
      const Bytes data = card.read_memory(in.source() + in.skip(), in.size());
      wire::DeviceToHostAnswer out;
      out.set_size(data.size());
      out.set_data(data.data(), data.size());
      ESPLANADE_CHECK(answer(out));
      return true;
    }
    case kWriteMemory:
    case kWriteRegisters: {
      wire::AccessCall in;
      ESPLANADE_CHECK(parse(in, "write"));
      if (api == kWriteMemory) {
        card.write_memory(in.address(), view(in.data()));
      } else {
        card.write_registers(in.address(), view(in.data()));
      }
      wire::AccessAnswer out;
      out.set_valid(true);
      ESPLANADE_CHECK(answer(out));
      return true;
    }
    case kReadMemory:
    case kReadRegisters: {
      wire::AccessCall in;
      ESPLANADE_CHECK(parse(in, "read"));
      const bool registers = api == kReadRegisters;
      if (in.size() > (registers ? kRegisterBytesMax : kMessageBytesMax)) {
        return Error{Errc::kMalformed, fmt::format("XRT asked to read {} bytes in one call", in.size())};
      }
      const Bytes data = registers ? card.read_registers(in.address(), in.size())
                                   : card.read_memory(in.address(), in.size());
      wire::AccessAnswer out;
      out.set_valid(true);
      out.set_data(data.data(), data.size());
      ESPLANADE_CHECK(answer(out));
      return true;
    }
    case kTimestamp: {
      wire::TimestampAnswer out;
      out.set_nanoseconds(card.time_ns());
      ESPLANADE_CHECK(answer(out));
      return true;
    }
    case kDebugMessages: {
      wire::DebugMessagesAnswer out;
      out.set_display(card.take_messages());
      out.set_log("");
      out.set_stop("");
      ESPLANADE_CHECK(answer(out));
      return true;
    }
    case kClose: {
      card.close();
      wire::CloseAnswer out;
      out.set_valid(true);
      ESPLANADE_CHECK(answer(out));
      return false;
    }
    default: {
      // An answer without fields is better than none: XRT would wait for ever.
      log_warn("XRT made a call that is not known here: api {}, {} bytes", api, call_.size());
      ESPLANADE_CHECK(answer(wire::AckAnswer()));
      return true;
    }
  }
}

HostMemoryClient::~HostMemoryClient() {
  // XRT's thread at the other end leaves its loop for this header alone; at end of file it would spin for
  // ever.
  wire::CallHeader header;
  header.set_size(0);
  header.set_api(kClose);
  Byte octets[kCallHeaderBytes];
  if (header.SerializeToArray(octets, sizeof octets)) write_all(fd_, octets);
  ::close(fd_);
}

Result<Bytes> HostMemoryClient::call(std::uint32_t api, std::uint64_t address, std::uint32_t size,
                                     ByteView data) {
  wire::HostMemoryCall out;
  out.set_address(address);
  out.set_size(size);
  if (api == kHostWrite) out.set_data(data.data(), data.size());
  wire::CallHeader header;
  header.set_api(api);
  Bytes octets;
  const Error silent{Errc::kTimeout, "XRT does not answer on the host memory socket"};
  if (!frame(octets, header, out) || !write_all(fd_, octets)) return silent;
  Byte head[kCallHeaderBytes];
  if (!read_all(fd_, head, kHostAnswerMs)) return silent;
  wire::CallHeader answer_header;
  if (!answer_header.ParseFromArray(head, sizeof head) || answer_header.size() > kMessageBytesMax) {
    return Error{Errc::kMalformed, "XRT sent a bad header on the host memory socket"};
  }
  Bytes body(answer_header.size());
  if (!read_all(fd_, body, kHostAnswerMs)) return silent;
  wire::HostMemoryAnswer in;
  if (!in.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
    return Error{Errc::kMalformed, "XRT sent a bad answer on the host memory socket"};
  }
  if (!in.valid()) return Error{Errc::kIo, fmt::format("no host buffer at 0x{:x}", address)};
  const ByteView got = view(in.data());
  return Bytes(got.begin(), got.end());
}

Result<Bytes> HostMemoryClient::read(std::uint64_t address, std::uint32_t size) {
  ESPLANADE_TRY(data, call(kHostRead, address, size, {}));
  if (data.size() != size) return Error{Errc::kBadLength, "XRT returned less host memory than asked"};
  return data;
}

Status HostMemoryClient::write(std::uint64_t address, ByteView data) {
  ESPLANADE_TRY(answer, call(kHostWrite, address, static_cast<std::uint32_t>(data.size()), data));
  static_cast<void>(answer);
  return ok();
}

}  // namespace esplanade::sim
