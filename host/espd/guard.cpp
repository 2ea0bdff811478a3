#include "host/espd/guard.h"

#include <fmt/format.h>
#include <nftables/libnftables.h>

#include <nlohmann/json.hpp>

#include "common/base/log.h"

namespace esplanade::espd {

namespace {

constexpr const char* kRemove = "add table inet espd\ndelete table inet espd\n";
// Nothing ever comes to this rule: with it the kernel puts fragments together before the chains look at ports, in this network
// namespace, and cuts again what goes on. It is the one way to have that without connection tracking.
constexpr const char* kWhole = "add chain inet espd whole\nadd rule inet espd whole meta l4proto tcp tproxy to :1\n";

// What a selector matches, in nft's words. `end` is "saddr" or "daddr".
std::string address_match(const Prefix& prefix, const char* end) {
  const char* family = prefix.address.version == 4 ? "ip" : "ip6";
  if (prefix.len == 0) return "";
  return fmt::format("{} {} {} ", family, end, to_string(prefix));
}

std::string port_match(const TrafficSelector& ts, const char* end) {
  if (ts.ports.any()) return "";
  return ts.ports.first == ts.ports.last ? fmt::format("th {} {} ", end, ts.ports.first) : fmt::format("th {} {}-{} ", end, ts.ports.first, ts.ports.last);
}

// The rules of a policy for packets from `from` to `to`.
std::string rules_of(const Policy& p, const TrafficSelector& from, const TrafficSelector& to, const char* chain, const char* counter, bool pass) {
  const bool v4 = from.prefix.address.version == 4;
  const std::string verdict = pass ? "accept" : fmt::format("counter name {} drop", counter);
  const std::uint8_t protocol = p.local_ts.protocol != 0 ? p.local_ts.protocol : p.remote_ts.protocol;
  std::string match = fmt::format("add rule inet espd {} meta nfproto {} {}{}", chain, v4 ? "ipv4" : "ipv6", address_match(from.prefix, "saddr"), address_match(to.prefix, "daddr"));
  if (protocol != 0) match += fmt::format("meta l4proto {} ", protocol);
  const std::string ports = port_match(from, "sport") + port_match(to, "dport");
  if (ports.empty()) return match + verdict + "\n";
  // A later fragment that got here alone (IP_NODEFRAG, no kWhole) shows no ports: whatever may be of this policy, or of one behind it, is dropped here.
  return match + (v4 ? "ip frag-off & 0x1fff != 0 " : "exthdr frag exists ") + fmt::format("counter name {} drop\n", counter) + match + ports + verdict + "\n";
}

}  // namespace

std::string guard_rules(const std::vector<Policy>& policies, const IsOpen& open, const std::string& tun_name, std::uint32_t mark) {
  std::string out =
      "add table inet espd\n"
      "add counter inet espd clear_in\n"
      "add counter inet espd clear_out\n"
      "add chain inet espd in { type filter hook prerouting priority raw; policy accept; }\n"
      "add chain inet espd out { type filter hook postrouting priority raw; policy accept; }\n"
      "flush chain inet espd in\n"
      "flush chain inet espd out\n";
  // What IPsec itself needs: ESP, AH and IKE of this host, and the ICMP that tells of the way (RFC 4301 s6.1), neighbours
  // included. All else is the policies'.
  out += fmt::format(
      "add rule inet espd in iifname {{ \"lo\", \"{0}\" }} accept\n"
      "add rule inet espd in fib daddr type local meta l4proto {{ esp, ah }} accept\n"
      "add rule inet espd in fib daddr type local udp dport {{ 500, 4500 }} accept\n"
      "add rule inet espd in fib daddr type local icmp type {{ destination-unreachable, time-exceeded, parameter-problem }} accept\n"
      "add rule inet espd in ip6 hoplimit 255 icmpv6 type {{ nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect }} accept\n"
      "add rule inet espd in ip6 hoplimit 1 icmpv6 type {{ mld-listener-query, mld-listener-report, mld2-listener-report }} accept\n"
      "add rule inet espd in fib daddr type local icmpv6 type {{ destination-unreachable, packet-too-big, time-exceeded, parameter-problem }} accept\n"
      "add rule inet espd out oifname {{ \"lo\", \"{0}\" }} accept\n"
      "add rule inet espd out meta mark {1} accept\n"
      "add rule inet espd out fib saddr type local udp sport 500 accept\n"
      "add rule inet espd out fib saddr type local icmpv6 type {{ nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect, "
      "mld-listener-query, mld-listener-report, mld2-listener-report }} accept\n",
      tun_name, mark);
  for (const Policy& p : policies) {
    const bool pass = p.action == Action::kBypass || (p.action == Action::kProtect && open(p));
    out += rules_of(p, p.remote_ts, p.local_ts, "in", "clear_in", pass);
    out += rules_of(p, p.local_ts, p.remote_ts, "out", "clear_out", pass);
  }
  return out;
}

void Guard::Free::operator()(nft_ctx* context) const { ::nft_ctx_free(context); }

Guard::Guard(std::string tun_name, std::uint32_t mark) : context_(::nft_ctx_new(NFT_CTX_DEFAULT)), tun_name_(std::move(tun_name)), mark_(mark) {
  ::nft_ctx_buffer_error(context_.get());
  ::nft_ctx_buffer_output(context_.get());
  ::nft_ctx_output_set_flags(context_.get(), NFT_CTX_OUTPUT_JSON);
}

std::string Guard::refusal(const std::string& commands) {
  if (::nft_run_cmd_from_buffer(context_.get(), commands.c_str()) == 0) return "";
  return "nftables: " + printable(::nft_ctx_get_error_buffer(context_.get()), 200);
}

Status Guard::run(const std::string& commands) {
  const std::string why = refusal(commands);
  if (why.empty()) return ok();
  const bool forbidden = why.find("not permitted") != std::string::npos;
  const bool absent = why.find("not supported") != std::string::npos || why.find("netlink socket") != std::string::npos;
  return Error{forbidden ? Errc::kPermission : absent ? Errc::kUnsupported : Errc::kIo,
               fmt::format("cannot install the rules against clear traffic ({}){}", why,
                           forbidden ? "; espd needs root or CAP_NET_ADMIN" : absent ? "; with guard = false espd runs without them" : "")};
}

Result<Guard> Guard::create(std::string tun_name, std::uint32_t mark, const std::vector<Policy>& policies, const IsOpen& open) {
  Guard out(std::move(tun_name), mark);
  out.keep(true);  // what is there stays until something better is
  ESPLANADE_CHECK(out.run(kRemove + guard_rules(policies, open, out.tun_name_, mark)));
  if (const std::string why = out.refusal(kWhole); !why.empty())
    log_warn("fragments in clear are dropped where a policy has ports, for this kernel (without nft_tproxy?) does not put them together: {}", why);
  out.keep(false);
  return out;
}

Guard::Guard(Guard&&) noexcept = default;

Guard::~Guard() {
  if (context_ && !keep_) (void)run(kRemove);
}

Status Guard::apply(const std::vector<Policy>& policies, const IsOpen& open) { return run(guard_rules(policies, open, tun_name_, mark_)); }

Guard::Counts Guard::counts() {
  Counts out;
  if (::nft_run_cmd_from_buffer(context_.get(), "list counters table inet espd") != 0) return out;
  const auto told = nlohmann::json::parse(::nft_ctx_get_output_buffer(context_.get()), nullptr, false);
  if (!told.is_object() || !told.contains("nftables") || !told["nftables"].is_array()) return out;
  for (const auto& item : told["nftables"]) {
    if (!item.is_object() || !item.contains("counter")) continue;
    const auto& counter = item["counter"];
    (counter.value("name", "") == "clear_in" ? out.in : out.out) = counter.value("packets", std::uint64_t{0});
  }
  return out;
}

Status Guard::remove_all() { return Guard("", 0).run(kRemove); }

}  // namespace esplanade::espd
