#include "common/testing/seed.h"
#include "hw/tb/card/card_bench.h"

#include <fmt/format.h>
#include <verilated_fst_c.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace esplanade::tb {

namespace reg = card::reg;

namespace {
constexpr Byte kCanary = 0xa5;

[[noreturn]] void die(Bench& bench, const char* what) {
  bench.close_waves();
  fmt::print(stderr, "bench: {} (cycle {}); to repeat: {}\n", what, bench.cycles(), testing::reproduction());
  std::abort();
}
}  // namespace

std::uint64_t seed_of_run() { return testing::seed(20260); }

Bench::Bench(std::uint64_t seed, unsigned stall_percent, unsigned latency)
    : memory(kBase, kMemory, seed), rng(seed + 1) {
  memory.set_stalls(stall_percent);
  memory.set_latency(latency);
  if (const char* file = std::getenv("ESPLANADE_WAVES"); file != nullptr && *file != 0) {
    context.traceEverOn(true);
    waves_ = std::make_unique<VerilatedFstC>();
    card.trace(waves_.get(), 99);
    waves_->open(file);
  }
  for (unsigned i = 0; i < kSlots; ++i) free_slots_.push_back(i);
  card.ap_rst_n = 0;
  run(10);
  card.ap_rst_n = 1;
  write32(reg::kWindowBaseLo.at(0), static_cast<std::uint32_t>(kBase));
  write32(reg::kWindowBaseHi.at(0), static_cast<std::uint32_t>(kBase >> 32));
  write32(reg::kWindowSize.at(0), kMemory / 4096);
  write32(reg::kWindowControl.at(0), 1);
  for (unsigned i = 0; i < 5; ++i) write32(reg::kRngSeed.at(i), static_cast<std::uint32_t>(rng()));
  memory.allow({kEvents, 32 * 64});
  write32(reg::kEventBaseLo.at(), static_cast<std::uint32_t>(kEvents));
  write32(reg::kEventBaseHi.at(), static_cast<std::uint32_t>(kEvents >> 32));
  write32(reg::kEventControl.at(), 1 | 6 << 8);
  write32(reg::kControl.at(), 3);
}
Bench::~Bench() {
  if (waves_) waves_->close();
  card.final();
}

void Bench::close_waves() {
  if (waves_) waves_->close();
}

void Bench::tick() {
  ++cycles_;
  card.ap_clk = 0;
  card.eval();
  memory.sample(card);
  if (waves_) waves_->dump(2 * cycles_);
  card.ap_clk = 1;
  card.eval();
  if (waves_) waves_->dump(2 * cycles_ + 1);
  memory.drive(card);
}
void Bench::run(std::uint64_t cycles) {
  for (std::uint64_t i = 0; i < cycles; ++i) tick();
}

std::uint32_t Bench::read32(std::uint32_t offset) {
  card.s_axi_control_araddr = static_cast<std::uint16_t>(offset);
  card.s_axi_control_arvalid = 1;
  bool taken = false;
  for (unsigned i = 0; i < 1000; ++i) {
    card.ap_clk = 0;
    card.eval();
    if (card.s_axi_control_arvalid && card.s_axi_control_arready) taken = true;
    if (card.s_axi_control_rvalid) {
      const std::uint32_t value = card.s_axi_control_rdata;
      card.s_axi_control_rready = 1;
      tick();
      card.s_axi_control_rready = 0;
      return value;
    }
    tick();
    if (taken) card.s_axi_control_arvalid = 0;
  }
  die(*this, "register read without answer");
}

void Bench::write32(std::uint32_t offset, std::uint32_t value) {
  card.s_axi_control_awaddr = static_cast<std::uint16_t>(offset);
  card.s_axi_control_wdata = value;
  card.s_axi_control_wstrb = 15;
  // Address and data in any order
  const unsigned skew = static_cast<unsigned>(rng() % 3);
  card.s_axi_control_awvalid = skew != 1;
  card.s_axi_control_wvalid = skew != 2;
  bool aw = false, w = false;
  for (unsigned i = 0; i < 1000; ++i) {
    card.ap_clk = 0;
    card.eval();
    aw = aw || (card.s_axi_control_awvalid && card.s_axi_control_awready);
    w = w || (card.s_axi_control_wvalid && card.s_axi_control_wready);
    if (card.s_axi_control_bvalid) {
      card.s_axi_control_bready = 1;
      tick();
      card.s_axi_control_bready = 0;
      return;
    }
    tick();
    card.s_axi_control_awvalid = !aw;
    card.s_axi_control_wvalid = !w;
  }
  die(*this, "register write without answer");
}

void Bench::start_queue(unsigned log2_size) {
  log2_ = log2_size;
  sq_tail_ = cq_head_ = 0;
  for (const Flight& f : in_flight_) free_slots_.push_back(f.slot);
  in_flight_.clear();
  std::ranges::fill(memory.at(kCq, std::size_t{64} << log2_size), Byte{0});
  memory.allow({kCq, std::uint64_t{64} << log2_size});
  write32(reg::kSqBaseLo.at(0), static_cast<std::uint32_t>(kSq));
  write32(reg::kSqBaseHi.at(0), static_cast<std::uint32_t>(kSq >> 32));
  write32(reg::kCqBaseLo.at(0), static_cast<std::uint32_t>(kCq));
  write32(reg::kCqBaseHi.at(0), static_cast<std::uint32_t>(kCq >> 32));
  write32(reg::kQControl.at(0), 1 | 2 | log2_size << 8);
}

void Bench::write_entry(ByteView entry) {
  for (std::uint32_t i = 0; i < 64; ++i) {
    std::uint32_t word = 0;
    std::memcpy(&word, &entry[4 * i], 4);
    write32(reg::kSaEntry.at(i), word);
  }
}

card::SaResult Bench::sa_command(card::SaCommand command, std::uint32_t index) {
  write32(reg::kSaIndex.at(), index);
  write32(reg::kSaCommand.at(), static_cast<std::uint32_t>(command));
  for (std::uint64_t until = cycles_ + kCycleLimit; cycles_ < until;) {
    const std::uint32_t status = read32(reg::kSaStatus.at());
    if (reg::kSaStatusBusy.get(status) == 0)
      return static_cast<card::SaResult>(reg::kSaStatusResult.get(status));
  }
  die(*this, "SA command does not end");
}

card::SaResult Bench::install(std::uint32_t index, const esp::SaParams& sa) {
  write_entry(entry_of(sa));
  return sa_command(card::SaCommand::kInstall, index);
}

Bytes Bench::view(std::uint32_t index) {
  (void)sa_command(card::SaCommand::kView, index);
  Bytes out(card::sa_view::kSize);
  for (std::uint32_t i = 0; i < 32; ++i) {
    const std::uint32_t word = read32(reg::kSaView.at(i));
    std::memcpy(&out[4 * i], &word, 4);
  }
  return out;
}

std::uint64_t Bench::submit(const Job& job) {
  const std::uint32_t size = 1u << log2_;
  for (std::uint64_t until = cycles_ + kCycleLimit; sq_tail_ - read32(reg::kSqHead.at(0)) >= size;)
    if (cycles_ > until) die(*this, "submission ring stays full");
  if (free_slots_.empty()) die(*this, "too many jobs for the bench's buffers");
  const unsigned slot = free_slots_.front();
  free_slots_.pop_front();
  const std::uint64_t src = job.src_addr.value_or(kBuffers + 2 * slot * kBufferStep);
  const std::uint64_t dst = job.dst_addr.value_or(kBuffers + (2 * slot + 1) * kBufferStep);
  if (!job.src_addr) std::ranges::copy(job.source, memory.at(src, job.source.size()).begin());
  if (!job.dst_addr) {
    std::ranges::fill(memory.at(dst, kBufferStep), kCanary);
    memory.allow({dst, job.dst_size});
  }
  Bytes d(card::descriptor::kSize);
  card::set(d, card::descriptor::kOp, static_cast<std::uint8_t>(job.op));
  card::set(d, card::descriptor::kHostIv, job.iv ? 1 : 0);
  for (unsigned i = 0; i < 4; ++i) d[i] = static_cast<Byte>(d[i] | job.word0_more >> (8 * i));
  card::set(d, card::descriptor::kSaIndex, job.sa_index);
  card::set(d, card::descriptor::kCookie, next_cookie_);
  card::set(d, card::descriptor::kSrcAddr, src);
  card::set(d, card::descriptor::kDstAddr, dst);
  card::set(d, card::descriptor::kSrcLen,
            job.src_len.value_or(static_cast<std::uint32_t>(job.source.size())));
  card::set(d, card::descriptor::kDstSize, job.dst_size);
  if (job.iv) std::ranges::copy(*job.iv, card::octets(MutableBytes(d), card::descriptor::kIv).begin());
  std::ranges::copy(d, memory.at(kSq + 64ull * (sq_tail_ & (size - 1)), 64).begin());
  in_flight_.push_back({next_cookie_, job.dst_addr ? 0 : dst, slot, job.dst_size});
  write32(reg::kSqTail.at(0), ++sq_tail_);
  return next_cookie_++;
}

bool Bench::completion_waits() {
  const std::uint32_t size = 1u << log2_;
  const Byte phase = (cq_head_ & size) == 0 ? 1 : 0;
  return (memory.at(kCq + 64ull * (cq_head_ & (size - 1)), 1)[0] & 1) == phase;
}

Done Bench::reap() {
  for (std::uint64_t until = cycles_ + kCycleLimit; !completion_waits(); tick())
    if (cycles_ > until) die(*this, "no completion");
  if (in_flight_.empty()) die(*this, "a completion that nobody asked for");
  const std::uint32_t size = 1u << log2_;
  const MutableBytes raw = memory.at(kCq + 64ull * (cq_head_ & (size - 1)), 64);
  const Bytes c(raw.begin(), raw.end());
  const Flight flight = in_flight_.front();
  in_flight_.pop_front();
  free_slots_.push_back(flight.slot);
  Done done;
  done.status = static_cast<card::Status>(card::get(c, card::completion::kStatus));
  done.out_len = static_cast<std::uint32_t>(card::get(c, card::completion::kOutLen));
  done.sa_index = static_cast<std::uint32_t>(card::get(c, card::completion::kSaIndex));
  done.spi = static_cast<std::uint32_t>(card::get(c, card::completion::kSpi));
  done.seq = card::get(c, card::completion::kSeq);
  done.cookie = card::get(c, card::completion::kCookie);
  done.next_header = static_cast<unsigned>(card::get(c, card::completion::kNextHeader));
  const card::Field stamps[] = {card::completion::kCycleFetched, card::completion::kCycleStarted,
                                card::completion::kCycleCiphered, card::completion::kCycleHashed,
                                card::completion::kCycleDone};
  for (std::size_t i = 0; i < 5; ++i) done.stamps[i] = static_cast<std::uint32_t>(card::get(c, stamps[i]));
  if (done.cookie != flight.cookie) die(*this, "completion out of order");
  if (flight.dst_addr != 0) {
    const MutableBytes dst = memory.at(flight.dst_addr, kBufferStep);
    if (done.out_len > kBufferStep) die(*this, "OutLen is longer than the buffer");
    done.packet.assign(dst.begin(), dst.begin() + done.out_len);
    done.canary_ok = std::all_of(dst.begin() + done.out_len, dst.end(), [](Byte b) { return b == kCanary; });
  }
  write32(reg::kCqHead.at(0), ++cq_head_);
  return done;
}

Done Bench::run_one(const Job& job) {
  submit(job);
  return reap();
}

std::vector<Bytes> Bench::take_events() {
  std::vector<Bytes> out;
  for (const std::uint32_t tail = read32(reg::kEventTail.at()); event_head_ != tail; ++event_head_) {
    const MutableBytes raw = memory.at(kEvents + 32ull * (event_head_ % 64), 32);
    out.emplace_back(raw.begin(), raw.end());
  }
  write32(reg::kEventHead.at(), event_head_);
  return out;
}

bool Bench::settle() {
  for (std::uint64_t until = cycles_ + kCycleLimit; cycles_ < until;)
    if (reg::kStatusIdle.get(read32(reg::kStatus.at())) != 0) return true;
  return false;
}

void fix_checksum(Bytes& p) {
  p[10] = p[11] = 0;
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < (p[0] & 15u) * 4; i += 2) sum += load_be16(&p[i]);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  store_be16(&p[10], static_cast<std::uint16_t>(~sum));
}

Bytes ipv4_packet(std::size_t size) {
  Bytes p(size);
  p[0] = 0x45;
  store_be16(&p[2], static_cast<std::uint16_t>(size));
  p[8] = 64;
  p[9] = 17;
  for (std::size_t i = 20; i < size; ++i) p[i] = static_cast<Byte>(i * 7);
  fix_checksum(p);
  return p;
}

Bytes entry_of(const esp::SaParams& sa) {
  namespace f = card::sa_entry;
  Bytes e(f::kSize);
  const auto put = [&](card::Field field, std::uint64_t value) { card::set(e, field, value); };
  const auto put_octets = [&](card::Field field, ByteView in) {
    std::ranges::copy(in, card::octets(MutableBytes(e), field).begin());
  };
  put(f::kOutbound, sa.outbound);
  put(f::kTransport, sa.mode == esp::Mode::kTransport);
  put(f::kAh, sa.protocol == esp::Protocol::kAh);
  put(f::kOuterV6, sa.src.version == 6);
  put(f::kNatt, sa.natt.has_value());
  put(f::kEsn, sa.esn);
  put(f::kCheckOuter, !sa.outbound && sa.check_outer);
  put(f::kInnerV4, 1);
  put(f::kCipher, static_cast<std::uint64_t>(sa.cipher));
  put(f::kAuth, static_cast<std::uint64_t>(sa.auth));
  put(f::kDfPolicy, static_cast<std::uint64_t>(sa.df));
  put(f::kDscpSet, sa.dscp.has_value());
  put(f::kDscp, sa.dscp.value_or(0));
  put(f::kEcnClear, !sa.ecn_copy);
  put(f::kSpi, sa.spi);
  put(f::kReplayWindow, sa.replay_window);
  put(f::kTtl, sa.ttl);
  put(f::kIpId, sa.ip_id);
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

}  // namespace esplanade::tb
