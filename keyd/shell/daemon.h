// The process that faces the network: sockets, clock and random octets around the sans-I/O engine. The parent
// gives it the configuration and every socket; it opens nothing itself.
#pragma once

#include "keyd/control/server.h"
#include "keyd/holder/codec.h"
#include "keyd/sa/engine.h"
#include "keyd/shell/keylog.h"
#include "keyd/shell/message_socket.h"
#include "keyd/shell/pfkey_client.h"
#include "keyd/shell/udp.h"

namespace esplanade::ike {

class Daemon {
 public:
  Daemon();
  /// Does what the parent says on kParentFd until "stop", until espd or the holder goes away, or the parent
  /// does. SAs are deleted at the peers in every case. Returns the exit code.
  int run();

 private:
  static Time clock();
  void wait_parent();
  bool take_parent();
  void on_parent(Message message);
  Status configure(const std::string& path, int fd);
  Status add_port(std::string_view address_and_port, pfkey::Fd fd);
  void open_pfkey(pfkey::Fd fd);
  void start();
  /// Does what the engine asks for, then sets the timer anew. After every input.
  void turn();
  void perform(SendDatagram& d);
  void perform(SendKeepalive& k);
  void perform(GetSpi& g) { pfkey_->request(g); }
  void perform(InstallSa& i);
  void perform(RemoveSa& r) { pfkey_->request(r); }
  void perform(QueryUse& q) { pfkey_->request(q); }
  void perform(MoveSa& m) { pfkey_->request(m); }
  void perform(AcquireFailed& a) { pfkey_->report(a); }
  void perform(CredentialRequest& c);
  void perform(Event& e);
  void on_natt_packet(ByteView packet);
  void on_holder_packet(ByteView packet);
  void on_command(const Json& request, ControlServer::Reply reply);
  void fail(std::string why);
  void stop();
  void finish_when_idle(int rounds_left);

  struct SystemRng final : Rng {
    void fill(MutableBytes out) override;
  };

  std::shared_ptr<const Config> config_;
  SystemRng rng_;
  asio::io_context io_;
  asio::posix::stream_descriptor parent_;
  asio::steady_timer timer_;
  asio::steady_timer stop_timer_;
  std::unique_ptr<Engine> engine_;
  UdpSockets udp_;
  std::unique_ptr<PfkeyClient> pfkey_;
  std::unique_ptr<PacketSocket> natt_;
  std::unique_ptr<PacketSocket> holder_;
  std::unique_ptr<ControlServer> control_;
  std::vector<ControlServer::Reply> reloads_;  // operators that wait for the parent's word
  Keylog keylog_;
  Time started_{0};
  std::optional<Time> armed_;
  bool stopping_ = false;
  int code_ = 0;
};

}  // namespace esplanade::ike
