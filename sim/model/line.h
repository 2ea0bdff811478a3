// A line of one bit between modules, as TLM: a write of one octet, 0 or 1, at the time when it changes.
#pragma once

#include <systemc>
#include <tlm>

#include "common/base/bytes.h"

namespace esplanade::sim {

/// Drives the line behind an initiator socket to `level` from `at` on, counted from now.
template <class Socket>
void drive_line(Socket& socket, bool level, sc_core::sc_time at) {
  Byte octet = level;
  tlm::tlm_generic_payload access;
  access.set_write();
  access.set_data_ptr(&octet);
  access.set_data_length(1);
  access.set_streaming_width(1);
  socket->b_transport(access, at);
}

}  // namespace esplanade::sim
