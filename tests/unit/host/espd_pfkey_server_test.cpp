// The PF_KEY server and the SAD over the reference engine: what is asked, what is answered, what is held.
#include <doctest/doctest.h>
#include <linux/pfkeyv2.h>

#include <cerrno>

#include "common/pfkey/sa_message.h"
#include "host/espd/pfkey_server.h"
#include "test_policy.h"

using namespace esplanade;
using namespace esplanade::espd;
using pfkey::Message;
using pfkey::Type;

namespace {

Policy the_policy(UdpEncap udp_encap) {
  Policy p = protect("p", 7, "10.2.0.0/24", "10.1.0.0/24");
  p.udp_encap = udp_encap;
  return p;
}

constexpr ClientId kMe = 1;
constexpr ClientId kOther = 2;

struct World {
  World() {
    auto opened = host::open_backend({"soft", false});
    REQUIRE(opened);
    backend = std::move(*opened);
    sad.emplace(*backend, policies);
    server.emplace(*backend, *sad, counters,
                   PfkeyServer::Hooks{[this](std::uint32_t reqid) { ready.push_back(reqid); },
                                      [this](std::uint32_t reqid, bool silent) {
                                        failed.push_back(reqid);
                                        failed_silent.push_back(silent);
                                      },
                                      [] {}});
  }

  Message ask(Message m, ClientId client = kMe) {
    m.seq = 5;
    m.pid = 6;
    const Type type = m.type;
    auto answers = server->answer(client, std::move(m));
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].type == type);
    CHECK(answers[0].seq == 5);
    CHECK(answers[0].pid == 6);
    CHECK_FALSE(answers[0].key_auth);
    CHECK_FALSE(answers[0].key_encrypt);
    return std::move(answers[0]);
  }
  Message get_spi_request() {
    Message m;
    m.type = Type::kGetspi;
    m.satype = pfkey::SaType::kEsp;
    m.src = pfkey::host_address(peer);
    m.dst = pfkey::host_address(local);
    m.sa2 = pfkey::Sa2Ext{pfkey::kModeTunnel, 0, 7};
    return m;
  }
  std::uint32_t get_spi(ClientId client = kMe) {
    const Message reply = ask(get_spi_request(), client);
    CHECK(reply.error == 0);
    return reply.sa->spi;
  }
  esp::SaParams params(std::uint32_t spi, bool outbound) {
    esp::SaParams sa;
    sa.spi = spi;
    Bytes key(24);
    for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<Byte>(i * 7 + 1);
    sa.enc_key = Secret(ByteView(key));
    sa.auth_key = Secret(ByteView(key).first(20));
    sa.src = outbound ? local : peer;
    sa.dst = outbound ? peer : local;
    return sa;
  }
  int install(Type type, esp::SaParams sa, std::uint32_t reqid = 7, ClientId client = kMe) {
    return ask(pfkey::sa_message(type, std::move(sa), reqid), client).error;
  }
  Message id_request(Type type, std::uint32_t spi, bool outbound) {
    Message m;
    m.type = type;
    m.satype = pfkey::SaType::kEsp;
    m.sa = pfkey::SaExt{};
    m.sa->spi = spi;
    m.src = pfkey::host_address(outbound ? local : peer);
    m.dst = pfkey::host_address(outbound ? peer : local);
    return m;
  }

  esp::IpAddress local = *esp::parse_address("192.0.2.2");
  esp::IpAddress peer = *esp::parse_address("192.0.2.1");
  PolicyTable policies{{the_policy(UdpEncap::kNever)}};
  Counters counters;
  std::unique_ptr<host::Backend> backend;
  std::optional<Sad> sad;
  std::optional<PfkeyServer> server;
  std::vector<std::uint32_t> ready, failed;
  std::vector<bool> failed_silent;
};

}  // namespace

TEST_CASE("[R56] espd/pfkey: GETSPI, UPDATE, ADD, GET, DELETE of a pair, by SPI, protocol and destination") {
  World w;
  const std::uint32_t spi = w.get_spi();
  CHECK(spi >= 256);
  CHECK(w.sad->num_larval() == 1);
  CHECK(w.install(Type::kUpdate, w.params(spi, false)) == 0);
  CHECK(w.sad->num_larval() == 0);
  CHECK(w.ready.empty());
  CHECK(w.install(Type::kAdd, w.params(0x1000, true)) == 0);
  CHECK(w.ready == std::vector<std::uint32_t>{7});
  const Message got = w.ask(w.id_request(Type::kGet, 0x1000, true));
  CHECK(got.error == 0);
  CHECK(got.sa2->reqid == 7);
  CHECK(got.sa->encrypt == SADB_EALG_3DESCBC);
  CHECK(w.ask(w.id_request(Type::kDelete, spi, false)).error == 0);
  CHECK(w.ask(w.id_request(Type::kDelete, spi, false)).error == ESRCH);
  CHECK(w.ask(w.id_request(Type::kGet, spi, false)).error == ESRCH);
  CHECK(w.sad->size() == 1);
}

TEST_CASE("espd/pfkey: what does not fit is refused with its errno and changes nothing") {
  World w;
  CHECK(w.install(Type::kUpdate, w.params(0x5000, false)) == ESRCH);  // no GETSPI
  CHECK(w.install(Type::kAdd, w.params(0x5000, true), 8) == EINVAL);  // no such policy
  CHECK(w.install(Type::kAdd, w.params(255, true)) == EINVAL);        // reserved SPI
  auto sa = w.params(0x5000, true);
  sa.dst = *esp::parse_address("192.0.2.9");
  CHECK(w.install(Type::kAdd, std::move(sa)) == EINVAL);
  sa = w.params(0x5000, true);
  sa.natt = esp::Natt{};
  CHECK(w.install(Type::kAdd, std::move(sa)) == EINVAL);  // the policy says never
  sa = w.params(0x5000, true);
  sa.mode = esp::Mode::kTransport;
  CHECK(w.install(Type::kAdd, std::move(sa)) == EINVAL);
  Message m = w.get_spi_request();
  m.dst = pfkey::host_address(w.peer);
  CHECK(w.ask(std::move(m)).error == EINVAL);
  m = w.get_spi_request();
  m.spi_range = pfkey::SpiRangeExt{1, 2};
  CHECK(w.ask(std::move(m)).error == ENOSPC);
  m = w.get_spi_request();
  m.sa2.reset();
  CHECK(w.ask(std::move(m)).error == EINVAL);
  m = {};
  m.type = Type::kExpire;
  CHECK(w.ask(std::move(m)).error == EOPNOTSUPP);
  CHECK(w.sad->size() == 0);
  CHECK(w.sad->num_larval() == 0);
  CHECK(w.install(Type::kAdd, w.params(0x5000, true)) == 0);
  CHECK(w.install(Type::kAdd, w.params(0x5000, true)) == EEXIST);
}

TEST_CASE("espd/pfkey: the newest outbound SA is used; when it goes, the one before") {
  World w;
  for (const std::uint32_t spi : {0x1000U, 0x1001U, 0x1002U})
    REQUIRE(w.install(Type::kAdd, w.params(spi, true)) == 0);
  CHECK(w.sad->outbound(7, esp::Protocol::kEsp)->id.spi == 0x1002);
  CHECK(w.ask(w.id_request(Type::kDelete, 0x1001, true)).error == 0);
  CHECK(w.sad->outbound(7, esp::Protocol::kEsp)->id.spi == 0x1002);
  CHECK(w.ask(w.id_request(Type::kDelete, 0x1002, true)).error == 0);
  CHECK(w.sad->outbound(7, esp::Protocol::kEsp)->id.spi == 0x1000);
  CHECK(w.ask(w.id_request(Type::kDelete, 0x1000, true)).error == 0);
  CHECK(w.sad->outbound(7, esp::Protocol::kEsp) == nullptr);
}

TEST_CASE("espd/pfkey: a peer behind NAT that moved takes its SAs along; a stranger's address, reqid or SPI moves nothing") {
  World w;
  w.policies.replace({the_policy(UdpEncap::kAuto)});
  const std::uint32_t spi_in = w.get_spi();
  auto in = w.params(spi_in, false);
  in.natt = esp::Natt{20000, 4500};
  auto out = w.params(0x1234, true);
  out.natt = esp::Natt{4500, 20000};
  REQUIRE(w.install(Type::kUpdate, std::move(in)) == 0);
  REQUIRE(w.install(Type::kAdd, std::move(out)) == 0);
  auto move = [&](std::uint32_t spi, std::uint32_t reqid, bool outbound, std::uint16_t port,
                  const esp::IpAddress& far) {
    const auto& src = outbound ? w.local : far;
    const auto& dst = outbound ? far : w.local;
    const esp::Natt natt = outbound ? esp::Natt{4500, port} : esp::Natt{port, 4500};
    return w.ask(pfkey::move_message(pfkey::SaType::kEsp, spi, reqid, src, dst, natt)).error;
  };
  CHECK(move(0x1234, 7, true, 30000, w.peer) == 0);
  CHECK(move(spi_in, 7, false, 30000, w.peer) == 0);
  CHECK(w.ask(w.id_request(Type::kGet, 0x1234, true)).natt_dport == 30000);
  CHECK(w.ask(w.id_request(Type::kGet, spi_in, false)).natt_sport == 30000);
  CHECK(move(0x1235, 7, true, 1, w.peer) == ESRCH);
  CHECK(move(0x1234, 8, true, 1, w.peer) == EINVAL);
  CHECK(move(0x1234, 7, true, 1, *esp::parse_address("198.51.100.1")) == EINVAL);
  CHECK(w.ask(w.id_request(Type::kGet, 0x1234, true)).natt_dport == 30000);
  // The next packet goes to the new port.
  const Sa* sa = w.sad->outbound(7, esp::Protocol::kEsp);
  REQUIRE(sa != nullptr);
  CHECK(sa->natt->dst_port == 30000);
}

TEST_CASE("espd/pfkey: AH and transport mode where the policy says so, and nowhere else") {
  World w;
  Policy policy = the_policy(UdpEncap::kNever);
  const auto as = [&](esp::Protocol protocol, esp::Mode mode, std::uint32_t spi) {
    auto sa = w.params(spi, true);
    sa.protocol = protocol;
    sa.mode = mode;
    if (protocol == esp::Protocol::kAh) {
      sa.cipher = esp::Cipher::kNull;
      sa.enc_key = Secret();
    }
    return sa;
  };
  using enum esp::Mode;
  using enum esp::Protocol;
  CHECK(w.install(Type::kAdd, as(kAh, kTunnel, 0x2000)) == EINVAL);
  policy.ipsec = Ipsec::kAh;
  w.policies.replace({policy});
  CHECK(w.install(Type::kAdd, as(kEsp, kTunnel, 0x2000)) == EINVAL);
  CHECK(w.install(Type::kAdd, as(kAh, kTransport, 0x2000)) == EINVAL);
  CHECK(w.install(Type::kAdd, as(kAh, kTunnel, 0x2000)) == 0);
  CHECK(w.sad->ready(policy));
  policy.ipsec = Ipsec::kEsp;
  policy.mode = kTransport;
  w.policies.replace({policy});
  CHECK(w.install(Type::kAdd, as(kEsp, kTunnel, 0x2001)) == EINVAL);
  CHECK(w.install(Type::kAdd, as(kEsp, kTransport, 0x2001)) == 0);
  CHECK(w.ask(w.id_request(Type::kGet, 0x2001, true)).sa2->mode == pfkey::kModeTransport);
}

TEST_CASE("espd/pfkey: in UDP and transport mode an SA needs authentication, for checksums are made anew; in others it does not") {
  World w;
  const auto install = [&](esp::Mode mode, bool natt, esp::Auth auth, std::uint32_t spi) {
    Policy policy = the_policy(UdpEncap::kAuto);
    policy.mode = mode;
    w.policies.replace({policy});
    auto sa = w.params(spi, true);
    sa.mode = mode;
    if (natt) sa.natt = esp::Natt{4500, 4500};
    if (auth == esp::Auth::kNone) {
      sa.auth = auth;
      sa.auth_key = Secret();
      sa.replay_window = 0;
    }
    return w.install(Type::kAdd, std::move(sa));
  };
  using enum esp::Mode;
  CHECK(install(kTransport, true, esp::Auth::kNone, 0x2000) == EINVAL);
  CHECK(w.sad->size() == 0);
  CHECK(install(kTransport, true, esp::Auth::kHmacSha1_96, 0x2001) == 0);
  CHECK(install(kTransport, false, esp::Auth::kNone, 0x2002) == 0);
  CHECK(install(kTunnel, true, esp::Auth::kNone, 0x2003) == 0);
}

TEST_CASE("espd/pfkey: a bundle is ready when both its SAs are there; its AH is in transport mode") {
  World w;
  Policy policy = the_policy(UdpEncap::kNever);
  policy.ipsec = Ipsec::kAhEsp;
  w.policies.replace({policy});
  REQUIRE(w.install(Type::kAdd, w.params(0x3000, true)) == 0);
  CHECK_FALSE(w.sad->ready(policy));
  const auto ah = [&](esp::Mode mode) {
    auto sa = w.params(0x3000, true);  // the same SPI, for it is another protocol
    sa.protocol = esp::Protocol::kAh;
    sa.mode = mode;
    sa.cipher = esp::Cipher::kNull;
    sa.enc_key = Secret();
    return sa;
  };
  CHECK(w.install(Type::kAdd, ah(esp::Mode::kTunnel)) == EINVAL);
  REQUIRE(w.install(Type::kAdd, ah(esp::Mode::kTransport)) == 0);
  CHECK(w.sad->ready(policy));
  CHECK(w.sad->outbound(7, esp::Protocol::kAh) != w.sad->outbound(7, esp::Protocol::kEsp));
}

TEST_CASE("espd/pfkey: a peer without a fixed address is taken from any, of the local one's IP version, and never asked for") {
  World w;
  Policy policy = the_policy(UdpEncap::kNever);
  policy.any_peer = true;
  w.policies.replace({policy});
  for (const auto& [far, number] : {std::pair{"198.51.100.7", 0}, std::pair{"203.0.113.9", 0}, std::pair{"192.0.2.2", EINVAL}, std::pair{"2001:db8::1", EINVAL}}) {
    auto sa = w.params(0x4000, true);
    sa.dst = *esp::parse_address(far);
    CHECK(w.install(Type::kAdd, std::move(sa)) == number);
  }
  CHECK(w.sad->outbound(7, esp::Protocol::kEsp)->id.dst == *esp::parse_address("203.0.113.9"));  // where it was last
  CHECK_FALSE(w.server->acquire(policy));
}

TEST_CASE("espd/pfkey: a policy that is given up gives its SAs and its larval SPIs") {
  World w;
  const std::uint32_t spi = w.get_spi();
  REQUIRE(w.install(Type::kAdd, w.params(0x1000, true)) == 0);
  CHECK(w.sad->give_up(8).empty());
  CHECK(w.sad->num_larval() == 1);
  CHECK(w.sad->give_up(7) == std::vector{w.sad->outbound(7, esp::Protocol::kEsp)->handle});
  CHECK(w.sad->num_larval() == 0);
  CHECK(w.install(Type::kUpdate, w.params(spi, false)) == ESRCH);
}

TEST_CASE("espd/pfkey: DUMP counts down to 0; FLUSH takes only one's own") {
  World w;
  Message dump;
  dump.type = Type::kDump;
  auto empty = w.server->answer(kMe, std::move(dump));
  REQUIRE(empty.size() == 1);
  CHECK(empty[0].error == ENOENT);
  REQUIRE(w.install(Type::kAdd, w.params(0x1000, true)) == 0);
  REQUIRE(w.install(Type::kAdd, w.params(0x1001, true), 7, kOther) == 0);
  w.get_spi();
  dump = {};
  dump.type = Type::kDump;
  const auto all = w.server->answer(kMe, std::move(dump));
  REQUIRE(all.size() == 2);
  CHECK(all[0].seq == 1);
  CHECK(all[1].seq == 0);
  CHECK(all[0].sa->spi == 0x1000);
  Message flush;
  flush.type = Type::kFlush;
  CHECK(w.ask(std::move(flush)).error == 0);
  CHECK(w.sad->size() == 1);
  CHECK(w.sad->num_larval() == 0);
  CHECK(w.sad->outbound(7, esp::Protocol::kEsp)->id.spi == 0x1001);
}

TEST_CASE("espd/pfkey: an SPI that is not used in time is given back") {
  World w;
  const std::uint32_t spi = w.get_spi();
  std::vector<Expiry> expiries;
  w.sad->tick(Clock::now() + std::chrono::seconds(119), expiries);
  CHECK(w.sad->num_larval() == 1);
  w.sad->tick(Clock::now() + std::chrono::seconds(121), expiries);
  CHECK(w.sad->num_larval() == 0);
  CHECK(expiries.empty());
  CHECK(w.install(Type::kUpdate, w.params(spi, false)) == ESRCH);
}

TEST_CASE("espd/pfkey: SAs of an IKE daemon that is gone end when newer ones stand for them and nothing comes on them") {
  World w;
  const auto install_pair = [&](std::uint32_t out_spi, ClientId client) {
    const std::uint32_t in_spi = w.get_spi(client);
    REQUIRE(w.install(Type::kUpdate, w.params(in_spi, false), 7, client) == 0);
    REQUIRE(w.install(Type::kAdd, w.params(out_spi, true), 7, client) == 0);
    return in_spi;
  };
  install_pair(1001, kMe);
  const auto now = Clock::now();
  w.sad->orphan(kMe, now);
  const auto expired = [&](Clock::duration after) {
    std::vector<Expiry> out;
    w.sad->tick(now + after, out);
    return out.size();
  };
  using std::chrono::seconds;
  CHECK(expired(seconds(1000)) == 0);  // nothing stands for them
  const std::uint32_t old_in = w.sad->all()[0]->id.spi;
  w.sad->orphan(kMe, now);
  const std::uint32_t in_spi = install_pair(1002, kOther);
  const host::SaHandle old = w.sad->find({esp::Protocol::kEsp, old_in, w.local})->handle;
  CHECK(expired(Sad::kOrphanIdle - seconds(1)) == 0);
  w.sad->count(old, 100);
  CHECK(expired(Sad::kOrphanIdle) == 1);  // the outbound one; the other still carries
  CHECK(expired(2 * Sad::kOrphanIdle - seconds(1)) == 0);
  CHECK(expired(2 * Sad::kOrphanIdle) == 1);
  CHECK(expired(10 * Sad::kOrphanIdle) == 0);  // the new ones stay
  CHECK(w.sad->find({esp::Protocol::kEsp, in_spi, w.local}) != nullptr);
}

TEST_CASE("espd/pfkey: limits are told once each, whoever saw them first") {
  World w;
  auto sa = w.params(0x1000, true);
  sa.soft.packets = 2;
  sa.hard.packets = 4;
  sa.hard.seconds = 60;
  REQUIRE(w.install(Type::kAdd, std::move(sa)) == 0);
  const host::SaHandle handle = w.sad->outbound(7, esp::Protocol::kEsp)->handle;
  const auto ticked = [&](int seconds) {
    std::vector<Expiry> out;
    w.sad->tick(Clock::now() + std::chrono::seconds(seconds), out);
    return out;
  };
  w.sad->count(handle, 100);
  CHECK(ticked(0).empty());
  w.sad->count(handle, 100);
  const auto soft = ticked(0);
  REQUIRE(soft.size() == 1);
  CHECK_FALSE(soft[0].hard);
  CHECK(ticked(0).empty());
  CHECK_FALSE(w.sad->tell(handle, false));  // the card tells of the same
  const auto hard = ticked(61);
  REQUIRE(hard.size() == 1);
  CHECK(hard[0].hard);
  w.sad->count(handle, 100);
  w.sad->count(handle, 100);
  CHECK(ticked(61).empty());
  REQUIRE(w.sad->remove(handle));
  CHECK_FALSE(w.sad->tell(handle, true));
}

TEST_CASE("espd/pfkey: an ACQUIRE that failed is told on") {
  World w;
  CHECK_FALSE(w.server->acquire(w.policies.all()[0]));  // nobody is registered
  Message m;
  m.type = Type::kRegister;
  const Message reply = w.ask(std::move(m));
  CHECK(reply.error == 0);
  REQUIRE(reply.supported_encrypt);
  CHECK(w.server->acquire(w.policies.all()[0]));
  m = {};
  m.type = Type::kAcquire;
  m.seq = 99;
  m.error = ETIMEDOUT;
  CHECK(w.server->answer(kMe, std::move(m)).empty());
  CHECK(w.failed.empty());
  m = {};
  m.type = Type::kAcquire;
  m.seq = 1;
  m.error = ETIMEDOUT;
  CHECK(w.server->answer(kMe, std::move(m)).empty());
  CHECK(w.failed == std::vector<std::uint32_t>{7});
  CHECK(w.failed_silent == std::vector<bool>{true});
  // Asked again meanwhile: an answer to the first one that names the policy still counts; other errors are not silence.
  CHECK(w.server->acquire(w.policies.all()[0]));
  m = {};
  m.type = Type::kAcquire;
  m.seq = 1;
  m.error = EACCES;
  m.sa2 = pfkey::Sa2Ext{pfkey::kModeTunnel, 0, 7};
  CHECK(w.server->answer(kMe, std::move(m)).empty());
  CHECK(w.failed_silent == std::vector<bool>{true, false});
  m = {};
  m.type = Type::kAcquire;
  m.seq = 1;
  m.error = ETIMEDOUT;
  m.sa2 = pfkey::Sa2Ext{pfkey::kModeTunnel, 0, 8};  // never asked for
  CHECK(w.server->answer(kMe, std::move(m)).empty());
  CHECK(w.failed_silent.size() == 2);
}
