#include "sim/front.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "common/base/log.h"

namespace esplanade::sim {

namespace {

constexpr std::size_t kChunkBytes = std::size_t{16} << 20;
static_assert(kChunkBytes <= kLinkPayloadMax);

using Clock = std::chrono::steady_clock;

std::string death(int status) {
  if (WIFSIGNALED(status)) {
    return fmt::format("killed by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  }
  return fmt::format("exit status {}", WEXITSTATUS(status));
}

}  // namespace

ModelCard::ModelCard(std::unique_ptr<Link> link, pid_t model, std::chrono::seconds patience)
    : link_(std::move(link)), model_(model), patience_(patience) {}

ModelCard::ModelCard(const std::string& why) { lose(why); }

ModelCard::~ModelCard() { reap(true); }

/// Collects the model's process; it is killed if it `may_still_run` and does.
void ModelCard::reap(bool may_still_run) {
  if (model_ < 0) return;
  int status = 0;
  pid_t done = 0;
  // A model that closed its link is about to end: a moment's patience tells how it ended.
  for (int i = 0; i < (may_still_run ? 1 : 100) && done == 0; ++i) {
    done = ::waitpid(model_, &status, WNOHANG);
    if (done == 0 && !may_still_run) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (done == 0) {
    ::kill(model_, SIGKILL);
    done = ::waitpid(model_, &status, 0);
  }
  model_ = -1;
  if (done > 0 && last_words_.empty()) last_words_ = death(status);
}

void ModelCard::lose(const std::string& why) {
  link_.reset();
  reap(why.empty());
  const std::string text = why.empty() ? last_words_ : (last_words_.empty() ? why : why + ": " + last_words_);
  log_error("the card is lost: {}; registers read all ones from now on", text);
  messages_ += fmt::format("{}: the simulated card is lost: {}\n", program_invocation_short_name,
                           printable(text, 400));
}

bool ModelCard::serve_model(const LinkFrame& frame) {
  switch (frame.op) {
    case LinkOp::kLastWords:
      last_words_.assign(frame.payload.begin(), frame.payload.end());
      return true;
    case LinkOp::kHostRead:
    case LinkOp::kHostWrite: {
      LinkFrame answer{LinkOp::kHostAnswer, false, frame.address, frame.size, {}};
      if (!host_) {
        log_warn("the card touched host memory at 0x{:x}, but XRT opened no socket for that", frame.address);
      } else if (frame.op == LinkOp::kHostRead) {
        auto data = host_->read(frame.address, static_cast<std::uint32_t>(frame.size));
        answer.valid = static_cast<bool>(data);
        if (data) {
          answer.payload = std::move(*data);
        } else {
          log_warn("host memory read: {}", data.error().detail);
        }
      } else {
        const auto done = host_->write(frame.address, frame.payload);
        answer.valid = static_cast<bool>(done);
        if (!done) log_warn("host memory write: {}", done.error().detail);
      }
      return static_cast<bool>(link_->send(answer, answer.payload));
    }
    default:
      return false;
  }
}

void ModelCard::pump() {
  if (!link_) return;
  auto frame = link_->receive(std::chrono::milliseconds(0));
  if (frame && !*frame) return;
  if (!frame) {
    lose(frame.error().code == Errc::kDeviceLost ? "the model ended" : frame.error().detail);
  } else if (!serve_model(**frame)) {
    lose("the model ended or sent what nobody asked for");
  }
}

bool ModelCard::call(LinkOp op, std::uint64_t address, std::uint64_t size, ByteView data, LinkFrame& answer) {
  if (!link_) return false;
  const auto until = Clock::now() + patience_;
  if (!link_->send(LinkFrame{op, false, address, size, {}}, data)) {
    pump();  // its last words may lie in the socket
    if (link_) lose("the model ended");
    return false;
  }
  while (link_) {
    auto wait = std::chrono::milliseconds(-1);
    if (patience_.count() > 0) {
      wait = std::max(std::chrono::milliseconds(0),
                      std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()));
    }
    auto frame = link_->receive(wait);
    if (!frame) {
      lose(frame.error().code == Errc::kDeviceLost ? "the model ended" : frame.error().detail);
    } else if (!*frame) {
      if (patience_.count() > 0 && Clock::now() >= until) {
        ::kill(model_, SIGKILL);
        lose(fmt::format("the model did not answer within {} s and was killed", patience_.count()));
      }
    } else if ((*frame)->op == LinkOp::kAnswer) {
      answer = std::move(**frame);
      return true;
    } else if (!serve_model(**frame)) {
      lose("the model ended in the middle of a call");
    }
  }
  return false;
}

Bytes ModelCard::read_registers(std::uint64_t address, std::uint32_t size) {
  LinkFrame answer;
  if (call(LinkOp::kReadRegisters, address, size, {}, answer) && answer.payload.size() == size) {
    return std::move(answer.payload);
  }
  return Bytes(size, 0xff);
}

void ModelCard::write_registers(std::uint64_t address, ByteView data) {
  LinkFrame answer;
  call(LinkOp::kWriteRegisters, address, 0, data, answer);
}

Bytes ModelCard::read_memory(std::uint64_t address, std::uint64_t size) {
  Bytes out(size, 0xff);
  for (std::size_t at = 0; at < size; at += kChunkBytes) {
    const std::size_t n = std::min<std::size_t>(kChunkBytes, size - at);
    LinkFrame answer;
    if (call(LinkOp::kReadMemory, address + at, n, {}, answer) && answer.payload.size() == n) {
      std::ranges::copy(answer.payload, out.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }
  return out;
}

void ModelCard::write_memory(std::uint64_t address, ByteView data) {
  for (std::size_t at = 0; at < data.size(); at += kChunkBytes) {
    LinkFrame answer;
    call(LinkOp::kWriteMemory, address + at, 0, data.subspan(at, std::min(kChunkBytes, data.size() - at)),
         answer);
  }
}

std::uint64_t ModelCard::time_ns() {
  LinkFrame answer;
  std::uint64_t ns = 0;
  if (call(LinkOp::kTime, 0, 0, {}, answer) && answer.payload.size() == sizeof ns) {
    std::memcpy(&ns, answer.payload.data(), sizeof ns);
  }
  return ns;
}

std::string ModelCard::inject(const std::string& plan) {
  LinkFrame answer;
  if (!call(LinkOp::kInject, 0, 0, {reinterpret_cast<const Byte*>(plan.data()), plan.size()}, answer)) return "the card is lost";
  return {answer.payload.begin(), answer.payload.end()};
}

void ModelCard::close() {
  LinkFrame answer;
  const bool lived = call(LinkOp::kClose, 0, 0, {}, answer);
  host_.reset();  // before XRT hears that the card is closed: it then waits for its thread at the second
                  // socket
  if (!lived) return;
  link_.reset();
  reap(false);
}

std::string ModelCard::take_messages() { return std::exchange(messages_, {}); }

}  // namespace esplanade::sim
