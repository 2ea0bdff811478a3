#include "hw/tb/fullcard/traffic.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "common/esp/ip.h"

namespace esplanade::fullcard {

namespace reg = card::reg;
using card::Status;

namespace {

/// The card's word for an error of the reference engine about a packet to unprotect.
Status status_of(Errc code) {
  switch (code) {
    case Errc::kTruncated:
    case Errc::kMalformed: return Status::kBadHeader;
    case Errc::kFragment: return Status::kFragment;
    case Errc::kWrongProtocol: return Status::kWrongProtocol;
    case Errc::kWrongAddress: return Status::kWrongAddress;
    case Errc::kWrongDirection: return Status::kWrongDirection;
    case Errc::kBadLength: return Status::kBadEspLength;
    case Errc::kUnknownSpi: return Status::kNoSa;
    case Errc::kReplayed: return Status::kReplay;
    case Errc::kBadIcv: return Status::kBadIcv;
    case Errc::kBadPadding: return Status::kBadPadding;
    case Errc::kBadNextHeader: return Status::kBadNextHeader;
    case Errc::kDummy: return Status::kDummy;
    case Errc::kBadInner: return Status::kBadInner;
    case Errc::kSeqOverflow: return Status::kSeqOverflow;
    case Errc::kExpired: return Status::kExpired;
    default: return Status::kUnsupported;
  }
}

esp::SoftSa soft(esp::SaParams params) {
  auto made = esp::SoftSa::create(std::move(params), [] { return std::uint64_t{0}; });
  if (!made) {
    fmt::print(stderr, "bench: reference refuses the SA: {}\n", made.error().detail);
    std::abort();
  }
  return std::move(made).value();
}

unsigned version_of(ByteView p) { return p.empty() ? 0 : p[0] >> 4; }

/// What happens to a header on the way: a hop less to live, perhaps marked as congested.
void travel(Bytes& p, bool congested) {
  if (version_of(p) == 4) {
    if (congested) p[1] |= 3;
    if (p[8] > 1) --p[8];
    fix_checksum(p);
  } else {
    if (congested) p[1] |= 0x30;
    if (p[7] > 1) --p[7];
  }
}

}  // namespace

Traffic::Traffic(Card& card, Coverage& coverage, const Mix& mix, std::uint64_t seed)
    : card_(card), coverage_(coverage), mix_(mix), gen_(card, seed), by_queue_(card.queues) {
  mix_.most = std::min<std::size_t>(mix_.most, card.max_packet);
  for (unsigned q = 0; q < card.queues; ++q)
    card_.start_queue(q, static_cast<unsigned>(4 + gen_.below(5)), mix.in_order != 0 && q % mix.in_order == 0);
  for (unsigned i = 0; i < mix.sas; ++i) {
    const bool limited = mix.limits && i % 4 == 3;
    (void)make(true, limited);
    (void)make(false, limited);
  }
  next_churn_ = mix.churn;
}

void Traffic::fail(const std::string& what, const Done* done, const Expect* e) {
  ++num_failures;
  if (failures.size() >= 20) return;
  std::string text = what;
  if (done != nullptr)
    text += fmt::format("; queue {} cookie {} status {} sa {} seq {} out_len {}", done->queue, done->cookie, card::name_of(done->status),
                        static_cast<std::int32_t>(done->sa_index), done->seq, done->out_len);
  if (e != nullptr) {
    text += fmt::format("; {} {} source {} ({})", e->encap ? "encap" : "decap", e->kind, e->source.size(),
                        to_hex(ByteView(e->source).first(std::min<std::size_t>(e->source.size(), 128))));
    if (e->sa) {
      const auto& p = e->sa->params;
      text += fmt::format("; index {} spi {:#x} {} {} cipher {} auth {} outer v{}{}{} window {}", e->sa->index, p.spi,
                          p.protocol == esp::Protocol::kAh ? "AH" : "ESP", p.mode == esp::Mode::kTunnel ? "tunnel" : "transport",
                          static_cast<int>(p.cipher), static_cast<int>(p.auth), p.src.version, p.natt ? " UDP" : "", p.esn ? " ESN" : "",
                          p.replay_window);
    }
  }
  failures.push_back(std::move(text));
}

Traffic::SaPtr Traffic::make(bool outbound, bool limited) {
  std::uint32_t index = 0;
  do {
    index = static_cast<std::uint32_t>(gen_.below(gen_.percent(50) ? card_.sa_entries : std::min(card_.sa_entries, 128u)));
  } while (table_.contains(index));
  auto sa = std::make_shared<Sa>();
  esp::SaParams p = gen_.sa(index);
  p.outbound = outbound;
  if (!outbound) p.ip_id = 0;
  if (p.esn) {
    constexpr std::uint64_t kWrap = std::uint64_t{1} << 32;
    p.seq = gen_.percent(40) ? 0 : kWrap * (gen_.below(5) + 1) - gen_.below(200);
  } else {
    p.seq = gen_.percent(60) ? 0 : gen_.below(0xe0000000u);
  }
  sa->limited = limited;
  if (limited) {
    if (outbound && !p.esn && gen_.percent(25)) p.seq = 0xffffffffu - gen_.below(gen_.percent(50) ? 6 : 60);
    if (outbound && !p.esn && gen_.percent(25)) p.seq = 0xf0000000u - gen_.below(30);
    if (card_.has(reg::kCapsLifetimes)) {
      if (gen_.percent(50)) p.soft.packets = 1 + gen_.below(30);
      if (gen_.percent(50)) p.hard.packets = 5 + gen_.below(60);
      if (gen_.percent(50)) p.soft.bytes = 1 + gen_.below(20'000);
      if (gen_.percent(50)) p.hard.bytes = 2'000 + gen_.below(40'000);
    }
  }
  sa->index = index;
  sa->queue = static_cast<unsigned>(gen_.below(card_.queues));
  sa->base_seq = sa->seq = p.seq;
  sa->base_id = p.ip_id;
  const auto result = card_.install(index, p);
  if (result != card::SaResult::kOk) {
    fail(fmt::format("SA {} spi {:#x} not installed: {}", index, p.spi, static_cast<int>(result)));
    return nullptr;
  }
  if (!outbound) {
    esp::SaParams in = copy_of(p), peer = copy_of(p);
    in.check_outer = false;  // judged here, since an update may change the addresses
    sa->golden.emplace(soft(std::move(in)));
    peer.outbound = true;
    peer.check_outer = false;
    peer.soft = peer.hard = {};
    sa->peer_seq = peer.seq;
    sa->peer.emplace(soft(std::move(peer)));
  } else if (limited) {
    sa->golden.emplace(soft(copy_of(p)));
  }
  sa->params = std::move(p);
  table_[index] = sa;
  (outbound ? out_ : in_).push_back(sa);
  return sa;
}

Traffic::SaPtr Traffic::pick(bool outbound, unsigned queue) {
  auto& all = outbound ? out_ : in_;
  if (all.empty()) return nullptr;
  const std::size_t from = gen_.below(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const SaPtr& sa = all[(from + i) % all.size()];
    if (sa->queue != queue) continue;
    if (sa->limited && sa->golden->expired() && !gen_.percent(10)) continue;  // refusals only: some are enough
    return sa;
  }
  return nullptr;
}

// Segments of 64-octet multiples, the last of any length.
void Traffic::cut(Job& job) {
  if (!card_.has(reg::kCapsScatterGather) || !gen_.percent(20)) return;
  const auto pieces = [&](std::size_t size, std::vector<std::uint32_t>& out) {
    if (size == 0) return;
    std::size_t left = size;
    const std::uint64_t n = 1 + gen_.below(card::kMaxSegments);
    for (std::uint64_t i = 1; i < n && left > 64; ++i) {
      const std::size_t most = (left - 1) / 64;
      const std::size_t part = 64 * (1 + gen_.below(gen_.percent(50) ? most : std::min<std::size_t>(most, 3)));
      out.push_back(static_cast<std::uint32_t>(part));
      left -= part;
    }
    out.push_back(static_cast<std::uint32_t>(left));
  };
  if (gen_.percent(70)) pieces(job.source.size(), job.src_cut);
  if (gen_.percent(70)) pieces(job.dst_size, job.dst_cut);
}

void Traffic::submit(unsigned queue, Job job, Expect e) {
  e.order = ++orders_;
  e.dst_size = job.dst_size;
  e.source = job.source;
  if (e.sa) {
    ++e.sa->in_flight;
    e.generation = e.sa->generation;
    // What the host knows to be removed finds nothing.
    if (e.sa->gone) e.exactly.insert(Status::kNoSa);
  }
  const std::uint64_t cookie = card_.submit(queue, std::move(job));
  waiting_.emplace(cookie, std::move(e));
}

bool Traffic::bad_descriptor(unsigned queue) {
  Job job;
  Expect e;
  const bool modern = card_.has(reg::kCapsScatterGather);
  const std::uint64_t outside = Memory::kBase + Memory::kSize;
  job.source = gen_.ipv4(64, 0, false);
  job.dst_size = 256;
  job.sa_index = static_cast<std::uint32_t>(gen_.below(card_.sa_entries));
  job.op = e.encap ? card::Op::kEncap : card::Op::kDecap;
  switch (gen_.below(13)) {
    case 0: job = {.op = card::Op::kNop}; e.exactly = {Status::kOk}; e.kind = "nop"; break;
    case 1: job.op = static_cast<card::Op>(3 + gen_.below(253)); e.exactly = {Status::kBadDescriptor}; e.kind = "operation"; break;
    case 2: job.word0_more = 0x200u << gen_.below(7); e.exactly = {Status::kBadDescriptor}; e.kind = "reserved bit"; break;
    case 3: job.op = card::Op::kDecap; job.iv.emplace(); e.exactly = {Status::kBadDescriptor}; e.kind = "IV for decap"; break;
    case 4: job.src_addr = Card::kData + 1 + gen_.below(63); e.exactly = {Status::kBadAlign}; e.kind = "source alignment"; break;
    case 5: job.dst_addr = Card::kData + 1 + gen_.below(63); e.exactly = {Status::kBadAlign}; e.kind = "destination alignment"; break;
    case 6: job.src_addr = outside - 64 * gen_.below(1); job.src_len = 64; e.exactly = {Status::kBadAddress}; e.kind = "source outside"; break;
    case 7: job.dst_addr = outside - 128; job.dst_size = 129; e.exactly = {Status::kBadAddress}; e.kind = "destination over the end"; break;
    case 8: job.src_len = static_cast<std::uint32_t>(gen_.below(20)); e.exactly = {Status::kBadLength}; e.kind = "too short"; break;
    case 9: job.src_len = card_.max_packet + 1 + static_cast<std::uint32_t>(gen_.below(100'000)); e.exactly = {Status::kBadLength}; e.kind = "too long"; break;
    case 10: job.sa_index = card_.sa_entries + static_cast<std::uint32_t>(gen_.below(1000)); e.exactly = {Status::kNoSa}; e.kind = "index"; break;
    case 11: job.src_addr = gen_.below(1u << 30) * 64; e.exactly = {*job.src_addr >= Memory::kBase ? Status::kNoSa : Status::kBadAddress}; e.kind = "source anywhere";
      if (*job.src_addr >= Memory::kBase) return false;
      break;
    default:
      if (!modern) return false;
      job.word0_more = (card::kMaxSegments + 1u + static_cast<std::uint32_t>(gen_.below(200))) << (gen_.percent(50) ? 16 : 24);
      e.exactly = {Status::kBadDescriptor};
      e.kind = "too many segments";
  }
  submit(queue, std::move(job), std::move(e));
  return true;
}

void Traffic::encap(unsigned queue) {
  const SaPtr sa = pick(true, queue);
  if (!sa) return;
  Expect e;
  e.encap = true;
  e.sa = sa;
  Job job;
  job.sa_index = sa->index;
  job.source = gen_.packet(sa->params, gen_.size(mix_.most - (gen_.percent(98) || sa->limited ? 120 : 0)));
  e.plain = job.source;
  e.inner = version_of(job.source);
  const auto ip = esp::parse_ip(job.source);
  e.result_len = protected_len(sa->params, job.source.size(), ip->upper_at);
  if (sa->params.cipher != esp::Cipher::kNull && gen_.percent(50)) {
    job.iv.emplace();
    std::ranges::copy(gen_.octets(8), job.iv->begin());
    e.iv = job.iv;
  }
  job.dst_size = static_cast<std::uint32_t>(e.result_len + (gen_.percent(50) ? 0 : gen_.below(300)));
  if (e.result_len > card_.max_packet) {
    if (sa->limited) return;
    e.exactly = {Status::kBadLength};
    e.kind = "result too long";
  } else if (mix_.damage && !sa->limited && gen_.percent(9)) {
    const bool v4 = e.inner == 4;
    Bytes& p = job.source;
    switch (gen_.below(8)) {
      case 0:
        job.dst_size = static_cast<std::uint32_t>(gen_.below(e.result_len));
        e.exactly = {Status::kDstTooSmall};
        e.kind = "destination too small";
        break;
      case 1:
        if (p.size() < 41) return;
        p.resize(20 + gen_.below(p.size() - 20));
        e.exactly = {Status::kBadHeader};
        e.kind = "truncated";
        break;
      case 2:
        p.resize(p.size() + 1 + gen_.below(60));
        if (p.size() > card_.max_packet) return;
        e.exactly = {Status::kBadHeader};
        e.kind = "octets behind";
        break;
      case 3:
        if (!v4) return;
        p[10] ^= static_cast<Byte>(1u << gen_.below(8));
        e.exactly = {Status::kBadHeader};
        e.kind = "checksum";
        break;
      case 4:
        p[0] = static_cast<Byte>((p[0] & 15) | (7 + gen_.below(9)) << 4);
        e.exactly = {Status::kBadHeader};
        e.kind = "version";
        break;
      case 5:
        if (!v4) return;
        p[0] = static_cast<Byte>(0x40 + gen_.below(5));
        fix_checksum(p);
        e.exactly = {Status::kBadHeader};
        e.kind = "header length";
        break;
      case 6:
        if (!v4 || sa->params.mode == esp::Mode::kTunnel) return;
        p[6] |= 0x20;
        fix_checksum(p);
        e.exactly = {Status::kFragment};
        e.kind = "fragment";
        break;
      default: {
        const SaPtr other = in_.empty() ? nullptr : in_[gen_.below(in_.size())];
        // Another queue's SA would blur the order that is checked here.
        if (!other || other->queue != queue || other->limited) return;
        e.sa = other;
        job.sa_index = other->index;
        e.exactly = {Status::kWrongDirection};
        e.kind = "direction";
      }
    }
  } else {
    cut(job);
  }
  submit(queue, std::move(job), std::move(e));
}

// Makes the wire packet of `e` wrong in one way; false when this SA cannot have that damage.
bool Traffic::damage_decap(Sa& sa, Expect& e, std::uint64_t number) {
  const esp::SaParams& p = sa.params;
  Bytes& w = e.source;
  const bool v4 = version_of(w) == 4, ah = p.protocol == esp::Protocol::kAh, tunnel = p.mode == esp::Mode::kTunnel;
  const std::size_t at = protection_at(w);
  e.result_len = 0;
  switch (gen_.below(14)) {
    case 0: {
      const std::size_t bit = 8 * (at + 8) + gen_.below(8 * (w.size() - at - 8));
      w[bit / 8] ^= static_cast<Byte>(1u << (bit % 8));
      e.icv_bad = p.auth != esp::Auth::kNone;
      e.kind = "bit";
      return true;
    }
    case 1:
      w[at + (ah ? 4 : 0)] ^= 0x80;
      e.exactly = {Status::kNoSa};
      e.kind = "SPI";
      return true;
    case 2:
      w.resize(20 + gen_.below(w.size() - 20));
      e.exactly = {Status::kBadHeader};
      e.kind = "truncated";
      return true;
    case 3:
      w.resize(at + (ah ? 12 : 8) + gen_.below(w.size() - at - (ah ? 12 : 8)));
      fix_lengths(w, p.natt.has_value());
      e.icv_bad = true;
      e.kind = "shortened";
      // Without an ICV what is left may well be a packet: the reference knows.
      return true;
    case 4:
      if (v4) {
        w[6] |= 0x20;
        fix_checksum(w);
      } else {
        const auto ip = esp::parse_ip(w);
        Bytes fragment = gen_.octets(8);
        fragment[0] = w[ip->protocol_at];
        w[ip->protocol_at] = esp::kProtoFragment;
        w.insert(w.begin() + static_cast<std::ptrdiff_t>(ip->upper_at), fragment.begin(), fragment.end());
        fix_lengths(w, false);
        if (w.size() > card_.max_packet) return false;
      }
      e.exactly = {Status::kFragment};
      e.kind = "fragment";
      return true;
    case 5:
      w[esp::parse_ip(w)->protocol_at] = 6;
      fix_checksum(w);
      e.exactly = {Status::kWrongProtocol};
      e.kind = "protocol";
      return true;
    case 6: {
      if (ah || !v4) return false;
      const std::size_t upper = (w[0] & 15u) * 4;
      const auto here = w.begin() + static_cast<std::ptrdiff_t>(upper);
      if (p.natt) {
        w.erase(here, here + 8);
        w[9] = 50;
        fix_lengths(w, false);
      } else {
        w.insert(here, 8, Byte{0x11});
        w[9] = 17;
        fix_lengths(w, true);
        if (w.size() > card_.max_packet) return false;
      }
      e.exactly = {Status::kWrongProtocol};
      e.kind = "UDP or not";
      return true;
    }
    case 7:
      if (!p.check_outer || !tunnel) return false;
      w[v4 ? 12 + gen_.below(8) : 8 + gen_.below(32)] ^= 0x40;
      fix_checksum(w);
      e.exactly = {Status::kWrongAddress};
      e.kind = "address";
      return true;
    case 8:
      if (!v4) return false;
      w[11] ^= static_cast<Byte>(1u << gen_.below(8));
      e.exactly = {Status::kBadHeader};
      e.kind = "checksum";
      return true;
    case 9: {
      if (ah) return false;
      Opened inside = open_wire(p, w);
      const std::size_t n = inside.body.size(), pad = inside.body[n - 2];
      if (pad > 0 && gen_.percent(50)) {
        inside.body[n - 3 - gen_.below(pad)] ^= static_cast<Byte>(1 + gen_.below(255));
      } else {
        inside.body[n - 2] = static_cast<Byte>(std::min<std::size_t>(255, n - 1 + gen_.below(30)));
      }
      w = seal_wire(p, w, number, inside);
      e.kind = "padding";
      return true;
    }
    case 10: {
      Opened inside = open_wire(p, w);
      const bool dummy = !ah && gen_.percent(50);
      if (!dummy && !tunnel) return false;
      (ah ? inside.next_header : inside.body.back()) = dummy ? esp::kProtoNone : Byte{6};
      w = seal_wire(p, w, number, inside);
      e.kind = dummy ? "dummy" : "next header";
      return true;
    }
    case 11: {
      if (!tunnel) return false;
      Opened inside = open_wire(p, w);
      Bytes& b = inside.body;
      if (gen_.percent(50)) {
        b[0] ^= 0x20;  // 4 becomes 6, 6 becomes 4
      } else {
        store_be16(&b[b[0] >> 4 == 4 ? 2 : 4], static_cast<std::uint16_t>(b.size() + 1 + gen_.below(200)));
        fix_checksum(b);
      }
      w = seal_wire(p, w, number, inside);
      e.kind = "inner";
      return true;
    }
    case 12: {
      const SaPtr other = out_.empty() ? nullptr : out_[gen_.below(out_.size())];
      if (!other || other->queue != e.sa->queue || other->limited) return false;
      store_be32(&w[at + (ah ? 4 : 0)], other->params.spi);
      e.sa = other;
      e.exactly = {Status::kWrongDirection};
      e.kind = "direction";
      return true;
    }
    default: {
      // Traffic flow confidentiality: octets behind the inner packet (RFC 4303 s2.7); good.
      if (!tunnel || w.size() + 64 > card_.max_packet) return false;
      Opened inside = open_wire(p, w);
      const std::size_t more = 8 * (1 + gen_.below(5));
      if (ah) {
        inside.body.resize(inside.body.size() + more);
      } else {
        const std::size_t trailer = 2u + inside.body[inside.body.size() - 2];
        inside.body.insert(inside.body.end() - static_cast<std::ptrdiff_t>(trailer), more, Byte{0});
      }
      w = seal_wire(p, w, number, inside);
      e.result_len = e.plain.size();
      e.kind = "TFC padding";
      return true;
    }
  }
}

void Traffic::decap(unsigned queue) {
  const SaPtr sa = pick(false, queue);
  if (!sa) return;
  Expect e;
  e.encap = false;
  e.sa = sa;
  Job job;
  job.op = card::Op::kDecap;
  e.plain = gen_.packet(sa->params, gen_.size(mix_.most - 140));
  e.inner = version_of(e.plain);
  e.result_len = e.plain.size();
  auto sent = sa->peer->encap(e.plain);
  if (!sent) return;  // the twin's numbers ran out
  const std::uint64_t number = sent->seq;
  e.source = std::move(sent->packet);
  if (!sa->old.empty() && gen_.percent(10)) {
    // An old one again; now and then the new one takes its place and comes later: out of order.
    const std::size_t which = gen_.below(sa->old.size());
    if (gen_.percent(40)) {
      std::swap(e.source, sa->old[which].first);
    } else {
      e.source = sa->old[which].first;
    }
    e.result_len = 0;
    e.kind = "again or late";
  } else {
    // Builds before SA_UPDATE do not carry congestion inwards.
    if (gen_.percent(20)) travel(e.source, card_.has(reg::kCapsSaUpdate) && gen_.percent(50));
    sa->old.emplace_back(e.source, number);
    if (sa->old.size() > 12) sa->old.erase(sa->old.begin() + static_cast<std::ptrdiff_t>(gen_.below(6)));
    if (mix_.damage && gen_.percent(14)) {
      Bytes whole = e.source;
      if (sa->limited || !damage_decap(*sa, e, number)) {
        e.source = std::move(whole);
        e.sa = sa;
        e.exactly.clear();
        e.kind = "good";
        e.result_len = e.plain.size();
        e.icv_bad = false;
      } else {
        sa->old.pop_back();
      }
    } else if (gen_.percent(6) && e.source.size() + 70 < card_.max_packet) {
      const Bytes more = gen_.octets(1 + gen_.below(70));
      put(e.source, more);
      e.kind = "octets behind";
    }
  }
  job.source = e.source;
  job.dst_size = static_cast<std::uint32_t>(e.result_len != 0 ? e.result_len + (gen_.percent(50) ? 0 : gen_.below(200)) : e.source.size());
  if (e.result_len != 0 && mix_.damage && !sa->limited && gen_.percent(2)) {
    job.dst_size = static_cast<std::uint32_t>(gen_.below(e.result_len));
    e.kind = "destination too small";
  } else {
    cut(job);
  }
  submit(queue, std::move(job), std::move(e));
}

void Traffic::step_submit(unsigned queue) {
  const std::uint64_t kind = gen_.below(100);
  if (mix_.damage && kind < 3) {
    // A queue without an SA would bring nothing else.
    if (!pick(true, queue) && !pick(false, queue)) return;
    (void)bad_descriptor(queue);
  } else if (kind < 50) {
    encap(queue);
  } else {
    decap(queue);
  }
}

void Traffic::check(const Done& done) {
  const auto it = waiting_.find(done.cookie);
  Expect e = std::move(it->second);
  waiting_.erase(it);
  ++completed;
  done.status == Status::kOk ? ++accepted : ++refused;
  ++by_status_[done.status];
  ++by_queue_[done.queue][done.status];
  coverage_.status(done.status);
  const bool found = done.sa_index != 0xffffffffu;
  if (done.status == Status::kOk && done.op == card::Op::kEncap) {
    ++encap_packets_;
    encap_bytes_ += e.source.size();
  }
  if (done.status == Status::kOk && done.op == card::Op::kDecap) {
    ++decap_packets_;
    decap_bytes_ += done.out_len;
  }
  if (!e.sa) {
    if (found) fail("an SA was found where there is none", &done, &e);
    if (!e.exactly.contains(done.status)) fail("wrong status", &done, &e);
    coverage_.count("descriptor", e.kind);
    return;
  }
  Sa& sa = *e.sa;
  --sa.in_flight;
  coverage_.packet(sa.params, e.encap, e.inner, e.source.size(), done.status, e.kind);
  if (found) {
    if (done.sa_index != sa.index) fail("another SA was found", &done, &e);
    if (done.spi != sa.params.spi) fail("SPI is not that of the SA", &done, &e);
    if (e.order <= sa.last_order) fail("completed before a packet of the same SA that was submitted earlier", &done, &e);
    sa.last_order = e.order;
    if (done.status != Status::kOk) ++sa.drops[done.status];
  }
  if (done.status == Status::kOk && done.stamps[0] - done.stamps[4] < 0x80000000u && done.stamps[0] != done.stamps[4])
    fail("stamps run backwards", &done, &e);
  if (done.status == Status::kNoSa && (sa.closing || sa.gone)) return;
  if (sa.gone && e.exactly.contains(Status::kNoSa) && e.exactly.size() == 1) {
    fail("a packet found a removed SA", &done, &e);
    return;
  }
  if (!e.exactly.empty()) {
    if (!e.exactly.contains(done.status)) fail("wrong status", &done, &e);
    return;
  }
  e.encap ? check_encap(done, e) : check_decap(done, e);
}

void Traffic::check_encap(const Done& done, Expect& e) {
  Sa& sa = *e.sa;
  if (done.status != Status::kOk) {
    if (!sa.golden || !sa.limited) return fail("a good packet was refused", &done, &e);
    const auto model = sa.golden->encap(e.plain);
    if (model) return fail("a good packet was refused", &done, &e);
    const Status want = status_of(model.error().code);
    if (want == Status::kSeqOverflow) sa.bad_number = true;
    // The reference closes the SA at the first overflow; that it says so again, or says Expired, is the same thing.
    if (done.status != want && !(sa.bad_number && done.status == Status::kSeqOverflow))
      fail(fmt::format("refused, but for {}", card::name_of(want)), &done, &e);
    return;
  }
  std::optional<std::array<Byte, 8>> iv = e.iv;
  if (!iv && sa.params.cipher != esp::Cipher::kNull) {
    if (done.packet.size() != e.result_len) return fail("result has a wrong length", &done, &e);
    const auto ip = esp::parse_ip(done.packet);
    if (!ip || ip->upper_at + 24 > done.packet.size()) return fail("result is no IP packet", &done, &e);
    const std::size_t at = protection_at(done.packet) + 8;
    iv.emplace();
    std::copy_n(done.packet.begin() + static_cast<std::ptrdiff_t>(at), 8, iv->begin());
    if (!ivs_.insert(load_be64(iv->data())).second) fail("an IV came twice", &done, &e);
  }
  if (done.seq != sa.seq + 1) fail(fmt::format("number after {}", sa.seq), &done, &e);
  sa.seq = done.seq;
  ++sa.packets;
  sa.bytes += e.plain.size();
  if (done.next_header != 0) fail("next header of an encapsulation", &done, &e);
  // The engine that makes just this packet, by what the card knew before or after an update.
  const auto fresh = [&](const esp::SaParams& params) {
    esp::SaParams p = copy_of(params);
    p.seq = done.seq - 1;
    p.ip_id = static_cast<std::uint16_t>(sa.base_id + (done.seq - 1 - sa.base_seq));
    return soft(std::move(p));
  };
  const bool may_be_old = sa.before && e.generation != sa.generation;
  if (may_be_old) {
    const auto model = fresh(*sa.before).encap(e.plain, iv);
    if (model && model->packet == done.packet) return;
    sa.golden.reset();
  }
  if (!sa.limited && (!sa.golden || sa.golden->seq() + 1 != done.seq)) sa.golden.emplace(fresh(sa.params));
  const auto model = sa.golden->encap(e.plain, iv);
  if (!model) return fail("protected what the reference refuses: " + model.error().detail, &done, &e);
  if (model->seq != done.seq) fail(fmt::format("number is not {}", model->seq), &done, &e);
  if (model->packet != done.packet) {
    std::size_t at = 0;
    while (at < done.packet.size() && at < model->packet.size() && done.packet[at] == model->packet[at]) ++at;
    fail(fmt::format("other octets than the reference's, from {} of {} on", at, model->packet.size()), &done, &e);
  }
}

// Of an inner IPv6 packet the card looks at family and length (Status BadInner), the reference also at extension headers.
// They differ only where damage gets so far: without an ICV. What was let through must be what was inside.
bool Traffic::loose_inner(const Done& done, const Expect& e, Errc why) const {
  const esp::SaParams& p = e.sa->params;
  const Bytes& got = done.packet;
  if (why != Errc::kBadInner || p.auth != esp::Auth::kNone || p.mode != esp::Mode::kTunnel || got.size() < 40) return false;
  if (version_of(got) != 6 || done.next_header != 41 || !p.inner_v6 || got.size() != load_be16(&got[4]) + 40u) return false;
  const auto ip = esp::parse_ip(e.source);
  if (!ip) return false;
  const Bytes inside = open_wire(p, ByteView(e.source).first(ip->total_len)).body;
  // A congestion mark of the outer header may stand in the second octet.
  return inside.size() >= got.size() && inside[0] == got[0] && std::equal(got.begin() + 2, got.end(), inside.begin() + 2);
}

void Traffic::check_decap(const Done& done, Expect& e) {
  Sa& sa = *e.sa;
  const bool short_dst = e.result_len != 0 && e.dst_size < e.result_len;
  if (done.status == Status::kWrongAddress && e.generation != sa.generation && sa.params.check_outer) return;  // sent by the old address
  if (short_dst && done.status == Status::kDstTooSmall) return;  // the window does not move
  const auto model = sa.golden->decap(e.source);
  if (done.status == Status::kOk) {
    if (!model && loose_inner(done, e, model.error().code)) {
      ++sa.packets;
      sa.bytes += done.out_len;
      coverage_.count("decision", "inner extension header that only the reference looks at, without an ICV");
      return;
    }
    if (!model) return fail("let through what the reference refuses: " + model.error().detail, &done, &e);
    if (short_dst) fail("a result larger than its destination", &done, &e);
    if (model->packet != done.packet) fail("other octets than the reference's", &done, &e);
    if (model->next_header != done.next_header) fail(fmt::format("next header {}", done.next_header), &done, &e);
    if (model->seq != done.seq) fail(fmt::format("number is not {}", model->seq), &done, &e);
    ++sa.packets;
    sa.bytes += done.out_len;
    return;
  }
  if (model) return fail("a good packet was refused", &done, &e);
  const Status want = status_of(model.error().code);
  if (done.status == want) return;
  const bool esn = sa.params.esn;
  const bool timing = (want == Status::kReplay && done.status == Status::kBadIcv && (e.icv_bad || esn)) ||
                      (want == Status::kBadIcv && done.status == Status::kReplay && esn) ||
                      (want == Status::kExpired && (done.status == Status::kReplay || (done.status == Status::kBadIcv && e.icv_bad)));
  if (!timing) fail(fmt::format("refused, but for {} ({})", card::name_of(want), model.error().detail), &done, &e);
}

void Traffic::take_limits(Sa& sa) {
  if (!sa.golden || !sa.limited) return;
  for (const esp::Limit limit : sa.golden->take_limits())
    ++want_events_[{static_cast<card::EventType>(static_cast<int>(limit) + 1), sa.params.spi}];
}

void Traffic::events() {
  for (const Event& event : card_.take_events()) {
    ++got_events_[{event.type, event.spi}];
    coverage_.event(event.type);
  }
}

void Traffic::churn() {
  next_churn_ = completed + 1 + gen_.below(2 * mix_.churn);
  if (command_ != Command::kNone) return;
  const std::uint64_t kind = gen_.below(100);
  if (kind < 40) {
    auto& all = gen_.percent(50) ? out_ : in_;
    if (all.size() < 2) return;
    SaPtr sa = all[gen_.below(all.size())];
    // As a host does: what has expired goes first.
    if (gen_.percent(80))
      for (auto* list : {&out_, &in_})
        for (const SaPtr& other : *list)
          if (other->limited && other->golden->expired()) sa = other;
    if ((sa->params.outbound ? out_ : in_).size() < 2) return;
    sa->closing = true;
    command_ = Command::kRemove;
    command_sa_ = sa;
    card_.start_sa_command(card::SaCommand::kRemove, sa->index);
    coverage_.count("command", "remove under traffic");
  } else if (kind < 75 || !card_.has(reg::kCapsSaUpdate)) {
    const bool outbound = out_.size() <= in_.size();
    if (table_.size() > 4 * mix_.sas) return;
    (void)make(outbound, mix_.limits && gen_.percent(50));
    coverage_.count("command", "install under traffic");
  } else {
    auto& all = gen_.percent(50) ? out_ : in_;
    if (all.empty()) return;
    const SaPtr sa = all[gen_.below(all.size())];
    // One unsettled update at a time, so that a packet has at most two shapes.
    if (sa->closing || sa->limited || sa->params.mode == esp::Mode::kTransport) return;
    if (sa->before && std::ranges::any_of(waiting_, [&](const auto& w) { return w.second.sa == sa && w.second.generation != sa->generation; })) return;
    sa->before.emplace(copy_of(sa->params));
    esp::SaParams& p = sa->params;
    p.src = gen_.address(p.src.version);
    p.dst = gen_.address(p.src.version);
    p.ttl = static_cast<std::uint8_t>(1 + gen_.below(255));
    p.df = static_cast<esp::DfPolicy>(gen_.below(3));
    p.dscp.reset();
    if (gen_.percent(50)) p.dscp = static_cast<std::uint8_t>(gen_.below(64));
    p.ecn_copy = gen_.percent(50);
    if (p.natt) p.natt = esp::Natt{static_cast<std::uint16_t>(gen_.below(65536)), static_cast<std::uint16_t>(gen_.below(65536))};
    ++sa->generation;
    card_.write_entry(entry_of(p));
    const auto result = card_.sa_command(card::SaCommand::kUpdate, sa->index);
    if (result != card::SaResult::kOk) fail(fmt::format("update of SA {}: result {}", sa->index, static_cast<int>(result)));
    if (!p.outbound) {
      const std::uint64_t seq = sa->peer->seq();
      esp::SaParams peer = copy_of(p);
      peer.outbound = true;
      peer.check_outer = false;
      peer.seq = seq;
      sa->peer.emplace(soft(std::move(peer)));
      sa->old.clear();  // their addresses are no longer the SA's
    } else {
      sa->golden.reset();
    }
    coverage_.count("command", "update under traffic");
  }
}

void Traffic::churn_poll() {
  if (command_ != Command::kRemove) return;
  const auto result = card_.sa_result();
  if (!result) return;
  if (*result != card::SaResult::kOk) fail(fmt::format("removal of SA {}: result {}", command_sa_->index, static_cast<int>(*result)));
  const SaPtr sa = std::move(command_sa_);
  command_ = Command::kNone;
  sa->gone = true;
  std::erase(out_, sa);
  std::erase(in_, sa);
  retired_.push_back(sa);
  // Packets that come after the host was told find nothing, for sure.
  for (unsigned i = 0; i < 2 && card_.has_room(sa->queue); ++i) {
    Expect e;
    e.sa = sa;
    e.kind = "removed SA";
    e.encap = sa->params.outbound;
    Job job{.op = e.encap ? card::Op::kEncap : card::Op::kDecap};
    job.sa_index = sa->index;
    e.plain = gen_.packet(sa->params, 100);
    job.source = e.plain;
    if (!e.encap) {
      auto sent = sa->peer->encap(e.plain);
      if (!sent) break;
      job.source = std::move(sent->packet);
    }
    job.dst_size = 1024;
    submit(sa->queue, std::move(job), std::move(e));
  }
  card_.ring(sa->queue);
}

void Traffic::run(std::uint64_t packets) {
  const std::uint64_t target = completed + packets;
  unsigned depth = mix_.depth;
  std::uint64_t last = card_.cycles(), rounds = 0, calm = 0;
  std::uint64_t submitted = completed;
  while (completed < target) {
    bool busy = false;
    for (unsigned q = 0; q < card_.queues; ++q) {
      if (submitted < target && card_.outstanding(q) < depth && gen_.percent(30)) {
        const std::size_t before = waiting_.size();
        for (std::uint64_t i = 1 + gen_.below(mix_.batch); i > 0 && card_.has_room(q); --i) step_submit(q);
        submitted += waiting_.size() - before;
        card_.ring(q);
        busy = true;
      }
      while (auto done = card_.poll(q)) {
        check(*done);
        last = card_.cycles();
        busy = true;
      }
    }
    if (submitted >= target && waiting_.empty()) break;
    if (!busy) card_.run(1 + gen_.below(20));
    if (card_.cycles() - last > Card::kCycleLimit) card_.die("traffic stands still");
    if (++rounds % 64 == 0) churn_poll();
    if (rounds % 512 == 0) events();
    if (completed >= next_churn_) churn();
    if (completed >= calm) {  // sometimes one packet at a time, sometimes all that the rings hold
      calm = completed + 300 + gen_.below(1000);
      depth = gen_.percent(15) ? 1 : gen_.percent(20) ? 1000 : mix_.depth;
    }
    if (num_failures > 20) break;
    for (const SaPtr& sa : retired_)
      if (sa->in_flight == 0 && table_.contains(sa->index) && table_[sa->index] == sa) table_.erase(sa->index);
  }
  // A removal that ends sends its last packets; then empty the card.
  while (command_ != Command::kNone) churn_poll();
  for (last = card_.cycles(); !waiting_.empty() && num_failures <= 20; card_.tick()) {
    for (unsigned q = 0; q < card_.queues; ++q) {
      card_.ring(q);
      while (auto done = card_.poll(q)) {
        check(*done);
        last = card_.cycles();
      }
    }
    if (card_.cycles() - last > Card::kCycleLimit) card_.die("the last packets do not come back");
  }
}

void Traffic::finish() {
  for (unsigned q = 0; q < card_.queues; ++q) card_.release(q);
  if (!card_.settle()) fail("the card does not come to rest");
  events();
  const auto same = [&](const std::string& what, std::uint64_t got, std::uint64_t want) {
    if (got != want) fail(fmt::format("{}: {}, expected {}", what, got, want));
  };
  for (unsigned s = 0; s < 32; ++s) {
    const auto name = fmt::format("PACKETS_BY_STATUS[{}]", card::name_of(static_cast<Status>(s)));
    same(name, card_.read32(reg::kPacketsByStatus.at(s)), by_status_[static_cast<Status>(s)]);
    if (card_.has(reg::kCapsSaUpdate))
      for (unsigned q = 0; q < card_.queues; ++q)
        same(fmt::format("queue {} {}", q, name), card_.read32(reg::kQPacketsByStatus.at(32 * q + s)), by_queue_[q][static_cast<Status>(s)]);
  }
  same("ENCAP_PACKETS", card_.read32(reg::kEncapPackets.at()), encap_packets_);
  same("ENCAP_BYTES", card_.read64(reg::kEncapBytesLo.at()), encap_bytes_);
  same("DECAP_PACKETS", card_.read32(reg::kDecapPackets.at()), decap_packets_);
  same("DECAP_BYTES", card_.read64(reg::kDecapBytesLo.at()), decap_bytes_);
  same("ERROR_CAUSE", card_.read32(reg::kErrorCause.at()), 0);
  same("SA_VALID_COUNT", card_.read32(reg::kSaValidCount.at()), out_.size() + in_.size());

  namespace v = card::sa_view;
  std::vector<SaPtr> live = out_;
  live.insert(live.end(), in_.begin(), in_.end());
  for (const SaPtr& sa : live) {
    const Bytes view = card_.view(sa->index);
    const auto field = [&](const char* name, card::Field f, std::uint64_t want) {
      same(fmt::format("SA {} ({}bound) view {}", sa->index, sa->params.outbound ? "out" : "in", name), card::get(view, f), want);
    };
    field("Valid", v::kValid, 1);
    field("Outbound", v::kOutbound, sa->params.outbound);
    field("Spi", v::kSpi, sa->params.spi);
    field("Packets", v::kPackets, sa->packets);
    field("Bytes", v::kBytes, sa->bytes);
    const bool expired = sa->golden && sa->golden->expired();
    if (sa->params.outbound) field("Seq", v::kSeq, sa->seq);
    else if (!expired) field("Seq", v::kSeq, sa->golden->seq());
    if (sa->limited && card_.has(reg::kCapsLifetimes)) field("Expired", v::kExpired, expired);
    auto drops = sa->drops;
    field("ReplayDrops", v::kReplayDrops, drops[Status::kReplay]);
    field("IcvDrops", v::kIcvDrops, drops[Status::kBadIcv]);
    std::uint64_t others = 0, named = 0;
    for (const auto& [status, n] : drops)
      if (status != Status::kReplay && status != Status::kBadIcv) others += n;
    if (card_.has(reg::kCapsSaUpdate)) {
      const auto reason = [&](const char* name, card::Field f, std::initializer_list<Status> statuses) {
        std::uint64_t n = 0;
        for (const Status s : statuses) n += drops[s];
        named += n;
        field(name, f, n);
      };
      reason("PaddingDrops", v::kPaddingDrops, {Status::kBadPadding});
      reason("NextHeaderDrops", v::kNextHeaderDrops, {Status::kBadNextHeader, Status::kDummy});
      reason("InnerDrops", v::kInnerDrops, {Status::kBadInner});
      reason("ProtocolDrops", v::kProtocolDrops, {Status::kWrongProtocol, Status::kWrongDirection});
      reason("AddressDrops", v::kAddressDrops, {Status::kWrongAddress});
      reason("ExpiredDrops", v::kExpiredDrops, {Status::kExpired});
      reason("SeqDrops", v::kSeqDrops, {Status::kSeqOverflow});
      reason("LengthDrops", v::kLengthDrops, {Status::kBadEspLength, Status::kBadLength, Status::kDstTooSmall});
    }
    field("OtherDrops", v::kOtherDrops, others - named);
  }
  for (const auto* list : {&live, &retired_})
    for (const SaPtr& sa : *list) take_limits(*sa);
  // A packet that passed its lookup before one hard limit closed an inbound SA may still run into the other limit: the
  // card tells that too, once. The reference has nothing in flight and sees only the first.
  for (const auto* list : {&live, &retired_})
    for (const SaPtr& sa : *list) {
      const esp::SaParams& p = sa->params;
      if (p.outbound || !sa->limited || !sa->golden->expired()) continue;
      const std::pair bytes{card::EventType::kHardBytes, p.spi}, packets{card::EventType::kHardPackets, p.spi};
      for (const auto& [first, second, limit] : {std::tuple{packets, bytes, p.hard.bytes}, std::tuple{bytes, packets, p.hard.packets}})
        if (limit != 0 && want_events_[first] == 1 && want_events_[second] == 0 && got_events_[second] == 1) {
          want_events_[second] = 1;
          coverage_.count("decision", "second hard limit by a packet in flight");
        }
    }
  std::erase_if(want_events_, [](const auto& e) { return e.second == 0; });
  std::erase_if(got_events_, [](const auto& e) { return e.second == 0; });
  if (want_events_ != got_events_) {
    for (const auto& [key, n] : want_events_)
      if (got_events_[key] != n) fail(fmt::format("event {} of SPI {:#x}: {}, expected {}", card::name_of(key.first), key.second, got_events_[key], n));
    for (const auto& [key, n] : got_events_)
      if (!want_events_.contains(key) || want_events_[key] == 0) fail(fmt::format("event {} of SPI {:#x}: {}, expected {}", card::name_of(key.first), key.second, n, want_events_[key]));
  }
  for (const auto& violation : card_.memory.violations) fail(violation);
  if (card_.memory.num_violations > 20) fail(fmt::format("{} violations in all", card_.memory.num_violations));
}

}  // namespace esplanade::fullcard
