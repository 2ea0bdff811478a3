#include "sim/functional/card.h"

#include <algorithm>

#include "common/esp/ip.h"
#include "hw/regs/errc_status.h"

namespace esplanade::sim {

namespace {

namespace reg = card::reg;
using card::Status;

constexpr std::uint64_t kAccessCycles = 16, kDescriptorCycles = 32;
constexpr std::uint32_t kIdle = 1, kSeeded = 2, kFault = 4;
constexpr std::uint32_t kQueueStride = 64;

/// A register, or one of an array: which one.
constexpr std::optional<std::uint32_t> element(const card::Reg& r, std::uint32_t offset) {
  if (offset < r.offset || (offset - r.offset) % r.stride != 0) return std::nullopt;
  const std::uint32_t n = (offset - r.offset) / r.stride;
  return n < r.count ? std::optional(n) : std::nullopt;
}

std::uint64_t with_low(std::uint64_t value, std::uint32_t low) { return (value & ~std::uint64_t{0xffffffff}) | low; }
std::uint64_t with_high(std::uint64_t value, std::uint32_t high) { return (value & 0xffffffff) | std::uint64_t{high} << 32; }
std::uint32_t low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }
std::uint32_t high(std::uint64_t value) { return static_cast<std::uint32_t>(value >> 32); }

/// All that CAPS can name.
constexpr std::uint32_t kCaps = [] {
  std::uint32_t out = 0;
  for (const card::RegField& field : reg::kCapsFields) out |= field.mask();
  return out;
}();

}  // namespace

FunctionalCard::FunctionalCard(CardBus& bus, const FunctionalBuild& build)
    : bus_(bus),
      build_(build),
      table_(build.sa_entries, build.replay_max, [this] { return cycles_ / build_.clock_hz; }),
      queues_(build.queues) {}

std::uint32_t FunctionalCard::read(std::uint32_t offset) {
  cycles_ += kAccessCycles;
  const auto value = read_known(offset);
  if (!value) fail(reg::kErrorCauseAxilUnmapped);
  return value.value_or(0);
}

std::optional<std::uint32_t> FunctionalCard::read_known(std::uint32_t offset) const {
  const bool known = std::ranges::any_of(reg::kAll, [offset](const card::Reg& r) { return element(r, offset).has_value(); });
  if (!known) return std::nullopt;
  if (offset < reg::kSaIndex.offset) return read_global(offset);
  if (offset == reg::kSaIndex.offset) return sa_index_;
  if (offset == reg::kSaStatus.offset) return static_cast<std::uint32_t>(sa_result_) << reg::kSaStatusResult.lsb;
  if (offset == reg::kSaValidCount.offset) return table_.num_valid();
  if (const auto n = element(reg::kSaView, offset)) return load_le32(&sa_view_[4 * *n]);
  if (offset == reg::kEventBaseLo.offset) return low(events_.base);
  if (offset == reg::kEventBaseHi.offset) return high(events_.base);
  if (offset == reg::kEventControl.offset) return reg::kEventControlEnable.put(events_.enable) | reg::kEventControlLog2Size.put(events_.log2);
  if (offset == reg::kEventHead.offset) return events_.head;
  if (offset == reg::kEventTail.offset) return events_.tail;
  if (const auto n = element(reg::kPacketsByStatus, offset)) return by_status_[*n];
  if (const auto n = element(reg::kQPacketsByStatus, offset)) return *n / 32 < queues_.size() ? queues_[*n / 32].by_status[*n % 32] : 0;
  if (offset == reg::kEncapPackets.offset) return encap_packets_;
  if (offset == reg::kEncapBytesLo.offset) return low(encap_bytes_);
  if (offset == reg::kEncapBytesHi.offset) return high(encap_bytes_);
  if (offset == reg::kDecapPackets.offset) return decap_packets_;
  if (offset == reg::kDecapBytesLo.offset) return low(decap_bytes_);
  if (offset == reg::kDecapBytesHi.offset) return high(decap_bytes_);
  if (offset < reg::kSqBaseLo.offset) return 0;  // write-only
  const std::uint32_t n = (offset - reg::kSqBaseLo.offset) / kQueueStride;
  if (n >= queues_.size()) return 0;
  const Queue& q = queues_[n];
  if (offset == reg::kSqBaseLo.at(n)) return low(q.sq_base);
  if (offset == reg::kSqBaseHi.at(n)) return high(q.sq_base);
  if (offset == reg::kCqBaseLo.at(n)) return low(q.cq_base);
  if (offset == reg::kCqBaseHi.at(n)) return high(q.cq_base);
  if (offset == reg::kQControl.at(n))
    return reg::kQControlEnable.put(q.enable) | reg::kQControlInOrder.put(q.in_order) | reg::kQControlLog2Size.put(q.log2);
  if (offset == reg::kSqTail.at(n)) return q.sq_tail;
  if (offset == reg::kSqHead.at(n)) return q.sq_head;
  if (offset == reg::kCqHead.at(n)) return q.cq_head;
  if (offset == reg::kCqTail.at(n)) return q.cq_tail;
  return reg::kQStatusStopped.put(q.stopped);
}

std::uint32_t FunctionalCard::read_global(std::uint32_t offset) const {
  switch (offset) {
    case reg::kId.offset: return 0x43505345;
    case reg::kVersion.offset: return card::kFormatVersion;
    case reg::kCaps.offset: return kCaps;
    case reg::kSizes.offset:
      return reg::kSizesLanes.put(build_.lanes) | reg::kSizesQueues.put(build_.queues) | reg::kSizesSlots.put(build_.slots);
    case reg::kSaEntries.offset: return build_.sa_entries;
    case reg::kMaxPacket.offset: return build_.max_packet;
    case reg::kReplayMax.offset: return build_.replay_max;
    case reg::kClockHz.offset: return build_.clock_hz;
    case reg::kControl.offset: return reg::kControlEnable.put(enable_) | reg::kControlTestMode.put(test_mode_);
    case reg::kStatus.offset: return (idle() ? kIdle : 0) | (iv_prf_ ? kSeeded : 0) | (cause_ != 0 ? kFault : 0);
    case reg::kErrorCause.offset: return cause_;
    case reg::kIrqEnable.offset: return irq_enable_;
    case reg::kIrqStatus.offset: return irq_status_;
    case reg::kErrorAddrLo.offset: return low(shown_error_address_);
    case reg::kErrorAddrHi.offset: return high(shown_error_address_);
    case reg::kCyclesLo.offset: return low(cycles_);
    case reg::kCyclesHi.offset: return high(cycles_);
    case reg::kBusyCyclesLo.offset: return low(busy_cycles_);
    case reg::kBusyCyclesHi.offset: return high(busy_cycles_);
    case reg::kSeconds.offset: return static_cast<std::uint32_t>(cycles_ / build_.clock_hz);
    default: break;
  }
  if (const auto n = element(reg::kWindowBaseLo, offset)) return low(windows_[*n].base);
  if (const auto n = element(reg::kWindowBaseHi, offset)) return high(windows_[*n].base);
  if (const auto n = element(reg::kWindowSize, offset)) return windows_[*n].pages;
  if (const auto n = element(reg::kWindowControl, offset)) return windows_[*n].enable;
  return 0;  // BUILD, and the seed, which is write-only
}

void FunctionalCard::write(std::uint32_t offset, std::uint32_t value) {
  cycles_ += kAccessCycles;
  if (!write_known(offset, value)) fail(reg::kErrorCauseAxilUnmapped);
  run();
}

bool FunctionalCard::write_known(std::uint32_t offset, std::uint32_t value) {
  if (!read_known(offset)) return false;
  if (offset >= reg::kSqBaseLo.offset && offset < reg::kSqBaseLo.offset + kQueueStride * card::kMaxQueues) {
    const std::uint32_t n = (offset - reg::kSqBaseLo.offset) / kQueueStride;
    if (n < queues_.size()) write_queue(n, offset, value);
    return true;
  }
  if (offset >= reg::kEventBaseLo.offset && offset <= reg::kEventTail.offset) {
    write_event_ring(offset, value);
    return true;
  }
  if (const auto n = element(reg::kSaEntry, offset)) {
    store_le32(&sa_window_[4 * *n], value);
    return true;
  }
  if (const auto n = element(reg::kRngSeed, offset)) {
    seed_words_[*n] = value;
    if (*n == 4) {
      Bytes seed(4 * seed_words_.size());
      for (std::size_t i = 0; i < seed_words_.size(); ++i) store_le32(&seed[4 * i], seed_words_[i]);
      iv_prf_.emplace(crypto::Hash::kSha1, seed);
      wipe(seed);
      seed_words_ = {};
      ivs_ = 0;
    }
    return true;
  }
  for (std::uint32_t n = 0; n < card::kNumWindows; ++n) {
    Window& w = windows_[n];
    if (offset == reg::kWindowControl.at(n)) w.enable = (value & 1) != 0;
    if (w.enable) continue;  // its place is fixed
    if (offset == reg::kWindowBaseLo.at(n)) w.base = with_low(w.base, value);
    if (offset == reg::kWindowBaseHi.at(n)) w.base = with_high(w.base, value);
    if (offset == reg::kWindowSize.at(n)) w.pages = value;
  }
  switch (offset) {
    case reg::kControl.offset: write_control(value); break;
    case reg::kErrorCause.offset:
      cause_ &= ~value;
      if (cause_ == 0) error_address_.reset();
      break;
    case reg::kIrqEnable.offset: irq_enable_ = value & 7; break;
    case reg::kIrqStatus.offset: irq_status_ &= ~value; break;
    case reg::kSaIndex.offset: sa_index_ = value; break;
    case reg::kSaCommand.offset:
      if (FunctionalSaTable::Entry* entry = table_.find(sa_index_); entry != nullptr) poisoned(*entry);
      sa_result_ = table_.command(value, sa_index_, sa_window_, sa_view_);
      if (value == static_cast<std::uint32_t>(card::SaCommand::kInstall) || value == static_cast<std::uint32_t>(card::SaCommand::kUpdate)) {
        wipe(sa_window_);
      }
      break;
    default: break;  // read-only
  }
  return true;
}

void FunctionalCard::write_control(std::uint32_t value) {
  enable_ = reg::kControlEnable.get(value) != 0;
  test_mode_ = reg::kControlTestMode.get(value) != 0;
  if (reg::kControlSoftReset.get(value) == 0) return;
  for (Queue& q : queues_) {
    q.enable = q.running = q.stopped = q.completes = false;
    q.sq_tail = q.sq_head = q.cq_head = q.cq_tail = 0;
  }
}

void FunctionalCard::write_queue(std::uint32_t n, std::uint32_t offset, std::uint32_t value) {
  Queue& q = queues_[n];
  const std::uint32_t size = 1u << q.log2;
  if (offset == reg::kSqTail.at(n) && q.enable) {
    const std::uint32_t ahead = value - q.sq_head;
    if (ahead > size || ahead < q.sq_tail - q.sq_head) return fail(reg::kErrorCauseBadDoorbell);
    q.sq_tail = value;
  }
  if (offset == reg::kCqHead.at(n) && q.enable) {
    if (value - q.cq_head > q.cq_tail - q.cq_head) return fail(reg::kErrorCauseBadDoorbell);
    q.cq_head = value;
  }
  if (offset == reg::kQControl.at(n)) {
    const bool on = reg::kQControlEnable.get(value) != 0;
    if (!q.enable) {
      q.log2 = reg::kQControlLog2Size.get(value);
      q.in_order = reg::kQControlInOrder.get(value) != 0;
    }
    if (on && !q.enable) {
      const std::uint64_t octets = std::uint64_t{card::kDescriptorBytes} << q.log2;
      q.sq_tail = q.sq_head = q.cq_head = q.cq_tail = 0;
      q.running = q.completes = q.sq_base % card::kBufferAlign == 0 && q.cq_base % card::kBufferAlign == 0 && inside(q.sq_base, octets) &&
                                inside(q.cq_base, octets);
      q.stopped = !q.running;
      if (q.stopped) fail(reg::kErrorCauseRingConfig);
    } else if (!on) {
      q.running = q.stopped = q.completes = false;
    }
    q.enable = on;
  }
  if (q.enable) return;  // the rings' places are fixed
  if (offset == reg::kSqBaseLo.at(n)) q.sq_base = with_low(q.sq_base, value);
  if (offset == reg::kSqBaseHi.at(n)) q.sq_base = with_high(q.sq_base, value);
  if (offset == reg::kCqBaseLo.at(n)) q.cq_base = with_low(q.cq_base, value);
  if (offset == reg::kCqBaseHi.at(n)) q.cq_base = with_high(q.cq_base, value);
}

void FunctionalCard::write_event_ring(std::uint32_t offset, std::uint32_t value) {
  if (offset == reg::kEventHead.offset && events_.enable) {
    if (value - events_.head > events_.tail - events_.head) return fail(reg::kErrorCauseBadDoorbell);
    events_.head = value;
  }
  if (offset == reg::kEventControl.offset) {
    const bool on = reg::kEventControlEnable.get(value) != 0;
    if (!events_.enable) events_.log2 = reg::kEventControlLog2Size.get(value);
    if (on != events_.enable) {
      events_.head = events_.tail = 0;
      events_.running = on && events_.base % card::kBufferAlign == 0 && inside(events_.base, std::uint64_t{card::kEventBytes} << events_.log2);
      events_.enable = on;
      if (on && !events_.running) fail(reg::kErrorCauseRingConfig);
    }
  }
  if (events_.enable) return;
  if (offset == reg::kEventBaseLo.offset) events_.base = with_low(events_.base, value);
  if (offset == reg::kEventBaseHi.offset) events_.base = with_high(events_.base, value);
}

/// Whole inside one enabled window.
bool FunctionalCard::inside(std::uint64_t address, std::uint64_t size) const {
  return std::ranges::any_of(windows_, [=](const Window& w) {
    const std::uint64_t octets = std::uint64_t{w.pages} << 12;
    return w.enable && address >= w.base && address - w.base <= octets && size <= octets - (address - w.base);
  });
}

void FunctionalCard::fail(const card::RegField& cause, std::optional<std::uint64_t> address) {
  if (address && !error_address_) shown_error_address_ = *(error_address_ = address);
  if ((cause_ & cause.mask()) != 0) return;
  cause_ |= cause.mask();
  irq_status_ |= reg::kIrqStatusError.mask();
  event(card::EventType::kError, 0xffffffff, 0, cause_);
}

void FunctionalCard::event(card::EventType type, std::uint32_t index, std::uint32_t spi, std::uint32_t arg) {
  if (!events_.running) return;
  const std::uint32_t size = 1u << events_.log2;
  if (events_.tail - events_.head >= size) return fail(reg::kErrorCauseEventLost);
  namespace e = card::event;
  std::array<Byte, e::kSize> entry{};
  card::set(entry, e::kPhase, (events_.tail & size) == 0);
  card::set(entry, e::kType, static_cast<std::uint64_t>(type));
  card::set(entry, e::kSaIndex, index);
  card::set(entry, e::kSpi, spi);
  card::set(entry, e::kArg, arg);
  card::set(entry, e::kCycle, cycles_);
  const std::uint64_t at = events_.base + std::uint64_t{events_.tail & (size - 1)} * e::kSize;
  if (!bus_.write(at, entry)) {
    events_.running = false;
    return fail(reg::kErrorCauseRingWrite, at);
  }
  ++events_.tail;
  irq_status_ |= reg::kIrqStatusEvent.mask();
}

/// Tells the limits that an SA reached, each with the count that reached it.
void FunctionalCard::limits(std::uint32_t index, FunctionalSaTable::Entry& entry) {
  const esp::SoftSa& sa = entry.sa;
  auto reached = entry.sa.take_limits();
  std::ranges::sort(reached);
  for (const esp::Limit limit : reached) {
    std::uint64_t count = sa.seq();
    if (limit == esp::Limit::kSoftBytes || limit == esp::Limit::kHardBytes) count = sa.counters().bytes;
    if (limit == esp::Limit::kSoftPackets || limit == esp::Limit::kHardPackets) count = sa.counters().packets;
    if (limit == esp::Limit::kSoftSeconds || limit == esp::Limit::kHardSeconds) count = cycles_ / build_.clock_hz - entry.installed_at;
    event(static_cast<card::EventType>(static_cast<int>(limit) + 1), index, sa.params().spi, low(count));  // in the order of the enum
  }
}
static_assert(static_cast<int>(esp::Limit::kSoftBytes) + 1 == static_cast<int>(card::EventType::kSoftBytes) &&
              static_cast<int>(esp::Limit::kSeqOverflow) + 1 == static_cast<int>(card::EventType::kSeqOverflow));

/// All that the queues hold, one descriptor of each in turn.
void FunctionalCard::run() {
  for (bool more = enable_; more;) {
    more = false;
    for (std::size_t n = 0; n < queues_.size(); ++n) more = (works(n) && step(queues_[n])) || more;
  }
  for (Queue& q : queues_) q.ahead.clear();
  ciphers_.clear();
}

/// The queue's lane may go on; queues belong to the lanes in turn, and each lane has a port.
bool FunctionalCard::works(std::size_t queue) const { return !bus_.halted(static_cast<std::uint32_t>(queue) % build_.lanes); }

/// Nothing is under way, which is so but for work on a port that hangs.
bool FunctionalCard::idle() const {
  for (std::size_t n = 0; n < queues_.size(); ++n) {
    if (queues_[n].running && queues_[n].sq_head != queues_[n].sq_tail && !works(n)) return false;
  }
  return true;
}

bool FunctionalCard::flip_sa(std::uint64_t index, std::uint64_t) {
  FunctionalSaTable::Entry* entry = index < table_.size() ? table_.find(static_cast<std::uint32_t>(index)) : nullptr;
  if (entry != nullptr) entry->flipped = true;
  return index < table_.size();
}

bool FunctionalCard::flip_packet(std::uint64_t row, std::uint64_t bit) {
  if (bit >= 64) return false;
  flips_.push_back(64 * row + bit);
  return true;
}

/// Whether the parity of the entry is wrong; says so once.
bool FunctionalCard::poisoned(FunctionalSaTable::Entry& entry) {
  if (std::exchange(entry.flipped, false)) {
    entry.poisoned = true;
    fail(reg::kErrorCauseSaParity);
  }
  return entry.poisoned;
}

std::uint64_t FunctionalCard::place(const Queue& q, std::uint32_t head) {
  return q.sq_base + std::uint64_t{head & ((1u << q.log2) - 1)} * card::kDescriptorBytes;
}

/// The next descriptor of the queue; false: there is none, or no room for its completion.
bool FunctionalCard::step(Queue& q) {
  const std::uint32_t size = 1u << q.log2;
  if (!q.running || q.sq_head == q.sq_tail || q.cq_tail - q.cq_head >= size) return false;
  Work work;
  work.foreseen = foreseen(q);
  const std::uint64_t at = place(q, q.sq_head);
  std::array<Byte, card::descriptor::kSize> descriptor{};
  if (!bus_.read(at, descriptor)) {
    q.running = false;
    q.stopped = true;
    fail(reg::kErrorCauseRingRead, at);
    return false;
  }
  ++q.sq_head;
  const std::uint64_t fetched = cycles_;
  cycles_ += kDescriptorCycles;
  Status status = check(descriptor, work, false);
  if (status == Status::kOk && work.op != card::Op::kNop) {
    status = work.op == card::Op::kEncap ? encap(work) : decap(work);
    if (status == Status::kOk && !deliver(work)) status = Status::kBusError;
    if (work.entry != nullptr && status != Status::kOk) ++work.entry->drops[static_cast<std::size_t>(status)];
    if (work.entry != nullptr && !work.entry->poisoned) limits(work.index, *work.entry);
  }
  cycles_ += work.work_cycles;
  busy_cycles_ += kDescriptorCycles + work.work_cycles;
  complete(q, work, status, fetched);
  return true;
}

/// Takes the descriptor apart, in the order of desc_read's checks, and fetches the packet. `ahead` of its turn that
/// changes nothing.
Status FunctionalCard::check(ByteView descriptor, Work& work, bool ahead) {
  namespace d = card::descriptor;
  const auto get = [descriptor](card::Field field) { return card::get(descriptor, field); };
  const std::uint64_t op = get(d::kOp), num_src = get(d::kNumSegments), num_dst = get(d::kNumDstSegments);
  const std::uint64_t src = get(d::kSrcAddr), dst = get(d::kDstAddr);
  const bool host_iv = get(d::kHostIv) != 0;
  work.op = static_cast<card::Op>(op);
  work.cookie = get(d::kCookie);
  work.sa_index = static_cast<std::uint32_t>(get(d::kSaIndex));
  work.src_len = static_cast<std::uint32_t>(get(d::kSrcLen));
  work.dst_size = static_cast<std::uint32_t>(get(d::kDstSize));
  const bool reserved = (descriptor[1] & 0xfe) != 0 || std::ranges::any_of(descriptor.subspan(48), [](Byte b) { return b != 0; });
  if (reserved || op > 2 || (host_iv && work.op != card::Op::kEncap) || num_src > card::kMaxSegments || num_dst > card::kMaxSegments) {
    return Status::kBadDescriptor;
  }
  if (work.op == card::Op::kNop) return Status::kOk;
  if (src % card::kBufferAlign != 0 || dst % card::kBufferAlign != 0) return Status::kBadAlign;
  if (work.src_len < 20 || work.src_len > build_.max_packet) return Status::kBadLength;
  if (!inside(src, num_src != 0 ? 16 * num_src : work.src_len) || !inside(dst, num_dst != 0 ? 16 * num_dst : work.dst_size)) {
    return Status::kBadAddress;
  }
  if (host_iv && !test_mode_) return Status::kHostIvRefused;
  if (host_iv) std::ranges::copy(card::octets(descriptor, d::kIv), work.iv.emplace().begin());
  work.source = {{src, work.src_len}};
  work.destination = {{dst, work.dst_size}};
  if (num_src != 0) {
    if (const Status s = segments(src, static_cast<std::uint32_t>(num_src), work.src_len, ahead, work.source); s != Status::kOk) return s;
  }
  if (num_dst != 0) {
    if (const Status s = segments(dst, static_cast<std::uint32_t>(num_dst), work.dst_size, ahead, work.destination); s != Status::kOk) return s;
  }
  work.packet.resize(work.src_len);
  MutableBytes to = work.packet;
  for (const Segment& segment : work.source) {
    if (!fetch(segment.address, to.first(segment.size), ahead)) return Status::kBusError;
    to = to.subspan(segment.size);
  }
  if (!ahead) {
    for (const std::uint64_t bit : std::exchange(flips_, {})) work.packet[bit / 8 % work.packet.size()] ^= static_cast<Byte>(1U << bit % 8);
  }
  return Status::kOk;
}

/// Reads a segment list at `at` whose lengths shall add up to `total`.
Status FunctionalCard::segments(std::uint64_t at, std::uint32_t count, std::uint32_t total, bool ahead, std::vector<Segment>& out) {
  Bytes list(16 * std::size_t{count});
  if (!fetch(at, list, ahead)) return Status::kBusError;
  out.clear();
  std::uint64_t sum = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const Byte* entry = &list[16 * std::size_t{i}];
    const Segment segment{load_le32(entry) | std::uint64_t{load_le32(entry + 4)} << 32, load_le32(entry + 8)};
    const bool last = i + 1 == count;
    if (load_le32(entry + 12) != 0 || segment.size == 0) return Status::kBadDescriptor;
    if (segment.address % card::kBufferAlign != 0 || (!last && segment.size % card::kBufferAlign != 0)) return Status::kBadAlign;
    if (!inside(segment.address, segment.size)) return Status::kBadAddress;
    sum += segment.size;
    out.push_back(segment);
  }
  return sum == total ? Status::kOk : Status::kBadLength;
}

bool FunctionalCard::fetch(std::uint64_t address, MutableBytes to, bool ahead) {
  if (ahead) return bus_.peek(address, to);
  if (bus_.read(address, to)) return true;
  fail(reg::kErrorCausePacketRead, address);
  return false;
}

/// Unpredictable to who does not know the seed (RFC 2405 s3), and the same for the same seed.
std::array<Byte, 8> FunctionalCard::iv(std::uint64_t number) {
  std::array<Byte, 8> octets, out;
  store_be64(octets.data(), number);
  iv_prf_->digest({octets}, out);
  return out;
}
std::array<Byte, 8> FunctionalCard::next_iv(const Work& work) {
  const std::uint64_t number = ivs_++;
  return work.foreseen != nullptr && work.foreseen->iv_number == number ? work.foreseen->iv : iv(number);
}

Status FunctionalCard::encap(Work& work) {
  const auto ip = esp::parse_ip(work.packet);
  if (!ip || ip->total_len != work.packet.size()) return Status::kBadHeader;
  if (!work.iv && !iv_prf_) return Status::kNoSeed;
  work.entry = table_.find(work.sa_index);
  if (work.entry == nullptr) return Status::kNoSa;
  esp::SoftSa& sa = work.entry->sa;
  const esp::SaParams& params = sa.params();
  work.index = work.sa_index;
  work.spi = params.spi;
  if (poisoned(*work.entry)) return Status::kPoisoned;
  if (!params.outbound) return Status::kWrongDirection;
  // The engine closes an SA whose numbers are used up; the card goes on to name that reason until a limit is reached too.
  const esp::SaCounters& counters = sa.counters();
  const bool over = (params.hard.bytes != 0 && counters.bytes + work.packet.size() > params.hard.bytes) ||
                    (params.hard.packets != 0 && counters.packets + 1 > params.hard.packets);
  if (!sa.admit(work.packet.size()) && (over || !work.entry->used_up)) {
    work.entry->used_up = false;
    return Status::kExpired;
  }
  if (params.mode == esp::Mode::kTransport && ip->fragment) return Status::kFragment;
  const std::size_t size = esp::protected_len(params, *ip);
  if (size > build_.max_packet) return Status::kBadLength;
  if (size > work.dst_size) return Status::kDstTooSmall;
  if (work.entry->used_up) return Status::kSeqOverflow;
  auto done = sa.encap(work.packet, work.iv ? *work.iv : next_iv(work), cipher_ahead(work));
  work.entry->used_up = !done && done.error().code == Errc::kSeqOverflow;
  if (!done) return card::to_status(done.error().code);
  work.seq = done->seq;
  work.result = std::move(done->packet);
  work.work_cycles = std::max<std::uint64_t>(size / 8, 3 * (size / 64 + 2));
  return Status::kOk;
}

/// Where SPI and number of a packet to unprotect stand; what is in front of them is judged in front_parse's order.
Status FunctionalCard::find_spi(ByteView packet, const esp::IpPacket& ip, std::size_t& at) {
  const std::size_t rest = ip.total_len - ip.upper_at;
  at = ip.upper_at;
  if (ip.fragment) return Status::kFragment;
  if (ip.protocol == esp::kProtoAh) {
    at += 4;
    return rest < 12 ? Status::kBadEspLength : Status::kOk;
  }
  if (ip.protocol == esp::kProtoUdp) {
    if (rest < 8) return Status::kBadHeader;
    if (rest < 12) return Status::kWrongProtocol;  // a keepalive: RFC 3948 s2.3
    if (rest < 16) return Status::kBadEspLength;
    const std::size_t udp = load_be16(&packet[at + 4]);
    at += 8;
    if (load_be32(&packet[at]) == 0) return Status::kWrongProtocol;  // IKE: RFC 3948 s2.2
    if (udp < 8 || udp > rest) return Status::kBadHeader;
    return udp < 16 ? Status::kBadEspLength : Status::kOk;
  }
  if (ip.protocol != esp::kProtoEsp) return Status::kWrongProtocol;
  if (rest < 8) return Status::kBadEspLength;
  return load_be32(&packet[at]) == 0 ? Status::kWrongProtocol : Status::kOk;
}

Status FunctionalCard::decap(Work& work) {
  const auto ip = esp::parse_ip(work.packet);
  if (!ip) return Status::kBadHeader;
  std::size_t at = 0;
  if (const Status s = find_spi(work.packet, *ip, at); s != Status::kOk) return s;
  work.spi = load_be32(&work.packet[at]);
  work.seq = load_be32(&work.packet[at + 4]);
  std::uint32_t index = 0;
  work.entry = table_.find_spi(work.spi, index);
  if (work.entry == nullptr) return Status::kNoSa;
  work.index = index;
  esp::SoftSa& sa = work.entry->sa;
  const esp::SaParams& params = sa.params();
  if (poisoned(*work.entry)) return Status::kPoisoned;
  if (params.outbound) return Status::kWrongDirection;
  const esp::Protocol protocol = ip->protocol == esp::kProtoAh ? esp::Protocol::kAh : esp::Protocol::kEsp;
  if (protocol != params.protocol || (ip->protocol == esp::kProtoUdp) != params.natt.has_value()) return Status::kWrongProtocol;
  if (params.check_outer && (esp::source_of(work.packet) != params.src || esp::destination_of(work.packet) != params.dst)) return Status::kWrongAddress;
  limits(work.index, *work.entry);
  if (sa.expired()) return Status::kExpired;
  const auto number = sa.fresh_number(static_cast<std::uint32_t>(work.seq));
  if (!number) return Status::kReplay;
  work.seq = *number;
  auto done = sa.decap(work.packet, std::min<std::size_t>(work.dst_size, build_.max_packet), cipher_ahead(work));
  work.work_cycles = std::max<std::uint64_t>(work.packet.size() / 8, 3 * (work.packet.size() / 64 + 2));
  work.next_header = sa.authentic_next_header();
  if (!done) return card::to_status(done.error().code);
  work.result = std::move(done->packet);
  return Status::kOk;
}

bool FunctionalCard::deliver(const Work& work) {
  ByteView rest = work.result;
  for (const Segment& segment : work.destination) {
    const ByteView part = rest.first(std::min<std::size_t>(rest.size(), segment.size));
    if (!part.empty() && !bus_.write(segment.address, part)) {
      fail(reg::kErrorCausePacketWrite, segment.address);
      return false;
    }
    rest = rest.subspan(part.size());
  }
  return true;
}

void FunctionalCard::complete(Queue& q, const Work& work, Status status, std::uint64_t fetched) {
  namespace c = card::completion;
  const std::uint32_t size = 1u << q.log2;
  std::array<Byte, c::kSize> entry{};
  const bool ok = status == Status::kOk;
  const auto put = [&entry](card::Field field, std::uint64_t value) { card::set(entry, field, value); };
  put(c::kPhase, (q.cq_tail & size) == 0);
  put(c::kOp, static_cast<std::uint64_t>(work.op));
  put(c::kStatus, static_cast<std::uint64_t>(status));
  put(c::kNextHeader, work.next_header);
  put(c::kSaIndex, work.index);
  put(c::kCookie, work.cookie);
  put(c::kOutLen, ok ? work.result.size() : 0);
  put(c::kSpi, work.spi);
  put(c::kSeq, work.seq);
  put(c::kCycleFetched, low(fetched));
  if (work.work_cycles != 0) {
    put(c::kCycleStarted, low(fetched + kDescriptorCycles));
    put(c::kCycleCiphered, low(cycles_));
    put(c::kCycleHashed, low(cycles_));
  }
  put(c::kCycleDone, low(cycles_));
  count(q, work, status);
  if (!q.completes) return;
  const std::uint64_t at = q.cq_base + std::uint64_t{q.cq_tail & (size - 1)} * card::kCompletionBytes;
  if (!bus_.write(at, entry)) {
    q.running = q.completes = false;
    q.stopped = true;
    return fail(reg::kErrorCauseRingWrite, at);
  }
  ++q.cq_tail;
  irq_status_ |= reg::kIrqStatusCompletion.mask();
}

void FunctionalCard::count(Queue& q, const Work& work, Status status) {
  ++by_status_[static_cast<std::size_t>(status)];
  ++q.by_status[static_cast<std::size_t>(status)];
  if (status != Status::kOk) return;
  if (work.op == card::Op::kEncap) {
    ++encap_packets_;
    encap_bytes_ += work.src_len;
  } else if (work.op == card::Op::kDecap) {
    ++decap_packets_;
    decap_bytes_ += work.result.size();
  }
}

}  // namespace esplanade::sim
