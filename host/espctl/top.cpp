#include "host/espctl/top.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "host/espctl/tables.h"

namespace esplanade::espctl {

int run_top(const std::string& socket, double interval, unsigned count, bool json, const std::function<int(const Error&)>& complain,
            const std::function<void(const Json&)>& show_json) {
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  using Steady = std::chrono::steady_clock;
  auto before = ask(socket, {{"command", "stats"}});
  auto since = Steady::now();
  for (unsigned turn = 0; before && (count == 0 || turn < count); ++turn) {
    std::this_thread::sleep_for(std::chrono::duration<double>(interval));
    auto now = ask(socket, {{"command", "stats"}});
    if (!now) return complain(now.error());
    const auto at = Steady::now();
    if (json) {
      show_json(*now);
    } else {
      if (terminal) fmt::print("\x1b[H\x1b[2J");
      fmt::print("{}", top_screen(*before, *now, std::chrono::duration<double>(at - since).count()));
    }
    std::fflush(stdout);
    before = std::move(now);
    since = at;
  }
  return before ? 0 : complain(before.error());
}

}  // namespace esplanade::espctl
