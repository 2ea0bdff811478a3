// The PF_KEYv2 end of espd (RFC 2367; common/pfkey/README.md): it plays the kernel towards an IKE daemon.
// Requests change the SAD; ACQUIRE and EXPIRE go out to the sockets that registered.
#pragma once

#include <set>

#include "common/pfkey/message.h"
#include "host/espd/counters.h"
#include "host/espd/packet_server.h"
#include "host/espd/sad.h"

namespace esplanade::espd {

class PfkeyServer {
 public:
  struct Hooks {
    std::function<void(std::uint32_t reqid)> outbound_ready;  // an outbound SA was installed
    /// The daemon gave up on an ACQUIRE, or (`silent`) has had no answer from the peer so far.
    std::function<void(std::uint32_t reqid, bool silent)> acquire_failed;
    std::function<void()> registered;                         // a daemon is there to take ACQUIREs
  };
  PfkeyServer(host::Backend& backend, Sad& sad, Counters& counters, Hooks hooks)
      : backend_(backend), sad_(sad), counters_(counters), hooks_(std::move(hooks)) {}
  Status listen(Poller& poller, const std::string& path);

  bool has_daemon() const { return !registered_.empty(); }
  /// Asks for SAs of the policy. False: nobody is registered, or nobody knows where the peer is.
  bool acquire(const Policy& policy);
  /// Tells that an SA reached a limit. `sa` is still in the SAD.
  void expire(const Sa& sa, bool hard);

  /// The answers to one request: one message, or for DUMP any number. Public for tests.
  std::vector<pfkey::Message> answer(ClientId client, pfkey::Message request);

 private:
  void on_message(ClientId client, ByteView octets);
  Result<pfkey::Message> handle(ClientId client, pfkey::Message& request);
  Result<pfkey::Message> get_spi(ClientId client, const pfkey::Message& request);
  Result<pfkey::Message> install(ClientId client, pfkey::Message& request);
  Result<pfkey::Message> remove(const pfkey::Message& request);
  Result<pfkey::Message> move(const pfkey::Message& request);
  Result<pfkey::Message> get(const pfkey::Message& request);
  std::vector<pfkey::Message> dump(const pfkey::Message& request);
  pfkey::Message describe(const Sa& sa);
  void broadcast(const pfkey::Message& message);

  host::Backend& backend_;
  Sad& sad_;
  Counters& counters_;
  Hooks hooks_;
  std::unique_ptr<PacketServer> server_;
  std::set<ClientId> registered_;
  std::uint32_t last_acquire_ = 0;
  std::map<std::uint32_t, std::uint32_t> acquire_of_;  // reqid -> seq of its last ACQUIRE
};

/// The errno of a PF_KEY answer.
int to_errno(Errc code);

}  // namespace esplanade::espd
