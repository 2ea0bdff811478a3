#include "keyd/shell/pfkey_client.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/base/log.h"
#include "common/pfkey/sa_message.h"

namespace esplanade::ike {
namespace {

// Tickets are sequence numbers below this, other requests above: answers cannot be mixed up.
constexpr std::uint32_t kFirstOtherSeq = 0x80000000;
constexpr std::uint32_t kSpiMin = 256;  // RFC 4303 s2.1 reserves the ones below

pfkey::SaType satype(esp::Protocol p) {
  return p == esp::Protocol::kEsp ? pfkey::SaType::kEsp : pfkey::SaType::kAh;
}

Status status_of(const pfkey::Message& m) {
  if (m.error == 0) return ok();
  return Error{Errc::kIo,
               fmt::format("espd answers {} with: {}", pfkey::type_name(m.type), std::strerror(m.error))};
}

}  // namespace

PfkeyClient::PfkeyClient(asio::io_context& io, pfkey::Fd fd, Handlers handlers)
    : handlers_(std::move(handlers)),
      next_seq_(kFirstOtherSeq),
      socket_(
          io, std::move(fd), pfkey::kMaxMessage, [this](ByteView p) { on_packet(p); },
          [this](const std::string& why) { handlers_.on_closed(why); }) {}

void PfkeyClient::send(pfkey::Message message, std::uint32_t seq) {
  message.seq = seq;
  message.pid = static_cast<std::uint32_t>(::getpid());
  auto octets = pfkey::serialize(message);
  if (!octets) return log_error("PF_KEY: {}: {}", pfkey::type_name(message.type), octets.error().detail);
  socket_.send(std::move(*octets));
}

void PfkeyClient::register_key_socket() {
  pfkey::Message m;
  m.type = pfkey::Type::kRegister;
  m.satype = pfkey::SaType::kEsp;
  send(std::move(m), next_seq_++);
}

void PfkeyClient::request(const GetSpi& get) {
  pfkey::Message m;
  m.type = pfkey::Type::kGetspi;
  m.satype = satype(get.protocol);
  m.src = pfkey::host_address(get.src);
  m.dst = pfkey::host_address(get.dst);
  m.spi_range = pfkey::SpiRangeExt{kSpiMin, 0xffffffff};
  m.sa2 = pfkey::Sa2Ext{get.mode == esp::Mode::kTunnel ? pfkey::kModeTunnel : pfkey::kModeTransport, 0,
                        get.reqid};
  send(std::move(m), get.ticket);
}

void PfkeyClient::request(InstallSa install) {
  const auto type = install.sa.outbound ? pfkey::Type::kAdd : pfkey::Type::kUpdate;
  send(pfkey::sa_message(type, std::move(install.sa), install.reqid), install.ticket);
}

void PfkeyClient::request(const RemoveSa& remove) {
  pfkey::Message m;
  m.type = pfkey::Type::kDelete;
  m.satype = satype(remove.protocol);
  m.sa = pfkey::SaExt{};
  m.sa->spi = remove.spi;
  m.src = pfkey::host_address(remove.src);
  m.dst = pfkey::host_address(remove.dst);
  deletes_.insert(next_seq_);
  send(std::move(m), next_seq_++);
}

void PfkeyClient::request(const QueryUse& query) {
  pfkey::Message m;
  m.type = pfkey::Type::kGet;
  m.satype = satype(query.protocol);
  m.sa = pfkey::SaExt{};
  m.sa->spi = query.spi;
  m.src = pfkey::host_address(query.src);
  m.dst = pfkey::host_address(query.dst);
  send(std::move(m), query.ticket);
}

void PfkeyClient::request(const MoveSa& move) {
  send(pfkey::move_message(satype(move.protocol), move.spi, move.reqid, move.src, move.dst, move.natt),
       next_seq_++);
}

void PfkeyClient::report(const AcquireFailed& failed) {
  auto it = acquires_.find(failed.reqid);
  if (it == acquires_.end()) return;
  pfkey::Message m;
  m.type = pfkey::Type::kAcquire;
  m.satype = pfkey::SaType::kEsp;
  m.error = failed.answered ? EACCES : ETIMEDOUT;
  m.sa2 = pfkey::Sa2Ext{pfkey::kModeTunnel, 0, failed.reqid};
  send(std::move(m), it->second);
}

void PfkeyClient::on_packet(ByteView packet) {
  auto parsed = pfkey::parse(packet);
  if (!parsed) return log_warn("PF_KEY: message of espd dropped: {}", parsed.error().detail);
  const pfkey::Message& m = *parsed;
  const bool to_us = m.pid == static_cast<std::uint32_t>(::getpid());
  switch (m.type) {
    case pfkey::Type::kGetspi: {
      if (!to_us) return;
      Status status = status_of(m);
      if (status && (!m.sa || m.sa->spi < kSpiMin))
        status = Error{Errc::kMalformed, "espd answers SADB_GETSPI without an SPI"};
      return handlers_.on_spi(
          m.seq, status ? Result<std::uint32_t>(m.sa->spi) : Result<std::uint32_t>(status.error()));
    }
    case pfkey::Type::kUpdate:
    case pfkey::Type::kAdd:
      if (to_us) handlers_.on_installed(m.seq, status_of(m));
      return;
    case pfkey::Type::kGet: {
      if (!to_us) return;
      Status status = status_of(m);
      if (status && !m.lifetime_current)
        status = Error{Errc::kMalformed, "espd answers SADB_GET without what the SA has carried"};
      return handlers_.on_use(m.seq, status ? Result<std::uint64_t>(m.lifetime_current->allocations)
                                            : Result<std::uint64_t>(status.error()));
    }
    case pfkey::Type::kDelete:
      if (to_us) deletes_.erase(m.seq);
      return;
    case pfkey::Type::kAcquire:
      if (m.error != 0 || !m.dst || !m.sa2) return;
      acquires_[m.sa2->reqid] = m.seq;
      return handlers_.on_acquire(m.sa2->reqid, m.dst->address);
    case pfkey::Type::kExpire:
      // RFC 2367 s3.1.8: the limit that was reached comes along.
      if (m.sa) handlers_.on_expire(m.sa->spi, m.lifetime_hard.has_value());
      return;
    case pfkey::Type::kRegister:
      if (to_us && m.error != 0) log_error("PF_KEY: {}", status_of(m).error().detail);
      return;
    default:
      return;
  }
}

}  // namespace esplanade::ike
