#include "keyd/vectors/ike_vectors.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/crypto/dh.h"
#include "common/crypto/private_key.h"
#include "common/crypto/x509.h"
#include "keyd/exchange/negotiate.h"
#include "keyd/exchange/protect.h"
#include "keyd/keymat/quick_mode_keys.h"
#include "keyd/wire/payload_cert.h"
#include "keyd/wire/payload_gss.h"
#include "keyd/wire/payload_sa.h"

namespace esplanade::ike {
namespace {

using nlohmann::json;

// Thrown inside this file only: a case is a long list of comparisons, and the first that fails ends it.
struct Failed {
  Error error;
};

template <class T>
T need(Result<T> r, const std::string& what) {
  if (!r) throw Failed{{r.error().code, fmt::format("{}: {}", what, r.error().detail), r.error().at}};
  return std::move(r).value();
}

class Case {
 public:
  explicit Case(const json& c) : c_(c) {}

  unsigned run() {
    method_ = c_.at("auth_method").get<std::string>();
    if (method_ != "psk" && method_ != "rsasig" && method_ != "gss")
      throw Failed{{Errc::kUnsupported, "authentication method " + method_}};
    suite_.encryption = c_.at("enc") == "des" ? kMmDesCbc : kMmTripleDesCbc;
    suite_.hash = c_.at("hash") == "md5" ? kMmMd5 : kMmSha1;
    suite_.group = c_.at("group").get<std::uint16_t>();
    std::ranges::copy(octets(c_, "cky_i"), cky_i_.begin());
    std::ranges::copy(octets(c_, "cky_r"), cky_r_.begin());
    keys();
    clear_messages();
    natd();
    if (method_ == "rsasig") signatures();
    if (method_ == "gss") tokens();
    authentication();
    quick_mode();
    for (const json& i : c_.at("informational")) informational(i);
    return checks_;
  }

 private:
  static Bytes octets(const json& j, const char* key) {
    return need(from_hex(j.at(key).get<std::string>()), key);
  }

  void same(const std::string& what, ByteView got, ByteView want) {
    ++checks_;
    if (!std::ranges::equal(got, want))
      throw Failed{
          {Errc::kMalformed, fmt::format("{} is {} instead of {}", what, to_hex(got), to_hex(want))}};
  }
  void same(const char* key, ByteView got) { same(key, got, octets(c_, key)); }

  Secret shared(const json& j, const char* priv_i, const char* priv_r, const char* g_xi, const char* g_xr,
                const char* g_xy) {
    const auto group = static_cast<crypto::DhGroup>(suite_.group);
    auto i = need(crypto::DhKey::from_private(group, octets(j, priv_i)), priv_i);
    auto r = need(crypto::DhKey::from_private(group, octets(j, priv_r)), priv_r);
    same(g_xi, i.public_value(), octets(j, g_xi));
    same(g_xr, r.public_value(), octets(j, g_xr));
    Secret xy = need(i.shared(r.public_value()), g_xy);
    same(g_xy, xy.reveal(), octets(j, g_xy));
    same(g_xy, need(r.shared(i.public_value()), g_xy).reveal(), octets(j, g_xy));
    return xy;
  }

  void keys() {
    Secret g_xy = shared(c_, "dh_priv_i", "dh_priv_r", "g_xi", "g_xr", "g_xy");
    Secret skeyid = method_ == "psk"
                        ? skeyid_psk(suite_.hash, octets(c_, "psk"), octets(c_, "ni"), octets(c_, "nr"))
                        : skeyid_signature(suite_.hash, octets(c_, "ni"), octets(c_, "nr"), g_xy.reveal());
    same("skeyid", skeyid.reveal());
    keys_ = need(derive_mm_keys(suite_, std::move(skeyid), g_xy.reveal(), cky_i_, cky_r_), "keys");
    same("skeyid_d", keys_.skeyid_d.reveal());
    same("skeyid_a", keys_.skeyid_a.reveal());
    same("skeyid_e", keys_.skeyid_e.reveal());
    same("enc_key", keys_.cipher.reveal());
    iv_ = phase1_iv(suite_.hash, octets(c_, "g_xi"), octets(c_, "g_xr"));
    same("phase1_iv", iv_);
  }

  // Messages 1 to 4: parsed, built again from the parsed payloads, compared.
  void clear_messages() {
    for (std::size_t i = 0; i < 4; ++i) {
      const Bytes m = message(c_.at("msg"), i);
      const Header h = need(parse_header(m), "header");
      const Payloads payloads =
          need(split_payloads(h.next, ByteView(m).subspan(kHeaderLen), false), "payloads");
      ChainBuilder chain;
      for (const RawPayload& p : payloads) {
        const bool sa = p.type == PayloadType::kSa;
        if (sa) same(i == 0 ? "sai_b" : "sar_b", p.body);
        chain.add(p.type, sa ? build_sa(need(parse_sa(p.body), "SA")) : Bytes(p.body.begin(), p.body.end()));
      }
      same(fmt::format("message {}", i + 1), clear_message(h, chain), m);
    }
  }

  void natd() {
    const json& n = c_.at("natd");
    for (const char* side : {"i", "r"}) {
      const Bytes ip = octets(n, (std::string("ip_") + side).c_str());
      esp::IpAddress a;
      a.version = ip.size() == 4 ? 4 : 6;
      std::ranges::copy(ip, a.octets.begin());
      const std::string key = std::string("hash_of_") + side;
      same(key,
           natd_hash(suite_.hash, cky_i_, cky_r_, a, n.at(std::string("port_") + side).get<std::uint16_t>()),
           octets(n, key.c_str()));
    }
  }

  // A protected message: decrypted, compared, encrypted again, compared. Moves `iv` on.
  Opened both_ways(const std::string& what, const Bytes& m, Iv& iv) {
    const Header h = need(parse_header(m), what);
    Opened o = need(open(keys_, suite_.encryption, iv, h, m), what);
    ChainBuilder chain;
    for (const RawPayload& p : o.payloads) chain.add(p.type, p.body);
    Iv sent = iv;
    same(what, need(protect(keys_, suite_.encryption, sent, h, chain), what), m);
    same(what + ", next IV", sent, o.next_iv);
    iv = o.next_iv;
    return o;
  }

  void authentication() {
    const Bytes g_xi = octets(c_, "g_xi"), g_xr = octets(c_, "g_xr"), sai_b = octets(c_, "sai_b");
    const ByteView skeyid = keys_.skeyid.reveal();
    same("hash_i", auth_hash(suite_.hash, skeyid, g_xi, g_xr, cky_i_, cky_r_, sai_b, octets(c_, "idii_b"), more_i_));
    same("hash_r", auth_hash(suite_.hash, skeyid, g_xr, g_xi, cky_r_, cky_i_, sai_b, octets(c_, "idir_b"), more_r_));
    for (std::size_t i = 4; i < 6; ++i) {
      const Opened o = both_ways(fmt::format("message {}", i + 1), message(c_.at("msg"), i), iv_);
      same(i == 4 ? "msg5_plain" : "msg6_plain", o.plain);
      if (method_ == "rsasig") {
        const json& rsa = c_.at("rsa");
        same("signature on the wire", payload(o.payloads, PayloadType::kSignature),
             octets(rsa, i == 4 ? "sig_i" : "sig_r"));
        same("certificate on the wire", payload(o.payloads, PayloadType::kCert),
             build_cert(octets(rsa, i == 4 ? "init_cert_der" : "resp_cert_der")));
      } else {
        same(i == 4 ? "hash_i" : "hash_r", payload(o.payloads, PayloadType::kHash));
      }
      same(i == 4 ? "idii_b" : "idir_b", find(o.payloads, PayloadType::kId)->body);
    }
    same("phase1_last_block", iv_);
  }

  static ByteView payload(const Payloads& payloads, PayloadType type) {
    const RawPayload* p = find(payloads, type);
    if (p == nullptr) throw Failed{{Errc::kMalformed, "a payload is missing"}};
    return p->body;
  }

  // Each side's signature: made again with its key, verified under its certificate and that under the authority's.
  void signatures() {
    const json& rsa = c_.at("rsa");
    const auto trust = need(crypto::TrustStore::create({octets(rsa, "ca_cert_der")}, {}, {}), "authority");
    for (const char* side : {"i", "r"}) {
      const bool i = side[0] == 'i';
      const auto certificate = need(crypto::Certificate::parse(octets(rsa, i ? "init_cert_der" : "resp_cert_der")), side);
      const Bytes signature = octets(rsa, i ? "sig_i" : "sig_r");
      const Bytes hash = octets(c_, i ? "hash_i" : "hash_r");
      constexpr std::int64_t kIn2026 = 1'770'000'000;
      need(trust.verify(certificate, {}, kIn2026, crypto::Revocation::kRelaxed), "chain");
      need(certificate.verify_raw(hash, signature), "signature");
      const std::string pem = rsa.at(i ? "init_key_pem" : "resp_key_pem");
      const auto key = need(
          crypto::PrivateKey::from_pem(ByteView(reinterpret_cast<const Byte*>(pem.data()), pem.size())), "key");
      if (!key.belongs_to(octets(rsa, i ? "init_cert_der" : "resp_cert_der")))
        throw Failed{{Errc::kMalformed, "the private key is not that of the certificate"}};
      same(i ? "sig_i" : "sig_r", need(key.sign_raw(hash), "signing"), signature);
      checks_ += 2;
    }
  }

  // Names in messages 1 and 2, tokens in 3 and 4; the mock's wrapping is the identity.
  void tokens() {
    const json& gss = c_.at("gss");
    for (std::size_t i = 0; i < 4; ++i) {
      const Bytes m = message(c_.at("msg"), i);
      const Header h = need(parse_header(m), "header");
      const Payloads payloads = need(split_payloads(h.next, ByteView(m).subspan(kHeaderLen), false), "payloads");
      const bool of_i = i % 2 == 0;
      Bytes& more = of_i ? more_i_ : more_r_;
      if (i < 2) {
        const auto sa = need(parse_sa(payload(payloads, PayloadType::kSa)), "SA");
        const auto choice = need(read_mm_transform(sa.at(0), sa.at(0).transforms.at(0)), "transform");
        more = octets(gss, of_i ? "gi_i_utf16le" : "gi_r_utf16le");
        same("GSS name", choice.gss_name, more);
        same("GSS name from its text", build_gss_name(need(parse_gss_name(more), "name")), more);
      } else {
        const ByteView token = need(parse_gss(payload(payloads, PayloadType::kGss)), "token");
        same("token", token, octets(gss, of_i ? "token_i" : "token_r"));
        put(more, token);
      }
    }
  }

  void quick_mode() {
    const json& q = c_.at("qm");
    const auto mid = q.at("mid").get<std::uint32_t>();
    const Bytes ni = octets(q, "ni"), nr = octets(q, "nr");
    const ByteView skeyid_a = keys_.skeyid_a.reveal();
    Secret g_xy;
    if (q.contains("g_qm_xy")) g_xy = shared(q, "dh_priv_i", "dh_priv_r", "g_qm_xi", "g_qm_xr", "g_qm_xy");
    Iv iv = phase2_iv(suite_.hash, iv_, mid);
    same("qm.iv", iv, octets(q, "iv"));
    for (std::size_t i = 0; i < 3; ++i) {
      const Opened o = both_ways(fmt::format("quick mode message {}", i + 1), message(q.at("msg"), i), iv);
      const Bytes hash = i == 0   ? qm_hash1(suite_.hash, skeyid_a, mid, after_hash(o.payloads))
                         : i == 1 ? qm_hash2(suite_.hash, skeyid_a, mid, ni, after_hash(o.payloads))
                                  : qm_hash3(suite_.hash, skeyid_a, mid, ni, nr);
      const std::string key = fmt::format("hash{}", i + 1);
      same("qm." + key, hash, octets(q, key.c_str()));
      same("qm." + key + " on the wire", o.payloads.front().body, hash);
      if (const RawPayload* sa = find(o.payloads, PayloadType::kSa))
        same("qm SA", build_sa(need(parse_sa(sa->body), "qm SA")), sa->body);
    }
    if (q.contains("msg4_connected")) {
      const Opened o = both_ways("message 4, CONNECTED", octets(q, "msg4_connected"), iv);
      same("qm.hash4", qm_hash1(suite_.hash, skeyid_a, mid, after_hash(o.payloads)),
           octets(q, "hash4_connected"));
    }
    for (const json& k : q.at("keys")) {
      const Bytes want = octets(k, "keymat");
      const Bytes spi = octets(k, "spi");
      const Secret got = derive_keymat(suite_.hash, keys_.skeyid_d.reveal(), g_xy.reveal(),
                                       static_cast<ProtocolId>(k.at("protocol").get<int>()),
                                       load_be32(spi.data()), ni, nr, want.size());
      same("keymat", got.reveal(), want);
    }
  }

  void informational(const json& i) {
    const std::string name = "informational: " + i.at("name").get<std::string>();
    const auto mid = i.at("mid").get<std::uint32_t>();
    Iv iv = phase2_iv(suite_.hash, iv_, mid);
    same(name + ", iv", iv, octets(i, "iv"));
    const Opened o = both_ways(name, octets(i, "msg"), iv);
    same(name + ", plain", o.plain, octets(i, "plain"));
    same(name + ", hash", qm_hash1(suite_.hash, keys_.skeyid_a.reveal(), mid, after_hash(o.payloads)),
         octets(i, "hash1"));
  }

  static Bytes message(const json& list, std::size_t i) {
    return need(from_hex(list.at(i).get<std::string>()), "message");
  }

  const json& c_;
  std::string method_;
  Bytes more_i_;  // what GSS-API adds to HASH_I and HASH_R
  Bytes more_r_;
  MmSuite suite_;
  Cookie cky_i_{};
  Cookie cky_r_{};
  MmKeys keys_;
  Iv iv_{};
  unsigned checks_ = 0;
};

template <class F>
Result<unsigned> guarded(F&& f) {
  try {
    return f();
  } catch (const Failed& failed) {
    return failed.error;
  } catch (const json::exception& e) {
    return Error{Errc::kMalformed, fmt::format("not a case of this format: {}", e.what())};
  }
}

}  // namespace

Result<unsigned> run_ike_vector(const json& vector_case) {
  return guarded([&]() -> Result<unsigned> { return Case(vector_case).run(); });
}

Result<unsigned> run_dh_group_vector(const json& vector_case) {
  return guarded([&]() -> Result<unsigned> {
    const auto group = static_cast<crypto::DhGroup>(vector_case.at("group").get<std::uint16_t>());
    const Bytes want = need(from_hex(vector_case.at("prime").get<std::string>()), "prime");
    if (crypto::prime(group) != want) return Error{Errc::kMalformed, "the prime differs"};
    if (crypto::prime_len(group) * 8 != vector_case.at("bits").get<std::size_t>())
      return Error{Errc::kMalformed, "the length differs"};
    return 2u;
  });
}

}  // namespace esplanade::ike
