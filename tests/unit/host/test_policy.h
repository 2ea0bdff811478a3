// A policy from its texts.
#pragma once

#include "host/espd/policy.h"

namespace esplanade::espd {

inline Policy protect(const char* name, std::uint32_t reqid, const char* local_ts, const char* remote_ts) {
  Policy p;
  p.name = name;
  p.reqid = reqid;
  p.local_ts = *parse_selector(local_ts);
  p.remote_ts = *parse_selector(remote_ts);
  p.local = *esp::parse_address("192.0.2.2");
  p.peer = *esp::parse_address("192.0.2.1");
  return p;
}

inline Policy other(Action action, const char* name, const char* local_ts, const char* remote_ts) {
  Policy p = protect(name, 0, local_ts, remote_ts);
  p.action = action;
  return p;
}

}  // namespace esplanade::espd
