#include "host/espscope/replay/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "esplanade/health.h"

namespace esplanade::replay {

namespace {

using Outcome = card::Status;
namespace reg = card::reg;

constexpr std::uint32_t kNoSa = 0xffffffff;
constexpr std::size_t kResultBytes = 1 << 16;  // more than a packet has
constexpr std::uint32_t kEventsLog2 = 8;
constexpr std::uint64_t kPacketsBetweenEvents = 64;

const char* words(int outcome) {
  return outcome == kLost ? "no completion, though it was due" : outcome == kUnknown ? "no completion; the recording ends there" : name_of(static_cast<Outcome>(outcome));
}

std::string name_of(std::uint32_t queue, std::uint64_t number) { return fmt::format("q{}:{}", queue, number); }

}  // namespace

Result<std::unique_ptr<Replay>> Replay::create(Device& device, std::uint64_t seed, bool sound, std::optional<std::pair<std::uint32_t, std::uint64_t>> watch) {
  std::unique_ptr<Replay> out(new Replay(device, seed, sound, watch));
  ESPLANADE_TRY(table, SaTable::create(out->device_));
  out->table_.emplace(std::move(table));
  ESPLANADE_TRY(events, EventQueue::create(out->device_, kEventsLog2));
  out->events_.emplace(std::move(events));
  ESPLANADE_TRY(results, out->device_.allocate(kResultBytes));
  out->results_ = std::move(results);
  return out;
}

Status Replay::step(const Step& step) {
  if (over()) return ok();
  return std::visit([this](const auto& s) { return run(s); }, step);
}

Status Replay::run(const QueueStep& s) {
  queues_.erase(s.number);
  ESPLANADE_TRY(rings, PacketQueue::create(device_, s.number, {.log2_size = s.log2_size, .in_order = s.in_order, .slot_bytes = std::min(s.slot_bytes, device_.info().max_packet)}));
  queues_.emplace(s.number, Queue{std::move(rings), s.in_order, {}});
  return ok();
}

Status Replay::run(const SaStep& s) {
  ESPLANADE_TRY(params, SaTable::decode(s.entry));
  // Its seconds are those of another clock.
  params.soft.seconds = params.hard.seconds = 0;
  const auto found = sas_.find(s.index);
  if (s.command == card::SaCommand::kUpdate) {
    if (found == sas_.end()) return Error{Errc::kUnknownSpi, fmt::format("SA {} is updated, and was not installed", s.index)};
    found->second.stand_in.update(params);
    return table_->update(found->second.index, found->second.stand_in.params());
  }
  if (found != sas_.end()) ESPLANADE_CHECK(run(RemoveStep{s.index}));
  ESPLANADE_TRY(stand_in, StandInSa::create(std::move(params), random_));
  ESPLANADE_TRY(index, table_->install(stand_in.params()));
  if (!stand_in.params().outbound) inbound_[stand_in.params().spi] = s.index;
  sas_.emplace(s.index, Sa{index, std::move(stand_in), {}});
  return ok();
}

Status Replay::run(const RemoveStep& s) {
  const auto found = sas_.find(s.index);
  if (found == sas_.end()) return ok();
  ESPLANADE_CHECK(table_->remove(found->second.index));
  if (const auto in = inbound_.find(found->second.stand_in.params().spi); in != inbound_.end() && in->second == s.index) inbound_.erase(in);
  sas_.erase(found);
  return ok();
}

Result<Replay::Queue*> Replay::queue(std::uint32_t number) {
  const auto found = queues_.find(number);
  if (found == queues_.end()) return Error{Errc::kState, fmt::format("queue {} was not switched on", number)};
  return &found->second;
}

StandInSa* Replay::sa_of(const PacketStep& s) {
  std::uint32_t index = s.sa;
  if (s.op == card::Op::kDecap) {
    const auto named = inbound_.find(s.shape.spi);
    if (named == inbound_.end()) return nullptr;
    index = named->second;
  }
  const auto found = sas_.find(index);
  return found == sas_.end() ? nullptr : &found->second.stand_in;
}

Status Replay::run(const PacketStep& s) {
  ESPLANADE_TRY(q, queue(s.queue));
  const bool as_recorded = !sound_ || s.outcome < 0 || !is_of_content(static_cast<Outcome>(s.outcome));
  const Bytes packet = make_packet(s, sa_of(s), as_recorded, random_);
  const auto installed = sas_.find(s.sa);
  const bool encap = s.op == card::Op::kEncap;
  if (encap && installed != sas_.end()) installed->second.queues.insert(s.queue);
  Submission submission{.op = s.op, .sa_index = !encap ? 0 : installed != sas_.end() ? installed->second.index : kNoSa, .packet = packet, .cookie = s.number};
  const Segment room[] = {{results_.get(), 0, std::min<std::uint32_t>(s.room, kResultBytes)}};
  if (s.room != q->rings.slot_bytes() && s.room != 0) submission.destination = room;
  for (;;) {
    const Status taken = q->rings.submit(submission);
    if (taken) break;
    if (taken.error().code != Errc::kRingFull) return Error{taken.error().code, fmt::format("packet {} (record {}): {}", name_of(s.queue, s.number), s.record, taken.error().detail)};
    ESPLANADE_CHECK(q->rings.flush());
    const std::size_t before = q->rings.in_flight();
    reap(*q, [&] { return q->rings.in_flight() < before; });
    if (over()) return ok();
  }
  ++figures_.packets;
  if (s.outcome >= 0 && is_of_content(static_cast<Outcome>(s.outcome)) && as_recorded) ++figures_.made_so[static_cast<Outcome>(s.outcome)];
  const bool twin = s.op == card::Op::kDecap && numbers_inside_[{s.shape.spi, s.shape.seq}]++ != 0;
  const auto recorded = sas_.find(s.out_sa);
  q->inside.emplace(s.number, Inside{s, false, twin, recorded == sas_.end() ? std::nullopt : std::optional(recorded->second.index)});
  return figures_.packets % kPacketsBetweenEvents == 0 ? poll_events() : ok();
}

Status Replay::run(const RingStep& s) {
  ESPLANADE_TRY(q, queue(s.queue));
  return q->rings.flush();
}

Status Replay::run(const AwaitStep& s) {
  ESPLANADE_TRY(q, queue(s.queue));
  reap(*q, [&] { return !q->inside.contains(s.number); });
  return ok();
}

Status Replay::run(const EventStep& s) {
  recorded_events_.push_back(s);
  return ok();
}

template <class Enough>
void Replay::reap(Queue& q, Enough enough) {
  for (std::chrono::microseconds pause{20}; !over() && !enough(); pause = std::min(pause * 2, std::chrono::microseconds(1000))) {
    const std::size_t before = q.inside.size();
    const Status reaped = q.rings.reap([&](const Completed& c) { done(q, c); });
    if (!reaped) return gave_up(q, reaped.error());
    if (q.inside.size() == before && !enough()) std::this_thread::sleep_for(pause);
  }
}

void Replay::gave_up(const Queue& q, const Error& error) {
  if (q.inside.empty()) return diverges({0, "the card", "the driver", "no complaint", error.detail, {}});
  const PacketStep& oldest = q.inside.begin()->second.step;
  if (oldest.outcome == kLost) {
    stopped_ = fmt::format("{}: {}", name_of(oldest.queue, oldest.number), error.detail);
    return;
  }
  Divergence d{oldest.record, name_of(oldest.queue, oldest.number), "status", words(oldest.outcome), error.detail, {}};
  if (const auto now = device_.read64(reg::kCyclesLo, reg::kCyclesHi)) d.cycles = {{*now, *now}};
  diverges(std::move(d));
}

void Replay::done(Queue& q, const Completed& c) {
  const auto found = q.inside.find(c.cookie);
  if (found == q.inside.end()) return;
  Inside& ended = found->second;
  const bool encap = ended.step.op == card::Op::kEncap;
  // Those that had to leave before it: of the queue where it keeps the order, else of its outbound SA in the queue.
  for (auto older = q.inside.begin(); older != found; ++older) {
    if (q.in_order || (encap && older->second.step.op == card::Op::kEncap && older->second.step.sa == ended.step.sa)) older->second.overtaken = true;
  }
  const Inside was = std::move(ended);
  if (const auto same = numbers_inside_.find({was.step.shape.spi, was.step.shape.seq}); !encap && same != numbers_inside_.end() && --same->second == 0) numbers_inside_.erase(same);
  q.inside.erase(found);
  compare(was, c);
}

std::optional<std::array<std::uint64_t, 2>> Replay::span_of(const Completed& c) const {
  return c.cycles[0] == 0 ? std::nullopt : std::optional(std::array<std::uint64_t, 2>{c.cycles[0], std::max(c.cycles[0], c.cycles[4])});
}

std::optional<std::uint32_t> Replay::recorded_index(SaIndex index) const {
  const auto found = std::ranges::find_if(sas_, [index](const auto& sa) { return sa.second.index == index; });
  return found == sas_.end() ? std::nullopt : std::optional(found->first);
}

void Replay::compare(const Inside& was, const Completed& c) {
  const PacketStep& s = was.step;
  if (watch_ && *watch_ == std::pair(s.queue, s.number)) figures_.watched = span_of(c);
  if (s.outcome == kUnknown) return;
  ++figures_.compared;
  if (s.cycles != 0 && c.cycles[4] != 0) {
    figures_.cycles_then.push_back(s.cycles);
    figures_.cycles_now.push_back(c.cycles[4] - c.cycles[0]);
  }
  const auto differs = [&](std::string field, std::string then, std::string now) {
    diverges({s.record, name_of(s.queue, s.number), std::move(field), std::move(then), std::move(now), span_of(c)});
  };
  const auto number = [&](const char* field, std::uint64_t then, std::uint64_t now) { differs(field, fmt::format("{}", then), fmt::format("{}", now)); };
  // Of two with one number that are inside at once the second is refused as replayed, or for its content, by which of them the card looks at first.
  if (was.twin && c.status == Outcome::kReplay && s.outcome >= 0 && is_of_content(static_cast<Outcome>(s.outcome))) return;
  if (s.outcome != static_cast<int>(c.status)) return differs("status", words(s.outcome), name_of(c.status));
  if (was.overtaken != s.overtaken) {
    const auto in_words = [](bool overtaken) { return overtaken ? "overtaken by a packet that had to wait for it" : "in order"; };
    return differs("order", in_words(s.overtaken), in_words(was.overtaken));
  }
  if (c.status != Outcome::kOk) return;
  if (c.len != s.out_len) return number("length", s.out_len, c.len);
  const auto sa = sas_.find(s.out_sa);
  const bool is_now = sa != sas_.end() && sa->second.index == c.sa_index;
  if (!is_now && was.sa != c.sa_index) {
    const auto then = recorded_index(c.sa_index);
    return differs("SA", fmt::format("{}", s.out_sa), then ? fmt::format("{}", *then) : "none of the recording's");
  }
  if (s.op == card::Op::kDecap && c.next_header != s.next_header) return number("next header", s.next_header, c.next_header);
  if ((s.op == card::Op::kDecap || (is_now && was.sa == c.sa_index && sa->second.queues.size() == 1)) && c.seq != s.out_seq) return number("sequence number", s.out_seq, c.seq);
}

/// The first of those that one look brings is the one that was submitted first.
void Replay::diverges(Divergence d) {
  if (!divergence_ || d.record < divergence_->record) divergence_ = std::move(d);
}

Status Replay::poll_events() {
  std::vector<Event> got;
  ESPLANADE_CHECK(events_->poll(got));
  for (const Event& e : got) {
    const auto index = recorded_index(e.sa_index);
    happened_.insert({static_cast<std::uint32_t>(e.type), index ? *index : kNoSa, e.arg});
  }
  return ok();
}

Status Replay::finish() {
  for (auto& [number, q] : queues_) {
    if (over()) return ok();
    ESPLANADE_CHECK(q.rings.flush());
    reap(q, [&q = q] { return q.inside.empty(); });
  }
  if (over()) return ok();
  ESPLANADE_CHECK(poll_events());
  for (const EventStep& e : recorded_events_) {
    const auto found = happened_.find({static_cast<std::uint32_t>(e.type), e.sa, e.arg});
    if (found == happened_.end()) {
      const std::string what = fmt::format("{}, {}{}", name_of(e.type), e.type == card::EventType::kError ? describe_causes(e.arg) : fmt::format("argument {}", e.arg), e.sa == kNoSa ? "" : fmt::format(", of SA {}", e.sa));
      diverges({e.record, "event", "event", what, "not there", {}});
      return ok();
    }
    happened_.erase(found);
    ++figures_.events;
  }
  return ok();
}

}  // namespace esplanade::replay
