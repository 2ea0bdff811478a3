// The C API on a card in memory: what it hands on, and hostile arguments.
#include <doctest/doctest.h>

#include <climits>
#include <cstring>
#include <random>
#include <set>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "common/testing/seed.h"
#include "driver/capi.h"
#include "esplanade/sa_table.h"
#include "tests/unit/driver/capi_in_c.h"
#include "tests/unit/driver/stub_device.h"

using namespace esplanade;
using test::StubDevice;
namespace cpl = card::completion;
namespace reg = card::reg;

namespace {

// Holds a card in memory and its handle.
struct Card {
  Card() {
    auto made = std::make_unique<StubDevice>();
    device = made.get();
    auto opened = make_c_card(std::move(made));
    REQUIRE(opened);
    handle = *opened;
  }
  ~Card() { esplanade_card_close(handle); }
  Card(const Card&) = delete;
  Card& operator=(const Card&) = delete;
  StubDevice* device;
  esplanade_card* handle;
};

esplanade_sa sa_of(std::uint32_t spi = 0x1000) {
  static const Bytes enc = from_hex("0123456789abcdef23456789abcdef01456789abcdef0123").value(), auth(20, 0x5a);
  esplanade_sa sa;
  esplanade_sa_init(&sa);
  sa.spi = spi;
  sa.enc_key = enc.data();
  sa.enc_key_len = enc.size();
  sa.auth_key = auth.data();
  sa.auth_key_len = auth.size();
  CHECK(esplanade_address_parse("192.0.2.1", &sa.src) == ESPLANADE_OK);
  CHECK(esplanade_address_parse("192.0.2.2", &sa.dst) == ESPLANADE_OK);
  return sa;
}

esplanade_queue* open_queue(Card& card, std::uint32_t number = 0, std::uint32_t log2_size = 3) {
  esplanade_queue_options options{};
  options.log2_size = log2_size;
  esplanade_queue* queue = nullptr;
  REQUIRE(esplanade_queue_open(card.handle, number, &options, &queue) == ESPLANADE_OK);
  return queue;
}

// What the card would write for submission `number` of a queue of 8 entries.
void complete(StubDevice& device, std::size_t number, card::Op op, card::Status status, std::size_t len) {
  const MutableBytes c = device.last->data().subspan(8 * card::kDescriptorBytes + number % 8 * card::kCompletionBytes, card::kCompletionBytes);
  std::ranges::fill(c, Byte{0});
  card::set(c, cpl::kCookie, number);
  card::set(c, cpl::kOp, static_cast<std::uint64_t>(op));
  card::set(c, cpl::kStatus, static_cast<std::uint64_t>(status));
  card::set(c, cpl::kOutLen, len);
  card::set(c, cpl::kSpi, 0x1000);
  card::set(c, cpl::kSeq, 7);
  card::set(c, cpl::kNextHeader, 4);
  card::set(c, cpl::kPhase, number / 8 % 2 == 0 ? 1 : 0);
}

void ignore_completion(void*, const esplanade_completion*) {}
void ignore_event(void*, const esplanade_event*) {}

}  // namespace

TEST_CASE("C API: every error has a text of its own, every other int a common one") {
  std::set<std::string_view> texts;
  for (int error = 0; error <= ESPLANADE_E_BAD_INNER; ++error) texts.insert(esplanade_strerror(error));
  CHECK(texts.size() == ESPLANADE_E_BAD_INNER + 1);
  CHECK(!texts.contains("unknown error"));
  for (const int error : {-1, ESPLANADE_E_BAD_INNER + 1, 127, 131, INT_MAX, INT_MIN}) CHECK(esplanade_strerror(error) == std::string_view("unknown error"));
  CHECK(esplanade_strerror(ESPLANADE_E_ARGUMENT) == std::string_view("bad argument"));
  CHECK(esplanade_status_name(ESPLANADE_STATUS_BAD_ICV) == std::string_view("BadIcv"));
  CHECK(esplanade_event_name(ESPLANADE_EVENT_SOFT_BYTES) == std::string_view("SoftBytes"));
  for (const int value : {-1, 255, 256 + ESPLANADE_STATUS_BAD_ICV, INT_MAX, INT_MIN}) {
    CHECK(esplanade_status_name(value) == std::string_view("?"));
    CHECK(esplanade_event_name(value) == std::string_view("?"));
  }
  CHECK(std::string_view(esplanade_version()).find('.') != std::string_view::npos);
}

TEST_CASE("C API: info and SAs reach the C++ API") {
  Card card;
  struct esplanade_info info;
  std::memset(&info, 0xff, sizeof info);
  REQUIRE(esplanade_card_info(card.handle, &info) == ESPLANADE_OK);
  CHECK(info.sa_entries == 64);
  CHECK(info.queues == 1);
  CHECK(info.simulated == 0);
  CHECK(info.reserved[0] == 0);

  std::uint32_t outbound = 99, inbound = 99, spi = 0;
  REQUIRE(install_from_c(card.handle, ESPLANADE_OUTBOUND, 0x2001, &outbound) == ESPLANADE_OK);
  CHECK(card.device->registers[reg::kSaCommand.at()] == static_cast<std::uint32_t>(card::SaCommand::kInstall));
  REQUIRE(esplanade_spi_allocate(card.handle, &spi) == ESPLANADE_OK);
  CHECK(spi >= 256);
  REQUIRE(install_from_c(card.handle, ESPLANADE_INBOUND, spi, &inbound) == ESPLANADE_OK);
  CHECK(inbound == (spi & 63));
  CHECK(install_from_c(card.handle, ESPLANADE_INBOUND, spi, &inbound) == ESPLANADE_E_TABLE_FULL);
  CHECK(std::string_view(esplanade_last_error()).find("taken") != std::string_view::npos);

  esplanade_sa moved = sa_of(0x2001);
  moved.enc_key = moved.auth_key = nullptr;  // an update looks at no key
  REQUIRE(esplanade_address_parse("198.51.100.7", &moved.dst) == ESPLANADE_OK);
  CHECK(esplanade_sa_update(card.handle, outbound, &moved) == ESPLANADE_OK);
  CHECK(card.device->registers[reg::kSaCommand.at()] == static_cast<std::uint32_t>(card::SaCommand::kUpdate));
  moved.spi = 0x2002;
  CHECK(esplanade_sa_update(card.handle, outbound, &moved) == ESPLANADE_E_BAD_CONFIG);
  CHECK(esplanade_sa_update(card.handle, 63 - outbound, &moved) == ESPLANADE_E_UNKNOWN_SPI);

  struct esplanade_sa_state state;
  CHECK(esplanade_sa_view(card.handle, outbound, &state) == ESPLANADE_OK);
  CHECK(esplanade_sa_remove(card.handle, outbound) == ESPLANADE_OK);
  CHECK(esplanade_sa_remove(card.handle, outbound) == ESPLANADE_E_UNKNOWN_SPI);
  CHECK(esplanade_spi_release(card.handle, spi) == ESPLANADE_OK);
}

TEST_CASE("C API: every field of an SA reaches the entry that the card takes") {
  Card card;
  esplanade_sa sa = sa_of(0xa1b2c3d4);
  sa.natt = 1;
  sa.natt_src_port = 1111;
  sa.natt_dst_port = 2222;
  sa.seq = 0x123456789;
  sa.esn = 1;
  sa.ip_id = 0xbeef;
  sa.ttl = 17;
  sa.dscp = 46;
  sa.df = ESPLANADE_DF_SET;
  sa.ecn_copy = 0;
  sa.soft = {1, 2, 3, 0};
  sa.hard = {4, 5, 6, 0};
  std::uint32_t index = 0;
  REQUIRE(esplanade_sa_install(card.handle, &sa, &index) == ESPLANADE_OK);
  esp::SaParams same;
  same.spi = 0xa1b2c3d4;
  same.enc_key = Secret(ByteView(sa.enc_key, sa.enc_key_len));
  same.auth_key = Secret(ByteView(sa.auth_key, sa.auth_key_len));
  same.src = esp::parse_address("192.0.2.1").value();
  same.dst = esp::parse_address("192.0.2.2").value();
  same.natt = esp::Natt{1111, 2222};
  same.seq = 0x123456789;
  same.esn = true;
  same.ip_id = 0xbeef;
  same.ttl = 17;
  same.dscp = 46;
  same.df = esp::DfPolicy::kSet;
  same.ecn_copy = false;
  same.soft = {1, 2, 3};
  same.hard = {4, 5, 6};
  const auto expected = SaTable::encode(same, ~0u);
  for (std::uint32_t word = 0; word < expected.size() / 4; ++word) {
    CAPTURE(word);
    CHECK(card.device->registers[reg::kSaEntry.at(word)] == load_le32(&expected[word * 4]));
  }
  // And of an inbound one in transport mode.
  sa = sa_of(0x1234);
  sa.direction = ESPLANADE_INBOUND;
  sa.mode = ESPLANADE_TRANSPORT;
  sa.check_outer = sa.inner_v4 = sa.inner_v6 = 0;
  sa.replay_window = 256;
  REQUIRE(esplanade_sa_install(card.handle, &sa, &index) == ESPLANADE_OK);
  Bytes entry;
  for (std::uint32_t word = 0; word < card::kSaEntryBytes / 4; ++word) {
    const std::uint32_t value = card.device->registers[reg::kSaEntry.at(word)];
    for (int i = 0; i < 4; ++i) entry.push_back(static_cast<Byte>(value >> (8 * i)));
  }
  CHECK(card::get(entry, card::sa_entry::kTransport) == 1);
  CHECK(card::get(entry, card::sa_entry::kReplayWindow) == 256);
  CHECK(card::get(entry, card::sa_entry::kCheckOuter) == 0);
}

TEST_CASE("C API: NULL anywhere is an error or nothing") {
  Card card;
  esplanade_queue* queue = open_queue(card);
  esplanade_sa sa = sa_of();
  struct esplanade_info info;
  struct esplanade_sa_state state;
  esplanade_address address;
  std::uint32_t word = 0;
  const Byte packet[20] = {0x45};
  constexpr int kArgument = ESPLANADE_E_ARGUMENT;

  esplanade_card_close(nullptr);
  esplanade_queue_close(nullptr);
  esplanade_sa_init(nullptr);
  esplanade_wipe(nullptr, 100);
  CHECK(esplanade_queue_in_flight(nullptr) == 0);
  CHECK(esplanade_queue_capacity(nullptr) == 0);
  CHECK(esplanade_address_parse(nullptr, &address) == kArgument);
  CHECK(esplanade_address_parse("192.0.2.1", nullptr) == kArgument);
  esplanade_card* opened = card.handle;
  CHECK(esplanade_card_open(nullptr, nullptr, &opened) == kArgument);
  CHECK(opened == nullptr);
  CHECK(esplanade_card_open("sim", nullptr, nullptr) == kArgument);
  CHECK(esplanade_card_info(nullptr, &info) == kArgument);
  CHECK(esplanade_card_info(card.handle, nullptr) == kArgument);
  CHECK(esplanade_card_events(nullptr, ignore_event, nullptr) == kArgument);
  CHECK(esplanade_card_events(card.handle, nullptr, nullptr) == kArgument);
  CHECK(esplanade_spi_allocate(nullptr, &word) == kArgument);
  CHECK(esplanade_spi_allocate(card.handle, nullptr) == kArgument);
  CHECK(esplanade_spi_release(nullptr, 256) == kArgument);
  CHECK(esplanade_sa_install(nullptr, &sa, &word) == kArgument);
  CHECK(esplanade_sa_install(card.handle, nullptr, &word) == kArgument);
  CHECK(esplanade_sa_install(card.handle, &sa, nullptr) == kArgument);
  CHECK(esplanade_sa_update(nullptr, 0, &sa) == kArgument);
  CHECK(esplanade_sa_update(card.handle, 0, nullptr) == kArgument);
  CHECK(esplanade_sa_remove(nullptr, 0) == kArgument);
  CHECK(esplanade_sa_view(nullptr, 0, &state) == kArgument);
  CHECK(esplanade_sa_view(card.handle, 0, nullptr) == kArgument);
  esplanade_queue* other = queue;
  CHECK(esplanade_queue_open(nullptr, 0, nullptr, &other) == kArgument);
  CHECK(other == nullptr);
  CHECK(esplanade_queue_open(card.handle, 0, nullptr, nullptr) == kArgument);
  CHECK(esplanade_queue_open_all(nullptr, 1, nullptr, &other) == kArgument);
  CHECK(esplanade_queue_open_all(card.handle, 1, nullptr, nullptr) == kArgument);
  CHECK(esplanade_queue_encap(nullptr, 0, packet, sizeof packet, 0) == kArgument);
  CHECK(esplanade_queue_encap(queue, 0, nullptr, 20, 0) == kArgument);
  CHECK(esplanade_queue_decap(nullptr, packet, sizeof packet, 0) == kArgument);
  CHECK(esplanade_queue_decap(queue, nullptr, 0, 0) == kArgument);
  CHECK(esplanade_queue_flush(nullptr) == kArgument);
  CHECK(esplanade_queue_poll(nullptr, ignore_completion, nullptr, 0) == kArgument);
  CHECK(esplanade_queue_poll(queue, nullptr, nullptr, 0) == kArgument);
  esplanade_queue_close(queue);
}

TEST_CASE("C API: an SA with one bad field is refused before the card hears of it") {
  Card card;
  const auto refused = [&card](int error, auto change) {
    esplanade_sa sa = sa_of();
    change(sa);
    const std::size_t writes = card.device->writes.size();
    std::uint32_t index = 4711;
    CHECK(esplanade_sa_install(card.handle, &sa, &index) == error);
    CHECK(index == 4711);
    CHECK(card.device->writes.size() == writes);
    CHECK(std::string_view(esplanade_last_error()) != "");
  };
  constexpr int kArgument = ESPLANADE_E_ARGUMENT, kBadConfig = ESPLANADE_E_BAD_CONFIG;
  refused(kArgument, [](esplanade_sa& sa) { sa.protocol = 0; });
  refused(kArgument, [](esplanade_sa& sa) { sa.mode = 2; });
  refused(kArgument, [](esplanade_sa& sa) { sa.direction = 255; });
  refused(kArgument, [](esplanade_sa& sa) { sa.cipher = 3; });
  refused(kArgument, [](esplanade_sa& sa) { sa.auth = 3; });
  refused(kArgument, [](esplanade_sa& sa) { sa.df = 3; });
  refused(kArgument, [](esplanade_sa& sa) { sa.dscp = 64; });
  refused(kArgument, [](esplanade_sa& sa) { sa.dscp = -2; });
  refused(kArgument, [](esplanade_sa& sa) { sa.esn = 2; });
  refused(kArgument, [](esplanade_sa& sa) { sa.inner_v6 = 255; });
  refused(kArgument, [](esplanade_sa& sa) { sa.src.version = 5; });
  refused(kArgument, [](esplanade_sa& sa) { sa.dst.reserved[1] = 1; });
  refused(kArgument, [](esplanade_sa& sa) { sa.reserved[3] = 1; });
  refused(kArgument, [](esplanade_sa& sa) { sa.reserved0[4] = 1; });
  refused(kArgument, [](esplanade_sa& sa) { sa.hard.reserved = 1; });
  refused(kArgument, [](esplanade_sa& sa) { sa.enc_key = nullptr; });
  refused(kArgument, [](esplanade_sa& sa) { sa.enc_key_len = SIZE_MAX; });
  refused(kArgument, [](esplanade_sa& sa) { sa.auth_key_len = 21; });
  refused(kBadConfig, [](esplanade_sa& sa) { sa.enc_key_len = 23; });
  refused(kBadConfig, [](esplanade_sa& sa) { sa.enc_key = nullptr, sa.enc_key_len = 0; });
  refused(kBadConfig, [](esplanade_sa& sa) { sa.spi = 255; });
  refused(kBadConfig, [](esplanade_sa& sa) { sa.replay_window = 33; });
  refused(kBadConfig, [](esplanade_sa& sa) { sa.dst.version = 6; });
  static const Byte kWeak[24] = {1, 1, 1, 1, 1, 1, 1, 1};
  refused(ESPLANADE_E_WEAK_KEY, [](esplanade_sa& sa) { sa.enc_key = kWeak; });
  std::uint32_t index = 0;
  esplanade_sa zero{};
  CHECK(esplanade_sa_install(card.handle, &zero, &index) == kArgument);
  CHECK(esplanade_sa_update(card.handle, 0, &zero) == kArgument);
  const esplanade_sa good = sa_of();
  for (const std::uint32_t bad : {0u, 64u, 0x7fffffffu, 0xffffffffu}) {
    CHECK(esplanade_sa_update(card.handle, bad, &good) == ESPLANADE_E_UNKNOWN_SPI);
    CHECK(esplanade_sa_remove(card.handle, bad) == ESPLANADE_E_UNKNOWN_SPI);
  }
}

TEST_CASE("C API: structures of random octets are refused or taken, and nothing else happens") {
  Card card;
  std::mt19937_64 rng(testing::seed());
  const esplanade_sa good = sa_of();
  for (int i = 0; i < 20'000; ++i) {
    esplanade_sa sa = good;
    auto* octets = reinterpret_cast<Byte*>(&sa);
    // A few octets of the fields that are no pointers; keys are then as long as they say, or refused.
    for (std::uint64_t n = 1 + rng() % 4; n > 0; --n) {
      const std::size_t at = rng() % sizeof sa;
      const bool pointer = at >= offsetof(esplanade_sa, enc_key) && at < offsetof(esplanade_sa, src);
      if (!pointer) octets[at] = static_cast<Byte>(rng());
    }
    if (rng() % 8 == 0) sa.enc_key_len = rng() % 25;
    if (rng() % 8 == 0) sa.auth_key_len = rng() % 21;
    std::uint32_t index = 0;
    if (esplanade_sa_install(card.handle, &sa, &index) == ESPLANADE_OK) {
      CHECK(index < 64);
      CHECK(esplanade_sa_remove(card.handle, index) == ESPLANADE_OK);
    }
    static_cast<void>(esplanade_sa_update(card.handle, static_cast<std::uint32_t>(rng() % 70), &sa));
    esplanade_queue_options options;
    for (std::size_t at = 0; at < sizeof options; ++at) reinterpret_cast<Byte*>(&options)[at] = rng() % 4 == 0 ? static_cast<Byte>(rng()) : Byte{0};
    if (options.log2_size > 6 && options.log2_size <= 15) options.log2_size = 6;
    esplanade_queue* queue = nullptr;
    const auto number = static_cast<std::uint32_t>(rng() % 3);
    if (i % 16 == 0 && esplanade_queue_open(card.handle, number, &options, &queue) == ESPLANADE_OK) esplanade_queue_close(queue);
  }
}

TEST_CASE("C API: packets go in and completions come out") {
  Card card;
  esplanade_queue* queue = open_queue(card);
  CHECK(esplanade_queue_capacity(queue) == 4);
  const Bytes packet(60, 0x45);
  CHECK(esplanade_queue_encap(queue, 3, packet.data(), 0, 1) == ESPLANADE_E_BAD_LENGTH);
  CHECK(esplanade_queue_encap(queue, 3, packet.data(), 2049, 1) == ESPLANADE_E_BAD_LENGTH);
  CHECK(esplanade_queue_decap(queue, packet.data(), SIZE_MAX, 1) == ESPLANADE_E_BAD_LENGTH);
  REQUIRE(esplanade_queue_encap(queue, 3, packet.data(), packet.size(), 0xfeedfacecafebeef) == ESPLANADE_OK);
  for (int i = 0; i < 3; ++i) REQUIRE(esplanade_queue_decap(queue, packet.data(), packet.size(), 2) == ESPLANADE_OK);
  CHECK(esplanade_queue_decap(queue, packet.data(), packet.size(), 3) == ESPLANADE_E_RING_FULL);
  CHECK(esplanade_queue_in_flight(queue) == 4);
  REQUIRE(esplanade_queue_flush(queue) == ESPLANADE_OK);
  CHECK(card.device->registers[reg::kSqTail.at(0)] == 4);
  complete(*card.device, 0, card::Op::kEncap, card::Status::kOk, 100);
  complete(*card.device, 1, card::Op::kDecap, card::Status::kBadIcv, 0);
  std::vector<esplanade_completion> told;
  const auto keep = [](void* context, const esplanade_completion* c) { static_cast<std::vector<esplanade_completion>*>(context)->push_back(*c); };
  REQUIRE(esplanade_queue_poll(queue, keep, &told, 1000) == ESPLANADE_OK);
  REQUIRE(told.size() == 2);
  CHECK(told[0].cookie == 0xfeedfacecafebeef);
  CHECK(told[0].op == ESPLANADE_OP_ENCAP);
  CHECK(told[0].status == ESPLANADE_STATUS_OK);
  CHECK(told[0].packet != nullptr);
  CHECK(told[0].packet_len == 100);
  CHECK(told[0].spi == 0x1000);
  CHECK(told[0].seq == 7);
  CHECK(told[0].next_header == 4);
  CHECK(told[1].status == ESPLANADE_STATUS_BAD_ICV);
  CHECK(told[1].packet == nullptr);
  CHECK(told[1].packet_len == 0);
  // Nothing done in time is no error.
  CHECK(esplanade_queue_poll(queue, keep, &told, 1) == ESPLANADE_OK);
  CHECK(told.size() == 2);
  esplanade_queue_close(queue);
}

TEST_CASE("C API: a recording learns when a packet came and when its result was sent; without one nobody looks at the clock") {
  using Moment = Device::Moment;
  Card card;
  esplanade_queue* queue = open_queue(card);
  const Bytes packet(60, 0x45);
  const auto of = [&card](Moment moment) {
    std::vector<StubDevice::Noted> out;
    for (const auto& noted : card.device->noted) {
      if (noted.moment == moment) out.push_back(noted);
    }
    return out;
  };
  CHECK(esplanade_card_recording(nullptr) == 0);
  CHECK(esplanade_card_recording(card.handle) == 0);
  CHECK(esplanade_queue_note_arrived(nullptr, 1) == ESPLANADE_E_ARGUMENT);
  CHECK(esplanade_queue_note_arrived(queue, std::uint64_t{1} << 63) == ESPLANADE_E_ARGUMENT);
  CHECK(esplanade_queue_note_sent(nullptr, 0) == ESPLANADE_E_ARGUMENT);
  CHECK(esplanade_queue_note_arrived(queue, 5000) == ESPLANADE_OK);
  REQUIRE(esplanade_queue_encap(queue, 3, packet.data(), packet.size(), 0) == ESPLANADE_OK);
  CHECK(of(Moment::kArrived).empty());
  card.device->records = true;
  CHECK(esplanade_card_recording(card.handle) == 1);
  CHECK(esplanade_queue_note_arrived(queue, 5000) == ESPLANADE_OK);
  CHECK(esplanade_queue_encap(queue, 3, packet.data(), 0, 1) == ESPLANADE_E_BAD_LENGTH);  // the next one is the next that is taken
  for (int i = 0; i < 2; ++i) REQUIRE(esplanade_queue_encap(queue, 3, packet.data(), packet.size(), 1) == ESPLANADE_OK);
  const auto before = std::chrono::steady_clock::now();
  CHECK(esplanade_queue_note_arrived(queue, 0) == ESPLANADE_OK);
  REQUIRE(esplanade_queue_decap(queue, packet.data(), packet.size(), 2) == ESPLANADE_OK);
  const auto arrived = of(Moment::kArrived);
  REQUIRE(arrived.size() == 2);
  CHECK((arrived[0].first == 1 && arrived[0].queue == 0 && arrived[0].count == 1));
  CHECK(arrived[0].when.time_since_epoch() == std::chrono::nanoseconds(5000));
  CHECK((arrived[1].first == 3 && arrived[1].when >= before));
  REQUIRE(esplanade_queue_flush(queue) == ESPLANADE_OK);
  complete(*card.device, 0, card::Op::kEncap, card::Status::kOk, 100);
  complete(*card.device, 1, card::Op::kEncap, card::Status::kOk, 100);
  const auto pass_on = [](void* context, const esplanade_completion* c) {
    CHECK(esplanade_queue_note_sent(static_cast<esplanade_queue*>(context), c->number) == ESPLANADE_OK);
  };
  REQUIRE(esplanade_queue_poll(queue, pass_on, queue, 0) == ESPLANADE_OK);
  const auto sent = of(Moment::kSent);
  REQUIRE(sent.size() == 2);
  CHECK((sent[0].first == 0 && sent[1].first == 1 && sent[1].queue == 0));
  esplanade_queue_close(queue);
}

TEST_CASE("C API: a callback may submit; polling or closing its own queue does no harm, and no exception passes") {
  Card card;
  esplanade_queue* queue = open_queue(card);
  const Bytes packet(60, 0x45);
  for (int i = 0; i < 3; ++i) REQUIRE(esplanade_queue_decap(queue, packet.data(), packet.size(), 0) == ESPLANADE_OK);
  REQUIRE(esplanade_queue_flush(queue) == ESPLANADE_OK);
  complete(*card.device, 0, card::Op::kDecap, card::Status::kNoSa, 0);
  const auto meddle = [](void* context, const esplanade_completion*) {
    auto* q = static_cast<esplanade_queue*>(context);
    const Byte octets[20] = {0x45};
    CHECK(esplanade_queue_poll(q, ignore_completion, nullptr, 0) == ESPLANADE_E_STATE);
    CHECK(esplanade_queue_decap(q, octets, sizeof octets, 1) == ESPLANADE_OK);
    esplanade_queue_close(q);
  };
  CHECK(esplanade_queue_poll(queue, meddle, queue, 0) == ESPLANADE_OK);
  CHECK(esplanade_queue_in_flight(queue) == 3);
  complete(*card.device, 1, card::Op::kDecap, card::Status::kNoSa, 0);
  CHECK(esplanade_queue_poll(queue, [](void*, const esplanade_completion*) { throw std::runtime_error("of the caller"); }, nullptr, 0) == ESPLANADE_E_UNEXPECTED);
  CHECK(esplanade_last_error() == std::string_view("of the caller"));
  complete(*card.device, 2, card::Op::kDecap, card::Status::kNoSa, 0);
  CHECK(esplanade_queue_poll(queue, [](void*, const esplanade_completion*) { throw 1; }, nullptr, 0) == ESPLANADE_E_UNEXPECTED);
  CHECK(esplanade_queue_in_flight(queue) == 1);
  esplanade_queue_close(queue);
}

TEST_CASE("C API: queues are opened once each, and outlive the handle of their card") {
  Card card;
  card.device->info_.queues = 4;
  esplanade_queue* all[4] = {};
  esplanade_queue* again = nullptr;
  CHECK(esplanade_queue_open_all(card.handle, 0, nullptr, all) == ESPLANADE_E_BAD_CONFIG);
  CHECK(esplanade_queue_open_all(card.handle, 0xffffffff, nullptr, std::vector<esplanade_queue*>(card::kMaxQueues).data()) == ESPLANADE_E_UNSUPPORTED);
  CHECK(esplanade_queue_open(card.handle, 4, nullptr, &again) == ESPLANADE_E_UNSUPPORTED);
  CHECK(esplanade_queue_open(card.handle, 0xffffffff, nullptr, &again) == ESPLANADE_E_UNSUPPORTED);
  esplanade_queue_options options{16, 0, 0, {}};
  CHECK(esplanade_queue_open(card.handle, 0, &options, &again) == ESPLANADE_E_BAD_CONFIG);
  options = {3, 0xffffffff, 0, {}};
  CHECK(esplanade_queue_open(card.handle, 0, &options, &again) == ESPLANADE_E_BAD_CONFIG);
  options = {3, 0, 1, {}};
  REQUIRE(esplanade_queue_open_all(card.handle, 4, &options, all) == ESPLANADE_OK);
  CHECK(reg::kQControlInOrder.get(card.device->registers[reg::kQControl.at(3)]) == 0);
  CHECK(esplanade_queue_open(card.handle, 2, nullptr, &again) == ESPLANADE_E_STATE);
  esplanade_queue_close(all[2]);
  CHECK(esplanade_queue_open(card.handle, 2, &options, &all[2]) == ESPLANADE_OK);
  esplanade_card_close(std::exchange(card.handle, nullptr));
  const Byte packet[20] = {0x45};
  for (esplanade_queue* queue : all) {
    CHECK(esplanade_queue_encap(queue, 0, packet, sizeof packet, 0) == ESPLANADE_OK);
    esplanade_queue_close(queue);
  }
}

TEST_CASE("C API: events are told once, oldest first; those before one that makes no sense, too") {
  namespace event = card::event;
  Card card;
  StubDevice::Memory& ring = *card.device->last;
  const auto happen = [&ring](std::size_t n, std::uint64_t type) {
    const MutableBytes e = ring.data().subspan(n * card::kEventBytes, card::kEventBytes);
    card::set(e, event::kType, type);
    card::set(e, event::kSaIndex, 5);
    card::set(e, event::kSpi, 0x1000 + n);
    card::set(e, event::kArg, 7);
    card::set(e, event::kCycle, 0x123456789);
    card::set(e, event::kPhase, 1);
  };
  std::vector<esplanade_event> told;
  const auto poll = [&card, &told] {
    return esplanade_card_events(card.handle, [](void* context, const esplanade_event* e) { static_cast<std::vector<esplanade_event>*>(context)->push_back(*e); }, &told);
  };
  CHECK(poll() == ESPLANADE_OK);
  CHECK(told.empty());
  happen(0, ESPLANADE_EVENT_SOFT_BYTES);
  happen(1, ESPLANADE_EVENT_HARD_SECONDS);
  CHECK(poll() == ESPLANADE_OK);
  REQUIRE(told.size() == 2);
  CHECK(told[0].type == ESPLANADE_EVENT_SOFT_BYTES);
  CHECK(told[0].spi == 0x1000);
  CHECK(told[0].sa_index == 5);
  CHECK(told[0].arg == 7);
  CHECK(told[0].cycle == 0x123456789);
  CHECK(told[1].type == ESPLANADE_EVENT_HARD_SECONDS);
  happen(2, ESPLANADE_EVENT_ERROR);
  happen(3, 99);
  CHECK(poll() == ESPLANADE_E_MALFORMED);
  CHECK(told.size() == 3);
}

TEST_CASE("C API: a lost card is an error of every call") {
  Card card;
  esplanade_queue* queue = open_queue(card);
  card.device->lost = true;
  std::uint32_t index = 0;
  struct esplanade_sa_state state;
  CHECK(install_from_c(card.handle, ESPLANADE_OUTBOUND, 0x2001, &index) == ESPLANADE_E_DEVICE_LOST);
  CHECK(esplanade_sa_view(card.handle, 0, &state) == ESPLANADE_E_DEVICE_LOST);
  esplanade_queue_close(queue);
}

TEST_CASE("C API: addresses") {
  esplanade_address a;
  REQUIRE(esplanade_address_parse("2001:db8::1", &a) == ESPLANADE_OK);
  CHECK(a.version == 6);
  CHECK(a.octets[15] == 1);
  const esplanade_address before = a;
  for (const char* text : {"", "192.0.2", "192.0.2.1/24", "::g", "fe80::1%eth0", "192.0.2.1 "}) CHECK(esplanade_address_parse(text, &a) == ESPLANADE_E_MALFORMED);
  CHECK(esplanade_address_parse(std::string(100'000, '1').c_str(), &a) == ESPLANADE_E_MALFORMED);
  CHECK((a.version == before.version && std::ranges::equal(a.octets, before.octets)));
}

TEST_CASE("C API: wiped octets are zero") {
  Byte key[24];
  std::memset(key, 0xaa, sizeof key);
  esplanade_wipe(key, 20);
  CHECK(std::ranges::all_of(std::span(key).first(20), [](Byte b) { return b == 0; }));
  CHECK(key[20] == 0xaa);
}
