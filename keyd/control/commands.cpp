#include "keyd/control/commands.h"

#include <fmt/format.h>

#include "common/base/log.h"

namespace esplanade::ike {
namespace {

Json wrong(std::string_view why) { return {{"error", why}}; }

Json to_json(const MainModeView& v) {
  return {{"kind", "main-mode"},
          {"connection", v.connection},
          {"state", v.established ? "established" : "negotiating"},
          {"role", v.initiator ? "initiator" : "responder"},
          {"local", to_string(v.path.local)},
          {"remote", to_string(v.path.remote)},
          {"peer_id", printable(v.peer_id)},
          {"suite", v.suite},
          {"nat", v.nat},
          {"cky_i", to_hex(v.cky_i)},
          {"cky_r", to_hex(v.cky_r)},
          {"expires_s", v.expires_in ? Json(v.expires_in->count() / 1000) : Json()}};
}

Json to_json(const ChildView& v) {
  Json out{{"kind", "child"},
          {"connection", v.connection},
          {"child", v.child},
          {"protocol", v.ah_spi_in != 0 ? "ah+esp" : v.protocol == esp::Protocol::kEsp ? "esp" : "ah"},
          {"role", v.initiator ? "initiator" : "responder"},
          {"spi_in", fmt::format("{:08x}", v.spi_in)},
          {"spi_out", fmt::format("{:08x}", v.spi_out)},
          {"local", esp::to_string(v.local)},
          {"remote", esp::to_string(v.remote)},
          {"peer_id", printable(v.peer_id)},
          {"rekeying", v.rekeying}};
  if (v.ah_spi_in != 0) {
    out["ah_spi_in"] = fmt::format("{:08x}", v.ah_spi_in);
    out["ah_spi_out"] = fmt::format("{:08x}", v.ah_spi_out);
  }
  return out;
}

Json list(Engine& engine, std::size_t offset, Time now) {
  const auto main_modes = engine.view_main_modes(now);
  const auto children = engine.view_children();
  const std::size_t total = main_modes.size() + children.size();
  Json page = Json::array();
  for (std::size_t i = offset; i < total && page.size() < kListPage; ++i)
    page.push_back(i < main_modes.size() ? to_json(main_modes[i]) : to_json(children[i - main_modes.size()]));
  return {{"total", total}, {"offset", offset}, {"sas", std::move(page)}};
}

Json stats(Engine& engine, Time now, const DaemonFacts& facts) {
  const Counters& c = engine.counters();
  Json out{{"uptime_s", (now - facts.started).count() / 1000},
           {"main_modes", engine.num_main_modes()},
           {"children", engine.children().size()},
           {"counters",
            {{"datagrams", c.datagrams},
             {"malformed", c.malformed},
             {"unknown_sa", c.unknown_sa},
             {"unexpected", c.unexpected},
             {"bad_crypto", c.bad_crypto},
             {"duplicates", c.duplicates},
             {"retransmits", c.retransmits},
             {"half_open_refused", c.half_open_refused},
             {"rate_limited", c.rate_limited},
             {"cookies_asked", c.cookies_asked},
             {"cookies_proved", c.cookies_proved},
             {"cookies_wrong", c.cookies_wrong},
             {"peer_limit", c.peer_limit},
             {"unanswered", c.unanswered},
             {"fragments", c.fragments},
             {"fragments_duplicate", c.fragments_duplicate},
             {"fragments_refused", c.fragments_refused},
             {"fragments_expired", c.fragments_expired},
             {"fragmented_sent", c.fragmented_sent},
             {"dpd_probes", c.dpd_probes},
             {"dead_peers", c.dead_peers},
             {"one_way_renewed", c.one_way_renewed},
             {"moved", c.moved},
             {"main_modes", c.main_modes},
             {"quick_modes", c.quick_modes}}}};
  if (facts.keylog) out["warning"] = "INSECURE: keys are written to files (--insecure-keylog)";
  return out;
}

Json counted(const Result<std::size_t>& result) {
  return result ? Json{{"done", true}, {"count", *result}} : wrong(result.error().detail);
}

// Absent: "". Errors: not text.
Result<std::string> name(const Json& request, const char* key) {
  const auto it = request.find(key);
  if (it == request.end()) return std::string();
  if (!it->is_string()) return Error{Errc::kMalformed, fmt::format("\"{}\" is not text", key)};
  return it->get<std::string>();
}

}  // namespace

bool is_reload(const Json& request) { return request["command"] == "reload"; }

Json status_json(const Status& status) {
  return status ? Json{{"done", true}} : wrong(status.error().detail);
}

Json execute_command(Engine& engine, const Json& request, Time now, const DaemonFacts& facts) {
  const auto& command = request["command"].get_ref<const std::string&>();
  if (command == "stats") return stats(engine, now, facts);
  if (command == "list") {
    const auto offset = request.find("offset");
    if (offset != request.end() && !offset->is_number_unsigned()) return wrong("\"offset\" is not a number from 0");
    return list(engine, offset == request.end() ? 0 : offset->get<std::size_t>(), now);
  }
  const auto connection = name(request, "connection");
  const auto child = name(request, "child");
  if (!connection) return wrong(connection.error().detail);
  if (!child) return wrong(child.error().detail);
  if (command == "initiate") return counted(engine.initiate(*connection, *child, now));
  if (command == "terminate") return counted(engine.terminate(*connection, *child, now));
  if (command == "rekey") return counted(engine.rekey(*connection, *child, now));
  return wrong("the command is not known");
}

}  // namespace esplanade::ike
