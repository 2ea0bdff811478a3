#include "keyd/exchange/informational.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/log.h"
#include "keyd/exchange/steps.h"
#include "keyd/keymat/quick_mode_keys.h"

namespace esplanade::ike {
namespace {

constexpr Step kInformationalStep{true, true, {PayloadType::kHash}, PayloadType::kHash};

std::uint8_t protocol_id(esp::Protocol p) {
  return static_cast<std::uint8_t>(p == esp::Protocol::kEsp ? ProtocolId::kEsp : ProtocolId::kAh);
}

}  // namespace

void Informational::on_message(const Header& header, const Path& path, ByteView datagram) {
  if (!header.encrypted()) return on_clear(header, path, datagram);
  MmSa* found = core_.find_mm({header.cky_i, header.cky_r});
  if (found == nullptr || !found->established || !Core::may_come_from(*found, path)) {
    ++core_.counters.unknown_sa;
    return;
  }
  MmSa& mm = *found;
  auto opened = open(mm.keys, mm.suite.encryption, phase2_iv(mm.suite.hash, mm.iv, header.message_id), header,
                     datagram);
  Status status = opened ? check_step(kInformationalStep, opened->payloads) : Status(opened.error());
  if (status && opened->payloads.size() < 2)
    status = Error{Errc::kMalformed, "informational message without content"};
  if (!status) {
    ++core_.counters.bad_crypto;
    log_debug("informational message from {} dropped: {}", to_string(path.remote), status.error().detail);
    return;
  }
  const Bytes want =
      qm_hash1(mm.suite.hash, mm.keys.skeyid_a.reveal(), header.message_id, after_hash(opened->payloads));
  if (!constant_time_equal(want, opened->payloads.front().body)) {
    ++core_.counters.bad_crypto;
    log_info("informational message from {} dropped: wrong hash", to_string(path.remote));
    return;
  }
  if (!core_.remember_message_id(mm, header.message_id)) {  // a replay, or a duplicate
    ++core_.counters.duplicates;
    return;
  }
  core_.follow(mm, path);
  for (const RawPayload& p : opened->payloads) {
    if (p.type == PayloadType::kNotify) {
      if (auto notify = parse_notify(p.body)) on_notify(mm, *notify);
    } else if (p.type == PayloadType::kDelete) {
      auto del = parse_delete(p.body);
      if (del && !on_delete(mm, *del)) return;
    }
  }
}

void Informational::on_clear(const Header& header, const Path& path, ByteView datagram) {
  MmSa* mm = core_.find_mm({header.cky_i, header.cky_r});
  if (mm == nullptr) mm = core_.find_mm({header.cky_i, kNoCookie});
  if (mm == nullptr || mm->established || path.remote.address != mm->path.remote.address) {
    ++core_.counters.unknown_sa;
    return;
  }
  auto payloads = split_payloads(header.next, datagram.subspan(kHeaderLen), false);
  if (!payloads) {
    ++core_.counters.malformed;
    return;
  }
  for (const RawPayload& p : *payloads) {
    if (p.type != PayloadType::kNotify) continue;
    auto notify = parse_notify(p.body);
    if (notify && notify->type == static_cast<std::uint16_t>(NotifyType::kDosCookie) && mm->initiator &&
        mm->expect == 1 && notify->data.size() == 8) {
      Cookie cookie{};
      std::ranges::copy(notify->data, cookie.begin());
      if (cookie != kNoCookie && on_dos_cookie) return on_dos_cookie(*mm, cookie);
    }
    if (notify && core_.may_answer_stranger())
      log_warn("{}: {} says {} (not authenticated; going on)", mm->connection->name, to_string(path.remote),
               notify_name(notify->type));
  }
}

void Informational::on_notify(MmSa& mm, const Notify& n) {
  if (on_own_notify && on_own_notify(mm, n)) return;
  log_info("{}: {} notifies {} ({})", mm.connection->name, to_string(mm.path.remote), notify_name(n.type),
           n.type);
  if (n.type >= 16384) return;  // a status, RFC 2408 s3.14.1
  // An error ends the quick mode that it is about: by SPI when it names one, else the one that runs.
  for (auto it = mm.exchanges.begin(); it != mm.exchanges.end();) {
    QmExchange& qm = it->second;
    ++it;
    const bool waits = qm.phase == QmExchange::Phase::kWaitMessage2;
    const bool named = n.spi.size() == 4 && load_be32(n.spi.data()) == qm.spi_in;
    if (waits && (named || n.spi.empty() || n.spi.size() == 16 || mm.exchanges.size() == 1))
      core_.drop_qm(mm, qm, fmt::format("the peer refused: {}", notify_name(n.type)));
  }
}

bool Informational::on_delete(MmSa& mm, const Delete& del) {
  if (del.protocol == static_cast<std::uint8_t>(ProtocolId::kIsakmp)) {
    for (const Bytes& spi : del.spis) {
      CookiePair cookies;
      std::copy_n(spi.begin(), 8, cookies.first.begin());
      std::copy_n(spi.begin() + 8, 8, cookies.second.begin());
      MmSa* target = core_.find_mm(cookies);
      // Its own SA, or another with the same proved identity at the same place.
      if (target == nullptr || !target->established || target->connection != mm.connection ||
          target->peer_id != mm.peer_id)
        continue;
      const bool own = target == &mm;
      core_.remove_mm(*target, "deleted by the peer");
      if (own) return false;
    }
    return true;
  }
  for (const Bytes& spi : del.spis) {
    const std::uint32_t spi_out = load_be32(spi.data());  // the sender's inbound is our outbound
    for (const auto& [spi_in, child] : core_.children) {
      if (child.spi_out != spi_out || protocol_id(child.protocol) != del.protocol ||
          child.connection != mm.connection || child.peer_id != *mm.peer_id)
        continue;
      core_.remove_child(spi_in, "deleted by the peer");
      break;
    }
  }
  return true;
}

void Informational::send(MmSa& mm, PayloadType type, ByteView body) {
  Header h;
  h.cky_i = mm.cookies.first;
  h.cky_r = mm.cookies.second;
  h.exchange = Exchange::kInformational;
  h.message_id = core_.new_message_id(mm);
  ChainBuilder content;
  content.add(type, body);
  const Bytes hash = qm_hash1(mm.suite.hash, mm.keys.skeyid_a.reveal(), h.message_id, content.octets());
  ChainBuilder chain;
  chain.add(PayloadType::kHash, hash);
  chain.add(type, body);
  Iv iv = phase2_iv(mm.suite.hash, mm.iv, h.message_id);
  if (auto message = protect(mm.keys, mm.suite.encryption, iv, h, chain)) core_.send(mm.path, *message);
}

void Informational::send_delete_mm(MmSa& mm) {
  Delete d;
  d.protocol = static_cast<std::uint8_t>(ProtocolId::kIsakmp);
  Bytes spi;
  put(spi, mm.cookies.first);
  put(spi, mm.cookies.second);
  d.spis.push_back(std::move(spi));
  send(mm, PayloadType::kDelete, build_delete(d));
}

void Informational::send_delete_sas(MmSa& mm, esp::Protocol protocol,
                                    const std::vector<std::uint32_t>& spis_in) {
  constexpr std::size_t kPerMessage = 64;  // keeps the datagram below any MTU
  for (std::size_t at = 0; at < spis_in.size(); at += kPerMessage) {
    Delete d;
    d.protocol = protocol_id(protocol);
    for (std::size_t i = at; i < std::min(at + kPerMessage, spis_in.size()); ++i) {
      Bytes spi;
      put_be32(spi, spis_in[i]);
      d.spis.push_back(std::move(spi));
    }
    send(mm, PayloadType::kDelete, build_delete(d));
  }
}

void Informational::send_notify(MmSa& mm, NotifyType type, std::uint32_t spi) {
  Notify n;
  n.protocol = static_cast<std::uint8_t>(ProtocolId::kEsp);
  n.type = static_cast<std::uint16_t>(type);
  if (spi != 0) put_be32(n.spi, spi);
  send_notify(mm, n);
}

void Informational::send_notify(MmSa& mm, const Notify& notify) {
  send(mm, PayloadType::kNotify, build_notify(notify));
}

}  // namespace esplanade::ike
