#include "common/testing/seed.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string_view>

namespace esplanade::testing {
namespace {

std::optional<std::uint64_t> chosen;

std::uint64_t choose(std::optional<std::uint64_t> preset) {
  const char* text = std::getenv("ESPLANADE_SEED");
  if (text == nullptr || *text == '\0') return preset ? *preset : std::random_device{}();
  char* end = nullptr;
  errno = 0;
  const std::uint64_t value = std::strtoull(text, &end, 0);
  if (*end != '\0' || errno != 0 || *text == '-') {
    std::fprintf(stderr, "ESPLANADE_SEED=%s is not a number of 64 bits\n", text);
    std::exit(2);
  }
  return value;
}

std::string quoted(std::string_view word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos) return std::string(word);
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

std::uint64_t seed(std::optional<std::uint64_t> preset) {
  if (!chosen) {
    chosen = choose(preset);
    std::printf("ESPLANADE_SEED=%llu\n", static_cast<unsigned long long>(*chosen));
    std::fflush(stdout);  // a run that is killed has told it too
  }
  return *chosen;
}

std::string reproduction() {
  std::string out;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (!text.starts_with("ESPLANADE_") || (chosen && text.starts_with("ESPLANADE_SEED="))) continue;
    const std::size_t name = text.find('=') + 1;
    out += std::string(text.substr(0, name)) + quoted(text.substr(name)) + ' ';
  }
  if (chosen) out += "ESPLANADE_SEED=" + std::to_string(*chosen) + ' ';
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string words{std::istreambuf_iterator<char>(file), {}};
  for (std::size_t at = 0; at < words.size();) {
    const std::size_t end = std::min(words.find('\0', at), words.size());
    std::string word = words.substr(at, end - at);
    if (at == 0) {  // the whole path, since ctest starts a test in a folder of its own
      char path[4096];
      const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
      if (n > 0) word.assign(path, static_cast<std::size_t>(n));
    }
    out += (at == 0 ? "" : " ") + quoted(word);
    at = end + 1;
  }
  return out;
}

}  // namespace esplanade::testing
