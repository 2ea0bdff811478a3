#include "hw/tb/front/front_bench.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

namespace esplanade::tb {

namespace {
// Slots of lane_front's default parameters.
constexpr unsigned kJumbo = 16, kSmall = 48;
unsigned first_row(unsigned slot) { return slot < kJumbo ? slot * 144 : kJumbo * 144 + (slot - kJumbo) * 32; }

template <class Port>
void set_beat(Port& port, const Bytes& packet, std::size_t beat, Random& random) {
  for (std::size_t w = 0; w < 16; ++w) {
    std::uint32_t v = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const std::size_t at = beat * 64 + 4 * w + k;
      v |= std::uint32_t{at < packet.size() ? packet[at] : static_cast<Byte>(random.bits())} << (8 * k);
    }
    port[w] = v;
  }
}
std::uint16_t folded(ByteView header) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i + 1 < header.size(); i += 2) sum += load_be16(&header[i]);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}
bool has_data(const Packet& p) { return p.pd_status == kOk && p.op != kOpNop; }
}  // namespace

Front::Front(Random& random) : random_(random) {
  idle_inputs();
  dut_.reset();
}

void Front::idle_inputs() {
  dut_->pd_valid_i = 0;
  dut_->hb_valid_i = 0;
  dut_->db_valid_i = 0;
  dut_->seg_valid_i = 0;
  dut_->iv_valid_i = 0;
  dut_->lk_ready_i = 0;
  dut_->lr_valid_i = 0;
  dut_->alloc_ok_i = 0;
  dut_->seeded_i = 1;
}

std::uint64_t Front::run(const std::vector<Packet>& packets, const Pauses& pauses) {
  struct Beat { std::size_t packet, beat; bool last, err; };
  std::deque<Beat> hb, db;
  struct Seg { std::uint64_t addr; unsigned len; };
  std::deque<Seg> segs;
  std::vector<std::vector<Seg>> segs_of(packets.size());
  for (std::size_t i = 0; i < packets.size(); ++i) {
    const Packet& p = packets[i];
    if (!has_data(p)) continue;
    const std::size_t beats = (p.source.size() + 63) / 64;
    for (std::size_t b = 0; b < beats; ++b) {
      const bool err = p.bad_beat == static_cast<int>(b);
      db.push_back({i, b, b + 1 == beats, err});
      if (b < 2) hb.push_back({i, b, b + 1 == std::min<std::size_t>(beats, 2), err});
    }
    for (std::size_t s = 0; s < p.segments; ++s) {
      segs_of[i].push_back({random_.bits(), static_cast<unsigned>(random_.between(64, 4096))});
      segs.push_back(segs_of[i].back());
    }
  }
  std::size_t next_pd = 0, opened = 0, lookups = 0;
  std::deque<Ask> asks;
  std::vector<std::size_t> looks;
  for (std::size_t i = 0; i < packets.size(); ++i)
    if (packets[i].expected.lookup) looks.push_back(i);
  std::set<unsigned> free_slots;
  for (unsigned s = 0; s < kJumbo + kSmall; ++s) free_slots.insert(s);
  bool jumbo_seen = false;
  std::deque<std::pair<unsigned, bool>> taken;  // slot, jumbo asked
  std::uint64_t first_open = 0, last_open = 0, first_beat = 0;
  bool hb_on = false, db_on = false, pd_on = false, seg_on = false;
  std::uint64_t idle_for = 0;
  ivs_.clear();
  bool iv_new = true;
  rows_.clear();
  std::vector<std::array<std::uint64_t, 2>> tags(packets.size());  // cookie, address
  std::vector<std::uint32_t> fetched(packets.size());
  bool last_was_open = false;

  while (opened < packets.size()) {
    // Offers: kept until taken.
    pd_on = next_pd < packets.size() && (pd_on || !random_.percent(pauses.source));
    dut_->pd_valid_i = pd_on;
    if (pd_on && tags[next_pd][0] == 0) {
      const Packet& p = packets[next_pd];
      tags[next_pd] = {random_.bits() | 1, random_.bits()};
      fetched[next_pd] = static_cast<std::uint32_t>(random_.bits());
      dut_->pd_status_i = static_cast<std::uint8_t>(p.pd_status);
      dut_->pd_queue_i = static_cast<std::uint8_t>(p.queue);
      dut_->pd_in_order_i = p.in_order;
      dut_->pd_cycle_i = fetched[next_pd];
      dut_->pd_op_i = static_cast<std::uint8_t>(p.op);
      dut_->pd_host_iv_i = p.host_iv.has_value();
      dut_->pd_sa_index_i = p.sa_index;
      dut_->pd_cookie_i = tags[next_pd][0];
      dut_->pd_dst_addr_i = tags[next_pd][1];
      dut_->pd_dst_size_i = static_cast<std::uint32_t>(tags[next_pd][1] % 131072);
      dut_->pd_dst_segments_i = static_cast<std::uint8_t>(p.segments);
      dut_->pd_src_len_i = static_cast<std::uint16_t>(p.source.size());
      dut_->pd_iv_i = p.host_iv ? load_be64(p.host_iv->data()) : random_.bits();
    }
    const bool hb_was = hb_on, db_was = db_on, seg_was = seg_on;
    hb_on = !hb.empty() && (hb_on || !random_.percent(pauses.source));
    if (hb_on && !hb_was) {
      set_beat(dut_->hb_data_i, packets[hb[0].packet].source, hb[0].beat, random_);
      dut_->hb_last_i = hb[0].last;
      dut_->hb_err_i = hb[0].err;
    }
    dut_->hb_valid_i = hb_on;
    db_on = !db.empty() && (db_on || !random_.percent(pauses.source));
    if (db_on && !db_was) {
      set_beat(dut_->db_data_i, packets[db[0].packet].source, db[0].beat, random_);
      dut_->db_err_i = db[0].err;
    }
    dut_->db_valid_i = db_on;
    seg_on = !segs.empty() && (seg_on || !random_.percent(pauses.source));
    if (seg_on && !seg_was) {
      dut_->seg_addr_i = segs[0].addr;
      dut_->seg_len_i = static_cast<std::uint16_t>(segs[0].len);
    }
    dut_->seg_valid_i = seg_on;
    dut_->seeded_i = seeded;
    if (iv_new) dut_->iv_data_i = random_.bits();
    iv_new = false;
    dut_->iv_valid_i = seeded && !random_.percent(pauses.slots / 2);
    dut_->lk_ready_i = !random_.percent(pauses.lookup);
    dut_->cycle_i = static_cast<std::uint32_t>(dut_.cycle());
    dut_->lr_valid_i = !asks.empty() && asks[0].due <= dut_.cycle() && !random_.percent(pauses.lookup);
    if (dut_->lr_valid_i != 0) {
      const Answer& a = packets[asks[0].packet].answer;
      asks.pop_front();
      dut_->lr_status_i = static_cast<std::uint8_t>(a.status);
      dut_->lr_found_i = a.found;
      dut_->lr_epoch_i = a.epoch;
      dut_->lr_index_i = a.index;
      dut_->lr_spi_i = a.spi;
      dut_->lr_seq_i = a.seq;
      dut_->lr_ip_id_i = a.ip_id;
      dut_->lr_out_len_i = a.out_len;
      dut_->lr_transport_i = a.transport;
      dut_->lr_ah_i = a.ah;
      dut_->lr_outer_v6_i = a.outer_v6;
      dut_->lr_natt_i = a.natt;
      dut_->lr_esn_i = a.esn;
      dut_->lr_inner_v4_i = a.inner_v4;
      dut_->lr_inner_v6_i = a.inner_v6;
      dut_->lr_cipher_i = static_cast<std::uint8_t>(a.cipher);
      dut_->lr_auth_i = static_cast<std::uint8_t>(a.auth);
      dut_->lr_df_policy_i = static_cast<std::uint8_t>(a.df);
      dut_->lr_dscp_set_i = a.dscp_set;
      dut_->lr_dscp_i = static_cast<std::uint8_t>(a.dscp);
      dut_->lr_ecn_clear_i = a.ecn_clear;
      dut_->lr_ttl_i = static_cast<std::uint8_t>(a.ttl);
      dut_->lr_udp_src_i = a.udp_src;
      dut_->lr_udp_dst_i = a.udp_dst;
      set_top_first(dut_->lr_src_i, a.src);
      set_top_first(dut_->lr_dst_i, a.dst);
      set_top_first(dut_->lr_enc_key_i, a.key);
      set_top_first(dut_->lr_istate_i, a.istate);
      set_top_first(dut_->lr_ostate_i, a.ostate);
    }
    // The slot on offer follows the kind asked for a cycle ago.
    const auto pick = [&] {
      if (jumbo_seen) return !free_slots.empty() && *free_slots.begin() < kJumbo ? static_cast<int>(*free_slots.begin()) : -1;
      const auto at = free_slots.lower_bound(kJumbo);
      return at != free_slots.end() ? static_cast<int>(*at) : free_slots.empty() ? -1 : static_cast<int>(*free_slots.begin());
    };
    const int slot = pick();
    dut_->alloc_ok_i = slot >= 0 && !random_.percent(pauses.slots);
    dut_->alloc_slot_i = static_cast<std::uint8_t>(std::max(slot, 0));
    dut_.settle();

    if (dut_->pd_ready_o != 0 && pd_on) {
      ++next_pd;
      pd_on = false;
    }
    if (dut_->hb_valid_i != 0 && first_beat == 0) first_beat = dut_.cycle();
    if (hb_on && dut_->hb_ready_o != 0) {
      hb.pop_front();
      hb_on = false;
    }
    if (db_on && dut_->db_ready_o != 0) {
      db.pop_front();
      db_on = false;
    }
    if (seg_on && dut_->seg_ready_o != 0) {
      segs.pop_front();
      seg_on = false;
    }
    if (dut_->iv_ready_o != 0 && dut_->iv_valid_i != 0) {
      ivs_.push_back(dut_->iv_data_i);
      iv_new = true;
    }
    if (dut_->lk_valid_o != 0 && dut_->lk_ready_i != 0) {
      REQUIRE(lookups < looks.size());
      check_lookup(packets[looks[lookups]]);
      asks.push_back({dut_.cycle() + pauses.sa_latency, looks[lookups++]});
    }
    if (dut_->alloc_take_o != 0) {
      REQUIRE(dut_->alloc_ok_i != 0);
      free_slots.erase(static_cast<unsigned>(slot));
      taken.emplace_back(slot, dut_->alloc_jumbo_o != 0);
    }
    jumbo_seen = dut_->alloc_jumbo_o != 0;
    for (unsigned w = 0; w < 8; ++w) {
      if ((dut_->in_we_o >> w & 1) == 0) continue;
      for (unsigned k = 0; k < 8; ++k) {
        const unsigned octet = 8 * w + k;
        rows_[dut_->in_row_o][octet] = static_cast<Byte>(dut_->in_data_o[(63 - octet) / 4] >> (8 * ((63 - octet) % 4)));
      }
    }
    if (dut_->hdr_we_o != 0) headers_[dut_->hdr_slot_o][dut_->hdr_word_o] = dut_->hdr_data_o;
    if (dut_->dseg_we_o != 0) dsegs_[dut_->dseg_slot_o][dut_->dseg_index_o] = {dut_->dseg_addr_o, dut_->dseg_len_o};
    CHECK(dut_->rec_valid_o == dut_->open_valid_o);
    if (dut_->open_valid_o != 0) {
      CHECK(!last_was_open);
      const Packet& p = packets[opened];
      CAPTURE(p.name);
      CAPTURE(opened);
      REQUIRE(!taken.empty());
      const auto [want_slot, jumbo] = taken.front();
      taken.pop_front();
      CHECK(dut_->open_slot_o == want_slot);
      CHECK(dut_->rec_slot_o == want_slot);
      if (p.expected.run) CHECK(jumbo == (std::max<std::size_t>(p.source.size(), p.op == kOpEncap ? p.answer.out_len : 0) + 64 > 2048));
      CHECK(dut_->rec_cookie_o == tags[opened][0]);
      CHECK(dut_->rec_dst_addr_o == tags[opened][1]);
      CHECK(dut_->rec_dst_size_o == std::min<std::uint64_t>(tags[opened][1] % 131072, 65535));
      CHECK(dut_->rec_fetched_o == fetched[opened]);
      CHECK(dut_->rec_dst_segments_o == p.segments);
      for (std::size_t s = 0; s < segs_of[opened].size(); ++s) {
        CHECK(dsegs_[want_slot][static_cast<unsigned>(s)] == std::pair{segs_of[opened][s].addr, segs_of[opened][s].len});
      }
      check_open(p);
      rows_.clear();
      headers_.erase(want_slot);  // the next packet may have begun
      dsegs_.erase(want_slot);
      free_slots.insert(want_slot);
      last_open = dut_.cycle();
      if (opened++ == 0) first_open = last_open;
      idle_for = 0;
    } else {
      REQUIRE_MESSAGE(++idle_for < 20000, "nothing opens any more, packet ", opened, " ", packets[opened].name);
    }
    last_was_open = dut_->open_valid_o != 0;
    dut_.tick();
  }
  CHECK(hb.empty());
  CHECK(db.empty());
  CHECK(segs.empty());
  CHECK(lookups == looks.size());
  idle_inputs();
  for (int i = 0; i < 40; ++i) {
    dut_.settle();
    CHECK(dut_->open_valid_o == 0);
    dut_.tick();
  }
  CHECK(dut_->idle_o == 1);
  // Nothing secret is left when nothing is in flight.
  CHECK(get_top_first(dut_->open_key_o, 24) == Bytes(24));
  CHECK(get_top_first(dut_->open_istate_o, 20) == Bytes(20));
  CHECK(get_top_first(dut_->open_ostate_o, 20) == Bytes(20));
  first_latency_ = first_open - first_beat;
  return last_open - first_open;
}

void Front::check_lookup(const Packet& p) {
  CAPTURE(p.name);
  const Expected& e = p.expected;
  const bool encap = p.op == kOpEncap;
  CHECK(dut_->lk_encap_o == encap);
  CHECK(dut_->lk_v6_o == e.v6);
  CHECK(dut_->lk_len_o == e.len);
  CHECK(dut_->lk_hdr_len_o == e.hdr_len);
  CHECK(dut_->lk_fragment_o == e.fragment);
  CHECK(get_top_first(dut_->lk_src_o, 16) == Bytes(e.src.begin(), e.src.end()));
  CHECK(get_top_first(dut_->lk_dst_o, 16) == Bytes(e.dst.begin(), e.dst.end()));
  if (encap) {
    CHECK(dut_->lk_index_o == p.sa_index);
  } else {
    CHECK(dut_->lk_spi_o == e.spi);
    CHECK(dut_->lk_seq_o == e.seq);
    CHECK(dut_->lk_ah_o == e.ah);
    CHECK(dut_->lk_udp_o == e.udp);
  }
}

void Front::check_open(const Packet& p) {
  const Expected& e = p.expected;
  const Answer& a = p.answer;
  const bool encap = p.op == kOpEncap;
  const bool touches = has_data(p);
  const bool found = e.lookup && a.found;
  // Errors of beats: in the headers before the lookup, else at the end.
  bool run = e.run;
  unsigned status = touches ? e.status : p.pd_status;
  if (p.bad_beat >= 0 && (run || e.options_bad)) {
    run = false;
    status = kBusError;
  }
  CHECK(dut_->open_run_o == run);
  if (!run) CHECK(static_cast<unsigned>(dut_->open_status_o) == status);
  CHECK(dut_->rec_op_o == p.op);
  CHECK(dut_->rec_queue_o == p.queue);
  CHECK(dut_->rec_src_len_o == p.source.size());
  CHECK(dut_->rec_started_o == (run ? static_cast<std::uint32_t>(dut_.cycle()) : 0));
  CHECK(dut_->rec_found_o == found);
  CHECK(dut_->rec_index_o == (found ? a.index : 0xffffffffu));
  if (found) CHECK(dut_->rec_epoch_o == a.epoch);
  CHECK(dut_->rec_spi_o == (found ? a.spi : encap ? 0 : e.spi));
  CHECK(dut_->rec_seq_o == (found && a.status == kOk ? a.seq : encap ? 0 : e.seq));
  CHECK(dut_->rec_encap_o == encap);
  CHECK(dut_->open_encap_o == encap);
  CHECK(dut_->open_ordered_o == (p.in_order || found));
  if (p.in_order) CHECK(dut_->open_order_o == (0x100u | p.queue));
  else if (found) CHECK(dut_->open_order_o == (a.index & 0xff));
  const bool makes_iv = e.run && encap && a.cipher != 0 && !a.ah && !p.host_iv;
  std::uint64_t iv = p.host_iv ? load_be64(p.host_iv->data()) : 0;
  if (makes_iv) {
    REQUIRE(!ivs_.empty());
    iv = ivs_.front();
    ivs_.pop_front();
  }
  if (!run) return;

  CHECK(dut_->open_esp_o == !a.ah);
  CHECK(dut_->open_tunnel_o == !a.transport);
  CHECK(dut_->open_inner_v4_o == a.inner_v4);
  CHECK(dut_->open_inner_v6_o == a.inner_v6);
  CHECK(dut_->open_cipher_o == a.cipher);
  CHECK(dut_->open_auth_o == a.auth);
  CHECK(dut_->open_esn_o == a.esn);
  CHECK(dut_->open_seq_hi_o == a.seq >> 32);
  CHECK(get_top_first(dut_->open_key_o, 24) == a.key);
  CHECK(get_top_first(dut_->open_istate_o, 20) == a.istate);
  CHECK(get_top_first(dut_->open_ostate_o, 20) == a.ostate);
  Bytes stream = e.stream, header = e.header;
  if (makes_iv) {
    Byte octets[8];
    store_be64(octets, iv);
    std::copy_n(octets, 8, &stream[8]);
    std::copy_n(octets, 8, &header[header.size() - 8]);
  }
  REQUIRE(dut_->open_len_o == stream.size());
  Bytes got(stream.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto& row = rows_[first_row(dut_->open_slot_o) + static_cast<unsigned>(i / 64)];
    const auto at = row.find(i % 64);
    REQUIRE_MESSAGE(at != row.end(), "octet ", i, " of the stream was not written");
    got[i] = at->second;
  }
  CHECK(to_hex(got) == to_hex(stream));
  for (const auto& [row, octets] : rows_) {  // nothing outside the slot
    CHECK(row >= first_row(dut_->open_slot_o));
    CHECK(row < first_row(dut_->open_slot_o) + (dut_->open_slot_o < kJumbo ? 144 : 32));
  }
  if (!a.ah) {
    CHECK(dut_->open_spi_seq_o == load_be64(stream.data()));
    if (a.cipher != 0) CHECK(dut_->open_iv_o == load_be64(stream.data() + 8));
  }
  if (!encap && e.has_icv) CHECK(to_hex(get_top_first(dut_->open_icv_o, 12)) == to_hex(e.icv));

  CHECK(dut_->rec_hdr_len_o == header.size());
  Bytes words(128);
  for (unsigned w = 0; w < 16; ++w) store_be64(&words[8 * w], headers_[dut_->open_slot_o][w]);
  words.resize(header.size());
  if (e.patch_nh) words[e.nh_at] = header[e.nh_at] = 0;
  CHECK(to_hex(words) == to_hex(header));
  CHECK(dut_->rec_ip_len_o == e.ip_len);
  CHECK(dut_->rec_skip_o == e.skip);
  CHECK(dut_->rec_esp_o == !a.ah);
  CHECK(dut_->rec_tunnel_o == !a.transport);
  CHECK(dut_->rec_natt_o == e.udp_header);
  CHECK(dut_->rec_patch_nh_o == e.patch_nh);
  if (e.patch_nh) CHECK(dut_->rec_nh_at_o == e.nh_at);
  CHECK(dut_->rec_icv_len_o == (e.has_icv ? 12 : 0));
  CHECK(dut_->rec_ce_o == e.ce);
  if (!header.empty()) {
    CHECK(dut_->rec_v6_o == e.header_v6);
    if (!e.header_v6) CHECK(dut_->rec_hsum_o == folded(ByteView(header).first(e.ip_len)));
  }
  CHECK(static_cast<unsigned>(dut_->rec_next_header_o) == e.next_header);
  CHECK(static_cast<unsigned>(dut_->rec_ah_status_o) == e.ah_status);
  if (e.ah_status == kOk && e.out_len_known) CHECK(dut_->rec_out_len_o == e.out_len);
}

}  // namespace esplanade::tb
