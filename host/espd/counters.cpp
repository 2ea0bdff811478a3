#include "host/espd/counters.h"

namespace esplanade::espd {

const char* drop_name(Drop drop) {
  switch (drop) {
    case Drop::kNotIp:
      return "not-ip";
    case Drop::kNoPolicy:
      return "no-policy";
    case Drop::kDiscard:
      return "discard";
    case Drop::kFragment:
      return "fragment";
    case Drop::kQueueFull:
      return "queue-full";
    case Drop::kQueueExpired:
      return "queue-expired";
    case Drop::kNegotiationFailed:
      return "negotiation-failed";
    case Drop::kCard:
      return "card";
    case Drop::kCardLost:
      return "card-lost";
    case Drop::kDrained:
      return "drained";
    case Drop::kUdpShort:
      return "udp-short";
    case Drop::kIkeNoDaemon:
      return "ike-no-daemon";
    case Drop::kNotEsp:
      return "not-esp";
    case Drop::kNotOfSa:
      return "sa-gone";
    case Drop::kSelector:
      return "selector";
    case Drop::kTunWrite:
      return "tun-write";
    case Drop::kOutsideSend:
      return "outside-send";
    case Drop::kClearIn:
      return "clear-in";
    case Drop::kClearOut:
      return "clear-out";
    case Drop::kTooBig:
      return "too-big";
    case Drop::kCount:
      break;
  }
  return "?";
}

}  // namespace esplanade::espd
