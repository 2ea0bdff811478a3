// Structured logs: one line an event on standard error, `TIME LEVEL PART: text`, or as JSON
// {"time","level","part","text"}. Key material never reaches a log: Secret cannot be formatted. Text from a peer
// goes through printable(); whatever else a line holds, it is one line of at most 4,000 octets in ASCII.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>
#include <string_view>

namespace esplanade {

enum class LogLevel { kDebug, kInfo, kWarn, kError };
enum class LogFormat { kText, kJson };

/// Sets the least level that is written (default kInfo) and the part's name, e.g. "keyd".
void log_setup(std::string_view part, LogLevel least, LogFormat format = LogFormat::kText);
/// Calls `observer` with each line that is written, without its newline; an empty one ends that. Not for several
/// threads, and the observer must not log.
void log_observe(std::function<void(std::string_view line)> observer);
bool log_wants(LogLevel level);
void log_line(LogLevel level, std::string_view text);

/// Peer-supplied text made safe for one line: control octets and non-ASCII become \xNN; cut after `most`.
std::string printable(std::string_view text, std::size_t most = 120);

template <class... A>
void log_debug(fmt::format_string<A...> f, A&&... a) {
  if (log_wants(LogLevel::kDebug)) log_line(LogLevel::kDebug, fmt::format(f, std::forward<A>(a)...));
}
template <class... A>
void log_info(fmt::format_string<A...> f, A&&... a) {
  if (log_wants(LogLevel::kInfo)) log_line(LogLevel::kInfo, fmt::format(f, std::forward<A>(a)...));
}
template <class... A>
void log_warn(fmt::format_string<A...> f, A&&... a) {
  if (log_wants(LogLevel::kWarn)) log_line(LogLevel::kWarn, fmt::format(f, std::forward<A>(a)...));
}
template <class... A>
void log_error(fmt::format_string<A...> f, A&&... a) {
  log_line(LogLevel::kError, fmt::format(f, std::forward<A>(a)...));
}

}  // namespace esplanade
