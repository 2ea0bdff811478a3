#include "sim/model/axi_slave.h"

#include <algorithm>

namespace esplanade::sim {

bool AxiSlave::stall() { return timing_.stall_percent != 0 && random_() % 100 < timing_.stall_percent; }

void AxiSlave::take_beat(const AxiMasterPins& m, std::uint64_t now) {
  Write& write = writes_.front();
  const std::size_t at = write.beat * shape_.beat_bytes;
  std::copy_n(m.w_data, shape_.beat_bytes, write.data.begin() + static_cast<std::ptrdiff_t>(at));
  for (std::size_t i = 0; i < shape_.beat_bytes; ++i) {
    const bool enabled = (m.w_strobes[i / 8] >> i % 8 & 1) != 0;
    write.enables[at + i] = enabled ? 0xff : 0;
    bytes_written_ += enabled;
  }
  ++write.beat;
  if (!m.w_last) return;
  const auto answer = memory_.write(write.at.aligned(shape_), write.data, write.enables, now);
  responses_.push_back({answer.response, write.at.id, answer.cycle});
  writes_.pop_front();
}

void AxiSlave::take(const AxiMasterPins& m, std::uint64_t now) {
  if (pins_.r_valid && m.r_ready) {
    Read& read = reads_.front();
    bytes_read_ += shape_.beat_bytes;
    if (read.last(shape_.beat_bytes)) {
      reads_.pop_front();
    } else {
      ++read.beat;
    }
    pins_.r_valid = false;
  }
  if (pins_.b_valid && m.b_ready) {
    responses_.pop_front();
    pins_.b_valid = false;
  }
  if (m.w_valid && pins_.w_ready) take_beat(m, now);
  if (m.aw_valid && pins_.aw_ready) {
    writes_.push_back({m.aw, Bytes(m.aw.bytes(shape_)), Bytes(m.aw.bytes(shape_)), 0});
  }
  if (m.ar_valid && pins_.ar_ready) {
    Read& read = reads_.emplace_back(Read{Bytes(m.ar.bytes(shape_)), AxiResponse::kOkay, m.ar.id, 0});
    const auto answer = memory_.read(m.ar.aligned(shape_), read.data, now);
    read.response = answer.response;
    read.cycle = answer.cycle;
  }
}

/// Valids that were shown and not taken stay as they are; everything else is decided anew.
void AxiSlave::drive(std::uint64_t next) {
  if (hung_) {
    pins_.ar_ready = pins_.aw_ready = pins_.w_ready = false;
    return;
  }
  pins_.ar_ready = reads_.size() < timing_.max_outstanding && !stall();
  pins_.aw_ready = writes_.size() + responses_.size() < timing_.max_outstanding && !stall();
  pins_.w_ready = !writes_.empty() && !stall();
  if (!pins_.r_valid && !reads_.empty() && reads_.front().cycle <= next && !stall()) {
    const Read& read = reads_.front();
    pins_.r_valid = true;
    pins_.r_data = read.data.data() + read.beat * shape_.beat_bytes;
    pins_.r_last = read.last(shape_.beat_bytes);
    pins_.r_response = read.response;
    pins_.r_id = read.id;
  }
  if (!pins_.b_valid && !responses_.empty() && responses_.front().cycle <= next && !stall()) {
    pins_.b_valid = true;
    pins_.b_response = responses_.front().response;
    pins_.b_id = responses_.front().id;
  }
}

void AxiSlave::reset() {
  pins_ = {};
  reads_.clear();
  writes_.clear();
  responses_.clear();
}

void AxiSlave::step(const AxiMasterPins& m, std::uint64_t now) {
  take(m, now);
  drive(now + 1);
}

}  // namespace esplanade::sim
