#include "common/testing/seed.h"
#include "hw/tb/fullcard/card.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace esplanade::fullcard {

namespace reg = card::reg;

namespace {
constexpr Byte kCanary = 0xa5;
constexpr std::size_t kGuard = 64;  // octets of canary before and behind a destination
}  // namespace

std::uint64_t seed_of_run() { return testing::seed(20260); }

Card::Card(std::unique_ptr<CardModel> model, const Options& options)
    : rng(options.seed * 31 + 7), model_(std::move(model)), options_(options) {
  for (std::size_t i = 0; i < model_->ports.size(); ++i) {
    ports.emplace_back(static_cast<unsigned>(i), model_->ports[i], memory, options.seed * 64 + i);
    ports.back().timing = options.timing;
    *model_->ports[i].rid = *model_->ports[i].bid = 0;
  }
  if (const char* file = std::getenv("ESPLANADE_WAVES"); file != nullptr && *file != 0) {
    model_->open_waves(file);
    waves_ = true;
  }
  reset();
  caps = read32(reg::kCaps.at());
  const std::uint32_t sizes = read32(reg::kSizes.at());
  lanes = reg::kSizesLanes.get(sizes);
  queues = reg::kSizesQueues.get(sizes);
  slots = reg::kSizesSlots.get(sizes);
  sa_entries = read32(reg::kSaEntries.at());
  max_packet = read32(reg::kMaxPacket.at());
  replay_max = read32(reg::kReplayMax.at());
  clock_hz = read32(reg::kClockHz.at());
  if (lanes != ports.size()) die(fmt::format("{} lanes, {} ports", lanes, ports.size()));
  queue_.resize(queues);
  set_window(0, {Memory::kBase, Memory::kSize});
  for (unsigned i = 0; i < 5; ++i) write32(reg::kRngSeed.at(i), static_cast<std::uint32_t>(rng()));
  memory.allow(kEvents, std::size_t{32} << kEventLog2);
  write32(reg::kEventBaseLo.at(), static_cast<std::uint32_t>(kEvents));
  write32(reg::kEventBaseHi.at(), static_cast<std::uint32_t>(kEvents >> 32));
  write32(reg::kEventControl.at(), 1 | kEventLog2 << 8);
  write32(reg::kControl.at(), 1 | (options.test_mode ? reg::kControlTestMode.mask() : 0));
}
Card::~Card() = default;

void Card::reset() {
  entry_clean_ = false;
  *model_->rst_n = 0;
  for (unsigned i = 0; i < 12; ++i) {
    tick();
    if (i > 4)
      for (AxiPort& port : ports) port.check_reset();
  }
  *model_->rst_n = 1;
}

void Card::die(const std::string& what) {
  for (const auto& v : memory.violations) fmt::print(stderr, "bench: {}\n", v);
  fmt::print(stderr, "bench: {} (cycle {}); to repeat: {}\n", what, cycles_, testing::reproduction());
  for (unsigned q = 0; q < queue_.size(); ++q)
    fmt::print(stderr, "bench: queue {}: {} in flight, submitted {}, rung {}, reaped {}\n", q, queue_[q].flights.size(),
               queue_[q].sq_tail, queue_[q].sq_rung, queue_[q].cq_head);
  static bool dying = false;
  if (!std::exchange(dying, true)) {  // what the card says of it, if it still speaks
    const std::uint32_t cause = read32(reg::kErrorCause.at()), status = read32(reg::kStatus.at());
    fmt::print(stderr, "bench: ERROR_CAUSE {:#x}, STATUS {:#x}\n", cause, status);
    for (unsigned q = 0; q < queue_.size(); ++q)
      fmt::print(stderr, "bench: queue {}: SQ_HEAD {} CQ_TAIL {} Q_STATUS {:#x}\n", q, read32(reg::kSqHead.at(q)), read32(reg::kCqTail.at(q)),
                 read32(reg::kQStatus.at(q)));
  }
  model_.reset();  // closes the waves
  std::fflush(nullptr);
  std::abort();
}

void Card::tick() {
  ++cycles_;
  memory.now = cycles_;
  *model_->clk = 0;
  model_->eval();
  for (AxiPort& port : ports) port.sample();
  control_checks();
  if (waves_) model_->dump_waves(2 * cycles_);
  *model_->clk = 1;
  model_->eval();
  if (waves_) model_->dump_waves(2 * cycles_ + 1);
  for (AxiPort& port : ports) port.drive();
}
void Card::run(std::uint64_t n) {
  for (std::uint64_t i = 0; i < n; ++i) tick();
}

bool Card::skip_seconds(std::uint32_t seconds) {
  for (const std::uint64_t until = cycles_ + kCycleLimit; cycles_ < until; tick())
    if (model_->skip(std::uint64_t{seconds} * clock_hz, clock_hz)) return true;
  return false;
}

// s_axi_control is a slave: it answers what was asked, once.
void Card::control_checks() {
  const ControlPins& c = model_->control;
  if (!*c.awvalid && !*c.wvalid && !*c.arvalid && !*c.bvalid && !*c.rvalid) return;
  if (*c.bvalid && writes_open_ == 0) memory.complain("control: write answer without a request");
  if (*c.rvalid && reads_open_ == 0) memory.complain("control: read answer without a request");
  if (*c.bvalid && *c.bready && writes_open_ != 0) --writes_open_;
  if (*c.rvalid && *c.rready && reads_open_ != 0) --reads_open_;
  if (*c.awvalid && *c.awready) ++aw_open_;
  if (*c.wvalid && *c.wready) ++w_open_;
  if (*c.arvalid && *c.arready) ++reads_open_;
  const unsigned both = std::min(aw_open_, w_open_);
  writes_open_ += both;
  aw_open_ -= both;
  w_open_ -= both;
}

std::uint32_t Card::read32(std::uint32_t offset) {
  const ControlPins& c = model_->control;
  *c.araddr = static_cast<std::uint16_t>(offset);
  *c.arvalid = 1;
  *c.rready = 1;
  for (unsigned i = 0; i < 1000; ++i) {
    *model_->clk = 0;
    model_->eval();
    const bool taken = *c.arvalid && *c.arready;
    const bool done = *c.rvalid != 0;
    const std::uint32_t value = *c.rdata;
    tick();
    if (taken) *c.arvalid = 0;
    if (done) {
      *c.rready = 0;
      return value;
    }
  }
  die(fmt::format("register read of {:#x} without answer", offset));
}

void Card::write32(std::uint32_t offset, std::uint32_t value) {
  const ControlPins& c = model_->control;
  *c.awaddr = static_cast<std::uint16_t>(offset);
  *c.wdata = value;
  *c.wstrb = 15;
  *c.bready = 1;
  // Address and data in any order
  const unsigned skew = options_.timing.stalls != 0 ? static_cast<unsigned>(rng() % 3) : 0;
  bool aw = false, w = false;
  for (unsigned i = 0; i < 1000; ++i) {
    *c.awvalid = !aw && (skew != 1 || i > 0);
    *c.wvalid = !w && (skew != 2 || i > 0);
    *model_->clk = 0;
    model_->eval();
    aw = aw || (*c.awvalid && *c.awready);
    w = w || (*c.wvalid && *c.wready);
    const bool done = *c.bvalid != 0;
    tick();
    if (done) {
      *c.bready = *c.awvalid = *c.wvalid = 0;
      return;
    }
  }
  die(fmt::format("register write of {:#x} without answer", offset));
}

void Card::set_window(unsigned n, Range range, bool enable) {
  run(100);  // rings that were just enabled are still being checked against the old one
  write32(reg::kWindowControl.at(n), 0);
  write32(reg::kWindowBaseLo.at(n), static_cast<std::uint32_t>(range.first));
  write32(reg::kWindowBaseHi.at(n), static_cast<std::uint32_t>(range.first >> 32));
  write32(reg::kWindowSize.at(n), static_cast<std::uint32_t>(range.size / 4096));
  write32(reg::kWindowControl.at(n), enable ? 1 : 0);
  memory.windows.resize(4);
  memory.windows[n] = enable ? range : Range{};
}

bool Card::can(const esp::SaParams& sa) const {
  const bool tunnel = sa.mode == esp::Mode::kTunnel, v4 = sa.src.version == 4;
  return has(sa.cipher == esp::Cipher::kNull ? reg::kCapsNullCipher : sa.cipher == esp::Cipher::kDesCbc ? reg::kCapsDes : reg::kCapsTripleDes) &&
         has(sa.auth == esp::Auth::kNone ? reg::kCapsAuthNone : sa.auth == esp::Auth::kHmacMd5_96 ? reg::kCapsHmacMd5 : reg::kCapsHmacSha1) &&
         has(sa.protocol == esp::Protocol::kAh ? reg::kCapsAh : reg::kCapsEsp) &&
         has(tunnel ? reg::kCapsTunnel : reg::kCapsTransport) && has(v4 ? reg::kCapsOuterV4 : reg::kCapsOuterV6) &&
         (!tunnel || sa.outbound || ((!sa.inner_v4 || has(reg::kCapsInnerV4)) && (!sa.inner_v6 || has(reg::kCapsInnerV6)))) &&
         (!sa.natt || has(reg::kCapsNatt)) && (!sa.esn || has(reg::kCapsEsn)) && sa.replay_window <= replay_max &&
         ((sa.soft.bytes | sa.soft.packets | sa.soft.seconds | sa.hard.bytes | sa.hard.packets | sa.hard.seconds) == 0 ||
          has(reg::kCapsLifetimes));
}

void Card::write_entry(ByteView entry) {
  for (std::uint32_t i = 0; i < card::sa_entry::kSize / 4; ++i) {
    std::uint32_t word = 0;
    std::memcpy(&word, &entry[4 * i], 4);
    if (word != 0 || !entry_clean_) write32(reg::kSaEntry.at(i), word);
  }
  entry_clean_ = false;
}
void Card::start_sa_command(card::SaCommand command, std::uint32_t index) {
  write32(reg::kSaIndex.at(), index);
  write32(reg::kSaCommand.at(), static_cast<std::uint32_t>(command));
}
std::optional<card::SaResult> Card::sa_result() {
  const std::uint32_t status = read32(reg::kSaStatus.at());
  if (reg::kSaStatusBusy.get(status) != 0) return std::nullopt;
  return static_cast<card::SaResult>(reg::kSaStatusResult.get(status));
}
card::SaResult Card::sa_command(card::SaCommand command, std::uint32_t index) {
  const std::uint64_t until = cycles_ + kCycleLimit;
  while (!sa_result())  // e.g. the sweep after reset
    if (cycles_ > until) die("SA command unit stays busy");
  start_sa_command(command, index);
  for (;;) {
    if (const auto result = sa_result()) {
      if (*result == card::SaResult::kOk) entry_clean_ = entry_clean_ || command == card::SaCommand::kInstall || command == card::SaCommand::kUpdate;
      return *result;
    }
    if (cycles_ > until) die(fmt::format("SA command {} on entry {} does not end", card::name_of(command), index));
  }
}
card::SaResult Card::install(std::uint32_t index, const esp::SaParams& sa) {
  while (!sa_result()) {
  }
  write_entry(entry_of(sa));
  return sa_command(card::SaCommand::kInstall, index);
}
Bytes Card::view(std::uint32_t index) {
  (void)sa_command(card::SaCommand::kView, index);
  Bytes out(card::sa_view::kSize);
  for (std::uint32_t i = 0; i < card::sa_view::kSize / 4; ++i) {
    const std::uint32_t word = read32(reg::kSaView.at(i));
    std::memcpy(&out[4 * i], &word, 4);
  }
  return out;
}

std::uint64_t Card::allocate(std::size_t size) {
  size += 2 * kGuard;
  unsigned k = 0;
  while ((std::size_t{512} << k) < size) ++k;
  if (k >= free_.size()) die("buffer too large for the bench");
  std::uint64_t block = 0;
  if (free_[k].empty()) {
    block = fresh_;
    fresh_ += std::size_t{512} << k;
    if (!Memory::inside(block, std::size_t{512} << k)) die("bench out of memory");
  } else {
    // Some old block, not always the same: places differ from packet to packet.
    const std::size_t pick = rng() % free_[k].size();
    block = free_[k][pick];
    free_[k][pick] = free_[k].back();
    free_[k].pop_back();
  }
  const std::size_t slack = (std::size_t{512} << k) - (size + 63) / 64 * 64;
  const std::uint64_t address = block + kGuard + (slack == 0 ? 0 : rng() % (slack / 64 + 1) * 64);
  taken_[address] = {block, k};
  return address;
}
void Card::give_back(std::uint64_t address) {
  const auto it = taken_.find(address);
  if (it == taken_.end()) die("buffer given back twice");
  free_[it->second.second].push_back(it->second.first);
  taken_.erase(it);
}

void Card::start_queue(unsigned n, unsigned log2_size, bool in_order) {
  Queue& q = queue_[n];
  forget(n);
  q = Queue{};
  q.live = true;
  q.in_order = in_order;
  q.log2 = log2_size;
  const std::uint64_t sq = kRings + n * kRingStep, cq = sq + kCqOffset;
  const std::size_t bytes = std::size_t{64} << log2_size;
  std::ranges::fill(memory.at(cq, bytes), Byte{0});
  q.cq = memory.at(cq, bytes).data();
  memory.allow(cq, bytes);
  write32(reg::kSqBaseLo.at(n), static_cast<std::uint32_t>(sq));
  write32(reg::kSqBaseHi.at(n), static_cast<std::uint32_t>(sq >> 32));
  write32(reg::kCqBaseLo.at(n), static_cast<std::uint32_t>(cq));
  write32(reg::kCqBaseHi.at(n), static_cast<std::uint32_t>(cq >> 32));
  write32(reg::kQControl.at(n), 1 | (in_order ? reg::kQControlInOrder.mask() : 0) | log2_size << 8);
}

void Card::forget(unsigned n) {
  for (auto& [cookie, flight] : queue_[n].flights) close(flight);
  queue_[n].flights.clear();
}
void Card::close(const Flight& f) {
  for (const auto& [at, size] : f.dst_parts) memory.forbid(at, size);
  for (const std::uint64_t at : f.buffers) give_back(at);
}

std::size_t Card::outstanding() const {
  std::size_t n = 0;
  for (const Queue& q : queue_) n += q.flights.size();
  return n;
}

// Segments of the given lengths, each with memory of its own, and the list that names them.
std::uint64_t Card::place(Flight& f, const std::vector<std::uint32_t>& cut,
                          std::vector<std::pair<std::uint64_t, std::uint32_t>>& parts) {
  const std::uint64_t list = f.buffers.emplace_back(allocate(16 * cut.size()));
  const MutableBytes raw = memory.at(list, 16 * cut.size());
  std::ranges::fill(raw, Byte{0});
  for (std::size_t i = 0; i < cut.size(); ++i) {
    const std::uint64_t at = f.buffers.emplace_back(allocate(cut[i]));
    parts.emplace_back(at, cut[i]);
    std::memcpy(&raw[16 * i], &at, 8);
    std::memcpy(&raw[16 * i + 8], &cut[i], 4);
  }
  return list;
}

std::uint64_t Card::submit(unsigned n, Job job) {
  Queue& q = queue_[n];
  if (!q.live || !has_room(n)) die("submission without room");
  const std::uint64_t cookie = next_cookie_++ * 0x9e3779b97f4a7c15;  // all bits move, none comes twice
  Flight f;
  f.order = q.next_order++;
  f.dst_size = job.dst_size;
  std::uint64_t src = 0, dst = 0;
  if (!job.raw) {
    if (job.src_addr) {
      src = *job.src_addr;
    } else if (!job.src_cut.empty()) {
      std::vector<std::pair<std::uint64_t, std::uint32_t>> parts;
      src = place(f, job.src_cut, parts);
      std::size_t at = 0;
      for (const auto& [address, size] : parts) {
        const std::size_t part = std::min<std::size_t>(size, job.source.size() - at);
        if (part != 0) std::memcpy(memory.at(address, part).data(), job.source.data() + at, part);
        at += part;
      }
    } else if (job.op != card::Op::kNop) {
      src = f.buffers.emplace_back(allocate(job.source.size()));
      if (!job.source.empty()) std::memcpy(memory.at(src, job.source.size()).data(), job.source.data(), job.source.size());
    }
    if (job.dst_addr) {
      dst = *job.dst_addr;
    } else if (!job.dst_cut.empty()) {
      dst = place(f, job.dst_cut, f.dst_parts);
    } else if (job.op != card::Op::kNop) {
      dst = f.buffers.emplace_back(allocate(job.dst_size));
      f.dst_parts.emplace_back(dst, job.dst_size);
    }
    if (options_.keep_packets)
      for (const auto& [at, size] : f.dst_parts) {
        std::ranges::fill(memory.at(at - kGuard, size + 2 * kGuard), kCanary);
        memory.allow(at, size);
      }
    else
      for (const auto& [at, size] : f.dst_parts) memory.allow(at, size);
  }
  Bytes d(card::descriptor::kSize);
  if (job.raw) {
    d = *job.raw;
  } else {
    card::set(d, card::descriptor::kOp, static_cast<std::uint8_t>(job.op));
    card::set(d, card::descriptor::kHostIv, job.iv ? 1 : 0);
    card::set(d, card::descriptor::kNumSegments, job.src_cut.size());
    card::set(d, card::descriptor::kNumDstSegments, job.dst_cut.size());
    for (unsigned i = 0; i < 4; ++i) d[i] = static_cast<Byte>(d[i] | job.word0_more >> (8 * i));
    card::set(d, card::descriptor::kSaIndex, job.sa_index);
    card::set(d, card::descriptor::kSrcAddr, src);
    card::set(d, card::descriptor::kDstAddr, dst);
    card::set(d, card::descriptor::kSrcLen, job.src_len.value_or(static_cast<std::uint32_t>(job.source.size())));
    card::set(d, card::descriptor::kDstSize, job.dst_size);
    if (job.iv) std::ranges::copy(*job.iv, card::octets(MutableBytes(d), card::descriptor::kIv).begin());
  }
  card::set(d, card::descriptor::kCookie, cookie);
  const std::uint32_t mask = (1u << q.log2) - 1;
  std::memcpy(memory.at(kRings + n * kRingStep + 64ull * (q.sq_tail & mask), 64).data(), d.data(), 64);
  ++q.sq_tail;
  q.flights.emplace(cookie, std::move(f));
  return cookie;
}

void Card::ring(unsigned n) {
  Queue& q = queue_[n];
  if (q.sq_rung == q.sq_tail) return;
  q.sq_rung = q.sq_tail;
  // Descriptors are only free to be overwritten when their completion was seen, so the card has room for the tail
  // as soon as it knows the heads that were given back.
  write32(reg::kSqTail.at(n), q.sq_tail);
}

bool Card::completion_waits(unsigned n) const {
  const Queue& q = queue_[n];
  const Byte phase = (q.cq_head >> q.log2 & 1) == 0 ? 1 : 0;
  return q.live && (q.cq[64ull * (q.cq_head & ((1u << q.log2) - 1))] & 1) == phase;
}

std::optional<Done> Card::poll(unsigned n) {
  if (!completion_waits(n)) return std::nullopt;
  Queue& q = queue_[n];
  const Byte* raw = q.cq + 64ull * (q.cq_head & ((1u << q.log2) - 1));
  const ByteView c(raw, 64);
  Done done;
  done.queue = n;
  done.op = static_cast<card::Op>(card::get(c, card::completion::kOp));
  done.status = static_cast<card::Status>(card::get(c, card::completion::kStatus));
  done.out_len = static_cast<std::uint32_t>(card::get(c, card::completion::kOutLen));
  done.sa_index = static_cast<std::uint32_t>(card::get(c, card::completion::kSaIndex));
  done.spi = static_cast<std::uint32_t>(card::get(c, card::completion::kSpi));
  done.seq = card::get(c, card::completion::kSeq);
  done.cookie = card::get(c, card::completion::kCookie);
  done.next_header = static_cast<unsigned>(card::get(c, card::completion::kNextHeader));
  constexpr card::Field kStamps[] = {card::completion::kCycleFetched, card::completion::kCycleStarted,
                                     card::completion::kCycleCiphered, card::completion::kCycleHashed,
                                     card::completion::kCycleDone};
  for (std::size_t i = 0; i < 5; ++i) done.stamps[i] = static_cast<std::uint32_t>(card::get(c, kStamps[i]));
  if ((raw[0] & 0xfe) != 0 || std::any_of(raw + 52, raw + 64, [](Byte b) { return b != 0; }))
    memory.complain("completion: reserved bits are set");

  const auto it = q.flights.find(done.cookie);
  if (it == q.flights.end()) die(fmt::format("queue {}: completion with cookie {} that nobody waits for", n, done.cookie));
  Flight& f = it->second;
  if (q.in_order && f.order != q.next_done) memory.complain(fmt::format("queue {}: completed out of order", n));
  q.next_done = f.order + 1;
  if (done.status != card::Status::kOk && done.out_len != 0) memory.complain("completion: OutLen of a failed packet");
  if (done.out_len > f.dst_size) die("OutLen is longer than the destination");
  if (options_.keep_packets) {
    std::size_t left = done.out_len;
    for (const auto& [at, size] : f.dst_parts) {
      const MutableBytes area = memory.at(at - kGuard, size + 2 * kGuard);
      const std::size_t used = std::min<std::size_t>(left, size);
      left -= used;
      done.packet.insert(done.packet.end(), area.begin() + kGuard, area.begin() + static_cast<std::ptrdiff_t>(kGuard + used));
      if (done.status == card::Status::kBusError) continue;  // a packet may be half written
      const auto is_canary = [](Byte b) { return b == kCanary; };
      if (!std::all_of(area.begin(), area.begin() + kGuard, is_canary) ||
          !std::all_of(area.begin() + static_cast<std::ptrdiff_t>(kGuard + used), area.end(), is_canary))
        memory.complain(fmt::format("queue {}: cookie {}, status {}: octets beside the result were written", n, done.cookie,
                                    card::name_of(done.status)));
    }
  }
  close(f);
  q.flights.erase(it);
  ++q.cq_head;
  if (++q.unreleased >= release_every) release(n);
  return done;
}

void Card::release(unsigned n) {
  Queue& q = queue_[n];
  if (q.unreleased == 0) return;
  q.unreleased = 0;
  write32(reg::kCqHead.at(n), q.cq_head);
}

Done Card::reap(unsigned n) {
  for (const std::uint64_t until = cycles_ + kCycleLimit; !completion_waits(n); tick())
    if (cycles_ > until) die(fmt::format("queue {}: no completion", n));
  return *poll(n);
}
Done Card::run_one(unsigned n, Job job) {
  const std::uint64_t cookie = submit(n, std::move(job));
  ring(n);
  Done done = reap(n);
  if (done.cookie != cookie) die("another packet was completed");
  release(n);
  return done;
}

std::vector<Event> Card::take_events() {
  std::vector<Event> out;
  const std::uint32_t tail = read32(reg::kEventTail.at());
  if (event_head_ == tail) return out;
  for (; event_head_ != tail; ++event_head_) {
    const ByteView raw = memory.at(kEvents + 32ull * (event_head_ & ((1u << kEventLog2) - 1)), 32);
    if ((raw[0] & 1) != ((event_head_ >> kEventLog2 & 1) == 0 ? 1 : 0)) memory.complain("event: tail shows it before memory does");
    out.push_back({static_cast<card::EventType>(card::get(raw, card::event::kType)),
                   static_cast<std::uint32_t>(card::get(raw, card::event::kSaIndex)),
                   static_cast<std::uint32_t>(card::get(raw, card::event::kSpi)),
                   static_cast<std::uint32_t>(card::get(raw, card::event::kArg))});
  }
  write32(reg::kEventHead.at(), event_head_);
  return out;
}

bool Card::settle() {
  for (const std::uint64_t until = cycles_ + kCycleLimit; cycles_ < until;)
    if (reg::kStatusIdle.get(read32(reg::kStatus.at())) != 0 &&
        std::ranges::all_of(ports, [](const AxiPort& p) { return p.quiet(); }))
      return true;
  return false;
}

Bytes entry_of(const esp::SaParams& sa) {
  namespace f = card::sa_entry;
  Bytes e(f::kSize);
  const auto put = [&](card::Field field, std::uint64_t value) { card::set(e, field, value); };
  const auto put_octets = [&](card::Field field, ByteView in) {
    std::ranges::copy(in, card::octets(MutableBytes(e), field).begin());
  };
  const bool tunnel = sa.mode == esp::Mode::kTunnel;
  put(f::kOutbound, sa.outbound);
  put(f::kTransport, !tunnel);
  put(f::kAh, sa.protocol == esp::Protocol::kAh);
  put(f::kOuterV6, sa.src.version == 6);
  put(f::kNatt, sa.natt.has_value());
  put(f::kEsn, sa.esn);
  put(f::kCheckOuter, !sa.outbound && tunnel && sa.check_outer);
  put(f::kInnerV4, !sa.outbound && tunnel && sa.inner_v4);
  put(f::kInnerV6, !sa.outbound && tunnel && sa.inner_v6);
  put(f::kCipher, static_cast<std::uint64_t>(sa.cipher));
  put(f::kAuth, static_cast<std::uint64_t>(sa.auth));
  put(f::kDfPolicy, static_cast<std::uint64_t>(sa.df));
  put(f::kDscpSet, sa.dscp.has_value());
  put(f::kDscp, sa.dscp.value_or(0));
  put(f::kEcnClear, !sa.ecn_copy);
  put(f::kSpi, sa.spi);
  put(f::kReplayWindow, sa.outbound ? 0 : sa.replay_window);
  put(f::kTtl, sa.ttl);
  put(f::kIpId, sa.outbound ? sa.ip_id : 0);
  put(f::kSeq, sa.seq);
  put(f::kUdpSrc, sa.natt ? sa.natt->src_port : 0);
  put(f::kUdpDst, sa.natt ? sa.natt->dst_port : 0);
  put(f::kSoftSeconds, sa.soft.seconds);
  put(f::kHardSeconds, sa.hard.seconds);
  put(f::kSoftBytes, sa.soft.bytes);
  put(f::kHardBytes, sa.hard.bytes);
  put(f::kSoftPackets, sa.soft.packets);
  put(f::kHardPackets, sa.hard.packets);
  put_octets(f::kSrc, sa.src.bytes());
  put_octets(f::kDst, sa.dst.bytes());
  put_octets(f::kEncKey, sa.enc_key.reveal());
  put_octets(f::kAuthKey, sa.auth_key.reveal());
  return e;
}

}  // namespace esplanade::fullcard
