#include "esplanade/sa_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "common/crypto/random.h"

namespace esplanade {

namespace {
namespace entry = card::sa_entry;
namespace reg = card::reg;

// Removal waits for packets that hold the entry; a simulated card may need a while for that.
constexpr std::chrono::seconds kCommandPatience{5};

std::uint32_t random32() {
  Byte octets[4];
  crypto::random_bytes(octets);
  return load_be32(octets);
}
}  // namespace

SaTable::SaTable(Device& device) : device_(&device), entries_(device.info().sa_entries) {}

Result<SaTable> SaTable::create(Device& device) {
  SaTable table(device);
  ESPLANADE_TRY(result, table.command(card::SaCommand::kClear, 0));
  if (result != card::SaResult::kOk) {
    return Error{Errc::kState, fmt::format("the card did not clear its SA table: {}", name_of(result))};
  }
  return table;
}

Result<std::uint32_t> SaTable::allocate_spi() {
  const auto size = static_cast<std::uint32_t>(entries_.size());
  const std::uint32_t start = random32();
  for (std::uint32_t i = 0; i < size; ++i) {
    const SaIndex index = (start + i) & (size - 1);
    if (entries_[index].use != Use::kFree) continue;
    std::uint32_t spi;
    do {
      spi = (random32() & ~(size - 1)) | index;
    } while (spi < 256);
    entries_[index] = {Use::kReserved, spi};
    return spi;
  }
  return Error{Errc::kTableFull, fmt::format("all {} entries of the card's SA table are taken", size)};
}

Status SaTable::reserve_spi(std::uint32_t spi) {
  Entry& e = entries_[index_of(spi)];
  if (e.use == Use::kReserved && e.spi == spi) return ok();
  if (e.use != Use::kFree) return Error{Errc::kTableFull, fmt::format("entry {} of the card's SA table, where SPI 0x{:08x} belongs, is taken", index_of(spi), spi)};
  e = {Use::kReserved, spi};
  return ok();
}

void SaTable::release_spi(std::uint32_t spi) {
  Entry& e = entries_[spi & (entries_.size() - 1)];
  if (e.use == Use::kReserved && e.spi == spi) e = {};
}

std::string SaTable::lacking(const esp::SaParams& sa, std::uint32_t caps, std::uint32_t replay_max) {
  const auto has = [caps](const card::RegField& f) { return f.get(caps) != 0; };
  const bool ah = sa.protocol == esp::Protocol::kAh;
  if (ah && !has(reg::kCapsAh)) return "AH";
  if (!ah && !has(reg::kCapsEsp)) return "ESP";
  if (!ah && sa.cipher == esp::Cipher::kTripleDesCbc && !has(reg::kCapsTripleDes)) return "3DES-CBC";
  if (!ah && sa.cipher == esp::Cipher::kDesCbc && !has(reg::kCapsDes)) return "DES-CBC";
  if (!ah && sa.cipher == esp::Cipher::kNull && !has(reg::kCapsNullCipher)) return "NULL encryption";
  if (sa.auth == esp::Auth::kHmacSha1_96 && !has(reg::kCapsHmacSha1)) return "HMAC-SHA1-96";
  if (sa.auth == esp::Auth::kHmacMd5_96 && !has(reg::kCapsHmacMd5)) return "HMAC-MD5-96";
  if (sa.auth == esp::Auth::kNone && !has(reg::kCapsAuthNone)) return "ESP without authentication";
  if (sa.mode == esp::Mode::kTunnel && !has(reg::kCapsTunnel)) return "tunnel mode";
  if (sa.mode == esp::Mode::kTransport && !has(reg::kCapsTransport)) return "transport mode";
  if (sa.src.version == 4 && !has(reg::kCapsOuterV4)) return "outer IPv4";
  if (sa.src.version == 6 && !has(reg::kCapsOuterV6)) return "outer IPv6";
  if (sa.mode == esp::Mode::kTunnel && !sa.inner_v4 && !has(reg::kCapsInnerV6)) return "inner IPv6";
  if (sa.mode == esp::Mode::kTunnel && !sa.inner_v6 && !has(reg::kCapsInnerV4)) return "inner IPv4";
  if (sa.natt && !has(reg::kCapsNatt)) return "ESP in UDP";
  if (sa.esn && !has(reg::kCapsEsn)) return "extended sequence numbers";
  const auto limited = [](const esp::Lifetime& l) { return l.bytes != 0 || l.packets != 0 || l.seconds != 0; };
  if ((limited(sa.soft) || limited(sa.hard)) && !has(reg::kCapsLifetimes)) return "lifetimes";
  if (!sa.outbound && sa.replay_window > replay_max) return fmt::format("a replay window of {} (at most {})", sa.replay_window, replay_max);
  return {};
}

std::array<Byte, entry::kSize> SaTable::encode(const esp::SaParams& sa, std::uint32_t caps) {
  std::array<Byte, entry::kSize> out{};
  const auto put = [&out](card::Field f, std::uint64_t value) { card::set(out, f, value); };
  const auto put_octets = [&out](card::Field f, ByteView in) { std::ranges::copy(in, card::octets(std::span<Byte>(out), f).begin()); };
  put(entry::kOutbound, sa.outbound);
  put(entry::kTransport, sa.mode == esp::Mode::kTransport);
  put(entry::kAh, sa.protocol == esp::Protocol::kAh);
  put(entry::kOuterV6, sa.src.version == 6);
  put(entry::kNatt, sa.natt.has_value());
  put(entry::kEsn, sa.esn);
  if (!sa.outbound) {
    put(entry::kCheckOuter, sa.check_outer);
    put(entry::kInnerV4, sa.inner_v4 ? reg::kCapsInnerV4.get(caps) : 0);
    put(entry::kInnerV6, sa.inner_v6 ? reg::kCapsInnerV6.get(caps) : 0);
    put(entry::kReplayWindow, sa.auth == esp::Auth::kNone ? 0 : sa.replay_window);
  }
  put(entry::kCipher, static_cast<std::uint64_t>(sa.cipher == esp::Cipher::kTripleDesCbc ? card::Cipher::kTripleDesCbc
                                                 : sa.cipher == esp::Cipher::kDesCbc     ? card::Cipher::kDesCbc
                                                                                         : card::Cipher::kNull));
  put(entry::kAuth, static_cast<std::uint64_t>(sa.auth == esp::Auth::kHmacSha1_96  ? card::Auth::kHmacSha1_96
                                               : sa.auth == esp::Auth::kHmacMd5_96 ? card::Auth::kHmacMd5_96
                                                                                   : card::Auth::kNone));
  put(entry::kDfPolicy, static_cast<std::uint64_t>(sa.df == esp::DfPolicy::kCopy    ? card::DfPolicy::kCopy
                                                   : sa.df == esp::DfPolicy::kClear ? card::DfPolicy::kClear
                                                                                    : card::DfPolicy::kSet));
  put(entry::kDscpSet, sa.dscp.has_value());
  put(entry::kDscp, sa.dscp.value_or(0));
  put(entry::kEcnClear, !sa.ecn_copy);
  put(entry::kSpi, sa.spi);
  put(entry::kTtl, sa.ttl);
  put(entry::kIpId, sa.ip_id);
  put(entry::kSeq, sa.seq);
  if (sa.natt) {
    put(entry::kUdpSrc, sa.natt->src_port);
    put(entry::kUdpDst, sa.natt->dst_port);
  }
  put(entry::kSoftSeconds, sa.soft.seconds);
  put(entry::kHardSeconds, sa.hard.seconds);
  put(entry::kSoftBytes, sa.soft.bytes);
  put(entry::kHardBytes, sa.hard.bytes);
  put(entry::kSoftPackets, sa.soft.packets);
  put(entry::kHardPackets, sa.hard.packets);
  put_octets(entry::kSrc, sa.src.bytes());
  put_octets(entry::kDst, sa.dst.bytes());
  put_octets(entry::kEncKey, sa.enc_key.reveal());
  put_octets(entry::kAuthKey, sa.auth_key.reveal());
  return out;
}

Result<esp::SaParams> SaTable::decode(ByteView in) {
  const auto get = [in](card::Field f) { return card::get(in, f); };
  const auto address = [&](card::Field f) {
    esp::IpAddress out;
    out.version = get(entry::kOuterV6) != 0 ? 6 : 4;
    std::ranges::copy(card::octets(in, f).first(out.bytes().size()), out.octets.begin());
    return out;
  };
  const auto lifetime = [&](card::Field seconds, card::Field bytes, card::Field packets) {
    return esp::Lifetime{.bytes = get(bytes), .packets = get(packets), .seconds = static_cast<std::uint32_t>(get(seconds))};
  };
  esp::SaParams sa;
  switch (static_cast<card::Cipher>(get(entry::kCipher))) {
    case card::Cipher::kNull: sa.cipher = esp::Cipher::kNull; break;
    case card::Cipher::kDesCbc: sa.cipher = esp::Cipher::kDesCbc; break;
    case card::Cipher::kTripleDesCbc: sa.cipher = esp::Cipher::kTripleDesCbc; break;
    default: return Error{Errc::kBadConfig, fmt::format("an SA entry with cipher {}", get(entry::kCipher))};
  }
  switch (static_cast<card::Auth>(get(entry::kAuth))) {
    case card::Auth::kNone: sa.auth = esp::Auth::kNone; break;
    case card::Auth::kHmacMd5_96: sa.auth = esp::Auth::kHmacMd5_96; break;
    case card::Auth::kHmacSha1_96: sa.auth = esp::Auth::kHmacSha1_96; break;
    default: return Error{Errc::kBadConfig, fmt::format("an SA entry with authentication {}", get(entry::kAuth))};
  }
  switch (static_cast<card::DfPolicy>(get(entry::kDfPolicy))) {
    case card::DfPolicy::kCopy: sa.df = esp::DfPolicy::kCopy; break;
    case card::DfPolicy::kClear: sa.df = esp::DfPolicy::kClear; break;
    case card::DfPolicy::kSet: sa.df = esp::DfPolicy::kSet; break;
    default: return Error{Errc::kBadConfig, fmt::format("an SA entry with DF policy {}", get(entry::kDfPolicy))};
  }
  sa.protocol = get(entry::kAh) != 0 ? esp::Protocol::kAh : esp::Protocol::kEsp;
  sa.mode = get(entry::kTransport) != 0 ? esp::Mode::kTransport : esp::Mode::kTunnel;
  sa.outbound = get(entry::kOutbound) != 0;
  sa.spi = static_cast<std::uint32_t>(get(entry::kSpi));
  sa.src = address(entry::kSrc);
  sa.dst = address(entry::kDst);
  if (get(entry::kNatt) != 0) sa.natt = esp::Natt{static_cast<std::uint16_t>(get(entry::kUdpSrc)), static_cast<std::uint16_t>(get(entry::kUdpDst))};
  sa.esn = get(entry::kEsn) != 0;
  sa.seq = get(entry::kSeq);
  if (!sa.outbound) {
    sa.replay_window = static_cast<std::uint16_t>(get(entry::kReplayWindow));
    sa.check_outer = get(entry::kCheckOuter) != 0;
    sa.inner_v4 = get(entry::kInnerV4) != 0;
    sa.inner_v6 = get(entry::kInnerV6) != 0;
  }
  sa.ttl = static_cast<std::uint8_t>(get(entry::kTtl));
  sa.ip_id = static_cast<std::uint16_t>(get(entry::kIpId));
  if (get(entry::kDscpSet) != 0) sa.dscp = static_cast<std::uint8_t>(get(entry::kDscp));
  sa.ecn_copy = get(entry::kEcnClear) == 0;
  sa.soft = lifetime(entry::kSoftSeconds, entry::kSoftBytes, entry::kSoftPackets);
  sa.hard = lifetime(entry::kHardSeconds, entry::kHardBytes, entry::kHardPackets);
  return sa;
}

Result<SaIndex> SaTable::pick(const esp::SaParams& sa) {
  const auto size = static_cast<std::uint32_t>(entries_.size());
  if (!sa.outbound) {
    const SaIndex index = sa.spi & (size - 1);
    const Entry& e = entries_[index];
    if (e.use == Use::kFree || (e.use == Use::kReserved && e.spi == sa.spi)) return index;
    return Error{Errc::kTableFull, fmt::format("entry {} of the card's SA table, where SPI 0x{:08x} belongs, is taken", index, sa.spi)};
  }
  for (std::uint32_t i = 0; i < size; ++i) {
    const SaIndex index = (next_outbound_ + i) & (size - 1);
    if (entries_[index].use != Use::kFree) continue;
    next_outbound_ = index + 1;
    return index;
  }
  return Error{Errc::kTableFull, fmt::format("all {} entries of the card's SA table are taken", size)};
}

Result<SaIndex> SaTable::install(const esp::SaParams& sa) {
  ESPLANADE_CHECK(validate(sa));
  const std::uint32_t caps = device_->info().caps;
  if (const std::string what = lacking(sa, caps, device_->info().replay_max); !what.empty()) {
    return Error{Errc::kUnsupported, "this build of the card does not do " + what};
  }
  ESPLANADE_TRY(index, pick(sa));
  auto image = encode(sa, caps);
  ESPLANADE_CHECK(write_window(image));
  ESPLANADE_TRY(result, command(card::SaCommand::kInstall, index));
  if (result == card::SaResult::kUnsupported) return Error{Errc::kUnsupported, "the card refused the SA: it lacks something that its CAPS promise"};
  if (result != card::SaResult::kOk) {
    return Error{Errc::kState, fmt::format("the card refused the SA at entry {}: {}", index, name_of(result))};
  }
  window_dirty_ = false;
  entries_[index] = {Use::kInstalled, sa.spi, sa.outbound};
  return index;
}

// Puts an entry into the window and wipes it here.
Status SaTable::write_window(std::span<Byte, entry::kSize> image) {
  Status written = ok();
  for (std::uint32_t word = 0; word < image.size() / 4 && written; ++word) {
    const Byte* p = &image[word * 4];
    const std::uint32_t value = p[0] | std::uint32_t{p[1]} << 8 | std::uint32_t{p[2]} << 16 | std::uint32_t{p[3]} << 24;
    // The window is zero after a command took it: zero words need no write then.
    if (value != 0 || window_dirty_) written = device_->write32(reg::kSaEntry.at(word), value);
  }
  wipe(image);
  window_dirty_ = true;
  return written;
}

Status SaTable::update(SaIndex index, const esp::SaParams& sa) {
  const std::uint32_t caps = device_->info().caps;
  if (reg::kCapsSaUpdate.get(caps) == 0) return Error{Errc::kUnsupported, "this build of the card does not update an SA: remove and install it"};
  if (index >= entries_.size() || entries_[index].use != Use::kInstalled) return Error{Errc::kUnknownSpi, "no such SA"};
  if (sa.spi != entries_[index].spi || sa.outbound != entries_[index].outbound) return Error{Errc::kBadConfig, "an update keeps SPI and direction"};
  // What validate() asks of the fields that change; the keys are not looked at.
  if (sa.src.version != sa.dst.version) return Error{Errc::kBadConfig, "source and destination are of different IP versions"};
  if (sa.natt && (sa.src.version != 4 || sa.protocol == esp::Protocol::kAh)) return Error{Errc::kBadConfig, "only ESP in IPv4 goes through UDP"};
  if (sa.dscp && *sa.dscp > 63) return Error{Errc::kBadConfig, "DSCP above 63"};
  if (const std::string what = lacking(sa, caps, device_->info().replay_max); !what.empty()) {
    return Error{Errc::kUnsupported, "this build of the card does not do " + what};
  }
  auto image = encode(sa, caps);
  wipe(card::octets(std::span<Byte>(image), entry::kEncKey));
  wipe(card::octets(std::span<Byte>(image), entry::kAuthKey));
  ESPLANADE_CHECK(write_window(image));
  ESPLANADE_TRY(result, command(card::SaCommand::kUpdate, index));
  if (result == card::SaResult::kUnsupported) return Error{Errc::kUnsupported, "the card refused the update: it lacks something that its CAPS promise"};
  if (result != card::SaResult::kOk) return Error{Errc::kState, fmt::format("the card did not update entry {}: {}", index, name_of(result))};
  window_dirty_ = false;
  return ok();
}

Status SaTable::remove(SaIndex index) {
  if (index >= entries_.size() || (entries_[index].use != Use::kInstalled && entries_[index].use != Use::kRemoving)) {
    return Error{Errc::kUnknownSpi, "no such SA"};
  }
  // A removal that took too long may have ended since.
  const bool again = std::exchange(entries_[index].use, Use::kRemoving) == Use::kRemoving;
  ESPLANADE_TRY(result, command(card::SaCommand::kRemove, index));
  if (result != card::SaResult::kOk && !(again && result == card::SaResult::kEmpty)) {
    return Error{Errc::kState, fmt::format("the card did not remove entry {}: {}", index, name_of(result))};
  }
  entries_[index] = {};
  return ok();
}

Result<SaView> SaTable::view(SaIndex index) {
  namespace v = card::sa_view;
  ESPLANADE_TRY(result, command(card::SaCommand::kView, index));
  if (result != card::SaResult::kOk) return Error{Errc::kUnknownSpi, fmt::format("entry {}: {}", index, name_of(result))};
  std::array<Byte, v::kSize> octets{};
  for (std::uint32_t word = 0; word <= v::kLengthDrops.lsb / 32; ++word) {  // behind the last field all is reserved
    ESPLANADE_TRY(value, device_->read32(reg::kSaView.at(word)));
    for (std::size_t i = 0; i < 4; ++i) octets[word * 4 + i] = static_cast<Byte>(value >> (8 * i));
  }
  const auto get = [&octets](card::Field f) { return card::get(octets, f); };
  const auto get32 = [&get](card::Field f) { return static_cast<std::uint32_t>(get(f)); };
  SaView out{};
  out.valid = get(v::kValid) != 0;
  out.outbound = get(v::kOutbound) != 0;
  out.expired = get(v::kExpired) != 0;
  out.poisoned = get(v::kPoisoned) != 0;
  out.cipher = static_cast<card::Cipher>(get(v::kCipher));
  out.auth = static_cast<card::Auth>(get(v::kAuth));
  out.spi = get32(v::kSpi);
  out.seq = get(v::kSeq);
  out.packets = get(v::kPackets);
  out.bytes = get(v::kBytes);
  out.age_seconds = get32(v::kAgeSeconds);
  out.drops = {get32(v::kReplayDrops),  get32(v::kIcvDrops),     get32(v::kPaddingDrops), get32(v::kNextHeaderDrops), get32(v::kInnerDrops), get32(v::kProtocolDrops),
               get32(v::kAddressDrops), get32(v::kExpiredDrops), get32(v::kSeqDrops),     get32(v::kLengthDrops),     get32(v::kOtherDrops)};
  return out;
}

// The card takes no command while it is busy with one: what came back would be the other's result.
Result<card::SaResult> SaTable::command(card::SaCommand command, SaIndex index) {
  if (overdue_) {
    ESPLANADE_TRY(former, wait_idle(command, index));
    static_cast<void>(former);
  }
  ESPLANADE_CHECK(device_->write32(reg::kSaIndex.at(), index));
  ESPLANADE_CHECK(device_->write32(reg::kSaCommand.at(), static_cast<std::uint32_t>(command)));
  return wait_idle(command, index);
}

Result<card::SaResult> SaTable::wait_idle(card::SaCommand command, SaIndex index) {
  const auto end = std::chrono::steady_clock::now() + kCommandPatience;
  for (;;) {
    ESPLANADE_TRY(status, device_->read32(reg::kSaStatus.at()));
    overdue_ = reg::kSaStatusBusy.get(status) != 0;
    if (!overdue_) return static_cast<card::SaResult>(reg::kSaStatusResult.get(status));
    if (std::chrono::steady_clock::now() > end) {
      return Error{Errc::kTimeout, fmt::format("the card's SA table is busy for more than 5 s (command {}, entry {})", name_of(command), index)};
    }
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

}  // namespace esplanade
