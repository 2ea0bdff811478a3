#include "keyd/shell/message_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

namespace esplanade::ike {
namespace {

constexpr int kSendPatienceMs = 5000;

Error os_error(const char* what) { return Error{Errc::kIo, fmt::format("{}: {}", what, std::strerror(errno))}; }

union OneFd {  // room for a control message with one descriptor, aligned as the kernel wants it
  cmsghdr align;
  char octets[CMSG_SPACE(sizeof(int))];
};

Status wait_for(int fd, short events, int limit_ms) {
  pollfd p{fd, events, 0};
  int ready = 0;
  do {
    ready = ::poll(&p, 1, limit_ms);
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) return Error{Errc::kTimeout, "another process of keyd does not answer"};
  return ready > 0 ? ok() : Status(os_error("poll"));
}

}  // namespace

Result<std::pair<pfkey::Fd, pfkey::Fd>> message_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
    return os_error("socketpair");
  return std::pair{pfkey::Fd(fds[0]), pfkey::Fd(fds[1])};
}

Status send_message(int socket, std::string_view text, int pass) {
  iovec part{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  OneFd control{};
  if (pass >= 0) {
    message.msg_control = control.octets;
    message.msg_controllen = sizeof control.octets;
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof pass);
    std::memcpy(CMSG_DATA(c), &pass, sizeof pass);
  }
  for (;;) {
    if (::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return ok();
    if (errno != EAGAIN && errno != EINTR) return os_error("sending to another process of keyd");
    ESPLANADE_CHECK(wait_for(socket, POLLOUT, kSendPatienceMs));
  }
}

Result<std::optional<Message>> take_message(int socket) {
  Message out;
  out.text.resize(kMessageMax);
  iovec part{out.text.data(), out.text.size()};
  msghdr message{};
  OneFd control{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.octets;
  message.msg_controllen = sizeof control.octets;
  const ssize_t got = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return std::optional<Message>();
  if (got < 0) return os_error("another process of keyd");
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
    out.fd = pfkey::Fd(fd);
  }
  if (got == 0) return Error{Errc::kIo, "another process of keyd is gone"};
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
    return Error{Errc::kBadLength, "a message of another process of keyd is too long"};
  out.text.resize(static_cast<std::size_t>(got));
  return std::optional<Message>(std::move(out));
}

Result<Message> wait_message(int socket, std::chrono::milliseconds limit) {
  for (;;) {
    ESPLANADE_CHECK(wait_for(socket, POLLIN, static_cast<int>(limit.count())));
    ESPLANADE_TRY(message, take_message(socket));
    if (message) return std::move(*message);
  }
}

std::pair<std::string_view, std::string_view> split_word(std::string_view text) {
  const auto blank = text.find(' ');
  if (blank == text.npos) return {text, {}};
  return {text.substr(0, blank), text.substr(blank + 1)};
}

std::string to_reply(const Status& status) {
  if (status) return "ok";
  return fmt::format("error {} {}", static_cast<int>(status.error().code),
                     std::string_view(status.error().detail).substr(0, kMessageMax - 32));
}

Status from_reply(std::string_view text) {
  if (text == "ok") return ok();
  const auto [word, rest] = split_word(text);
  const auto [number, detail] = split_word(rest);
  unsigned code = 0;
  const auto [end, ec] = std::from_chars(number.data(), number.data() + number.size(), code);
  if (word != "error" || ec != std::errc() || code > static_cast<unsigned>(Errc::kBadInner))
    return Error{Errc::kMalformed, "another process of keyd answers something that is no answer"};
  return Error{static_cast<Errc>(code), std::string(detail)};
}

Result<pfkey::Fd> text_to_fd(std::string_view text) {
  pfkey::Fd fd(::memfd_create("keyd", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return os_error("memfd_create");
  std::size_t at = 0;
  while (at < text.size()) {
    const ssize_t put = ::write(fd.get(), text.data() + at, text.size() - at);
    if (put < 0) return os_error("writing to memory");
    at += static_cast<std::size_t>(put);
  }
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return os_error("sealing memory");
  return fd;
}

Result<std::string> text_from_fd(int fd, std::size_t most) {
  std::string text(most + 1, '\0');
  std::size_t len = 0;
  for (ssize_t got = 1; got > 0 && len < text.size(); len += static_cast<std::size_t>(got)) {
    got = ::pread(fd, text.data() + len, text.size() - len, static_cast<off_t>(len));
    if (got < 0) return os_error("reading");
  }
  if (len > most) return Error{Errc::kBadLength, fmt::format("is larger than {} octets", most)};
  text.resize(len);
  return text;
}

}  // namespace esplanade::ike
