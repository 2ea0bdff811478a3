#include "hw/tb/queue/queue_bench.h"

#include <cstring>

namespace esplanade::tb {
namespace {
constexpr std::uint64_t kListArea = kLists, kListAreaSize = kPackets - kLists;
bool steady(std::uint64_t addr) { return addr < kRings || addr >= kPackets; }

std::uint64_t le(const Beat& b, unsigned at, unsigned n) {
  std::uint64_t v = 0;
  for (unsigned i = 0; i < n; ++i) v |= static_cast<std::uint64_t>(b[at + i]) << (8 * i);
  return v;
}
void put(Beat& b, unsigned at, unsigned n, std::uint64_t v) {
  for (unsigned i = 0; i < n; ++i) b[at + i] = static_cast<std::uint8_t>(v >> (8 * i));
}
template <class Port>
void set_bits(Port& port, unsigned at, unsigned n, unsigned __int128 v) {
  for (unsigned i = 0; i < n; ++i) {
    const unsigned bit = at + i;
    port[bit / 32] =
        (port[bit / 32] & ~(1u << (bit % 32))) | (static_cast<std::uint32_t>(v >> i & 1) << (bit % 32));
  }
}
template <class Port>
bool same(const Port& port, const Beat& b) {
  for (unsigned w = 0; w < 16; ++w)
    if (port[w] != static_cast<std::uint32_t>(le(b, 4 * w, 4))) return false;
  return true;
}
}  // namespace

Beat Descriptor::encode() const {
  Beat b{};
  b[0] = op;
  b[1] = host_iv;
  b[2] = num_src;
  b[3] = num_dst;
  put(b, 4, 4, sa_index);
  put(b, 8, 8, cookie);
  put(b, 16, 8, src);
  put(b, 24, 8, dst);
  put(b, 32, 4, src_len);
  put(b, 36, 4, dst_size);
  std::memcpy(&b[40], iv.data(), 8);
  return b;
}
Descriptor Descriptor::decode(const Beat& b) {
  Descriptor d;
  d.op = b[0];
  d.host_iv = b[1] & 1;
  d.num_src = b[2];
  d.num_dst = b[3];
  d.sa_index = static_cast<std::uint32_t>(le(b, 4, 4));
  d.cookie = le(b, 8, 8);
  d.src = le(b, 16, 8);
  d.dst = le(b, 24, 8);
  d.src_len = static_cast<std::uint32_t>(le(b, 32, 4));
  d.dst_size = static_cast<std::uint32_t>(le(b, 36, 4));
  std::memcpy(d.iv.data(), &b[40], 8);
  return d;
}

QueueBench::QueueBench(std::uint64_t salt) : rng(salt) {
  windows = {{0x1'0000'0000, 0x20'0000, true},
             {0x7f00'0000'0040, 0x1'0020, true},       // ends inside a beat
             {0xffff'ffff'ffff'0000, 0x1'0000, true},  // ends at 2^64
             {0, static_cast<unsigned __int128>(1) << 64, false}};
  apply_windows();
  dut->enable_i = 1;
  dut->test_mode_i = 1;
  dut.reset();
}

void QueueBench::apply_windows() {
  unsigned enable = 0;
  for (unsigned w = 0; w < 4; ++w) {
    set_bits(dut->window_base_i, 64 * w, 64, windows[w].base);
    set_bits(dut->window_end_i, 65 * w, 65, windows[w].base + windows[w].size);
    enable |= static_cast<unsigned>(windows[w].enabled) << w;
  }
  dut->window_enable_i = static_cast<std::uint8_t>(enable);
}

Beat QueueBench::beat_at(std::uint64_t addr) const {
  if (const auto it = stored_.find(addr); it != stored_.end()) return it->second;
  Beat b;
  std::uint64_t x = addr * 0x9e3779b97f4a7c15ULL + 1;
  for (unsigned i = 0; i < 8; ++i) {
    x ^= x >> 29, x *= 0xbf58476d1ce4e5b9ULL, x ^= x >> 32;
    put(b, 8 * i, 8, x);
  }
  return b;
}

std::uint64_t QueueBench::store_list(const std::vector<Segment>& s) {
  const std::uint64_t at = kListArea + next_list_;
  next_list_ = (next_list_ + 128) % kListAreaSize;
  for (unsigned i = 0; i < 2; ++i) {
    Beat b = beat_at(~at + i);  // rubbish behind the last segment
    for (unsigned j = 0; j < 4 && 4 * i + j < s.size(); ++j) {
      put(b, 16 * j, 8, s[4 * i + j].addr);
      put(b, 16 * j + 8, 4, s[4 * i + j].len);
      put(b, 16 * j + 12, 4, s[4 * i + j].unused);
    }
    store(at + 64ull * i, b);
  }
  return at;
}

bool QueueBench::in_window(std::uint64_t addr, std::uint64_t len) const {
  for (const Window& w : windows) {
    const auto end = static_cast<unsigned __int128>(addr) + len;
    if (w.enabled && addr >= w.base && end <= static_cast<unsigned __int128>(w.base) + w.size) return true;
  }
  return false;
}

Expected QueueBench::judge(const Beat& raw, bool in_order) const {
  Expected e;
  const Descriptor d = e.d = Descriptor::decode(raw);
  e.in_order = in_order;
  const auto whole = [](std::uint64_t n) { return (n + 63) / 64 * 64; };
  const auto fail = [&](std::uint8_t s) {
    e.status = s;
    e.beats.clear();
    e.segments.clear();
    return e;
  };
  bool reserved = (raw[1] & 0xfe) != 0;
  for (unsigned i = 48; i < 64; ++i) reserved = reserved || raw[i] != 0;
  if (reserved || d.op > 2 || (d.host_iv && d.op != 1) || d.num_src > 8 || d.num_dst > 8)
    return fail(kBadDescriptor);
  if (d.op == 0) return e;
  if (d.src % 64 != 0 || d.dst % 64 != 0) return fail(kBadAlign);
  if (d.src_len < 20 || d.src_len > kMaxPacket) return fail(kBadLength);
  if (!in_window(d.src, d.num_src != 0 ? whole(16ull * d.num_src) : whole(d.src_len)))
    return fail(kBadAddress);
  if (!in_window(d.dst, d.num_dst != 0 ? whole(16ull * d.num_dst) : d.dst_size)) return fail(kBadAddress);
  if (d.host_iv && !test_mode) return fail(kHostIvRefused);
  const auto list = [&](std::uint64_t at, unsigned n, std::uint64_t total,
                        std::vector<Segment>& out) -> std::uint8_t {
    std::uint64_t sum = 0;
    for (unsigned i = 0; i < n; ++i) {
      const std::uint64_t row = at + 64ull * (i / 4);
      if (fails(row)) return kBusError;
      const Beat b = beat_at(row);
      const unsigned o = 16 * (i % 4);
      const Segment s{le(b, o, 8), static_cast<std::uint32_t>(le(b, o + 8, 4)),
                      static_cast<std::uint32_t>(le(b, o + 12, 4))};
      if (s.unused != 0 || s.len == 0) return kBadDescriptor;
      if (s.addr % 64 != 0 || (i + 1 < n && s.len % 64 != 0)) return kBadAlign;
      if (!in_window(s.addr, whole(s.len))) return kBadAddress;
      sum += s.len;
      out.push_back(s);
    }
    return sum == total ? kOk : kBadLength;
  };
  std::vector<Segment> src;
  if (d.num_src != 0) {
    if (const auto s = list(d.src, d.num_src, d.src_len, src); s != kOk) return fail(s);
  } else {
    src.push_back({d.src, d.src_len});
  }
  if (d.num_dst != 0) {
    if (const auto s = list(d.dst, d.num_dst, d.dst_size, e.segments); s != kOk) return fail(s);
  }
  for (const Segment& s : src)
    for (std::uint64_t o = 0; o < s.len; o += 64) e.beats.push_back(s.addr + o);
  return e;
}

void QueueBench::complain(const std::string& what) {
  if (complaints.size() < 10) complaints.push_back("cycle " + std::to_string(dut.cycle()) + ": " + what);
}

void QueueBench::write(std::uint16_t addr, std::uint32_t value) {
  dut->reg_addr_i = addr;
  step();  // the address stands from the cycle before
  dut->reg_wdata_i = value;
  dut->reg_wr_i = 1;
  step();
  dut->reg_wr_i = 0;
  step();
}
std::uint32_t QueueBench::read(std::uint16_t addr) {
  dut->reg_addr_i = addr;
  step();
  dut.settle();
  return dut->reg_rdata_o;
}
void QueueBench::start(unsigned q, std::uint64_t sq, unsigned log2, bool in_order, std::uint64_t cq) {
  Queue& s = queues[q];
  Queue fresh;
  fresh.life = s.life + 1;
  fresh.former = std::move(s.former);  // a life that never ran has not pushed out the one before
  fresh.former.insert(fresh.former.end(), s.expected.begin(), s.expected.end());
  s = std::move(fresh);
  s.running = true;
  s.in_order = in_order;
  s.sq = sq;
  s.cq = cq;
  s.size = 1u << log2;
  write(reg(q, 0x1000), static_cast<std::uint32_t>(sq));
  write(reg(q, 0x1004), static_cast<std::uint32_t>(sq >> 32));
  write(reg(q, 0x1008), static_cast<std::uint32_t>(cq));
  write(reg(q, 0x100c), static_cast<std::uint32_t>(cq >> 32));
  write(reg(q, 0x1010), 1u | static_cast<unsigned>(in_order) << 1 | log2 << 8);
}
bool QueueBench::submit(unsigned q, const Beat& raw) {
  Queue& s = queues[q];
  if (s.tail - s.acked >= s.size) return false;
  store(s.sq + 64ull * (s.tail & (s.size - 1)), raw);
  ++s.tail;
  s.expected.push_back(judge(raw, s.in_order));
  return true;
}
void QueueBench::ring(unsigned q) {
  queues[q].rung = queues[q].tail;
  write(reg(q, 0x1014), queues[q].tail);
}
void QueueBench::acknowledge(unsigned q) {
  Queue& s = queues[q];
  if (s.acked == s.done) return;
  s.acked = s.done;
  write(reg(q, 0x101c), s.acked);
}
bool QueueBench::settled() const {
  if (!want_db_.empty() || !want_hb_.empty() || !want_seg_.empty() || !completing_.empty()) return false;
  for (const Queue& s : queues)
    if (s.running && s.done != s.rung) return false;
  return true;
}
bool QueueBench::run_until_settled(std::uint64_t cycles) {
  for (std::uint64_t i = 0; i < cycles && !settled(); ++i) step();
  return settled();
}

void QueueBench::drive_memory() {
  dut->arready_i = bursts_.size() < 256 && !rng.percent(ar_stall);
  if (!r_on_ && !bursts_.empty() && bursts_.front().due <= dut.cycle() && !rng.percent(r_stall)) {
    const Burst& b = bursts_.front();
    const std::uint64_t addr = b.addr + 64ull * b.at;
    const bool bad = fails(addr);
    const Beat data = beat_at(bad ? ~addr : addr);
    for (unsigned w = 0; w < 16; ++w) dut->rdata_i[w] = static_cast<std::uint32_t>(le(data, 4 * w, 4));
    dut->rresp_i = bad ? 2 + (addr >> 6 & 1) : 0;
    r_on_ = true;
  }
  dut->rvalid_i = r_on_;
}

void QueueBench::drive_consumer() {
  dut.settle();  // a record with data is taken only beside its header beat, as the lane does
  const bool has_data = dut->pd_status_o == kOk && dut->pd_op_o != 0;
  dut->pd_ready_i = consume && (!has_data || hold_headers || (dut->hb_valid_o && want_hb_.empty())) &&
                    !rng.percent(out_stall);
  dut->db_ready_i = !hold_data && !want_db_.empty() && !rng.percent(out_stall);
  dut->hb_ready_i = !hold_headers && !want_hb_.empty() && !rng.percent(out_stall);
  dut->seg_ready_i = !hold_segments && !want_seg_.empty() && !rng.percent(out_stall);
  // Completions: issued and done in order, at most one of each a cycle
  unsigned issue = 0, done = 0;
  for (Completion& c : completing_) {
    if (c.due > dut.cycle()) break;
    if (!c.issued) {
      if (dut->cpl_live_o >> c.queue & 1) issue = 1u << c.queue;
      c.issued = true;
      c.due = dut.cycle() + cpl_delay;
      break;
    }
  }
  if (!completing_.empty() && completing_.front().issued && completing_.front().due <= dut.cycle()) {
    done = 1u << completing_.front().queue;
    if (Queue& s = queues[completing_.front().queue]; s.life == completing_.front().life) ++s.done;
    completing_.pop_front();
  }
  dut->cpl_issue_i = static_cast<std::uint8_t>(issue);
  dut->cpl_done_i = static_cast<std::uint8_t>(done);
  for (unsigned q = 0; q < kQueues; ++q) {
    if ((issue >> q & 1) == 0) continue;
    Queue& s = queues[q];
    const std::uint64_t at =
        static_cast<std::uint64_t>(dut->cpl_addr_o[2 * q + 1]) << 32 | dut->cpl_addr_o[2 * q];
    if (at != s.cq + 64ull * (s.issued & (s.size - 1))) complain("completion address");
    if ((dut->cpl_phase_o >> q & 1) != ((s.issued / s.size) % 2 == 0 ? 1u : 0u)) complain("completion phase");
    ++s.issued;
  }
}

void QueueBench::take(unsigned q, std::deque<Expected>& from, unsigned life) {
  const Expected e = from.front();
  from.pop_front();
  ++consumed;
  if (pd_cycles.size() < 100000) pd_cycles.push_back(dut.cycle());
  const bool data = e.status == kOk && e.d.op != 0;
  if (dut->pd_status_o != e.status)
    complain("status " + std::to_string(dut->pd_status_o) + ", expected " + std::to_string(e.status));
  ++by_status[e.status];
  if (dut->pd_in_order_o != e.in_order || dut->pd_op_o != e.d.op || dut->pd_host_iv_o != e.d.host_iv)
    complain("pd flags");
  if (dut->pd_sa_index_o != e.d.sa_index || dut->pd_cookie_o != e.d.cookie) complain("pd index or cookie");
  if (dut->pd_dst_addr_o != (e.d.dst & ~63ull) || dut->pd_dst_size_o != e.d.dst_size)
    complain("pd destination");
  if (dut->pd_src_len_o != (e.d.src_len & 0xffff) || dut->pd_iv_o != load_be64(e.d.iv.data()))
    complain("pd source or IV");
  if (dut->pd_dst_segments_o != (data ? e.d.num_dst : 0)) complain("pd segments");
  if (dut->cycle_o - dut->pd_cycle_o > 1000000) complain("pd cycle");
  if (data) {
    for (std::size_t i = 0; i < e.beats.size(); ++i) {
      want_db_.push_back({e.beats[i], i + 1 == e.beats.size()});
      if (i < 2) want_hb_.push_back({e.beats[i], i == 1 || e.beats.size() == 1});
    }
    for (const Segment& x : e.segments) want_seg_.push_back(x);
  }
  completing_.push_back({q, life, dut.cycle() + cpl_delay, false});
}

void QueueBench::forget() {
  want_db_.clear();
  want_hb_.clear();
  want_seg_.clear();
  completing_.clear();
  for (Queue& s : queues) {
    s.running = false;
    s.expected.clear();
    s.former.clear();
  }
}

void QueueBench::step() {
  drive_memory();
  drive_consumer();
  dut.settle();
  // AXI read address
  if (ar_held_ && (!dut->arvalid_o || dut->araddr_o != ar_held_addr_ || dut->arlen_o != ar_held_len_))
    complain("AR changed");
  ar_held_ = dut->arvalid_o && !dut->arready_i;
  ar_held_addr_ = dut->araddr_o;
  ar_held_len_ = dut->arlen_o;
  if (dut->arvalid_o && first_packet_ar == 0 && first_ring_beat != 0) first_packet_ar = dut.cycle();
  if (dut->arvalid_o && dut->arready_i) {
    const std::uint64_t addr = dut->araddr_o;
    const unsigned n = dut->arlen_o + 1u;
    if (addr % 64 != 0 || addr / 4096 != (addr + 64ull * n - 1) / 4096)
      complain("burst crosses 4 KiB or is not aligned");
    if (!in_window(addr, 64ull * n)) complain("read outside the windows");
    bursts_.push_back({addr, n, 0, dut.cycle() + latency});
    most_outstanding = std::max<std::uint64_t>(most_outstanding, bursts_.size());
  }
  if (dut->rvalid_i && dut->rready_o) {
    if (first_ring_beat == 0) first_ring_beat = dut.cycle();
    r_on_ = false;
    if (++bursts_.front().at == bursts_.front().beats) bursts_.pop_front();
  }
  // Outputs
  if (dut->db_valid_o && dut->db_ready_i) {
    const Out o = want_db_.front();
    want_db_.pop_front();
    ++beats_consumed;
    if (dut->db_err_o != fails(o.addr)) complain("db_err");
    if (!fails(o.addr) && steady(o.addr) && !same(dut->db_data_o, beat_at(o.addr)))
      complain("db_data " + std::to_string(o.addr) + " next " +
               std::to_string(want_db_.empty() ? 0 : want_db_.front().addr) + " left " +
               std::to_string(want_db_.size()));
  }
  if (dut->hb_valid_o && dut->hb_ready_i) {
    const Out o = want_hb_.front();
    want_hb_.pop_front();
    if (dut->hb_err_o != fails(o.addr)) complain("hb_err");
    if (dut->hb_last_o != o.last) complain("hb_last");
    if (!fails(o.addr) && steady(o.addr) && !same(dut->hb_data_o, beat_at(o.addr))) complain("hb_data");
  }
  if (dut->seg_valid_o && dut->seg_ready_i) {
    const Segment s = want_seg_.front();
    want_seg_.pop_front();
    if (dut->seg_addr_o != s.addr || dut->seg_len_o != (s.len > 0xffff ? 0xffc0 : s.len)) complain("segment");
  }
  if (dut->pd_valid_o && dut->pd_ready_i) {
    const unsigned q = dut->pd_queue_o;
    std::size_t skipped = 0;  // of former lives, not fetched before they ended
    if (q < kQueues) {
      const auto& former = queues[q].former;
      while (skipped < former.size() && former[skipped].d.cookie != dut->pd_cookie_o) ++skipped;
    }
    if (q >= kQueues) {
      complain("pd_queue");
    } else if (skipped < queues[q].former.size()) {
      queues[q].former.erase(queues[q].former.begin(),
                             queues[q].former.begin() + static_cast<std::ptrdiff_t>(skipped));
      take(q, queues[q].former, queues[q].life - 1);
    } else if (queues[q].expected.empty() || (queues[q].consumed == queues[q].rung)) {
      complain("unexpected descriptor of queue " + std::to_string(q));
    } else {
      queues[q].former.clear();
      ++queues[q].consumed;
      take(q, queues[q].expected, queues[q].life);
    }
  }
  bad_doorbells += dut->bad_doorbell_o != 0;
  bad_configs += dut->bad_config_o != 0;
  dut.tick();
}

}  // namespace esplanade::tb
