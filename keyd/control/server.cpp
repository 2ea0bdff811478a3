#include "keyd/control/server.h"

#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"

namespace esplanade::ike {
namespace {

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

bool trusted(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == 0 || peer.uid == ::geteuid());
}

}  // namespace

// Lives on in the handlers that wait for it, after it was removed as well.
class ControlServer::Client : public std::enable_shared_from_this<Client> {
 public:
  Client(ControlServer& server, pfkey::Fd fd) : server_(&server), descriptor_(server.io_, fd.release()) {}

  void start() { wait_read(); }
  void detach() {
    server_ = nullptr;
    asio::error_code ignored;
    descriptor_.close(ignored);
  }
  bool follows() const { return follows_; }
  void push(std::string text) {
    if (queue_.size() >= kLinesQueued) {
      queue_.pop_front();
      ++lost_;
    }
    queue_.push_back(std::move(text));
    if (!writing_) write_all();
  }

 private:
  void wait_read() {
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                           [self = shared_from_this()](const asio::error_code& ec) {
                             if (!ec && self->server_ != nullptr) self->read_one();
                           });
  }

  void read_one() {
    Bytes packet;
    auto received = pfkey::receive(descriptor_.native_handle(), packet, kRequestMax);
    if (!received && received.error().code == Errc::kBadLength) return answer({{"error", "the request is too long"}});
    if (!received || *received == pfkey::Received::kClosed) return gone();
    if (*received == pfkey::Received::kNothing) return wait_read();
    if (follows_) return gone();  // only reads from now on
    // The depth of a request is bounded by its size.
    const Json request = Json::parse(packet.begin(), packet.end(), nullptr, false);
    if (!request.is_object() || !request.contains("command") || !request["command"].is_string())
      return answer({{"error", "a request is a JSON object with a \"command\" of text"}});
    if (request["command"] == "log") return follow();
    server_->handler_(request, [weak = weak_from_this()](Json json) {
      if (auto self = weak.lock(); self && self->server_ != nullptr) self->answer(json);
    });
  }

  void answer(const Json& json) {
    reading_after_ = true;
    push(text_of(json));
  }

  void follow() {
    follows_ = true;
    for (const std::string& line : server_->lines_) push(text_of({{"line", line}}));
    if (server_ != nullptr) wait_read();  // to see it go
  }

  void write_all() {
    while (server_ != nullptr && !queue_.empty()) {
      if (lost_ != 0) queue_.front() = text_of({{"lost", std::exchange(lost_, 0)}});
      const std::string& text = queue_.front();
      auto sent = pfkey::send(descriptor_.native_handle(),
                              ByteView(reinterpret_cast<const Byte*>(text.data()), text.size()));
      if (!sent && sent.error().code == Errc::kRingFull) return wait_write();
      if (!sent) return gone();
      queue_.pop_front();
    }
    if (server_ != nullptr && std::exchange(reading_after_, false)) wait_read();
  }

  void wait_write() {
    writing_ = true;
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_write,
                           [self = shared_from_this()](const asio::error_code& ec) {
                             self->writing_ = false;
                             if (!ec) self->write_all();
                           });
  }

  // Removed later: callers up the stack may walk the list of clients.
  void gone() {
    if (server_ == nullptr) return;
    asio::post(server_->io_, [self = shared_from_this()] {
      if (self->server_ != nullptr) self->server_->remove(self.get());
    });
  }

  ControlServer* server_;  // null once it is removed
  asio::posix::stream_descriptor descriptor_;
  std::deque<std::string> queue_;
  std::size_t lost_ = 0;
  bool follows_ = false;
  bool writing_ = false;
  bool reading_after_ = false;
};

ControlServer::ControlServer(asio::io_context& io, pfkey::Fd listener, Handler handler)
    : io_(io), listener_(io, listener.release()), handler_(std::move(handler)) {
  wait_accept();
}

ControlServer::~ControlServer() {
  for (const auto& client : clients_) client->detach();
}

void ControlServer::wait_accept() {
  listener_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const asio::error_code& ec) {
    if (ec) return;
    accept_all();
    wait_accept();
  });
}

void ControlServer::accept_all() {
  for (;;) {
    pfkey::Fd fd(::accept4(listener_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    if (!trusted(fd.get())) {
      log_warn("refused a control connection from another user");
      continue;
    }
    if (clients_.size() >= kClientsMax) continue;
    clients_.push_back(std::make_shared<Client>(*this, std::move(fd)));
    clients_.back()->start();
  }
}

void ControlServer::remove(Client* client) {
  for (auto it = clients_.begin(); it != clients_.end(); ++it) {
    if (it->get() != client) continue;
    client->detach();
    clients_.erase(it);
    return;
  }
}

void ControlServer::log(std::string_view line) {
  lines_.emplace_back(line);
  if (lines_.size() > kLinesKept) lines_.pop_front();
  for (const auto& client : clients_)
    if (client->follows()) client->push(text_of({{"line", line}}));
}

}  // namespace esplanade::ike
