#include "Vesp_card.h"
#include "hw/tb/fullcard/verilated_card.h"

namespace esplanade::fullcard {

std::unique_ptr<CardModel> make_card_x1() {
  auto made = std::make_unique<VerilatedCard<Vesp_card>>();
  made->ports = {ESPLANADE_AXI_PINS(made->card(), m_axi_gmem)};
  return made;
}

}  // namespace esplanade::fullcard
