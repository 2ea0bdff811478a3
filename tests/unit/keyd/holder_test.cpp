// The holder of secrets by itself: its file, its packets, pre-shared keys and RSA from files and tokens.
// Signatures are checked by the openssl command, which is not our code.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <random>

#include "keyd/holder/codec.h"
#include "keyd/holder/holder.h"
#include "tests/unit/keyd/command.h"
#include "tests/unit/keyd/world.h"

using namespace esplanade;
using namespace esplanade::ike;
using esplanade::testing::Folder;
using esplanade::testing::octets_of;
using esplanade::testing::read_file;
using esplanade::testing::run_command;
using esplanade::testing::write_file;

namespace {

constexpr auto kSecrets = R"(
[ike.any]
secret = "for anybody"
[ike.peer]
id = ["192.0.2.2", "branch.example"]
secret = "0x00ff10"
[ike.text]
id = "other.example"
secret = "0sAQIDBA=="
)";

Secrets parse(const std::string& text) {
  auto secrets = parse_secrets(text, "s.toml");
  REQUIRE_MESSAGE(secrets, secrets.error().detail);
  return std::move(*secrets);
}

std::string refusal(const std::string& text) {
  auto secrets = parse_secrets(text, "s.toml");
  REQUIRE(!secrets);
  CHECK(secrets.error().code == Errc::kBadConfig);
  return secrets.error().detail;
}

Connection connection(const char* remote, const char* id) {
  Connection c;
  if (remote != nullptr) c.remote = ike::test::address(remote);
  if (id != nullptr) c.remote_id = id_from_text(id);
  return c;
}

std::string psk_of(const Secrets& secrets, const Connection& c) {
  const Secret* found = find_psk(secrets, c);
  return found == nullptr ? "none" : to_hex(found->reveal());
}

std::unique_ptr<Holder> make_holder(const std::string& secrets) {
  auto holder = Holder::create(
      parse(secrets), std::make_shared<const Config>(ike::test::make_config(true, {})), "s.toml");
  REQUIRE_MESSAGE(holder, holder.error().detail);
  return std::move(*holder);
}

std::vector<CredentialRequest> one_of_each_kind() {
  const Bytes nonce(16, 0xa5);
  return {{1, "peer", PskSkeyid{crypto::Hash::kMd5, nonce, Bytes(256, 1)}},
          {2, "peer", RsaSign{Bytes(700, 3), Bytes(20, 4)}},
          {3, "peer", GssStep{7, true, "host/gw.example@R", {}}},
          {4, "peer", GssStep{0xffffffffffffffff, false, "", Bytes(3000, 9)}},
          {5, "peer", GssWrap{8, Bytes(20, 1)}},
          {6, "peer", GssUnwrap{8, Bytes(90, 1)}},
          {7, "peer", GssEnd{8}}};
}

Bytes encoded(const CredentialRequest& r) {
  auto packet = encode_request(r);
  REQUIRE(packet);
  const ByteView octets = packet->reveal();
  return Bytes(octets.begin(), octets.end());
}

}  // namespace

TEST_CASE("the pre-shared key of a connection is found by the peer's address, then by its identity, then the one for any") {
  const Secrets s = parse(kSecrets);
  CHECK(psk_of(s, connection("192.0.2.2", nullptr)) == "00ff10");
  CHECK(psk_of(s, connection("192.0.2.9", "branch.example")) == "00ff10");
  CHECK(psk_of(s, connection(nullptr, "other.example")) == "01020304");
  CHECK(psk_of(s, connection("192.0.2.9", "stranger.example")) == to_hex(octets_of("for anybody")));
  CHECK(psk_of(parse("[ike.a]\nid = \"192.0.2.2\"\nsecret = \"x\"\n"), connection("192.0.2.9", nullptr)) == "none");
}

TEST_CASE("[R54] a connection for any address has a pre-shared key by group or by default") {
  CHECK(psk_of(parse(kSecrets), connection(nullptr, nullptr)) == to_hex(octets_of("for anybody")));
}

TEST_CASE("mistakes in the file of secrets are told with their line and without the secret") {
  CHECK(refusal("[ike.a]\nsecret = 5\n") == "s.toml:2: ike.a.secret: is not a string");
  CHECK(refusal("[ike.a]\nid = \"x\"\n").starts_with("s.toml:1: ike.a.secret: is missing"));
  CHECK(refusal("[ike.a]\nsecret = \"\"\n").starts_with("s.toml:2: ike.a.secret: is empty"));
  CHECK(refusal("[ike.a]\nsecret = \"x\"\nidd = \"y\"\n") == "s.toml:3: ike.a.idd: is not a known key here");
  CHECK(refusal("[kerberos]\nkeytab = \"/nonexistent/k\"\n").starts_with("s.toml:2: kerberos.keytab: cannot be"));
  CHECK(refusal("[private.a]\nfile = \"/nonexistent/k\"\n").starts_with("s.toml:2: private.a.file: /nonexistent/k"));
  CHECK(refusal("[private.a]\n").find("one of the two") != std::string::npos);
  CHECK(refusal("[private.a]\npkcs11 = \"pkcs11:object=a\"\n").find("private.a.module: is missing") !=
        std::string::npos);
  for (const char* hidden : {"0xzz77aa", "0s***77aa", "0x77a"}) {
    const std::string why = refusal(fmt::format("[ike.a]\nsecret = \"{}\"\n", hidden));
    CHECK(why.starts_with("s.toml:2: ike.a.secret: "));
    CHECK(why.find("77a") == std::string::npos);
  }
  CHECK(refusal("[ike.a]\nsecret = \"topsecret\n").find("topsecret") == std::string::npos);
}

TEST_CASE("a file of secrets that others may read is refused, and what to do is said") {
  const Folder folder;
  write_file(folder / "s.toml", kSecrets);
  CHECK(load_secrets(folder / "s.toml"));
  write_file(folder / "s.toml", kSecrets, 0640);
  auto open = load_secrets(folder / "s.toml");
  REQUIRE(!open);
  CHECK(open.error().code == Errc::kPermission);
  CHECK(open.error().detail.find("chmod 600") != std::string::npos);
  CHECK(!load_secrets(folder.path()));
  CHECK(!load_secrets(folder / "none.toml"));
}

TEST_CASE("requests pass the codec unchanged") {
  for (const CredentialRequest& r : one_of_each_kind()) {
    auto back = decode_request(encoded(r));
    REQUIRE_MESSAGE(back, back.error().detail);
    CHECK(back->ticket == r.ticket);
    CHECK(back->connection == r.connection);
    CHECK(back->what.index() == r.what.index());
    CHECK(encoded(*back) == encoded(r));
  }
}

TEST_CASE("replies pass the codec unchanged, good ones and errors") {
  auto good = decode_reply(encode_reply(9, Credential{Secret(Bytes(20, 7)), false, "a@R"}).reveal());
  REQUIRE(good);
  REQUIRE(good->credential);
  CHECK(good->ticket == 9);
  CHECK(to_hex(good->credential->octets.reveal()) == to_hex(Bytes(20, 7)));
  CHECK(!good->credential->complete);
  CHECK(good->credential->peer == "a@R");
  auto bad = decode_reply(encode_reply(10, Error{Errc::kState, std::string(9000, 'x')}).reveal());
  REQUIRE(bad);
  REQUIRE(!bad->credential);
  CHECK(bad->credential.error().code == Errc::kState);
  CHECK(bad->credential.error().detail.size() == 500);
}

TEST_CASE("a request that is cut anywhere, or longer than it says, is refused") {
  for (const CredentialRequest& r : one_of_each_kind()) {
    Bytes whole = encoded(r);
    for (std::size_t len = 0; len < whole.size(); ++len) {
      CAPTURE(len);
      CHECK(!decode_request(ByteView(whole).first(len)));
    }
    whole.push_back(0);
    CHECK(!decode_request(whole));
  }
}

TEST_CASE("a reply that is cut anywhere, or longer than it says, is refused") {
  for (bool good : {true, false}) {
    const Secret packet = good ? encode_reply(1, Credential{Secret(Bytes(20, 7)), true, "a@R"})
                               : encode_reply(1, Error{Errc::kState, "no"});
    Bytes whole(packet.reveal().begin(), packet.reveal().end());
    for (std::size_t len = 0; len < whole.size(); ++len) CHECK(!decode_reply(ByteView(whole).first(len)));
    whole.push_back(0);
    CHECK(!decode_reply(whole));
  }
}

TEST_CASE("fields beyond their bounds are refused on both sides") {
  CHECK(!encode_request({1, "peer", PskSkeyid{crypto::Hash::kMd5, Bytes(257, 1), Bytes(8, 1)}}));
  CHECK(encode_request({1, "peer", GssStep{1, true, "t", Bytes(kGssTokenMax, 1)}}));
  CHECK(!encode_request({1, "peer", GssStep{1, true, "t", Bytes(kGssTokenMax + 1, 1)}}));
  CHECK(!encode_request({1, std::string(256, 'c'), GssEnd{1}}));
  // What an honest engine would not send.
  CHECK(!decode_request(encoded({1, "peer", PskSkeyid{crypto::Hash::kMd5, Bytes(7, 1), Bytes(8, 1)}})));
  CHECK(!decode_request(encoded({1, "peer", RsaSign{Bytes(10, 1), Bytes(15, 1)}})));
  CHECK(!decode_request(encoded({1, "", GssEnd{1}})));
  CHECK(!decode_request(encoded({1, "peer", GssStep{1, true, std::string("a\0b", 3), {}}})));
  auto too_long = decode_reply(encode_reply(3, Credential{Secret(Bytes(kGssTokenMax + 1, 1)), true, ""}).reveal());
  REQUIRE(too_long);
  CHECK(!too_long->credential);
}

TEST_CASE("random changes to packets never do more than be refused or read as another request") {
  const std::uint64_t seed = ike::test::base_seed(0x401d);
  CAPTURE(seed);
  std::mt19937_64 gen(seed);
  const auto requests = one_of_each_kind();
  int refused = 0, taken = 0;
  for (int i = 0; i < 20000; ++i) {
    Bytes packet = encoded(requests[gen() % requests.size()]);
    for (std::uint64_t flips = 1 + gen() % 4; flips > 0; --flips)
      packet[gen() % std::min<std::size_t>(packet.size(), 40)] = static_cast<Byte>(gen());
    auto back = decode_request(packet);
    ++(back ? taken : refused);
    if (back) CHECK(encoded(*back) == packet);
    (void)decode_reply(packet);
  }
  CHECK(refused > 1000);
  CHECK(taken > 1000);
}

TEST_CASE("the holder makes SKEYID from the pre-shared key and the nonces") {
  const auto holder = make_holder(kSecrets);
  const Bytes ni(16, 1), nr(16, 2), key{0x00, 0xff, 0x10};
  const auto answer = holder->answer({1, "peer", PskSkeyid{crypto::Hash::kSha1, ni, nr}});
  REQUIRE(answer);
  CHECK(to_hex(answer->octets.reveal()) == to_hex(crypto::prf(crypto::Hash::kSha1, key, {ni, nr}).reveal()));
  CHECK(!holder->answer({1, "stranger", PskSkeyid{crypto::Hash::kSha1, ni, nr}}));
  CHECK(!holder->answer({1, "peer", RsaSign{Bytes(10, 1), Bytes(20, 1)}}));
  CHECK(!holder->answer({1, "peer", GssStep{1, true, "host/a@R", {}}}));
}

TEST_CASE("a connection without secret is refused by name") {
  const auto config = std::make_shared<const Config>(ike::test::make_config(true, {}));
  auto holder = Holder::create(parse("[ike.a]\nid = \"203.0.113.1\"\nsecret = \"x\"\n"), config, "s.toml");
  REQUIRE(!holder);
  CHECK(holder.error().detail.starts_with("s.toml: the connection peer has no secret"));
}

namespace {

// A key and its self-signed certificate in DER.
Bytes make_certificate(const Folder& folder, const std::string& key, const std::string& bits = "2048") {
  REQUIRE(run_command({"openssl", "req", "-x509", "-newkey", "rsa:" + bits, "-nodes", "-keyout", folder / key,
                       "-out", folder / (key + ".der"), "-outform", "DER", "-subj", "/CN=gw", "-days", "2"}) == 0);
  REQUIRE(::chmod((folder / key).c_str(), 0600) == 0);
  return octets_of(read_file(folder / (key + ".der")));
}

// What openssl finds inside the PKCS #1 block of the signature.
std::string recovered(const Folder& folder, const std::string& key, ByteView signature) {
  write_file(folder / "sig", {reinterpret_cast<const char*>(signature.data()), signature.size()});
  REQUIRE(run_command({"openssl", "pkeyutl", "-verifyrecover", "-inkey", folder / key, "-in", folder / "sig",
                       "-pkeyopt", "rsa_padding_mode:pkcs1", "-out", folder / "hash"}) == 0);
  return to_hex(octets_of(read_file(folder / "hash")));
}

}  // namespace

TEST_CASE("the holder signs with the key that belongs to the certificate, the hash alone in a PKCS #1 block") {
  const Folder folder;
  const Bytes first = make_certificate(folder, "a.pem"), second = make_certificate(folder, "b.pem");
  const auto holder = make_holder(fmt::format("{}[private.a]\nfile = \"{}\"\n[private.b]\nfile = \"{}\"\n", kSecrets,
                                              folder / "a.pem", folder / "b.pem"));
  for (const auto& [certificate, key] : {std::pair{first, "a.pem"}, {second, "b.pem"}}) {
    for (std::size_t len : {16u, 20u}) {
      const Bytes hash(len, 0x5c);
      const auto answer = holder->answer({1, "peer", RsaSign{certificate, hash}});
      REQUIRE_MESSAGE(answer, answer.error().detail);
      CHECK(answer->octets.size() == 256);
      CHECK(recovered(folder, key, answer->octets.reveal()) == to_hex(hash));
    }
  }
  CHECK(!holder->answer({1, "peer", RsaSign{Bytes(700, 0x30), Bytes(20, 1)}}));
  CHECK(!holder->answer({1, "peer", RsaSign{first, Bytes(19, 1)}}));
}

TEST_CASE("private keys that are short, of another kind, encrypted or readable by others are refused") {
  const Folder folder;
  const auto why = [&](const char* file) {
    return refusal(fmt::format("[private.a]\nfile = \"{}\"\n", folder / file));
  };
  (void)make_certificate(folder, "short.pem", "512");
  CHECK(why("short.pem").find("1,024 bits") != std::string::npos);
  REQUIRE(run_command({"openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / "ec.pem"}) == 0);
  CHECK(why("ec.pem").find("not RSA") != std::string::npos);
  (void)make_certificate(folder, "good.pem");
  REQUIRE(run_command({"openssl", "rsa", "-aes128", "-passout", "pass:abcd", "-in", folder / "good.pem", "-out",
                       folder / "encrypted.pem"}) == 0);
  ::chmod((folder / "encrypted.pem").c_str(), 0600);
  CHECK(why("encrypted.pem").find("without a passphrase") != std::string::npos);
  ::chmod((folder / "good.pem").c_str(), 0644);
  CHECK(why("good.pem").find("chmod 600") != std::string::npos);
}

TEST_CASE("the holder signs with a key that never leaves its PKCS #11 token") {
  const Folder folder;
  constexpr auto kModule = "/usr/lib/softhsm/libsofthsm2.so";
  std::filesystem::create_directory(folder / "tokens");
  write_file(folder / "softhsm.conf", fmt::format("directories.tokendir = {}\nobjectstore.backend = file\n", folder / "tokens"));
  ::setenv("SOFTHSM2_CONF", (folder / "softhsm.conf").c_str(), 1);
  const Bytes certificate = make_certificate(folder, "token.pem");
  REQUIRE(run_command({"openssl", "pkcs8", "-topk8", "-nocrypt", "-in", folder / "token.pem", "-out", folder / "token.p8"}) == 0);
  REQUIRE(run_command({"softhsm2-util", "--init-token", "--free", "--label", "keyd", "--so-pin", "87654321", "--pin", "4711-pin"}) == 0);
  REQUIRE(run_command({"softhsm2-util", "--import", folder / "token.p8", "--token", "keyd", "--label", "gw", "--id", "01", "--pin", "4711-pin"}) == 0);
  const std::string entry = fmt::format("[private.t]\npkcs11 = \"pkcs11:token=keyd;object=gw;type=private\"\nmodule = \"{}\"\n", kModule);
  const std::string denied = refusal(entry + "pin = \"0000-pin\"\n");
  CHECK(denied.starts_with("s.toml:2: private.t.pkcs11: the token does not give the key"));
  CHECK(denied.find("0000") == std::string::npos);
  const auto holder = make_holder(kSecrets + entry + "pin = \"4711-pin\"\n");
  const Bytes hash(20, 0x77);
  const auto answer = holder->answer({1, "peer", RsaSign{certificate, hash}});
  REQUIRE_MESSAGE(answer, answer.error().detail);
  CHECK(recovered(folder, "token.pem", answer->octets.reveal()) == to_hex(hash));
}
