// The Unix sockets: mode, stale files, one owner a path, packets kept whole.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "common/pfkey/socket.h"

using namespace esplanade;
using namespace esplanade::pfkey;

namespace {
struct Folder {
  Folder() {
    char name[] = "/tmp/esplanade-socket-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};
}  // namespace

TEST_CASE("socket: file has mode 0600 whatever the umask, and goes with the listener") {
  const Folder folder;
  const std::string path = folder.path + "/s";
  {
    const mode_t old = ::umask(0);
    const auto listener = Listener::create(path);
    ::umask(old);
    REQUIRE(listener);
    struct stat info {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 07777) == 0600);
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("socket: packets pass whole, in both directions, until one end closes") {
  const Folder folder;
  auto listener = Listener::create(folder.path + "/s");
  REQUIRE(listener);
  auto none = listener->accept();
  REQUIRE(none);
  CHECK_FALSE(none->has_value());
  auto client = connect_to(folder.path + "/s");
  REQUIRE(client);
  auto accepted = listener->accept();
  REQUIRE(accepted);
  REQUIRE(accepted->has_value());
  const int server = (*accepted)->get();
  const Bytes one(100, Byte{1});
  const Bytes two(50, Byte{2});
  REQUIRE(send(client->get(), one));
  REQUIRE(send(client->get(), two));
  Bytes got;
  auto result = receive(server, got, 4096);
  REQUIRE(result);
  CHECK(*result == Received::kMessage);
  CHECK(got == one);
  REQUIRE(receive(server, got, 4096));
  CHECK(got == two);
  result = receive(server, got, 4096);
  REQUIRE(result);
  CHECK(*result == Received::kNothing);
  REQUIRE(send(server, two));
  result = receive(client->get(), got, 49);
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Errc::kBadLength);
  client->reset();
  result = receive(server, got, 4096);
  REQUIRE(result);
  CHECK(*result == Received::kClosed);
  CHECK_FALSE(send(server, one));
}

TEST_CASE("socket: a reader that does not read is told apart from a broken connection") {
  const Folder folder;
  auto listener = Listener::create(folder.path + "/s");
  REQUIRE(listener);
  auto client = connect_to(folder.path + "/s");
  REQUIRE(client);
  const Bytes big(4096);
  Status sent = ok();
  for (int i = 0; i < 100000 && sent; ++i) sent = send(client->get(), big);
  REQUIRE_FALSE(sent);
  CHECK(sent.error().code == Errc::kRingFull);
}

TEST_CASE("socket: a path in use is refused, a stale one taken over, a file left alone") {
  const Folder folder;
  const std::string path = folder.path + "/s";
  {
    const auto first = Listener::create(path);
    REQUIRE(first);
    const auto second = Listener::create(path);
    REQUIRE_FALSE(second);
    CHECK(second.error().code == Errc::kState);
    CHECK(std::filesystem::exists(path));
    // What a process that was killed leaves behind: a socket file that nobody listens on.
    std::filesystem::create_hard_link(path, folder.path + "/stale");
  }
  CHECK(Listener::create(folder.path + "/stale"));
  const int fd = ::open((folder.path + "/file").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  REQUIRE(fd >= 0);
  ::close(fd);
  CHECK_FALSE(Listener::create(folder.path + "/file"));
  CHECK(std::filesystem::exists(folder.path + "/file"));
}

TEST_CASE("socket: impossible paths are refused with their name") {
  CHECK_FALSE(Listener::create(""));
  CHECK_FALSE(Listener::create("/tmp/" + std::string(103, 'x')));
  const auto gone = connect_to("/nonexistent/s");
  REQUIRE_FALSE(gone);
  CHECK(gone.error().detail.find("/nonexistent/s") != std::string::npos);
}
