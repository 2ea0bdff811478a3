// How many set-ups (main mode and quick mode, pre-shared key) two engines in one process make in a second on
// one core, both ends counted. Not a test. Usage: bench_keyd_setups [SET-UPS]
#define DOCTEST_CONFIG_IMPLEMENT
#include <chrono>
#include <cstdio>

#include "world.h"

using namespace esplanade::ike;
using namespace esplanade::ike::test;

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  context.setAsDefaultForAssertsOutOfTestCases();
  const int count = argc > 1 ? std::atoi(argv[1]) : 200;
  for (auto [ike, esp] : {std::pair{"3des-sha1-modp768", "3des-sha1"},
                          {"3des-sha1-modp1024", "3des-sha1"},
                          {"3des-sha1-modp1024", "3des-sha1-modp1024"},
                          {"3des-sha1-modp2048", "3des-sha1"}}) {
    Setup s;
    s.ike = ike;
    s.esp = esp;
    Setup l = s;
    l.start = "start";
    std::chrono::duration<double> spent{0};
    for (int i = 0; i < count; ++i) {
      World w(static_cast<std::uint64_t>(i), l, s);
      const auto begin = std::chrono::steady_clock::now();
      w.start();
      if (!w.run(std::chrono::seconds(5), [&] { return w.up(); })) return 1;
      spent += std::chrono::steady_clock::now() - begin;
    }
    std::printf("%-20s %-20s %8.0f set-ups/s\n", ike, esp, count / spent.count());
  }
  return 0;
}
