// Main mode by its three methods: what authenticates, what must not, and the wait for the holder of the secrets.
#include "keyd/exchange/auth.h"
#include "keyd/keymat/main_mode_keys.h"
#include "keyd/policy/identity.h"
#include "keyd/wire/payload_gss.h"
#include "keyd/wire/payload_notify.h"
#include "keyd/wire/payload_sa.h"
#include "keyd/wire/vendor_id.h"
#include "dress.h"
#include "pki.h"

using namespace esplanade;
using namespace esplanade::ike;
using namespace esplanade::ike::test;
using namespace std::chrono_literals;
using crypto::testing::make_certificate;
using crypto::testing::make_crl;

namespace {

constexpr const char* kMethods[] = {"psk", "pubkey", "gss"};

Pki& pki() {
  static Pki* const one = new Pki;
  return *one;
}

Setup gss_side(bool left, const std::string& remote_names = "\"host/*@TEST\"") {
  Setup s;
  s.ike = "3des-sha1-modp768";
  s.principal = left ? "host/left@TEST" : "host/right@TEST";
  s.local = fmt::format("auth = \"gss\"\ngss_name = \"{}\"", s.principal);
  s.remote = fmt::format("auth = \"gss\"\ngss_name = [{}]", remote_names);
  return s;
}

/// One side by method, with right credentials.
Setup side(std::string_view method, bool left) {
  if (method == "pubkey") return pki().side(left ? pki().left : pki().right);
  if (method == "gss") return gss_side(left);
  Setup s;
  s.ike = "3des-sha1-modp768";
  return s;
}
Setup starting(Setup s) {
  s.start = "start";
  return s;
}

std::string failure(const Node& n) {
  for (const Event& e : n.events)
    if (e.kind == Event::Kind::kFailed) return e.text;
  return "";
}
bool contains(const std::string& text, std::string_view what) { return text.find(what) != text.npos; }

bool has_up(const Node& n) {
  return std::ranges::any_of(n.events, [](const Event& e) { return e.kind == Event::Kind::kMainModeUp; });
}
/// Neither side has a main mode SA or a pair, and none had.
void check_nothing(World& w) {
  CHECK(w.left().sas.empty());
  CHECK(w.right().sas.empty());
  CHECK(w.left().engine->counters().main_modes == 0);
  CHECK(w.right().engine->counters().main_modes == 0);
}

bool is_main_mode(const Bytes& octets) { return octets[18] == static_cast<Byte>(Exchange::kMainMode); }
bool is_encrypted(const Bytes& octets) { return (octets[19] & kFlagEncryption) != 0; }

Payloads payloads_of(const Bytes& octets) {
  auto header = parse_header(octets);
  REQUIRE(header);
  auto payloads = split_payloads(header->next, ByteView(octets).subspan(kHeaderLen), false);
  REQUIRE(payloads);
  return *payloads;
}

/// A message in clear with one payload's body replaced.
Bytes with_body(const Bytes& octets, PayloadType type, ByteView body) {
  auto header = parse_header(octets);
  ChainBuilder chain;
  for (const RawPayload& p : payloads_of(octets)) chain.add(p.type, p.type == type ? body : p.body);
  return clear_message(*header, chain);
}

bool holds(ByteView octets, ByteView part) { return !std::ranges::search(octets, part).empty(); }
ByteView text_octets(std::string_view t) { return {reinterpret_cast<const Byte*>(t.data()), t.size()}; }

/// Notifies in clear, by type, and protected informational messages of one side.
struct Told {
  std::vector<std::uint16_t> clear;
  int protected_ones = 0;
  void note(const Bytes& octets) {
    if (octets[18] != static_cast<Byte>(Exchange::kInformational)) return;
    if (is_encrypted(octets)) {
      ++protected_ones;
      return;
    }
    const Payloads payloads = payloads_of(octets);
    auto n = parse_notify(find(payloads, PayloadType::kNotify)->body);
    REQUIRE(n);
    clear.push_back(n->type);
  }
};

}  // namespace

TEST_CASE("[R14][R61][R64][R65][R67] every method comes up with every cipher, hash and group, and the KE has the length "
          "of its prime") {
  struct Group {
    const char* name;
    std::uint16_t value;
    std::size_t len;
  };
  for (const char* method : kMethods)
    for (const char* cipher : {"des", "3des"})
      for (const char* hash : {"md5", "sha1"})
        for (const Group& g : {Group{"low", 1, 96}, Group{"medium", 2, 128}, Group{"high", 14, 256}}) {
          CAPTURE(method);
          const std::string ike = fmt::format("{}-{}-{}", cipher, hash, g.name);
          CAPTURE(ike);
          Setup l = side(method, true), r = side(method, false);
          l.ike = r.ike = ike;
          World w(1, starting(l), r);
          std::vector<std::size_t> ke;
          std::optional<MmChoice> chosen;
          w.tap = [&](const Node& from, Bytes& octets) {
            if (!is_main_mode(octets) || is_encrypted(octets)) return true;
            const Payloads payloads = payloads_of(octets);
            if (auto* p = find(payloads, PayloadType::kKe)) ke.push_back(p->body.size());
            if (auto* p = find(payloads, PayloadType::kSa); p != nullptr && from.name == "right") {
              auto sa = parse_sa(p->body);
              chosen = *read_mm_transform(sa->at(0), sa->at(0).transforms.at(0));
            }
            return true;
          };
          w.start();
          CHECK(w.run(5s, [&] { return w.up(); }));
          CHECK(ke == std::vector<std::size_t>{g.len, g.len});
          REQUIRE(chosen);
          CHECK(chosen->suite.encryption == (cipher[0] == '3' ? 5 : 1));
          CHECK(chosen->suite.hash == (hash[0] == 's' ? 2 : 1));
          CHECK(chosen->suite.group == g.value);
          CHECK(chosen->auth == (method[0] == 'g' ? 65001 : method[1] == 'u' ? 3 : 1));
          CHECK(has_up(w.left()));
          CHECK(has_up(w.right()));
        }
}

TEST_CASE("[R12] a changed bit in either public value leaves no SA, whatever the method") {
  for (const char* method : kMethods)
    for (const char* victim : {"left", "right"}) {
      CAPTURE(method);
      CAPTURE(victim);
      World w(2, starting(side(method, true)), side(method, false));
      bool changed = false;
      w.tap = [&](const Node& from, Bytes& octets) {
        if (from.name != victim || !is_main_mode(octets) || is_encrypted(octets)) return true;
        const Payloads payloads = payloads_of(octets);
        const RawPayload* ke = find(payloads, PayloadType::kKe);
        if (ke == nullptr) return true;
        Bytes body(ke->body.begin(), ke->body.end());
        body[40] ^= 1;
        octets = with_body(octets, PayloadType::kKe, body);
        changed = true;
        return true;
      };
      w.start();
      w.run(60s);
      CHECK(changed);
      check_nothing(w);
    }
}

TEST_CASE("[R16] every key depends on g^xy") {
  const Bytes ni(16, 1), nr(16, 2);
  const Cookie i{1}, r{2};
  for (const MmSuite& suite : {MmSuite{kMmTripleDesCbc, kMmSha1, 2}, MmSuite{kMmDesCbc, kMmMd5, 1}}) {
    Bytes g_xy(128, 3);
    auto keys = [&](bool psk) -> MmKeys {
      Secret skeyid = psk ? skeyid_psk(suite.hash, text_octets("secret"), ni, nr) : skeyid_signature(suite.hash, ni, nr, g_xy);
      auto derived = derive_mm_keys(suite, std::move(skeyid), g_xy, i, r);
      REQUIRE(derived);
      return std::move(*derived);
    };
    for (bool psk : {true, false}) {
      g_xy[127] = 3;
      const MmKeys a = keys(psk);
      g_xy[127] = 4;
      const MmKeys b = keys(psk);
      for (auto key : {&MmKeys::skeyid_d, &MmKeys::skeyid_a, &MmKeys::skeyid_e, &MmKeys::cipher})
        CHECK_FALSE(constant_time_equal((a.*key).reveal(), (b.*key).reveal()));
      CHECK(constant_time_equal(a.skeyid.reveal(), b.skeyid.reveal()) == psk);
    }
  }
}

TEST_CASE("[R17] a man in the middle with key exchanges of his own convinces neither side") {
  // Mallory speaks to each victim as the other, with everything public of the other and no secret.
  for (const char* method : kMethods)
    for (bool as_responder : {true, false}) {
      CAPTURE(method);
      CAPTURE(as_responder);
      Setup victim = side(method, as_responder), mallory = side(method, !as_responder);
      mallory.psk = "a guess";
      World w(3, starting(as_responder ? victim : mallory), as_responder ? mallory : victim);
      Node& m = as_responder ? w.right() : w.left();
      Node& v = as_responder ? w.left() : w.right();
      // A true signature of the other, over another exchange; an honest ticket, but a wrapped HASH without the key.
      m.holder.tap = [&](const CredentialRequest& r, Result<Credential>& out) {
        if (std::holds_alternative<RsaSign>(r.what)) {
          CredentialRequest other = r;
          std::get<RsaSign>(other.what).hash.assign(20, 0x11);
          TestHolder honest;
          honest.keys = m.holder.keys;
          out = honest.answer(other);
        } else if (std::holds_alternative<GssWrap>(r.what)) {
          out->octets.reveal_mutable()[5] ^= 1;
        }
      };
      w.start();
      w.run(20s);
      CHECK(v.engine->counters().main_modes == 0);
      CHECK(v.engine->counters().bad_crypto >= 1);
      CHECK(w.left().sas.empty());
      CHECK(w.right().sas.empty());
      // With a pre-shared key Mallory cannot even read message 5, let alone answer it.
      if (method[0] == 'p' && method[1] == 's' && as_responder) continue;
      CHECK(contains(failure(v), method[0] == 'g'                     ? "HASH"
                                 : method[1] == 'u'                   ? "signature"
                                                                      : "pre-shared key"));
    }
}

TEST_CASE("[R62][R68] identities and certificates never travel in clear under pre-shared keys and signatures") {
  for (const char* method : {"psk", "pubkey"}) {
    CAPTURE(method);
    Setup l = side(method, true), r = side(method, false);
    l.local += "\nid = \"left.example\"";
    r.local += "\nid = \"right.example\"";
    World w(4, starting(l), r);
    int clear = 0, covered = 0;
    w.tap = [&](const Node&, Bytes& octets) {
      for (const char* name : {"left.example", "right.example"}) CHECK_FALSE(holds(octets, text_octets(name)));
      for (const Identity* i : {&pki().left, &pki().right}) CHECK_FALSE(holds(octets, ByteView(i->certificate).first(40)));
      if (is_encrypted(octets)) {
        ++covered;
        return true;
      }
      ++clear;
      for (const RawPayload& p : payloads_of(octets))
        for (PayloadType t : {PayloadType::kId, PayloadType::kCert, PayloadType::kSignature, PayloadType::kHash})
          CHECK(p.type != t);
      return true;
    };
    w.start();
    CHECK(w.run(5s, [&] { return w.up(); }));
    CHECK(clear == 4);
    CHECK(covered >= 4);
    CHECK(std::ranges::any_of(w.right().events, [](const Event& e) { return contains(e.text, "left.example"); }));
  }
}

TEST_CASE("[R69] under GSS-API names and tokens are seen, the identity payloads are not") {
  Setup l = gss_side(true), r = gss_side(false);
  l.local += "\nid = \"left.example\"";
  r.local += "\nid = \"right.example\"";
  World w(5, starting(l), r);
  std::vector<std::string> names;
  std::vector<Bytes> tokens;
  w.tap = [&](const Node&, Bytes& octets) {
    CHECK_FALSE(holds(octets, text_octets("left.example")));
    CHECK_FALSE(holds(octets, text_octets("right.example")));
    if (is_encrypted(octets)) return true;
    const Payloads payloads = payloads_of(octets);
    CHECK(find(payloads, PayloadType::kId) == nullptr);
    if (auto* p = find(payloads, PayloadType::kSa)) {
      auto sa = parse_sa(p->body);
      for (const Transform& t : sa->at(0).transforms)
        for (const Attribute& a : t.attributes)
          if (a.type == 16384) names.push_back(*parse_gss_name(a.value));
    }
    if (auto* p = find(payloads, PayloadType::kGss)) {
      auto token = *parse_gss(p->body);
      tokens.emplace_back(token.begin(), token.end());
    }
    return true;
  };
  w.start();
  CHECK(w.run(5s, [&] { return w.up(); }));
  CHECK(names == std::vector<std::string>{"host/left@TEST", "host/right@TEST"});
  REQUIRE(tokens.size() == 2);
  CHECK(holds(tokens[0], text_octets("host/left@TEST")));
  CHECK(holds(tokens[1], text_octets("host/right@TEST")));
  // Who the peer is comes from the context.
  CHECK(std::ranges::any_of(w.left().events, [](const Event& e) { return contains(e.text, "host/right@TEST"); }));
}

namespace {

// Message 1 of a `method`, whose GSS-API name has `name_len` characters (0: the attribute is left out), with vendor IDs.
Bytes stranger1(std::string_view method, std::uint64_t cookie, std::size_t name_len, const std::vector<Vendor>& vendors) {
  Setup s = side(method, true);
  const Config config = make_config(true, s);
  auto offer = mm_offer(*config.connections.front());
  for (Transform& t : offer.front().transforms) {
    if (name_len == 0) std::erase_if(t.attributes, is_gss_name);
    for (Attribute& a : t.attributes)
      if (is_gss_name(a)) a.value = build_gss_name(std::string(name_len, 'n'));
  }
  Header h;
  store_be64(h.cky_i.data(), cookie);
  h.exchange = Exchange::kMainMode;
  ChainBuilder chain;
  chain.add(PayloadType::kSa, build_sa(offer));
  for (Vendor v : vendors) chain.add(PayloadType::kVendorId, vendor_id(v));
  return clear_message(h, chain);
}

}  // namespace

TEST_CASE("ike/auth: by no method is message 2 longer than message 1, whatever names the ends have and vendor IDs were shown") {
  const std::vector<std::vector<Vendor>> shown = {
      {Vendor::kGssApi},
      {Vendor::kMicrosoft},
      {Vendor::kGssApiRacoon, Vendor::kDpd},
      {Vendor::kGssApi, Vendor::kGssApiLong, Vendor::kRfc3947, Vendor::kFragmentation, Vendor::kDpd, Vendor::kEsplanade}};
  std::uint64_t cookie = 7000;
  for (std::string_view method : kMethods)
    for (const char* limits : {"", "cookie_threshold = 0\n"})
      for (std::size_t ours : {8u, 40u, 255u}) {
        Setup r = side(method, false);
        if (method == "gss") {
          r.principal = "host/" + std::string(ours - 7, 'r') + "@T";
          r.local = fmt::format("auth = \"gss\"\ngss_name = \"{}\"", r.principal);
        }
        r.ike_table = limits;
        World w(60, side(method, true), r);
        const Path path{{w.right().address, 500}, {w.left().address, 500}};
        std::size_t accepted = 0;
        for (const auto& vendors : shown)
          for (std::size_t theirs : {0u, 1u, 8u, 39u, 255u}) {
            const Bytes m = stranger1(method, ++cookie, theirs, vendors);
            std::size_t back = 0;
            w.right().engine->on_datagram(path, m, w.now());
            for (Output& o : w.right().engine->take_outputs())
              if (auto* d = std::get_if<SendDatagram>(&o)) {
                back += d->octets.size();
                accepted += d->octets[18] == static_cast<Byte>(Exchange::kMainMode);
              }
            CAPTURE(method);
            CAPTURE(ours);
            CAPTURE(theirs);
            CHECK(back > 0);
            CHECK(back <= m.size());
          }
        CHECK(accepted >= 10);  // the others are asked for a cookie
      }
}

TEST_CASE("ike/auth: a long GSS-API name crowds vendor IDs into message 4, a very long one is left to policy; both come up") {
  for (const std::size_t len : {20u, 45u, 70u, 250u}) {
    CAPTURE(len);
    Setup r = gss_side(false);
    r.principal = "host/" + std::string(len - 10, 'r') + "@TEST";
    r.local = fmt::format("auth = \"gss\"\ngss_name = \"{}\"", r.principal);
    World w(61, starting(gss_side(true, fmt::format("\"{}\"", r.principal))), r);
    std::size_t in_2 = 0, in_4 = 0, length_1 = 0;
    bool named = false;
    w.tap = [&](const Node& from, Bytes& octets) {
      if (!is_main_mode(octets) || is_encrypted(octets)) return true;
      const Payloads payloads = payloads_of(octets);
      const auto* sa = find(payloads, PayloadType::kSa);
      if (from.name == "left") {
        if (sa != nullptr) length_1 = octets.size();
        return true;
      }
      (sa != nullptr ? in_2 : in_4) += count(payloads, PayloadType::kVendorId);
      if (sa != nullptr) {
        CHECK(octets.size() <= length_1);
        named = std::ranges::any_of(parse_sa(sa->body)->at(0).transforms.at(0).attributes, is_gss_name);
      }
      return true;
    };
    w.start();
    CHECK(w.run(5s, [&] { return w.up(); }));
    CHECK(named == (len < 250));
    CHECK(in_2 + in_4 == 5);
    CHECK((in_4 > 0) == (len == 45 || len == 70));
    CHECK(mm_of(w.left()).peer_dpd);
    CHECK(mm_of(w.left()).peer_fragments);
    CHECK(mm_of(w.left()).peer_keyd);
  }
  // Who has only patterns to go by asks nobody for a ticket.
  Setup r = gss_side(false);
  r.principal = "host/" + std::string(240, 'r') + "@TEST";
  r.local = fmt::format("auth = \"gss\"\ngss_name = \"{}\"", r.principal);
  World w(62, starting(gss_side(true)), r);
  w.start();
  w.run(60s);
  check_nothing(w);
  CHECK(w.left().holder.asked[2] == 0);
}

TEST_CASE("[R63] a transform that lacks one of the four mandatory attributes is passed over") {
  for (int missing : {1, 2, 3, 4}) {
    CAPTURE(missing);
    for (bool alone : {true, false}) {
      CAPTURE(alone);
      Setup s = side("psk", true);
      if (!alone) s.extra = "";
      Setup l = s;
      if (!alone) l.ike = "3des-sha1-modp768\", \"3des-md5-modp768";
      Setup r = l;
      World w(6, starting(l), r);
      Told told;
      std::size_t reply = 0;
      w.tap = [&](const Node& from, Bytes& octets) {
        if (from.name == "right") {
          told.note(octets);
          if (is_main_mode(octets) && reply == 0) {
            const Payloads payloads = payloads_of(octets);
            reply = parse_sa(find(payloads, PayloadType::kSa)->body)->at(0).transforms.at(0).number;
          }
          return true;
        }
        if (!is_main_mode(octets) || is_encrypted(octets)) return true;
        const Payloads payloads = payloads_of(octets);
        const RawPayload* p = find(payloads, PayloadType::kSa);
        if (p == nullptr) return true;
        auto sa = *parse_sa(p->body);
        std::erase_if(sa[0].transforms[0].attributes, [&](const Attribute& a) { return a.type == missing; });
        octets = with_body(octets, PayloadType::kSa, build_sa(sa));
        return true;
      };
      w.start();
      w.run(500ms);
      if (alone) {
        CHECK(reply == 0);
        CHECK(told.clear == std::vector<std::uint16_t>{14});
        CHECK(w.right().engine->num_main_modes() == 0);
      } else {
        CHECK(reply == 2);
      }
    }
  }
}

TEST_CASE("[R72] a wrong key, a foreign authority and a bad ticket leave no SA, and quick mode is not taken") {
  const Identity impostor = make_certificate(authority_spec("O=Test, CN=Root"));
  const Identity fake_left = make_certificate(peer_spec("C=CH, O=Test, CN=left", {"DNS:left.example"}), &impostor);
  for (const char* method : kMethods) {
    CAPTURE(method);
    Setup l = side(method, true), r = side(method, false);
    if (method[1] == 'u') l = pki().side(fake_left);
    l.psk = "wrong";
    World w(7, starting(l), r);
    if (method[0] == 'g')
      w.left().holder.tap = [](const CredentialRequest& q, Result<Credential>& out) {
        if (std::holds_alternative<GssStep>(q.what)) out->octets.reveal_mutable()[0] = 0x61;
      };
    w.tap = [&](const Node& from, Bytes& octets) {
      if (from.name == "left" && is_main_mode(octets)) {
        Bytes quick = octets;
        quick[18] = static_cast<Byte>(Exchange::kQuickMode);
        quick[19] |= kFlagEncryption;
        quick[23] = 7;
        w.inject(w.right(), quick);
      }
      return true;
    };
    w.start();
    w.run(9s);
    check_nothing(w);
    CHECK(w.right().engine->counters().unknown_sa >= 3);
    CHECK(failure(w.right()) != "");
    w.tap = nullptr;
    w.run(1s);
    CHECK(w.right().engine->num_main_modes() == 0);
  }
}

TEST_CASE("[R74] HASH covers the whole identity payload: type, protocol, port and data") {
  const Bytes g(96, 1), skeyid(20, 2), sai(40, 3);
  const Bytes id = build_id(Id{IdType::kFqdn, 17, 500, {'a', 'b', 'c'}});
  const Bytes whole = auth_hash(kMmSha1, skeyid, g, g, {1}, {2}, sai, id);
  for (std::size_t at = 0; at < id.size(); ++at) {
    Bytes other = id;
    other[at] ^= 1;
    CHECK(auth_hash(kMmSha1, skeyid, g, g, {1}, {2}, sai, other) != whole);
  }
  // And both ends hash what was sent: a peer whose HASH is for another port of the same name fails.
  for (const char* method : kMethods) {
    CAPTURE(method);
    Setup l = side(method, true);
    World good(8, starting(l), side(method, false));
    good.start();
    CHECK(good.run(5s, [&] { return good.up(); }));
  }
}

TEST_CASE("[R75] a changed bit in any block of messages 5 and 6 fails, whatever the method") {
  for (const char* method : kMethods)
    for (const char* sender : {"left", "right"}) {
      CAPTURE(method);
      CAPTURE(sender);
      std::size_t blocks = 1;
      for (std::size_t block = 0; block < blocks; block += method[1] == 'u' ? 5 : 1) {
        CAPTURE(block);
        World w(9, starting(side(method, true)), side(method, false));
        bool done = false;
        w.tap = [&](const Node& from, Bytes& octets) {
          if (from.name != sender || !is_main_mode(octets) || !is_encrypted(octets)) return true;
          // INITIAL-CONTACT at the end of messages 5 and 6 is not part of what HASH and SIG prove.
          blocks = (octets.size() - kHeaderLen - (28 + 8)) / 8;
          octets[kHeaderLen + 8 * block + 3] ^= 0x10;
          done = true;
          return true;
        };
        w.start();
        w.run(9s);
        CHECK(done);
        const Node& victim = sender[0] == 'l' ? w.right() : w.left();
        CHECK(victim.engine->counters().main_modes == 0);
        CHECK(victim.engine->counters().bad_crypto >= 1);
        CHECK(w.left().sas.empty());
        CHECK(w.right().sas.empty());
      }
      CHECK(blocks >= 3);
    }
}

TEST_CASE("[R76] message 1 offers the suites in order of preference, [R78] the answer repeats one or declines") {
  Setup l = side("psk", true), r = l;
  l.ike = "3des-sha1-modp2048\", \"3des-md5-modp1024\", \"des-sha1-modp768";
  r.ike = "des-sha1-modp768\", \"3des-md5-modp1024";
  World w(10, starting(l), r);
  std::vector<Proposal> offer, reply;
  w.tap = [&](const Node& from, Bytes& octets) {
    if (!is_main_mode(octets) || is_encrypted(octets)) return true;
    const Payloads payloads = payloads_of(octets);
    if (auto* p = find(payloads, PayloadType::kSa)) (from.name == "left" ? offer : reply) = *parse_sa(p->body);
    return true;
  };
  w.start();
  CHECK(w.run(5s, [&] { return w.up(); }));
  REQUIRE(offer.size() == 1);
  REQUIRE(offer[0].transforms.size() == 3);
  REQUIRE(reply.size() == 1);
  REQUIRE(reply[0].transforms.size() == 1);
  CHECK(reply[0].transforms[0].number == 2);  // the initiator's preference
  CHECK(reply[0].transforms[0].attributes == offer[0].transforms[1].attributes);
  Setup other = side("psk", false);
  other.ike = "des-md5-modp1024";
  World declined(11, starting(l), other);
  Told told;
  declined.tap = [&](const Node& from, Bytes& octets) {
    if (from.name == "right") told.note(octets);
    return true;
  };
  declined.start();
  declined.run(500ms);
  CHECK(told.clear == std::vector<std::uint16_t>{14});
}

TEST_CASE("[R77] an answer that differs from every offered transform gets no message 3") {
  struct Change {
    const char* name;
    std::function<void(std::vector<Proposal>&)> apply;
    bool accepted;
  };
  const Change changes[] = {
      {"none", [](auto&) {}, true},
      {"attribute value", [](auto& sa) { sa[0].transforms[0].attributes[0].value[1] = 1; }, false},
      {"attribute added", [](auto& sa) { sa[0].transforms[0].attributes.push_back({13, true, {0, 1}}); }, false},
      {"GSS name added", [](auto& sa) { sa[0].transforms[0].attributes.push_back({16384, false, {'x', 0}}); }, false},
      {"attribute removed", [](auto& sa) { sa[0].transforms[0].attributes.pop_back(); }, false},
      {"attribute twice", [](auto& sa) { sa[0].transforms[0].attributes.push_back(sa[0].transforms[0].attributes[0]); }, false},
      {"transform number", [](auto& sa) { sa[0].transforms[0].number = 9; }, false},
      {"proposal number", [](auto& sa) { sa[0].number = 2; }, false},
      {"two transforms", [](auto& sa) { sa[0].transforms.push_back(sa[0].transforms[0]); }, false},
      {"two proposals", [](auto& sa) { sa.push_back(sa[0]); }, false},
      {"method", [](auto& sa) { sa[0].transforms[0].attributes[3].value[1] = 3; }, false},
  };
  for (const Change& change : changes) {
    CAPTURE(change.name);
    World w(12, starting(side("psk", true)), side("psk", false));
    int message3 = 0;
    w.tap = [&](const Node& from, Bytes& octets) {
      if (!is_main_mode(octets) || is_encrypted(octets)) return true;
      const Payloads payloads = payloads_of(octets);
      if (from.name == "left" && find(payloads, PayloadType::kKe) != nullptr) ++message3;
      if (const RawPayload* p = find(payloads, PayloadType::kSa); p != nullptr && from.name == "right") {
        auto sa = *parse_sa(p->body);
        change.apply(sa);
        octets = with_body(octets, PayloadType::kSa, build_sa(sa));
      }
      return true;
    };
    w.start();
    w.run(60s);
    CHECK((message3 > 0) == change.accepted);
    CHECK((w.left().engine->counters().main_modes == 1) == change.accepted);
    if (!change.accepted) CHECK(failure(w.left()) != "");
  }
}

TEST_CASE("[R121] errors of the first two round trips are told in clear, those of the third protected") {
  Setup l = side("pubkey", true), r = side("pubkey", false);
  r.ike = "des-md5-modp768";
  World refused(13, starting(l), r);
  Told told;
  refused.tap = [&](const Node& from, Bytes& octets) {
    if (from.name == "right") told.note(octets);
    return true;
  };
  refused.start();
  refused.run(500ms);
  CHECK(told.clear == std::vector<std::uint16_t>{14});
  CHECK(told.protected_ones == 0);

  for (const char* method : {"gss", "pubkey"}) {
    CAPTURE(method);
    World w(14, starting(side(method, true)), side(method, false));
    w.left().holder.tap = [](const CredentialRequest& q, Result<Credential>& out) {
      if (std::holds_alternative<GssWrap>(q.what)) out->octets.reveal_mutable()[4] ^= 1;
      if (std::holds_alternative<RsaSign>(q.what)) out->octets.reveal_mutable()[4] ^= 1;
    };
    Told failed;
    w.tap = [&](const Node& from, Bytes& octets) {
      if (from.name == "right") failed.note(octets);
      return true;
    };
    w.start();
    CHECK(w.run(8s, [&] { return failure(w.left()) != ""; }));
    CHECK(failed.clear.empty());
    CHECK(failed.protected_ones == 1);
    // The initiator could read it, and need not wait for its time-out.
    CHECK(failure(w.left()) == (method[0] == 'g' ? "the peer refused: AUTHENTICATION-FAILED" : "the peer refused: INVALID-SIGNATURE"));
    check_nothing(w);
  }
}

TEST_CASE("ike/auth: an initiator that does not believe message 6 tells the responder, which forgets the SA") {
  Setup l = pki().side(pki().left, "", "id = \"other.example\"");
  World w(15, starting(l), side("pubkey", false));
  w.start();
  CHECK(w.run(9s, [&] { return failure(w.left()) != ""; }));
  CHECK(contains(failure(w.left()), "is not the configured one"));
  w.run(100ms);
  CHECK(w.left().engine->counters().main_modes == 0);
  CHECK(w.right().engine->num_main_modes() == 0);
  CHECK(w.right().sas.empty());
}

TEST_CASE("ike/auth: every kind of identity that a certificate has is proved by it") {
  for (const char* id : {"left.example", "LEFT.example", "l@left.example", "192.0.2.1", "C=CH, O=Test, CN=left"}) {
    CAPTURE(id);
    Setup l = pki().side(pki().left, fmt::format("id = \"{}\"", id));
    Setup r = pki().side(pki().right, "", fmt::format("id = \"{}\"", id));
    World w(16, starting(l), r);
    w.start();
    CHECK(w.run(5s, [&] { return w.up(); }));
  }
  // Without a configured identity the subject is ours, and any of the peer's that is proved will do.
  World w(17, starting(side("pubkey", true)), side("pubkey", false));
  w.start();
  CHECK(w.run(5s, [&] { return w.up(); }));
  CHECK(std::ranges::any_of(w.right().events, [](const Event& e) { return contains(e.text, "C=CH, O=Test, CN=left"); }));
}

TEST_CASE("ike/auth: an identity that the certificate has not, or of a confused type, is refused") {
  auto text = [](std::string_view t) { return Bytes(t.begin(), t.end()); };
  const Id ids[] = {
      {IdType::kFqdn, 0, 0, text("right.example")},      // another's name
      {IdType::kUserFqdn, 0, 0, text("left.example")},   // a dNSName as rfc822Name
      {IdType::kFqdn, 0, 0, text("l@left.example")},     // and the reverse
      {IdType::kKeyId, 0, 0, text("left.example")},      // certificates say nothing of key IDs
      {IdType::kDerDn, 0, 0, text("left.example")},      // not DER
      {IdType::kDerDn, 0, 0, *crypto::name_from_text("CN=left")},
      {IdType::kDerGn, 0, 0, *crypto::name_from_text("C=CH, O=Test, CN=left")},
      {IdType::kIpv4Addr, 0, 0, {192, 0, 2, 9}},
      {IdType::kIpv4Addr, 0, 0, {192, 0, 2}},             // wrong length
      {IdType::kIpv4Subnet, 0, 0, {192, 0, 2, 1, 255, 255, 255, 255}},
      {IdType::kIpv6Addr, 0, 0, {192, 0, 2, 1}},
      {IdType::kFqdn, 0, 0, {}},
      {IdType::kFqdn, 6, 500, text("left.example")},      // RFC 2407 s4.6.2: UDP 500 or nothing
      {IdType::kFqdn, 17, 80, text("left.example")},
      {static_cast<IdType>(0), 0, 0, text("left.example")},
      {static_cast<IdType>(250), 0, 0, text("left.example")},
  };
  for (const Id& id : ids) {
    CAPTURE(&id - ids);
    Setup l = side("pubkey", true);
    l.tweak = [&](Connection& c) { c.local_id = id; };
    World w(18, starting(l), side("pubkey", false));
    w.start();
    w.run(9s);
    check_nothing(w);
    CHECK(contains(failure(w.left()), "INVALID-ID-INFORMATION"));
  }
  Setup fine = side("pubkey", true);
  fine.tweak = [&](Connection& c) { c.local_id = {IdType::kFqdn, 17, 500, text("left.example")}; };
  World w(19, starting(fine), side("pubkey", false));
  w.start();
  CHECK(w.run(5s, [&] { return w.up(); }));
}

TEST_CASE("ike/auth: certificates that are revoked, expired, weak or of another authority are refused by name") {
  CertificateSpec old = peer_spec("C=CH, O=Test, CN=old", {});
  old.not_after = kWallClock - 10;
  CertificateSpec weak = peer_spec("C=CH, O=Test, CN=weak", {});
  weak.bits = 768;
  const Identity impostor = make_certificate(authority_spec("O=Evil, CN=Root"));
  struct {
    Identity who;
    const char* told;
  } const cases[] = {
      {pki().left, "INVALID-CERTIFICATE"},  // revoked below
      {pki().make(old), "INVALID-CERTIFICATE"},
      {pki().make(weak), "INVALID-CERTIFICATE"},
      {make_certificate(peer_spec("C=CH, O=Test, CN=left", {}), &impostor), "INVALID-CERT-AUTHORITY"},
  };
  const Bytes crl = make_crl(pki().ca, {pki().left.certificate}, kWallClock - 1000, kWallClock + 1000);
  for (const auto& c : cases) {
    CAPTURE(c.told);
    Setup r = pki().side(pki().right, "", fmt::format("crls = \"{}\"", pki().file({crl}, "X509 CRL")));
    World w(20, starting(pki().side(c.who)), r);
    if (&c == &cases[2])
      w.left().holder.tap = [](const CredentialRequest&, Result<Credential>& out) { out = Credential{Secret(Bytes(96, 1)), true, ""}; };
    w.start();
    w.run(9s);
    check_nothing(w);
    CHECK(contains(failure(w.left()), c.told));
  }
}

TEST_CASE("ike/auth: intermediates sent with the certificate complete its chain; a pinned peer needs none") {
  const Identity middle = make_certificate(authority_spec("O=Test, CN=Middle"), &pki().ca);
  const Identity leaf = make_certificate(peer_spec("C=CH, O=Test, CN=leaf", {"DNS:leaf.example"}), &middle);
  World with(21, starting(pki().side(leaf, "", "", {middle.certificate})), side("pubkey", false));
  with.start();
  CHECK(with.run(5s, [&] { return with.up(); }));
  World without(22, starting(pki().side(leaf)), side("pubkey", false));
  without.start();
  without.run(9s);
  check_nothing(without);

  Setup r = side("pubkey", false);
  r.remote = fmt::format("auth = \"pubkey\"\ncerts = \"{}\"", pki().file({leaf.certificate}));
  World pinned(23, starting(pki().side(leaf)), r);
  pinned.start();
  CHECK(pinned.run(5s, [&] { return pinned.up(); }));
  Setup silent = pki().side(leaf);
  silent.tweak = [](Connection& c) { c.certs.resize(1); };
  World other(24, starting(side("pubkey", true)), r);
  other.start();
  other.run(9s);
  check_nothing(other);
}

namespace {
std::string responder_connection(const char* name, const Setup& s) {
  return fmt::format(R"(
[connections.{0}]
local_addrs = "192.0.2.2"
remote_addrs = "%any"
proposals = "3des-sha1-modp768"
[connections.{0}.local]
{1}
[connections.{0}.remote]
{2}
[connections.{0}.children.net]
local_ts = "10.2.0.0/16"
remote_ts = "10.1.0.0/16"
esp_proposals = "3des-sha1"
reqid = 7
start_action = "none"
)",
                     name, s.local, s.remote);
}
}  // namespace

TEST_CASE("[R54] a responder takes peers at any address by group secret, certificate or Kerberos, and picks the method "
          "by the offer") {
  const Setup cert = side("pubkey", false), gss = side("gss", false);
  Setup r = side("psk", false);
  r.peer = "%any";
  r.keys = cert.keys;
  r.principal = gss.principal;
  r.more = responder_connection("cert", cert) + responder_connection("kerberos", gss);
  for (const char* method : kMethods) {
    CAPTURE(method);
    World w(25, starting(side(method, true)), r);
    w.start();
    CHECK(w.run(5s, [&] { return w.up(); }));
    const char* name = method[0] == 'g' ? "kerberos" : method[1] == 'u' ? "cert" : "peer";
    CHECK(std::ranges::any_of(w.right().events, [&](const Event& e) { return e.connection == name; }));
  }
}

TEST_CASE("ike/auth: among connections with certificates the peer's identity decides, and its authority counts for that one alone") {
  const Identity other_ca = make_certificate(authority_spec("O=Other, CN=Root"));
  const Identity guest = make_certificate(peer_spec("O=Other, CN=guest", {"DNS:guest.example"}), &other_ca);
  Setup r = pki().side(pki().right, "", "id = \"nobody.example\"");
  r.peer = "%any";
  r.more = responder_connection("left", pki().side(pki().right, "", "id = \"left.example\"")) +
           responder_connection("guests", pki().side(pki().right, "", "", {}, {other_ca.certificate}));
  auto run = [&](const Identity& who, const char* id) -> std::string {
    Setup l = pki().side(who, fmt::format("id = \"{}\"", id));
    World w(42, starting(l), r);
    w.start();
    if (!w.run(9s, [&] { return w.up(); })) return "";
    for (const Event& e : w.right().events)
      if (e.kind == Event::Kind::kMainModeUp) return e.connection;
    return "";
  };
  CHECK(run(pki().left, "left.example") == "left");
  CHECK(run(guest, "guest.example") == "guests");
  CHECK(run(pki().left, "192.0.2.1") == "");  // not of the guests' authority
  // The guests' authority may not speak for "left".
  const Identity fake = make_certificate(peer_spec("O=Other, CN=left", {"DNS:left.example"}), &other_ca);
  CHECK(run(fake, "left.example") == "guests");
}

TEST_CASE("ike/auth: certificates may come as PKCS #7; other encodings, too many and none are refused") {
  // Message 6 as an initiator checks it, built by hand.
  MmSa mm;
  auto c = std::make_shared<Connection>(*make_config(true, side("pubkey", true)).connections.front());
  mm.connection = c;
  mm.suite = {kMmTripleDesCbc, kMmSha1, 1};
  mm.keys.skeyid = Secret(Bytes(20, 1));
  AuthState::Claim claim;
  claim.id_b = build_id(Id{IdType::kFqdn, 0, 0, Bytes{'r', 'i', 'g', 'h', 't', '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e'}});
  const std::string& pem = pki().right.key_pem;
  auto key = crypto::PrivateKey::from_pem(text_octets(pem));
  REQUIRE(key);
  const Bytes signature = *key->sign_raw(hash_of(mm, false, claim.id_b));
  auto verdict = [&](const std::vector<std::pair<int, Bytes>>& certificates) -> std::string {
    ChainBuilder chain;
    for (const auto& [encoding, der] : certificates) {
      Bytes body{static_cast<Byte>(encoding)};
      body.insert(body.end(), der.begin(), der.end());
      chain.add(PayloadType::kCert, body);
    }
    chain.add(PayloadType::kSignature, signature);
    auto payloads = split_payloads(chain.first(), chain.octets(), false);
    REQUIRE(payloads);
    auto proved = authenticator(AuthMethod::kPubkey).check_proof(mm, claim, *payloads, kWallClock);
    if (!proved) return proved.error().detail;
    REQUIRE(*proved);
    return to_string(**proved);
  };
  const Bytes& right = pki().right.certificate;
  CHECK(verdict({{4, right}}) == "right.example");
  CHECK(verdict({{1, crypto::testing::make_pkcs7({pki().ca.certificate, right})}}) == "right.example");
  CHECK(verdict({{4, pki().ca.certificate}, {4, right}}) == "right.example");  // whatever the order
  CHECK(verdict({{4, Bytes{1, 2, 3}}, {4, right}}) == "right.example");
  CHECK(verdict({{9, right}, {4, right}}) == "right.example");
  CHECK(contains(verdict({{9, right}}), "certificate encoding 9"));
  CHECK(contains(verdict({{4, pki().left.certificate}}), "no certificate of the peer is for right.example"));
  CHECK(contains(verdict({}), "sent no certificate"));
  CHECK(verdict({{4, {}}}) != "right.example");
  CHECK(contains(verdict({{1, right}}), "PKCS #7"));
  CHECK(contains(verdict(std::vector<std::pair<int, Bytes>>(9, {4, right})), "more than 8"));
  CHECK(contains(verdict({{1, crypto::testing::make_pkcs7({right, pki().ca.certificate, pki().left.certificate})},
                          {4, right}, {4, right}, {4, right}, {4, right}, {4, right}, {4, right}}),
                 "more than 8"));
  // The same message under a pinned certificate that it does not carry.
  auto pinned = std::make_shared<Connection>(*c);
  pinned->remote_certs = {*crypto::Certificate::parse(right)};
  mm.connection = pinned;
  CHECK(verdict({}) == "right.example");
}

TEST_CASE("ike/auth: method 65001 of a peer without a vendor ID for GSS-API is XAUTH's, and refused") {
  World w(26, starting(gss_side(true)), gss_side(false));
  Told told;
  w.tap = [&](const Node& from, Bytes& octets) {
    if (from.name == "right") told.note(octets);
    if (from.name == "right" || !is_main_mode(octets)) return true;
    auto header = parse_header(octets);
    ChainBuilder chain;
    for (const RawPayload& p : payloads_of(octets))
      if (p.type != PayloadType::kVendorId || vendor_of(p.body) == Vendor::kRfc3947) chain.add(p.type, p.body);
    octets = clear_message(*header, chain);
    return true;
  };
  w.start();
  w.run(500ms);
  CHECK(w.right().engine->num_main_modes() == 0);
  CHECK(told.clear == std::vector<std::uint16_t>{14});
  // The same towards an initiator.
  World v(27, starting(gss_side(true)), gss_side(false));
  v.tap = [&](const Node& from, Bytes& octets) {
    if (from.name == "left" || !is_main_mode(octets) || is_encrypted(octets)) return true;
    auto header = parse_header(octets);
    ChainBuilder chain;
    for (const RawPayload& p : payloads_of(octets))
      if (p.type != PayloadType::kVendorId) chain.add(p.type, p.body);
    octets = clear_message(*header, chain);
    return true;
  };
  v.start();
  v.run(500ms);
  CHECK(v.left().holder.asked[2] == 0);
}

TEST_CASE("ike/auth: contexts of any number of tokens complete, and are ended at the holder") {
  for (std::size_t tokens = 2; tokens <= 7; ++tokens) {
    CAPTURE(tokens);
    World w(28, starting(gss_side(true)), gss_side(false), {0.15, 0.1, 0, 1ms, 30ms, tokens % 2 == 0});
    w.left().holder.gss_tokens = w.right().holder.gss_tokens = tokens;
    w.start();
    CHECK(w.run(300s, [&] { return w.up(); }));
    w.run(61s);
    CHECK(w.left().holder.contexts.empty());
    CHECK(w.right().holder.contexts.empty());
  }
  World endless(29, starting(gss_side(true)), gss_side(false));
  endless.left().holder.gss_tokens = endless.right().holder.gss_tokens = 200;
  endless.start();
  endless.run(9s);
  check_nothing(endless);
  endless.run(120s);
  CHECK(endless.right().engine->num_main_modes() <= 1);
}

TEST_CASE("ike/auth: a GSS peer whom policy does not name is refused, as is a context that proves one end only") {
  struct {
    const char* allowed;
    const char* principal;
    bool up;
  } const cases[] = {
      {"\"host/*@TEST\"", "host/left@TEST", true},        {"\"host/left@TEST\"", "host/left@TEST", true},
      {"\"*@TEST\"", "host/left@TEST", true},             {"\"host/*@TEST\"", "host/left@EVIL", false},
      {"\"host/*@TEST\"", "host/left@EVIL@TEST", false},  {"\"host/*@TEST\"", "user@TEST", false},
      {"\"host/right@TEST\"", "host/left@TEST", false},   {"\"*@TEST\"", "", false},
  };
  for (const auto& c : cases) {
    CAPTURE(c.allowed);
    CAPTURE(c.principal);
    World w(30, starting(gss_side(true)), gss_side(false, c.allowed));
    w.left().holder.principal = c.principal;
    w.start();
    CHECK(w.run(5s, [&] { return w.up(); }) == c.up);
    if (!c.up) {
      CHECK(contains(failure(w.right()), "gss_name does not allow"));
      CHECK(w.right().holder.contexts.empty());
    }
  }
  // The responder names itself in message 2: nobody is asked for a ticket to somebody else.
  World named(31, starting(gss_side(true, "\"host/gw@TEST\"")), gss_side(false));
  named.start();
  named.run(60s);
  check_nothing(named);
  CHECK(named.left().holder.asked[2] == 0);
  // Complete at once: no token of the peer was seen (initiator), or none goes back (responder).
  for (bool left : {true, false}) {
    World w(32, starting(gss_side(true)), gss_side(false));
    Node& n = left ? w.left() : w.right();
    n.holder.tap = [left](const CredentialRequest& q, Result<Credential>& out) {
      if (!std::holds_alternative<GssStep>(q.what)) return;
      out->complete = true;
      out->peer = "host/right@TEST";
      if (!left) out->octets = Secret();
    };
    w.start();
    w.run(9s);
    check_nothing(w);
    CHECK(contains(failure(n), "without mutual authentication"));
  }
}

TEST_CASE("ike/auth: empty, missing, oversized and foreign GSS tokens are refused without asking the holder") {
  auto with_gss = [](const Bytes& body, bool drop) {
    World w(33, starting(gss_side(true)), gss_side(false));
    w.tap = [&](const Node& from, Bytes& octets) {
      if (from.name == "right" || !is_main_mode(octets) || is_encrypted(octets)) return true;
      const Payloads payloads = payloads_of(octets);
      if (find(payloads, PayloadType::kGss) == nullptr) return true;
      if (!drop) {
        octets = with_body(octets, PayloadType::kGss, body);
        return true;
      }
      ChainBuilder chain;
      for (const RawPayload& p : payloads)
        if (p.type != PayloadType::kGss) chain.add(p.type, p.body);
      octets = clear_message(*parse_header(octets), chain);
      return true;
    };
    w.start();
    w.run(9s);
    check_nothing(w);
    return w.right().holder.asked[2];
  };
  CHECK(with_gss({}, true) == 0);
  CHECK(with_gss({}, false) == 0);
  CHECK(with_gss({0}, false) == 0);
  CHECK(with_gss(Bytes(60000, 0x55), false) == 0);
  CHECK(with_gss({0, 0x60}, false) >= 1);  // the holder's business, which refuses it
  // With and without the vendor octet, and when the vendor octet itself looks like a token's start.
  const Bytes token{0x60, 0x03, 1, 2, 3};
  auto parse = [](Bytes b) { auto t = parse_gss(b); return t ? Bytes(t->begin(), t->end()) : Bytes(); };
  CHECK(parse(token) == token);
  CHECK(parse({0, 0x60, 0x03, 1, 2, 3}) == token);
  CHECK(parse({0x60, 0x60, 0x03, 1, 2, 3}) == token);
  CHECK(parse({7, 9, 9}) == Bytes{9, 9});
  CHECK_FALSE(parse_gss_name(Bytes{'a'}));
  CHECK_FALSE(parse_gss_name(Bytes{'a', 1}));
  CHECK_FALSE(parse_gss_name(Bytes{'\n', 0}));
  CHECK_FALSE(parse_gss_name(Bytes{}));
  CHECK_FALSE(parse_gss_name(Bytes(600, 'a')));
}

TEST_CASE("ike/auth: public values that are empty, short, long, 0, 1, p-1 or p are refused, and the true one still serves") {
  const Bytes p = crypto::prime(crypto::DhGroup::kModp768);
  Bytes p_minus_1 = p;
  p_minus_1.back() -= 1;
  Bytes one(96, 0);
  one.back() = 1;
  const Bytes bad[] = {{}, {2}, Bytes(95, 7), Bytes(97, 7), Bytes(128, 7), Bytes(96, 0), one, p_minus_1, p, Bytes(96, 0xff)};
  for (const Bytes& ke : bad)
    for (const char* sender : {"left", "right"}) {
      CAPTURE(&ke - bad);
      CAPTURE(sender);
      World w(34, starting(side("psk", true)), side("psk", false));
      Told told;
      bool forged = false;
      w.tap = [&](const Node& from, Bytes& octets) {
        told.note(octets);
        if (from.name != sender || !is_main_mode(octets) || is_encrypted(octets) || forged) return true;
        const Payloads payloads = payloads_of(octets);
        if (find(payloads, PayloadType::kKe) == nullptr) return true;
        forged = true;
        w.inject(sender[0] == 'l' ? w.right() : w.left(), with_body(octets, PayloadType::kKe, ke));
        return true;
      };
      w.start();
      CHECK(w.run(5s, [&] { return w.up(); }));
      CHECK(told.clear == std::vector<std::uint16_t>{17});
    }
}

TEST_CASE("ike/auth: a slow holder is asked once for each thing, whatever comes meanwhile") {
  for (const char* method : kMethods) {
    CAPTURE(method);
    World w(35, starting(side(method, true)), side(method, false), {0, 0.5, 0, 1ms, 400ms, false});
    w.left().holder_delay = w.right().holder_delay = 2500ms;  // longer than the first retransmissions
    w.start();
    CHECK(w.run(60s, [&] { return w.up(); }));
    for (const Node* n : {&w.left(), &w.right()}) {
      const auto& asked = n->holder.asked;
      CHECK(asked[0] == (method[0] == 'p' && method[1] == 's' ? 1 : 0));
      CHECK(asked[1] == (method[1] == 'u' ? 1 : 0));
      CHECK(asked[3] == (method[0] == 'g' ? 1 : 0));
      CHECK(asked[4] == (method[0] == 'g' ? 1 : 0));
      CHECK(n->engine->counters().main_modes == 1);
    }
  }
}

TEST_CASE("ike/auth: when the holder says no, the negotiation ends with its reason at this end and a notify at the other") {
  for (const char* method : kMethods)
    for (bool left : {true, false}) {
      CAPTURE(method);
      CAPTURE(left);
      World w(36, starting(side(method, true)), side(method, false));
      (left ? w.left() : w.right()).holder.tap = [](const CredentialRequest& q, Result<Credential>& out) {
        if (!std::holds_alternative<GssEnd>(q.what)) out = Error{Errc::kBadAuth, "no credential today"};
      };
      w.start();
      w.run(9s);
      check_nothing(w);
      CHECK(failure(left ? w.left() : w.right()) == "no credential today");
      CHECK((left ? w.left() : w.right()).engine->num_main_modes() == 0);
      CHECK((left ? w.left() : w.right()).holder.contexts.empty());
    }
}

TEST_CASE("ike/auth: a holder that never answers costs one negotiation its time, and late answers find nobody") {
  World w(37, starting(side("psk", true)), side("psk", false));
  w.left().holder_delay = 100s;
  w.start();
  CHECK(w.run(70s, [&] { return failure(w.left()) != ""; }));
  CHECK(failure(w.left()) == "no answer from the holder of the secrets");
  CHECK(w.left().engine->num_main_modes() == 0);
  w.left().holder_delay = 0ms;
  CHECK(w.run(60s, [&] { return w.up(); }));
  w.run(200s);
  CHECK(w.left().engine->counters().main_modes == 1);
  // A ticket that nobody gave out, and one twice.
  w.left().engine->on_credential(999999, Credential{Secret(Bytes(20, 1)), true, ""}, w.now());
  w.left().engine->on_credential(0, Error{Errc::kBadAuth, "x"}, w.now());
  CHECK(w.up());
}

TEST_CASE("ike/auth: a SKEYID or signature of a wrong length from the holder ends the negotiation") {
  for (const char* method : {"psk", "pubkey"})
    for (std::size_t len : {0, 1, 19, 21}) {
      CAPTURE(method);
      CAPTURE(len);
      World w(38, starting(side(method, true)), side(method, false));
      w.right().holder.tap = [len](const CredentialRequest&, Result<Credential>& out) { out->octets = Secret(Bytes(len, 1)); };
      w.start();
      w.run(60s);
      CHECK(w.left().engine->counters().main_modes == 0);
      CHECK(w.right().sas.empty());
    }
}

TEST_CASE("ike/auth: strings of a peer reach events printable and bounded") {
  const std::string evil = "CN\n2026-01-01 error keyd: \x1b[2J\x7f\xff" + std::string(100, 'A');
  auto bytes = [](const std::string& t) { return Bytes(t.begin(), t.end()); };
  Setup l = side("psk", true);
  l.tweak = [&](Connection& c) { c.local_id = {IdType::kFqdn, 0, 0, bytes(evil + std::string(5000, 'B'))}; };
  World w(39, starting(l), side("psk", false));
  w.start();
  CHECK(w.run(5s, [&] { return w.up(); }));
  Setup g = gss_side(true);
  World v(40, starting(g), gss_side(false));
  v.left().holder.principal = evil;
  v.start();
  v.run(5s);
  CHECK(failure(v.right()) != "");
  CertificateSpec spec = peer_spec("C=CH, CN=" + evil.substr(0, 30), {});
  World x(41, starting(pki().side(make_certificate(spec))), side("pubkey", false));
  x.start();
  x.run(9s);
  CHECK(failure(x.right()) != "");
  for (World* world : {&w, &v, &x})
    for (const Event& e : world->right().events) {
      CHECK(e.text.size() < 700);
      CHECK(std::ranges::all_of(e.text, [](char c) { return c >= 0x20 && c < 0x7f; }));
    }
}

TEST_CASE("ike/auth: principals fit patterns without crossing into another realm") {
  CHECK(principal_fits("host/*@A", "host/x.y@A"));
  CHECK(principal_fits("*@A", "@A"));
  CHECK(principal_fits("h*t/*.b@A", "host/a.b@A"));
  CHECK_FALSE(principal_fits("host/*@A", "host/x@B@A"));
  CHECK_FALSE(principal_fits("host/*", "host/x@A"));
  CHECK_FALSE(principal_fits("host/x@A", "host/x@A "));
  CHECK_FALSE(principal_fits("", "x"));
  CHECK_FALSE(principal_fits("host/*@A", ""));
  CHECK_FALSE(principal_fits(std::string(120, '*') + "b", std::string(250, 'a')));
}
