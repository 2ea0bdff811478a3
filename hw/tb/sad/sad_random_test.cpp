// Random traffic of all lanes over a few entries, so that operations meet, with commands in between; against the model.
#include <doctest/doctest.h>

#include "hw/tb/sad/sad_bench.h"

using namespace esplanade;
using namespace esplanade::tb;

namespace {
using S = card::Status;
constexpr unsigned code(S s) { return static_cast<unsigned>(s); }

SaSetting random_sa(SadBench& b, std::uint32_t index) {
  Random& r = b.random;
  SaSetting sa;
  sa.outbound = r.percent(50);
  sa.spi = static_cast<std::uint32_t>(r.between(1, 0xfffff)) * SAD_ENTRIES * 256 + index;
  sa.ah = r.percent(20);
  sa.transport = r.percent(40);
  sa.outer_v6 = r.percent(40);
  sa.natt = !sa.ah && !sa.outer_v6 && r.percent(30);
  sa.cipher = sa.ah ? 0 : static_cast<unsigned>(r.between(0, 2));
  sa.auth = static_cast<unsigned>(r.between(sa.ah || sa.cipher == 0 ? 1 : 0, 2));
  sa.check_outer = r.percent(70);
  sa.inner_v4 = r.percent(80);
  sa.inner_v6 = r.percent(50);
  sa.df = static_cast<unsigned>(r.between(0, 2));
  sa.dscp_set = r.percent(50);
  sa.dscp = static_cast<unsigned>(r.between(0, 63));
  sa.ecn_clear = r.percent(50);
  const unsigned windows[] = {32, 64, 96, SAD_REPLAY};
  sa.window = r.percent(10) ? 0 : windows[r.between(0, 3)];
  sa.esn = r.percent(50);
  if (sa.esn && !sa.outbound && sa.window == 0) sa.window = 32;
  switch (r.between(0, 4)) {
    case 0: sa.seq = 0; break;
    case 1: sa.seq = 0xffffff00u + r.between(0, 255); break;
    case 2: sa.seq = 0xefffff80u + r.between(0, 255); break;
    case 3: sa.seq = sa.esn ? 0x7ffffffc0ull + r.between(0, 127) : r.between(0, 5000); break;
    default: sa.seq = sa.esn && r.percent(20) ? ~std::uint64_t{0} - r.between(0, 60) : r.between(0, 0xffffffff); break;
  }
  sa.ip_id = static_cast<std::uint16_t>(r.bits());
  sa.ttl = static_cast<unsigned>(r.between(0, 255));
  sa.udp_src = static_cast<std::uint16_t>(r.bits());
  sa.udp_dst = static_cast<std::uint16_t>(r.bits());
  const auto limit = [&r](std::uint64_t top) { return r.percent(60) ? 0 : r.between(1, top); };
  sa.soft_packets = limit(60);
  sa.hard_packets = limit(400);
  sa.soft_bytes = limit(30000);
  sa.hard_bytes = limit(200000);
  if (r.percent(5)) sa.hard_bytes = ~std::uint64_t{0};
  sa.soft_seconds = static_cast<std::uint32_t>(limit(5));
  sa.hard_seconds = static_cast<std::uint32_t>(limit(12));
  r.fill(sa.src);
  r.fill(sa.dst);
  r.fill(sa.enc_key);
  r.fill(sa.auth_key);
  return sa;
}

Lookup random_lookup(SadBench& b, const std::vector<std::uint32_t>& indexes) {
  Random& r = b.random;
  Lookup l;
  l.index = indexes[r.between(0, indexes.size() - 1)];
  const ModelEntry& e = b.model[l.index];
  const SaSetting& sa = e.sa;
  l.encap = sa.outbound;
  if (r.percent(3)) l.encap = !l.encap;
  l.spi = r.percent(97) ? sa.spi : sa.spi ^ 1u << r.between(0, 31);
  l.seq = static_cast<std::uint32_t>(e.seq + r.between(0, 12) - 5);
  if (r.percent(20)) l.seq = static_cast<std::uint32_t>(e.seq - r.between(0, 2 * SAD_REPLAY));
  if (r.percent(4)) l.seq = static_cast<std::uint32_t>(e.seq + r.between(0, 2 * SAD_REPLAY));
  if (r.percent(1)) l.seq = static_cast<std::uint32_t>(r.bits());
  if (r.percent(1)) l.seq = 0;
  l.ah = sa.ah != r.percent(2);
  l.udp = sa.natt != r.percent(2);
  l.v6 = sa.outer_v6 != r.percent(2);
  l.src = sa.src;
  l.dst = sa.dst;
  if (!sa.outer_v6) {
    std::fill(l.src.begin() + 4, l.src.end(), 0);
    std::fill(l.dst.begin() + 4, l.dst.end(), 0);
  }
  if (r.percent(3)) l.src[r.between(0, sa.outer_v6 ? 15 : 3)] ^= static_cast<std::uint8_t>(1u << r.between(0, 7));
  if (r.percent(3)) l.dst[r.between(0, sa.outer_v6 ? 15 : 3)] ^= static_cast<std::uint8_t>(1u << r.between(0, 7));
  l.hdr_len = static_cast<std::uint8_t>(r.percent(50) ? 20 : 40 + 8 * r.between(0, 4));
  l.len = static_cast<std::uint16_t>(l.hdr_len + r.between(0, 1500));
  if (r.percent(5)) l.len = static_cast<std::uint16_t>(9100 + r.between(0, 150));
  l.dst_size = static_cast<std::uint16_t>(r.percent(95) ? 65535 : l.len + r.between(0, 80));
  l.fragment = r.percent(4);
  if (r.percent(1)) l.index += SAD_ENTRIES;
  return l;
}

// What the lane makes of an answer: an update, sooner or later.
Update update_of(SadBench& b, const Lookup& l, const Answer& a) {
  Random& r = b.random;
  Update u;
  u.index = a.index;
  u.epoch = a.epoch;
  u.status = a.status;
  u.seq = a.seq;
  u.bytes = static_cast<std::uint16_t>(l.encap ? l.len : r.between(20, 1500));
  if (a.status != 0) return u;
  if (l.encap) {
    if (r.percent(3)) u.status = code(S::kBusError);
    return u;
  }
  u.auth = r.percent(90);
  if (!u.auth) {
    u.status = code(S::kBadIcv);
    return u;
  }
  const S bad[] = {S::kBadPadding, S::kBadNextHeader, S::kDummy, S::kBadInner, S::kDstTooSmall, S::kBusError, S::kBadEspLength};
  if (r.percent(15)) u.status = code(bad[r.between(0, std::size(bad) - 1)]);
  u.ok = u.status == 0;
  return u;
}

void traffic(unsigned num_indexes, unsigned cycles, unsigned ask_percent, std::uint64_t salt) {
  SadBench b(SAD_ENTRIES, SAD_REPLAY, 9216, salt);
  Random& r = b.random;
  b.event_stall = salt % 2 == 0 ? 0 : 85;
  std::vector<std::uint32_t> indexes;
  while (indexes.size() < num_indexes) indexes.push_back(static_cast<std::uint32_t>(r.between(0, SAD_ENTRIES - 1)));
  for (const auto i : indexes) {
    if (!b.model[i].valid) REQUIRE(b.install(i, random_sa(b, i)) == 0);
  }
  std::array<std::vector<Update>, kLanes> holding;
  unsigned command_left = 0;
  bool removing = false;
  std::uint32_t command_index = 0;
  std::uint64_t statuses[32] = {};
  const auto move = [&](bool ask) {
    for (unsigned l = 0; l < kLanes; ++l) {
      auto& lane = b.lanes[l];
      for (const auto& [lookup, answer] : lane.answers) {
        ++statuses[answer.status];
        if (answer.found) holding[l].push_back(update_of(b, lookup, answer));
      }
      lane.answers.clear();
      lane.update_answers.clear();
      if (ask && !lane.asking && holding[l].size() + lane.lookups.size() < 24 && r.percent(ask_percent)) {
        lane.asking = random_lookup(b, indexes);
        lane.asked_at = 0;
      }
      if (!lane.updating && !holding[l].empty() && (r.percent(ask_percent) || !ask)) {
        const std::size_t at = r.percent(70) ? 0 : r.between(0, holding[l].size() - 1);
        lane.updating = holding[l][at];
        holding[l].erase(holding[l].begin() + static_cast<std::ptrdiff_t>(at));
      }
    }
  };
  const auto settle = [&] {
    for (;;) {
      move(false);
      bool idle = true;
      for (unsigned l = 0; l < kLanes; ++l) {
        idle = idle && holding[l].empty() && !b.lanes[l].asking && !b.lanes[l].updating && b.lanes[l].lookups.empty() &&
               b.lanes[l].updates.empty() && b.lanes[l].answers.empty();
      }
      if (idle) return;
      b.step();
    }
  };
  for (unsigned n = 0; n < cycles; ++n) {
    move(true);
    if (command_left == 0) {
      if (!b.busy()) {
        if (removing) {  // an installation follows a removal
          b.write_entry(random_sa(b, command_index));
          b.start(1, command_index);
          removing = false;
        } else if (r.percent(1)) {
          command_index = indexes[r.between(0, indexes.size() - 1)];
          if (r.percent(30)) {
            SaSetting sa = random_sa(b, command_index);
            if (r.percent(80)) sa.spi = b.model[command_index].sa.spi;
            if (r.percent(80)) sa.outbound = b.model[command_index].sa.outbound;
            // Time alone may have closed it already; whether a scan saw that is not the model's to know.
            sa.soft_seconds = b.model[command_index].sa.soft_seconds;
            sa.hard_seconds = b.model[command_index].sa.hard_seconds;
            b.write_entry(sa);
            b.start(5, command_index);
          } else if (r.percent(50)) {
            b.start(3, command_index);
          } else {
            b.start(2, command_index);
            removing = true;
          }
          command_left = 20;
        }
      }
    } else {
      --command_left;
    }
    b.step();
    if (r.bits() % 2000 == 0) {
      settle();
      while (b.busy()) b.step();
      b.set_seconds(b.seconds() + static_cast<std::uint32_t>(r.between(1, 3)));
      b.quiesce(SAD_SCAN * SAD_ENTRIES < 5000 ? SAD_SCAN * SAD_ENTRIES + 100 : 100);
    }
  }
  settle();
  while (b.busy()) {
    move(false);
    b.step();
  }
  settle();
  b.event_stall = 0;
  b.quiesce(SAD_SCAN * SAD_ENTRIES + 100);
  b.check_events();
  for (const auto i : indexes) b.check_view(i);
  MESSAGE("lookups " << b.lookups_answered << ", updates " << b.updates_answered << ", refused as replay " << statuses[14]
                     << ", expired " << statuses[20]);
  CHECK(b.lookups_answered > cycles / 100);
  CHECK(statuses[0] > b.lookups_answered / 20);
}
}  // namespace

TEST_CASE("sad: four lanes on one entry give what one operation after the other would") { traffic(1, 12000, 90, 11); }
TEST_CASE("sad: four lanes on three entries give what one operation after the other would") { traffic(3, 20000, 90, 12); }
TEST_CASE("sad: four lanes on many entries, with pauses") { traffic(24, 20000, 35, 13); }
TEST_CASE("sad: work waits for room for events, and none is lost") { traffic(8, 20000, 90, 15); }
