#include "host/espctl/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "common/base/log.h"

namespace esplanade::espctl {

std::uint64_t number(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::string text(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return "-";
  if (found->is_string()) return printable(found->get_ref<const std::string&>());
  if (found->is_number() || found->is_boolean()) return found->dump();
  return "-";
}

const Json& part(const Json& object, const char* key) {
  static const Json kEmpty = Json::object();
  const auto found = object.find(key);
  return found != object.end() && found->is_structured() ? *found : kEmpty;
}

std::string yes_no(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() ? (found->get<bool>() ? "yes" : "no") : "-";
}

namespace {
std::string grouped(std::uint64_t value) {
  std::string out = std::to_string(value);
  for (auto at = static_cast<std::ptrdiff_t>(out.size()) - 3; at > 0; at -= 3)
    out.insert(static_cast<std::size_t>(at), 1, ',');
  return out;
}

}  // namespace

std::string line(std::string_view name, std::string_view value) {
  return fmt::format("{:<24}{:>22}\n", name, value);
}

std::string columns(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i) out += fmt::format("{:<{}}", row[i], widths[i] + 2);
    out += row.back() + "\n";
  }
  return out;
}

std::string counters(const Json& object, const char* prefix) {
  std::string out;
  for (const auto& [key, value] : object.items()) {
    if (value.is_number_unsigned())
      out += line(fmt::format("{}{}", prefix, printable(key, 40)), grouped(value.get<std::uint64_t>()));
  }
  return out;
}

std::string status_table(const Json& s) {
  std::string out = line("card", text(s, "card"));
  out += line("card state", text(s, "card_state"));
  out += line("up, s", text(s, "uptime_s"));
  out += line("IKE daemon", text(s, "ike_daemon") == "true" ? "connected" : "not connected");
  out += line("TUN device", text(s, "tun"));
  out += line("SAs", text(s, "sas"));
  out += line("SPIs without SA yet", text(s, "larval_spis"));
  out += line("packets waiting for SA", text(s, "packets_waiting"));
  if (yes_no(s, "drained") == "yes") out += line("drained", "yes: no packet passes");
  return out + "\n" + policy_table(s);
}

std::string policy_table(const Json& s) {
  std::vector<Row> rows{{"POLICY", "ACTION", "LOCAL", "REMOTE", "REQID", "BY", "BETWEEN", "STATE"}};
  for (const Json& p : part(s, "policies")) {
    const bool protects = text(p, "action") == "protect";
    rows.push_back({text(p, "name"), text(p, "action"), text(p, "local_ts"), text(p, "remote_ts"), text(p, "reqid"),
                    protects ? text(p, "ipsec") + " " + text(p, "mode") : "-", protects ? text(p, "local") + " - " + text(p, "peer") : "-",
                    !protects ? "-" : text(p, "ready") == "true" ? "ready" : "no SA"});
  }
  return columns(rows);
}

std::string card_table(const Json& s) {
  std::string configured;
  for (const Json& name : part(s, "configured")) {
    if (name.is_string()) configured += (configured.empty() ? "" : ", ") + printable(name.get_ref<const std::string&>(), 64);
  }
  std::string out = line("card", text(s, "card")) + line("card state", text(s, "card_state")) + line("configured", configured) + line("on card loss", text(s, "on_card_loss"));
  for (const char* key : {"losses", "sas", "packets_inside", "clock_hz", "cycles", "busy_cycles"}) out += line(key, grouped(number(s, key)));
  out += line("drained", yes_no(s, "drained"));
  if (part(s, "cards").size() > 1) out += "\n" + cards_table(s);
  return out + "\n" + counters(part(s, "by_status"), "card: ");
}

std::string cards_table(const Json& s) {
  std::vector<Row> rows{{"CARD", "NAME", "STATE", "ENGINE", "SAS", "INSIDE", "LOSSES", "ENCAP", "DECAP"}};
  for (const Json& c : part(s, "cards")) {
    rows.push_back({text(c, "number"), text(c, "card"), text(c, "state"), text(c, "engine"), text(c, "sas"), text(c, "packets_inside"), text(c, "losses"), grouped(number(c, "encap_packets")),
                    grouped(number(c, "decap_packets"))});
  }
  return columns(rows);
}

std::string health_table(const Json& s) {
  std::string out;
  for (const Json& problem : part(s, "problems")) {
    if (problem.is_string()) out += "! " + printable(problem.get_ref<const std::string&>(), 300) + "\n";
  }
  return out.empty() ? "healthy\n" : out;
}

std::string event_lines(const Json& s) {
  std::string out;
  for (const Json& event : part(s, "events")) {
    if (event.is_string()) out += printable(event.get_ref<const std::string&>(), 500) + "\n";
  }
  return out.empty() ? "no events\n" : out;
}

std::string top_screen(const Json& before, const Json& now, double seconds) {
  const auto rate = [&](const Json& a, const Json& b, const char* key) {
    const std::uint64_t from = number(a, key), to = number(b, key);
    return to >= from && seconds > 0 ? static_cast<double>(to - from) / seconds : 0;
  };
  const std::uint64_t cycles = number(now, "cycles") - std::min(number(now, "cycles"), number(before, "cycles"));
  const std::uint64_t busy = number(now, "busy_cycles") - std::min(number(now, "busy_cycles"), number(before, "busy_cycles"));
  const double share = cycles == 0 ? 0 : std::min(1.0, static_cast<double>(busy) / static_cast<double>(cycles));
  constexpr std::size_t kBar = 40;
  const auto filled = static_cast<std::size_t>(share * kBar + 0.5);
  std::string out = fmt::format("{}  {}  SAs {}\n\n", text(now, "card"), text(now, "card_state"), text(now, "sas"));
  out += fmt::format("card busy [{}{}] {:5.1f} %\n\n", std::string(filled, '#'), std::string(kBar - filled, '.'), 100 * share);
  std::vector<Row> rows{{"", "PACKETS/S", "MB/S"}};
  for (const auto& [name, packets, bytes] : {std::tuple{"encap", "encap_packets", "encap_bytes"}, {"decap", "decap_packets", "decap_bytes"}}) {
    rows.push_back({name, fmt::format("{:.0f}", rate(before, now, packets)), fmt::format("{:.3f}", rate(before, now, bytes) / 1e6)});
  }
  for (const char* key : {"tun_in", "tun_out", "udp_esp_in", "udp_esp_out", "raw_esp_in", "raw_esp_out", "clear_out"}) {
    rows.push_back({key, fmt::format("{:.0f}", rate(part(before, "traffic"), part(now, "traffic"), key)), ""});
  }
  out += columns(rows);
  const Json& drops = part(now, "drops");
  std::vector<Row> lost{{"DROPS", "TOTAL", "/S"}};
  for (const auto& [key, value] : drops.items()) {
    if (value.is_number_unsigned()) lost.push_back({printable(key, 40), grouped(value.get<std::uint64_t>()), fmt::format("{:.0f}", rate(part(before, "drops"), drops, key.c_str()))});
  }
  return out + "\n" + (lost.size() == 1 ? "no drops\n" : columns(lost));
}

std::string sa_table(const Json& s) {
  std::vector<Row> rows{{"SPI", "DIR", "FORM", "REQID", "SRC", "DST", "ALGORITHMS", "UDP", "AGE/s", "SEQ", "PACKETS",
                         "BYTES", "DROPS"}};
  for (const Json& sa : part(s, "sas")) {
    const Json& udp = part(sa, "udp");
    const std::uint64_t drops =
        number(sa, "replay_drops") + number(sa, "icv_drops") + number(sa, "other_drops");
    rows.push_back({text(sa, "spi"), text(sa, "direction"), text(sa, "protocol") + " " + text(sa, "mode"), text(sa, "reqid"), text(sa, "src"),
                    text(sa, "dst"), text(sa, "cipher") + "/" + text(sa, "auth"),
                    udp.empty() ? "-" : text(udp, "src_port") + ">" + text(udp, "dst_port"),
                    text(sa, "age_s"), text(sa, "seq"), grouped(number(sa, "packets")),
                    grouped(number(sa, "bytes")), grouped(drops)});
  }
  return rows.size() == 1 ? "no SAs\n" : columns(rows);
}

std::string stats_table(const Json& s) {
  std::string out = line("card", text(s, "card"));
  out += line("card state", text(s, "card_state"));
  out += line("SAs", text(s, "sas"));
  for (const char* key :
       {"encap_packets", "encap_bytes", "decap_packets", "decap_bytes", "cycles", "busy_cycles"}) {
    out += line(key, grouped(number(s, key)));
  }
  const std::uint64_t busy = number(s, "busy_cycles");
  if (busy != 0) {
    // Bytes of the packets inside the tunnels, over the cycles in which the card had any in it.
    const double rate =
        static_cast<double>(number(s, "encap_bytes") + number(s, "decap_bytes")) / static_cast<double>(busy);
    const double clock = static_cast<double>(number(s, "clock_hz"));
    out += line("bytes per busy cycle", fmt::format("{:.3f}", rate));
    out +=
        line("Gb/s at card clock", fmt::format("{:.2f} at {:.0f} MHz", rate * 8 * clock / 1e9, clock / 1e6));
  }
  const Json& drops = part(s, "drops");
  out += "\n" + counters(part(s, "traffic"), "");
  out += drops.empty() ? "\nno drops\n" : "\n" + counters(drops, "dropped: ");
  out += "\n" + counters(part(s, "by_status"), "card: ");
  return out;
}

}  // namespace esplanade::espctl
