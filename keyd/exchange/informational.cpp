#include "keyd/exchange/informational.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/log.h"
#include "keyd/exchange/steps.h"
#include "keyd/keymat/quick_mode_keys.h"

namespace esplanade::ike {
namespace {

constexpr Step kInformationalStep{true, true, {PayloadType::kHash}, PayloadType::kHash};

// MS-IKEE s3.8: acknowledged deletes.
constexpr std::size_t kDeleteNonceLen = 32;
constexpr Time kDeleteWait{1000};  // then doubled, up to
constexpr Time kDeleteWaitMax{16000};
constexpr std::uint32_t kDeleteTries = 4;
constexpr std::size_t kDeletesMax = 64;  // unacknowledged ones under one SA

std::uint8_t protocol_id(esp::Protocol p) {
  return static_cast<std::uint8_t>(p == esp::Protocol::kEsp ? ProtocolId::kEsp : ProtocolId::kAh);
}

}  // namespace

void Informational::on_message(const Header& header, const Path& path, ByteView datagram) {
  if (!header.encrypted()) return on_clear(header, path, datagram);
  MmSa* found = core_.find_mm({header.cky_i, header.cky_r});
  if (found != nullptr && !found->established && !found->keys.cipher.empty() &&
      path.remote.address == found->path.remote.address)
    return on_early(*found, header, datagram);
  if (found == nullptr || !found->established || !Core::may_come_from(*found, path)) {
    ++core_.counters.unknown_sa;
    return;
  }
  MmSa& mm = *found;
  const auto ours = mm.deletes.find(header.message_id);
  const Iv iv = ours != mm.deletes.end() ? ours->second.iv : phase2_iv(mm.suite.hash, mm.iv, header.message_id);
  auto opened = open(mm.keys, mm.suite.encryption, iv, header, datagram);
  Status status = opened ? check_step(kInformationalStep, opened->payloads) : Status(opened.error());
  if (status && opened->payloads.size() < 2)
    status = Error{Errc::kMalformed, "informational message without content"};
  if (!status) {
    ++core_.counters.bad_crypto;
    log_debug("informational message from {} dropped: {}", to_string(path.remote), status.error().detail);
    return;
  }
  if (on_delete_ack(mm, header, opened->payloads)) return;
  const Bytes want =
      qm_hash1(mm.suite.hash, mm.keys.skeyid_a.reveal(), header.message_id, after_hash(opened->payloads));
  if (!constant_time_equal(want, opened->payloads.front().body)) {
    ++core_.counters.bad_crypto;
    log_info("informational message from {} dropped: wrong hash", to_string(path.remote));
    return;
  }
  if (!core_.remember_message_id(mm, header.message_id)) {  // a replay, or a duplicate
    ++core_.counters.duplicates;
    if (core_.may_answer_stranger()) acknowledge_delete(mm, header.message_id, *opened);
    return;
  }
  core_.count_octets(mm, datagram.size());
  core_.follow(mm, path);
  acknowledge_delete(mm, header.message_id, *opened);
  for (const RawPayload& p : opened->payloads) {
    if (p.type == PayloadType::kNotify) {
      auto notify = parse_notify(p.body);
      if (notify && !on_notify(mm, *notify)) return;
    } else if (p.type == PayloadType::kDelete) {
      auto del = parse_delete(p.body);
      if (del && !on_delete(mm, *del)) return;
    }
  }
}

// The sender has the keys of this negotiation, so it is who made them with us: it can end what it can also leave
// unfinished.
void Informational::on_early(MmSa& mm, const Header& header, ByteView datagram) {
  auto opened = open(mm.keys, mm.suite.encryption, phase2_iv(mm.suite.hash, mm.iv, header.message_id), header,
                     datagram);
  const RawPayload* payload = nullptr;
  if (opened && check_step(kInformationalStep, opened->payloads) && opened->payloads.size() >= 2 &&
      constant_time_equal(qm_hash1(mm.suite.hash, mm.keys.skeyid_a.reveal(), header.message_id,
                                   after_hash(opened->payloads)),
                          opened->payloads.front().body))
    payload = find(opened->payloads, PayloadType::kNotify);
  auto notify = payload != nullptr ? parse_notify(payload->body) : Result<Notify>(Error{Errc::kMalformed, ""});
  if (!notify) {
    ++core_.counters.bad_crypto;
    return;
  }
  if (notify->type < 16384)  // an error, RFC 2408 s3.14.1
    core_.remove_mm(mm, fmt::format("the peer refused: {}", notify_name(notify->type)));
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
  mm->answered = true;  // whoever it was: R83 errs on the side of no clear traffic
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

bool Informational::on_notify(MmSa& mm, const Notify& n) {
  if (on_own_notify && on_own_notify(mm, n)) return true;
  log_info("{}: {} notifies {} ({})", mm.connection->name, to_string(mm.path.remote), notify_name(n.type),
           n.type);
  if (n.type == static_cast<std::uint16_t>(NotifyType::kResponderLifetime)) on_mm_lifetime(mm, n);
  if (n.type >= 16384) return true;  // a status, RFC 2408 s3.14.1: REPLAY-STATUS and others change nothing
  return on_refusal(mm, n);
}

bool Informational::on_refusal(MmSa& mm, const Notify& n) {
  // An error ends the quick mode that it is about: by SPI when it names one, else the one that runs.
  const auto num_waiting = std::ranges::count_if(
      mm.exchanges, [](const auto& e) { return e.second.phase == QmExchange::Phase::kWaitMessage2; });
  const bool used_up = n.type == static_cast<std::uint16_t>(NotifyType::kInvalidCookie);
  bool again = false;
  for (auto it = mm.exchanges.begin(); it != mm.exchanges.end();) {
    QmExchange& qm = it->second;
    ++it;
    const bool named = n.spi.size() == 4 && std::ranges::any_of(qm.sas, [&](const QmSa& sa) {
                         return sa.spi_in == load_be32(n.spi.data());
                       });
    if (qm.phase != QmExchange::Phase::kWaitMessage2 ||
        !(named || used_up || n.spi.empty() || n.spi.size() == 16 || num_waiting == 1))
      continue;
    // R49, R50: a renewal that is refused, say for want of PFS, is tried once more under a new main mode SA,
    // with PFS. So is any quick mode for which the peer says that this main mode SA serves no more of them.
    const bool retry = (used_up || qm.replaces) && !qm.retried && mm.quick_modes > 1;
    if (retry) core_.wanted.push_back({mm.connection, mm.path.remote.address,
                                       {qm.child, qm.replaces, qm.replaces && !used_up, true}});
    again = again || retry;
    core_.drop_qm(mm, qm, fmt::format("the peer refused: {}", notify_name(n.type)), retry);
  }
  if (used_up) mm.expired = true;
  if (!again || used_up) return true;
  send_delete_mm(mm);
  core_.remove_mm(mm, "the peer refused a renewal");
  return false;
}

// RFC 2407 s4.6.3.1. Only ever shortens.
void Informational::on_mm_lifetime(MmSa& mm, const Notify& n) {
  if (n.protocol != static_cast<std::uint8_t>(ProtocolId::kIsakmp)) return;
  auto life = parse_notified_life(n.data, true);
  if (!life) return;
  if (life->kilobytes && (mm.life_kilobytes == 0 || *life->kilobytes < mm.life_kilobytes))
    mm.life_kilobytes = *life->kilobytes;
  if (life->seconds && *life->seconds < mm.life) {
    mm.life = *life->seconds;
    core_.arm_life(mm);
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
      core_.move_quick_modes(*target);
      core_.remove_mm(*target, "deleted by the peer");
      if (own) return false;
    }
    return true;
  }
  for (const Bytes& spi : del.spis) {
    const std::uint32_t spi_out = load_be32(spi.data());  // the sender's inbound is our outbound
    for (std::uint32_t spi_in : core_.proved(*mm.connection, *mm.peer_id).children) {
      const ChildSa& child = core_.children.at(spi_in);
      const bool ah = child.ah && child.ah->out == spi_out && del.protocol == protocol_id(esp::Protocol::kAh);
      if ((!ah && (child.spi_out != spi_out || protocol_id(child.protocol) != del.protocol)) ||
          child.connection != mm.connection)
        continue;
      core_.remove_child(spi_in, "deleted by the peer");
      break;
    }
  }
  return true;
}

Bytes Informational::send_chain(MmSa& mm, std::uint32_t message_id, Iv& iv, ByteView hash,
                                const ChainBuilder& content) {
  Header h;
  h.cky_i = mm.cookies.first;
  h.cky_r = mm.cookies.second;
  h.exchange = Exchange::kInformational;
  h.message_id = message_id;
  ChainBuilder chain;
  chain.add(PayloadType::kHash, hash);
  chain.append(content);
  auto message = protect(mm.keys, mm.suite.encryption, iv, h, chain);
  if (!message) return {};
  core_.count_octets(mm, message->size());
  core_.send(mm.path, *message);
  return std::move(*message);
}

void Informational::send(MmSa& mm, PayloadType type, ByteView body) {
  ChainBuilder content;
  content.add(type, body);
  const std::uint32_t id = core_.new_message_id(mm);
  Iv iv = phase2_iv(mm.suite.hash, mm.iv, id);
  (void)send_chain(mm, id, iv, qm_hash1(mm.suite.hash, mm.keys.skeyid_a.reveal(), id, content.octets()),
                   content);
}

// A Microsoft peer acknowledges a delete that brings a nonce (MS-IKEE s3.8); others get a plain one, once.
void Informational::send_delete(MmSa& mm, const Delete& del) {
  const Bytes body = build_delete(del);
  if (!mm.peer_microsoft || core_.stopping || mm.deletes.size() >= kDeletesMax)
    return send(mm, PayloadType::kDelete, body);
  MmSa::ReliableDelete d;
  d.ni_b = core_.random(kDeleteNonceLen);
  ChainBuilder content;
  content.add(PayloadType::kNonce, d.ni_b);
  content.add(PayloadType::kDelete, body);
  const std::uint32_t id = core_.new_message_id(mm);
  d.iv = phase2_iv(mm.suite.hash, mm.iv, id);
  d.message = send_chain(mm, id, d.iv,
                         qm_hash1(mm.suite.hash, mm.keys.skeyid_a.reveal(), id, content.octets()), content);
  mm.deletes[id] = std::move(d);
  core_.timers.arm({TimerKey::Kind::kDelete, mm.number, id}, core_.now + kDeleteWait);
}

void Informational::on_delete_timer(MmSa& mm, std::uint32_t message_id) {
  auto it = mm.deletes.find(message_id);
  if (it == mm.deletes.end()) return;
  MmSa::ReliableDelete& d = it->second;
  if (d.tries < kDeleteTries) {
    ++d.tries;
    ++core_.counters.retransmits;
    core_.send(mm.path, d.message);
    core_.timers.arm({TimerKey::Kind::kDelete, mm.number, message_id},
                     core_.now + std::min(kDeleteWait * (1 << d.tries), kDeleteWaitMax));
    return;
  }
  mm.deletes.erase(it);
  if (mm.remove_when_acked && mm.deletes.empty()) core_.remove_mm(mm, "its delete was not acknowledged");
}

bool Informational::on_delete_ack(MmSa& mm, const Header& header, const Payloads& payloads) {
  auto it = mm.deletes.find(header.message_id);
  if (it == mm.deletes.end()) return false;
  // HASH(2) covers the nonce of the delete, and the payloads in the order that they came in.
  const Bytes want = qm_hash2(mm.suite.hash, mm.keys.skeyid_a.reveal(), header.message_id, it->second.ni_b,
                              after_hash(payloads));
  if (!constant_time_equal(want, payloads.front().body)) {
    // The text of MS-IKEE can be read with the nonce in front of the Message-ID.
    const Bytes other = delete_ack_hash(mm.suite.hash, mm.keys.skeyid_a.reveal(), header.message_id,
                                        it->second.ni_b, after_hash(payloads));
    if (!constant_time_equal(other, payloads.front().body)) {
      ++core_.counters.bad_crypto;
      return true;
    }
  }
  core_.timers.cancel({TimerKey::Kind::kDelete, mm.number, header.message_id});
  mm.deletes.erase(it);
  if (mm.remove_when_acked && mm.deletes.empty()) core_.remove_mm(mm, "deleted; the peer knows");
  return true;
}

void Informational::acknowledge_delete(MmSa& mm, std::uint32_t message_id, const Opened& opened) {
  const RawPayload* del = find(opened.payloads, PayloadType::kDelete);
  const RawPayload* nonce = find(opened.payloads, PayloadType::kNonce);
  if (!mm.peer_microsoft || del == nullptr || nonce == nullptr || nonce->body.size() < kNonceLenMin ||
      nonce->body.size() > kNonceLenMax)
    return;
  ChainBuilder content;
  content.add(PayloadType::kNonce, core_.random(kDeleteNonceLen));
  content.add(PayloadType::kDelete, del->body);
  Iv iv = opened.next_iv;  // one exchange, one chain (RFC 2409 App. B)
  (void)send_chain(mm, message_id, iv,
                   delete_ack_hash(mm.suite.hash, mm.keys.skeyid_a.reveal(), message_id, nonce->body,
                                   content.octets()),
                   content);
}

void Informational::send_delete_mm(MmSa& mm) {
  Delete d;
  d.protocol = static_cast<std::uint8_t>(ProtocolId::kIsakmp);
  Bytes spi;
  put(spi, mm.cookies.first);
  put(spi, mm.cookies.second);
  d.spis.push_back(std::move(spi));
  send_delete(mm, d);
}

void Informational::send_delete_child(MmSa& mm, const ChildSa& child) {
  send_delete_sas(mm, child.protocol, {child.spi_in});
  if (child.ah) send_delete_sas(mm, esp::Protocol::kAh, {child.ah->in});
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
    send_delete(mm, d);
  }
}

void Informational::send_notify(MmSa& mm, NotifyType type, std::uint32_t spi, ProtocolId protocol) {
  Notify n;
  n.protocol = static_cast<std::uint8_t>(protocol);
  n.type = static_cast<std::uint16_t>(type);
  if (spi != 0) put_be32(n.spi, spi);
  send_notify(mm, n);
}

void Informational::send_notify(MmSa& mm, const Notify& notify) {
  send(mm, PayloadType::kNotify, build_notify(notify));
}

void Informational::send_mm_lifetime(MmSa& mm) {
  Notify n;
  n.protocol = static_cast<std::uint8_t>(ProtocolId::kIsakmp);
  n.type = static_cast<std::uint16_t>(NotifyType::kResponderLifetime);
  put(n.spi, mm.cookies.first);
  put(n.spi, mm.cookies.second);
  n.data = build_notified_life(mm.life, mm.life_kilobytes, true);
  send(mm, PayloadType::kNotify, build_notify(n));
}

}  // namespace esplanade::ike
