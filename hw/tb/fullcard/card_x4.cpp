#include "Vesp_card_x4.h"
#include "hw/tb/fullcard/verilated_card.h"

namespace esplanade::fullcard {

std::unique_ptr<CardModel> make_card_x4() {
  auto made = std::make_unique<VerilatedCard<Vesp_card_x4>>();
  auto& c = made->card();
  made->ports = {ESPLANADE_AXI_PINS(c, m_axi_gmem), ESPLANADE_AXI_PINS(c, m_axi_gmem1),
                 ESPLANADE_AXI_PINS(c, m_axi_gmem2), ESPLANADE_AXI_PINS(c, m_axi_gmem3)};
  return made;
}

}  // namespace esplanade::fullcard
