#include "host/espweb/metrics.h"

#include <fmt/format.h>

#include "host/espctl/tables.h"

namespace esplanade::espweb {

namespace {

using espctl::Json;
using espctl::number;
using espctl::part;

/// A label's value: backslash, quote and newline escaped (the format's rules), other control characters left out.
std::string label(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 100)) {
    if (c == '\\' || c == '"') out.push_back('\\');
    if (static_cast<unsigned char>(c) >= 0x20) out.push_back(c);
  }
  return out;
}

class Page {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_ += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
  }
  void value(std::uint64_t value) { text_ += fmt::format("{} {}\n", name_, value); }
  void value(std::string_view key, std::string_view of, std::uint64_t value) { text_ += fmt::format("{}{{{}=\"{}\"}} {}\n", name_, key, label(of), value); }
  void each(std::string_view key, const Json& members) {
    for (const auto& [name, count] : members.items()) {
      if (count.is_number_unsigned()) value(key, name, count.get<std::uint64_t>());
    }
  }
  std::string take() { return std::move(text_); }

 private:
  std::string_view name_;
  std::string text_;
};

bool is(const Json& object, const char* key, std::string_view text) { return espctl::text(object, key) == text; }

}  // namespace

std::string metrics_down() {
  Page page;
  page.family("esplanade_up", "gauge", "espd answers.");
  page.value(0);
  return page.take();
}

std::string metrics(const Json& status, const Json& stats, const Json& card, const Json& health) {
  Page page;
  page.family("esplanade_up", "gauge", "espd answers.");
  page.value(1);
  page.family("esplanade_healthy", "gauge", "espctl health finds nothing to see to.");
  page.value(is(health, "healthy", "true"));
  page.family("esplanade_uptime_seconds", "counter", "Time since espd started.");
  page.value(number(status, "uptime_s"));
  page.family("esplanade_card_up", "gauge", "A card, or what stands in for it, processes packets.");
  page.value(is(status, "card_state", "up"));
  page.family("esplanade_card_losses_total", "counter", "How often the card was lost or reset.");
  page.value(number(card, "losses"));
  page.family("esplanade_card_info", "gauge", "The card in use.");
  page.value("card", espctl::text(card, "card"), 1);
  const Json& cards = part(card, "cards");
  page.family("esplanade_cards_up", "gauge", "Of the cards that carry SAs at once, each by its number.");
  for (const Json& one : cards) page.value("card", espctl::text(one, "number"), is(one, "state", "up"));
  page.family("esplanade_cards_sas", "gauge", "SAs on each card.");
  for (const Json& one : cards) page.value("card", espctl::text(one, "number"), number(one, "sas"));
  page.family("esplanade_cards_losses_total", "counter", "How often each card was lost or reset.");
  for (const Json& one : cards) page.value("card", espctl::text(one, "number"), number(one, "losses"));
  page.family("esplanade_cards_encap_packets_total", "counter", "Packets protected by each card.");
  for (const Json& one : cards) page.value("card", espctl::text(one, "number"), number(one, "encap_packets"));
  page.family("esplanade_cards_decap_packets_total", "counter", "Packets unprotected by each card.");
  for (const Json& one : cards) page.value("card", espctl::text(one, "number"), number(one, "decap_packets"));
  page.family("esplanade_card_clock_hertz", "gauge", "Clock of the card; 0 for the software engine.");
  page.value(number(card, "clock_hz"));
  page.family("esplanade_card_cycles_total", "counter", "Clock cycles of the card.");
  page.value(number(card, "cycles"));
  page.family("esplanade_card_busy_cycles_total", "counter", "Of these, with a packet inside.");
  page.value(number(card, "busy_cycles"));
  page.family("esplanade_drained", "gauge", "An operator drained the gateway.");
  page.value(is(status, "drained", "true"));
  page.family("esplanade_ike_daemon", "gauge", "An IKE daemon is connected.");
  page.value(is(status, "ike_daemon", "true"));
  page.family("esplanade_sas", "gauge", "Security associations installed.");
  page.value(number(status, "sas"));
  page.family("esplanade_packets_waiting", "gauge", "Packets that wait for an SA.");
  page.value(number(status, "packets_waiting"));
  page.family("esplanade_policy_ready", "gauge", "The policy has an outbound SA.");
  for (const Json& policy : part(status, "policies")) page.value("policy", espctl::text(policy, "name"), is(policy, "ready", "true"));
  page.family("esplanade_packets_total", "counter", "Packets protected and unprotected.");
  page.value("direction", "encap", number(stats, "encap_packets"));
  page.value("direction", "decap", number(stats, "decap_packets"));
  page.family("esplanade_bytes_total", "counter", "Bytes of the packets inside the tunnels.");
  page.value("direction", "encap", number(stats, "encap_bytes"));
  page.value("direction", "decap", number(stats, "decap_bytes"));
  page.family("esplanade_completions_total", "counter", "Packets by the card's result.");
  page.each("status", part(stats, "by_status"));
  page.family("esplanade_traffic_packets_total", "counter", "Packets by the way they came or went.");
  page.each("path", part(stats, "traffic"));
  page.family("esplanade_drops_total", "counter", "Packets dropped outside the card, by reason.");
  page.each("reason", part(stats, "drops"));
  return page.take();
}

}  // namespace esplanade::espweb
