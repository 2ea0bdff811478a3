#include "driver/scope.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "common/base/log.h"
#include "common/base/unix_listener.h"
#include "common/esp/ip.h"
#include "driver/record_coder.h"

namespace esplanade {

namespace {

namespace reg = card::reg;
using Steady = std::chrono::steady_clock;
using Json = nlohmann::json;

using Kind = RecordKind;

constexpr std::string_view kMagic = "ESPDRV2\n";
constexpr std::size_t kSaRecordBytes = 160;      // at most
constexpr std::size_t kPayloadMax = 32 * 1024;  // octets of rings in one record
constexpr std::size_t kClientsMax = 4, kQuestionMax = 8 * 1024, kRegistersMax = 1024, kMemoryMax = 64 * 1024;
constexpr std::uint64_t kRecordBytesMin = 128 << 10;
constexpr std::size_t kWaitingMax = 4 << 20;  // octets that the disk may be behind
constexpr std::size_t kHeaderMax = 64 * 1024;
constexpr std::size_t kAtOnceMax = 16, kFormerMax = 4;
constexpr std::chrono::seconds kFlushEvery{1};

constexpr std::uint8_t kRedacted = 1;
constexpr std::uint8_t kBefore = 0;  // flags of an SA or queue that was there when this file began
constexpr Kind kind_of(Device::Moment moment) {
  switch (moment) {
    case Device::Moment::kSubmitted: return Kind::kSubmitted;
    case Device::Moment::kDelivered: return Kind::kDelivered;
    case Device::Moment::kArrived: return Kind::kArrived;
    case Device::Moment::kSent: break;
  }
  return Kind::kSent;
}

struct Register {
  const card::Reg* of = nullptr;
  std::uint32_t n = 0;
};

/// The register at `offset`.
Register register_at(std::uint32_t offset) {
  static const std::vector<Register> all = [] {
    std::vector<Register> out;
    for (const card::Reg& r : reg::kAll) {
      if (r.at(r.count - 1) / 4 >= out.size()) out.resize(r.at(r.count - 1) / 4 + 1);
      for (std::uint32_t n = 0; n < r.count; ++n) out[r.at(n) / 4] = {&r, n};
    }
    return out;
  }();
  return offset % 4 == 0 && offset / 4 < all.size() ? all[offset / 4] : Register{};
}

/// Values that go into no recording: write-only registers but for the SA command.
bool is_secret(std::uint32_t offset) {
  const Register r = register_at(offset);
  return r.of == nullptr || (r.of->access == card::Access::kWo && r.of->offset != reg::kSaCommand.offset);
}

/// What of a packet's headers decides how the card treats it: lengths, IP version, protocol, whether it is a fragment; of one to be decapsulated SPI and
/// number, which its completion has, too. Nothing else of a packet goes into a recording. No packet: all zero.
constexpr std::size_t kShapeBytes = RecordCoder::kShapeBytes;
void put_shape(ByteView packet, bool decap, Byte* out) {
  constexpr Byte kSound = 1, kFragment = 2;
  if (packet.empty()) return;
  out[0] = packet[0] >> 4;
  const auto ip = esp::parse_ip(packet);
  if (!ip) {  // what its header says
    if (out[0] != 4 || packet.size() < 20) return;
    store_le16(&out[4], static_cast<std::uint16_t>(4 * (packet[0] & 0xf)));
    store_le16(&out[6], load_be16(&packet[2]));
    return;
  }
  out[1] = static_cast<Byte>(kSound | (ip->fragment ? kFragment : 0));
  out[2] = ip->protocol;
  store_le16(&out[4], static_cast<std::uint16_t>(ip->upper_at));
  store_le16(&out[6], static_cast<std::uint16_t>(ip->total_len));
  const std::size_t spi_at = ip->upper_at + (ip->protocol == esp::kProtoAh ? 4 : ip->protocol == esp::kProtoUdp ? 8 : 0);
  if (!decap || ip->fragment || spi_at + 8 > packet.size()) return;
  store_le32(&out[8], load_be32(&packet[spi_at]));
  store_le32(&out[12], load_be32(&packet[spi_at + 4]));
}

/// What the host put into the card's SA table, without keys; by what it wrote to the entry window.
class SaShadow {
 public:
  /// An entry as far as its keys, which come last.
  static constexpr std::size_t kKeyless = card::sa_entry::kEncKey.lsb / 8;
  static_assert(card::sa_entry::kAuthKey.lsb > card::sa_entry::kEncKey.lsb && card::sa_entry::kDst.lsb < card::sa_entry::kEncKey.lsb);
  ByteView window() const { return ByteView(window_).first(kKeyless); }
  std::uint32_t index() const { return index_; }
  template <class F>
  void each(F f) const {
    for (const auto& [index, image] : entries_) f(index, ByteView(image).first(kKeyless));
  }
  std::size_t size() const { return entries_.size(); }

  void write(std::uint32_t offset, std::uint32_t value) {
    const Register r = register_at(offset);
    if (r.of == nullptr) return;
    if (r.of->offset == reg::kSaIndex.offset) index_ = value;
    if (r.of->offset == reg::kSaEntry.offset && 4 * r.n < kKeyless) {
      store_le32(&window_[4 * r.n], value);
    }
    if (r.of->offset == reg::kSaCommand.offset) pending_ = static_cast<card::SaCommand>(value);
  }
  /// SA_STATUS, read after a command.
  void status(std::uint32_t word) {
    if (!pending_ || reg::kSaStatusBusy.get(word) != 0) return;
    const bool done = static_cast<card::SaResult>(reg::kSaStatusResult.get(word)) == card::SaResult::kOk;
    if (done && (*pending_ == card::SaCommand::kInstall || *pending_ == card::SaCommand::kUpdate)) {
      if (*pending_ == card::SaCommand::kUpdate && entries_.contains(index_)) {  // numbers and algorithms stay
        const Image before = entries_[index_];
        std::copy_n(before.begin() + 16, 8, window_.begin() + 16);
      }
      entries_[index_] = window_;
    }
    if (done && *pending_ == card::SaCommand::kRemove) entries_.erase(index_);
    if (done && *pending_ == card::SaCommand::kClear) entries_.clear();
    if (*pending_ != card::SaCommand::kView) window_.fill(0);
    pending_.reset();
  }
  Json list() const {
    namespace entry = card::sa_entry;
    Json out = Json::array();
    for (const auto& [index, entry_image] : entries_) {
      const Image& image = entry_image;  // clang 14 lets no lambda capture a structured binding
      const auto number = [&image](card::Field f) { return card::get(image, f); };
      const bool v6 = number(entry::kOuterV6) != 0;
      const auto address = [&](card::Field f) {
        esp::IpAddress a;
        a.version = v6 ? 6 : 4;
        std::ranges::copy(card::octets(std::span<const std::uint8_t>(image), f), a.octets.begin());
        return esp::to_string(a);
      };
      out.push_back({{"index", index}, {"spi", number(entry::kSpi)}, {"outbound", number(entry::kOutbound) != 0}, {"ah", number(entry::kAh) != 0},
                     {"transport", number(entry::kTransport) != 0}, {"natt", number(entry::kNatt) != 0}, {"esn", number(entry::kEsn) != 0},
                     {"cipher", name_of(static_cast<card::Cipher>(number(entry::kCipher)))}, {"auth", name_of(static_cast<card::Auth>(number(entry::kAuth)))},
                     {"replay_window", number(entry::kReplayWindow)}, {"src", address(entry::kSrc)}, {"dst", address(entry::kDst)},
                     {"soft_seconds", number(entry::kSoftSeconds)}, {"hard_seconds", number(entry::kHardSeconds)}, {"soft_bytes", number(entry::kSoftBytes)},
                     {"hard_bytes", number(entry::kHardBytes)}, {"soft_packets", number(entry::kSoftPackets)}, {"hard_packets", number(entry::kHardPackets)}});
    }
    return out;
  }

 private:
  using Image = std::array<Byte, card::sa_entry::kSize>;
  Image window_{};
  std::uint32_t index_ = 0;
  std::optional<card::SaCommand> pending_;
  std::map<std::uint32_t, Image> entries_;
};

/// A ring in a buffer of the host.
struct Ring {
  enum class Kind : std::uint8_t { kSubmission, kCompletion, kEvent } kind;
  std::uint32_t queue;
  std::uint64_t address;
  std::size_t entry_bytes, entries;
  Bytes seen;  // what was recorded of it
  std::size_t bytes() const { return entry_bytes * entries; }
};

constexpr const char* name_of(Ring::Kind kind) {
  return kind == Ring::Kind::kSubmission ? "submission" : kind == Ring::Kind::kCompletion ? "completion" : "event";
}

/// The recording: a file of half the limit, and the one before it with ".1" behind its name. Each says in its header how many records of this recording came
/// before it. A thread of its own writes it, so that who drives the card codes a record and goes on; it waits only when it is far ahead of the disk. Its lock is
/// that of the ScopeDevice, which a transaction takes once whatever it puts; who puts, cuts or counts has it.
class Recorder {
 public:
  static Result<std::unique_ptr<Recorder>> create(const ScopeOptions& options, const DeviceInfo& info, std::mutex& mutex) {
    std::unique_ptr<Recorder> made(new Recorder(options, info, mutex));
    ESPLANADE_CHECK(made->choose_path());
    ESPLANADE_CHECK(made->begin(0));
    made->writer_ = std::thread([r = made.get()] { r->write_all(); });
    return made;
  }
  ~Recorder() {
    if (!writer_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    more_.notify_one();
    writer_.join();
  }

  /// Returns when the disk is not far behind. Not between records that belong together: others' could come between them.
  void wait_for_disk(std::unique_lock<std::mutex>& lock) {
    less_.wait(lock, [this] { return !file_ || filling_.size() < most_waiting_; });
  }
  void put(Kind kind, std::uint8_t flags, Steady::time_point began, std::uint64_t address, std::uint64_t value, ByteView payload = {}) {
    if (!file_) return;
    const auto since = [](Steady::duration d) { return static_cast<std::uint64_t>(std::max(Steady::duration::zero(), d).count()); };
    const std::uint64_t took = takes_time(kind) ? std::min<std::uint64_t>(since(Steady::now() - began), 0xffff'ffff) : 0;
    const std::size_t before = filling_.size();
    coder_.put(filling_, {kind, flags, thread_number(), since(began - start_), address, value, static_cast<std::uint32_t>(took), payload});
    part_bytes_ += filling_.size() - before;
    ++records_;
    if (before < worth_writing_ && filling_.size() >= worth_writing_) more_.notify_one();
  }
  /// The file is full, and what follows should go into the next.
  bool is_full() const { return part_bytes_ >= part_max(); }
  /// Octets that one file takes.
  std::uint64_t part_max() const { return options_.record_bytes / 2; }
  /// What is put from here on goes into the next file.
  void cut() {
    cuts_.push_back({filling_.size(), records_});
    part_bytes_ = 0;
    coder_.restart();
  }
  /// All that was put is in the file.
  void flush(std::unique_lock<std::mutex>& lock) {
    flush_ = true;
    more_.notify_one();
    less_.wait(lock, [this] { return !file_ || (filling_.empty() && !writing_); });
  }
  std::uint64_t records() const { return records_; }
  const std::string& path() const { return path_; }

 private:
  Recorder(ScopeOptions options, const DeviceInfo& info, std::mutex& mutex)
      : options_(std::move(options)), info_(info), most_waiting_(std::min<std::size_t>(kWaitingMax, options_.record_bytes / 8)), worth_writing_(most_waiting_ / 8), mutex_(mutex), coder_(info.queues) {}

  struct Cut {
    std::size_t at;         // in filling_
    std::uint64_t records;  // before it
  };

  /// Which recording under this name that is: one more than the one that is there says of itself.
  static std::uint64_t after(const std::string& path) {
    std::ifstream former(path, std::ios::binary);
    std::string line(kMagic.size(), '\0');
    if (!former.read(line.data(), static_cast<std::streamsize>(line.size())) || line != kMagic) return 1;
    line.assign(kHeaderMax, '\0');
    former.getline(line.data(), static_cast<std::streamsize>(line.size()));
    const Json header = Json::parse(line.c_str(), nullptr, false);
    const Json number = header.is_object() ? header.value("recording", Json(1u)) : Json(1u);
    return number.is_number_unsigned() ? number.get<std::uint64_t>() + 1 : 2;
  }

  /// The file of the options, or with "@2" and so on where another card has it; a recording that is there is kept under another name.
  Status choose_path() {
    for (std::size_t n = 1; n <= kAtOnceMax; ++n) {
      path_ = n == 1 ? options_.record : fmt::format("{}@{}", options_.record, n);
      ESPLANADE_TRY(former, open_file(O_WRONLY | O_CREAT));
      if (::flock(former.get(), LOCK_EX | LOCK_NB) != 0) continue;
      if (::lseek(former.get(), 0, SEEK_END) == 0) return ok();
      recording_ = after(path_);
      const auto kept = [this](std::size_t age) { return age == 0 ? path_ : fmt::format("{}-{}", path_, age); };
      for (std::size_t age = kFormerMax; age-- > 0;) {
        for (const char* part : {"", ".1"}) {
          std::remove((kept(age + 1) + part).c_str());
          std::rename((kept(age) + part).c_str(), (kept(age + 1) + part).c_str());
        }
      }
      return ok();
    }
    return Error{Errc::kState, fmt::format("{}: {} recordings are being made there at once", options_.record, kAtOnceMax)};
  }

  Result<Fd> open_file(int flags) const {
    Fd fd(::open(path_.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return os_error(path_, errno);
    return fd;
  }

  /// A file for what comes after `records_before`.
  Status begin(std::uint64_t records_before) {
    ESPLANADE_TRY(fd, open_file(O_WRONLY | O_CREAT | O_TRUNC));
    static_cast<void>(::flock(fd.get(), LOCK_EX | LOCK_NB));  // says that it is in use; a race for it harms nobody
    const std::string head = std::string(kMagic) + Json{{"program", program_invocation_short_name}, {"pid", ::getpid()}, {"unix_ns", unix_ns_}, {"recording", recording_},
        {"records_before", records_before}, {"format_version", info_.format_version}, {"build", info_.build}, {"caps", info_.caps}, {"lanes", info_.lanes}, {"queues", info_.queues},
        {"slots", info_.slots}, {"sa_entries", info_.sa_entries}, {"max_packet", info_.max_packet}, {"clock_hz", info_.clock_hz}, {"simulated", info_.simulated}}.dump() + "\n";
    file_ = std::move(fd);
    return write_out({reinterpret_cast<const Byte*>(head.data()), head.size()});
  }

  Status write_out(ByteView octets) {
    while (!octets.empty()) {
      const ssize_t n = ::write(file_.get(), octets.data(), octets.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return os_error(path_, errno);
      octets = octets.subspan(static_cast<std::size_t>(n));
    }
    return ok();
  }

  /// `octets`, with the next file begun at each cut.
  Status store(ByteView octets, std::span<const Cut> cuts) {
    std::size_t at = 0;
    for (const Cut& cut : cuts) {
      ESPLANADE_CHECK(write_out(octets.subspan(at, cut.at - at)));
      at = cut.at;
      std::rename(path_.c_str(), (path_ + ".1").c_str());
      ESPLANADE_CHECK(begin(cut.records));
    }
    return write_out(octets.subspan(at));
  }

  void write_all() {
    Bytes writing;
    std::vector<Cut> cuts;
    std::unique_lock lock(mutex_);
    for (;;) {
      more_.wait_for(lock, kFlushEvery, [this] { return ending_ || flush_ || filling_.size() >= worth_writing_; });
      std::swap(writing, filling_);
      std::swap(cuts, cuts_);
      flush_ = false;
      writing_ = true;
      const bool last = ending_;
      lock.unlock();
      const Status stored = store(writing, cuts);
      writing.clear();
      cuts.clear();
      lock.lock();
      if (!stored) {
        log_warn("{}; the recording ends here", stored.error().detail);
        file_.reset();
      }
      writing_ = false;
      less_.notify_all();
      if (last || !stored) return;
    }
  }

  static std::uint32_t thread_number() {
    static thread_local const auto number = static_cast<std::uint32_t>(::syscall(SYS_gettid));
    return number;
  }

  const ScopeOptions options_;
  const DeviceInfo info_;
  const Steady::time_point start_ = Steady::now();
  const std::size_t most_waiting_, worth_writing_;  // octets
  const std::int64_t unix_ns_ = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();  // of start_
  std::string path_;
  std::uint64_t recording_ = 1;  // under this name
  std::thread writer_;
  std::mutex& mutex_;  // of all below
  std::condition_variable more_, less_;
  Fd file_;  // none: it could not be written
  RecordCoder coder_;
  Bytes filling_;
  std::vector<Cut> cuts_;        // of filling_
  std::uint64_t part_bytes_ = 0;  // put since the last
  std::uint64_t records_ = 0;
  bool flush_ = false, ending_ = false;  // asked for
  bool writing_ = false;                 // what was taken out of filling_
};

class ScopeDevice;

class ScopeBuffer final : public Device::Buffer {
 public:
  ScopeBuffer(ScopeDevice& device, std::unique_ptr<Device::Buffer> buffer) : device_(device), buffer_(std::move(buffer)) {}
  ~ScopeBuffer() override;
  ScopeBuffer(const ScopeBuffer&) = delete;
  ScopeBuffer& operator=(const ScopeBuffer&) = delete;
  MutableBytes data() override { return buffer_->data(); }
  std::uint64_t address() const override { return buffer_->address(); }
  Status sync_to_card(std::size_t offset, std::size_t size) override;
  Status sync_from_card(std::size_t offset, std::size_t size) override;

 private:
  ScopeDevice& device_;
  std::unique_ptr<Device::Buffer> buffer_;
};

class ScopeDevice final : public Device {
 public:
  explicit ScopeDevice(std::unique_ptr<Device> device) : device_(std::move(device)) {}
  ~ScopeDevice() override {
    if (!server_.joinable()) return;
    const std::uint64_t one = 1;
    static_cast<void>(!::write(stop_.get(), &one, sizeof one));
    server_.join();
  }

  Status record(const ScopeOptions& options) {
    ESPLANADE_TRY(made, Recorder::create(options, info(), mutex_));
    recorder_ = std::move(made);
    return ok();
  }
  Status serve(const std::string& path);

  const DeviceInfo& info() const override { return device_->info(); }

  Result<std::uint32_t> read32(std::uint32_t offset) override {
    const auto began = Steady::now();
    auto value = device_->read32(offset);
    const auto lock = enter();
    if (!value) {
      failed(began, offset, value.error());
    } else {
      if (offset == reg::kSaStatus.offset) sas_.status(*value);
      put(Kind::kRead, 0, began, offset, *value);
    }
    return value;
  }

  Status write32(std::uint32_t offset, std::uint32_t value) override {
    const auto began = Steady::now();
    const Status done = device_->write32(offset, value);
    const auto lock = enter();
    if (!done) {
      failed(began, offset, done.error());
      return done;
    }
    const bool secret = is_secret(offset);
    put(Kind::kWrite, secret ? kRedacted : std::uint8_t{0}, began, offset, secret ? 0 : value);
    sas_.write(offset, value);
    const auto command = static_cast<card::SaCommand>(value);
    if (recorder_ && offset == reg::kSaCommand.offset && (command == card::SaCommand::kInstall || command == card::SaCommand::kUpdate)) {
      recorder_->put(Kind::kSa, static_cast<std::uint8_t>(value), began, sas_.index(), 0, sas_.window());
    }
    note_rings(offset, value);
    return done;
  }

  Result<std::unique_ptr<Buffer>> allocate(std::size_t bytes) override {
    const auto began = Steady::now();
    auto buffer = device_->allocate(bytes);
    const auto lock = enter();
    if (!buffer) {
      failed(began, bytes, buffer.error());
      return buffer.error();
    }
    auto made = std::make_unique<ScopeBuffer>(*this, std::move(*buffer));
    buffers_[made->address()] = made->data();
    put(Kind::kAllocate, 0, began, made->address(), made->data().size());
    return std::unique_ptr<Buffer>(std::move(made));
  }

  void note(Moment moment, std::uint32_t queue, std::uint64_t first, std::uint32_t count, Steady::time_point when) override {
    if (!recorder_) return;
    if (when == Steady::time_point()) when = Steady::now();
    const auto lock = enter();
    recorder_->put(kind_of(moment), 0, when, first, std::uint64_t{count} << 32 | queue);
  }
  bool recording() const override { return recorder_ != nullptr; }

  void freed(std::uint64_t address) {
    const auto lock = enter();
    const auto at = buffers_.find(address);
    if (at == buffers_.end()) return;
    std::erase_if(rings_, [&](const Ring& r) { return r.address >= address && r.address - address < at->second.size(); });
    put(Kind::kFree, 0, Steady::now(), address, at->second.size());
    buffers_.erase(at);
  }

  void moved(Kind kind, Steady::time_point began, std::uint64_t address, ByteView octets, const Status& done) {
    const auto lock = enter();
    if (!done) return failed(began, address, done.error());
    put(kind, 0, began, address, octets.size());
    if (!recorder_) return;
    for (Ring& ring : rings_) {
      const bool to_card = ring.kind == Ring::Kind::kSubmission;
      if (to_card == (kind == Kind::kToCard)) put_ring(ring, began, address, octets);
    }
  }

 private:
  /// The lock, for one transaction and all records of it.
  std::unique_lock<std::mutex> enter() {
    std::unique_lock lock(mutex_);
    if (recorder_) {
      recorder_->wait_for_disk(lock);
      if (recorder_->is_full()) next_part();
    }
    return lock;
  }
  void put(Kind kind, std::uint8_t flags, Steady::time_point began, std::uint64_t address, std::uint64_t value) {
    ++transactions_;
    if (recorder_) recorder_->put(kind, flags, began, address, value);
  }

  /// A file must be understood without those before it, which may be gone: it begins with the queues and SAs that are there, but for more SAs than a quarter of it holds.
  void next_part() {
    recorder_->cut();
    const auto now = Steady::now();
    for (const auto& [offset, value] : last_) {
      const Register r = register_at(offset);
      if (r.of->offset == reg::kQControl.offset && reg::kQControlEnable.get(value) != 0) recorder_->put(Kind::kQueue, kBefore, now, r.n, value);
    }
    if (sas_.size() * kSaRecordBytes > recorder_->part_max() / 4) return;
    sas_.each([&](std::uint32_t index, ByteView image) { recorder_->put(Kind::kSa, kBefore, now, index, 0, image); });
  }
  void failed(Steady::time_point began, std::uint64_t address, const Error& error) {
    ++transactions_;
    const std::string text = error.detail.substr(0, 400);
    if (recorder_) recorder_->put(Kind::kError, 0, began, address, static_cast<std::uint64_t>(error.code), {reinterpret_cast<const Byte*>(text.data()), text.size()});
  }

  /// Entries of `ring` among the octets at `address` that changed since they were last seen.
  void put_ring(Ring& ring, Steady::time_point began, std::uint64_t address, ByteView octets) {
    const std::uint64_t from = std::max(address, ring.address), to = std::min(address + octets.size(), ring.address + ring.bytes());
    if (from >= to) return;
    const std::size_t size = ring.entry_bytes;
    std::size_t at = static_cast<std::size_t>(from - ring.address + size - 1) / size * size;
    const auto end = static_cast<std::size_t>(to - ring.address) / size * size;
    const auto given = [&](std::size_t place) { return octets.subspan(static_cast<std::size_t>(ring.address + place - address), size); };
    const auto is_new = [&](std::size_t place) { return !std::ranges::equal(given(place), ByteView(ring.seen).subspan(place, size)); };
    while (at < end) {
      std::size_t run = at;
      while (run < end && run - at + size <= kPayloadMax && is_new(run)) run += size;
      if (run > at) {
        const ByteView changed = octets.subspan(static_cast<std::size_t>(ring.address + at - address), run - at);
        std::ranges::copy(changed, ring.seen.begin() + static_cast<std::ptrdiff_t>(at));
        if (ring.kind == Ring::Kind::kSubmission) put_shapes(ring.queue, began, changed);
        recorder_->put(Kind::kRing, static_cast<std::uint8_t>(ring.kind), began, ring.address + at, ring.queue, changed);
      }
      at = std::max(run, at + size);
    }
  }

  /// Of the packets that these descriptors hand over.
  void put_shapes(std::uint32_t queue, Steady::time_point began, ByteView descriptors) {
    namespace desc = card::descriptor;
    shapes_.assign(descriptors.size() / desc::kSize * kShapeBytes, 0);
    for (std::size_t i = 0; i * desc::kSize < descriptors.size(); ++i) {
      const ByteView d = descriptors.subspan(i * desc::kSize, desc::kSize);
      put_shape(source(d), card::get(d, desc::kOp) == static_cast<std::uint64_t>(card::Op::kDecap), &shapes_[i * kShapeBytes]);
    }
    recorder_->put(Kind::kShape, 0, began, 0, queue, shapes_);
  }

  /// The packet that a descriptor hands over; nothing where it is in no buffer of this program.
  ByteView source(ByteView descriptor) {
    namespace desc = card::descriptor;
    const std::uint64_t address = card::get(descriptor, desc::kSrcAddr);
    const auto size = static_cast<std::size_t>(card::get(descriptor, desc::kSrcLen));
    const std::uint64_t segments = card::get(descriptor, desc::kNumSegments);
    if (segments == 0) return at(address, size);
    constexpr std::size_t kEntry = 16;  // u64 address, u32 length, u32 0
    const ByteView list = at(address, static_cast<std::size_t>(segments) * kEntry);
    gathered_.clear();
    for (std::size_t i = 0; i < list.size(); i += kEntry) {
      const ByteView part = at(std::uint64_t{load_le32(&list[i + 4])} << 32 | load_le32(&list[i]), load_le32(&list[i + 8]));
      if (part.empty() || gathered_.size() + part.size() > size) return {};
      esplanade::put(gathered_, part);
    }
    return gathered_;
  }
  ByteView at(std::uint64_t address, std::size_t size) const {
    auto found = buffers_.upper_bound(address);
    if (found == buffers_.begin()) return {};
    const auto& [base, octets] = *--found;
    return address - base <= octets.size() && size <= octets.size() - (address - base) ? ByteView(octets).subspan(static_cast<std::size_t>(address - base), size) : ByteView();
  }

  /// A ring begins when its queue is switched on, and ends with it.
  void note_rings(std::uint32_t offset, std::uint32_t value) {
    const Register r = register_at(offset);
    if (r.of == nullptr) return;
    last_[offset] = value;
    const auto base = [&](const card::Reg& lo, const card::Reg& hi) { return std::uint64_t{last_[hi.at(r.n)]} << 32 | last_[lo.at(r.n)]; };
    const auto begin = [&](Ring::Kind kind, std::uint64_t address, std::size_t entry_bytes, std::uint32_t log2_size) {
      if (log2_size > card::kRingLog2Max) return;
      const std::size_t entries = std::size_t{1} << log2_size;
      rings_.push_back({kind, r.n, address, entry_bytes, entries, Bytes(recorder_ ? entry_bytes * entries : 0)});
    };
    if (r.of->offset == reg::kQControl.offset) {
      std::erase_if(rings_, [&](const Ring& ring) { return ring.kind != Ring::Kind::kEvent && ring.queue == r.n; });
      if (reg::kQControlEnable.get(value) == 0) return;
      const std::uint32_t log2_size = reg::kQControlLog2Size.get(value);
      begin(Ring::Kind::kSubmission, base(reg::kSqBaseLo, reg::kSqBaseHi), card::kDescriptorBytes, log2_size);
      begin(Ring::Kind::kCompletion, base(reg::kCqBaseLo, reg::kCqBaseHi), card::kCompletionBytes, log2_size);
    } else if (r.of->offset == reg::kEventControl.offset) {
      std::erase_if(rings_, [](const Ring& ring) { return ring.kind == Ring::Kind::kEvent; });
      if (reg::kEventControlEnable.get(value) == 0) return;
      begin(Ring::Kind::kEvent, base(reg::kEventBaseLo, reg::kEventBaseHi), card::kEventBytes, reg::kEventControlLog2Size.get(value));
    }
  }

  void flush() {
    std::unique_lock lock(mutex_);
    if (recorder_) recorder_->flush(lock);
  }
  void server();
  Json answer(const std::string& question);
  Json read_registers(const Json& offsets);
  Json read_ring(const Json& question);

  const std::unique_ptr<Device> device_;
  std::mutex mutex_;  // of all below
  std::unique_ptr<Recorder> recorder_;
  SaShadow sas_;
  std::map<std::uint32_t, std::uint32_t> last_;          // register offset -> last value written
  std::map<std::uint64_t, MutableBytes> buffers_;        // by card address
  std::vector<Ring> rings_;
  Bytes shapes_, gathered_;                              // of the packets at hand
  std::uint64_t transactions_ = 0;

  std::optional<UnixListener> listener_;
  Fd stop_;
  std::thread server_;
};

ScopeBuffer::~ScopeBuffer() {
  device_.freed(buffer_->address());
}
Status ScopeBuffer::sync_to_card(std::size_t offset, std::size_t size) {
  const auto began = Steady::now();
  const Status done = buffer_->sync_to_card(offset, size);
  device_.moved(Kind::kToCard, began, address() + offset, buffer_->data().subspan(offset, size), done);
  return done;
}
Status ScopeBuffer::sync_from_card(std::size_t offset, std::size_t size) {
  const auto began = Steady::now();
  const Status done = buffer_->sync_from_card(offset, size);
  device_.moved(Kind::kFromCard, began, address() + offset, buffer_->data().subspan(offset, size), done);
  return done;
}

// ---------------------------------------------------------------------------------------------------------- the socket

Json refusal(std::string_view why) { return {{"error", why}}; }

/// Reads registers by offset; one that cannot be read without a change is null, with the reason beside it.
Json ScopeDevice::read_registers(const Json& offsets) {
  if (!offsets.is_array() || offsets.size() > kRegistersMax) return refusal("registers must be a list of at most 1024 offsets");
  Json values = Json::array(), skipped = Json::object();
  for (const Json& given : offsets) {
    const Register r = given.is_number_unsigned() && given.get<std::uint64_t>() < 0x1'0000 ? register_at(given.get<std::uint32_t>()) : Register{};
    if (r.of == nullptr) return refusal("no register at an offset that was asked for");
    const std::uint32_t offset = r.of->at(r.n);
    if (r.of->access == card::Access::kWo || r.of->on_read[0] != '\0') {
      values.push_back(nullptr);
      skipped[std::to_string(offset)] = r.of->access == card::Access::kWo ? "write-only" : r.of->on_read;
      continue;
    }
    const auto value = device_->read32(offset);  // not through this object: a look leaves no trace in the recording
    if (!value) return refusal(value.error().detail);
    values.push_back(*value);
  }
  return {{"values", values}, {"skipped", skipped}};
}

/// Octets of one ring as the host last saw or wrote them.
Json ScopeDevice::read_ring(const Json& question) {
  const auto number = question.value("ring", Json());
  const std::lock_guard lock(mutex_);
  if (!number.is_number_unsigned() || number.get<std::size_t>() >= rings_.size()) return refusal("ring must be a number below that of the rings");
  const Ring& ring = rings_[number.get<std::size_t>()];
  const Json first = question.value("first", Json(0u)), count = question.value("count", Json(1u));
  if (!first.is_number_unsigned() || !count.is_number_unsigned() || first.get<std::uint64_t>() >= ring.entries || count.get<std::uint64_t>() == 0 ||
      count.get<std::uint64_t>() > ring.entries - first.get<std::uint64_t>() || count.get<std::uint64_t>() * ring.entry_bytes > kMemoryMax) {
    return refusal("first and count must lie inside the ring, 64 KiB at most");
  }
  const std::uint64_t address = ring.address + first.get<std::uint64_t>() * ring.entry_bytes;
  const std::size_t size = count.get<std::size_t>() * ring.entry_bytes;
  const ByteView octets = at(address, size);
  return octets.empty() ? refusal("the ring lies in no buffer of this program") : Json{{"octets", to_hex(octets)}};
}

Json ScopeDevice::answer(const std::string& text) {
  const Json question = Json::parse(text, nullptr, false);
  if (!question.is_object() || !question.contains("ask") || !question["ask"].is_string()) return refusal("a question is an object with \"ask\"");
  const std::string ask = question["ask"];
  if (ask == "registers") return read_registers(question.value("offsets", Json()));
  if (ask == "ring") return read_ring(question);
  const std::lock_guard lock(mutex_);
  if (ask == "hello") {
    const DeviceInfo& i = device_->info();
    return {{"program", program_invocation_short_name}, {"pid", ::getpid()}, {"format_version", i.format_version}, {"build", i.build}, {"lanes", i.lanes},
            {"queues", i.queues}, {"slots", i.slots}, {"sa_entries", i.sa_entries}, {"max_packet", i.max_packet}, {"clock_hz", i.clock_hz}, {"simulated", i.simulated},
            {"transactions", transactions_}, {"recording", recorder_ ? Json(recorder_->path()) : Json()}, {"records", recorder_ ? recorder_->records() : 0}};
  }
  if (ask == "rings") {
    Json out = Json::array();
    for (const Ring& r : rings_) {
      out.push_back({{"kind", name_of(r.kind)}, {"queue", r.queue}, {"address", r.address}, {"entries", r.entries}, {"entry_bytes", r.entry_bytes}});
    }
    return {{"rings", out}};
  }
  if (ask == "sas") return {{"sas", sas_.list()}};
  if (ask == "buffers") {
    Json out = Json::array();
    for (const auto& [address, octets] : buffers_) out.push_back({{"address", address}, {"bytes", octets.size()}});
    return {{"buffers", out}};
  }
  return refusal("ask is hello, registers, rings, ring, sas or buffers");
}

/// Questions of up to kClientsMax clients, a line each; whoever sends rubbish or does not read is cut off.
void ScopeDevice::server() {
  struct Client {
    Fd fd;
    std::string line;
  };
  std::vector<Client> clients;
  const auto serve_client = [this](Client& c) {
    char part[4096];
    const ssize_t got = ::recv(c.fd.get(), part, sizeof part, MSG_DONTWAIT);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    c.line.append(part, static_cast<std::size_t>(got));
    for (std::size_t end; (end = c.line.find('\n')) != std::string::npos; c.line.erase(0, end + 1)) {
      flush();  // who asks reads the recording next
      const std::string out = answer(c.line.substr(0, end)).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
      timeval patience{1, 0};
      ::setsockopt(c.fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      for (std::size_t at = 0; at < out.size();) {
        const ssize_t sent = ::send(c.fd.get(), out.data() + at, out.size() - at, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        at += static_cast<std::size_t>(sent);
      }
    }
    return c.line.size() <= kQuestionMax;
  };
  for (;;) {
    std::vector<pollfd> waits{{stop_.get(), POLLIN, 0}, {clients.size() < kClientsMax ? listener_->fd() : -1, POLLIN, 0}};
    for (const Client& c : clients) waits.push_back({c.fd.get(), POLLIN, 0});
    if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) break;
    if (waits[0].revents != 0) break;
    for (std::size_t i = clients.size(); i-- > 0;) {
      if (waits[i + 2].revents != 0 && !serve_client(clients[i])) clients.erase(clients.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (waits[1].revents != 0) {
      if (Fd fd(::accept4(listener_->fd(), nullptr, nullptr, SOCK_CLOEXEC)); fd) clients.push_back({std::move(fd), {}});
    }
  }
}

Status ScopeDevice::serve(const std::string& path) {
  stop_ = Fd(::eventfd(0, EFD_CLOEXEC));
  if (!stop_) return os_error("cannot make an eventfd", errno);
  for (std::size_t n = 1; !listener_; ++n) {
    auto listener = UnixListener::create(n == 1 ? path : fmt::format("{}@{}", path, n), SOCK_STREAM, 64);
    if (listener) {
      listener_.emplace(std::move(*listener));
    } else if (listener.error().code != Errc::kState || n == kAtOnceMax) {  // kState: another card has it
      return listener.error();
    }
  }
  server_ = std::thread([this] { server(); });
  return ok();
}

}  // namespace

namespace {
/// A number of MiB, as 256 or 0.5, in octets; 0: none that makes sense.
std::uint64_t bytes_of_mib(const std::string& text) {
  constexpr double kMost = 1 << 24;
  double mib = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), mib, std::chars_format::fixed);
  return wrong == std::errc() && end == text.data() + text.size() && mib > 0 && mib <= kMost ? static_cast<std::uint64_t>(mib * (1 << 20)) : 0;
}
}  // namespace

ScopeOptions scope_options_from_environment() {
  ScopeOptions out;
  const auto text = [](const char* name) {
    const char* value = ::secure_getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  out.record = text("ESPLANADE_RECORD");
  out.socket = text("ESPLANADE_SCOPE");
  if (const std::string mib = text("ESPLANADE_RECORD_MIB"); !mib.empty()) out.record_bytes = bytes_of_mib(mib);
  return out;
}

Result<std::unique_ptr<Device>> watch(std::unique_ptr<Device> device, const ScopeOptions& options) {
  if (options.record.empty() && options.socket.empty()) return device;
  auto scope = std::make_unique<ScopeDevice>(std::move(device));
  if (!options.record.empty()) {
    if (options.record_bytes < kRecordBytesMin) return Error{Errc::kBadConfig, "ESPLANADE_RECORD_MIB must be a number of MiB, at least 0.125"};
    ESPLANADE_CHECK(scope->record(options));
  }
  if (!options.socket.empty()) ESPLANADE_CHECK(scope->serve(options.socket));
  return std::unique_ptr<Device>(std::move(scope));
}

}  // namespace esplanade
