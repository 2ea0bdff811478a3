#include "host/espd/natt_relay.h"

#include "common/base/log.h"

namespace esplanade::espd {

Result<std::unique_ptr<NattRelay>> NattRelay::create(Poller& poller, const std::string& path,
                                                     Outside& outside, Counters& counters) {
  std::unique_ptr<NattRelay> relay(new NattRelay(outside, counters));
  PacketServer::Options options;
  options.path = path;
  options.name = "NAT-T";
  options.max_packet = pfkey::kMaxNattFrame;
  PacketServer::Handlers handlers{
      [raw = relay.get()](ClientId c, ByteView octets) { raw->on_message(c, octets); }, {}};
  ESPLANADE_TRY(server, PacketServer::create(poller, std::move(options), std::move(handlers)));
  relay->server_ = std::move(server);
  return relay;
}

bool NattRelay::deliver(const pfkey::NattFrame& frame) {
  const ClientId daemon = server_->newest();
  return daemon != 0 && server_->send(daemon, ByteView(pfkey::serialize(frame)));
}

void NattRelay::on_message(ClientId, ByteView octets) {
  const auto frame = pfkey::parse_natt_frame(octets);
  if (!frame) return log_warn("{} at offset {}", frame.error().detail, frame.error().at);
  if (!outside_.send_ike(*frame)) return counters_.drop(Drop::kOutsideSend);
  ++(frame->keepalive ? counters_.keepalives_out : counters_.ike_out);
}

}  // namespace esplanade::espd
