#include "hw/tb/sad/sad_bench.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace esplanade::tb {

namespace {
using S = card::Status;
constexpr unsigned code(S s) { return static_cast<unsigned>(s); }
enum Event { kSoftBytes = 1, kSoftPackets, kSoftSeconds, kHardBytes, kHardPackets, kHardSeconds, kSeqSoon, kSeqOverflow };

void put(std::array<std::uint32_t, 64>& w, unsigned byte, std::uint64_t v) {
  w[byte / 4] = static_cast<std::uint32_t>(v);
  w[byte / 4 + 1] = static_cast<std::uint32_t>(v >> 32);
}
template <std::size_t N>
void put_octets(std::array<std::uint32_t, 64>& w, unsigned byte, const std::array<std::uint8_t, N>& o) {
  for (std::size_t i = 0; i < N; ++i) w[(byte + i) / 4] |= static_cast<std::uint32_t>(o[i]) << 8 * ((byte + i) % 4);
}

// A field of a port that holds one field a lane. Ports are integers up to 64 bits and arrays of words above.
template <class Port>
void set_field(Port& port, unsigned lane, unsigned bits, std::uint64_t value) {
  for (unsigned b = 0; b < bits; ++b) {
    const unsigned at = lane * bits + b;
    const bool one = (value >> b & 1) != 0;
    if constexpr (std::is_integral_v<Port>) {
      const Port mask = static_cast<Port>(Port{1} << at);
      port = static_cast<Port>(one ? port | mask : port & static_cast<Port>(~mask));
    } else {
      port[at / 32] = one ? port[at / 32] | 1u << at % 32 : port[at / 32] & ~(1u << at % 32);
    }
  }
}
template <class Port>
void set_address(Port& port, unsigned lane, const std::array<std::uint8_t, 16>& a) {
  for (unsigned w = 0; w < 4; ++w) {
    port[4 * lane + 3 - w] = static_cast<std::uint32_t>(a[4 * w]) << 24 | static_cast<std::uint32_t>(a[4 * w + 1]) << 16 |
                             static_cast<std::uint32_t>(a[4 * w + 2]) << 8 | a[4 * w + 3];
  }
}

// Number of a packet by its low word, RFC 4303 appendix A2.2, written as the nearest of three candidates: the
// numbers that a window of W at `top` takes for its own are top - W + 1 and the 2^32 - 1 that follow.
std::optional<std::uint64_t> whole_number(std::uint64_t top, unsigned window, std::uint32_t low) {
  using Wide = __int128;
  const Wide first = Wide{top} - window + 1;
  for (const Wide step : {Wide{-1}, Wide{0}, Wide{1}}) {
    const Wide n = ((Wide{top} >> 32) + step) * (Wide{1} << 32) + low;
    if (n >= first && n < first + (Wide{1} << 32)) {
      if (n < 0 || n > Wide{~std::uint64_t{0}}) return std::nullopt;
      return static_cast<std::uint64_t>(n);
    }
  }
  return std::nullopt;
}
}  // namespace

std::array<std::uint32_t, 64> SaSetting::words() const {
  std::array<std::uint32_t, 64> w{};
  w[0] = static_cast<std::uint32_t>(outbound) | static_cast<std::uint32_t>(transport) << 1 | static_cast<std::uint32_t>(ah) << 2 |
         static_cast<std::uint32_t>(outer_v6) << 3 | static_cast<std::uint32_t>(natt) << 4 | static_cast<std::uint32_t>(esn) << 5 |
         static_cast<std::uint32_t>(check_outer) << 6 | static_cast<std::uint32_t>(inner_v4) << 7 |
         static_cast<std::uint32_t>(inner_v6) << 8 | cipher << 12 | auth << 16 | df << 20 |
         static_cast<std::uint32_t>(dscp_set) << 22 | static_cast<std::uint32_t>(ecn_clear) << 23 | dscp << 24;
  w[1] = spi;
  w[2] = window | ttl << 16;
  w[3] = ip_id;
  put(w, 16, seq);
  w[6] = static_cast<std::uint32_t>(udp_src) | static_cast<std::uint32_t>(udp_dst) << 16;
  w[7] = soft_seconds;
  w[8] = hard_seconds;
  put(w, 40, soft_bytes);
  put(w, 48, hard_bytes);
  put(w, 56, soft_packets);
  put(w, 64, hard_packets);
  put_octets(w, 80, src);
  put_octets(w, 96, dst);
  put_octets(w, 128, enc_key);
  put_octets(w, 160, auth_key);
  return w;
}

SadBench::SadBench(unsigned entries, unsigned replay_max, unsigned max_packet, std::uint64_t salt)
    : random(salt), model(entries), entries_(entries), replay_max_(replay_max), max_packet_(max_packet) {
  dut->ev_ready_i = 1;
  dut.reset();
  while (busy()) step();
}

// ------------------------------------------------------------------------------------------------------ the model
void SadBench::note(ModelEntry& e, unsigned index, unsigned type) {
  if (e.told.insert(type).second) expected.insert({type, index});
}

// Looks at the clock; true when the entry may still be used.
bool SadBench::clock_of(ModelEntry& e, unsigned index) {
  for (const unsigned type : {kSoftSeconds, kHardSeconds}) untouched.erase({type, index});  // an operation sees to it
  const std::uint32_t age = seconds_ - e.installed;
  if (e.sa.soft_seconds != 0 && age >= e.sa.soft_seconds) note(e, index, kSoftSeconds);
  if (e.sa.hard_seconds != 0 && age >= e.sa.hard_seconds) {
    note(e, index, kHardSeconds);
    e.expired = true;
  }
  return !e.expired;
}

// Closed: a second event that only the scan could have told may have been told or not.
void SadBench::close(std::uint32_t index) {
  model[index].valid = false;
  for (const unsigned type : {kSoftSeconds, kHardSeconds}) {
    for (auto at = untouched.find({type, index}); at != untouched.end(); at = untouched.find({type, index})) {
      expected.erase(expected.find(*at));
      optional.insert(*at);
      untouched.erase(at);
    }
  }
}

void SadBench::remember(ModelEntry& e) {
  e.history.push_back({dut.cycle(), e.valid, e.expired, e.seq});
  while (e.history.size() > 1 && e.history[1].cycle + 40 < dut.cycle()) e.history.pop_front();
}

unsigned SadBench::out_len(const SaSetting& sa, const Lookup& l) const {
  const unsigned payload = sa.transport ? l.len - l.hdr_len : l.len;
  unsigned head = sa.transport ? l.hdr_len : sa.outer_v6 ? 40 : 20;
  if (sa.natt) head += 8;
  if (sa.ah) return head + 24 + payload;
  const unsigned align = sa.cipher != 0 ? 8 : 4;
  return head + 8 + (sa.cipher != 0 ? 8 : 0) + (payload + 2 + align - 1) / align * align + (sa.auth != 0 ? 12 : 0);
}

Answer SadBench::model_outbound(const Lookup& l) {
  Answer a;
  a.status = code(S::kNoSa);
  if (l.index >= entries_) return a;
  ModelEntry& e = model[l.index];
  if (!e.valid) return a;
  a.found = true;
  a.index = l.index;
  a.spi = e.sa.spi;
  if (!e.sa.outbound) {
    a.status = code(S::kWrongDirection);
    return a;
  }
  clock_of(e, l.index);
  if (e.sa.hard_bytes != 0 && e.bytes + l.len > e.sa.hard_bytes) {
    note(e, l.index, kHardBytes);
    e.expired = true;
  }
  if (e.sa.hard_packets != 0 && e.packets + 1 > e.sa.hard_packets) {
    note(e, l.index, kHardPackets);
    e.expired = true;
  }
  const unsigned len = out_len(e.sa, l);
  if (e.expired) {
    a.status = code(S::kExpired);
  } else if (e.sa.transport && l.fragment) {
    a.status = code(S::kFragment);
  } else if (len > max_packet_) {
    a.status = code(S::kBadLength);
  } else if (len > l.dst_size) {
    a.status = code(S::kDstTooSmall);
  } else if (e.seq == (e.sa.esn ? ~std::uint64_t{0} : 0xffffffffu)) {
    a.status = code(S::kSeqOverflow);
    e.over = true;
    note(e, l.index, kSeqOverflow);
  } else {
    a.status = code(S::kOk);
    a.seq = ++e.seq;
    a.ip_id = e.ip_id++;
    a.out_len = static_cast<std::uint16_t>(len);
    if (!e.sa.esn && e.seq > 0xf0000000u) note(e, l.index, kSeqSoon);
    ++e.packets;
    e.bytes += l.len;
    if (e.sa.soft_bytes != 0 && e.bytes >= e.sa.soft_bytes) note(e, l.index, kSoftBytes);
    if (e.sa.soft_packets != 0 && e.packets >= e.sa.soft_packets) note(e, l.index, kSoftPackets);
  }
  return a;
}

// An inbound lookup reads: its answer must be right for a moment within the last cycles before its grant.
void SadBench::check_inbound(const Lane::Expected& expected_answer, const Answer& got) {
  const Lookup& l = expected_answer.lookup;
  const std::uint64_t granted = expected_answer.granted;
  const std::uint32_t index = l.spi & (entries_ - 1);
  const ModelEntry& e = model[index];
  bool right = false;
  std::string wanted;
  for (std::size_t i = 0; i < e.history.size(); ++i) {
    const InboundState& h = e.history[i];
    if (h.cycle > granted || (i + 1 < e.history.size() && e.history[i + 1].cycle + 10 < granted)) continue;
    Answer a;
    a.status = code(S::kOk);
    const unsigned window = e.check_window();
    std::optional<std::uint64_t> number = l.seq;
    if (window != 0 && e.sa.esn) number = whole_number(h.top, window, l.seq);
    const std::uint32_t age = seconds_ - e.installed;
    if (!h.valid || e.sa.spi != l.spi) {
      a.status = code(S::kNoSa);
    } else {
      a.found = true;
      if (e.sa.outbound) {
        a.status = code(S::kWrongDirection);
      } else if (e.sa.ah != l.ah || e.sa.natt != l.udp) {
        a.status = code(S::kWrongProtocol);
      } else if (e.sa.check_outer && (e.sa.outer_v6 != l.v6 || !std::equal(l.src.begin(), l.src.begin() + (l.v6 ? 16 : 4), e.sa.src.begin()) ||
                                      !std::equal(l.dst.begin(), l.dst.begin() + (l.v6 ? 16 : 4), e.sa.dst.begin()))) {
        a.status = code(S::kWrongAddress);
      } else if (h.expired || (e.sa.hard_seconds != 0 && age >= e.sa.hard_seconds)) {
        a.status = code(S::kExpired);
      } else if (window != 0 && (!number || *number == 0 || (*number <= h.top && h.top - *number >= window))) {
        a.status = code(S::kReplay);
      }
    }
    // A number marked while this state held may be seen as marked or not; one marked before it must be.
    const auto mark = window != 0 && number ? e.seen.find(*number) : e.seen.end();
    if (a.status == code(S::kOk) && mark != e.seen.end()) {
      if (mark->second + 10 < granted) a.status = code(S::kReplay);
      else if (got.status == code(S::kReplay)) right = true;
    }
    wanted += " " + std::to_string(a.status) + "@top " + std::to_string(h.top);
    if (a.status == got.status && a.found == got.found && (a.status != 0 || got.seq == *number)) right = true;
  }
  if (got.found) right = right && got.index == index && got.spi == l.spi;
  REQUIRE_MESSAGE(right, "inbound lookup of " << index << " number " << l.seq << ": status " << got.status << " seq "
                                              << got.seq << ", wanted one of" << wanted);
}

unsigned SadBench::model_update(const Update& u) {
  if (!u.auth && !u.ok && u.status == 0) return 0;
  ModelEntry& e = model[u.index];
  clock_of(e, u.index);
  bool refused = false;
  if (u.auth) {
    const unsigned window = e.check_window();
    if (window != 0) {
      refused = u.seq == 0 || (u.seq <= e.seq && (e.seq - u.seq >= window || e.seen.contains(u.seq)));
      if (!refused) {
        e.seen.emplace(u.seq, dut.cycle());
        e.seq = std::max(e.seq, u.seq);
      }
      while (e.seen.size() > 3 * window) e.seen.erase(e.seen.begin());
    } else {
      e.seq = std::max(e.seq, u.seq);
    }
  }
  unsigned answer = refused ? code(S::kReplay) : code(S::kOk);
  if (u.ok && !refused) {
    if (e.sa.hard_bytes != 0 && e.bytes + u.bytes > e.sa.hard_bytes) {
      note(e, u.index, kHardBytes);
      e.expired = true;
    }
    if (e.sa.hard_packets != 0 && e.packets + 1 > e.sa.hard_packets) {
      note(e, u.index, kHardPackets);
      e.expired = true;
    }
    if (e.expired) {
      answer = code(S::kExpired);
    } else {
      ++e.packets;
      e.bytes += u.bytes;
      if (e.sa.soft_bytes != 0 && e.bytes >= e.sa.soft_bytes) note(e, u.index, kSoftBytes);
      if (e.sa.soft_packets != 0 && e.packets >= e.sa.soft_packets) note(e, u.index, kSoftPackets);
    }
  }
  const unsigned reason = u.status != 0 ? u.status : answer;
  if (reason != 0) {
    const char* name = "other";
    switch (static_cast<S>(reason)) {
      case S::kReplay: name = "replay"; break;
      case S::kBadIcv: name = "icv"; break;
      case S::kBadPadding: name = "padding"; break;
      case S::kBadNextHeader:
      case S::kDummy: name = "next_header"; break;
      case S::kBadInner: name = "inner"; break;
      case S::kWrongProtocol:
      case S::kWrongDirection: name = "protocol"; break;
      case S::kWrongAddress: name = "address"; break;
      case S::kExpired: name = "expired"; break;
      case S::kSeqOverflow: name = "seq"; break;
      case S::kBadEspLength:
      case S::kBadLength:
      case S::kDstTooSmall: name = "length"; break;
      default: break;
    }
    ++e.drops[name];
  }
  return answer;
}

// Commands meet an empty pipeline, so they take effect at a moment that no operation straddles.
void SadBench::on_command(unsigned op) {
  ModelEntry& e = model[command_index_ & (entries_ - 1)];
  switch (op) {
    case 0:
      if (e.valid) break;
      CHECK(e.wiped);
      e = ModelEntry{};
      e.valid = true;
      e.wiped = false;
      e.sa = command_sa_;
      e.installed = seconds_;
      e.seq = e.sa.seq;
      e.ip_id = e.sa.ip_id;
      e.seen.emplace(e.seq, dut.cycle());
      break;
    case 1:
      close(command_index_ & (entries_ - 1));
      epoch_ = !epoch_;
      break;
    case 2:
      CHECK_MESSAGE(e.held == 0, "wiped while held");
      e.wiped = true;
      break;
    case 4:
      if (!e.valid || e.sa.spi != command_sa_.spi || e.sa.outbound != command_sa_.outbound) break;
      if (command_sa_.natt && (e.sa.ah || e.sa.outer_v6)) break;
      e.sa.natt = command_sa_.natt;
      e.sa.check_outer = command_sa_.check_outer;
      e.sa.df = command_sa_.df;
      e.sa.dscp_set = command_sa_.dscp_set;
      e.sa.dscp = command_sa_.dscp;
      e.sa.ecn_clear = command_sa_.ecn_clear;
      e.sa.ttl = command_sa_.ttl;
      e.sa.udp_src = command_sa_.udp_src;
      e.sa.udp_dst = command_sa_.udp_dst;
      e.sa.src = command_sa_.src;
      e.sa.dst = command_sa_.dst;
      e.sa.soft_seconds = command_sa_.soft_seconds;
      e.sa.hard_seconds = command_sa_.hard_seconds;
      e.sa.soft_bytes = command_sa_.soft_bytes;
      e.sa.hard_bytes = command_sa_.hard_bytes;
      e.sa.soft_packets = command_sa_.soft_packets;
      e.sa.hard_packets = command_sa_.hard_packets;
      break;
    case 5:
      for (std::uint32_t i = 0; i < entries_; ++i) close(i);
      epoch_ = !epoch_;
      break;
    case 6:
      for (auto& m : model) {
        CHECK(m.held == 0);
        m.valid = false;
        m.wiped = true;
      }
      break;
    default: break;
  }
  for (auto& m : model) {
    m.history.clear();
    m.history.push_back({0, m.valid, m.expired, m.seq});
  }
}

// ---------------------------------------------------------------------------------------------------- the cycle
void SadBench::step() {
  dut->seconds_i = seconds_;
  unsigned lk_valid = 0, up_valid = 0;
  for (unsigned l = 0; l < kLanes; ++l) {
    if (lanes[l].asking) lk_valid |= 1u << l;
    if (lanes[l].updating) up_valid |= 1u << l;
  }
  dut->lk_valid_i = static_cast<std::uint8_t>(lk_valid);
  dut->up_valid_i = static_cast<std::uint8_t>(up_valid);
  for (unsigned l = 0; l < kLanes; ++l) {
    if (lanes[l].asking && lanes[l].asked_at == 0) {
      const Lookup& k = *lanes[l].asking;
      set_field(dut->lk_encap_i, l, 1, k.encap);
      set_field(dut->lk_ah_i, l, 1, k.ah);
      set_field(dut->lk_udp_i, l, 1, k.udp);
      set_field(dut->lk_v6_i, l, 1, k.v6);
      set_field(dut->lk_fragment_i, l, 1, k.fragment);
      set_field(dut->lk_index_i, l, 32, k.index);
      set_field(dut->lk_spi_i, l, 32, k.spi);
      set_field(dut->lk_seq_i, l, 32, k.seq);
      set_field(dut->lk_len_i, l, 16, k.len);
      set_field(dut->lk_dst_size_i, l, 16, k.dst_size);
      set_field(dut->lk_hdr_len_i, l, 8, k.hdr_len);
      set_address(dut->lk_src_i, l, k.src);
      set_address(dut->lk_dst_i, l, k.dst);
      lanes[l].asked_at = dut.cycle() + 1;
    }
    if (lanes[l].updating) {
      const Update& u = *lanes[l].updating;
      set_field(dut->up_index_i, l, 32, u.index);
      set_field(dut->up_epoch_i, l, 1, u.epoch);
      set_field(dut->up_auth_i, l, 1, u.auth);
      set_field(dut->up_ok_i, l, 1, u.ok);
      set_field(dut->up_status_i, l, 8, u.status);
      set_field(dut->up_seq_i, l, 64, u.seq);
      set_field(dut->up_bytes_i, l, 16, u.bytes);
    }
  }
  dut->ev_ready_i = !random.percent(event_stall);
  dut.settle();
  const unsigned lk = dut->lk_ready_o & lk_valid, up = dut->up_ready_o & up_valid;
  REQUIRE((dut->lk_ready_o & ~lk_valid) == 0);
  REQUIRE((dut->up_ready_o & ~up_valid) == 0);
  for (unsigned l = 0; l < kLanes; ++l) {
    Lane& lane = lanes[l];
    if ((lk >> l & 1) != 0) {
      Lane::Expected x{*lane.asking, dut.cycle(), lane.asked_at - 1, std::nullopt};
      if (lane.asking->encap) {
        x.answer = model_outbound(*lane.asking);
        if (x.answer->found) remember(model[x.answer->index]);
      }
      lane.lookups.push_back(x);
      lane.asking.reset();
    }
    if ((up >> l & 1) != 0) {
      lane.updates.push_back(model_update(*lane.updating));
      ModelEntry& e = model[lane.updating->index];
      --e.held;
      remember(e);
      lane.updating.reset();
    }
  }
  if (dut->ev_valid_o && dut->ev_ready_i) {
    events.push_back({dut->ev_type_o, dut->ev_index_o, dut->ev_spi_o, dut->ev_arg_o});
  }
  const bool command = dut->bench_cmd_done_o != 0;
  const unsigned op = dut->bench_cmd_op_o;
  dut.tick();
  if (command) on_command(op);
  poison_pulses += dut->poison_o;
  for (unsigned l = 0; l < kLanes; ++l) {
    Lane& lane = lanes[l];
    if ((dut->lr_valid_o >> l & 1) != 0) {
      REQUIRE(dut->lr_valid_o == 1u << l);
      REQUIRE(!lane.lookups.empty());
      Answer a;
      a.status = dut->lr_status_o;
      a.found = dut->lr_found_o;
      a.epoch = dut->lr_epoch_o;
      a.index = dut->lr_index_o;
      a.spi = dut->lr_spi_o;
      a.seq = dut->lr_seq_o;
      a.ip_id = dut->lr_ip_id_o;
      a.out_len = dut->lr_out_len_o;
      const auto x = lane.lookups.front();
      lane.lookups.pop_front();
      if (strict) {
        if (x.answer) {
          INFO("outbound lookup of " << x.lookup.index << " length " << x.lookup.len << " granted in " << x.granted);
          REQUIRE(a.status == x.answer->status);
          REQUIRE(a.found == x.answer->found);
          if (a.found) {
            REQUIRE(a.index == x.answer->index);
            REQUIRE(a.spi == x.answer->spi);
          }
          if (a.status == 0) {
            REQUIRE(a.seq == x.answer->seq);
            REQUIRE(a.ip_id == x.answer->ip_id);
            REQUIRE(a.out_len == x.answer->out_len);
          }
        } else {
          check_inbound(x, a);
        }
        if (a.found) REQUIRE(a.epoch == epoch_);
        if (a.found && a.status == 0) {
          const SaSetting& sa = model[a.index].sa;
          REQUIRE(dut->lr_transport_o == sa.transport);
          REQUIRE(dut->lr_ah_o == sa.ah);
          REQUIRE(dut->lr_outer_v6_o == sa.outer_v6);
          REQUIRE(dut->lr_natt_o == sa.natt);
          REQUIRE(dut->lr_esn_o == sa.esn);
          REQUIRE(dut->lr_inner_v4_o == sa.inner_v4);
          REQUIRE(dut->lr_inner_v6_o == sa.inner_v6);
          REQUIRE(dut->lr_cipher_o == sa.cipher);
          REQUIRE(dut->lr_auth_o == sa.auth);
          REQUIRE(dut->lr_df_policy_o == sa.df);
          REQUIRE(dut->lr_dscp_set_o == sa.dscp_set);
          REQUIRE(dut->lr_dscp_o == sa.dscp);
          REQUIRE(dut->lr_ecn_clear_o == sa.ecn_clear);
          REQUIRE(dut->lr_ttl_o == sa.ttl);
          REQUIRE(dut->lr_udp_src_o == sa.udp_src);
          REQUIRE(dut->lr_udp_dst_o == sa.udp_dst);
          REQUIRE(std::ranges::equal(get_top_first(dut->lr_src_o, 16), sa.src));
          REQUIRE(std::ranges::equal(get_top_first(dut->lr_dst_o, 16), sa.dst));
          REQUIRE(std::ranges::equal(get_top_first(dut->lr_enc_key_o, 24), sa.enc_key));
        }
      }
      last_enc_key = get_top_first(dut->lr_enc_key_o, 24);
      last_istate = get_top_first(dut->lr_istate_o, 20);
      last_ostate = get_top_first(dut->lr_ostate_o, 20);
      if (a.found) ++model[a.index].held;
      lane.answers.emplace_back(x.lookup, a);
      max_latency = std::max(max_latency, dut.cycle() - x.asked);
      ++lookups_answered;
    }
    if ((dut->ur_valid_o >> l & 1) != 0) {
      REQUIRE(dut->ur_valid_o == 1u << l);
      REQUIRE(!lane.updates.empty());
      const unsigned wanted = lane.updates.front();
      if (strict) REQUIRE(dut->ur_status_o == wanted);
      lane.updates.pop_front();
      lane.update_answers.push_back(dut->ur_status_o);
      ++updates_answered;
    }
    if (!lane.asking) lane.asked_at = 0;
  }
}

Answer SadBench::lookup(const Lookup& l) {
  lanes[0].answers.clear();
  lanes[0].asking = l;
  lanes[0].asked_at = 0;
  for (unsigned n = 0; n < 2000 && lanes[0].answers.empty(); ++n) step();
  REQUIRE(!lanes[0].answers.empty());
  return lanes[0].answers.back().second;
}
unsigned SadBench::update(const Update& u) {
  lanes[0].update_answers.clear();
  lanes[0].updating = u;
  for (unsigned n = 0; n < 2000 && lanes[0].update_answers.empty(); ++n) step();
  REQUIRE(!lanes[0].update_answers.empty());
  return lanes[0].update_answers.back();
}

// -------------------------------------------------------------------------------------------------- the registers
void SadBench::write(std::uint32_t addr, std::uint32_t value) {
  dut->reg_addr_i = static_cast<std::uint16_t>(addr);
  dut->reg_wdata_i = value;
  dut->reg_wr_i = 1;
  step();
  dut->reg_wr_i = 0;
}
std::uint32_t SadBench::read(std::uint32_t addr) {
  dut->reg_addr_i = static_cast<std::uint16_t>(addr);
  dut.settle();
  return dut->reg_rdata_o;
}
void SadBench::write_entry(const SaSetting& sa) {
  const auto w = sa.words();
  for (unsigned i = 0; i < 64; ++i) {
    if (w[i] != 0) write(0x500 + 4 * i, w[i]);
  }
  command_sa_ = sa;
}
void SadBench::start(unsigned command, std::uint32_t index) {
  write(0x400, index);
  command_index_ = index;
  write(0x404, command);
}
unsigned SadBench::run(unsigned command, std::uint32_t index) {
  start(command, index);
  for (unsigned n = 0; n < 100000 && busy(); ++n) step();
  REQUIRE(!busy());
  return result();
}
unsigned SadBench::install(std::uint32_t index, const SaSetting& sa) {
  write_entry(sa);
  return run(1, index);
}
std::array<std::uint32_t, 32> SadBench::view() {
  std::array<std::uint32_t, 32> v{};
  for (unsigned i = 0; i < 32; ++i) v[i] = read(0x600 + 4 * i);
  return v;
}
void SadBench::check_view(std::uint32_t index) {
  ModelEntry& e = model[index];
  CAPTURE(index);
  const unsigned result = run(3, index);
  const auto v = view();
  if (!e.valid) {
    CHECK(result == 3);
    for (const auto w : v) CHECK(w == 0);
    return;
  }
  CHECK(result == 0);
  const auto wide = [&v](unsigned byte) { return std::uint64_t{v[byte / 4 + 1]} << 32 | v[byte / 4]; };
  CHECK((v[0] & 1) == 1);
  CHECK((v[0] >> 1 & 1) == e.sa.outbound);
  CHECK((v[0] >> 2 & 1) == (e.expired || e.over));
  CHECK((v[0] >> 8 & 15) == e.sa.cipher);
  CHECK((v[0] >> 12 & 15) == e.sa.auth);
  CHECK(v[1] == e.sa.spi);
  CHECK(wide(8) == e.seq);
  CHECK(wide(16) == e.packets);
  CHECK(wide(24) == e.bytes);
  CHECK(v[11] == seconds_ - e.installed);
  const char* const names[] = {"replay", "icv", "other", nullptr, "padding", "next_header", "inner", "protocol", "address", "expired", "seq", "length"};
  for (unsigned i = 0; i < 12; ++i) {
    if (names[i] != nullptr) CHECK_MESSAGE(v[8 + i] == e.drops[names[i]], names[i]);
  }
  for (unsigned i = 20; i < 32; ++i) CHECK(v[i] == 0);
}

void SadBench::set_seconds(std::uint32_t s) {
  quiesce();
  seconds_ = s;
  for (unsigned i = 0; i < entries_; ++i) {
    if (model[i].valid) {
      const auto before = expected, waiting = untouched;
      clock_of(model[i], i);
      for (const unsigned type : {kSoftSeconds, kHardSeconds}) {
        if (expected.count({type, i}) > before.count({type, i}) || waiting.contains({type, i})) untouched.insert({type, i});
      }
    }
    remember(model[i]);
  }
  quiesce();
}
void SadBench::quiesce(unsigned cycles) {
  for (unsigned n = 0; n < 5000; ++n) {
    bool idle = true;
    for (const auto& l : lanes) idle = idle && !l.asking && !l.updating && l.lookups.empty() && l.updates.empty();
    if (idle) break;
    step();
  }
  for (const auto& l : lanes) REQUIRE((!l.asking && !l.updating && l.lookups.empty() && l.updates.empty()));
  steps(cycles);
}
void SadBench::check_events() {
  quiesce(300);
  auto left = expected;
  for (const auto& e : events) {
    auto at = left.find({e.type, e.index});
    if (at == left.end()) {
      const auto maybe = optional.find({e.type, e.index});
      if (maybe != optional.end()) {
        optional.erase(maybe);
        continue;
      }
    }
    CHECK_MESSAGE(at != left.end(), "event " << e.type << " of " << e.index << " was not expected");
    if (at != left.end()) left.erase(at);
  }
  for (const auto& [type, index] : left) CHECK_MESSAGE(false, "event " << type << " of " << index << " is missing");
  events.clear();
  expected.clear();
  untouched.clear();
  optional.clear();
}

}  // namespace esplanade::tb
