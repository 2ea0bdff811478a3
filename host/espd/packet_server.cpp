#include "host/espd/packet_server.h"

#include "common/base/log.h"

namespace esplanade::espd {

PacketServer::PacketServer(Poller& poller, Options options, Handlers handlers, pfkey::Listener listener)
    : poller_(poller),
      options_(std::move(options)),
      handlers_(std::move(handlers)),
      listener_(std::move(listener)) {
  buffer_.reserve(options_.max_packet);
}

Result<std::unique_ptr<PacketServer>> PacketServer::create(Poller& poller, Options options,
                                                           Handlers handlers) {
  ESPLANADE_TRY(listener, pfkey::Listener::create(options.path));
  std::unique_ptr<PacketServer> server(
      new PacketServer(poller, std::move(options), std::move(handlers), std::move(listener)));
  ESPLANADE_CHECK(poller.add(server->listener_.fd(), [raw = server.get()] { raw->accept_all(); }));
  return server;
}

PacketServer::~PacketServer() {
  for (const auto& [id, client] : clients_) poller_.remove(client.fd.get());
  poller_.remove(listener_.fd());
}

void PacketServer::accept_all() {
  for (;;) {
    auto accepted = listener_.accept();
    if (!accepted) {
      log_warn("{}", accepted.error().detail);
      if (accepted.error().code == Errc::kPermission) continue;
      return;
    }
    if (!*accepted) return;
    if (clients_.size() >= options_.max_clients) {
      log_warn("{} socket: refused a client, {} are connected", options_.name, clients_.size());
      continue;
    }
    const ClientId id = ++last_id_;
    const int fd = (**accepted).get();
    const Status added = poller_.add(
        fd, [this, id] { read_from(id); }, [this, id] { write_to(id); });
    if (!added) {
      log_warn("{} socket: {}", options_.name, added.error().detail);
      continue;
    }
    clients_.emplace(id, Client{std::move(**accepted), {}});
    log_debug("{} socket: client {} connected", options_.name, id);
  }
}

void PacketServer::read_from(ClientId id) {
  // A few packets a turn: one busy client does not keep the others from being served.
  for (int turn = 0; turn < 16; ++turn) {
    const auto found = clients_.find(id);
    if (found == clients_.end()) return;
    const auto got = pfkey::receive(found->second.fd.get(), buffer_, options_.max_packet);
    if (!got) {
      wipe(buffer_);
      close(id, got.error().detail.c_str());
      return;
    }
    if (*got == pfkey::Received::kNothing) return;
    if (*got == pfkey::Received::kClosed) return close(id, "closed by the client");
    handlers_.message(id, buffer_);
    wipe(buffer_);  // it may have held keys
  }
}

bool PacketServer::send(ClientId id, Secret packet) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return false;
  Client& client = found->second;
  if (client.queue.empty()) {
    const Status sent = pfkey::send(client.fd.get(), packet.reveal());
    if (sent) return true;
    if (sent.error().code != Errc::kRingFull) {
      close(id, sent.error().detail.c_str());
      return false;
    }
    poller_.want_write(client.fd.get(), true);
  }
  if (client.queue.size() >= options_.max_queued) {
    close(id, "it does not read its packets");
    return false;
  }
  client.queue.push_back(std::move(packet));
  return true;
}

void PacketServer::write_to(ClientId id) {
  Client& client = clients_.at(id);
  while (!client.queue.empty()) {
    const Status sent = pfkey::send(client.fd.get(), client.queue.front().reveal());
    if (!sent && sent.error().code == Errc::kRingFull) return;
    if (!sent) return close(id, sent.error().detail.c_str());
    client.queue.pop_front();
  }
  poller_.want_write(client.fd.get(), false);
}

void PacketServer::close(ClientId id, const char* why) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  log_debug("{} socket: client {} gone: {}", options_.name, id, why);
  poller_.remove(found->second.fd.get());
  clients_.erase(found);
  if (handlers_.closed) handlers_.closed(id);
}

}  // namespace esplanade::espd
