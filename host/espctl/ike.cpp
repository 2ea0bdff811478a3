#include "host/espctl/ike.h"

#include <fmt/format.h>

#include <cstdio>

#include "common/base/log.h"
#include "host/espctl/tables.h"

namespace esplanade::espctl {
namespace {

constexpr Daemon kKeyd{"keyd", "keyd"};

std::string given(const CLI::App& app) {
  for (const CLI::App* sub : app.get_subcommands()) return sub->get_name();
  return "";
}

void print_json(const Json& json, int indent) {
  fmt::print("{}\n", json.dump(indent, ' ', false, Json::error_handler_t::replace));
}

int fail(const Error& error) {
  fmt::print(stderr, "espctl: {}\n", error.detail);
  return 1;
}

Json request_for(const std::string& command, const std::string& what) {
  Json request{{"command", command}};
  if (what.empty()) return request;
  const auto slash = what.find('/');
  request["connection"] = what.substr(0, slash);
  if (slash != what.npos) request["child"] = what.substr(slash + 1);
  return request;
}

int follow_log(const IkeCommand& command, bool json) {
  auto status = follow(command.socket, {{"command", "log"}}, kKeyd, [json](const Json& packet) {
    if (json) {
      print_json(packet, -1);
    } else if (const auto line = packet.find("line"); line != packet.end() && line->is_string()) {
      fmt::print("{}\n", printable(line->get_ref<const std::string&>(), 8000));
    } else {
      fmt::print("... {} lines lost\n", number(packet, "lost"));
    }
    std::fflush(stdout);
  });
  return status ? 0 : fail(status.error());
}

}  // namespace

void add_ike(CLI::App& app, IkeCommand& command) {
  command.app = app.add_subcommand("ike", "the IKE daemon keyd: what it has negotiated, and commands to it");
  command.app->add_option("--socket", command.socket, "control socket of keyd")->capture_default_str();
  command.app->require_subcommand(1);
  command.app->fallthrough();
  command.app->add_subcommand("list", "main mode SAs and the pairs of IPsec SAs under them");
  command.app->add_subcommand("stats", "counters");
  command.app->add_subcommand("log", "the log, and what comes; ends with Ctrl-C");
  command.app->add_subcommand("reload", "reads configuration and secrets anew, as SIGHUP does");
  for (const auto& [name, help] : {std::pair{"initiate", "negotiates the children of a connection, or one"},
                                   std::pair{"terminate", "deletes the SAs of a connection, or of one child"},
                                   std::pair{"rekey", "renews the pairs of SAs of a connection, or of one child"}})
    command.app->add_subcommand(name, help)
        ->add_option("NAME", command.what, "CONNECTION or CONNECTION/CHILD")
        ->required();
}

int run_ike(const IkeCommand& command, bool json) {
  const std::string name = given(*command.app);
  if (name == "log") return follow_log(command, json);
  const auto answer = name == "list" ? ask_sas(command.socket, "list", kKeyd)
                                     : ask(command.socket, request_for(name, command.what), kKeyd);
  if (!answer) return fail(answer.error());
  if (json) {
    print_json(*answer, 2);
  } else if (name == "list") {
    fmt::print("{}", ike_list_table(*answer));
  } else if (name == "stats") {
    fmt::print("{}", ike_stats_table(*answer));
  } else {
    const auto count = answer->find("count");
    fmt::print("{}: done{}\n", name, count == answer->end() ? "" : fmt::format(", {}", text(*answer, "count")));
  }
  return 0;
}

std::string ike_list_table(const Json& s) {
  std::vector<Row> mains{{"CONNECTION", "STATE", "ROLE", "LOCAL", "REMOTE", "PEER", "SUITE", "NAT", "EXPIRES/s"}};
  std::vector<Row> children{
      {"CHILD", "PROTOCOL", "SPI IN", "SPI OUT", "LOCAL", "REMOTE", "PEER", "ROLE", "REKEYING"}};
  for (const Json& sa : part(s, "sas")) {
    if (text(sa, "kind") == "main-mode") {
      mains.push_back({text(sa, "connection"), text(sa, "state"), text(sa, "role"), text(sa, "local"),
                       text(sa, "remote"), text(sa, "peer_id"), text(sa, "suite"), yes_no(sa, "nat"),
                       text(sa, "expires_s")});
    } else {
      children.push_back({text(sa, "connection") + "/" + text(sa, "child"), text(sa, "protocol"),
                          text(sa, "spi_in"), text(sa, "spi_out"), text(sa, "local"), text(sa, "remote"),
                          text(sa, "peer_id"), text(sa, "role"), yes_no(sa, "rekeying")});
    }
  }
  return (mains.size() == 1 ? "no main mode SAs\n" : columns(mains)) + "\n" +
         (children.size() == 1 ? "no IPsec SAs\n" : columns(children));
}

std::string ike_stats_table(const Json& s) {
  std::string out;
  if (s.contains("warning")) out += text(s, "warning") + "\n\n";
  for (const char* key : {"uptime_s", "main_modes", "children"}) out += line(key, text(s, key));
  return out + "\n" + counters(part(s, "counters"), "");
}

}  // namespace esplanade::espctl
