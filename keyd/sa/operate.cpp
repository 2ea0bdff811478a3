// The operator's part of the engine: what there is, start, end and renew by name, and a new configuration.
#include <fmt/format.h>

#include <algorithm>

#include "keyd/sa/engine.h"

namespace esplanade::ike {
namespace {

bool is_named(const Core::ConfiguredChild& c, std::string_view connection, std::string_view child) {
  return c.connection->name == connection && (child.empty() || c.child->name == child);
}

std::shared_ptr<const Connection> find_connection(const Config& config, const std::string& name) {
  const auto it = std::ranges::find_if(config.connections, [&](const auto& c) { return c->name == name; });
  return it == config.connections.end() ? nullptr : *it;
}

// The child of the new configuration that takes over a pair of SAs: same names, same two ends. Null: none.
const ChildConfig* heir(const ChildSa& sa, const Connection* connection) {
  if (connection == nullptr || connection->local != sa.local) return nullptr;
  if (connection->remote && *connection->remote != sa.remote) return nullptr;
  const auto it = std::ranges::find(connection->children, sa.child->name, &ChildConfig::name);
  return it == connection->children.end() ? nullptr : &*it;
}

}  // namespace

std::vector<MainModeView> Engine::view_main_modes(Time now) {
  std::vector<MainModeView> out;
  for (const std::uint64_t number : core_.mm_numbers()) {
    const MmSa& mm = *core_.find_mm(number);
    MainModeView v;
    v.number = number;
    v.connection = mm.connection->name;
    v.path = mm.path;
    v.cky_i = mm.cookies.first;
    v.cky_r = mm.cookies.second;
    v.initiator = mm.initiator;
    v.established = mm.established;
    v.nat = mm.nat();
    v.suite = mm.established ? to_string(mm.suite) : "-";
    v.peer_id = mm.peer_id ? to_string(*mm.peer_id) : "-";
    if (const auto at = core_.timers.at({TimerKey::Kind::kMmExpire, number, 0}))
      v.expires_in = std::max(*at - now, Time{0});
    out.push_back(std::move(v));
  }
  return out;
}

std::vector<ChildView> Engine::view_children() const {
  std::vector<ChildView> out;
  for (const auto& [spi_in, c] : core_.children)
    out.push_back({c.connection->name, c.child->name, c.protocol, spi_in, c.spi_out, c.local, c.remote,
                   to_string(c.peer_id), c.initiator, c.rekeying, c.ah ? c.ah->in : 0, c.ah ? c.ah->out : 0});
  return out;
}

Result<std::size_t> Engine::initiate(std::string_view connection, std::string_view child, Time now) {
  core_.now = now;
  std::size_t count = 0;
  bool any_peer = false;
  for (const Core::ConfiguredChild& c : core_.configured) {
    if (!is_named(c, connection, child)) continue;
    any_peer = any_peer || !c.connection->remote;
    if (!c.connection->remote) continue;
    start_child(c, *c.connection->remote, std::nullopt);
    ++count;
  }
  if (any_peer) return Error{Errc::kState, "the connection is for any peer: it can only answer"};
  if (count == 0) return Error{Errc::kState, "no such connection or child"};
  return count;
}

Result<std::size_t> Engine::terminate(std::string_view connection, std::string_view child, Time now) {
  core_.now = now;
  if (std::ranges::none_of(core_.configured, [&](const auto& c) { return is_named(c, connection, child); }))
    return Error{Errc::kState, "no such connection or child"};
  std::size_t count = end_children([&](const ChildSa& c) {
    return is_named({c.connection, c.child}, connection, child);
  }, "ended by the operator");
  if (child.empty())
    count += end_main_modes([&](const MmSa& mm) { return mm.connection->name == connection; },
                            "ended by the operator");
  // What the operator ended stays down until something asks for it again.
  for (std::size_t i = 0; i < core_.configured.size(); ++i)
    if (is_named(core_.configured[i], connection, child))
      core_.timers.cancel({TimerKey::Kind::kStartChild, i, 0});
  return count;
}

Result<std::size_t> Engine::rekey(std::string_view connection, std::string_view child, Time now) {
  core_.now = now;
  std::vector<std::uint32_t> spis;
  for (const auto& [spi_in, c] : core_.children)
    if (is_named({c.connection, c.child}, connection, child)) spis.push_back(spi_in);
  if (spis.empty()) return Error{Errc::kState, "no SAs of such a connection or child"};
  for (const std::uint32_t spi : spis) on_expire(spi, false, now);
  return spis.size();
}

std::size_t Engine::end_children(const std::function<bool(const ChildSa&)>& which, const std::string& why) {
  std::map<std::pair<MmSa*, esp::Protocol>, std::vector<std::uint32_t>> by_mm;
  std::vector<std::uint32_t> spis;
  for (const auto& [spi_in, c] : core_.children) {
    if (!which(c)) continue;
    spis.push_back(spi_in);
    MmSa* mm = core_.find_established(*c.connection, c.remote);
    if (mm == nullptr) continue;
    by_mm[{mm, c.protocol}].push_back(spi_in);
    if (c.ah) by_mm[{mm, esp::Protocol::kAh}].push_back(c.ah->in);
  }
  for (const auto& [key, of_mm] : by_mm) info_.send_delete_sas(*key.first, key.second, of_mm);
  for (const std::uint32_t spi : spis) core_.remove_child(spi, why);
  return spis.size();
}

template <class F>
std::size_t Engine::end_main_modes(F&& which, const std::string& why) {
  std::size_t count = 0;
  for (const std::uint64_t number : core_.mm_numbers()) {
    MmSa* mm = core_.find_mm(number);
    if (mm == nullptr || !which(*mm)) continue;
    if (mm->established) info_.send_delete_mm(*mm);
    core_.remove_mm(*mm, why);
    ++count;
  }
  return count;
}

void Engine::reload(std::shared_ptr<const Config> next, Time now) {
  core_.now = now;
  auto merged = std::make_shared<Config>(*next);
  // A connection with equal content stays the object that it was: its SAs know it by that.
  for (auto& c : merged->connections)
    if (auto old = find_connection(*core_.config, c->name); old && old->source == c->source) c = old;
  const auto stays = [&](const std::shared_ptr<const Connection>& c) {
    return std::ranges::find(merged->connections, c) != merged->connections.end();
  };
  end_children([&](const ChildSa& c) {
    return !stays(c.connection) && heir(c, find_connection(*merged, c.connection->name).get()) == nullptr;
  }, "no longer configured");
  end_main_modes([&](const MmSa& mm) { return !stays(mm.connection); }, "its configuration changed");
  // Pairs of changed connections carry traffic until their renewal, which follows the new words.
  for (auto& [spi_in, c] : core_.children) {
    if (stays(c.connection)) continue;
    auto connection = find_connection(*merged, c.connection->name);
    c.child = heir(c, connection.get());
    c.connection = std::move(connection);
    c.rekeying = false;
    dpd_.watch(c.connection, c.remote);
  }
  for (std::size_t i = 0; i < core_.configured.size(); ++i)
    core_.timers.cancel({TimerKey::Kind::kStartChild, i, 0});
  core_.configured.clear();
  for (const auto& connection : merged->connections)
    for (const ChildConfig& child : connection->children) core_.configured.push_back({connection, &child});
  core_.config = std::move(merged);
  const IkeLimits& limits = core_.config->limits;
  core_.sources = SourceRates(limits.source_rate, limits.source_burst, limits.sources_max);
  for (const Core::ConfiguredChild& c : core_.configured) {
    const bool up =
        std::ranges::any_of(core_.children, [&](const auto& e) { return e.second.child == c.child; });
    if (c.child->start == StartAction::kStart && !up) start_child(c, *c.connection->remote, std::nullopt);
  }
}

}  // namespace esplanade::ike
