#include "sim/record.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "common/base/log.h"
#include "common/crypto/random.h"
#include "common/crypto/seal.h"

namespace esplanade::sim {

namespace {

// File: magic; three texts (length in 4 octets, then that many); frames; a frame of kind kEnd. All numbers little-endian.
// Frame: kind 1 (kToModel, kSealed, kEnd), op 1, valid 1, zero 1, cycle 8, address 8, size 8, length of the payload 4, payload.
constexpr std::string_view kMagic = "ESPREC1\n";
constexpr std::size_t kFrameHead = 32;
constexpr Byte kToModel = 1, kSealed = 2, kEnd = 4;
constexpr std::size_t kTextMax = 1 << 20;

void put32(Bytes& out, std::uint64_t value) {
  Byte octets[4];
  store_le32(octets, static_cast<std::uint32_t>(value));
  put(out, octets);
}
void put64(Bytes& out, std::uint64_t value) {
  put32(out, value);
  put32(out, value >> 32);
}
std::uint64_t load64(const Byte* p) { return load_le32(p) | std::uint64_t{load_le32(p + 4)} << 32; }

Result<Bytes> read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{Errc::kIo, fmt::format("{}: {}", path, std::strerror(errno))};
  return Bytes{std::istreambuf_iterator<char>(file), {}};
}

const char* name(LinkOp op) {
  switch (op) {
    case LinkOp::kReadRegisters: return "register read";
    case LinkOp::kWriteRegisters: return "register write";
    case LinkOp::kReadMemory: return "memory read";
    case LinkOp::kWriteMemory: return "memory write";
    case LinkOp::kTime: return "question for the time";
    case LinkOp::kClose: return "close";
    case LinkOp::kAnswer: return "answer";
    case LinkOp::kHostRead: return "read of host memory";
    case LinkOp::kHostWrite: return "write to host memory";
    case LinkOp::kHostAnswer: return "answer of host memory";
    case LinkOp::kInject: return "inject";
    case LinkOp::kLastWords: return "last words";
  }
  return "?";
}

}  // namespace

Result<Recording> parse_recording(ByteView in, ByteView key) {
  std::size_t at = 0;
  const auto bad = [&at](const std::string& why) { return Error{Errc::kMalformed, fmt::format("recording, octet {}: {}", at, why), at}; };
  if (in.size() < kMagic.size() || !std::ranges::equal(in.first(kMagic.size()), kMagic)) return bad("not a recording of a simulated card");
  at = kMagic.size();
  Recording out;
  for (std::string* text : {&out.description, &out.overrides, &out.model}) {
    if (in.size() - at < 4) return bad("ends in its head");
    const std::size_t length = load_le32(&in[at]);
    at += 4;
    if (length > kTextMax || length > in.size() - at) return bad("a text of the head is longer than the file");
    text->assign(in.begin() + static_cast<std::ptrdiff_t>(at), in.begin() + static_cast<std::ptrdiff_t>(at + length));
    at += length;
  }
  for (std::uint64_t number = 0; at < in.size(); ++number) {
    if (in.size() - at < kFrameHead) return out;  // the recorder was ended in the middle
    const Byte* head = &in[at];
    const std::size_t length = load_le32(head + 28);
    if (length > in.size() - at - kFrameHead) return out;
    RecordedFrame f;
    if (head[0] == kEnd) {
      out.complete = true;
      return out;
    }
    if ((head[0] & ~(kToModel | kSealed)) != 0 || head[1] < static_cast<Byte>(LinkOp::kReadRegisters) || head[1] > static_cast<Byte>(LinkOp::kLast) ||
        head[2] > 1 || length > kLinkPayloadMax || load64(head + 20) > kLinkPayloadMax) {
      return bad("a frame that makes no sense");
    }
    f.to_model = (head[0] & kToModel) != 0;
    f.cycle = load64(head + 4);
    f.frame.op = static_cast<LinkOp>(head[1]);
    f.frame.valid = head[2] != 0;
    f.frame.address = load64(head + 12);
    f.frame.size = load64(head + 20);
    const ByteView payload = in.subspan(at + kFrameHead, length);
    if ((head[0] & kSealed) != 0) {
      if (key.size() != crypto::kSealKeyLen) return Error{Errc::kBadIcv, "the recording holds keys, sealed; the file with their key is missing", at};
      auto opened = crypto::unseal(key, number, in.subspan(at, kFrameHead), payload);
      if (!opened) return Error{Errc::kBadIcv, fmt::format("recording, octet {}: {}", at, opened.error().detail), at};
      f.frame.payload.assign(opened->reveal().begin(), opened->reveal().end());
    } else {
      f.frame.payload.assign(payload.begin(), payload.end());
    }
    out.frames.push_back(std::move(f));
    at += kFrameHead + length;
  }
  return out;
}

Result<Recording> read_recording(const std::string& path) {
  ESPLANADE_TRY(octets, read_whole(path));
  auto key_file = read_whole(path + ".key");
  Secret key;
  if (key_file) {
    const std::string_view text(reinterpret_cast<const char*>(key_file->data()), std::min<std::size_t>(key_file->size(), 2 * crypto::kSealKeyLen));
    auto made = from_hex(text);
    if (!made) return Error{Errc::kMalformed, path + ".key is not a key in hexadecimal"};
    key = Secret(std::move(*made));
  }
  auto out = parse_recording(octets, key.reveal());
  if (!out) return Error{out.error().code, fmt::format("{}: {}", path, out.error().detail), out.error().at};
  return out;
}

Result<std::unique_ptr<RecordLink>> RecordLink::create(int fd, const std::string& path, const Recording& head, const Platform& platform) {
  Bytes octets(crypto::kSealKeyLen);
  crypto::random_bytes(octets);
  Secret key(std::move(octets));
  const std::string key_path = path + ".key";
  ::unlink(key_path.c_str());
  const int key_fd = ::open(key_path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  std::string text = to_hex(key.reveal()) + "\n";
  const bool kept = key_fd >= 0 && ::write(key_fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  wipe(MutableBytes(reinterpret_cast<Byte*>(text.data()), text.size()));
  if (key_fd >= 0) ::close(key_fd);
  if (!kept) return Error{Errc::kIo, fmt::format("{}: {}", key_path, std::strerror(errno))};
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  if (file == nullptr) return Error{Errc::kIo, fmt::format("{}: {}", path, std::strerror(errno))};
  std::unique_ptr<RecordLink> out(new RecordLink(fd, file, std::move(key), platform.secrets));
  Bytes start(kMagic.begin(), kMagic.end());
  for (const std::string* part : {&head.description, &head.overrides, &head.model}) {
    put32(start, part->size());
    start.insert(start.end(), part->begin(), part->end());
  }
  out->put_out(start);
  return out;
}

RecordLink::~RecordLink() {
  Bytes end(kFrameHead);
  end[0] = kEnd;
  put_out(end);
  if (std::fclose(file_) != 0) log_warn("the recording is not whole: {}", std::strerror(errno));
}

void RecordLink::put_out(ByteView octets) {
  if (std::fwrite(octets.data(), 1, octets.size(), file_) != octets.size()) log_warn("the recording is not whole: {}", std::strerror(errno));
}

void RecordLink::write(bool to_model, const LinkFrame& frame, ByteView payload) {
  const bool secret = frame.op == LinkOp::kWriteRegisters && std::ranges::any_of(secrets_, [&](const SecretRange& range) {
    return frame.address < range.from + range.size && range.from < frame.address + payload.size();
  });
  line_.clear();
  line_.push_back(static_cast<Byte>((to_model ? kToModel : 0) | (secret ? kSealed : 0)));
  line_.push_back(static_cast<Byte>(frame.op));
  line_.push_back(frame.valid ? 1 : 0);
  line_.push_back(0);
  put64(line_, cycle());
  put64(line_, frame.address);
  put64(line_, frame.size);
  put32(line_, payload.size() + (secret ? crypto::kSealTagLen : 0));
  put_out(line_);
  put_out(secret ? ByteView(crypto::seal(key_.reveal(), written_, line_, payload)) : payload);
  ++written_;
}

Status RecordLink::send(const LinkFrame& head, ByteView payload) {
  write(false, head, payload);
  in_host_access_ = head.op == LinkOp::kHostRead || head.op == LinkOp::kHostWrite;
  return Link::send(head, payload);
}

Result<std::optional<LinkFrame>> RecordLink::receive(std::chrono::milliseconds wait) {
  if (wait.count() < 0) std::fflush(file_);  // a killed simulator leaves all but what it was at
  const bool put_back = holds_frames();
  auto frame = Link::receive(wait);
  if (frame && *frame && put_back) write(true, **frame, (*frame)->payload);
  return frame;
}

Result<LinkFrame> RecordLink::receive_new() {
  auto frame = Link::receive_new();
  if (!frame) return frame;
  if (frame->op == LinkOp::kHostAnswer) in_host_access_ = false;
  else if (in_host_access_) return frame;  // written when receive() gives it out
  write(true, *frame, frame->payload);
  return frame;
}

Error ReplayLink::diverge(const std::string& what) {
  if (divergence_.empty()) {
    divergence_ = fmt::format("cycle {}, frame {}: {}", cycle(), at_, what);
    log_error("divergence at {}", divergence_);
  }
  return Error{Errc::kDeviceLost, divergence_};
}

Status ReplayLink::send(const LinkFrame& head, ByteView payload) {
  const RecordedFrame* want = next();
  if (want == nullptr) return ok();  // the recording ends before the model does
  const auto told = [](LinkOp op, std::uint64_t address, std::uint64_t size) { return fmt::format("{} at 0x{:x} of {}", name(op), address, size); };
  if (want->to_model || want->frame.op != head.op || (head.op != LinkOp::kAnswer && (want->frame.address != head.address || want->frame.size != head.size))) {
    return diverge(fmt::format("the model sends {}; recorded is {}{}", told(head.op, head.address, std::max<std::uint64_t>(head.size, payload.size())),
                               want->to_model ? "that it waits for " : "", told(want->frame.op, want->frame.address, std::max<std::uint64_t>(want->frame.size, want->frame.payload.size()))));
  }
  if (want->cycle != cycle()) return diverge(fmt::format("{} comes at cycle {} instead of {}", name(head.op), cycle(), want->cycle));
  if (want->frame.valid != head.valid) return diverge(fmt::format("{} says {} instead of {}", name(head.op), head.valid ? "done" : "failed", want->frame.valid ? "done" : "failed"));
  if (!std::ranges::equal(want->frame.payload, payload)) {
    const auto differs = std::ranges::mismatch(want->frame.payload, payload);
    const auto octet = static_cast<std::size_t>(differs.in1 - want->frame.payload.begin());
    return diverge(fmt::format("{} holds other octets, from {} of {} on: {} instead of {}", name(head.op), octet, want->frame.payload.size(),
                               to_hex(payload.subspan(octet, std::min<std::size_t>(8, payload.size() - octet))),
                               to_hex(ByteView(want->frame.payload).subspan(octet, std::min<std::size_t>(8, want->frame.payload.size() - octet)))));
  }
  ++at_;
  return ok();
}

Result<std::optional<LinkFrame>> ReplayLink::receive(std::chrono::milliseconds wait) {
  const RecordedFrame* want = next();
  if (want == nullptr) return Error{Errc::kDeviceLost, "the recording is over"};
  if (!want->to_model) return diverge(fmt::format("the model waits for the host; recorded is that it sends {}", name(want->frame.op)));
  // Not yet due; but a model that sleeps until it comes can only take it now.
  if (wait.count() >= 0 && cycle() < want->cycle) return std::optional<LinkFrame>();
  if (cycle() != want->cycle) return diverge(fmt::format("{} is taken at cycle {} instead of {}", name(want->frame.op), cycle(), want->cycle));
  ++at_;
  return std::optional<LinkFrame>(want->frame);
}

Result<LinkFrame> ReplayLink::receive_new() {
  const RecordedFrame* want = next();
  if (want == nullptr) return Error{Errc::kDeviceLost, "the recording is over"};
  if (!want->to_model) return diverge("the model waits for an answer; recorded is that it sends");
  ++at_;
  return want->frame;
}

}  // namespace esplanade::sim
