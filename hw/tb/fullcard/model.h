// A Verilated card behind pointers to its pins, so that the bench is compiled once for every number of lanes.
#pragma once

#include <verilated.h>

#include <memory>
#include <string>
#include <vector>

namespace esplanade::fullcard {

/// One m_axi port: 512 bits, one ID bit. Outputs of the card are const.
struct AxiPins {
  const CData *awvalid, *awlen, *awsize, *awburst, *awid, *wvalid, *wlast, *bready;
  const CData *arvalid, *arlen, *arsize, *arburst, *arid, *rready;
  const QData *awaddr, *araddr, *wstrb;
  const EData* wdata;
  CData *awready, *wready, *bvalid, *bresp, *bid, *arready, *rvalid, *rlast, *rresp, *rid;
  EData* rdata;
};

/// s_axi_control.
struct ControlPins {
  CData *awvalid, *wvalid, *wstrb, *bready, *arvalid, *rready;
  SData *awaddr, *araddr;
  IData* wdata;
  const CData *awready, *wready, *bvalid, *bresp, *arready, *rvalid, *rresp;
  const IData* rdata;
};

/// A card model. Owns the Verilated object; eval() after every change of pins.
class CardModel {
 public:
  CardModel() = default;
  CardModel(const CardModel&) = delete;
  CardModel& operator=(const CardModel&) = delete;
  virtual ~CardModel() = default;
  virtual void eval() = 0;
  /// Waves of everything into an FST file, until the end.
  virtual void open_waves(const std::string& file) = 0;
  virtual void dump_waves(std::uint64_t time) = 0;

  /// Moves the card's time on without simulating; only while it is at rest. False where the model cannot.
  virtual bool skip(std::uint64_t cycles, std::uint32_t clock_hz) {
    static_cast<void>(cycles), static_cast<void>(clock_hz);
    return false;
  }

  CData *clk = nullptr, *rst_n = nullptr;
  const CData* interrupt = nullptr;
  ControlPins control{};
  std::vector<AxiPins> ports;
};

/// The models that a program links: card_x1.cpp, card_x4.cpp.
std::unique_ptr<CardModel> make_card_x1();
std::unique_ptr<CardModel> make_card_x4();

}  // namespace esplanade::fullcard
