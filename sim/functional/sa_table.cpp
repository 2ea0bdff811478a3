#include "sim/functional/sa_table.h"

#include <algorithm>

#include "common/base/log.h"

namespace esplanade::sim {

namespace {

namespace f = card::sa_entry;

/// All bits that a field of the format covers: the others are reserved.
constexpr std::array<Byte, f::kSize> field_bits() {
  std::array<Byte, f::kSize> out{};
  for (const card::Field field :
       {f::kOutbound, f::kTransport, f::kAh, f::kOuterV6, f::kNatt, f::kEsn, f::kCheckOuter, f::kInnerV4, f::kInnerV6, f::kCipher,
        f::kAuth, f::kDfPolicy, f::kDscpSet, f::kEcnClear, f::kDscp, f::kSpi, f::kReplayWindow, f::kTtl, f::kIpId, f::kSeq, f::kUdpSrc,
        f::kUdpDst, f::kSoftSeconds, f::kHardSeconds, f::kSoftBytes, f::kHardBytes, f::kSoftPackets, f::kHardPackets, f::kSrc, f::kDst,
        f::kEncKey, f::kAuthKey}) {
    for (std::uint32_t bit = field.lsb; bit < field.lsb + field.width; ++bit) out[bit / 8] = static_cast<Byte>(out[bit / 8] | 1u << bit % 8);
  }
  return out;
}
constexpr auto kFieldBits = field_bits();

esp::IpAddress address(ByteView window, card::Field field, bool v6) {
  esp::IpAddress out;
  out.version = v6 ? 6 : 4;
  std::ranges::copy(card::octets(window, field).first(v6 ? 16 : 4), out.octets.begin());
  return out;
}

Secret key(ByteView window, card::Field field, std::size_t size) {
  const ByteView octets = card::octets(window, field).first(size);
  return Secret(Bytes(octets.begin(), octets.end()));
}

/// An entry that passed bad(), as the engine wants it.
esp::SaParams params_of(ByteView w) {
  const auto get = [w](card::Field field) { return card::get(w, field); };
  const bool v6 = get(f::kOuterV6) != 0;
  esp::SaParams sa;
  sa.protocol = get(f::kAh) != 0 ? esp::Protocol::kAh : esp::Protocol::kEsp;
  sa.mode = get(f::kTransport) != 0 ? esp::Mode::kTransport : esp::Mode::kTunnel;
  sa.outbound = get(f::kOutbound) != 0;
  sa.spi = static_cast<std::uint32_t>(get(f::kSpi));
  sa.cipher = static_cast<esp::Cipher>(get(f::kCipher));  // both enums number them alike: checked below
  sa.auth = static_cast<esp::Auth>(get(f::kAuth));
  sa.enc_key = key(w, f::kEncKey, esp::key_len(sa.cipher));
  sa.auth_key = key(w, f::kAuthKey, esp::key_len(sa.auth));
  sa.src = address(w, f::kSrc, v6);
  sa.dst = address(w, f::kDst, v6);
  if (get(f::kNatt) != 0) {
    sa.natt = esp::Natt{static_cast<std::uint16_t>(get(f::kUdpSrc)), static_cast<std::uint16_t>(get(f::kUdpDst))};
  }
  sa.esn = get(f::kEsn) != 0;
  sa.seq = get(f::kSeq);
  sa.replay_window = sa.outbound ? std::uint16_t{64} : static_cast<std::uint16_t>(get(f::kReplayWindow));
  sa.check_outer = !sa.outbound && get(f::kCheckOuter) != 0;
  sa.inner_v4 = get(f::kInnerV4) != 0;
  sa.inner_v6 = get(f::kInnerV6) != 0;
  sa.ttl = static_cast<std::uint8_t>(get(f::kTtl));
  sa.ip_id = static_cast<std::uint16_t>(get(f::kIpId));
  sa.df = static_cast<esp::DfPolicy>(get(f::kDfPolicy));
  if (get(f::kDscpSet) != 0) sa.dscp = static_cast<std::uint8_t>(get(f::kDscp));
  sa.ecn_copy = get(f::kEcnClear) == 0;
  sa.soft = {get(f::kSoftBytes), get(f::kSoftPackets), static_cast<std::uint32_t>(get(f::kSoftSeconds))};
  sa.hard = {get(f::kHardBytes), get(f::kHardPackets), static_cast<std::uint32_t>(get(f::kHardSeconds))};
  return sa;
}
static_assert(static_cast<int>(esp::Cipher::kTripleDesCbc) == static_cast<int>(card::Cipher::kTripleDesCbc) &&
              static_cast<int>(esp::Auth::kHmacSha1_96) == static_cast<int>(card::Auth::kHmacSha1_96) &&
              static_cast<int>(esp::DfPolicy::kSet) == static_cast<int>(card::DfPolicy::kSet));

}  // namespace

FunctionalSaTable::FunctionalSaTable(std::uint32_t entries, std::uint32_t replay_max, esp::Clock seconds)
    : replay_max_(replay_max), seconds_(std::move(seconds)), table_(entries) {}

// As sad_command judges an entry: all of it for Install, the form alone for Update.
bool FunctionalSaTable::bad(ByteView w, std::uint32_t index, bool update) const {
  const auto get = [w](card::Field field) { return card::get(w, field); };
  for (std::size_t i = 0; i < w.size(); ++i) {
    if ((w[i] & ~kFieldBits[i]) != 0) return true;
  }
  if (get(f::kDfPolicy) == 3) return true;
  if (update) return false;
  const std::uint64_t cipher = get(f::kCipher), auth = get(f::kAuth), window = get(f::kReplayWindow);
  const bool ah = get(f::kAh) != 0, natt = get(f::kNatt) != 0, outbound = get(f::kOutbound) != 0, esn = get(f::kEsn) != 0;
  const auto spi = static_cast<std::uint32_t>(get(f::kSpi));
  if (cipher > 2 || auth > 2 || (natt && get(f::kOuterV6) != 0)) return true;
  if (ah ? cipher != 0 || auth == 0 || natt : cipher == 0 && auth == 0) return true;
  if (spi < 256 || (!outbound && (spi & (size() - 1)) != (index & (size() - 1)))) return true;
  if (!esn && get(f::kSeq) >> 32 != 0) return true;
  return window % 32 != 0 || window > replay_max_ || (esn && !outbound && window == 0);
}

card::SaResult FunctionalSaTable::command(std::uint32_t command, std::uint32_t index, ByteView window, View& view) {
  using card::SaCommand;
  using card::SaResult;
  const auto what = static_cast<SaCommand>(command > 0xff ? 0 : command);
  switch (what) {
    case SaCommand::kClear:
      for (auto& entry : table_) entry.reset();
      num_valid_ = 0;
      return SaResult::kOk;
    case SaCommand::kInstall:
    case SaCommand::kRemove:
    case SaCommand::kView:
    case SaCommand::kUpdate:
      if (index >= size()) return SaResult::kBadIndex;
      break;
    default: return SaResult::kBadCommand;
  }
  auto& entry = table_[index];
  if (what == SaCommand::kInstall) {
    if (bad(window, index, false)) return SaResult::kBadEntry;
    if (entry) return SaResult::kOccupied;
    auto made = esp::SoftSa::create(params_of(window), seconds_);
    if (!made) {  // weak keys: the driver refuses them before the card sees them
      log_warn("functional card: entry {}: {}", index, made.error().detail);
      return SaResult::kBadEntry;
    }
    entry = std::make_unique<Entry>(Entry{std::move(*made), seconds_()});
    ++num_valid_;
    return SaResult::kOk;
  }
  if (what == SaCommand::kUpdate && bad(window, index, true)) return SaResult::kBadEntry;
  if (!entry) {
    if (what == SaCommand::kView) view = {};
    return SaResult::kEmpty;
  }
  if (what == SaCommand::kRemove) {
    entry.reset();
    --num_valid_;
  } else if (what == SaCommand::kView) {
    view = view_of(*entry);
  } else {
    const esp::SaParams& old = entry->sa.params();
    const bool natt = card::get(window, f::kNatt) != 0;
    if (card::get(window, f::kSpi) != old.spi || (card::get(window, f::kOutbound) != 0) != old.outbound ||
        (natt && (old.protocol == esp::Protocol::kAh || old.src.version == 6))) {
      return SaResult::kBadEntry;
    }
    // The entry's own family, whatever the window says.
    esp::SaParams changes = params_of(window);
    changes.src = address(window, f::kSrc, old.src.version == 6);
    changes.dst = address(window, f::kDst, old.src.version == 6);
    entry->sa.update(changes);
  }
  return SaResult::kOk;
}

FunctionalSaTable::Entry* FunctionalSaTable::find_spi(std::uint32_t spi, std::uint32_t& index) {
  index = spi & (size() - 1);
  Entry* entry = table_[index].get();
  return entry != nullptr && entry->sa.params().spi == spi ? entry : nullptr;
}

FunctionalSaTable::View FunctionalSaTable::view_of(const Entry& entry) const {
  namespace v = card::sa_view;
  View out{};
  const auto put = [&out](card::Field field, std::uint64_t value) { card::set(out, field, value); };
  const auto drops = [&entry](auto... statuses) { return (std::uint64_t{entry.drops[static_cast<std::size_t>(statuses)]} + ...); };
  using card::Status;
  const esp::SaParams& sa = entry.sa.params();
  put(v::kValid, 1);
  put(v::kOutbound, sa.outbound);
  put(v::kPoisoned, entry.poisoned);
  put(v::kExpired, entry.sa.expired());
  put(v::kCipher, static_cast<std::uint64_t>(sa.cipher));
  put(v::kAuth, static_cast<std::uint64_t>(sa.auth));
  put(v::kSpi, sa.spi);
  put(v::kSeq, entry.sa.seq());
  put(v::kPackets, entry.sa.counters().packets);
  put(v::kBytes, entry.sa.counters().bytes);
  put(v::kAgeSeconds, seconds_() - entry.installed_at);
  put(v::kReplayDrops, drops(Status::kReplay));
  put(v::kIcvDrops, drops(Status::kBadIcv));
  put(v::kPaddingDrops, drops(Status::kBadPadding));
  put(v::kNextHeaderDrops, drops(Status::kBadNextHeader, Status::kDummy));
  put(v::kInnerDrops, drops(Status::kBadInner));
  put(v::kProtocolDrops, drops(Status::kWrongProtocol, Status::kWrongDirection));
  put(v::kAddressDrops, drops(Status::kWrongAddress));
  put(v::kExpiredDrops, drops(Status::kExpired));
  put(v::kSeqDrops, drops(Status::kSeqOverflow));
  put(v::kLengthDrops, drops(Status::kBadEspLength, Status::kBadLength, Status::kDstTooSmall));
  put(v::kOtherDrops, drops(Status::kUnsupported, Status::kFragment, Status::kBusError, Status::kBadHeader, Status::kPoisoned));
  return out;
}

}  // namespace esplanade::sim
