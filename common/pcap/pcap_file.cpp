#include "common/pcap/pcap_file.h"

#include <fmt/format.h>
#include <pcap/pcap.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "common/base/log.h"

namespace esplanade::pcap {

namespace {
constexpr int kSnapLen = 262144;

// Octets in front of the IP packet, or nothing where the frame carries none.
std::optional<std::size_t> ip_offset(int link, ByteView frame) {
  const auto is_ip = [](std::uint16_t ether_type) { return ether_type == 0x0800 || ether_type == 0x86dd; };
  switch (link) {
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6: return 0;
    case DLT_NULL:
    case DLT_LOOP: return frame.size() >= 4 ? std::optional<std::size_t>(4) : std::nullopt;
    case DLT_LINUX_SLL: return frame.size() >= 16 && is_ip(load_be16(&frame[14])) ? std::optional<std::size_t>(16) : std::nullopt;
    case DLT_LINUX_SLL2: return frame.size() >= 20 && is_ip(load_be16(&frame[0])) ? std::optional<std::size_t>(20) : std::nullopt;
    default: break;
  }
  // Ethernet, with any number of VLAN tags.
  for (std::size_t at = 12; at + 2 <= frame.size(); at += 4) {
    const std::uint16_t type = load_be16(&frame[at]);
    if (is_ip(type)) return at + 2;
    if (type != 0x8100 && type != 0x88a8) return std::nullopt;
  }
  return std::nullopt;
}

bool known_link(int link) {
  return link == DLT_EN10MB || link == DLT_RAW || link == DLT_IPV4 || link == DLT_IPV6 || link == DLT_NULL || link == DLT_LOOP || link == DLT_LINUX_SLL || link == DLT_LINUX_SLL2;
}

// libpcap's own open functions repeat the path in some errors and not in others.
Result<std::FILE*> open_file(const std::string& path, const char* mode, std::FILE* standard) {
  if (path == "-") return standard;
  std::FILE* file = std::fopen(path.c_str(), mode);
  if (file == nullptr) return Error{Errc::kIo, fmt::format("{}: {}", path, std::strerror(errno))};
  return file;
}
}  // namespace

struct Reader::State {
  std::string path;
  pcap_t* handle;
  int link;
  std::uint64_t number = 0;
  std::uint64_t skipped = 0;
  ~State() { pcap_close(handle); }
};

Reader::Reader(std::unique_ptr<State> state) : state_(std::move(state)) {}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

Result<Reader> Reader::open(const std::string& path) {
  char why[PCAP_ERRBUF_SIZE] = "";
  ESPLANADE_TRY(file, open_file(path, "rbe", stdin));
  pcap_t* handle = pcap_fopen_offline(file, why);
  if (handle == nullptr) {
    if (file != stdin) std::fclose(file);
    return Error{Errc::kMalformed, fmt::format("{}: {}", path, printable(why, 200))};
  }
  auto state = std::make_unique<State>(path, handle, pcap_datalink(handle));
  if (!known_link(state->link)) {
    const char* name = pcap_datalink_val_to_name(state->link);
    return Error{Errc::kUnsupported, fmt::format("{}: link type {} ({}) is not read; Ethernet, raw IP, Linux cooked and loopback are", path, state->link, name != nullptr ? name : "unknown")};
  }
  return Reader(std::move(state));
}

Result<std::optional<Packet>> Reader::next() {
  for (;;) {
    pcap_pkthdr* head = nullptr;
    const u_char* data = nullptr;
    const int got = pcap_next_ex(state_->handle, &head, &data);
    if (got == PCAP_ERROR_BREAK) return std::optional<Packet>();
    ++state_->number;
    if (got != 1) return Error{Errc::kMalformed, fmt::format("{}: packet {}: {}", state_->path, state_->number, printable(pcap_geterr(state_->handle), 200))};
    const ByteView frame(data, head->caplen);
    const auto at = ip_offset(state_->link, frame);
    if (!at || frame.size() == *at) {
      ++state_->skipped;
      continue;
    }
    return std::optional(Packet{state_->number, head->ts.tv_sec, head->ts.tv_usec, frame.subspan(*at), head->caplen < head->len});
  }
}

std::uint64_t Reader::skipped() const { return state_->skipped; }

struct Writer::State {
  std::string path;
  pcap_t* form;
  pcap_dumper_t* file;
  ~State() {
    if (file != nullptr) pcap_dump_close(file);
    pcap_close(form);
  }
};

Writer::Writer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Writer::Writer(Writer&&) noexcept = default;
Writer& Writer::operator=(Writer&&) noexcept = default;
Writer::~Writer() = default;

Result<Writer> Writer::create(const std::string& path) {
  pcap_t* form = pcap_open_dead(DLT_RAW, kSnapLen);
  if (form == nullptr) return Error{Errc::kIo, "libpcap: no memory"};
  auto state = std::make_unique<State>(path, form, nullptr);
  ESPLANADE_TRY(file, open_file(path, "wbe", stdout));
  state->file = pcap_dump_fopen(form, file);  // closes `file` itself where it fails
  if (state->file == nullptr) return Error{Errc::kIo, fmt::format("{}: {}", path, printable(pcap_geterr(form), 200))};
  return Writer(std::move(state));
}

void Writer::write(ByteView ip, std::int64_t seconds, std::int64_t microseconds) {
  pcap_pkthdr head{};
  head.ts.tv_sec = seconds;
  head.ts.tv_usec = microseconds;
  head.caplen = head.len = static_cast<bpf_u_int32>(ip.size());
  pcap_dump(reinterpret_cast<u_char*>(state_->file), &head, ip.data());
}

Status Writer::close() {
  const bool good = pcap_dump_flush(state_->file) == 0 && std::ferror(pcap_dump_file(state_->file)) == 0;
  pcap_dump_close(std::exchange(state_->file, nullptr));
  if (!good) return Error{Errc::kIo, fmt::format("{}: not everything could be written: is the disk full?", state_->path)};
  return ok();
}

}  // namespace esplanade::pcap
