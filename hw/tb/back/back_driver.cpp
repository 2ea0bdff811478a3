#include "hw/tb/back/back_driver.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace esplanade::tb {
namespace {
constexpr unsigned kBusError = 6;
std::uint32_t word(const std::array<std::uint32_t, 16>& data, unsigned octet) { return data[octet / 4]; }
}  // namespace

BackDriver::BackDriver(std::uint64_t salt) : random_(salt), memory_(kSize) {
  for (unsigned s = 0; s < kJumbo; ++s) free_jumbo_.push_back(s);
  for (unsigned s = kJumbo; s < kJumbo + kSmall; ++s) free_small_.push_back(s);
  holder_.fill(-1);
  rows_.assign(kJumbo * 144 + kSmall * 32, random_.octets(64));
  random_.fill(memory_);
  image_ = memory_;
  dut_.reset();
}

void BackDriver::fail(const std::string& what) const {
  throw std::runtime_error("cycle " + std::to_string(dut_.cycle()) + ": " + what);
}

// Buffers have 64 octets of canary between them and lie anywhere in a page.
void BackDriver::place(BackJob& job) {
  const auto take = [&](unsigned size) {
    std::uint64_t at = next_dst_ + 64 * random_.between(1, random_.percent(50) ? 2 : 70);
    if (at + size + 4096 >= kRings) at = kBase + 64;
    next_dst_ = at + (size + 63) / 64 * 64;
    return at;
  };
  const auto len = static_cast<unsigned>(job.result.size());
  if (job.segments.empty()) {
    job.dst = take(std::max(len, 1u));
    job.placed = {{job.dst, len}};
  } else {
    job.dst = 0xdeadbeef00000000;
    for (const unsigned s : job.segments) job.placed.push_back({take(std::max(s, 64u)), s});
  }
  unsigned at = 0;
  for (const Segment& s : job.placed) {
    const unsigned n = std::min(s.len, len - at);
    if (!job.bus_error)
      std::copy_n(job.result.begin() + at, n, image_.begin() + static_cast<long>(s.addr - kBase));
    at += n;
  }
  if (at != len) fail("bench: segments too short");
  job.octets_left = len;
}

// One header word and one segment a cycle, then the record.
void BackDriver::open() {
  dut_->hdr_we_i = 0;
  dut_->dseg_we_i = 0;
  dut_->rec_valid_i = 0;
  if (opened_ == jobs_->size()) return;
  BackJob& job = (*jobs_)[opened_];
  if (open_step_ == 0) {
    auto& list =
        job.stream.size() > 2048 || (free_small_.empty() && random_.percent(50)) ? free_jumbo_ : free_small_;
    if (list.empty() || opened_ > done_ + 24) return;
    job.slot = list.back();  // the one freed last: old contents would show
    list.pop_back();
    place(job);
    holder_[job.slot] = static_cast<int>(opened_);
    for (std::size_t at = 0; at < job.stream.size(); at += 64) {
      Bytes row = random_.octets(64);
      std::copy_n(job.stream.begin() + static_cast<long>(at),
                  std::min<std::size_t>(64, job.stream.size() - at), row.begin());
      rows_[first_row(job.slot) + at / 64] = row;
    }
  }
  const unsigned words = static_cast<unsigned>((job.header.size() + 7) / 8);
  const unsigned segs = static_cast<unsigned>(job.segments.size());
  const unsigned steps = std::max({words, segs, 1u});
  if (open_step_ < words) {
    Bytes w = random_.octets(8);
    std::copy_n(job.header.begin() + 8 * open_step_,
                std::min<std::size_t>(8, job.header.size() - 8 * open_step_), w.begin());
    dut_->hdr_we_i = 1;
    dut_->hdr_slot_i = static_cast<std::uint8_t>(job.slot);
    dut_->hdr_word_i = static_cast<std::uint8_t>(open_step_);
    dut_->hdr_data_i = tb::load_be64(w.data());
  }
  if (open_step_ < segs) {
    dut_->dseg_we_i = 1;
    dut_->dseg_slot_i = static_cast<std::uint8_t>(job.slot);
    dut_->dseg_index_i = static_cast<std::uint8_t>(open_step_);
    dut_->dseg_addr_i = job.placed[open_step_].addr;
    dut_->dseg_len_i = static_cast<std::uint16_t>(job.placed[open_step_].len);
  }
  if (++open_step_ < steps) return;
  open_step_ = 0;
  job.queue = static_cast<unsigned>(random_.between(0, kQueues - 1));
  job.cookie = random_.bits();
  job.fetched = static_cast<std::uint32_t>(random_.bits());
  job.started = static_cast<std::uint32_t>(random_.bits());
  job.ciphered = static_cast<std::uint32_t>(random_.bits());
  job.hashed = static_cast<std::uint32_t>(random_.bits());
  auto& d = *dut_.operator->();
  d.rec_valid_i = 1;
  d.rec_slot_i = static_cast<std::uint8_t>(job.slot);
  d.rec_op_i = static_cast<std::uint8_t>(job.op);
  d.rec_queue_i = static_cast<std::uint8_t>(job.queue);
  d.rec_cookie_i = job.cookie;
  d.rec_dst_addr_i = job.dst;
  d.rec_dst_size_i = static_cast<std::uint16_t>(job.dst_size);
  d.rec_dst_segments_i = static_cast<std::uint8_t>(segs);
  d.rec_src_len_i = static_cast<std::uint16_t>(job.src_len);
  d.rec_fetched_i = job.fetched;
  d.rec_started_i = job.started;
  d.rec_found_i = job.found;
  d.rec_epoch_i = job.epoch;
  d.rec_index_i = job.index;
  d.rec_spi_i = job.spi;
  d.rec_seq_i = job.seq;
  d.rec_encap_i = job.encap;
  d.rec_out_len_i = static_cast<std::uint16_t>(job.out_len);
  d.rec_next_header_i = static_cast<std::uint8_t>(job.next_header);
  d.rec_esp_i = job.esp;
  d.rec_tunnel_i = job.tunnel;
  d.rec_hdr_len_i = static_cast<std::uint8_t>(job.header.size());
  d.rec_ip_len_i = static_cast<std::uint8_t>(job.ip_len);
  d.rec_skip_i = static_cast<std::uint8_t>(job.skip);
  d.rec_v6_i = job.v6;
  d.rec_hsum_i = static_cast<std::uint16_t>(job.hsum);
  d.rec_natt_i = job.natt;
  d.rec_patch_nh_i = job.patch_nh;
  d.rec_nh_at_i = static_cast<std::uint8_t>(job.nh_at);
  d.rec_icv_len_i = static_cast<std::uint8_t>(job.icv_len);
  d.rec_ce_i = job.ce;
  d.rec_ah_status_i = static_cast<std::uint8_t>(job.ah_status);
  ++opened_;
}

void BackDriver::drive() {
  auto& d = *dut_.operator->();
  const std::size_t ready = opened_;  // a record written now is not asked for before the next cycle
  open();
  done_on_ = done_on_ || (done_ < ready && !pause(pauses_.done));
  d.done_valid_i = done_on_;
  if (done_on_) {
    BackJob& job = (*jobs_)[done_];
    if (job.done_at == 0) job.done_at = dut_.cycle();
    d.done_slot_i = static_cast<std::uint8_t>(job.slot);
    d.done_status_i = static_cast<std::uint8_t>(job.status);
    d.done_icv_ok_i = job.icv_ok;
    d.done_len_i = static_cast<std::uint16_t>(job.done_len);
    d.done_next_header_i = static_cast<std::uint8_t>(job.done_next_header);
    set_top_first(d.done_icv_i, job.icv);
    d.done_ciphered_i = job.ciphered;
    d.done_hashed_i = job.hashed;
  } else {
    d.done_slot_i = static_cast<std::uint8_t>(random_.bits() % 32);
  }
  d.rd_ready_i = !pause(pauses_.rd);
  d.rd_data_valid_i = !reads_.empty() && reads_.front().first == dut_.cycle();
  if (d.rd_data_valid_i) {
    set_top_first(d.rd_data_i, reads_.front().second);
    reads_.pop_front();
  } else {
    d.rd_data_i[0] = static_cast<std::uint32_t>(random_.bits());
  }
  d.up_ready_i = !pause(pauses_.up);
  d.ur_valid_i = !answers_.empty() && answers_.front().first <= dut_.cycle();
  d.ur_status_i = d.ur_valid_i ? static_cast<std::uint8_t>(answers_.front().second) : 0xff;
  if (d.ur_valid_i) {
    answers_.pop_front();
    while (answered_ < jobs_->size() && !(*jobs_)[answered_].found) ++answered_;
    (*jobs_)[answered_++].answered = true;
  }
  d.awready_i = aw_.size() < 8 && !pause(pauses_.aw);
  d.wready_i = w_.size() < 128 && !pause(pauses_.w);
  if (!b_on_ && !b_.empty() && b_.front().due <= dut_.cycle() && !pause(pauses_.b)) b_on_ = true;
  d.bvalid_i = b_on_;
  d.bresp_i = b_on_ && b_.front().error ? 2 : 0;
  d.cycle_i = static_cast<std::uint32_t>(dut_.cycle());
  d.live_i = (1u << kQueues) - 1;
  unsigned phases = 0;
  for (unsigned q = 0; q < kQueues; ++q) {
    const std::uint64_t at = kRings + 64 * (q * kRing + issued_[q] % kRing);
    d.addr_i[2 * q] = static_cast<std::uint32_t>(at);
    d.addr_i[2 * q + 1] = static_cast<std::uint32_t>(at >> 32);
    phases |= (issued_[q] / kRing % 2 == 0 ? 1u : 0u) << q;
  }
  d.phase_i = static_cast<std::uint8_t>(phases);
  d.stop_i = 0;
}

BackJob* BackDriver::owner(std::uint64_t addr) {
  for (std::size_t i = completed_; i < jobs_->size() && i < opened_; ++i) {
    for (const Segment& s : (*jobs_)[i].placed) {
      if (addr >= s.addr && addr < s.addr + std::max(s.len, 1u)) return &(*jobs_)[i];
    }
  }
  return nullptr;
}

void BackDriver::complete(std::uint64_t addr, const Beat& beat) {
  if (completed_ >= done_) fail("completion of a packet that was not taken");
  const BackJob& job = (*jobs_)[completed_];
  const auto expect = [&](const char* what, std::uint64_t got, std::uint64_t want) {
    if (got != want) {
      fail("packet " + std::to_string(completed_) + ": completion " + what + " " + std::to_string(got) +
           ", not " + std::to_string(want));
    }
  };
  const bool failed = job.bus_error && !job.result.empty();
  const unsigned nth = told_[job.queue]++;
  expect("address", addr, kRings + 64 * (job.queue * kRing + nth % kRing));
  expect("octets", beat.strobe, ~0ull);
  expect("phase", beat.data[0] & 0xff, nth / kRing % 2 == 0);
  expect("op", beat.data[0] >> 8 & 0xff, job.op);
  expect("status", beat.data[0] >> 16 & 0xff, failed ? kBusError : job.final_status);
  expect("next header", beat.data[0] >> 24, job.found_next_header);
  expect("index", beat.data[1], job.index);
  expect("cookie", word(beat.data, 8) | std::uint64_t{word(beat.data, 12)} << 32, job.cookie);
  expect("length", word(beat.data, 16), failed ? 0 : job.result.size());
  expect("SPI", word(beat.data, 20), job.spi);
  expect("number", word(beat.data, 24) | std::uint64_t{word(beat.data, 28)} << 32, job.seq);
  expect("fetched", word(beat.data, 32), job.fetched);
  expect("started", word(beat.data, 36), job.started);
  expect("ciphered", word(beat.data, 40), job.ciphered);
  expect("hashed", word(beat.data, 44), job.hashed);
  if (!job.result.empty())
    expect("cycle of done", word(beat.data, 48), static_cast<std::uint32_t>(job.answered_at));
  expect("rest", word(beat.data, 52) | word(beat.data, 56) | word(beat.data, 60), 0);
  expect("octets not in memory", job.octets_left, 0);
  ++completed_;
}

void BackDriver::sample_memory() {
  auto& d = *dut_.operator->();
  const Burst burst{d.awaddr_o, d.awlen_o + 1u};
  if (aw_held_ && (!d.awvalid_o || burst.addr != aw_last_.addr || burst.beats != aw_last_.beats))
    fail("AW changed");
  aw_held_ = d.awvalid_o && !d.awready_i;
  aw_last_ = burst;
  Beat beat{{}, d.wstrb_o, d.wlast_o != 0};
  for (unsigned i = 0; i < 16; ++i) beat.data[i] = d.wdata_o[i];
  if (w_held_ && (!d.wvalid_o || !(beat == w_last_))) fail("W changed");
  w_held_ = d.wvalid_o && !d.wready_i;
  w_last_ = beat;
  if (d.awvalid_o && d.awready_i) {
    if (burst.addr % 64 != 0 || burst.addr / 4096 != (burst.addr + 64 * burst.beats - 1) / 4096)
      fail("burst leaves its page");
    aw_.push_back(burst);
    ++bursts_;
    moved_ = dut_.cycle();
  }
  if (d.wvalid_o && d.wready_i) w_.push_back(beat);
  while (!aw_.empty() && w_.size() >= aw_.front().beats) {
    const Burst b = aw_.front();
    aw_.pop_front();
    const bool ring = b.addr >= kRings;
    BackJob* job = ring ? nullptr : owner(b.addr);
    if (!ring && job == nullptr) fail("write where nobody's buffer is");
    const bool error = job != nullptr && job->bus_error;
    unsigned octets = 0;
    for (unsigned i = 0; i < b.beats; ++i) {
      const Beat one = w_.front();
      w_.pop_front();
      if (one.last != (i + 1 == b.beats)) fail("last beat misplaced");
      for (unsigned o = 0; o < 64; ++o) {
        const Byte v = static_cast<Byte>(one.data[o / 4] >> (8 * (o % 4)));
        if ((one.strobe >> o & 1) == 0) {
          if (v != 0) fail("octet behind the end is not 0");
          continue;
        }
        ++octets;
        const std::uint64_t at = b.addr + 64 * i + o;
        if (ring) continue;
        if (owner(at) != job) fail("octet behind the buffer");
        if (!error) memory_[at - kBase] = v;
      }
      if (ring) complete(b.addr, one);
    }
    if (job != nullptr) job->last_beat_at = dut_.cycle();
    b_.push_back({error, dut_.cycle() + pauses_.b_latency, b.addr, octets});
  }
  if ((d.pkt_done_o != 0) != done_due_) fail("packet not done after its last burst's answer, or without one");
  if ((d.err_o != 0) != error_due_.has_value() || (error_due_ && d.err_addr_o != *error_due_)) fail("error report");
  done_due_ = false;
  error_due_.reset();
  if (d.bvalid_i && d.bready_o) {
    const Answer a = b_.front();
    b_.pop_front();
    b_on_ = false;
    if (a.error) error_due_ = a.addr;
    if (a.addr < kRings) {
      BackJob* job = owner(a.addr);
      if (job == nullptr || job->octets_left < a.octets) fail("too much written");
      job->octets_left -= a.octets;
      job->answered_at = dut_.cycle() + 1;  // axi_write tells a cycle later
      done_due_ = job->octets_left == 0;
    }
  }
}

void BackDriver::sample() {
  auto& d = *dut_.operator->();
  sample_memory();
  for (unsigned q = 0; q < kQueues; ++q) issued_[q] += d.issue_o >> q & 1;
  if (d.up_valid_o && d.up_ready_i) {
    while (updated_ < jobs_->size() && !(*jobs_)[updated_].found) ++updated_;
    if (updated_ > done_ || updated_ >= jobs_->size()) fail("update of a packet that is not done");
    const BackJob& job = (*jobs_)[updated_++];
    const std::string name = "packet " + std::to_string(updated_ - 1) + ": update ";
    if (d.up_index_o != job.index || d.up_epoch_o != job.epoch || d.up_seq_o != job.seq)
      fail(name + "of another entry");
    if (d.up_auth_o != job.up_auth) fail(name + "auth");
    if (d.up_ok_o != job.up_ok) fail(name + "ok");
    if (d.up_status_o != job.up_status) fail(name + "status");
    if (job.up_ok && job.answer == 0 && d.up_bytes_o != job.result.size()) fail(name + "octets");
    const std::uint64_t due = dut_.cycle() + random_.between(pauses_.answer_min, pauses_.answer_max);
    answers_.emplace_back(answers_.empty() ? due : std::max(due, answers_.back().first + 1), job.answer);
  }
  if (d.done_valid_i && d.done_ready_o) {
    if ((*jobs_)[done_].found && updated_ <= done_) fail("taken without its update");
    ++done_;
    done_on_ = false;
    moved_ = dut_.cycle();
  }
  if (d.rd_valid_o && d.rd_ready_i) {
    const unsigned row = d.rd_row_o;
    const unsigned slot = row < kJumbo * 144 ? row / 144 : kJumbo + (row - kJumbo * 144) / 32;
    if (slot >= holder_.size() || holder_[slot] < 0) fail("read of a slot that is free");
    BackJob& job = (*jobs_)[static_cast<std::size_t>(holder_[slot])];
    if (job.result.empty()) fail("read of a stream that may not leave");
    if (job.found && !job.answered) fail("read before the answer");
    if (row != first_row(slot) + job.skip / 64 + job.rows_read) fail("row out of order");
    ++job.rows_read;
    if ((row - first_row(slot)) * 64 >= job.stream.size()) fail("row behind the stream");
    reads_.emplace_back(dut_.cycle() + pauses_.read_latency, rows_[row]);
  }
  if (d.free_valid_o) {
    const unsigned slot = d.free_slot_o;
    if (slot >= holder_.size() || holder_[slot] < 0) fail("free of a free slot");
    BackJob& job = (*jobs_)[static_cast<std::size_t>(holder_[slot])];
    if (static_cast<std::size_t>(holder_[slot]) >= done_) fail("free before done");
    const std::size_t total =
        job.result.size() - job.header.size() - (job.encap && job.esp ? job.icv_len : 0);
    const unsigned rows =
        job.result.empty() || total == 0 ? 0 : static_cast<unsigned>((job.skip % 64 + total + 63) / 64);
    if (job.rows_read != rows)
      fail("free after " + std::to_string(job.rows_read) + " rows of " + std::to_string(rows));
    holder_[slot] = -1;
    for (unsigned r = 0; r < (slot < kJumbo ? 144u : 32u); ++r)
      rows_[first_row(slot) + r][random_.bits() % 64] ^= 0xff;
    (slot < kJumbo ? free_jumbo_ : free_small_).push_back(slot);
    job.freed = true;
  }
}

void BackDriver::run(std::vector<BackJob>& jobs, BackPauses pauses) {
  pauses_ = pauses;
  jobs_ = &jobs;
  opened_ = done_ = updated_ = answered_ = completed_ = 0;
  moved_ = dut_.cycle();
  auto& d = *dut_.operator->();
  for (;;) {
    drive();
    dut_.settle();
    sample();
    dut_.tick();
    if (dut_.cycle() > moved_ + 5000) fail("nothing moves; " + std::to_string(completed_) + " are complete");
    const bool all = completed_ == jobs.size() && b_.empty() && answers_.empty();
    if (all && d.back_idle_o && d.write_idle_o && d.cpl_idle_o) break;
  }
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (!jobs[i].freed) fail("packet " + std::to_string(i) + " keeps its slot");
  }
  if (memory_ != image_) {
    const auto at = std::mismatch(memory_.begin(), memory_.end(), image_.begin()).first - memory_.begin();
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      for (const Segment& s : jobs[i].placed) {
        const auto first = static_cast<long>(s.addr - kBase);
        if (at >= first && at < first + static_cast<long>(s.len)) {
          fail("packet " + std::to_string(i) + ": octet " + std::to_string(at - first) + " of " +
               std::to_string(s.len) + " of its buffer is wrong; result of " +
               std::to_string(jobs[i].result.size()));
        }
      }
    }
    fail("memory is wrong outside every buffer");
  }
}

}  // namespace esplanade::tb
