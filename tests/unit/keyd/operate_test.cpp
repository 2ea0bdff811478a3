// The operator's commands on the engine, reloading, and the JSON of the control socket.
#include <doctest/doctest.h>

#include "keyd/control/commands.h"
#include "tests/unit/keyd/world.h"

using namespace esplanade;
using namespace esplanade::ike;
using namespace esplanade::ike::test;

namespace {

constexpr auto kSecond = Time(1000);

std::shared_ptr<const Config> config_of(bool left, const Setup& s) {
  return std::make_shared<const Config>(make_config(left, s));
}

// Lets the world do what a node wants: an empty datagram changes nothing.
void pump(World& w, Node& n) { w.inject(n, {}); }

void reload(World& w, Node& n, const Setup& s) {
  n.engine->reload(config_of(n.name == "left", s), w.now());
  pump(w, n);
}

// Both ends up, by the left side's start_action.
std::unique_ptr<World> running(Setup left = {}, Setup right = {}) {
  left.start = "start";
  auto w = std::make_unique<World>(7, left, right);
  w->start();
  REQUIRE(w->run(30 * kSecond, [&] { return w->up(); }));
  return w;
}

std::vector<std::uint32_t> spis(const Node& n) {
  std::vector<std::uint32_t> out;
  for (const auto& [spi, child] : n.engine->children()) out.push_back(spi);
  return out;
}

Setup started(const std::string& extra = "") {
  Setup s;
  s.start = "start";
  s.extra = extra;
  return s;
}

}  // namespace

TEST_CASE("an operator initiates by name, and unknown names or peers without address are refused") {
  World w(1, {}, {});
  w.start();
  CHECK(!w.left().engine->initiate("nobody", "", w.now()));
  CHECK(!w.left().engine->initiate("peer", "nothing", w.now()));
  REQUIRE(w.left().engine->initiate("peer", "net", w.now()));
  pump(w, w.left());
  CHECK(w.run(30 * kSecond, [&] { return w.up(); }));
}

TEST_CASE("an operator sees both SPIs of a bundle of AH and ESP, and ends all of it at both ends") {
  Setup s;
  s.child_extra = "ah_proposals = \"sha1\"\nbundle = true\n";
  auto w = running(s, s);
  REQUIRE(w->left().sas.size() == 4);
  const Json listed = execute_command(*w->left().engine, {{"command", "list"}}, w->now(), {});
  const Json& child = listed["sas"].back();
  CHECK(child["protocol"] == "ah+esp");
  for (const char* key : {"spi_in", "ah_spi_in"}) {
    const auto spi = static_cast<std::uint32_t>(std::stoul(child[key].get<std::string>(), nullptr, 16));
    CHECK(w->left().sas.contains({false, spi}));
  }
  REQUIRE(w->left().engine->terminate("peer", "net", w->now()));
  pump(*w, w->left());
  w->run(5 * kSecond);
  CHECK(w->left().sas.empty());
  CHECK(w->right().sas.empty());
}

TEST_CASE("after a reload that changes a connection the peer of its pairs is still watched") {
  auto w = running();
  reload(*w, w->left(), started("dpd_delay = 7\ndpd_timeout = 20\n"));
  CHECK(w->left().engine->children().size() == 1);
  w->run(40 * kSecond);  // a look by the old words
  CHECK(w->left().engine->sizes().watched == 1);
  // It is found dead by the new ones.
  w->tap = [](const Node&, Bytes&) { return false; };
  for (auto& [key, held] : w->left().sas)
    if (key.first) ++held.packets;
  w->run(60 * kSecond);
  CHECK(w->left().engine->counters().dead_peers == 1);
}

TEST_CASE("an operator ends a child at both ends, and main mode with it when no child is named") {
  auto w = running();
  const auto child = w->left().engine->terminate("peer", "net", w->now());
  REQUIRE(child);
  CHECK(*child == 1);
  pump(*w, w->left());
  w->run(5 * kSecond);
  CHECK(w->left().sas.empty());
  CHECK(w->right().sas.empty());
  CHECK(w->right().engine->num_main_modes() == 1);
  REQUIRE(w->left().engine->terminate("peer", "", w->now()));
  pump(*w, w->left());
  w->run(5 * kSecond);
  CHECK(w->left().engine->num_main_modes() == 0);
  CHECK(w->right().engine->num_main_modes() == 0);
  w->run(60 * kSecond);
  CHECK(w->left().sas.empty());  // start_action does not undo what the operator wants
}

TEST_CASE("an operator renews a pair of SAs") {
  auto w = running();
  const auto before = spis(w->left());
  REQUIRE(w->left().engine->rekey("peer", "net", w->now()));
  pump(*w, w->left());
  w->run(5 * kSecond);
  CHECK(spis(w->left()).size() == 2);
  CHECK(w->left().engine->counters().main_modes == 1);
  CHECK(!w->left().engine->rekey("peer", "other", w->now()));
}

TEST_CASE("a reload without changes leaves every SA and every negotiation as it is") {
  auto w = running();
  const auto before = spis(w->left());
  const auto sent = w->left().sent;
  reload(*w, w->left(), started());
  w->run(30 * kSecond);
  CHECK(spis(w->left()) == before);
  CHECK(w->left().engine->num_main_modes() == 1);
  CHECK(w->left().sent == sent);
  w->expire(w->left(), before[0], false);
  w->run(5 * kSecond);
  CHECK(w->left().engine->counters().main_modes == 1);
}

TEST_CASE("a changed connection keeps its pair until the next need, which negotiates anew from main mode on") {
  auto w = running();
  const auto before = spis(w->left());
  reload(*w, w->left(), started("life_time = \"2h\""));
  w->run(5 * kSecond);
  CHECK(w->left().engine->num_main_modes() == 0);
  CHECK(w->right().engine->num_main_modes() == 0);  // by a Delete message
  CHECK(spis(w->left()) == before);
  CHECK(w->matched());
  w->expire(w->left(), before[0], false);
  w->run(5 * kSecond);
  CHECK(spis(w->left()).size() == 2);
  CHECK(w->left().engine->counters().main_modes == 2);
  const auto views = w->left().engine->view_main_modes(w->now());
  REQUIRE(views.size() == 1);
  CHECK(views[0].expires_in <= std::chrono::hours(2));
  CHECK(views[0].expires_in > std::chrono::minutes(90));
}

TEST_CASE("what is no longer configured is deleted at both ends") {
  auto w = running();
  Setup other;
  auto next = make_config(true, other);
  auto renamed = std::make_shared<Connection>(*next.connections[0]);
  renamed->name = "another";
  renamed->source += "another";
  next.connections = {renamed};
  w->left().engine->reload(std::make_shared<const Config>(next), w->now());
  pump(*w, w->left());
  w->run(5 * kSecond);
  CHECK(w->left().sas.empty());
  CHECK(w->right().sas.empty());
  CHECK(w->left().engine->num_main_modes() == 0);
  CHECK(w->right().engine->num_main_modes() == 0);
}

TEST_CASE("a reload in the middle of negotiations leaves no state of the old words, at any moment") {
  for (int steps = 0; steps < 24; ++steps) {
    CAPTURE(steps);
    World w(11, started(), {});
    w.start();
    w.run(Time(steps));
    reload(w, w.left(), started("life_time = \"3h\""));
    CHECK(w.run(60 * kSecond, [&] { return w.newest_up(); }));
    CHECK(w.no_unequal_keys());
    for (const auto& [spi, child] : w.left().engine->children())
      CHECK(child.connection->life == std::chrono::hours(3));
  }
}

TEST_CASE("the control commands answer in JSON, and mistakes are told") {
  auto w = running();
  Engine& engine = *w->left().engine;
  const auto run = [&](const Json& request) { return execute_command(engine, request, w->now(), {}); };
  const Json list = run({{"command", "list"}});
  CHECK(list["total"] == 2);
  CHECK(list["sas"][0]["kind"] == "main-mode");
  CHECK(list["sas"][0]["state"] == "established");
  CHECK(list["sas"][1]["child"] == "net");
  CHECK(run({{"command", "list"}, {"offset", 1U}})["sas"].size() == 1);
  CHECK(run({{"command", "list"}, {"offset", 5U}})["sas"].empty());
  CHECK(run({{"command", "stats"}})["counters"]["quick_modes"] == 1);
  CHECK(!run({{"command", "stats"}}).contains("warning"));
  CHECK(execute_command(engine, {{"command", "stats"}}, w->now(), {Time{0}, true}).contains("warning"));
  for (const Json& wrong : {Json{{"command", "list"}, {"offset", -1}}, Json{{"command", "list"}, {"offset", "x"}},
                            Json{{"command", "nonsense"}}, Json{{"command", "initiate"}},
                            Json{{"command", "initiate"}, {"connection", 5}},
                            Json{{"command", "rekey"}, {"connection", "peer"}, {"child", Json::array()}}})
    CHECK(run(wrong).contains("error"));
}
