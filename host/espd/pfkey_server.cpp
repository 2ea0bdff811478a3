#include "host/espd/pfkey_server.h"

#include <linux/pfkeyv2.h>

#include <algorithm>
#include <cerrno>

#include "common/base/log.h"
#include "common/pfkey/sa_message.h"

namespace esplanade::espd {

using pfkey::Message;
using pfkey::Type;

namespace {

Message reply_to(const Message& request) {
  Message m;
  m.type = request.type;
  m.satype = request.satype;
  m.seq = request.seq;
  m.pid = request.pid;
  return m;
}

Message refusal(const Message& request, Errc code) {
  Message m = reply_to(request);
  m.error = static_cast<std::uint8_t>(to_errno(code));
  return m;
}

esp::Protocol protocol_of(pfkey::SaType type) { return type == pfkey::SaType::kAh ? esp::Protocol::kAh : esp::Protocol::kEsp; }

Result<SaId> id_of(const Message& m) {
  if (!m.sa || !m.dst) return Error{Errc::kMalformed, "the extensions SA and ADDRESS_DST are needed"};
  if (m.satype == pfkey::SaType::kUnspec) return Error{Errc::kMalformed, "an SA type is needed"};
  return SaId{protocol_of(m.satype), m.sa->spi, m.dst->address};
}

std::uint8_t to_pfkey(esp::Mode mode) { return mode == esp::Mode::kTunnel ? pfkey::kModeTunnel : pfkey::kModeTransport; }
pfkey::SaType to_pfkey(esp::Protocol protocol) { return protocol == esp::Protocol::kAh ? pfkey::SaType::kAh : pfkey::SaType::kEsp; }

std::optional<pfkey::LifetimeExt> to_ext(const esp::Lifetime& l) {
  if (l.bytes == 0 && l.packets == 0 && l.seconds == 0) return std::nullopt;
  return pfkey::LifetimeExt{static_cast<std::uint32_t>(std::min<std::uint64_t>(l.packets, UINT32_MAX)),
                            l.bytes, l.seconds, 0};
}

}  // namespace

int to_errno(Errc code) {
  switch (code) {
    case Errc::kUnknownSpi:
      return ESRCH;
    case Errc::kState:
      return EEXIST;
    case Errc::kTableFull:
      return ENOSPC;
    case Errc::kUnsupported:
      return EOPNOTSUPP;
    case Errc::kDeviceLost:
    case Errc::kNoCard:
      return ENODEV;
    case Errc::kTimeout:
      return ETIMEDOUT;
    case Errc::kIo:
      return EIO;
    default:
      return EINVAL;
  }
}

Status PfkeyServer::listen(Poller& poller, const std::string& path) {
  PacketServer::Handlers handlers{[this](ClientId c, ByteView octets) { on_message(c, octets); },
                                  [this](ClientId c) {
                                    sad_.orphan(c, Clock::now());
                                    if (registered_.erase(c) != 0)
                                      log_warn("the IKE daemon is gone; its SAs stay");
                                  }};
  PacketServer::Options options;
  options.path = path;
  options.name = "PF_KEY";
  options.max_packet = pfkey::kMaxMessage;
  options.max_queued = 65536;  // a DUMP of a full SA table
  ESPLANADE_TRY(server, PacketServer::create(poller, std::move(options), std::move(handlers)));
  server_ = std::move(server);
  return ok();
}

void PfkeyServer::on_message(ClientId client, ByteView octets) {
  auto request = pfkey::parse(octets);
  if (!request) {
    log_warn("PF_KEY: {} at offset {}", request.error().detail, request.error().at);
    // Enough of a header to answer to: the sender waits for its seq.
    if (octets.size() >= sizeof(sadb_msg) && octets[1] >= SADB_GETSPI && octets[1] <= SADB_DUMP) {
      Message m;
      m.type = static_cast<Type>(octets[1]);
      m.error = static_cast<std::uint8_t>(to_errno(request.error().code));
      std::copy_n(octets.data() + offsetof(sadb_msg, sadb_msg_seq), 4, reinterpret_cast<Byte*>(&m.seq));
      std::copy_n(octets.data() + offsetof(sadb_msg, sadb_msg_pid), 4, reinterpret_cast<Byte*>(&m.pid));
      if (auto bytes = pfkey::serialize(m)) server_->send(client, std::move(*bytes));
    }
    return;
  }
  for (const Message& m : answer(client, std::move(*request))) {
    auto bytes = pfkey::serialize(m);
    if (!bytes || !server_->send(client, std::move(*bytes))) return;
  }
}

std::vector<Message> PfkeyServer::answer(ClientId client, Message request) {
  std::vector<Message> out;
  if (request.type == Type::kAcquire) {
    // RFC 2367 s3.1.6: an ACQUIRE with an errno says that negotiation failed. It has no answer.
    // ETIMEDOUT: the peer is silent; any other: it answers.
    const auto found =
        std::ranges::find_if(acquire_of_, [&](const auto& entry) { return entry.second == request.seq; });
    // Meanwhile the policy may have been asked for again: then it names itself.
    const auto named = request.sa2 ? acquire_of_.find(request.sa2->reqid) : acquire_of_.end();
    const auto meant = found != acquire_of_.end() ? found : named;
    if (request.error != 0 && meant != acquire_of_.end())
      hooks_.acquire_failed(meant->first, request.error == ETIMEDOUT);
    return out;
  }
  if (request.type == Type::kDump) return dump(request);
  auto reply = handle(client, request);
  if (!reply) log_warn("{} refused: {}", pfkey::type_name(request.type), reply.error().detail);
  out.push_back(reply ? std::move(*reply) : refusal(request, reply.error().code));
  return out;
}

Result<Message> PfkeyServer::handle(ClientId client, Message& request) {
  switch (request.type) {
    case Type::kRegister: {
      registered_.insert(client);
      log_info("an IKE daemon registered");
      Message m = reply_to(request);
      m.supported_auth = {{SADB_AALG_MD5HMAC, 0, 128, 128}, {SADB_AALG_SHA1HMAC, 0, 160, 160}};
      m.supported_encrypt = {
          {SADB_EALG_DESCBC, 8, 64, 64}, {SADB_EALG_3DESCBC, 8, 192, 192}, {SADB_EALG_NULL, 0, 0, 0}};
      hooks_.registered();
      return m;
    }
    case Type::kGetspi:
      return get_spi(client, request);
    case Type::kUpdate:
      if (pfkey::is_move(request)) return move(request);
      return install(client, request);
    case Type::kAdd:
      return install(client, request);
    case Type::kDelete:
      return remove(request);
    case Type::kGet:
      return get(request);
    case Type::kFlush: {
      log_info("flushed {} SAs", sad_.flush(client));
      return reply_to(request);
    }
    default:
      return Error{Errc::kUnsupported, "not a request"};
  }
}

Result<Message> PfkeyServer::get_spi(ClientId client, const Message& request) {
  if (!request.src || !request.dst || !request.sa2) {
    return Error{Errc::kMalformed, "the extensions ADDRESS_SRC, ADDRESS_DST and SA2 are needed"};
  }
  if (request.satype == pfkey::SaType::kUnspec) return Error{Errc::kMalformed, "an SA type is needed"};
  const pfkey::SpiRangeExt range = request.spi_range.value_or(pfkey::SpiRangeExt{256, UINT32_MAX});
  Larval wanted;
  wanted.id.protocol = protocol_of(request.satype);
  wanted.id.dst = request.dst->address;
  wanted.src = request.src->address;
  wanted.reqid = request.sa2->reqid;
  wanted.owner = client;
  ESPLANADE_TRY(spi, sad_.get_spi(wanted, range.min, range.max));
  Message m = reply_to(request);
  m.sa = pfkey::SaExt{};
  m.sa->spi = spi;
  m.sa->state = pfkey::SaState::kLarval;
  m.src = request.src;
  m.dst = request.dst;
  m.sa2 = request.sa2;
  return m;
}

Result<Message> PfkeyServer::install(ClientId client, Message& request) {
  Message m = reply_to(request);
  m.sa = request.sa;
  m.src = request.src;
  m.dst = request.dst;
  m.sa2 = request.sa2;
  const bool outbound = request.type == Type::kAdd;
  ESPLANADE_TRY(params, pfkey::sa_params(std::move(request), outbound));
  const std::uint32_t reqid = m.sa2->reqid;
  ESPLANADE_TRY(handle, sad_.install(std::move(params), reqid, client));
  const Sa& sa = *sad_.find(handle);
  log_info("installed {} {} SA {:08x}, {} -> {}, {} mode, reqid {}{}", outbound ? "outbound" : "inbound", sa.id.protocol == esp::Protocol::kAh ? "AH" : "ESP", sa.id.spi,
           esp::to_string(sa.src), esp::to_string(sa.id.dst), sa.mode == esp::Mode::kTunnel ? "tunnel" : "transport", reqid, sa.natt ? ", in UDP" : "");
  if (outbound) hooks_.outbound_ready(reqid);
  return m;
}

Result<Message> PfkeyServer::move(const Message& request) {
  const esp::Protocol protocol = protocol_of(request.satype);
  const esp::Natt natt{*request.natt_sport, *request.natt_dport};
  ESPLANADE_CHECK(sad_.move(protocol, request.sa->spi, request.sa2->reqid, request.src->address,
                            request.dst->address, natt));
  log_info("moved SA {:08x} to {}:{} -> {}:{}", request.sa->spi, esp::to_string(request.src->address),
           natt.src_port, esp::to_string(request.dst->address), natt.dst_port);
  Message m = reply_to(request);
  m.sa = request.sa;
  m.src = request.src;
  m.dst = request.dst;
  m.sa2 = request.sa2;
  return m;
}

Result<Message> PfkeyServer::remove(const Message& request) {
  ESPLANADE_TRY(id, id_of(request));
  ESPLANADE_CHECK(sad_.remove(id));
  log_info("removed SA {:08x}", id.spi);
  Message m = reply_to(request);
  m.sa = request.sa;
  m.src = request.src;
  m.dst = request.dst;
  return m;
}

Message PfkeyServer::describe(const Sa& sa) {
  Message m;
  m.satype = to_pfkey(sa.id.protocol);
  m.sa = pfkey::SaExt{sa.id.spi,
                      static_cast<std::uint8_t>(std::min<std::uint16_t>(sa.replay_window, UINT8_MAX)),
                      pfkey::SaState::kMature,
                      pfkey::to_pfkey(sa.auth),
                      pfkey::to_pfkey(sa.cipher),
                      0};
  m.src = pfkey::host_address(sa.src);
  m.dst = pfkey::host_address(sa.id.dst);
  m.sa2 = pfkey::Sa2Ext{to_pfkey(sa.mode), 0, sa.reqid};
  m.lifetime_hard = to_ext(sa.hard);
  m.lifetime_soft = to_ext(sa.soft);
  if (sa.natt) {
    m.natt_type = pfkey::kNattEspInUdp;
    m.natt_sport = sa.natt->src_port;
    m.natt_dport = sa.natt->dst_port;
  }
  pfkey::LifetimeExt current;
  current.addtime = static_cast<std::uint64_t>(sa.installed_unix);
  if (const auto view = backend_.view(sa.handle)) {
    current.allocations = static_cast<std::uint32_t>(std::min<std::uint64_t>(view->packets, UINT32_MAX));
    current.bytes = view->bytes;
  }
  m.lifetime_current = current;
  return m;
}

Result<Message> PfkeyServer::get(const Message& request) {
  ESPLANADE_TRY(id, id_of(request));
  const Sa* sa = sad_.find(id);
  if (sa == nullptr) return Error{Errc::kUnknownSpi, "no such SA"};
  Message m = describe(*sa);
  m.type = Type::kGet;
  m.seq = request.seq;
  m.pid = request.pid;
  return m;
}

// RFC 2367 s3.1.10: one message an SA, the last one with seq 0.
std::vector<Message> PfkeyServer::dump(const Message& request) {
  std::vector<Message> out;
  const std::vector<const Sa*> all = sad_.all();
  for (const Sa* sa : all) {
    Message m = describe(*sa);
    m.type = Type::kDump;
    m.seq = static_cast<std::uint32_t>(all.size() - out.size() - 1);
    m.pid = request.pid;
    out.push_back(std::move(m));
  }
  if (out.empty()) {
    out.push_back(reply_to(request));
    out.back().seq = 0;
    out.back().error = ENOENT;
  }
  return out;
}

bool PfkeyServer::acquire(const Policy& policy) {
  if (registered_.empty() || policy.any_peer) return false;
  Message m;
  m.type = Type::kAcquire;
  m.satype = to_pfkey(policy.inner_protocol());
  m.seq = ++last_acquire_;
  m.src = pfkey::host_address(policy.local);
  m.dst = pfkey::host_address(policy.peer);
  m.sa2 = pfkey::Sa2Ext{to_pfkey(policy.mode), 0, policy.reqid};
  acquire_of_[policy.reqid] = m.seq;
  ++counters_.acquires;
  log_info("policy {} needs an SA: asked the IKE daemon", policy.name);
  broadcast(m);
  return true;
}

void PfkeyServer::expire(const Sa& sa, bool hard) {
  log_info("SA {:08x} reached a {} limit", sa.id.spi, hard ? "hard" : "soft");
  Message m = describe(sa);
  m.type = Type::kExpire;
  m.sa->state = hard ? pfkey::SaState::kDead : pfkey::SaState::kDying;
  // RFC 2367 s3.1.8: CURRENT and the one that was reached. One without a number tells of the sequence
  // number's end.
  auto& limit = hard ? m.lifetime_hard : m.lifetime_soft;
  if (!limit) limit.emplace();
  (hard ? m.lifetime_soft : m.lifetime_hard).reset();
  ++counters_.expires;
  broadcast(m);
}

void PfkeyServer::broadcast(const Message& message) {
  if (!server_) return;
  auto bytes = pfkey::serialize(message);
  if (!bytes) return;
  // A send that fails ends the client and takes it out of registered_.
  for (const ClientId client : std::vector<ClientId>(registered_.begin(), registered_.end())) {
    server_->send(client, bytes->clone());
  }
}

}  // namespace esplanade::espd
