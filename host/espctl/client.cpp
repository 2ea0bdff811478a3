#include "host/espctl/client.h"

#include <poll.h>

#include <cerrno>
#include <cstring>

#include "common/base/log.h"
#include "common/pfkey/socket.h"

namespace esplanade::espctl {

namespace {
constexpr std::size_t kMaxAnswer = 1U << 18;  // above what a SOCK_SEQPACKET packet holds by default
constexpr int kPatienceMs = 10000;
}  // namespace

Result<Json> ask(const std::string& socket_path, const Json& request) {
  auto fd = pfkey::connect_to(socket_path);
  if (!fd && fd.error().code == Errc::kIo) {
    return Error{Errc::kIo, fd.error().detail + ": is espd running? (--socket names another socket)"};
  }
  if (!fd)
    return Error{fd.error().code, fd.error().detail + "; espctl must run as root or as the user of espd"};
  const std::string text = request.dump();
  ESPLANADE_CHECK(pfkey::send(fd->get(), ByteView(reinterpret_cast<const Byte*>(text.data()), text.size())));
  pollfd wait{fd->get(), POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&wait, 1, kPatienceMs);
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) return Error{Errc::kTimeout, "espd did not answer within 10 seconds"};
  Bytes octets;
  ESPLANADE_TRY(got, pfkey::receive(fd->get(), octets, kMaxAnswer));
  if (got != pfkey::Received::kMessage) return Error{Errc::kIo, "espd closed the connection"};
  Json answer = Json::parse(octets.begin(), octets.end(), nullptr, false);
  if (!answer.is_object()) return Error{Errc::kMalformed, "espd's answer is not a JSON object"};
  if (const auto error = answer.find("error"); error != answer.end()) {
    return Error{Errc::kMalformed,
                 "espd: " + printable(error->is_string() ? error->get<std::string>() : "?")};
  }
  return answer;
}

Result<Json> ask_sas(const std::string& socket_path) {
  Json all = Json::array();
  for (;;) {
    ESPLANADE_TRY(page, ask(socket_path, Json{{"command", "sa"}, {"offset", all.size()}}));
    const auto list = page.find("sas");
    const auto total = page.find("total");
    if (list == page.end() || !list->is_array() || total == page.end() || !total->is_number_unsigned()) {
      return Error{Errc::kMalformed, "espd's answer has no list of SAs"};
    }
    for (Json& sa : *list) all.push_back(std::move(sa));
    // An SA that came or went meanwhile may be missed or seen twice; an empty page ends it in any case.
    if (list->empty() || all.size() >= total->get<std::size_t>()) return Json{{"sas", std::move(all)}};
  }
}

}  // namespace esplanade::espctl
