// XRT's end of the second socket, as the simulator sees it: a piece of host memory in a test.
#pragma once

#include <cstdint>
#include <thread>

#include "common/base/bytes.h"

namespace esplanade::test {

class HostMemoryServer {
 public:
  /// Memory at base..base+size; accesses elsewhere are answered with `valid` false.
  HostMemoryServer(std::uint64_t base, std::size_t size);
  /// Waits for the client's goodbye.
  ~HostMemoryServer();
  /// The client's descriptor, for HostMemoryClient.
  int take_client() const { return client_; }
  /// Look only while no access is under way.
  Bytes& bytes() { return bytes_; }

 private:
  void serve();
  const std::uint64_t base_;
  Bytes bytes_;
  int client_ = -1, server_ = -1;
  std::thread thread_;
};

}  // namespace esplanade::test
