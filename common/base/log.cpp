#include "common/base/log.h"

#include <unistd.h>

#include <chrono>
#include <ctime>

namespace esplanade {

namespace {
std::string g_part = "esplanade";
LogLevel g_least = LogLevel::kInfo;
LogFormat g_format = LogFormat::kText;
std::function<void(std::string_view)> g_observer;
constexpr std::size_t kLineMax = 4000;

const char* level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarn: return "warn";
    case LogLevel::kError: return "error";
  }
  return "?";
}

// One line of ASCII, whatever comes in. As part of a JSON string, quotes and backslashes are escaped as well.
std::string escaped(std::string_view text, LogFormat format) {
  const bool json = format == LogFormat::kJson;
  std::string out;
  for (const char c : text.substr(0, kLineMax)) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x20 || u >= 0x7f) {
      out += json ? fmt::format("\\u{:04x}", u) : fmt::format("\\x{:02x}", u);
    } else {
      if (json && (c == '"' || c == '\\')) out.push_back('\\');
      out.push_back(c);
    }
  }
  if (text.size() > kLineMax) out += "...";
  return out;
}
}  // namespace

void log_setup(std::string_view part, LogLevel least, LogFormat format) {
  g_part = part;
  g_least = least;
  g_format = format;
}

void log_observe(std::function<void(std::string_view line)> observer) { g_observer = std::move(observer); }

bool log_wants(LogLevel level) { return level >= g_least; }

void log_line(LogLevel level, std::string_view text) {
  using namespace std::chrono;
  const auto now = system_clock::now();
  const std::time_t seconds = system_clock::to_time_t(now);
  const auto ms = duration_cast<milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  const std::string when =
      fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                  utc.tm_hour, utc.tm_min, utc.tm_sec, ms);
  const std::string line =
      g_format == LogFormat::kJson
          ? fmt::format("{{\"time\":\"{}\",\"level\":\"{}\",\"part\":\"{}\",\"text\":\"{}\"}}\n", when,
                        level_name(level), escaped(g_part, g_format), escaped(text, g_format))
          : fmt::format("{} {:<5} {}: {}\n", when, level_name(level), g_part, escaped(text, g_format));
  // One write a line: lines of several threads and processes do not mix. A full pipe loses the line, not the daemon.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
  if (g_observer) g_observer(std::string_view(line).substr(0, line.size() - 1));
}

std::string printable(std::string_view text, std::size_t most) {
  std::string out;
  for (const char c : text.substr(0, most)) {
    const auto u = static_cast<unsigned char>(c);
    if (u >= 0x20 && u < 0x7f && c != '\\') {
      out.push_back(c);
    } else {
      out += fmt::format("\\x{:02x}", u);
    }
  }
  if (text.size() > most) out += "...";
  return out;
}

}  // namespace esplanade
