// Two holders authenticate each other through a real KDC of MIT Kerberos, with a realm made for the test on
// unprivileged ports of the loopback interface.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <chrono>
#include <thread>

#include "keyd/holder/codec.h"
#include "keyd/holder/holder.h"
#include "keyd/shell/message_socket.h"
#include "keyd/shell/sandbox.h"
#include "tests/unit/keyd/command.h"
#include "tests/unit/keyd/world.h"

using namespace esplanade;
using namespace esplanade::ike;
using esplanade::testing::Folder;
using esplanade::testing::run_command;
using esplanade::testing::write_file;

namespace {

std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t len = sizeof a;
  REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0);
  REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&a), &len) == 0);
  ::close(fd);
  return ntohs(a.sin_port);
}

bool answers(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  a.sin_port = htons(port);
  const bool ok = ::connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0;
  ::close(fd);
  return ok;
}

// The realm IKE.TEST with two hosts, whose keytabs are left.keytab and right.keytab.
class Realm {
 public:
  Realm() : port_(free_port()) {
    write_file(folder_ / "krb5.conf",
               fmt::format("[libdefaults]\n default_realm = IKE.TEST\n dns_lookup_kdc = false\n"
                           " dns_lookup_realm = false\n rdns = false\n dns_canonicalize_hostname = false\n"
                           "[realms]\n IKE.TEST = {{\n  kdc = 127.0.0.1:{}\n }}\n",
                           port_));
    write_file(folder_ / "kdc.conf",
               fmt::format("[kdcdefaults]\n kdc_listen = 127.0.0.1:{0}\n kdc_tcp_listen = 127.0.0.1:{0}\n"
                           "[realms]\n IKE.TEST = {{\n  database_name = {1}/principal\n  key_stash_file = {1}/stash\n"
                           "  acl_file = {1}/acl\n  supported_enctypes = aes128-cts-hmac-sha1-96:normal\n }}\n"
                           "[logging]\n kdc = FILE:{1}/kdc.log\n",
                           port_, folder_.path()));
    ::setenv("KRB5_CONFIG", (folder_ / "krb5.conf").c_str(), 1);
    ::setenv("KRB5_KDC_PROFILE", (folder_ / "kdc.conf").c_str(), 1);
    const std::string log = folder_ / "made.log";
    REQUIRE(run_command({"/usr/sbin/kdb5_util", "create", "-s", "-r", "IKE.TEST", "-P", "master of the test"}, log) == 0);
    for (const char* side : {"left", "right"}) {
      const std::string principal = fmt::format("host/{}.ike.test", side);
      REQUIRE(run_command({"/usr/sbin/kadmin.local", "-q", "addprinc -randkey " + principal}, log) == 0);
      REQUIRE(run_command({"/usr/sbin/kadmin.local", "-q",
                           fmt::format("ktadd -k {} {}", folder_ / (std::string(side) + ".keytab"), principal)}, log) == 0);
    }
    start();
  }
  std::string keytab(const std::string& side) const { return folder_ / (side + ".keytab"); }
  void start() {
    kdc_.emplace(std::vector<std::string>{"/usr/sbin/krb5kdc", "-n"}, folder_ / "kdc.out");
    for (int i = 0; i < 200 && !answers(port_); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(25));
    REQUIRE(answers(port_));
  }
  void stop() { kdc_.reset(); }
  std::uint16_t port() const { return port_; }
  /// How many tickets of the kind (AS_REQ, TGS_REQ) were issued.
  long issued(const std::string& kind) const {
    const std::string log = testing::read_file(folder_ / "kdc.log");
    long count = 0;
    for (std::size_t at = 0; (at = log.find(kind, at)) != log.npos; ++at)
      count += log.substr(at, log.find('\n', at) - at).find("ISSUE") != std::string::npos;
    return count;
  }
  std::unique_ptr<Holder> holder(const std::string& side) const {
    auto secrets = parse_secrets(
        fmt::format("[ike.a]\nsecret = \"x\"\n[kerberos]\nkeytab = \"{}\"\n", folder_ / (side + ".keytab")), "s.toml");
    REQUIRE_MESSAGE(secrets, secrets.error().detail);
    auto made = Holder::create(std::move(*secrets), std::make_shared<const Config>(ike::test::make_config(true, {})), "s");
    REQUIRE(made);
    return std::move(*made);
  }

 private:
  const Folder folder_;
  const std::uint16_t port_;
  std::optional<testing::Background> kdc_;
};

Bytes copy(const Secret& s) { return Bytes(s.reveal().begin(), s.reveal().end()); }

constexpr auto kTarget = "host/right.ike.test@IKE.TEST";

struct Pair {
  std::unique_ptr<Holder> left, right;
  Credential ap_req, ap_rep, last;
};

// AP-REQ and AP-REP between the two, contexts 1 and 2.
void authenticate(Pair& p) {
  auto a = p.left->answer({1, "peer", GssStep{1, true, kTarget, {}}});
  REQUIRE_MESSAGE(a, a.error().detail);
  p.ap_req = std::move(*a);
  auto b = p.right->answer({1, "peer", GssStep{2, false, "", copy(p.ap_req.octets)}});
  REQUIRE_MESSAGE(b, b.error().detail);
  p.ap_rep = std::move(*b);
  auto c = p.left->answer({2, "peer", GssStep{1, true, kTarget, copy(p.ap_rep.octets)}});
  REQUIRE_MESSAGE(c, c.error().detail);
  p.last = std::move(*c);
}

}  // namespace

TEST_CASE("[R66] two holders authenticate through a real KDC, and hashes pass wrapped between them") {
  Realm realm;
  Pair p{realm.holder("left"), realm.holder("right"), {}, {}, {}};
  authenticate(p);
  CHECK(!p.ap_req.complete);
  CHECK(p.ap_req.octets.reveal()[0] == 0x60);  // RFC 2743 s3.1
  CHECK(p.ap_rep.complete);
  CHECK(p.ap_rep.peer == "host/left.ike.test@IKE.TEST");
  CHECK(p.last.complete);
  CHECK(p.last.octets.empty());
  CHECK(p.last.peer == kTarget);

  const Bytes hash_i(20, 0x11), hash_r(20, 0x22);
  auto wrapped = p.left->answer({3, "peer", GssWrap{1, hash_i}});
  REQUIRE(wrapped);
  CHECK(std::ranges::search(wrapped->octets.reveal(), hash_i).empty());  // confidential
  auto unwrapped = p.right->answer({3, "peer", GssUnwrap{2, copy(wrapped->octets)}});
  REQUIRE(unwrapped);
  CHECK(copy(unwrapped->octets) == hash_i);
  auto back = p.right->answer({4, "peer", GssWrap{2, hash_r}});
  REQUIRE(back);
  auto back_open = p.left->answer({4, "peer", GssUnwrap{1, copy(back->octets)}});
  REQUIRE(back_open);
  CHECK(copy(back_open->octets) == hash_r);

  SUBCASE("a changed octet of a wrapped hash is found") {
    Bytes bad = copy(back->octets);
    bad.back() ^= 1;
    CHECK(!p.left->answer({5, "peer", GssUnwrap{1, bad}}));
  }
  SUBCASE("a context is of no use once it is complete but for wrapping, and of none at all once it ended") {
    CHECK(!p.left->answer({5, "peer", GssStep{1, true, kTarget, copy(p.ap_rep.octets)}}));
    CHECK(!p.left->answer({5, "peer", GssStep{1, false, "", copy(p.ap_req.octets)}}));
    CHECK(p.left->answer({5, "peer", GssEnd{1}}));
    CHECK(!p.left->answer({5, "peer", GssWrap{1, hash_i}}));
  }
  SUBCASE("tokens that are none are refused and leave nothing behind") {
    for (const Bytes& token : {Bytes{0x60, 0x01}, Bytes(300, 0xff), Bytes{0}})
      CHECK(!p.right->answer({5, "peer", GssStep{9, false, "", token}}));
    CHECK(!p.right->answer({5, "peer", GssStep{9, false, "", {}}}));
    CHECK(!p.right->answer({5, "peer", GssWrap{9, hash_i}}));
    Bytes cut = copy(p.ap_req.octets);
    cut.pop_back();
    CHECK(!p.right->answer({5, "peer", GssStep{10, false, "", cut}}));
    CHECK(p.right->answer({5, "peer", GssStep{9, false, "", copy(p.ap_req.octets)}}));
  }
  SUBCASE("[R45] each authentication goes back to the KDC for its tickets") {
    const long as = realm.issued("AS_REQ"), tgs = realm.issued("TGS_REQ");
    CHECK(as == 1);
    CHECK(tgs == 1);
    Pair again{realm.holder("left"), std::move(p.right), {}, {}, {}};
    (void)again.right->answer({5, "peer", GssEnd{2}});
    authenticate(again);
    (void)p.left->answer({6, "peer", GssEnd{1}});
    p.right = std::move(again.right);
    (void)p.right->answer({6, "peer", GssEnd{2}});
    authenticate(p);
    CHECK(realm.issued("AS_REQ") == as + 2);
    CHECK(realm.issued("TGS_REQ") == tgs + 2);
  }
  SUBCASE("[R72] a ticket for another service, and no KDC at all, give no context") {
    auto wrong = p.left->answer({5, "peer", GssStep{11, true, "host/left.ike.test@IKE.TEST", {}}});
    REQUIRE(wrong);
    CHECK(!p.right->answer({5, "peer", GssStep{12, false, "", copy(wrong->octets)}}));
    auto unknown = p.left->answer({5, "peer", GssStep{13, true, "host/nobody.ike.test@IKE.TEST", {}}});
    REQUIRE(!unknown);
    CHECK(unknown.error().detail.find("gss_init_sec_context") != std::string::npos);
    realm.stop();
    CHECK(!p.left->answer({5, "peer", GssStep{14, true, kTarget, {}}}));
  }
}

namespace {

// keyd's holder as the process that it is, with this test as its parent and as the engine.
class HolderProcess {
 public:
  HolderProcess(const Folder& folder, const std::string& keytab) {
    write_file(folder / "keyd-secrets.toml", fmt::format("[ike.a]\nsecret = \"x\"\n[kerberos]\nkeytab = \"{}\"\n", keytab));
    auto parent = message_pair(), engine = message_pair();
    REQUIRE(parent);
    REQUIRE(engine);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, parent->second.get(), 3);
    const char* argv[] = {ESPLANADE_KEYD, "--role=holder", nullptr};
    REQUIRE(::posix_spawn(&pid_, argv[0], &actions, nullptr, const_cast<char**>(argv), environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    parent_ = std::move(parent->first);
    engine_ = std::move(engine->first);
    auto config = text_to_fd(R"(
[espd]
pfkey = "/nonexistent/pfkey"
natt = "/nonexistent/natt"
[connections.peer]
local_addrs = "192.0.2.1"
remote_addrs = "192.0.2.2"
[connections.peer.children.net]
local_ts = "10.1.0.0/16"
remote_ts = "10.2.0.0/16"
reqid = 7
)");
    REQUIRE(config);
    REQUIRE(send_message(parent_.get(), "config " + (folder / "keyd.toml"), config->get()));
    auto reply = wait_message(parent_.get(), std::chrono::seconds(20));
    REQUIRE_MESSAGE(reply, reply.error().detail);
    REQUIRE(reply->text == "ok");
    REQUIRE(send_message(parent_.get(), "engine", engine->second.get()));
  }
  ~HolderProcess() {
    parent_.reset();
    int status = 0;
    ::waitpid(pid_, &status, 0);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
  void send(const CredentialRequest& r) {
    auto packet = encode_request(r);
    REQUIRE(packet);
    REQUIRE(pfkey::send(engine_.get(), packet->reveal()));
  }
  HolderReply receive() {
    auto message = [&] {
      for (int i = 0; i < 3000; ++i) {
        Bytes octets;
        auto got = pfkey::receive(engine_.get(), octets, kHolderPacketMax);
        REQUIRE_MESSAGE(got, got.error().detail);
        REQUIRE(*got != pfkey::Received::kClosed);
        if (*got == pfkey::Received::kMessage) return octets;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      return Bytes();
    }();
    auto reply = decode_reply(message);
    REQUIRE(reply);
    return std::move(*reply);
  }
  std::string status_line(const std::string& name) const {
    const std::string text = testing::read_file(fmt::format("/proc/{}/status", pid_));
    const auto at = text.find(name + ":");
    return text.substr(at, text.find('\n', at) - at);
  }

 private:
  ::pid_t pid_ = -1;
  pfkey::Fd parent_, engine_;
};

}  // namespace

TEST_CASE("the holder's process does Kerberos behind its system call filter, and one that waits for a KDC delays nobody") {
  Realm realm;
  const Folder left_folder, right_folder;
  HolderProcess left(left_folder, realm.keytab("left")), right(right_folder, realm.keytab("right"));
  CHECK(left.status_line("Seccomp") == (filters_system_calls() ? "Seccomp:\t2" : "Seccomp:\t0"));
  left.send({1, "peer", GssStep{1, true, kTarget, {}}});
  auto ap_req = left.receive();
  REQUIRE_MESSAGE(ap_req.credential, ap_req.credential.error().detail);
  right.send({2, "peer", GssStep{2, false, "", copy(ap_req.credential->octets)}});
  auto ap_rep = right.receive();
  REQUIRE_MESSAGE(ap_rep.credential, ap_rep.credential.error().detail);
  CHECK(ap_rep.credential->peer == "host/left.ike.test@IKE.TEST");
  left.send({3, "peer", GssStep{1, true, kTarget, copy(ap_rep.credential->octets)}});
  CHECK(left.receive().credential->complete);

  // A KDC that takes the connection and says nothing.
  realm.stop();
  const int silent = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  a.sin_port = htons(realm.port());
  REQUIRE(::bind(silent, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0);
  left.send({4, "peer", GssStep{4, true, kTarget, {}}});
  left.send({5, "peer", PskSkeyid{crypto::Hash::kSha1, Bytes(16, 1), Bytes(16, 2)}});
  auto first = left.receive();
  CHECK(first.ticket == 5);
  CHECK(first.credential);
  left.send({6, "peer", GssWrap{1, Bytes(20, 1)}});
  CHECK(left.receive().ticket == 6);
  ::close(silent);
  CHECK(!left.receive().credential);
}
