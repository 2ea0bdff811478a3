#include "esplanade/packet_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "driver/share.h"
#include "esplanade/health.h"

namespace esplanade {

namespace {
namespace reg = card::reg;
namespace desc = card::descriptor;
namespace cpl = card::completion;

// One look at the completion ring fetches so many at first: 2 KiB, little more than a single one costs. A look that finds them all doubles the
// next one, so that a busy queue needs few transfers.
constexpr std::size_t kLookAhead = 32, kLookAheadMax = 512;
// How long the card may say nothing before it is asked, and how long a queue that is given up may take to run dry.
constexpr std::chrono::milliseconds kSilence{100}, kDrainPatience{1000};
// A full ring of the largest packets is done within 300,000 cycles. Both must pass: a simulated card may be slow, and the
// clock of one that does nothing stands still.
constexpr std::chrono::seconds kHangs{2};
constexpr std::uint64_t kHangsCycles = 400'000;
// A segment list entry: u64 address, u32 length, u32 0. Each slot has one list for its source and one for its destination.
constexpr std::size_t kSegmentBytes = 8 + 4 + 4, kListBytes = card::kMaxSegments * kSegmentBytes;
constexpr auto kLastStatus = static_cast<std::uint32_t>(card::Status::kBadInner);

using Steady = std::chrono::steady_clock;

Status write_address(Device& device, const card::Reg& lo, const card::Reg& hi, std::uint32_t n, std::uint64_t address) {
  ESPLANADE_CHECK(device.write32(lo.at(n), static_cast<std::uint32_t>(address)));
  return device.write32(hi.at(n), static_cast<std::uint32_t>(address >> 32));
}

std::uint32_t slot_of_options(const Device& device, const QueueOptions& options) {
  const std::uint32_t wanted = options.slot_bytes != 0 ? options.slot_bytes : device.info().max_packet;
  return (wanted + card::kBufferAlign - 1) / card::kBufferAlign * card::kBufferAlign;
}
}  // namespace

PacketQueue::PacketQueue(Device& device, std::uint32_t number, std::unique_ptr<Device::Buffer> memory, std::uint32_t entries, std::uint32_t slot_bytes)
    : device_(&device), number_(number), memory_(std::move(memory)), slots_(entries), slot_bytes_(slot_bytes),
      sq_at_(0), cq_at_(std::size_t{entries} * card::kDescriptorBytes), list_at_(cq_at_ + std::size_t{entries} * card::kCompletionBytes),
      src_at_(list_at_ + std::size_t{entries} * 2 * kListBytes), dst_at_(src_at_ + std::size_t{entries} * slot_bytes), look_ahead_(kLookAhead) {}

PacketQueue::~PacketQueue() {
  if (!memory_) return;
  // The card writes the results of what it has fetched, queue on or off: the memory must stay its own until then.
  for (const auto end = Steady::now() + kDrainPatience; flushed_ != consumed_ && Steady::now() < end;) {
    const auto tail = device_->read32(reg::kCqTail.at(number_));
    if (!tail || *tail == static_cast<std::uint32_t>(flushed_)) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  // Nothing to do about a failure: the card is gone then, or will be reset at the next open.
  static_cast<void>(device_->write32(reg::kQControl.at(number_), 0));
}

Result<std::size_t> PacketQueue::memory_bytes(const Device& device, std::uint32_t number, const QueueOptions& options) {
  if (number >= device.info().queues) return Error{Errc::kUnsupported, fmt::format("the card has {} queues", device.info().queues)};
  if (options.slot_bytes > device.info().max_packet) {
    return Error{Errc::kBadConfig, fmt::format("slots of {} octets: the card's packets have {} at most", options.slot_bytes, device.info().max_packet)};
  }
  if (options.log2_size < 1 || options.log2_size > card::kRingLog2Max) return Error{Errc::kBadConfig, fmt::format("ring of 2^{} entries", options.log2_size)};
  const std::size_t each = card::kDescriptorBytes + card::kCompletionBytes + 2 * kListBytes + 2 * std::size_t{slot_of_options(device, options)};
  return each << options.log2_size;
}

Result<PacketQueue> PacketQueue::create(Device& device, std::uint32_t number, const QueueOptions& options) {
  ESPLANADE_TRY(bytes, memory_bytes(device, number, options));
  ESPLANADE_TRY(memory, device.allocate(bytes));
  return create_in(device, number, options, std::move(memory));
}

Result<std::vector<PacketQueue>> PacketQueue::create_all(Device& device, std::uint32_t count, const QueueOptions& options) {
  if (count == 0) return Error{Errc::kBadConfig, "no queue asked for"};
  ESPLANADE_TRY(each, memory_bytes(device, count - 1, options));
  ESPLANADE_TRY(memory, device.allocate(each * count));
  const std::shared_ptr<Device::Buffer> shared(std::move(memory));  // in parts that stay aligned: all terms of `each` are multiples of kBufferAlign
  std::vector<PacketQueue> out;
  for (std::uint32_t number = 0; number < count; ++number) {
    ESPLANADE_TRY(queue, create_in(device, number, options, std::make_unique<Share>(shared, number * each, each)));
    out.push_back(std::move(queue));
  }
  return out;
}

Result<PacketQueue> PacketQueue::create_in(Device& device, std::uint32_t number, const QueueOptions& options, std::unique_ptr<Device::Buffer> memory) {
  const std::uint32_t log2_size = options.log2_size;
  PacketQueue queue(device, number, std::move(memory), 1u << log2_size, slot_of_options(device, options));
  Device::Buffer& m = *queue.memory_;
  // A completion that the card has not written must not look like one: phase 0 on the first lap.
  std::ranges::fill(m.data().first(queue.src_at_), Byte{0});
  ESPLANADE_CHECK(m.sync_to_card(0, queue.src_at_));
  ESPLANADE_CHECK(device.write32(reg::kQControl.at(number), 0));
  ESPLANADE_CHECK(write_address(device, reg::kSqBaseLo, reg::kSqBaseHi, number, m.address() + queue.sq_at_));
  ESPLANADE_CHECK(write_address(device, reg::kCqBaseLo, reg::kCqBaseHi, number, m.address() + queue.cq_at_));
  ESPLANADE_CHECK(device.write32(reg::kQControl.at(number), reg::kQControlEnable.put(1) | reg::kQControlInOrder.put(options.in_order ? 1 : 0) | reg::kQControlLog2Size.put(log2_size)));
  ESPLANADE_TRY(status, device.read32(reg::kQStatus.at(number)));
  if (reg::kQStatusStopped.get(status) != 0) return Error{Errc::kState, fmt::format("the card refused the rings of queue {}", number)};
  return queue;
}

// What the card would answer with BadAlign, BadLength or BadAddress is refused here, where its cause can be told.
Result<std::uint32_t> PacketQueue::check_segments(std::span<const Segment> segments, const char* what) const {
  if (segments.size() > card::kMaxSegments) return Error{Errc::kBadConfig, fmt::format("{} of {} segments: the card takes {}", what, segments.size(), card::kMaxSegments)};
  if (segments.size() > 1 && reg::kCapsScatterGather.get(device_->info().caps) == 0) return Error{Errc::kUnsupported, "this build of the card does not do segments"};
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const Segment& s = segments[i];
    if (s.buffer == nullptr || s.size == 0 || s.offset > s.buffer->data().size() || s.size > s.buffer->data().size() - s.offset) {
      return Error{Errc::kBadConfig, fmt::format("{} segment {} is empty or not inside its buffer", what, i)};
    }
    if ((s.buffer->address() + s.offset) % card::kBufferAlign != 0 || (i + 1 < segments.size() && s.size % card::kBufferAlign != 0)) {
      return Error{Errc::kBadConfig, fmt::format("{} segment {} is not aligned to {} octets", what, i, card::kBufferAlign)};
    }
    sum += s.size;
  }
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(sum, ~0u));
}

// One segment needs no list.
void PacketQueue::put_segments(std::span<const Segment> segments, std::size_t list_at, MutableBytes descriptor, card::Field address, card::Field count) {
  if (segments.size() == 1) {
    card::set(descriptor, address, segments[0].buffer->address() + segments[0].offset);
    return;
  }
  const MutableBytes list = memory_->data().subspan(list_at, kListBytes);
  std::ranges::fill(list, Byte{0});
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const std::uint64_t at = segments[i].buffer->address() + segments[i].offset;
    for (std::size_t b = 0; b < 8; ++b) list[i * kSegmentBytes + b] = static_cast<Byte>(at >> (8 * b));
    for (std::size_t b = 0; b < 4; ++b) list[i * kSegmentBytes + 8 + b] = static_cast<Byte>(segments[i].size >> (8 * b));
  }
  card::set(descriptor, address, memory_->address() + list_at);
  card::set(descriptor, count, segments.size());
}

Status PacketQueue::submit(const Submission& s) {
  if (in_flight() >= capacity()) return Error{Errc::kRingFull, "the queue is full: reap first"};
  const std::uint32_t max_packet = device_->info().max_packet;
  ESPLANADE_TRY(gathered, check_segments(s.source, "source"));
  ESPLANADE_TRY(scattered, check_segments(s.destination, "destination"));
  const ByteView whole[] = {s.packet};
  const std::span<const ByteView> pieces = s.pieces.empty() ? std::span<const ByteView>(whole) : s.pieces;
  std::size_t len = gathered;
  if (s.source.empty()) {
    for (const ByteView piece : pieces) len += piece.size();
  }
  const std::uint32_t most = s.source.empty() ? std::min(slot_bytes_, max_packet) : max_packet;
  if (len == 0 || len > most) return Error{Errc::kBadLength, fmt::format("a packet of {} octets: 1 to {} are taken", len, most)};
  const std::size_t at = slot_of(produced_);
  Slot& slot = slots_[at];
  if (slot.busy) return Error{Errc::kRingFull, "the oldest packet is still inside: reap first"};
  slot = {true, produced_, s.cookie, s.op, s.source.empty() ? static_cast<std::uint32_t>(len) : 0, s.destination.empty() ? slot_bytes_ : scattered,
          s.source.size() > 1 || s.destination.size() > 1, !s.destination.empty()};
  const MutableBytes d = memory_->data().subspan(sq_at_ + at * card::kDescriptorBytes, card::kDescriptorBytes);
  std::ranges::fill(d, Byte{0});
  card::set(d, desc::kOp, static_cast<std::uint64_t>(s.op));
  card::set(d, desc::kSaIndex, s.op == card::Op::kEncap ? s.sa_index : 0);
  card::set(d, desc::kCookie, produced_);
  card::set(d, desc::kSrcAddr, memory_->address() + src_at_ + at * slot_bytes_);
  card::set(d, desc::kDstAddr, memory_->address() + dst_at_ + at * slot_bytes_);
  card::set(d, desc::kSrcLen, len);
  card::set(d, desc::kDstSize, slot.room);
  if (s.source.empty()) {
    MutableBytes to = memory_->data().subspan(src_at_ + at * slot_bytes_, slot_bytes_);
    for (const ByteView piece : pieces) {
      std::ranges::copy(piece, to.begin());
      to = to.subspan(piece.size());
    }
  } else {
    put_segments(s.source, list_at_ + at * 2 * kListBytes, d, desc::kSrcAddr, desc::kNumSegments);
  }
  if (!s.destination.empty()) put_segments(s.destination, list_at_ + (at * 2 + 1) * kListBytes, d, desc::kDstAddr, desc::kNumDstSegments);
  if (s.iv) {
    card::set(d, desc::kHostIv, 1);
    std::ranges::copy(*s.iv, card::octets(d, desc::kIv).begin());
  }
  if (s.arrived != Steady::time_point()) device_->note(Device::Moment::kArrived, number_, produced_, 1, s.arrived);
  if (produced_ == flushed_) device_->note(Device::Moment::kSubmitted, number_, produced_, 1);
  ++produced_;
  return ok();
}

// Packets and descriptors of the submissions [from, to), which do not wrap.
Status PacketQueue::move_out(std::uint64_t from, std::uint64_t to) {
  const std::size_t first = slot_of(from);
  const auto count = static_cast<std::size_t>(to - from);
  // From the first copied packet to the end of the last: one transfer, as each costs more than the gaps in it.
  const auto range = std::span(slots_).subspan(first, count);
  const auto is_copied = [](const Slot& s) { return s.copied != 0; };
  const auto head = std::ranges::find_if(range, is_copied);
  if (head != range.end()) {
    std::size_t last = count - 1;
    while (!is_copied(range[last])) --last;
    const auto skip = static_cast<std::size_t>(head - range.begin());
    ESPLANADE_CHECK(memory_->sync_to_card(src_at_ + (first + skip) * slot_bytes_, (last - skip) * slot_bytes_ + range[last].copied));
  }
  if (std::ranges::any_of(range, [](const Slot& s) { return s.lists; })) {
    ESPLANADE_CHECK(memory_->sync_to_card(list_at_ + first * 2 * kListBytes, count * 2 * kListBytes));
  }
  return memory_->sync_to_card(sq_at_ + first * card::kDescriptorBytes, count * card::kDescriptorBytes);
}

Status PacketQueue::flush() {
  if (flushed_ == produced_) return ok();
  const std::uint64_t wrap = (flushed_ / slots_.size() + 1) * slots_.size();
  ESPLANADE_CHECK(move_out(flushed_, std::min(wrap, produced_)));
  if (produced_ > wrap) ESPLANADE_CHECK(move_out(wrap, produced_));
  if (flushed_ == consumed_) {
    heard_ = Steady::now();
    silent_.reset();
  }
  flushed_ = produced_;
  return device_->write32(reg::kSqTail.at(number_), static_cast<std::uint32_t>(produced_));
}

// Brings the next completions over and counts those that the card has written.
Result<std::size_t> PacketQueue::fetch_completions() {
  const std::size_t first = slot_of(consumed_);
  const std::size_t most = std::min({look_ahead_, slots_.size() - first, static_cast<std::size_t>(flushed_ - consumed_)});
  if (most == 0) return std::size_t{0};
  const std::size_t at = cq_at_ + first * card::kCompletionBytes;
  ESPLANADE_CHECK(memory_->sync_from_card(at, most * card::kCompletionBytes));
  const std::uint64_t phase = consumed_ / slots_.size() % 2 == 0 ? 1 : 0;
  std::size_t count = 0;
  while (count < most && card::get(memory_->data().subspan(at + count * card::kCompletionBytes, card::kCompletionBytes), cpl::kPhase) == phase) ++count;
  return count;
}

Result<Completed> PacketQueue::check(ByteView c) {
  Completed out{};
  const std::uint64_t number = card::get(c, cpl::kCookie);
  const Slot& slot = slots_[slot_of(number)];
  const std::uint64_t status = card::get(c, cpl::kStatus);
  const std::uint64_t len = card::get(c, cpl::kOutLen);
  if (number >= flushed_ || !slot.busy || slot.number != number || card::get(c, cpl::kOp) != static_cast<std::uint64_t>(slot.op) ||
      status > kLastStatus || len > slot.room || (status != 0 && len != 0)) {
    // A lost card reads all ones, in registers as in memory: say that rather than this.
    ESPLANADE_CHECK(device_->read32(reg::kId.at()));
    return Error{Errc::kMalformed, fmt::format("the card wrote a completion that makes no sense (number {}, status {}, length {})", number, status, len)};
  }
  out.number = number;
  out.cookie = slot.cookie;
  out.op = slot.op;
  out.status = static_cast<card::Status>(status);
  out.next_header = static_cast<std::uint8_t>(card::get(c, cpl::kNextHeader));
  out.sa_index = static_cast<std::uint32_t>(card::get(c, cpl::kSaIndex));
  out.spi = static_cast<std::uint32_t>(card::get(c, cpl::kSpi));
  out.seq = card::get(c, cpl::kSeq);
  const card::Field stamps[] = {cpl::kCycleFetched, cpl::kCycleStarted, cpl::kCycleCiphered, cpl::kCycleHashed, cpl::kCycleDone};
  for (std::size_t i = 0; i < out.cycles.size(); ++i) out.cycles[i] = static_cast<std::uint32_t>(card::get(c, stamps[i]));
  out.len = static_cast<std::uint32_t>(len);
  if (!slot.scattered) out.packet = memory_->data().subspan(dst_at_ + slot_of(number) * slot_bytes_, static_cast<std::size_t>(len));
  return out;
}

// The results of `count` completions from ring entry `from` on: one transfer over the slots they span.
Status PacketQueue::fetch_results(std::uint64_t from, std::size_t count) {
  std::size_t first = slots_.size(), last = 0;
  results_.clear();
  for (std::size_t i = 0; i < count; ++i) {
    ESPLANADE_TRY(c, check(memory_->data().subspan(cq_at_ + slot_of(from + i) * card::kCompletionBytes, card::kCompletionBytes)));
    if (c.packet.empty()) continue;
    const std::size_t slot = (static_cast<std::size_t>(c.packet.data() - memory_->data().data()) - dst_at_) / slot_bytes_;
    first = std::min(first, slot);
    last = std::max(last, slot + 1);
    results_.push_back(c.packet.data());
  }
  if (first >= last) return ok();
  ESPLANADE_CHECK(memory_->sync_from_card(dst_at_ + first * slot_bytes_, (last - first) * slot_bytes_));
  // A card that was lost between the completion and its result: the result reads all ones, which no IP packet begins with.
  if (std::ranges::any_of(results_, [](const Byte* octets) { return *octets == 0xff; })) ESPLANADE_CHECK(device_->read32(reg::kId.at()));
  return ok();
}

// Memory alone cannot tell: the octets of a lost card are all ones, which on every other lap is what an entry not yet
// written looks like.
Status PacketQueue::ask_why_silent() {
  if (flushed_ == consumed_ || Steady::now() - heard_ < kSilence) return ok();
  heard_ = Steady::now();
  ESPLANADE_TRY(status, device_->read32(reg::kQStatus.at(number_)));
  if (reg::kQStatusStopped.get(status) == 0) return ask_if_it_hangs();
  ESPLANADE_TRY(health, read_health(*device_));
  const std::string where = health.bus_error ? fmt::format(", first bus error at 0x{:x}", *health.bus_error) : std::string();
  return Error{Errc::kState, fmt::format("the card stopped queue {}: {}{}; open it again", number_, describe_causes(health.causes), where)};
}

/// Silent, and not stopped: a completion may have got lost, or the card may hang.
Status PacketQueue::ask_if_it_hangs() {
  ESPLANADE_TRY(control, device_->read32(reg::kQControl.at(number_)));
  if (reg::kQControlEnable.get(control) == 0) {
    return Error{Errc::kState, fmt::format("queue {} is off with {} packets inside: the card was reset; open it again", number_, flushed_ - consumed_)};
  }
  ESPLANADE_TRY(tail, device_->read32(reg::kCqTail.at(number_)));
  // Behind: the card has not yet heard that the completion which we have seen is in memory.
  if (static_cast<std::int32_t>(tail - static_cast<std::uint32_t>(consumed_)) > 0) {
    ESPLANADE_TRY(count, fetch_completions());  // it may have come since
    if (count != 0) return ok();
    return Error{Errc::kMalformed, fmt::format("completion {} of queue {} is not in memory, though the card says that it was written: it got lost; "
                                               "reset the card", consumed_, number_)};
  }
  ESPLANADE_TRY(cycles, device_->read64(reg::kCyclesLo, reg::kCyclesHi));
  const auto now = Steady::now();
  if (!silent_) silent_ = Silence{now, cycles};
  if (now - silent_->since < kHangs || cycles - silent_->cycles < kHangsCycles) return ok();
  ESPLANADE_TRY(health, read_health(*device_));
  return Error{Errc::kTimeout, fmt::format("the card hangs: {} packets in queue {}, none done for {} cycles; {}; reset the card", flushed_ - consumed_, number_,
                                           cycles - silent_->cycles, health.causes != 0 ? describe_causes(health.causes) : "no error reported")};
}

Result<std::vector<StatusCount>> PacketQueue::counters() {
  constexpr std::uint32_t kStatusesEach = 32;  // Q_PACKETS_BY_STATUS: queue n starts at 32 n
  std::vector<StatusCount> out;
  for (std::uint32_t status = 0; status <= kLastStatus; ++status) {
    if (name_of(static_cast<card::Status>(status)) == std::string_view("?")) continue;  // no status has this number
    ESPLANADE_TRY(count, device_->read32(reg::kQPacketsByStatus.at(number_ * kStatusesEach + status)));
    out.push_back({static_cast<card::Status>(status), count});
  }
  return out;
}

Status PacketQueue::reap(const std::function<void(const Completed&)>& done) {
  for (;;) {
    ESPLANADE_TRY(count, fetch_completions());
    if (count == 0) {
      ESPLANADE_CHECK(ask_why_silent());
      break;
    }
    heard_ = Steady::now();
    silent_.reset();
    ESPLANADE_CHECK(fetch_results(consumed_, count));
    std::uint64_t first = 0;  // of a run of packets that the program has
    std::uint32_t run = 0;
    const auto note = [&] {
      if (run != 0) device_->note(Device::Moment::kDelivered, number_, first, run);
    };
    for (std::size_t i = 0; i < count; ++i) {
      const ByteView entry = memory_->data().subspan(cq_at_ + slot_of(consumed_) * card::kCompletionBytes, card::kCompletionBytes);
      const auto c = check(entry);  // again: two completions of one batch could name the same slot
      if (!c) {
        note();
        return c.error();
      }
      const std::uint64_t number = c->number;
      slots_[slot_of(number)].busy = false;
      ++consumed_;
      done(*c);
      if (number != first + run) {
        note();
        first = number;
        run = 0;
      }
      ++run;
    }
    note();
    const bool all = count >= look_ahead_;
    look_ahead_ = all ? std::min(2 * look_ahead_, kLookAheadMax) : std::max(kLookAhead, look_ahead_ / 2);
    if (!all && slot_of(consumed_) != 0) break;
  }
  // At most half the ring is in flight, so the card never waits for this.
  if (consumed_ - told_consumed_ < capacity() / 2) return ok();
  told_consumed_ = consumed_;
  return device_->write32(reg::kCqHead.at(number_), static_cast<std::uint32_t>(consumed_));
}

}  // namespace esplanade
