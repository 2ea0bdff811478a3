#include "hw/tb/lane/lane_driver.h"

#include <doctest/doctest.h>

namespace esplanade::tb {

void LaneDriver::set_job(const LaneJob& job, std::uint16_t tag) {
  dut_->job_tag_i = tag;
  dut_->job_encap_i = job.encap;
  dut_->job_natt_i = job.shape.natt;
  dut_->job_cipher_i = static_cast<std::uint8_t>(job.keys.single_des ? 1 : job.cipher);
  dut_->job_auth_i = static_cast<std::uint8_t>(job.auth);
  dut_->job_src_len_i = static_cast<std::uint16_t>(job.source.size());
  dut_->job_esp_off_i = job.esp_off;
  set_top_first(dut_->job_enc_key_i, job.keys.enc);
  set_top_first(dut_->job_istate_i, hmac_state(job.keys, 0x36));
  set_top_first(dut_->job_ostate_i, hmac_state(job.keys, 0x5c));
  dut_->job_spi_i = job.shape.spi;
  dut_->job_seq_i = job.shape.seq;
  dut_->job_iv_i = job.encap ? load_be64(job.shape.iv.data()) : random_.bits();
  std::array<std::uint8_t, 16> address{};
  std::ranges::copy(job.shape.src, address.begin());
  set_top_first(dut_->job_src_i, address);
  std::ranges::copy(job.shape.dst, address.begin());
  set_top_first(dut_->job_dst_i, address);
  dut_->job_ttl_i = job.shape.ttl;
  dut_->job_ip_id_i = job.shape.ip_id;
  dut_->job_df_policy_i = job.shape.df_policy & 3;
  dut_->job_dscp_set_i = job.shape.dscp_set;
  dut_->job_dscp_i = job.shape.dscp & 0x3f;
  dut_->job_ecn_clear_i = job.shape.ecn_clear;
  dut_->job_udp_src_i = job.shape.udp_src;
  dut_->job_udp_dst_i = job.shape.udp_dst;
  dut_->job_inner_v4_i = job.inner_v4;
  dut_->job_inner_v6_i = job.inner_v6;
}

// Sets the inputs of the coming edge. What was offered stays until it is taken.
void LaneDriver::drive(Pauses pauses) {
  if (!job_on_ && next_job_ < jobs_.size() && !random_.percent(pauses.job)) {
    set_job(jobs_[next_job_], static_cast<std::uint16_t>(next_job_));
    job_on_ = true;
  }
  dut_->job_valid_i = job_on_;
  if (!beat_on_ && !beats_.empty() && !random_.percent(pauses.in)) {
    const Beat& beat = beats_.front();
    for (std::size_t i = 0; i < 64; i += 4) {
      dut_->in_data_i[i / 4] = static_cast<std::uint32_t>(beat.octets[i]) |
                               static_cast<std::uint32_t>(beat.octets[i + 1]) << 8 |
                               static_cast<std::uint32_t>(beat.octets[i + 2]) << 16 |
                               static_cast<std::uint32_t>(beat.octets[i + 3]) << 24;
    }
    dut_->in_last_i = beat.last;
    dut_->in_err_i = beat.err;
    beat_on_ = true;
  }
  dut_->in_valid_i = beat_on_;
  dut_->res_ready_i = !random_.percent(pauses.res);
  dut_->out_ready_i = !random_.percent(pauses.out);
  const std::size_t done = results_.size();
  dut_->res_discard_i = done < jobs_.size() && jobs_[done].discard;
  dut_->cycle_i = static_cast<std::uint32_t>(dut_.cycle());
  dut_.settle();
}

// Acts on the handshakes of the coming edge.
void LaneDriver::collect() {
  if (dut_->job_valid_i && dut_->job_ready_o) {
    const LaneJob& job = jobs_[next_job_++];
    job_on_ = false;
    taken_.push_back(dut_.cycle());
    moved_ = dut_.cycle();
    const std::size_t n = (job.source.size() + 63) / 64;
    for (std::size_t b = 0; b < n; ++b) {
      Beat beat{random_.octets(64), b + 1 == n, static_cast<int>(b) == job.err_beat};
      const std::size_t have = std::min<std::size_t>(64, job.source.size() - 64 * b);
      std::copy_n(job.source.begin() + static_cast<std::ptrdiff_t>(64 * b), have, beat.octets.begin());
      beats_.push_back(std::move(beat));
    }
  }
  if (dut_->in_valid_i && dut_->in_ready_o) {
    beats_.pop_front();
    beat_on_ = false;
    moved_ = dut_.cycle();
  }
  if (dut_->out_valid_o) REQUIRE_MESSAGE(payload_, "payload without a result header that announced it");
  if (dut_->out_valid_o && dut_->out_ready_i) {
    LaneResult& r = results_.back();
    moved_ = dut_.cycle();
    const std::size_t have = std::min<std::size_t>(64, r.out_len - r.packet.size());
    for (std::size_t i = 0; i < 64; ++i) {
      const auto o = static_cast<std::uint8_t>(dut_->out_data_o[i / 4] >> (8 * (i % 4)));
      if (i < have) {
        r.packet.push_back(o);
      } else {
        REQUIRE_MESSAGE(o == 0, "octets past the end of the result must be 0");
      }
    }
    REQUIRE((dut_->out_last_o != 0) == (r.packet.size() == r.out_len));
    if (dut_->out_last_o) {
      r.cycle_done = dut_.cycle();
      payload_ = false;
    }
  }
  if (dut_->res_valid_o && dut_->res_ready_i) {
    REQUIRE_MESSAGE(!payload_, "next result header before the payload ended");
    REQUIRE(!taken_.empty());
    LaneResult r;
    r.tag = dut_->res_tag_o;
    r.status = dut_->res_status_o;
    r.out_len = dut_->res_out_len_o;
    r.next_header = dut_->res_next_header_o;
    r.cycle_ciphered = dut_->res_cycle_ciphered_o;
    r.cycle_hashed = dut_->res_cycle_hashed_o;
    r.cycle_taken = taken_.front();
    r.cycle_done = dut_.cycle();
    taken_.pop_front();
    payload_ = r.status == 0 && !dut_->res_discard_i;
    moved_ = dut_.cycle();
    results_.push_back(std::move(r));
  }
}

void LaneDriver::step(Pauses pauses) {
  drive(pauses);
  collect();
  dut_.tick();
}

std::vector<LaneResult> LaneDriver::run(const std::vector<LaneJob>& jobs, Pauses pauses) {
  jobs_ = jobs;
  next_job_ = 0;
  results_.clear();
  moved_ = dut_.cycle();
  while (results_.size() < jobs_.size() || payload_) {
    step(pauses);
    REQUIRE_MESSAGE(dut_.cycle() - moved_ < 20000, "the lane hangs");
  }
  for (int i = 0; i < 4; ++i) step(pauses);
  CHECK(!busy());
  return std::move(results_);
}

void LaneDriver::run_and_flush(const std::vector<LaneJob>& jobs, std::uint64_t cycles) {
  jobs_ = jobs;
  next_job_ = 0;
  results_.clear();
  for (std::uint64_t i = 0; i < cycles; ++i) step({});
  job_on_ = beat_on_ = payload_ = false;
  beats_.clear();
  taken_.clear();
  dut_->job_valid_i = 0;
  dut_->in_valid_i = 0;
  dut_->flush_i = 1;
  dut_.tick();
  dut_->flush_i = 0;
  dut_.settle();
}

}  // namespace esplanade::tb
