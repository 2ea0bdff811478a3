#include "sim/model/dma_engine.h"

#include <algorithm>

namespace esplanade::sim {

DmaEngine::DmaEngine(sc_core::sc_module_name name, const Timing& timing)
    : sc_module(name), from_host("from_host"), to_memory("to_memory"), timing_(timing) {
  from_host.register_b_transport(this, &DmaEngine::b_transport);
}

void DmaEngine::b_transport(tlm::tlm_generic_payload& access, sc_core::sc_time&) {
  const std::uint64_t size = access.get_data_length();
  if (to_memory->transport_dbg(access) != size) {
    if (access.get_response_status() == tlm::TLM_INCOMPLETE_RESPONSE) access.set_response_status(tlm::TLM_GENERIC_ERROR_RESPONSE);
    return;
  }
  access.set_response_status(tlm::TLM_OK_RESPONSE);
  ++statistics_.transfers;
  (access.is_write() ? statistics_.to_card_bytes : statistics_.from_card_bytes) += size;
  (access.is_write() ? down_ : up_) += wire_time(timing_, size);
}

DmaStatistics DmaEngine::statistics() const {
  DmaStatistics out = statistics_;
  out.link_s = std::max(up_, down_).to_seconds();
  return out;
}

}  // namespace esplanade::sim
