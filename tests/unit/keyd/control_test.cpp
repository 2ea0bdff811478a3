// The control socket with honest, slow and hostile clients; and the structured log.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/base/log.h"
#include "keyd/control/server.h"
#include "keyd/shell/keylog.h"
#include "keyd/shell/message_socket.h"
#include "tests/unit/keyd/command.h"

using namespace esplanade;
using namespace esplanade::ike;
using esplanade::testing::Folder;
using esplanade::testing::read_file;

namespace {

// A server in this thread: run() lets it work off what is there.
struct Rig {
  Folder folder;
  asio::io_context io;
  std::string path = folder / "control.sock";
  std::optional<pfkey::Listener> listener;
  std::unique_ptr<ControlServer> server;
  ControlServer::Reply later;
  int handled = 0;

  Rig() {
    auto made = pfkey::Listener::create(path);
    REQUIRE(made);
    listener.emplace(std::move(*made));
    server = std::make_unique<ControlServer>(io, pfkey::Fd(::dup(listener->fd())),
                                             [this](const Json& request, ControlServer::Reply reply) {
                                               ++handled;
                                               if (request["command"] == "later")
                                                 later = std::move(reply);
                                               else
                                                 reply({{"echo", request["command"]}});
                                             });
  }
  void run() {
    io.restart();
    for (int i = 0; i < 3; ++i) io.poll();
  }
  pfkey::Fd connect() {
    auto fd = pfkey::connect_to(path);
    REQUIRE(fd);
    return std::move(*fd);
  }
  void send(const pfkey::Fd& fd, std::string_view text) {
    REQUIRE(pfkey::send(fd.get(), ByteView(reinterpret_cast<const Byte*>(text.data()), text.size())));
    run();
  }
  std::string receive(const pfkey::Fd& fd) {
    Bytes packet;
    auto got = pfkey::receive(fd.get(), packet, 1 << 18);
    if (!got || *got != pfkey::Received::kMessage) return "";
    return {packet.begin(), packet.end()};
  }
  std::string ask(const pfkey::Fd& fd, std::string_view text) {
    send(fd, text);
    return receive(fd);
  }
};

}  // namespace

TEST_CASE("the control socket answers one request after the other, for its owner alone") {
  Rig r;
  struct stat st {};
  REQUIRE(::stat(r.path.c_str(), &st) == 0);
  CHECK((st.st_mode & 0777) == 0600);
  const auto fd = r.connect();
  CHECK(r.ask(fd, R"({"command":"a"})") == R"({"echo":"a"})");
  CHECK(r.ask(fd, R"({"command":"b"})") == R"({"echo":"b"})");
}

TEST_CASE("requests that are none, too long or too deep are answered with an error, and the client may go on") {
  Rig r;
  const auto fd = r.connect();
  const std::string deep(4000, '[');
  for (const std::string& wrong : {std::string("x"), std::string("[]"), std::string("{}"), std::string("{\"command\":5}"),
                                   std::string("\xff\xfe\x00", 3), deep, std::string(5000, ' ')})
    CHECK(r.ask(fd, wrong).find("error") != std::string::npos);
  CHECK(r.handled == 0);
  CHECK(r.ask(fd, R"({"command":"\u0000\ud800"})").find("echo") == std::string::npos);
  CHECK(r.ask(fd, R"({"command":"ok"})") == R"({"echo":"ok"})");
}

TEST_CASE("a client that sends and never reads has one request handled at a time and stops nobody else") {
  Rig r;
  const auto hog = r.connect(), good = r.connect();
  int sent = 0;
  constexpr std::string_view kRequest = R"({"command":"fill"})";
  for (bool full = false; !full; r.run()) {
    const auto status = pfkey::send(hog.get(), ByteView(reinterpret_cast<const Byte*>(kRequest.data()), kRequest.size()));
    full = !status;
    sent += full ? 0 : 1;
    REQUIRE(sent < 1000000);
  }
  CHECK(r.handled < sent);  // the rest waits in the client's own socket
  const int before = r.handled;
  CHECK(r.ask(good, R"({"command":"x"})") == R"({"echo":"x"})");
  CHECK(r.handled == before + 1);
}

TEST_CASE("clients beyond the bound are turned away, and a place that becomes free is taken again") {
  Rig r;
  std::vector<pfkey::Fd> clients;
  for (std::size_t i = 0; i < ControlServer::kClientsMax + 5; ++i) {
    clients.push_back(r.connect());
    r.run();
  }
  CHECK(r.server->num_clients() == ControlServer::kClientsMax);
  CHECK(r.ask(clients[0], R"({"command":"x"})") == R"({"echo":"x"})");
  clients.clear();
  r.run();
  CHECK(r.server->num_clients() == 0);
  const auto fd = r.connect();
  CHECK(r.ask(fd, R"({"command":"x"})") == R"({"echo":"x"})");
}

TEST_CASE("an answer that comes later finds its client, and does no harm when that is gone") {
  Rig r;
  auto fd = r.connect();
  CHECK(r.ask(fd, R"({"command":"later"})").empty());
  r.later({{"done", true}});
  CHECK(r.receive(fd) == R"({"done":true})");
  CHECK(r.ask(fd, R"({"command":"later"})").empty());
  fd.reset();
  r.run();
  r.later({{"done", true}});
  r.run();
}

TEST_CASE("a client that follows the log gets what was kept and what comes; a slow one loses the oldest and is told") {
  Rig r;
  for (std::size_t i = 0; i < ControlServer::kLinesKept + 50; ++i) r.server->log("old " + std::to_string(i));
  const auto fd = r.connect();
  r.send(fd, R"({"command":"log"})");
  CHECK(r.receive(fd) == R"({"line":"old 50"})");
  std::string last;
  for (std::string line = "x"; !line.empty(); line = r.receive(fd)) last = line;
  CHECK(last == R"({"line":"old 249"})");
  r.server->log("new \"quoted\"");
  CHECK(r.receive(fd) == R"({"line":"new \"quoted\""})");
  for (int i = 0; i < 100000; ++i) r.server->log("flood " + std::to_string(i));
  long got = 0, lost = 0;
  for (;;) {
    const std::string packet = r.receive(fd);
    if (packet.empty()) break;
    r.run();
    const Json json = Json::parse(packet);
    if (json.contains("lost")) lost += json["lost"].get<long>() + 1;
    else ++got;
  }
  CHECK(lost > 0);
  CHECK(got + lost == 100000);
}

TEST_CASE("messages between processes carry text and a descriptor, and the end of the other is told") {
  auto ends = message_pair();
  REQUIRE(ends);
  auto memory = text_to_fd("a = 1\n");
  REQUIRE(memory);
  REQUIRE(send_message(ends->first.get(), "config /etc/x", memory->get()));
  auto message = wait_message(ends->second.get(), std::chrono::milliseconds(1000));
  REQUIRE(message);
  CHECK(message->text == "config /etc/x");
  auto text = text_from_fd(message->fd.get(), 100);
  REQUIRE(text);
  CHECK(*text == "a = 1\n");
  CHECK(!text_from_fd(message->fd.get(), 3));
  CHECK(::write(message->fd.get(), "b", 1) < 0);  // sealed
  CHECK(!wait_message(ends->second.get(), std::chrono::milliseconds(10)));
  CHECK(from_reply(to_reply(ok())));
  const Status back = from_reply(to_reply(Error{Errc::kPermission, "no way"}));
  REQUIRE(!back);
  CHECK(back.error().code == Errc::kPermission);
  CHECK(back.error().detail == "no way");
  CHECK(!from_reply("error 4711 x"));
  CHECK(!from_reply("nonsense"));
  ends->first.reset();
  CHECK(!take_message(ends->second.get()));
}

TEST_CASE("key files are written in Wireshark's words, and only where the parent gave a file") {
  const Folder folder;
  Keylog none;
  CHECK(!none.active());
  none.main_mode(Cookie{1}, Bytes(8, 1));
  Keylog log;
  const auto file = [&](const char* name) {
    return pfkey::Fd(::open((folder / name).c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600));
  };
  log.set_file("ikev1_decryption_table", file("ike"));
  log.set_file("esp_sa", file("esp"));
  CHECK(log.active());
  log.main_mode(Cookie{1, 2, 3, 4, 5, 6, 7, 8}, Bytes{0xaa, 0xbb});
  CHECK(read_file(folder / "ike") == "0102030405060708,aabb\n");
  esp::SaParams sa;
  sa.spi = 0x1234;
  sa.enc_key = Secret(Bytes(24, 0x11));
  sa.auth_key = Secret(Bytes(20, 0x22));
  log.sa(sa);
  CHECK(read_file(folder / "esp").starts_with(R"("IPv4","0.0.0.0","0.0.0.0","0x00001234","TripleDES-CBC [RFC2451]","0x1111)"));
}

namespace {

// What log lines look like, caught by the observer.
std::vector<std::string> lines_of(LogFormat format, const std::function<void()>& body) {
  std::vector<std::string> lines;
  log_setup("test", LogLevel::kDebug, format);
  log_observe([&](std::string_view line) { lines.emplace_back(line); });
  body();
  log_observe({});
  log_setup("test", LogLevel::kError);
  return lines;
}

}  // namespace

TEST_CASE("a log line is one line of bounded ASCII whatever is in it, as text and as JSON") {
  const std::string hostile = std::string("a\nb\x1b[31m\"\\ \xff") + '\0' + " end";
  const auto say = [&] { log_warn("peer says {}", hostile); };
  const auto text = lines_of(LogFormat::kText, say);
  REQUIRE(text.size() == 1);
  CHECK(text[0].find("peer says a\\x0ab\\x1b[31m\"\\ \\xff\\x00") != std::string::npos);
  const auto json = lines_of(LogFormat::kJson, say);
  REQUIRE(json.size() == 1);
  const Json parsed = Json::parse(json[0]);
  CHECK(parsed["level"] == "warn");
  CHECK(parsed["part"] == "test");
  CHECK(parsed["text"].get<std::string>().starts_with("peer says a\nb\x1b[31m\"\\ "));
  for (const auto& line : {text[0], json[0]})
    for (const char c : line) CHECK((c >= 0x20 && c < 0x7f));
  const auto long_line = lines_of(LogFormat::kJson, [] { log_info("{}", std::string(100000, 'x')); });
  CHECK(Json::parse(long_line[0])["text"].get<std::string>().size() == 4003);
}
