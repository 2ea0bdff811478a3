#include "keyd/holder/process.h"

#include <fmt/format.h>

#include <asio.hpp>

#include "common/base/log.h"
#include "common/crypto/random.h"
#include "keyd/holder/codec.h"
#include "keyd/holder/holder.h"
#include "keyd/shell/child.h"
#include "keyd/shell/message_socket.h"
#include "keyd/shell/packet_socket.h"
#include "keyd/shell/settings.h"

namespace esplanade::ike {
namespace {

constexpr std::size_t kWaitersMax = 256;  // requests that may wait for a KDC
constexpr std::size_t kThreads = 4;

class HolderProcess {
 public:
  HolderProcess() : parent_(io_, kParentFd), threads_(kThreads) {}
  ~HolderProcess() { threads_.join(); }

  int run() {
    wait_parent();
    io_.run();
    return 0;
  }

 private:
  void wait_parent() {
    parent_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const asio::error_code& ec) {
      if (!ec && take_parent()) wait_parent();
    });
  }

  // False when the parent is gone.
  bool take_parent() {
    for (;;) {
      auto message = take_message(kParentFd);
      if (!message) {
        io_.stop();
        return false;
      }
      if (!*message) return true;
      const auto [word, rest] = split_word((**message).text);
      if (word == "config") {
        const Status loaded = load(std::string(rest), (**message).fd.get());
        if (!send_message(kParentFd, to_reply(loaded))) return false;
      } else if (word == "engine") {
        serve(std::move((**message).fd));
      }
    }
  }

  Status load(const std::string& path, int config_fd) {
    ESPLANADE_TRY(config, config_from_fd(path, config_fd));
    apply_log_settings("keyd-holder", config, false);
    const std::string secrets_path = config.secrets_file;
    ESPLANADE_TRY(secrets, load_secrets(secrets_path));
    const bool kerberos = secrets.kerberos.has_value();
    const bool token = secrets.uses_token;
    ESPLANADE_TRY(holder, Holder::create(std::move(secrets), std::make_shared<const Config>(std::move(config)),
                                         secrets_path));
    // A filter can be made narrower, never wider: what the first reading needs is what later ones can have.
    if (confined_ && ((kerberos && !kerberos_) || (token && !token_)))
      return Error{Errc::kBadConfig,
                   fmt::format("{}: [kerberos] or the first key on a token needs a restart of keyd", secrets_path)};
    if (!confined_) {
      (void)crypto::prf(crypto::Hash::kSha1, {}, {});  // loads what the library loads late
      ESPLANADE_CHECK(confine(kerberos && token ? Confinement::kHolderBoth
                              : kerberos        ? Confinement::kHolderKerberos
                              : token           ? Confinement::kHolderToken
                                                : Confinement::kHolder));
      confined_ = true;
      kerberos_ = kerberos;
      token_ = token;
    }
    holder_ = std::move(holder);  // a request that runs on a thread keeps the one before
    return ok();
  }

  void serve(pfkey::Fd fd) {
    engine_ = std::make_unique<PacketSocket>(
        io_, std::move(fd), kHolderPacketMax, [this](ByteView packet) { on_request(packet); },
        [](const std::string& why) { log_debug("the connection to the engine ended: {}", why); });
  }

  void on_request(ByteView packet) {
    auto request = decode_request(packet);
    if (!request) return log_warn("a request of the engine is dropped: {}", request.error().detail);
    if (!Holder::may_wait(*request)) return reply(*request, holder_->answer(*request));
    if (waiting_ >= kWaitersMax)
      return reply(*request, Error{Errc::kRingFull, "too many requests wait for Kerberos"});
    ++waiting_;
    auto shared = std::make_shared<CredentialRequest>(std::move(*request));
    asio::post(threads_, [this, holder = holder_, shared] {
      auto answer = std::make_shared<Result<Credential>>(holder->answer(*shared));
      asio::post(io_, [this, shared, answer] {
        --waiting_;
        reply(*shared, *answer);
      });
    });
  }

  void reply(const CredentialRequest& request, const Result<Credential>& answer) {
    if (!answer) log_debug("{}: request refused: {}", printable(request.connection), answer.error().detail);
    if (!std::holds_alternative<GssEnd>(request.what)) engine_->send(encode_reply(request.ticket, answer));
  }

  asio::io_context io_;
  asio::posix::stream_descriptor parent_;
  std::unique_ptr<PacketSocket> engine_;
  std::shared_ptr<Holder> holder_;
  asio::thread_pool threads_;
  std::size_t waiting_ = 0;
  bool confined_ = false;
  bool kerberos_ = false;
  bool token_ = false;
};

}  // namespace

int run_holder_process() { return HolderProcess().run(); }

}  // namespace esplanade::ike
