// What a seed chooses before the first step.
#pragma once

#include <fmt/format.h>

#include <random>

#include "keyd/sa/engine.h"

namespace esplanade::ike::sim {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : gen_(seed) {}
  std::uint64_t raw() { return gen_(); }
  /// In [least, most].
  std::int64_t range(std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(gen_() % static_cast<std::uint64_t>(most - least + 1));
  }
  bool chance(double p) { return static_cast<double>(gen_() >> 11) * 0x1p-53 < p; }
  Time time(Time least, Time most) { return Time(range(least.count(), most.count())); }
  template <class T, std::size_t N>
  const T& pick(const T (&list)[N]) {
    return list[gen_() % N];
  }

 private:
  std::mt19937_64 gen_;
};

struct Scenario {
  std::string ike = "des-md5-modp768";
  std::string esp[2];
  std::string start[2];
  bool pfs = false;
  std::string mode;
  bool nat = false;
  bool any_address = false;   // the right side takes its peer from any address
  bool wrong_secret = false;  // the two ends do not share the secret
  bool gss = false;           // GSS-API with a mock of Kerberos, else a pre-shared key
  std::size_t gss_tokens = 2;
  const char* protocols = "esp";  // esp | ah | ah+esp
  Time holder_max{50};            // until the holder of the secrets answers
  std::int64_t child_life = 3600;  // seconds
  std::int64_t mm_life = 28800;
  std::int64_t dpd_delay = 10;
  std::int64_t dpd_timeout = 30;
  std::int64_t fragment_size = 1280;
  Time chaos{0};
  Time packet_every{0};

  explicit Scenario(Dice& d) {
    static const char* const kIke[] = {"des-md5-modp768", "3des-sha1-modp768", "des-sha1-modp768"};
    static const char* const kEsp[] = {"3des-sha1", "des-md5", "null-sha1", "3des-md5"};
    static const char* const kStart[] = {"start", "trap"};
    ike = d.pick(kIke);
    pfs = d.chance(0.2);
    esp[0] = esp[1] = d.pick(kEsp);
    nat = d.chance(0.4);
    any_address = nat && d.chance(0.5);
    wrong_secret = d.chance(0.05);
    mode = d.chance(0.3) && !any_address ? "transport" : "tunnel";
    start[0] = d.pick(kStart);
    start[1] = nat ? "none" : d.pick(kStart);
    if (d.chance(0.3)) child_life = d.range(60, 200);
    if (d.chance(0.3)) mm_life = d.range(60, 400);
    gss = !wrong_secret && d.chance(0.2);
    gss_tokens = static_cast<std::size_t>(d.range(2, 4));
    if (!nat && d.chance(0.3)) protocols = d.chance(0.5) ? "ah" : "ah+esp";
    if (d.chance(0.3)) holder_max = d.time(Time(100), Time(4000));
    dpd_delay = d.range(5, 20);
    dpd_timeout = d.range(20, 60);
    if (d.chance(0.3)) fragment_size = 256;  // the least that there is: quick modes with PFS are longer
    chaos = d.time(Time(20000), Time(400000));
    packet_every = d.time(Time(1000), Time(5000));
  }

  std::string config(bool left) const {
    const bool transport = mode == "transport";
    const std::string ts[2] = {transport ? "192.0.2.1" : "10.1.0.0/16", transport ? "192.0.2.2" : "10.2.0.0/16"};
    const int me = left ? 0 : 1;
    const std::string_view which = protocols;
    auto side = [&](bool of_left) { return std::string(of_left ? "host/left@TEST" : "host/right@TEST"); };
    return fmt::format(R"([espd]
pfkey = "/nonexistent/pfkey"
natt = "/nonexistent/natt"
[ike]
fragment_size = {}
[connections.peer]
local_addrs = "{}"
remote_addrs = "{}"
proposals = "{}"
life_time = {}
dpd_delay = {}
dpd_timeout = {}
{}[connections.peer.children.net]
local_ts = "{}"
remote_ts = "{}"
{}{}{}mode = "{}"
life_time = {}
reqid = 7
start_action = "{}"
dpd_action = "{}"
)",
                       fragment_size, left ? "192.0.2.1" : "192.0.2.2",
                       left          ? "192.0.2.2"
                       : any_address ? "%any"
                                     : "192.0.2.1",
                       ike, mm_life, dpd_delay, dpd_timeout,
                       gss ? fmt::format("[connections.peer.local]\nauth = \"gss\"\ngss_name = \"{}\"\n"
                                         "[connections.peer.remote]\nauth = \"gss\"\ngss_name = [\"{}\"]\n",
                                         side(left), side(!left))
                           : "",
                       ts[me], ts[1 - me], which == "ah" ? "" : fmt::format("esp_proposals = \"{}\"\n", esp[me]),
                       which == "esp" ? "" : "ah_proposals = \"sha1\"\n",
                       std::string(which == "ah+esp" ? "bundle = true\n" : "") + (pfs ? "pfs = true\n" : ""), mode,
                       child_life, start[me], start[me] == "start" ? "restart" : "clear");
  }

  std::string text() const {
    return fmt::format(
        "{} {} {}{} {} {}, left {}, right {}, {}{}{}, child {} s, main mode {} s, DPD {}/{} s, holder to {} ms, "
        "faults for {} s",
        gss ? "gss" : "psk", ike, protocols, pfs ? " PFS" : "", esp[0], mode, start[0], start[1], nat ? "NAT" : "no NAT", any_address ? ", any address" : "",
        wrong_secret ? ", wrong secret" : "", child_life, mm_life, dpd_delay, dpd_timeout,
        holder_max.count(), chaos.count() / 1000);
  }
};

}  // namespace esplanade::ike::sim
