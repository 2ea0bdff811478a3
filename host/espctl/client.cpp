#include "host/espctl/client.h"

#include <fmt/format.h>
#include <poll.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "common/base/log.h"
#include "common/pfkey/socket.h"

namespace esplanade::espctl {

namespace {
constexpr std::size_t kMaxAnswer = 1U << 18;  // above what a SOCK_SEQPACKET packet holds by default
constexpr int kPatienceMs = 10000;
constexpr int kReloadPatienceMs = 60000;

Result<pfkey::Fd> connect(const std::string& socket_path, const Json& request, const Daemon& daemon) {
  auto fd = pfkey::connect_to(socket_path);
  if (!fd && fd.error().code == Errc::kIo) {
    return Error{Errc::kIo,
                 fmt::format("{}: is {} running? (--socket names another socket)", fd.error().detail, daemon.name)};
  }
  if (!fd)
    return Error{fd.error().code, fmt::format("{}; espctl must run as root or as the user of {}",
                                              fd.error().detail, daemon.user)};
  const std::string text = request.dump(-1, ' ', true, Json::error_handler_t::replace);
  ESPLANADE_CHECK(pfkey::send(fd->get(), ByteView(reinterpret_cast<const Byte*>(text.data()), text.size())));
  return fd;
}

// The next packet; `patience` below 0 waits for ever. nullopt: the daemon closed the connection.
Result<std::optional<Json>> next(int fd, int patience, const Daemon& daemon) {
  pollfd wait{fd, POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&wait, 1, patience);
  } while (ready < 0 && errno == EINTR);
  if (ready == 0)
    return Error{Errc::kTimeout, fmt::format("{} did not answer within {} seconds", daemon.name, patience / 1000)};
  Bytes octets;
  ESPLANADE_TRY(got, pfkey::receive(fd, octets, kMaxAnswer));
  if (got != pfkey::Received::kMessage) return std::optional<Json>();
  Json answer = Json::parse(octets.begin(), octets.end(), nullptr, false);
  if (!answer.is_object())
    return Error{Errc::kMalformed, fmt::format("{}'s answer is not a JSON object", daemon.name)};
  if (const auto error = answer.find("error"); error != answer.end()) {
    return Error{Errc::kMalformed,
                 fmt::format("{}: {}", daemon.name,
                             printable(error->is_string() ? error->get<std::string>() : "?", 500))};
  }
  return std::optional<Json>(std::move(answer));
}
}  // namespace

Result<Json> ask(const std::string& socket_path, const Json& request, const Daemon& daemon) {
  ESPLANADE_TRY(fd, connect(socket_path, request, daemon));
  const int patience = request["command"] == "reload" ? kReloadPatienceMs : kPatienceMs;
  ESPLANADE_TRY(answer, next(fd.get(), patience, daemon));
  if (!answer) return Error{Errc::kIo, fmt::format("{} closed the connection", daemon.name)};
  return std::move(*answer);
}

Status follow(const std::string& socket_path, const Json& request, const Daemon& daemon,
              const std::function<void(const Json&)>& each) {
  ESPLANADE_TRY(fd, connect(socket_path, request, daemon));
  for (;;) {
    ESPLANADE_TRY(packet, next(fd.get(), -1, daemon));
    if (!packet) return ok();
    each(*packet);
  }
}

Result<Json> ask_sas(const std::string& socket_path, const char* command, const Daemon& daemon) {
  Json all = Json::array();
  for (;;) {
    ESPLANADE_TRY(page, ask(socket_path, Json{{"command", command}, {"offset", all.size()}}, daemon));
    const auto list = page.find("sas");
    const auto total = page.find("total");
    if (list == page.end() || !list->is_array() || total == page.end() || !total->is_number_unsigned()) {
      return Error{Errc::kMalformed, fmt::format("{}'s answer has no list of SAs", daemon.name)};
    }
    for (Json& sa : *list) all.push_back(std::move(sa));
    // An SA that came or went meanwhile may be missed or seen twice; an empty page ends it in any case.
    if (list->empty() || all.size() >= total->get<std::size_t>()) return Json{{"sas", std::move(all)}};
  }
}

}  // namespace esplanade::espctl
