#include "esplanade/bundle_queue.h"

#include <utility>

namespace esplanade {

namespace {
constexpr std::uint8_t kProtocolEsp = 50;  // IANA protocol numbers
}

Status BundleQueue::start(Submission submission, Packet packet) {
  submission.cookie = next_;
  ESPLANADE_CHECK(queue_.submit(submission));
  packets_.emplace(next_++, std::move(packet));
  return ok();
}

Status BundleQueue::submit(const Submission& submission) { return start(submission, {submission.cookie, false, 0, std::nullopt}); }

Status BundleQueue::submit_encap(SaIndex esp, SaIndex ah, ByteView packet, std::uint64_t cookie) {
  return start({card::Op::kEncap, esp, packet, 0}, {cookie, true, ah, std::nullopt});
}

Status BundleQueue::submit_decap(ByteView outer, std::uint64_t cookie) {
  return start({card::Op::kDecap, 0, outer, 0}, {cookie, true, 0, std::nullopt});
}

// The result of the first pass is the packet of the second.
Status BundleQueue::again(std::uint64_t number, const Completed& first) {
  Packet& packet = packets_.at(number);
  packet.first = Pass{first.sa_index, first.spi, first.seq};
  const Submission submission{first.op, packet.ah, first.packet, number};
  if (waiting_.empty()) {
    const Status submitted = queue_.submit(submission);
    if (submitted || submitted.error().code != Errc::kRingFull) return submitted;
  }
  waiting_.push_back({number, submission, Bytes(first.packet.begin(), first.packet.end())});
  return ok();
}

Status BundleQueue::flush() {
  while (!waiting_.empty()) {
    Waiting& w = waiting_.front();
    w.submission.packet = w.octets;
    const Status submitted = queue_.submit(w.submission);
    if (!submitted && submitted.error().code == Errc::kRingFull) break;
    ESPLANADE_CHECK(submitted);
    waiting_.pop_front();
  }
  return queue_.flush();
}

Status BundleQueue::reap(const Done& done) {
  Status trouble = ok();
  bool more = false;
  ESPLANADE_CHECK(queue_.reap([this, &done, &trouble, &more](const Completed& c) {
    const std::uint64_t number = c.cookie;
    Packet& packet = packets_.at(number);
    Completed last = c;
    if (packet.bundle && !packet.first && c.status == card::Status::kOk) {
      if (c.op == card::Op::kEncap || c.next_header == kProtocolEsp) {
        more = true;
        const Status started = again(number, c);
        if (started) return;
        // The packet cannot go on: AH around a result that is longer than the card's packets, say.
        trouble = started;
        last.status = card::Status::kBadLength;
      } else {
        last.status = card::Status::kBadNextHeader;
      }
      last.len = 0;
      last.packet = {};
      packet.first.reset();
    }
    last.cookie = packet.cookie;
    const std::optional<Pass> first = packet.first;
    packets_.erase(number);
    done(last, first);
  }));
  if (!trouble && trouble.error().code != Errc::kBadLength) return trouble;
  return more || !waiting_.empty() ? flush() : ok();
}

}  // namespace esplanade
