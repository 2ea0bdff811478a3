// The C API over the C++ one. Arguments are checked here, exceptions end here; everything else is the C++ API's.
#include "driver/capi.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>
#include <thread>

#include "esplanade/event_queue.h"
#include "esplanade/packet_queue.h"
#include "esplanade/sa_table.h"

namespace esplanade {
namespace {

using Steady = std::chrono::steady_clock;

// Every error of the C++ API: its place in the C API, and what it means.
#define ESPLANADE_EACH_ERROR(X)                                                            \
  X(TRUNCATED, kTruncated, "input ends before the field that was being read")              \
  X(MALFORMED, kMalformed, "impossible value")                                             \
  X(BAD_LENGTH, kBadLength, "length does not fit")                                         \
  X(UNSUPPORTED, kUnsupported, "not done by this card")                                    \
  X(BAD_CONFIG, kBadConfig, "options or parameters make no sense")                         \
  X(IO, kIo, "refused by the operating system or XRT")                                     \
  X(PERMISSION, kPermission, "privilege is missing")                                       \
  X(NO_CARD, kNoCard, "no such card, or what it needs is not installed")                   \
  X(DEVICE_LOST, kDeviceLost, "the card stopped answering")                                \
  X(TIMEOUT, kTimeout, "no answer in the time given")                                      \
  X(RING_FULL, kRingFull, "the queue is full: poll it first")                              \
  X(TABLE_FULL, kTableFull, "no free entry")                                               \
  X(UNKNOWN_SPI, kUnknownSpi, "no such security association")                              \
  X(REPLAYED, kReplayed, "sequence number outside the replay window or already seen")      \
  X(BAD_ICV, kBadIcv, "integrity check failed")                                            \
  X(BAD_PADDING, kBadPadding, "padding is wrong")                                          \
  X(SEQ_OVERFLOW, kSeqOverflow, "no sequence number is left")                              \
  X(DUMMY, kDummy, "dummy packet")                                                         \
  X(WEAK_KEY, kWeakKey, "weak, semi-weak or degenerate DES key")                           \
  X(EXPIRED, kExpired, "hard lifetime reached")                                            \
  X(STATE, kState, "the call does not fit the state")                                      \
  X(FRAGMENT, kFragment, "a fragment where a whole packet is needed")                      \
  X(WRONG_PROTOCOL, kWrongProtocol, "not the protocol of the security association")        \
  X(WRONG_ADDRESS, kWrongAddress, "outer addresses are not those of the security association") \
  X(WRONG_DIRECTION, kWrongDirection, "the security association is of the other direction")    \
  X(BAD_NEXT_HEADER, kBadNextHeader, "next header does not fit the mode")                  \
  X(BAD_KE, kBadKe, "bad Diffie-Hellman public value")                                     \
  X(BAD_ID, kBadId, "bad identity")                                                        \
  X(BAD_CERTIFICATE, kBadCertificate, "bad certificate")                                   \
  X(UNKNOWN_AUTHORITY, kUnknownAuthority, "no chain to a configured authority")            \
  X(BAD_SIGNATURE, kBadSignature, "bad signature")                                         \
  X(BAD_AUTH, kBadAuth, "a hash or token that proves no secret")                           \
  X(NO_ROOM, kNoRoom, "the result does not fit")                                           \
  X(BAD_INNER, kBadInner, "the packet inside a tunnel is malformed")

constexpr int code_of(Errc code) { return static_cast<int>(code) + 1; }

#define ESPLANADE_SAME(name, kind, text) static_assert(ESPLANADE_E_##name == code_of(Errc::kind));
ESPLANADE_EACH_ERROR(ESPLANADE_SAME)
#undef ESPLANADE_SAME

template <class T>
constexpr bool same(int c, T cpp) { return c == static_cast<int>(cpp); }
static_assert(same(ESPLANADE_STATUS_OK, card::Status::kOk) && same(ESPLANADE_STATUS_BAD_DESCRIPTOR, card::Status::kBadDescriptor) &&
              same(ESPLANADE_STATUS_BAD_ADDRESS, card::Status::kBadAddress) && same(ESPLANADE_STATUS_BAD_ALIGN, card::Status::kBadAlign) &&
              same(ESPLANADE_STATUS_BAD_LENGTH, card::Status::kBadLength) && same(ESPLANADE_STATUS_DST_TOO_SMALL, card::Status::kDstTooSmall) &&
              same(ESPLANADE_STATUS_BUS_ERROR, card::Status::kBusError) && same(ESPLANADE_STATUS_NO_SA, card::Status::kNoSa) &&
              same(ESPLANADE_STATUS_WRONG_DIRECTION, card::Status::kWrongDirection) && same(ESPLANADE_STATUS_BAD_HEADER, card::Status::kBadHeader) &&
              same(ESPLANADE_STATUS_FRAGMENT, card::Status::kFragment) && same(ESPLANADE_STATUS_WRONG_PROTOCOL, card::Status::kWrongProtocol) &&
              same(ESPLANADE_STATUS_WRONG_ADDRESS, card::Status::kWrongAddress) && same(ESPLANADE_STATUS_BAD_ESP_LENGTH, card::Status::kBadEspLength) &&
              same(ESPLANADE_STATUS_REPLAY, card::Status::kReplay) && same(ESPLANADE_STATUS_BAD_ICV, card::Status::kBadIcv) &&
              same(ESPLANADE_STATUS_BAD_PADDING, card::Status::kBadPadding) && same(ESPLANADE_STATUS_BAD_NEXT_HEADER, card::Status::kBadNextHeader) &&
              same(ESPLANADE_STATUS_DUMMY, card::Status::kDummy) && same(ESPLANADE_STATUS_SEQ_OVERFLOW, card::Status::kSeqOverflow) &&
              same(ESPLANADE_STATUS_EXPIRED, card::Status::kExpired) && same(ESPLANADE_STATUS_NO_SEED, card::Status::kNoSeed) &&
              same(ESPLANADE_STATUS_HOST_IV_REFUSED, card::Status::kHostIvRefused) && same(ESPLANADE_STATUS_UNSUPPORTED, card::Status::kUnsupported) &&
              same(ESPLANADE_STATUS_POISONED, card::Status::kPoisoned) && same(ESPLANADE_STATUS_BAD_INNER, card::Status::kBadInner));
static_assert(same(ESPLANADE_EVENT_SOFT_BYTES, card::EventType::kSoftBytes) && same(ESPLANADE_EVENT_SOFT_PACKETS, card::EventType::kSoftPackets) &&
              same(ESPLANADE_EVENT_SOFT_SECONDS, card::EventType::kSoftSeconds) && same(ESPLANADE_EVENT_HARD_BYTES, card::EventType::kHardBytes) &&
              same(ESPLANADE_EVENT_HARD_PACKETS, card::EventType::kHardPackets) && same(ESPLANADE_EVENT_HARD_SECONDS, card::EventType::kHardSeconds) &&
              same(ESPLANADE_EVENT_SEQ_SOON, card::EventType::kSeqSoon) && same(ESPLANADE_EVENT_SEQ_OVERFLOW, card::EventType::kSeqOverflow) &&
              same(ESPLANADE_EVENT_ERROR, card::EventType::kError));
static_assert(same(ESPLANADE_OP_ENCAP, card::Op::kEncap) && same(ESPLANADE_OP_DECAP, card::Op::kDecap));
static_assert(same(ESPLANADE_ESP, esp::Protocol::kEsp) && same(ESPLANADE_AH, esp::Protocol::kAh));
static_assert(same(ESPLANADE_TUNNEL, esp::Mode::kTunnel) && same(ESPLANADE_TRANSPORT, esp::Mode::kTransport));
// The card's numbers and those of the parameters are the same: views give the first, an SA takes the second.
static_assert(same(ESPLANADE_CIPHER_NULL, esp::Cipher::kNull) && same(ESPLANADE_CIPHER_DES_CBC, esp::Cipher::kDesCbc) &&
              same(ESPLANADE_CIPHER_3DES_CBC, esp::Cipher::kTripleDesCbc));
static_assert(same(ESPLANADE_CIPHER_NULL, card::Cipher::kNull) && same(ESPLANADE_CIPHER_DES_CBC, card::Cipher::kDesCbc) &&
              same(ESPLANADE_CIPHER_3DES_CBC, card::Cipher::kTripleDesCbc));
static_assert(same(ESPLANADE_AUTH_NONE, esp::Auth::kNone) && same(ESPLANADE_AUTH_HMAC_MD5_96, esp::Auth::kHmacMd5_96) &&
              same(ESPLANADE_AUTH_HMAC_SHA1_96, esp::Auth::kHmacSha1_96));
static_assert(same(ESPLANADE_AUTH_NONE, card::Auth::kNone) && same(ESPLANADE_AUTH_HMAC_MD5_96, card::Auth::kHmacMd5_96) &&
              same(ESPLANADE_AUTH_HMAC_SHA1_96, card::Auth::kHmacSha1_96));
static_assert(same(ESPLANADE_DF_COPY, esp::DfPolicy::kCopy) && same(ESPLANADE_DF_CLEAR, esp::DfPolicy::kClear) && same(ESPLANADE_DF_SET, esp::DfPolicy::kSet));
// What `soname` 1 promises on a machine of 64 bits.
static_assert(sizeof(esplanade_sa) == 192 && sizeof(esplanade_info) == 64 && sizeof(esplanade_sa_state) == 120 && sizeof(esplanade_queue_options) == 32 &&
              sizeof(esplanade_completion) == 88 && sizeof(esplanade_event) == 24);

// Fixed room: telling of an error needs no memory.
thread_local char t_detail[512] = "";

int fail(int code, std::string_view detail) noexcept {
  const std::size_t len = std::min(detail.size(), sizeof t_detail - 1);
  std::copy_n(detail.data(), len, t_detail);
  t_detail[len] = '\0';
  return code;
}
int bad_argument(const char* what) noexcept { return fail(ESPLANADE_E_ARGUMENT, what); }

/// Runs `call`, which gives a Status; its error or exception as a code of the C API.
template <class Call>
int guarded(Call call) noexcept {
  try {
    const Status status = call();
    return status ? ESPLANADE_OK : fail(code_of(status.error().code), status.error().detail);
  } catch (const std::bad_alloc&) {
    return fail(ESPLANADE_E_NO_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return fail(ESPLANADE_E_UNEXPECTED, error.what());
  } catch (...) {
    return fail(ESPLANADE_E_UNEXPECTED, "an exception that is no std::exception");
  }
}

template <class T>
bool all_zero(const T& reserved) {
  return std::ranges::all_of(reserved, [](auto v) { return v == 0; });
}

/// Why no SA can be made of `in`; null when one can. Whether it makes sense is validate()'s.
const char* wrong_in(const esplanade_sa& in) {
  if (in.protocol != ESPLANADE_ESP && in.protocol != ESPLANADE_AH) return "protocol is neither ESP nor AH";
  if (in.mode > ESPLANADE_TRANSPORT) return "no such mode";
  if (in.direction > ESPLANADE_OUTBOUND) return "no such direction";
  if (in.cipher > ESPLANADE_CIPHER_3DES_CBC) return "no such cipher";
  if (in.auth > ESPLANADE_AUTH_HMAC_SHA1_96) return "no such authentication";
  if (in.df > ESPLANADE_DF_SET) return "no such DF policy";
  if (in.dscp < -1 || in.dscp > 63) return "DSCP is neither -1 nor 0 to 63";
  for (const std::uint8_t flag : {in.natt, in.ecn_copy, in.esn, in.check_outer, in.inner_v4, in.inner_v6}) {
    if (flag > 1) return "a flag is neither 0 nor 1";
  }
  for (const esplanade_address* a : {&in.src, &in.dst}) {
    if (a->version != 4 && a->version != 6) return "an address is neither IPv4 nor IPv6";
    if (!all_zero(a->reserved)) return "reserved octets are not 0: start from esplanade_sa_init";
  }
  if (!all_zero(in.reserved0) || !all_zero(in.reserved) || in.soft.reserved != 0 || in.hard.reserved != 0) return "reserved octets are not 0: start from esplanade_sa_init";
  return nullptr;
}

const char* wrong_in_keys(const esplanade_sa& in) {
  // Lengths that no algorithm has are not copied, let alone read.
  if (in.enc_key_len > esp::key_len(esp::Cipher::kTripleDesCbc) || in.auth_key_len > esp::key_len(esp::Auth::kHmacSha1_96)) return "a key is longer than any algorithm takes";
  if ((in.enc_key == nullptr && in.enc_key_len != 0) || (in.auth_key == nullptr && in.auth_key_len != 0)) return "a key has a length but no octets";
  return nullptr;
}

esp::IpAddress address_of(const esplanade_address& in) {
  esp::IpAddress out;
  out.version = in.version;
  std::copy_n(in.octets, out.bytes().size(), out.octets.begin());
  return out;
}

/// `in`, which wrong_in() has passed; without its keys.
esp::SaParams params_of(const esplanade_sa& in) {
  esp::SaParams out;
  out.protocol = static_cast<esp::Protocol>(in.protocol);
  out.mode = static_cast<esp::Mode>(in.mode);
  out.outbound = in.direction == ESPLANADE_OUTBOUND;
  out.spi = in.spi;
  out.cipher = static_cast<esp::Cipher>(in.cipher);
  out.auth = static_cast<esp::Auth>(in.auth);
  out.src = address_of(in.src);
  out.dst = address_of(in.dst);
  if (in.natt != 0) out.natt = esp::Natt{in.natt_src_port, in.natt_dst_port};
  out.esn = in.esn != 0;
  out.seq = in.seq;
  out.replay_window = in.replay_window;
  out.check_outer = in.check_outer != 0;
  out.inner_v4 = in.inner_v4 != 0;
  out.inner_v6 = in.inner_v6 != 0;
  out.ttl = in.ttl;
  out.ip_id = in.ip_id;
  out.df = static_cast<esp::DfPolicy>(in.df);
  if (in.dscp >= 0) out.dscp = static_cast<std::uint8_t>(in.dscp);
  out.ecn_copy = in.ecn_copy != 0;
  out.soft = {in.soft.bytes, in.soft.packets, in.soft.seconds};
  out.hard = {in.hard.bytes, in.hard.packets, in.hard.seconds};
  return out;
}

/// An open card, shared by its handle and those of its queues.
struct Shared {
  explicit Shared(std::unique_ptr<Device> d) : device(std::move(d)) {}
  const std::unique_ptr<Device> device;
  std::uint32_t open_queues = 0;  // a bit each
};

Result<QueueOptions> options_of(const esplanade_queue_options* in) {
  QueueOptions out;
  if (in == nullptr) return out;
  if (in->any_order > 1 || !all_zero(in->reserved)) return Error{Errc::kBadConfig, "queue options: a flag is neither 0 nor 1, or reserved octets are not 0"};
  if (in->log2_size != 0) out.log2_size = in->log2_size;
  out.slot_bytes = in->slot_bytes;
  out.in_order = in->any_order == 0;
  return out;
}

}  // namespace
}  // namespace esplanade

using namespace esplanade;

// Members go in reverse order: first what uses the card, then the card.
struct esplanade_card {
  std::shared_ptr<Shared> shared;
  SaTable table;
  EventQueue events;
};

struct esplanade_queue {
  esplanade_queue(std::shared_ptr<Shared> s, PacketQueue q) : shared(std::move(s)), queue(std::move(q)) { shared->open_queues |= bit(); }
  ~esplanade_queue() { shared->open_queues &= ~bit(); }
  esplanade_queue(const esplanade_queue&) = delete;
  esplanade_queue& operator=(const esplanade_queue&) = delete;
  std::uint32_t bit() const { return 1u << queue.number(); }
  std::shared_ptr<Shared> shared;
  PacketQueue queue;
  bool polling = false;
  Steady::time_point arrived{};  // the packet that is submitted next; none: not told
};

namespace esplanade {

Result<esplanade_card*> make_c_card(std::unique_ptr<Device> device) {
  auto shared = std::make_shared<Shared>(std::move(device));
  ESPLANADE_TRY(table, SaTable::create(*shared->device));
  ESPLANADE_TRY(events, EventQueue::create(*shared->device));
  return new esplanade_card{std::move(shared), std::move(table), std::move(events)};
}

}  // namespace esplanade

namespace {

int submit(esplanade_queue* queue, card::Op op, std::uint32_t sa_index, const void* packet, std::size_t len, std::uint64_t cookie) noexcept {
  if (queue == nullptr || packet == nullptr) return bad_argument("queue or packet is NULL");
  return guarded([&]() -> Status {
    ESPLANADE_CHECK(queue->queue.submit({.op = op, .sa_index = sa_index, .packet = ByteView(static_cast<const Byte*>(packet), len), .cookie = cookie, .arrived = queue->arrived}));
    queue->arrived = {};
    return ok();
  });
}

esplanade_completion completion_of(const Completed& c) {
  esplanade_completion out{};
  out.cookie = c.cookie;
  out.seq = c.seq;
  out.spi = c.spi;
  out.sa_index = c.sa_index;
  out.op = static_cast<std::uint8_t>(c.op);
  out.status = static_cast<std::uint8_t>(c.status);
  out.next_header = c.next_header;
  std::ranges::copy(c.cycles, out.cycles);
  out.packet = c.packet.empty() ? nullptr : c.packet.data();
  out.packet_len = c.packet.size();
  out.number = c.number;
  return out;
}

}  // namespace

extern "C" {

const char* esplanade_version(void) { return ESPLANADE_VERSION; }

const char* esplanade_strerror(int error) {
  switch (error) {
    case ESPLANADE_OK: return "success";
#define ESPLANADE_TEXT(name, kind, text) \
  case ESPLANADE_E_##name: return text;
      ESPLANADE_EACH_ERROR(ESPLANADE_TEXT)
#undef ESPLANADE_TEXT
    case ESPLANADE_E_ARGUMENT: return "bad argument";
    case ESPLANADE_E_NO_MEMORY: return "out of memory";
    case ESPLANADE_E_UNEXPECTED: return "unexpected exception";
    default: return "unknown error";
  }
}

const char* esplanade_last_error(void) { return t_detail; }

const char* esplanade_status_name(int status) { return status < 0 || status > 255 ? "?" : name_of(static_cast<card::Status>(status)); }

const char* esplanade_event_name(int type) { return type < 0 || type > 255 ? "?" : name_of(static_cast<card::EventType>(type)); }

void esplanade_wipe(void* octets, size_t len) {
  if (octets != nullptr) wipe(MutableBytes(static_cast<Byte*>(octets), len));
}

int esplanade_address_parse(const char* text, esplanade_address* out) {
  if (text == nullptr || out == nullptr) return bad_argument("text or out is NULL");
  return guarded([&]() -> Status {
    ESPLANADE_TRY(parsed, esp::parse_address(text));
    *out = {};
    out->version = parsed.version;
    std::ranges::copy(parsed.bytes(), out->octets);
    return ok();
  });
}

int esplanade_card_open(const char* card, const char* xclbin, esplanade_card** out) {
  if (out != nullptr) *out = nullptr;
  if (card == nullptr || out == nullptr) return bad_argument("card or out is NULL");
  return guarded([&]() -> Status {
    DeviceOptions options;
    options.card = card;
    if (xclbin != nullptr) options.xclbin = xclbin;
    ESPLANADE_TRY(device, Device::open(options));
    ESPLANADE_TRY(made, make_c_card(std::move(device)));
    *out = made;
    return ok();
  });
}

void esplanade_card_close(esplanade_card* card) { delete card; }

int esplanade_card_info(const esplanade_card* card, struct esplanade_info* out) {
  if (card == nullptr || out == nullptr) return bad_argument("card or out is NULL");
  const DeviceInfo& info = card->shared->device->info();
  *out = {};
  out->format_version = info.format_version;
  out->build = info.build;
  out->caps = info.caps;
  out->lanes = info.lanes;
  out->queues = info.queues;
  out->slots = info.slots;
  out->sa_entries = info.sa_entries;
  out->max_packet = info.max_packet;
  out->replay_max = info.replay_max;
  out->clock_hz = info.clock_hz;
  out->simulated = info.simulated ? 1 : 0;
  return ESPLANADE_OK;
}

int esplanade_card_events(esplanade_card* card, void (*each)(void* context, const esplanade_event* event), void* context) {
  if (card == nullptr || each == nullptr) return bad_argument("card or each is NULL");
  return guarded([&] {
    std::vector<Event> events;
    Status polled = card->events.poll(events);
    for (const Event& e : events) {
      const esplanade_event told{static_cast<std::uint32_t>(e.type), e.sa_index, e.spi, e.arg, e.cycle};
      each(context, &told);
    }
    return polled;
  });
}

void esplanade_sa_init(esplanade_sa* sa) {
  if (sa == nullptr) return;
  const esp::SaParams defaults;
  *sa = {};
  sa->protocol = static_cast<std::uint8_t>(defaults.protocol);
  sa->mode = static_cast<std::uint8_t>(defaults.mode);
  sa->direction = defaults.outbound ? ESPLANADE_OUTBOUND : ESPLANADE_INBOUND;
  sa->cipher = static_cast<std::uint8_t>(defaults.cipher);
  sa->auth = static_cast<std::uint8_t>(defaults.auth);
  sa->df = static_cast<std::uint8_t>(defaults.df);
  sa->ttl = defaults.ttl;
  sa->natt_src_port = esp::Natt{}.src_port;
  sa->natt_dst_port = esp::Natt{}.dst_port;
  sa->replay_window = defaults.replay_window;
  sa->dscp = -1;
  sa->ecn_copy = defaults.ecn_copy;
  sa->check_outer = defaults.check_outer;
  sa->inner_v4 = defaults.inner_v4;
  sa->inner_v6 = defaults.inner_v6;
}

int esplanade_spi_allocate(esplanade_card* card, uint32_t* spi) {
  if (card == nullptr || spi == nullptr) return bad_argument("card or spi is NULL");
  return guarded([&]() -> Status {
    ESPLANADE_TRY(allotted, card->table.allocate_spi());
    *spi = allotted;
    return ok();
  });
}

int esplanade_spi_release(esplanade_card* card, uint32_t spi) {
  if (card == nullptr) return bad_argument("card is NULL");
  card->table.release_spi(spi);
  return ESPLANADE_OK;
}

int esplanade_sa_install(esplanade_card* card, const esplanade_sa* sa, uint32_t* index) {
  if (card == nullptr || sa == nullptr || index == nullptr) return bad_argument("card, sa or index is NULL");
  if (const char* wrong = wrong_in(*sa)) return bad_argument(wrong);
  if (const char* wrong = wrong_in_keys(*sa)) return bad_argument(wrong);
  return guarded([&]() -> Status {
    esp::SaParams params = params_of(*sa);  // its keys are wiped when it goes
    params.enc_key = Secret(ByteView(sa->enc_key, sa->enc_key_len));
    params.auth_key = Secret(ByteView(sa->auth_key, sa->auth_key_len));
    ESPLANADE_TRY(installed, card->table.install(params));
    *index = installed;
    return ok();
  });
}

int esplanade_sa_update(esplanade_card* card, uint32_t index, const esplanade_sa* sa) {
  if (card == nullptr || sa == nullptr) return bad_argument("card or sa is NULL");
  if (const char* wrong = wrong_in(*sa)) return bad_argument(wrong);
  return guarded([&] { return card->table.update(index, params_of(*sa)); });
}

int esplanade_sa_remove(esplanade_card* card, uint32_t index) {
  if (card == nullptr) return bad_argument("card is NULL");
  return guarded([&] { return card->table.remove(index); });
}

int esplanade_sa_view(esplanade_card* card, uint32_t index, struct esplanade_sa_state* out) {
  if (card == nullptr || out == nullptr) return bad_argument("card or out is NULL");
  return guarded([&]() -> Status {
    ESPLANADE_TRY(view, card->table.view(index));
    *out = {};
    out->spi = view.spi;
    out->direction = view.outbound ? ESPLANADE_OUTBOUND : ESPLANADE_INBOUND;
    out->cipher = static_cast<std::uint8_t>(view.cipher);
    out->auth = static_cast<std::uint8_t>(view.auth);
    out->expired = view.expired ? 1 : 0;
    out->poisoned = view.poisoned ? 1 : 0;
    out->age_seconds = view.age_seconds;
    out->seq = view.seq;
    out->packets = view.packets;
    out->bytes = view.bytes;
    out->replay_drops = view.drops.replay;
    out->icv_drops = view.drops.icv;
    out->padding_drops = view.drops.padding;
    out->next_header_drops = view.drops.next_header;
    out->inner_drops = view.drops.inner;
    out->protocol_drops = view.drops.protocol;
    out->address_drops = view.drops.address;
    out->expired_drops = view.drops.expired;
    out->seq_drops = view.drops.seq;
    out->length_drops = view.drops.length;
    out->other_drops = view.drops.other;
    return ok();
  });
}

int esplanade_queue_open(esplanade_card* card, uint32_t number, const esplanade_queue_options* options, esplanade_queue** out) {
  if (out != nullptr) *out = nullptr;
  if (card == nullptr || out == nullptr) return bad_argument("card or out is NULL");
  return guarded([&]() -> Status {
    ESPLANADE_TRY(wanted, options_of(options));
    Shared& shared = *card->shared;
    if (number < card::kMaxQueues && (shared.open_queues >> number & 1) != 0) return Error{Errc::kState, "this queue is open already"};
    ESPLANADE_TRY(queue, PacketQueue::create(*shared.device, number, wanted));
    *out = new esplanade_queue(card->shared, std::move(queue));
    return ok();
  });
}

int esplanade_queue_open_all(esplanade_card* card, uint32_t count, const esplanade_queue_options* options, esplanade_queue** out) {
  if (out != nullptr) std::fill_n(out, std::min(count, card::kMaxQueues), nullptr);
  if (card == nullptr || out == nullptr) return bad_argument("card or out is NULL");
  return guarded([&]() -> Status {
    ESPLANADE_TRY(wanted, options_of(options));
    Shared& shared = *card->shared;
    if (shared.open_queues != 0) return Error{Errc::kState, "a queue of this card is open already"};
    ESPLANADE_TRY(queues, PacketQueue::create_all(*shared.device, count, wanted));
    std::vector<std::unique_ptr<esplanade_queue>> made;
    for (PacketQueue& queue : queues) made.push_back(std::make_unique<esplanade_queue>(card->shared, std::move(queue)));
    for (std::size_t i = 0; i < made.size(); ++i) out[i] = made[i].release();
    return ok();
  });
}

void esplanade_queue_close(esplanade_queue* queue) {
  if (queue != nullptr && !queue->polling) delete queue;
}

int esplanade_queue_encap(esplanade_queue* queue, uint32_t sa_index, const void* packet, size_t len, uint64_t cookie) {
  return submit(queue, card::Op::kEncap, sa_index, packet, len, cookie);
}

int esplanade_queue_decap(esplanade_queue* queue, const void* packet, size_t len, uint64_t cookie) {
  return submit(queue, card::Op::kDecap, 0, packet, len, cookie);
}

int esplanade_queue_flush(esplanade_queue* queue) {
  if (queue == nullptr) return bad_argument("queue is NULL");
  return guarded([&] { return queue->queue.flush(); });
}

int esplanade_queue_poll(esplanade_queue* queue, void (*done)(void* context, const esplanade_completion* completion), void* context, uint32_t timeout_ms) {
  if (queue == nullptr || done == nullptr) return bad_argument("queue or done is NULL");
  if (queue->polling) return fail(ESPLANADE_E_STATE, "a queue is polled from inside its own callback");
  queue->polling = true;
  const int result = guarded([&]() -> Status {
    bool any = false;
    const auto end = Steady::now() + std::chrono::milliseconds(timeout_ms);
    // Looks grow apart from 20 us to 1 ms: a packet alone takes some microseconds on a card, milliseconds simulated.
    for (std::chrono::microseconds pause{20};; pause = std::min(pause * 2, std::chrono::microseconds(1000))) {
      ESPLANADE_CHECK(queue->queue.reap([&](const Completed& c) {
        any = true;
        const esplanade_completion told = completion_of(c);
        done(context, &told);
      }));
      if (any || queue->queue.in_flight() == 0 || Steady::now() >= end) return ok();
      std::this_thread::sleep_for(pause);
    }
  });
  queue->polling = false;
  return result;
}

int esplanade_card_recording(const esplanade_card* card) { return card != nullptr && card->shared->device->recording() ? 1 : 0; }

int esplanade_queue_note_arrived(esplanade_queue* queue, uint64_t monotonic_ns) {
  if (queue == nullptr) return bad_argument("queue is NULL");
  if (monotonic_ns > INT64_MAX) return bad_argument("a time of more than 2^63 - 1 nanoseconds");
  if (!queue->shared->device->recording()) return ESPLANADE_OK;
  queue->arrived = monotonic_ns == 0 ? Steady::now() : Steady::time_point(std::chrono::nanoseconds(monotonic_ns));
  return ESPLANADE_OK;
}

int esplanade_queue_note_sent(esplanade_queue* queue, uint64_t number) {
  if (queue == nullptr) return bad_argument("queue is NULL");
  return guarded([&] {
    queue->queue.note_sent(number);
    return ok();
  });
}

size_t esplanade_queue_in_flight(const esplanade_queue* queue) { return queue == nullptr ? 0 : queue->queue.in_flight(); }

size_t esplanade_queue_capacity(const esplanade_queue* queue) { return queue == nullptr ? 0 : queue->queue.capacity(); }

}  // extern "C"
