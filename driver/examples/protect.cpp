// Protects an IP packet with ESP on the card and unprotects it again. Usage: protect_cpp [CARD [XCLBIN]]; CARD is "sim" (the default), or an XRT device by
// index or PCIe address. Ends with 0 when the packet came back as it was.
#include <esplanade/packet_queue.h>
#include <esplanade/sa_table.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

using namespace esplanade;

namespace {

// 10.2.0.5 -> 10.1.0.7, UDP port 9 to 9, "hello, card".
constexpr Byte kInner[] = {0x45, 0x00, 0x00, 0x27, 0x00, 0x01, 0x00, 0x00, 0x40, 0x11, 0x66, 0xb7, 10, 2, 0, 5, 10, 1, 0, 7,
                           0, 9, 0, 9, 0, 19, 0, 0, 'h', 'e', 'l', 'l', 'o', ',', ' ', 'c', 'a', 'r', 'd'};

void print(const char* what, ByteView octets) { std::printf("%s, %zu octets:\n  %s\n", what, octets.size(), to_hex(octets).c_str()); }

/// One end of a tunnel 192.0.2.2 -> 192.0.2.1, with keys for this example only.
Result<esp::SaParams> end_of_tunnel(bool outbound, std::uint32_t spi) {
  esp::SaParams sa;
  sa.outbound = outbound;
  sa.spi = spi;
  ESPLANADE_TRY(enc, from_hex("0123456789abcdef23456789abcdef01456789abcdef0123"));
  ESPLANADE_TRY(auth, from_hex("a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3"));
  ESPLANADE_TRY(src, esp::parse_address("192.0.2.2"));
  ESPLANADE_TRY(dst, esp::parse_address("192.0.2.1"));
  sa.enc_key = Secret(std::move(enc));
  sa.auth_key = Secret(std::move(auth));
  sa.src = src;
  sa.dst = dst;
  return sa;
}

/// One packet through the card.
Result<Bytes> pass(PacketQueue& queue, const Submission& submission) {
  ESPLANADE_CHECK(queue.submit(submission));
  ESPLANADE_CHECK(queue.flush());
  Bytes out;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (queue.in_flight() > 0) {
    ESPLANADE_CHECK(queue.reap([&out](const Completed& done) {
      std::printf("%s: %s\n", name_of(done.op), name_of(done.status));
      out.assign(done.packet.begin(), done.packet.end());
    }));
    if (std::chrono::steady_clock::now() > end) return Error{Errc::kTimeout, "the packet did not come back"};
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  return out;
}

Result<bool> run(const DeviceOptions& options) {
  ESPLANADE_TRY(device, Device::open(options));
  ESPLANADE_TRY(table, SaTable::create(*device));
  ESPLANADE_TRY(spi, table.allocate_spi());  // the receiver chooses it
  ESPLANADE_TRY(inbound, end_of_tunnel(false, spi));
  ESPLANADE_TRY(inbound_index, table.install(inbound));
  ESPLANADE_TRY(outbound, end_of_tunnel(true, spi));
  ESPLANADE_TRY(outbound_index, table.install(outbound));
  ESPLANADE_TRY(queue, PacketQueue::create(*device));

  print("packet", kInner);
  ESPLANADE_TRY(outer, pass(queue, {card::Op::kEncap, outbound_index, kInner, 1}));
  print("protected", outer);
  ESPLANADE_TRY(back, pass(queue, {card::Op::kDecap, 0, outer, 2}));
  print("unprotected", back);

  ESPLANADE_TRY(view, table.view(inbound_index));
  std::printf("inbound SA: sequence number %llu, %llu packets\n", static_cast<unsigned long long>(view.seq), static_cast<unsigned long long>(view.packets));
  ESPLANADE_CHECK(table.remove(inbound_index));
  ESPLANADE_CHECK(table.remove(outbound_index));
  return std::ranges::equal(back, kInner);
}

}  // namespace

int main(int argc, char** argv) {
  DeviceOptions options;
  if (argc > 1) options.card = argv[1];
  if (argc > 2) options.xclbin = argv[2];
  const auto same = run(options);
  if (!same) {
    std::fprintf(stderr, "%s: %s\n", errc_name(same.error().code), same.error().detail.c_str());
    return 1;
  }
  std::puts(*same ? "the packet came back as it was" : "the packet CHANGED");
  return *same ? 0 : 1;
}
