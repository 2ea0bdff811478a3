// Messages of an attacker, or of a peer who knows the keys: built by hand.
#pragma once

#include "keyd/keymat/quick_mode_keys.h"
#include "keyd/wire/payload_notify.h"
#include "keyd/wire/vendor_id.h"
#include "world.h"

namespace esplanade::ike::test {

/// The one main mode SA of a node, or the newest.
inline MmSa& mm_of(Node& node) {
  Core& core = EngineProbe::core(*node.engine);
  REQUIRE(!core.mm_numbers().empty());
  return *core.find_mm(core.mm_numbers().back());
}

inline Header header_of(const MmSa& mm, Exchange exchange, std::uint32_t message_id) {
  Header h;
  h.cky_i = mm.cookies.first;
  h.cky_r = mm.cookies.second;
  h.exchange = exchange;
  h.message_id = message_id;
  return h;
}

/// A phase 2 message under the keys of `mm`, with HASH(1); `wrong_hash` spoils it.
inline Bytes phase2(const MmSa& mm, Exchange exchange, std::uint32_t id, const ChainBuilder& content,
                    bool wrong_hash = false) {
  Bytes hash = qm_hash1(mm.suite.hash, mm.keys.skeyid_a.reveal(), id, content.octets());
  if (wrong_hash) hash[3] ^= 0x10;
  ChainBuilder chain;
  chain.add(PayloadType::kHash, hash);
  chain.append(content);
  Iv iv = phase2_iv(mm.suite.hash, mm.iv, id);
  auto message = protect(mm.keys, mm.suite.encryption, iv, header_of(mm, exchange, id), chain);
  REQUIRE(message);
  return *message;
}

inline ChainBuilder one(PayloadType type, const Bytes& body) {
  ChainBuilder c;
  c.add(type, body);
  return c;
}

inline ChainBuilder delete_of_mm(const MmSa& mm) {
  Delete d{static_cast<std::uint8_t>(ProtocolId::kIsakmp), {}};
  Bytes spi(mm.cookies.first.begin(), mm.cookies.first.end());
  put(spi, mm.cookies.second);
  d.spis.push_back(spi);
  return one(PayloadType::kDelete, build_delete(d));
}

inline ChainBuilder dpd_notify(const MmSa& mm, NotifyType type, std::uint32_t sequence) {
  Notify n;
  n.protocol = 1;
  n.type = static_cast<std::uint16_t>(type);
  put(n.spi, mm.cookies.first);
  put(n.spi, mm.cookies.second);
  put_be32(n.data, sequence);
  return one(PayloadType::kNotify, build_notify(n));
}

/// A message 1 that a responder with 3des-sha1-modp768 takes.
inline Bytes message1(std::uint64_t cookie, std::initializer_list<Vendor> vendors = {},
                      const Cookie& cky_r = kNoCookie, const std::vector<Proposal>* offer = nullptr) {
  Setup s;
  s.ike = "3des-sha1-modp768";
  const Config config = make_config(true, s);
  Header h;
  store_be64(h.cky_i.data(), cookie);
  h.cky_r = cky_r;
  h.exchange = Exchange::kMainMode;
  ChainBuilder chain;
  chain.add(PayloadType::kSa, build_sa(offer != nullptr ? *offer : mm_offer(*config.connections.front())));
  for (Vendor v : vendors) chain.add(PayloadType::kVendorId, vendor_id(v));
  return clear_message(h, chain);
}

inline Setup fast(Setup s = {}) {
  s.ike = "3des-sha1-modp768";
  return s;
}
inline Setup fast_start(Setup s = {}) {
  s = fast(std::move(s));
  s.start = "start";
  return s;
}

}  // namespace esplanade::ike::test
