// keyd's thin shell: sockets, clock, random octets and signals around the sans-I/O engine.
#pragma once

#include "keyd/sa/engine.h"
#include "keyd/shell/pfkey_client.h"
#include "keyd/shell/udp.h"

namespace esplanade::ike {

class Daemon {
 public:
  explicit Daemon(Config config);

  /// Connects to espd and binds the ports. Errors: kIo, kPermission, with what to do.
  Status open();
  /// Runs until SIGINT or SIGTERM (ok) or until espd goes away (kIo). SAs are deleted at the peers either
  /// way.
  Status run();

 private:
  Status connect_espd();
  static Time clock();
  /// Does what the engine asks for, then sets the timer anew. After every input.
  void turn();
  void perform(SendDatagram& d);
  void perform(SendKeepalive& k);
  void perform(GetSpi& g) { pfkey_->request(g); }
  void perform(InstallSa& i) { pfkey_->request(std::move(i)); }
  void perform(RemoveSa& r) { pfkey_->request(r); }
  void perform(QueryUse& q) { pfkey_->request(q); }
  void perform(MoveSa& m) { pfkey_->request(m); }
  void perform(Event& e);
  void on_natt_packet(ByteView packet);
  void stop(Status result);
  void finish_when_idle(int rounds_left);

  struct SystemRng final : Rng {
    void fill(MutableBytes out) override;
  };

  std::shared_ptr<const Config> config_;
  SystemRng rng_;
  asio::io_context io_;
  asio::signal_set signals_;
  asio::steady_timer timer_;
  asio::steady_timer stop_timer_;
  Engine engine_;
  UdpSockets udp_;
  std::unique_ptr<PfkeyClient> pfkey_;
  std::unique_ptr<PacketSocket> natt_;
  std::optional<Time> armed_;
  bool stopping_ = false;
  Status result_ = ok();
};

}  // namespace esplanade::ike
