// CardModel of a class that Verilator made; included only where such a class is wrapped.
#pragma once

#include <verilated_fst_c.h>
#if VM_COVERAGE
#include <unistd.h>
#include <verilated_cov.h>

#include <cstdlib>
#endif

#include "hw/tb/fullcard/model.h"

/// Pins of the port that starts with `prefix`, e.g. m_axi_gmem.
#define ESPLANADE_AXI_PINS(m, prefix)                                                                      \
  esplanade::fullcard::AxiPins {                                                                           \
    &(m).prefix##_awvalid, &(m).prefix##_awlen, &(m).prefix##_awsize, &(m).prefix##_awburst,               \
        &(m).prefix##_awid, &(m).prefix##_wvalid, &(m).prefix##_wlast, &(m).prefix##_bready,               \
        &(m).prefix##_arvalid, &(m).prefix##_arlen, &(m).prefix##_arsize, &(m).prefix##_arburst,           \
        &(m).prefix##_arid, &(m).prefix##_rready, &(m).prefix##_awaddr, &(m).prefix##_araddr,              \
        &(m).prefix##_wstrb, (m).prefix##_wdata.data(), &(m).prefix##_awready, &(m).prefix##_wready,       \
        &(m).prefix##_bvalid, &(m).prefix##_bresp, &(m).prefix##_bid, &(m).prefix##_arready,               \
        &(m).prefix##_rvalid, &(m).prefix##_rlast, &(m).prefix##_rresp, &(m).prefix##_rid,                 \
        (m).prefix##_rdata.data()                                                                          \
  }

namespace esplanade::fullcard {

template <class Verilated>
class VerilatedCard : public CardModel {
 public:
  VerilatedCard() : card_(&context_) {
    auto& c = card_;
    clk = &c.ap_clk;
    rst_n = &c.ap_rst_n;
    interrupt = &c.__SYM__interrupt;  // Verilator renames what C++ might not like
    control = {&c.s_axi_control_awvalid, &c.s_axi_control_wvalid,  &c.s_axi_control_wstrb,   &c.s_axi_control_bready,
               &c.s_axi_control_arvalid, &c.s_axi_control_rready,  &c.s_axi_control_awaddr,  &c.s_axi_control_araddr,
               &c.s_axi_control_wdata,   &c.s_axi_control_awready, &c.s_axi_control_wready,  &c.s_axi_control_bvalid,
               &c.s_axi_control_bresp,   &c.s_axi_control_arready, &c.s_axi_control_rvalid,  &c.s_axi_control_rresp,
               &c.s_axi_control_rdata};
  }
  ~VerilatedCard() override {
    if (waves_) waves_->close();
    card_.final();
#if VM_COVERAGE
    // A file a card: rtl_coverage.py adds them up.
    static unsigned number = 0;
    if (const char* folder = std::getenv("ESPLANADE_RTL_COVERAGE"))
      context_.coveragep()->write((std::string(folder) + "/" + std::to_string(::getpid()) + "." + std::to_string(number++) + ".dat").c_str());
#endif
  }
  void eval() override { card_.eval(); }
  void open_waves(const std::string& file) override {
    context_.traceEverOn(true);
    waves_ = std::make_unique<VerilatedFstC>();
    card_.trace(waves_.get(), 99);
    waves_->open(file.c_str());
  }
  void dump_waves(std::uint64_t time) override {
    if (waves_) waves_->dump(time);
  }
  Verilated& card() { return card_; }

 private:
  VerilatedContext context_;  // before the card, which uses it
  Verilated card_;
  std::unique_ptr<VerilatedFstC> waves_;
};

}  // namespace esplanade::fullcard
