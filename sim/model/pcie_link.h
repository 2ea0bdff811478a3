// The PCIe link between card and host as a TLM-2.0 module: what the card reads and writes in the host's memory crosses it, and
// its interrupts do; the host's DMA engine tells by it how long its transfers would take on a board.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>
#include <systemc>
#include <tlm>

#include <deque>

#include "sim/platform.h"

namespace esplanade::sim {

/// Time that `bytes` of payload take on the wires of one direction: TLPs of at most Max_Payload_Size, each with its header, at the raw
/// rate of generation and lanes less the line code (PCIe base specification 4.2.1, 8b/10b and 128b/130b).
sc_core::sc_time wire_time(const Timing& timing, std::uint64_t bytes);

/// Both directions of the link, each with its own wires. A write of the card is posted: its data go up, and it ends one latency
/// later. A read sends a request up, waits for the host's memory, and its completions come down. Reads need a tag for every
/// 512 bytes until their last completion has come; without one they wait. One link carries all host memories, and the messages of
/// the interrupt controller.
class PcieLink final : public sc_core::sc_module {
 public:
  // One a channel: the host's memories, and behind them the messages.
  sc_core::sc_vector<tlm_utils::simple_target_socket_tagged<PcieLink>> from_card;
  sc_core::sc_vector<tlm_utils::simple_initiator_socket<PcieLink>> to_host;
  tlm_utils::simple_initiator_socket<PcieLink> hot_reset;  // a write when the link goes down

  PcieLink(sc_core::sc_module_name name, const Timing& timing, sc_core::sc_time clock_period, std::size_t channels);
  /// The link loses its partner, `delay` from now, which resets the card behind it unless `link_down_resets` is 0.
  void go_down(sc_core::sc_time delay);

 private:
  void b_transport(int channel, tlm::tlm_generic_payload& access, sc_core::sc_time& delay);
  unsigned transport_dbg(int channel, tlm::tlm_generic_payload& access);
  sc_core::sc_time with_tags(std::size_t tags, sc_core::sc_time start);

  const Timing timing_;
  const sc_core::sc_time latency_;
  sc_core::sc_time up_free_at_, down_free_at_;
  std::deque<sc_core::sc_time> tags_;  // when each tag in use comes back, ascending
};

}  // namespace esplanade::sim
