#include "common/crypto/des_bitslice.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "common/crypto/des_bitslice_variants.h"
#include "common/crypto/library.h"

namespace esplanade::crypto {

namespace {
using detail::DesBitslice;

constexpr std::size_t kMaxLanes = 512, kStages = 3;

const DesBitslice& variant(BitsliceWidth width) {
#ifdef __x86_64__
  if (width == BitsliceWidth::k512) return detail::kDesBitslice512;
  if (width == BitsliceWidth::k256) return detail::kDesBitslice256;
#endif
  static_cast<void>(width);
  return detail::kDesBitslice128;
}

std::uint64_t load(const Byte* octets) {
  std::uint64_t word;
  std::memcpy(&word, octets, sizeof word);
  return word;
}
void store(Byte* octets, std::uint64_t word) { std::memcpy(octets, &word, sizeof word); }

/// A pass: blocks and keys by lane.
class Batch {
 public:
  Batch(const DesBitslice& variant, BlockCipher cipher, bool decrypt)
      : variant_(variant), stages_(cipher == BlockCipher::kDes ? 1 : kStages), decrypt_(decrypt) {}
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  ~Batch() {
    wipe(MutableBytes(reinterpret_cast<Byte*>(keys_), sizeof keys_));
    wipe(MutableBytes(reinterpret_cast<Byte*>(blocks_), sizeof blocks_));
  }

  std::size_t lanes() const { return variant_.lanes; }
  std::uint64_t& block(std::size_t lane) { return blocks_[lane]; }
  void set_key(std::size_t lane, const BitsliceKey* key) {
    stale_ = stale_ || lane_key_[lane] != key;
    lane_key_[lane] = key;
  }
  /// Transforms all blocks in place. A lane that never had a key gives no meaning.
  void run() {
    if (stale_) slice_keys();
    variant_.cipher(keys_, stages_, decrypt_, blocks_);
  }

 private:
  void slice_keys() {
    for (std::size_t stage = 0; stage < stages_; ++stage) {
      std::uint64_t* const keys = keys_ + variant_.lanes * stage;
      for (std::size_t lane = 0; lane < variant_.lanes; ++lane) {
        keys[lane] = lane_key_[lane] == nullptr ? 0 : load(lane_key_[lane]->stage(stage).data());
      }
      variant_.slice(keys);
    }
    stale_ = false;
  }

  const DesBitslice& variant_;
  const std::size_t stages_;
  const bool decrypt_;
  bool stale_ = true;
  const BitsliceKey* lane_key_[kMaxLanes] = {};
  alignas(64) std::uint64_t blocks_[kMaxLanes] = {};
  alignas(64) std::uint64_t keys_[kStages * kMaxLanes];
};

/// A lane has a packet's next block; its last ciphertext is still in the batch. At a packet's end the next one takes the lane.
void encrypt_some(Batch& batch, BlockCipher cipher, std::span<const BitsliceJob> jobs) {
  struct Lane {
    const Byte* in = nullptr;
    Byte* out = nullptr;
    std::size_t left = 0;
  };
  std::array<Lane, kMaxLanes> lanes;
  std::size_t busy = batch.lanes();
  for (;;) {
    for (std::size_t n = 0; n < busy; ++n) {
      Lane& lane = lanes[n];
      for (; lane.left == 0 && !jobs.empty(); jobs = jobs.subspan(1)) {
        const BitsliceJob& job = jobs.front();
        if (job.in.empty() || job.key->cipher() != cipher) continue;
        lane = {job.in.data(), job.out.data(), job.in.size()};
        batch.set_key(n, job.key);
        batch.block(n) = load(job.iv.data());
      }
      if (lane.left != 0) batch.block(n) ^= load(lane.in);
    }
    while (busy != 0 && lanes[busy - 1].left == 0) --busy;
    if (busy == 0) return;
    batch.run();
    for (std::size_t n = 0; n < busy; ++n) {
      Lane& lane = lanes[n];
      if (lane.left == 0) continue;
      store(lane.out, batch.block(n));
      lane = {lane.in + kBlockLen, lane.out + kBlockLen, lane.left - kBlockLen};
    }
  }
}

/// Every lane has another block, of whatever packet. What is added to a result is kept, for `out` may be `in`.
void decrypt_some(Batch& batch, BlockCipher cipher, std::span<const BitsliceJob> jobs) {
  std::array<std::uint64_t, kMaxLanes> before;
  std::array<Byte*, kMaxLanes> to;
  std::size_t used = 0;
  const auto finish = [&] {
    if (used == 0) return;
    batch.run();
    for (std::size_t n = 0; n < used; ++n) store(to[n], batch.block(n) ^ before[n]);
    used = 0;
  };
  for (const BitsliceJob& job : jobs) {
    if (job.key->cipher() != cipher) continue;
    std::uint64_t last = load(job.iv.data());
    for (std::size_t at = 0; at < job.in.size(); at += kBlockLen) {
      before[used] = last;
      to[used] = &job.out[at];
      batch.set_key(used, job.key);
      batch.block(used) = last = load(&job.in[at]);
      if (++used == batch.lanes()) finish();
    }
  }
  finish();
}

Status transform(std::span<const BitsliceJob> jobs, BitsliceWidth width, bool decrypt) {
  for (const BitsliceJob& job : jobs) {
    if (job.in.size() % kBlockLen != 0) return Error{Errc::kBadLength, "ciphertext is not a multiple of 8 octets", job.in.size()};
    if (job.out.size() != job.in.size()) detail::die("cipher");
  }
  for (const BlockCipher cipher : {BlockCipher::kDes, BlockCipher::kTripleDes}) {
    if (std::ranges::none_of(jobs, [cipher](const BitsliceJob& job) { return job.key->cipher() == cipher; })) continue;
    Batch batch(variant(width), cipher, decrypt);
    decrypt ? decrypt_some(batch, cipher, jobs) : encrypt_some(batch, cipher, jobs);
  }
  return ok();
}

/// What a pass costs, in blocks of OpenSSL: 11 to 15 were measured, by width.
constexpr std::size_t kPassBlocks = 12;
}  // namespace

BitsliceKey::BitsliceKey(BlockCipher cipher, ByteView key) : cipher_(cipher), key_(key) {
  if (key.size() != key_len(cipher)) detail::die("cipher key");
}

std::span<const BitsliceWidth> bitslice_widths() {
  static const std::vector<BitsliceWidth> kWidths = [] {
    std::vector<BitsliceWidth> widths{BitsliceWidth::k128};
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2")) widths.push_back(BitsliceWidth::k256);
    if (__builtin_cpu_supports("avx512f")) widths.push_back(BitsliceWidth::k512);
#endif
    return widths;
  }();
  return kWidths;
}

Status encrypt(std::span<const BitsliceJob> jobs, BitsliceWidth width) { return transform(jobs, width, false); }
Status decrypt(std::span<const BitsliceJob> jobs, BitsliceWidth width) { return transform(jobs, width, true); }

std::size_t encrypt_alone(std::span<const std::size_t> octets, BitsliceWidth width) {
  const std::size_t lanes = static_cast<std::size_t>(width);
  std::size_t rest = 0;
  for (const std::size_t n : octets) rest += n / kBlockLen;
  std::size_t best = 0, best_cost = rest + 1, alone = 0;
  for (std::size_t i = 0; i <= octets.size(); ++i) {
    const std::size_t longest = i < octets.size() ? octets[i] / kBlockLen : 0;
    const std::size_t cost = alone + kPassBlocks * std::max(longest, (rest + lanes - 1) / lanes);
    if (cost < best_cost) {
      best = i;
      best_cost = cost;
    }
    alone += longest;
    rest -= longest;
  }
  return best;
}

std::size_t decrypt_alone(std::span<const std::size_t> octets) {
  std::size_t blocks = 0;
  for (const std::size_t n : octets) blocks += n / kBlockLen;
  return blocks < kPassBlocks ? octets.size() : 0;
}

}  // namespace esplanade::crypto
