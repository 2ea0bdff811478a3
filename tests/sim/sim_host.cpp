// A host process for life_test: opens the simulated card, says `ready FRONT MODEL`, then reads ID until it is
// all ones, says `lost` and closes. Its standard output carries XRT's own lines too.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "tests/sim/process.h"
#include "tests/sim/xrt_host.h"

int main() {
  using namespace esplanade::test;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const Folder folder;
  {
    const SimCard card;
    std::printf("ready %d %d %08x\n", find_descendant(::getpid(), "esp-card-sim").value_or(0),
                find_descendant(::getpid(), "esp-card-model").value_or(0), card.read(0));
    while (card.read(0) != 0xffffffff) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    std::printf("lost\n");
  }
  std::printf("log: %s\n", read_file(folder.log()).c_str());
  std::printf("closed\n");
}
