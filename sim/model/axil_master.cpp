#include "sim/model/axil_master.h"

#include <fmt/format.h>

#include "sim/model/die.h"

namespace esplanade::sim {

void AxiLiteMaster::start_read(std::uint32_t address) {
  reading_ = true;
  pins_ = {};
  pins_.address = address;
  pins_.ar_valid = pins_.r_ready = true;
}

void AxiLiteMaster::start_write(std::uint32_t address, std::uint32_t value) {
  writing_ = true;
  pins_ = {};
  pins_.address = address;
  pins_.w_data = value;
  pins_.aw_valid = pins_.w_valid = pins_.b_ready = true;
}

void AxiLiteMaster::step(const LiteSlavePins& s, std::uint64_t cycle) {
  // An answer in the cycle of its request's handshake would depend on it combinationally: AXI forbids that
  // too.
  if (s.b_valid && (!writing_ || pins_.aw_valid || pins_.w_valid)) {
    die(fmt::format("{} breaks AXI at cycle {}: BVALID before the write was taken", name_, cycle));
  }
  if (s.r_valid && (!reading_ || pins_.ar_valid)) {
    die(fmt::format("{} breaks AXI at cycle {}: RVALID before the read was taken", name_, cycle));
  }
  if (s.aw_ready) pins_.aw_valid = false;
  if (s.w_ready) pins_.w_valid = false;
  if (s.ar_ready) pins_.ar_valid = false;
  if (s.b_valid) {
    response_ = s.b_response;
    writing_ = pins_.b_ready = false;
  }
  if (s.r_valid) {
    value_ = s.r_data;
    response_ = s.r_response;
    reading_ = pins_.r_ready = false;
  }
}

}  // namespace esplanade::sim
