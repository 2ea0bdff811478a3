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
  std::vector<Row> rows{{"POLICY", "REQID", "LOCAL", "REMOTE", "THROUGH", "STATE"}};
  for (const Json& p : part(s, "policies")) {
    rows.push_back({text(p, "name"), text(p, "reqid"), text(p, "local_ts"), text(p, "remote_ts"),
                    text(p, "local") + " - " + text(p, "peer"),
                    text(p, "ready") == "true" ? "ready" : "no SA"});
  }
  return out + "\n" + columns(rows);
}

std::string sa_table(const Json& s) {
  std::vector<Row> rows{{"SPI", "DIR", "REQID", "SRC", "DST", "ALGORITHMS", "UDP", "AGE/s", "SEQ", "PACKETS",
                         "BYTES", "DROPS"}};
  for (const Json& sa : part(s, "sas")) {
    const Json& udp = part(sa, "udp");
    const std::uint64_t drops =
        number(sa, "replay_drops") + number(sa, "icv_drops") + number(sa, "other_drops");
    rows.push_back({text(sa, "spi"), text(sa, "direction"), text(sa, "reqid"), text(sa, "src"),
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
