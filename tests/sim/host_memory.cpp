#include "tests/sim/host_memory.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "xrt_hw_emu.pb.h"

namespace esplanade::test {

namespace wire = sim::wire;

HostMemoryServer::HostMemoryServer(std::uint64_t base, std::size_t size) : base_(base), bytes_(size) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) throw std::runtime_error("socketpair");
  client_ = ends[0];
  server_ = ends[1];
  thread_ = std::thread([this] { serve(); });
}

HostMemoryServer::~HostMemoryServer() {
  thread_.join();
  ::close(server_);
}

void HostMemoryServer::serve() {
  constexpr std::size_t kHeader = 14;
  constexpr std::uint32_t kClose = 1, kRead = 34;
  for (;;) {
    char head[kHeader];
    if (::recv(server_, head, sizeof head, MSG_WAITALL) != kHeader) return;
    wire::CallHeader header;
    if (!header.ParseFromArray(head, sizeof head) || header.api() == kClose) return;
    std::string body(header.size(), '\0');
    if (::recv(server_, body.data(), body.size(), MSG_WAITALL) != static_cast<ssize_t>(body.size())) return;
    wire::HostMemoryCall call;
    if (!call.ParseFromString(body)) return;
    wire::HostMemoryAnswer answer;
    const std::uint64_t at = call.address() - base_;
    const bool good = call.address() >= base_ && at + call.size() <= bytes_.size();
    answer.set_valid(good);
    if (call.size() > 0 && good && header.api() == kRead) answer.set_data(bytes_.data() + at, call.size());
    if (good && header.api() != kRead)
      std::copy(call.data().begin(), call.data().end(), bytes_.begin() + static_cast<std::ptrdiff_t>(at));
    const std::string octets = answer.SerializeAsString();
    header.set_size(octets.size());
    const std::string out = header.SerializeAsString() + octets;
    if (::send(server_, out.data(), out.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(out.size())) return;
  }
}

}  // namespace esplanade::test
