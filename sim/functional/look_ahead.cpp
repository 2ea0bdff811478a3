// What waiting descriptors will want of the ciphers, told from memory and SAs as they are now and worked out side by side.
// Packets in front of one may change what it finds: numbers of IVs, SAs, memory. Then this was for nothing, and no harm.
#include "common/esp/ip.h"
#include "sim/functional/card.h"

namespace esplanade::sim {

namespace {
constexpr std::size_t kMaxAhead = 1024;  // twice the widest pass of the ciphers
}

/// What is known of the queue's next descriptor.
const FunctionalCard::Foreseen* FunctionalCard::foreseen(Queue& q) {
  if (!build_.look_ahead) return nullptr;
  if (q.sq_head - q.ahead_from >= q.ahead.size()) look_ahead();
  const std::uint32_t n = q.sq_head - q.ahead_from;
  return n < q.ahead.size() ? &q.ahead[n] : nullptr;
}

const esp::CipherAhead* FunctionalCard::cipher_ahead(const Work& work) const {
  return work.foreseen != nullptr && work.foreseen->cipher ? &ciphers_[*work.foreseen->cipher] : nullptr;
}

/// In run()'s order, as far as there is room for completions.
void FunctionalCard::look_ahead() {
  ciphers_.clear();
  for (Queue& q : queues_) {
    q.ahead.clear();
    q.ahead_from = q.sq_head;
  }
  std::uint64_t ivs = ivs_;
  std::size_t found = 0;
  for (bool more = true; more && found < kMaxAhead;) {
    more = false;
    for (Queue& q : queues_) {
      const auto n = static_cast<std::uint32_t>(q.ahead.size());
      if (!q.running || q.sq_head + n == q.sq_tail || q.cq_tail + n - q.cq_head >= 1u << q.log2) continue;
      q.ahead.push_back(foresee(q, q.sq_head + n, ivs));
      more = true;
      ++found;
    }
  }
  esp::work_out(ciphers_);
}

/// `ivs`: IVs made until its turn; counts on.
FunctionalCard::Foreseen FunctionalCard::foresee(const Queue& q, std::uint32_t head, std::uint64_t& ivs) {
  Foreseen out;
  std::array<Byte, card::descriptor::kSize> descriptor{};
  Work work;
  if (!bus_.peek(place(q, head), descriptor) || check(descriptor, work, true) != card::Status::kOk || work.op == card::Op::kNop) return out;
  std::optional<esp::CipherAhead> cipher;
  if (work.op == card::Op::kEncap) {
    const FunctionalSaTable::Entry* entry = table_.find(work.sa_index);
    if (entry == nullptr || !entry->sa.params().outbound || (!work.iv && !iv_prf_)) return out;
    if (!work.iv) {
      out.iv_number = ivs;
      out.iv = iv(ivs++);
    }
    cipher = entry->sa.foresee_encap(work.packet, work.iv.value_or(out.iv));
  } else {
    const auto ip = esp::parse_ip(work.packet);
    std::size_t at = 0;
    if (!ip || find_spi(work.packet, *ip, at) != card::Status::kOk) return out;
    std::uint32_t index = 0;
    const FunctionalSaTable::Entry* entry = table_.find_spi(load_be32(&work.packet[at]), index);
    if (entry != nullptr) cipher = entry->sa.foresee_decap(work.packet);
  }
  if (cipher) {
    out.cipher = ciphers_.size();
    ciphers_.push_back(std::move(*cipher));
  }
  return out;
}

}  // namespace esplanade::sim
