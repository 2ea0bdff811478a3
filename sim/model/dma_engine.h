// The host's DMA engine (as XDMA is on a board): what XRT's buffer syncs move between the host and the card's memories.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>
#include <systemc>
#include <tlm>

#include "sim/model/pcie_link.h"

namespace esplanade::sim {

struct DmaStatistics {
  std::uint64_t to_card_bytes = 0, from_card_bytes = 0, transfers = 0;
  double link_s = 0;  // seconds that the link would have been busy with them, the larger direction
};

/// Moves a transfer at once and takes none of the card's time: an idle card's clock stands still, so a card must not find its memory
/// busy afterwards. What the transfers would take on the link is in the statistics.
class DmaEngine final : public sc_core::sc_module {
 public:
  tlm_utils::simple_target_socket<DmaEngine> from_host;
  tlm_utils::simple_initiator_socket<DmaEngine> to_memory;

  DmaEngine(sc_core::sc_module_name name, const Timing& timing);
  DmaStatistics statistics() const;

 private:
  void b_transport(tlm::tlm_generic_payload& access, sc_core::sc_time& delay);
  const Timing timing_;
  DmaStatistics statistics_;
  sc_core::sc_time up_, down_;
};

}  // namespace esplanade::sim
