// AXI4-Lite master for the kernel's control face: one access at a time. Each step is a clock cycle.
#pragma once

#include <cstdint>

namespace esplanade::sim {

struct LiteMasterPins {  // what it drives
  bool aw_valid = false, w_valid = false, b_ready = false, ar_valid = false, r_ready = false;
  std::uint32_t address = 0, w_data = 0;
};

struct LiteSlavePins {  // what the kernel shows before the rising edge
  bool aw_ready, w_ready, b_valid, ar_ready, r_valid;
  std::uint8_t b_response, r_response;
  std::uint32_t r_data;
};

class AxiLiteMaster {
 public:
  /// `name`: prefix of the signals, for messages; must outlive it.
  explicit AxiLiteMaster(const char* name) : name_(name) {}
  void start_read(std::uint32_t address);
  void start_write(std::uint32_t address, std::uint32_t value);
  bool done() const { return !reading_ && !writing_; }
  std::uint32_t value() const { return value_; }       // of the last read
  std::uint8_t response() const { return response_; }  // 0 is OKAY
  const LiteMasterPins& pins() const { return pins_; }
  /// The rising edge that ends cycle `cycle`. An answer that nobody asked for ends the model.
  void step(const LiteSlavePins& s, std::uint64_t cycle);

 private:
  const char* const name_;
  LiteMasterPins pins_;
  bool reading_ = false, writing_ = false;
  std::uint32_t value_ = 0;
  std::uint8_t response_ = 0;
};

}  // namespace esplanade::sim
