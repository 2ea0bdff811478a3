// Classes of attack that other IKE daemons fell to, and for each the honest message that must still pass: what the
// other files of tests do not show. docs/keyd.md has the table.
#include "dress.h"
#include "keyd/wire/payload_sa.h"

using namespace esplanade;
using namespace esplanade::ike;
using namespace esplanade::ike::test;
using namespace std::chrono_literals;

namespace {

Setup with_pfs(Setup s) {
  s.child_extra = "pfs = true\n";
  return s;
}

bool is_clear_main_mode(const Bytes& octets) {
  return octets[18] == static_cast<Byte>(Exchange::kMainMode) && (octets[19] & kFlagEncryption) == 0;
}

// Message 1 of a quick mode by a peer that knows the keys.
struct Quick {
  std::optional<Bytes> ke;
  std::optional<Bytes> nonce = Bytes(20, 7);
  std::vector<Bytes> ids;
  std::uint16_t group = 0;
};
Bytes quick1(const MmSa& mm, std::uint32_t id, const Quick& q) {
  const ChildConfig& child = mm.connection->children.front();
  ChainBuilder c;
  c.add(PayloadType::kSa, build_sa(qm_offer(child, {0x7000 + id, 0}, Encap::kPlain, q.group)));
  if (q.nonce) c.add(PayloadType::kNonce, *q.nonce);
  if (q.ke) c.add(PayloadType::kKe, *q.ke);
  for (const Bytes& body : q.ids) c.add(PayloadType::kId, body);
  return phase2(mm, Exchange::kQuickMode, id, c);
}
std::vector<Bytes> true_ids(const MmSa& mm) {
  const ChildConfig& child = mm.connection->children.front();
  return {build_id(id_from_selector(*child.local_ts)), build_id(id_from_selector(*child.remote_ts))};
}

}  // namespace

TEST_CASE("ike/attack: a payload of main mode without content, whichever it is, gives no SA; the next honest attempt does") {
  // Which payload of which message in clear: the walk ends when there are no more.
  std::size_t emptied = 0;
  for (std::size_t message = 0; message < 4; ++message)
    for (std::size_t which = 0; which < 12; ++which) {
      CAPTURE(message);
      CAPTURE(which);
      World w(90, fast_start(), fast());
      std::size_t seen = 0;
      std::optional<PayloadType> type;
      w.tap = [&](const Node&, Bytes& octets) {
        if (!is_clear_main_mode(octets) || seen++ != message) return true;
        const auto h = parse_header(octets);
        const auto payloads = split_payloads(h->next, ByteView(octets).subspan(kHeaderLen), false);
        REQUIRE(payloads);
        if (which >= payloads->size()) return true;
        ChainBuilder chain;
        for (std::size_t i = 0; i < payloads->size(); ++i)
          chain.add((*payloads)[i].type, i == which ? ByteView() : (*payloads)[i].body);
        type = (*payloads)[which].type;
        octets = clear_message(*h, chain);
        return true;
      };
      w.start();
      const bool at_once = w.run(900ms, [&] { return w.up(); });
      if (!type) {
        CHECK(at_once);
        break;
      }
      ++emptied;
      const bool needed = *type == PayloadType::kSa || *type == PayloadType::kKe || *type == PayloadType::kNonce;
      if (needed) CHECK_FALSE(at_once);
      if (needed) CHECK(w.right().sas.empty());
      CHECK(w.run(60s, [&] { return w.up(); }));  // the true message, sent again
    }
  CHECK(emptied >= 12);
}

TEST_CASE("ike/attack: a key exchange of quick mode that is empty, short, long, 0, 1, p-1 or p gives no SA; a true one is answered") {
  World w(91, fast_start(with_pfs({})), fast(with_pfs({})));
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.run(1s);
  const MmSa& left = mm_of(w.left());
  const std::size_t before = w.right().sas.size();
  const Bytes p = crypto::prime(crypto::DhGroup::kModp768);
  Bytes p_minus_1 = p, one_(96, 0);
  p_minus_1.back() -= 1;
  one_.back() = 1;
  std::uint32_t id = 0x900;
  for (const Bytes& ke : {Bytes{}, Bytes{2}, Bytes(95, 7), Bytes(97, 7), Bytes(96, 0), one_, p_minus_1, p, Bytes(96, 0xff)}) {
    CAPTURE(id);
    w.inject(w.right(), quick1(left, ++id, {ke, Bytes(20, 7), true_ids(left), 1}));
    w.run(1s);
    CHECK(w.right().sas.size() == before);
    CHECK(w.up());
  }
  w.inject(w.right(), quick1(left, ++id, {std::nullopt, Bytes(20, 7), true_ids(left), 1}));  // none at all
  w.inject(w.right(), quick1(left, ++id, {Bytes(96, 7), Bytes(20, 7), true_ids(left), 0}));  // one without its group
  for (const Bytes& nonce : {Bytes{}, Bytes(7, 1), Bytes(257, 1)})
    w.inject(w.right(), quick1(left, ++id, {Bytes(96, 7), nonce, true_ids(left), 1}));
  w.run(1s);
  CHECK(w.right().sas.size() == before);
  const auto good = crypto::DhKey::generate(crypto::DhGroup::kModp768);
  const std::size_t under_way = w.right().engine->sizes().exchanges;
  w.inject(w.right(), quick1(left, ++id, {good->public_value(), Bytes(20, 7), true_ids(left), 1}));
  w.run(10ms);
  CHECK(w.right().engine->sizes().exchanges == under_way + 1);
  CHECK(w.right().sas.size() > before);  // the inbound SA stands before message 2 goes out
}

TEST_CASE("ike/attack: identities of quick mode with another type's octets are refused; the true ones are answered") {
  World w(92, fast_start(), fast());
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.run(1s);
  const MmSa& left = mm_of(w.left());
  const auto ids = true_ids(left);
  const std::size_t before = w.right().engine->sizes().exchanges;
  std::uint32_t id = 0xa00;
  for (int type = 0; type <= 255; ++type) {
    if (static_cast<Byte>(type) == ids[0][0]) continue;
    for (std::size_t end : {0u, 1u}) {  // a subnet's 8 octets under every other type; 7 is a range from net to mask
      auto other = ids;
      other[end][0] = static_cast<Byte>(type);
      w.inject(w.right(), quick1(left, ++id, {{}, Bytes(20, 7), other, 0}));
    }
  }
  auto bad = [&](Bytes body) { w.inject(w.right(), quick1(left, ++id, {{}, Bytes(20, 7), {ids[0], std::move(body)}, 0})); };
  bad({});
  bad({4, 0, 0});
  bad({4, 0, 0, 0});
  bad({4, 0, 0, 0, 10, 2, 0, 0, 255, 0, 255, 0});           // a mask with a hole
  bad({7, 0, 0, 0, 10, 2, 255, 255, 10, 2, 0, 0});          // a range from its end to its start
  bad({4, 0, 0, 0, 10, 2, 0, 0, 255, 255, 0, 0, 0});        // an octet more
  w.inject(w.right(), quick1(left, ++id, {{}, Bytes(20, 7), {ids[0]}, 0}));
  w.inject(w.right(), quick1(left, ++id, {{}, Bytes(20, 7), {ids[0], ids[1], ids[1]}, 0}));
  w.inject(w.right(), quick1(left, ++id, {{}, Bytes(20, 7), {ids[1], ids[0]}, 0}));
  CHECK(w.right().engine->sizes().exchanges == before);
  CHECK(w.up());
  w.inject(w.right(), quick1(left, ++id, {{}, Bytes(20, 7), ids, 0}));
  CHECK(w.right().engine->sizes().exchanges == before + 1);
}

TEST_CASE("ike/attack: notify and delete in one message, in either order: the delete counts once, a notify before it is answered") {
  for (const bool notify_first : {true, false}) {
    CAPTURE(notify_first);
    World w(93, fast_start(), fast());
    w.start();
    REQUIRE(w.run(5s, [&] { return w.up(); }));
    w.run(1s);
    const MmSa& left = mm_of(w.left());
    std::size_t acks = 0;
    w.tap = [&](const Node& from, Bytes&) {
      acks += from.name == "right";
      return true;
    };
    ChainBuilder c;
    if (notify_first) c.append(dpd_notify(left, NotifyType::kRUThere, 1));
    c.append(delete_of_mm(left));
    if (!notify_first) c.append(dpd_notify(left, NotifyType::kRUThere, 1));
    c.append(dpd_notify(left, NotifyType::kInitialContact, 0));
    c.append(delete_of_mm(left));
    w.inject(w.right(), phase2(left, Exchange::kInformational, 0xb100, c));
    CHECK(w.right().engine->num_main_modes() == 0);
    CHECK(w.right().engine->children().size() == 1);
    w.run(1s);
    CHECK(acks == (notify_first ? 1u : 0u));
    // The notify alone is answered, and takes nothing away.
    World honest(94, fast_start(), fast());
    honest.start();
    REQUIRE(honest.run(5s, [&] { return honest.up(); }));
    honest.run(1s);
    const std::uint64_t sent = honest.right().sent;
    const MmSa& mm = mm_of(honest.left());
    honest.inject(honest.right(), phase2(mm, Exchange::kInformational, 0xb101, dpd_notify(mm, NotifyType::kRUThere, 1)));
    CHECK(honest.right().sent == sent + 1);
    CHECK(honest.right().engine->num_main_modes() == 1);
  }
}

TEST_CASE("ike/attack: whatever a peer sends, each line of the log is one line of printable text; an honest name stands in it as it is") {
  std::vector<std::string> lines;
  log_observe([&](std::string_view line) { lines.emplace_back(line); });
  const std::string evil = "gw\n2026-01-01T00:00:00Z error keyd: \x1b[2J{}%n%s\x7f\xff\r" + std::string(3000, 'A');
  auto bytes = [](const std::string& t) { return Bytes(t.begin(), t.end()); };
  auto id_of_left = [&](const std::string& name) {
    Setup l = fast_start();
    l.tweak = [&, name](Connection& c) { c.local_id = {IdType::kFqdn, 0, 0, bytes(name)}; };
    return l;
  };
  // A name that is not the wanted one is told in the log.
  auto refused = [&](const std::string& name) {
    Setup r = fast();
    r.tweak = [&](Connection& c) { c.remote_id = Id{IdType::kFqdn, 0, 0, bytes("wanted.example")}; };
    World w(95, id_of_left(name), r);
    log_setup("test", LogLevel::kDebug);
    w.start();
    w.run(9s);
    CHECK(w.right().sas.empty());
  };
  auto logged = [&](std::string_view text) {
    return std::ranges::any_of(lines, [&](const std::string& l) { return l.find(text) != l.npos; });
  };
  refused("honest.example");
  CHECK(logged("identity honest.example is not"));
  refused(evil);
  CHECK(logged("identity gw\\x0a2026-01-01"));
  World w(96, id_of_left(evil), fast());
  log_setup("test", LogLevel::kDebug);
  w.start();
  CHECK(w.run(5s, [&] { return w.up(); }));
  w.run(1s);
  const std::size_t calm = lines.size();
  const MmSa& left = mm_of(w.left());
  std::uint32_t id = 0xd100;
  for (const NotifyType type : {NotifyType::kNoProposalChosen, NotifyType::kAuthenticationFailed, NotifyType::kInitialContact,
                                NotifyType::kConnected, static_cast<NotifyType>(0xfffe)}) {
    Notify n;
    n.protocol = 3;
    n.type = static_cast<std::uint16_t>(type);
    n.spi = bytes("\n\r\x1b[");
    n.data = bytes(evil);
    w.inject(w.right(), phase2(left, Exchange::kInformational, ++id, one(PayloadType::kNotify, build_notify(n))));
    w.inject(w.right(), clear_message(header_of(left, Exchange::kInformational, ++id), one(PayloadType::kNotify, build_notify(n))));
  }
  Bytes name{static_cast<Byte>(IdType::kFqdn), 0, 0, 0};
  put(name, bytes(evil));
  w.inject(w.right(), quick1(left, ++id, {{}, Bytes(20, 7), {name, name}, 0}));
  CHECK(lines.size() > calm);
  log_error("{}", evil.substr(0, 100));  // and were a name to get there raw
  log_observe({});
  for (const std::string& line : lines) {
    CHECK(line.size() < 700);
    CHECK(std::ranges::all_of(line, [](char c) { return c >= 0x20 && c < 0x7f; }));
  }
}
