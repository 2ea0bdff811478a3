#include "Vesp_card.h"
#include "Vesp_card___024root.h"
#include "hw/model/esp_card_model.h"
#include "hw/tb/fullcard/verilated_card.h"

namespace esplanade::fullcard {

namespace {
class CardX1 final : public VerilatedCard<Vesp_card> {
 public:
  bool skip(std::uint64_t cycles, std::uint32_t clock_hz) override {
    if (!card_model::idle(card())) return false;
    card_model::skip(card(), cycles, clock_hz);
    return true;
  }
};
}  // namespace

std::unique_ptr<CardModel> make_card_x1() {
  auto made = std::make_unique<CardX1>();
  made->ports = {ESPLANADE_AXI_PINS(made->card(), m_axi_gmem)};
  return made;
}

}  // namespace esplanade::fullcard
