// Bench of lane_front: feeds descriptors and packets with pauses, answers lookups, hands out slots, and compares every
// opening with what front_expect derived from the reference engine.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "Vlane_front.h"
#include "common/base/bytes.h"
#include "common/esp/engine.h"
#include "hw/tb/lib/bench.h"

namespace esplanade::tb {

/// Values of card_pkg::Status* that the front gives.
enum Status : unsigned {
  kOk = 0, kBadDescriptor = 1, kBusError = 6, kNoSa = 7, kBadHeader = 9, kFragment = 10, kWrongProtocol = 11,
  kWrongAddress = 12, kBadEspLength = 13, kReplay = 14, kBadNextHeader = 17, kNoSeed = 21, kUnsupported = 23, kBadInner = 26
};
inline constexpr unsigned kOpNop = 0, kOpEncap = 1, kOpDecap = 2;

/// Answer of the SA database.
struct Answer {
  unsigned status = kOk;
  bool found = true, epoch = false;
  std::uint32_t index = 0, spi = 0;
  std::uint64_t seq = 0;
  std::uint16_t ip_id = 0, out_len = 0;
  bool transport = false, ah = false, outer_v6 = false, natt = false, esn = false, inner_v4 = true, inner_v6 = true;
  unsigned cipher = 0, auth = 0, df = 0;
  bool dscp_set = false;
  unsigned dscp = 0;
  bool ecn_clear = false;
  unsigned ttl = 64;
  std::uint16_t udp_src = 0, udp_dst = 0;
  std::array<Byte, 16> src{}, dst{};
  Bytes key = Bytes(24), istate = Bytes(20), ostate = Bytes(20);
};

/// What the front must ask and open. Fields of a group that does not apply are not looked at.
struct Expected {
  bool lookup = false;
  bool ah = false, udp = false, v6 = false, fragment = false;  // of the packet, in the lookup
  std::uint32_t spi = 0, seq = 0;                              // decap
  std::size_t len = 0, hdr_len = 0;
  std::array<Byte, 16> src{}, dst{};

  bool run = false;
  unsigned status = kOk;  // when not run
  Bytes stream, header, icv;  // icv: decap
  std::size_t skip = 0, ip_len = 0, out_len = 0, nh_at = 0;
  bool header_v6 = false, udp_header = false, patch_nh = false, ce = false, has_icv = false;
  unsigned next_header = 0, ah_status = kOk;
  bool out_len_known = true;
  bool options_bad = false;  // found last: an error of a beat goes before it
};

struct Packet {
  unsigned op = kOpEncap;
  unsigned pd_status = kOk;
  Bytes source;
  std::optional<std::array<Byte, 8>> host_iv;
  std::uint32_t sa_index = 0;
  Answer answer;
  Expected expected;
  std::size_t segments = 0;
  int bad_beat = -1;  // a beat with an error
  unsigned queue = 0;
  bool in_order = false;
  std::string name;
};

/// An answer as the SA database gives it for `sa`, its keys' places filled with random octets.
Answer answer_of(const esp::SaParams& sa, Random& random);
/// Encapsulation by the reference engine; fills answer, host_iv and expected. `sa` is not changed.
Packet encap_packet(esp::SaParams sa, const Bytes& plain, const std::array<Byte, 8>& iv, Random& random);
/// Decapsulation of `wire` with `sa`; `sa.outbound` is set to false.
Packet decap_packet(esp::SaParams sa, const Bytes& wire, Random& random);
esp::SaParams copy(const esp::SaParams& sa);

struct Pauses {
  unsigned source = 0, lookup = 0, slots = 0;  // per cent of cycles without
  unsigned sa_latency = 12;
};

class Front {
 public:
  explicit Front(Random& random);
  /// Runs all packets, in order, and checks each. Returns the cycles from first to last opening.
  std::uint64_t run(const std::vector<Packet>& packets, const Pauses& pauses);
  /// Cycles from the first header beat on offer to the first opening of the last run.
  std::uint64_t first_latency() const { return first_latency_; }
  bool seeded = true;

 private:
  struct Ask { std::uint64_t due; std::size_t packet; };
  void idle_inputs();
  void check_lookup(const Packet& p);
  void check_open(const Packet& p);
  Clocked<Vlane_front> dut_;
  Random& random_;
  std::uint64_t first_latency_ = 0;
  std::map<unsigned, std::map<std::size_t, Byte>> rows_;  // octets written, by row
  std::map<unsigned, std::array<std::uint64_t, 16>> headers_;
  std::map<unsigned, std::map<unsigned, std::pair<std::uint64_t, unsigned>>> dsegs_;
  std::deque<std::uint64_t> ivs_;
};

}  // namespace esplanade::tb
