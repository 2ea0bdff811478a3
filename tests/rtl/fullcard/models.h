// The builds of the card that this program links.
#pragma once

#include <string>
#include <vector>

#include "hw/tb/fullcard/model.h"

namespace esplanade::fullcard {

struct Build {
  std::string name;
  std::unique_ptr<CardModel> (*make)();
};
inline std::vector<Build> builds() {
  return {{"one lane", make_card_x1},
#ifdef ESPLANADE_CARD_X4
          {"four lanes", make_card_x4},
#endif
  };
}

}  // namespace esplanade::fullcard
