#include "hw/tb/crypto/crypto_driver.h"

#include <Vcrypto_lane___024root.h>

#include <algorithm>

namespace esplanade::tb {
namespace {

void must(bool ok, const char* what) {
  if (!ok) {
    std::fprintf(stderr, "crypto_driver: %s\n", what);
    std::abort();
  }
}
std::uint64_t word_at(const Octets& s, std::size_t at) {
  std::array<std::uint8_t, 8> o{};
  for (std::size_t i = 0; i < 8 && at + i < s.size(); ++i) o[i] = s[at + i];
  return load_be64(o.data());
}

}  // namespace

CryptoDriver::CryptoDriver(std::uint64_t salt) : random_(salt) {
  dut_.reset();
  wait_idle();
}

void CryptoDriver::wait_idle() {
  dut_->alloc_take_i = dut_->open_valid_i = dut_->done_ready_i = dut_->rd_valid_i = dut_->free_valid_i = 0;
  dut_->in_we_i = 0;
  for (int i = 0; i < 2000 && dut_->busy_o; ++i) step({});
  must(!dut_->busy_o, "busy without work");
}

void CryptoDriver::step(CryptoPauses pauses) {
  auto& d = *model();
  d.cycle_i = static_cast<std::uint32_t>(dut_.cycle());
  // Front: take a slot and queue its writes, one row a cycle; open behind the last of them.
  const bool want =
      next_job_ < jobs_.size() && writes_.size() < 4 && to_open_.size() < 2 && !random_.percent(pauses.in);
  if (want) d.alloc_jumbo_i = jobs_[next_job_].jumbo;
  dut_.settle();
  d.alloc_take_i = want && d.alloc_ok_o;
  if (d.alloc_take_i) {
    const unsigned slot = d.alloc_slot_o;
    must(slot < kSlots && !used_[slot], "a slot in use was allotted");
    must(!jobs_[next_job_].jumbo || slot < kJumboSlots, "a small slot for a jumbo packet");
    used_[slot] = true;
    const auto& job = jobs_[next_job_];
    for (std::size_t row = 0; 64 * row < job.stream.size() || row == 0; ++row) {
      Octets o(64);
      random_.fill(o);
      for (std::size_t i = 0; i < 64 && 64 * row + i < job.stream.size(); ++i)
        o[i] = job.stream[64 * row + i];
      // The lane does not take the first words of a stream to encrypt from M1.
      if (row == 0 && job.encap && job.ciphered()) random_.fill(std::span(o).first(16));
      writes_.push_back({0xffU, base(slot) + static_cast<unsigned>(row), o});
      if (64 * (row + 1) < job.stream.size() && pauses.in != 0 &&
          random_.percent(pauses.in)) {  // in two parts
        writes_.back().we = 0x3c;
        writes_.push_back({0xc3U, base(slot) + static_cast<unsigned>(row), o});
      }
    }
    writes_.push_back({0x100U, slot, {}});  // marks the opening
    to_open_.emplace_back(slot, next_job_++);
    moved_ = dut_.cycle();
  }
  d.in_we_i = 0;
  d.open_valid_i = 0;
  if (!writes_.empty() && writes_.front().we == 0x100 && !opened_last_) {
    const auto [slot, n] = to_open_.front();
    const auto& job = jobs_[n];
    to_open_.pop_front();
    writes_.pop_front();
    d.open_valid_i = 1;
    d.open_slot_i = static_cast<std::uint8_t>(slot);
    d.open_run_i = job.run;
    d.open_status_i = static_cast<std::uint8_t>(job.run ? 0 : job.status);
    d.open_encap_i = job.encap;
    d.open_esp_i = job.esp;
    d.open_tunnel_i = job.tunnel;
    d.open_inner_v4_i = job.inner_v4;
    d.open_inner_v6_i = job.inner_v6;
    d.open_cipher_i = static_cast<std::uint8_t>(job.cipher);
    d.open_auth_i = static_cast<std::uint8_t>(job.auth);
    d.open_len_i = static_cast<std::uint16_t>(job.stream.size());
    d.open_spi_seq_i = job.esp ? word_at(job.stream, 0) : random_.bits();
    d.open_iv_i = job.esp ? word_at(job.stream, 8) : random_.bits();
    d.open_esn_i = job.esn;
    d.open_seq_hi_i = job.seq_hi;
    set_top_first(d.open_icv_i, job.icv);
    Octets key = job.key;
    key.resize(24, 0xa5);
    set_top_first(d.open_key_i, key);
    set_top_first(d.open_istate_i, pad_state(job, 0x36));
    set_top_first(d.open_ostate_i, pad_state(job, 0x5c));
    d.open_ordered_i = job.ordered;
    d.open_order_i = static_cast<std::uint16_t>(job.order);
    job_of_[slot] = n;
    opened_[slot] = dut_.cycle();
    moved_ = dut_.cycle();
  } else if (!writes_.empty() && writes_.front().we != 0x100 && !random_.percent(pauses.in)) {
    d.in_we_i = static_cast<std::uint8_t>(writes_.front().we);
    d.in_row_i = static_cast<std::uint16_t>(writes_.front().row);
    set_top_first(d.in_data_i, writes_.front().octets);
    writes_.pop_front();
    if (!writes_.empty() && writes_.front().we == 0x100 && to_open_.empty()) must(false, "lost an opening");
  }
  opened_last_ = d.open_valid_i;
  // Back: take what is done, read it, free it.
  d.done_ready_i = handed_out_ < jobs_.size() && !random_.percent(pauses.done);
  d.rd_valid_i = 0;
  if (!back_.empty() && back_.front().asked < back_.front().rows && !random_.percent(pauses.rd)) {
    d.rd_valid_i = 1;
    d.rd_row_i = static_cast<std::uint16_t>(base(back_.front().result.slot) + back_.front().asked);
  }
  d.free_valid_i = 0;
  if (!back_.empty() && back_.front().asked == back_.front().rows && reading_.empty()) {
    d.free_valid_i = 1;
    d.free_slot_i = static_cast<std::uint8_t>(back_.front().result.slot);
    used_[back_.front().result.slot] = false;
    results_.push_back(back_.front().result);
    back_.pop_front();
    ++finished_;
  }
  dut_.settle();
  if (each_cycle) each_cycle();
  if (d.done_valid_o && d.done_ready_i) {
    Back b;
    b.result.slot = d.done_slot_o;
    must(used_[b.result.slot], "a free slot was handed out");
    b.result.job = job_of_[b.result.slot];
    b.result.opened = opened_[b.result.slot];
    b.result.done = dut_.cycle();
    auto& got = b.result.got;
    got.status = d.done_status_o;
    got.icv_ok = d.done_icv_ok_o;
    got.len = d.done_len_o;
    got.next_header = d.done_next_header_o;
    const auto icv = get_top_first(d.done_icv_o, 12);
    std::copy_n(icv.begin(), 12, got.icv.begin());
    b.result.ciphered = d.done_ciphered_o;
    b.result.hashed = d.done_hashed_o;
    const auto& job = jobs_[b.result.job];
    if (read_ && job.run && (job.encap || got.icv_ok))
      b.rows = static_cast<unsigned>((job.stream.size() + 63) / 64);
    back_.push_back(b);
    ++handed_out_;
    moved_ = dut_.cycle();
  }
  const bool asked = d.rd_valid_i && d.rd_ready_o;
  if (d.rd_data_valid_o) {
    must(!reading_.empty(), "data that nobody asked for");
    const auto o = get_top_first(d.rd_data_o, 64);
    auto& to = back_.front().result.got.stream;
    to.insert(to.end(), o.begin(), o.end());
    reading_.pop_front();
  }
  if (asked) {
    ++back_.front().asked;
    reading_.push_back(0);
  }
  dut_.tick();
}

std::vector<CryptoResult> CryptoDriver::run(const std::vector<CryptoJob>& jobs, CryptoPauses pauses,
                                            bool read) {
  jobs_ = jobs;
  next_job_ = handed_out_ = finished_ = 0;
  results_.clear();
  read_ = read;
  moved_ = dut_.cycle();
  while (finished_ < jobs_.size()) {
    step(pauses);
    if (dut_.cycle() - moved_ > 100000) {
      std::fprintf(stderr, "opened %zu handed out %zu\n", next_job_, handed_out_);
      must(false, "nothing moves");
    }
  }
  jobs_.clear();
  next_job_ = handed_out_ = 0;
  step({});  // the last free
  wait_idle();
  for (auto& r : results_) {
    auto& s = r.got.stream;
    r.got.moved = !s.empty();
    if (s.size() > jobs[r.job].stream.size()) s.resize(jobs[r.job].stream.size());
  }
  return results_;
}

void CryptoDriver::run_and_reset(const std::vector<CryptoJob>& jobs, std::uint64_t cycles) {
  jobs_ = jobs;
  next_job_ = handed_out_ = finished_ = 0;
  results_.clear();
  moved_ = dut_.cycle();
  for (std::uint64_t i = 0; i < cycles && finished_ < jobs_.size(); ++i) step({});
  jobs_.clear();
  next_job_ = handed_out_ = finished_ = 0;
  to_open_.clear();
  writes_.clear();
  back_.clear();
  reading_.clear();
  opened_last_ = false;
  used_.fill(false);
  dut_.reset();
  wait_idle();
}

bool CryptoDriver::word_done() { return model()->rootp->crypto_lane__DOT__x_valid; }

std::uint64_t CryptoDriver::m2_word(unsigned row, unsigned word) {
  const auto* r = model()->rootp;
  switch (word) {
    case 0:
      return r->crypto_lane__DOT__u_m2__DOT__gen_bank__BRA__0__KET____DOT__mem[row];
    case 1:
      return r->crypto_lane__DOT__u_m2__DOT__gen_bank__BRA__1__KET____DOT__mem[row];
    case 2:
      return r->crypto_lane__DOT__u_m2__DOT__gen_bank__BRA__2__KET____DOT__mem[row];
    case 3:
      return r->crypto_lane__DOT__u_m2__DOT__gen_bank__BRA__3__KET____DOT__mem[row];
    case 4:
      return r->crypto_lane__DOT__u_m2__DOT__gen_bank__BRA__4__KET____DOT__mem[row];
    case 5:
      return r->crypto_lane__DOT__u_m2__DOT__gen_bank__BRA__5__KET____DOT__mem[row];
    case 6:
      return r->crypto_lane__DOT__u_m2__DOT__gen_bank__BRA__6__KET____DOT__mem[row];
    default:
      return r->crypto_lane__DOT__u_m2__DOT__gen_bank__BRA__7__KET____DOT__mem[row];
  }
}

std::array<std::uint32_t, 5> CryptoDriver::istate(unsigned slot) {
  const auto& w = model()->rootp->crypto_lane__DOT__u_hash__DOT__u_istate__DOT__mem[slot];
  return {w[4], w[3], w[2], w[1], w[0]};
}
std::array<std::uint32_t, 5> CryptoDriver::ostate(unsigned slot) {
  const auto& w = model()->rootp->crypto_lane__DOT__u_hash__DOT__u_ostate__DOT__mem[slot];
  return {w[4], w[3], w[2], w[1], w[0]};
}

}  // namespace esplanade::tb
