#include "host/espd/status_report.h"

#include <nlohmann/json.hpp>

namespace esplanade::espd {

using Json = nlohmann::ordered_json;

namespace {

const char* cipher_name(esp::Cipher c) {
  switch (c) {
    case esp::Cipher::kNull:
      return "null";
    case esp::Cipher::kDesCbc:
      return "des-cbc";
    case esp::Cipher::kTripleDesCbc:
      return "3des-cbc";
  }
  return "?";
}

const char* auth_name(esp::Auth a) {
  switch (a) {
    case esp::Auth::kNone:
      return "none";
    case esp::Auth::kHmacMd5_96:
      return "hmac-md5-96";
    case esp::Auth::kHmacSha1_96:
      return "hmac-sha1-96";
  }
  return "?";
}

const char* mode_name(esp::Mode mode) { return mode == esp::Mode::kTunnel ? "tunnel" : "transport"; }

Json limits(const esp::Lifetime& l) {
  return {{"bytes", l.bytes}, {"packets", l.packets}, {"seconds", l.seconds}};
}

Json policies(const Config& config, const Sad& sad) {
  Json out = Json::array();
  for (const Policy& p : config.policies) {
    Json one{{"name", p.name}, {"action", action_name(p.action)}, {"local_ts", to_string(p.local_ts)}, {"remote_ts", to_string(p.remote_ts)}};
    if (p.action == Action::kProtect) {
      one.update({{"reqid", p.reqid},
                  {"ipsec", ipsec_name(p.ipsec)},
                  {"mode", mode_name(p.mode)},
                  {"local", esp::to_string(p.local)},
                  {"peer", p.any_peer ? "any" : esp::to_string(p.peer)},
                  {"ready", sad.ready(p)}});
    }
    out.push_back(std::move(one));
    if (out.size() >= kStatusPage) break;
  }
  return out;
}

Json one_sa(const Sa& sa, host::Backend& backend) {
  Json out{{"spi", fmt::format("{:08x}", sa.id.spi)},
           {"protocol", sa.id.protocol == esp::Protocol::kAh ? "ah" : "esp"},
           {"mode", mode_name(sa.mode)},
           {"direction", sa.outbound ? "out" : "in"},
           {"reqid", sa.reqid},
           {"src", esp::to_string(sa.src)},
           {"dst", esp::to_string(sa.id.dst)},
           {"cipher", cipher_name(sa.cipher)},
           {"auth", auth_name(sa.auth)},
           {"udp", sa.natt ? Json{{"src_port", sa.natt->src_port}, {"dst_port", sa.natt->dst_port}} : Json()},
           {"age_s", std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - sa.installed).count()},
           {"soft", limits(sa.soft)},
           {"hard", limits(sa.hard)}};
  if (const auto view = backend.view(sa.handle)) {
    out["seq"] = view->seq;
    out["packets"] = view->packets;
    out["bytes"] = view->bytes;
    out["replay_drops"] = view->replay_drops;
    out["icv_drops"] = view->icv_drops;
    out["other_drops"] = view->other_drops;
    out["expired"] = view->expired;
  }
  return out;
}

Json sas(const Sad& sad, host::Backend& backend, std::size_t offset) {
  const std::vector<const Sa*> all = sad.all();
  Json page = Json::array();
  for (std::size_t i = offset; i < all.size() && page.size() < kStatusPage; ++i)
    page.push_back(one_sa(*all[i], backend));
  return {{"total", all.size()}, {"offset", offset}, {"sas", std::move(page)}};
}

Json traffic(const Counters& c) {
  return {{"tun_in", c.tun_in},
          {"tun_out", c.tun_out},
          {"udp_esp_in", c.udp_esp_in},
          {"udp_esp_out", c.udp_esp_out},
          {"raw_esp_in", c.raw_esp_in},
          {"raw_esp_out", c.raw_esp_out},
          {"clear_out", c.clear_out},
          {"ike_in", c.ike_in},
          {"ike_out", c.ike_out},
          {"keepalives_in", c.keepalives_in},
          {"keepalives_out", c.keepalives_out},
          {"too_big_told", c.too_big_told},
          {"fragmented", c.fragmented},
          {"outer_fragmented", c.outer_fragmented},
          {"path_mtu_lowered", c.path_mtu_lowered},
          {"icmp_ignored", c.icmp_ignored},
          {"acquires", c.acquires},
          {"expires", c.expires}};
}

Json drops(const Counters& c) {
  Json out = Json::object();
  for (std::size_t i = 0; i < kNumDrops; ++i) {
    if (c.drops[i] != 0) out[drop_name(static_cast<Drop>(i))] = c.drops[i];
  }
  return out;
}

Json by_status(const host::Totals& t) {
  Json out = Json::object();
  for (std::size_t i = 0; i < t.by_status.size(); ++i) {
    if (t.by_status[i] != 0) out[card::name_of(static_cast<card::Status>(i))] = t.by_status[i];
  }
  return out;
}

Json cards(host::Backend& backend) {
  Json out = Json::array();
  for (const host::CardView& c : backend.cards()) {
    const char* state = c.state == host::CardView::State::kLost ? "lost" : c.state == host::CardView::State::kDrained ? "drained" : "up";
    out.push_back({{"number", out.size() + 1},
                   {"card", c.card},
                   {"engine", c.engine},
                   {"state", state},
                   {"sas", c.sas},
                   {"packets_inside", c.in_flight},
                   {"losses", c.losses},
                   {"encap_packets", c.totals.encap_packets},
                   {"encap_bytes", c.totals.encap_bytes},
                   {"decap_packets", c.totals.decap_packets},
                   {"decap_bytes", c.totals.decap_bytes},
                   {"cycles", c.totals.cycles},
                   {"busy_cycles", c.totals.busy_cycles}});
  }
  return out;
}

}  // namespace

StatusReport::StatusReport(const Config& config, host::Backend& backend, const Sad& sad,
                           const PfkeyServer& pfkey, DataPlane& data_plane, const Counters& counters, Hooks hooks)
    : config_(config),
      backend_(backend),
      sad_(sad),
      pfkey_(pfkey),
      data_plane_(data_plane),
      counters_(counters),
      hooks_(std::move(hooks)) {
  log_observe([this](std::string_view line) {
    if (line.find(" debug ") != std::string_view::npos) return;
    const std::lock_guard lock(events_mutex_);
    events_.emplace_back(line);
    if (events_.size() > kEvents) events_.pop_front();
  });
}

StatusReport::~StatusReport() { log_observe({}); }

std::string StatusReport::answer(ByteView request) {
  const auto wrong = [](const char* why) { return Json{{"error", why}}.dump(); };
  // The depth of a request is bounded by its size.
  const nlohmann::json asked = nlohmann::json::parse(request.begin(), request.end(), nullptr, false);
  if (!asked.is_object() || !asked.contains("command") || !asked["command"].is_string()) {
    return wrong("a request is a JSON object with a \"command\" of text");
  }
  const auto& command = asked["command"].get_ref<const std::string&>();
  if (!data_plane_.lost()) {
    const auto totals = backend_.totals();
    if (totals) totals_ = *totals;
    if (!totals && totals.error().code == Errc::kDeviceLost) data_plane_.set_lost(totals.error().detail);
  }
  const char* state = data_plane_.lost() ? "lost" : "up";
  if (command == "sa") {
    const auto offset = asked.find("offset");
    if (offset != asked.end() && !offset->is_number_unsigned())
      return wrong("\"offset\" is not a number from 0");
    return sas(sad_, backend_, offset == asked.end() ? 0 : offset->get<std::size_t>()).dump();
  }
  const auto number = asked.find("card");
  if (number != asked.end() && !(number->is_number_unsigned() && number->get<std::size_t>() != 0)) return wrong("\"card\" is not a number from 1");
  const std::size_t one = number == asked.end() ? 0 : number->get<std::size_t>();
  if (one != 0 && (command == "drain" || command == "resume")) {
    if (const Status done = backend_.drain(one, command == "drain"); !done) return wrong(done.error().detail.c_str());
    return Json{{"card", backend_.name()}, {"cards", cards(backend_)}}.dump();
  }
  if (command == "drain" || command == "resume") {
    data_plane_.drain(command == "drain");
    log_warn("{} by an operator", command == "drain" ? "drained" : "resumed");
    return Json{{"drained", data_plane_.drained()}, {"packets_inside", data_plane_.num_inside()}}.dump();
  }
  if (command == "reset") {
    if (const Status done = backend_.reset(one); !done) return wrong(done.error().detail.c_str());
    return Json{{"card", backend_.name()}, {"sas", sad_.size()}, {"cards", cards(backend_)}}.dump();
  }
  if (command == "reload") {
    const auto removed = hooks_.reload();
    if (!removed) return wrong(removed.error().detail.c_str());
    return Json{{"policies", config_.policies.size()}, {"sas_removed", *removed}}.dump();
  }
  if (command == "health") {
    const std::vector<std::string> found = problems();
    return Json{{"healthy", found.empty()}, {"problems", found}, {"card", backend_.name()}, {"card_state", state}}.dump();
  }
  if (command == "events") {
    const std::lock_guard lock(events_mutex_);
    return Json{{"events", events_}}.dump(-1, ' ', true, Json::error_handler_t::replace);
  }
  if (command == "policy") return Json{{"num_policies", config_.policies.size()}, {"policies", policies(config_, sad_)}}.dump();
  if (command == "card") {
    const host::Totals& t = totals_;
    return Json{{"card", backend_.name()},         {"card_state", state},       {"configured", config_.cards}, {"cards_in_use", config_.cards_in_use}, {"cards", cards(backend_)}, {"on_card_loss", config_.recover ? "recover" : "drop"},
                {"losses", backend_.losses()},     {"clock_hz", t.clock_hz},    {"cycles", t.cycles},          {"busy_cycles", t.busy_cycles},
                {"packets_inside", data_plane_.num_inside()}, {"drained", data_plane_.drained()}, {"sas", sad_.size()}, {"by_status", by_status(t)}}
        .dump();
  }
  if (command == "status") {
    return Json{
        {"card", backend_.name()},
        {"card_state", state},
        {"uptime_s", std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - started_).count()},
        {"ike_daemon", pfkey_.has_daemon()},
        {"drained", data_plane_.drained()},
        {"tun", config_.tun_name},
        {"sas", sad_.size()},
        {"larval_spis", sad_.num_larval()},
        {"packets_waiting", data_plane_.num_waiting()},
        {"num_policies", config_.policies.size()},
        {"policies", policies(config_, sad_)}}
        .dump();
  }
  if (command == "stats") {
    hooks_.refresh();
    const host::Totals& t = totals_;
    return Json{{"card", backend_.name()},      {"card_state", state},
                {"sas", sad_.size()},           {"encap_packets", t.encap_packets},
                {"encap_bytes", t.encap_bytes}, {"decap_packets", t.decap_packets},
                {"decap_bytes", t.decap_bytes}, {"cycles", t.cycles},
                {"busy_cycles", t.busy_cycles}, {"clock_hz", t.clock_hz},
                {"by_status", by_status(t)},    {"traffic", traffic(counters_)},
                {"drops", drops(counters_)}}
        .dump();
  }
  return wrong("unknown command: status, sa, stats, card, policy, health, events, drain, resume, reset and reload are known");
}

/// What an operator should see to, in words.
std::vector<std::string> StatusReport::problems() const {
  std::vector<std::string> out;
  if (data_plane_.lost()) out.emplace_back("the card is lost: all traffic is dropped");
  if (backend_.losses() != 0) out.push_back(fmt::format("the card was lost or reset {} time(s) since espd started; in use: {}", backend_.losses(), backend_.name()));
  const auto each = backend_.cards();
  for (std::size_t i = 0; i < each.size() && !data_plane_.lost(); ++i) {
    if (each[i].state == host::CardView::State::kLost) out.push_back(fmt::format("card {} ({}) is lost, the others carry its SAs: mend it, then espctl reset {}", i + 1, each[i].card, i + 1));
    if (each[i].state == host::CardView::State::kDrained) out.push_back(fmt::format("card {} ({}) is drained, the others carry its SAs: espctl resume {}", i + 1, each[i].card, i + 1));
  }
  if (data_plane_.drained()) out.emplace_back("drained by an operator: no packet passes");
  if (!pfkey_.has_daemon()) out.emplace_back("no IKE daemon is connected: SAs are not renewed");
  return out;
}

}  // namespace esplanade::espd
