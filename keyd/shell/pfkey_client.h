// keyd's side of PF_KEYv2 (RFC 2367) with espd: the core's requests as messages, espd's messages as calls.
// common/pfkey/README.md lists them.
#pragma once

#include <map>
#include <set>

#include "common/pfkey/message.h"
#include "keyd/sa/io.h"
#include "keyd/shell/packet_socket.h"

namespace esplanade::ike {

class PfkeyClient {
 public:
  /// What espd may tell. All run on the event loop.
  struct Handlers {
    std::function<void(Ticket, const Result<std::uint32_t>&)> on_spi;
    std::function<void(Ticket, const Status&)> on_installed;
    std::function<void(Ticket, const Result<std::uint64_t>& packets)> on_use;
    std::function<void(std::uint32_t reqid, const esp::IpAddress& remote)> on_acquire;
    std::function<void(std::uint32_t spi, bool hard)> on_expire;
    PacketSocket::OnClosed on_closed;
  };
  PfkeyClient(asio::io_context& io, pfkey::Fd fd, Handlers handlers);

  void register_key_socket();
  void request(const GetSpi& get);
  void request(InstallSa install);
  void request(const RemoveSa& remove);
  void request(const QueryUse& query);
  void request(const MoveSa& move);
  /// SADB_ACQUIRE with an errno (RFC 2367 s3.1.6), if espd has asked for this policy: ETIMEDOUT when the peer is
  /// silent, EACCES when it would not agree.
  void report(const AcquireFailed& failed);
  /// True when nothing is queued and every SADB_DELETE was answered.
  bool idle() const { return socket_.idle() && deletes_.empty(); }

 private:
  void send(pfkey::Message message, std::uint32_t seq);
  void on_packet(ByteView packet);

  Handlers handlers_;
  std::set<std::uint32_t> deletes_;  // sequence numbers waiting for an answer
  std::map<std::uint32_t, std::uint32_t> acquires_;  // reqid -> seq of espd's last SADB_ACQUIRE
  std::uint32_t next_seq_;
  PacketSocket socket_;
};

}  // namespace esplanade::ike
