// Short texts, each with a file descriptor where wanted, between keyd's own processes: over SOCK_SEQPACKET with
// SCM_RIGHTS. docs/keyd.md lists the texts.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "common/pfkey/socket.h"

namespace esplanade::ike {

inline constexpr std::size_t kMessageMax = 4096;

/// Two ends of a connection, close-on-exec. Errors: kIo.
Result<std::pair<pfkey::Fd, pfkey::Fd>> message_pair();

/// Sends one text, waiting up to five seconds for a slow other end; `pass` goes along unless it is below 0.
/// Errors: kIo, kTimeout.
Status send_message(int socket, std::string_view text, int pass = -1);

struct Message {
  std::string text;
  pfkey::Fd fd;
};
/// Takes what is there; nullopt when that is nothing. Errors: kIo (the other end is gone), kBadLength.
Result<std::optional<Message>> take_message(int socket);
/// Waits for the next one. Errors also kTimeout.
Result<Message> wait_message(int socket, std::chrono::milliseconds limit);

/// "WORD rest": the word, and what follows the blank.
std::pair<std::string_view, std::string_view> split_word(std::string_view text);

/// The answer to a message, and back: "ok", or "error CODE DETAIL".
std::string to_reply(const Status& status);
Status from_reply(std::string_view text);

/// The octets of a text as a sealed file in memory, to be passed on; and back. Errors: kIo, kBadLength.
Result<pfkey::Fd> text_to_fd(std::string_view text);
Result<std::string> text_from_fd(int fd, std::size_t most);

}  // namespace esplanade::ike
