// Security Association Database (RFC 4301 s4.4.2) of the card: three RAMs of one row an entry (parameters with
// limits; keys; numbers, window and counters), and one pipeline through which every operation passes.
//   even slots  operations that change a row: outbound lookup, inbound update, drop count, scan, command
//   odd slots   operations that do not: inbound lookup; release of an entry (update of an outbound packet that went well)
// A slot enters every cycle. An even operation takes the rows of the two before it from the pipeline instead of the
// RAM, so operations on one entry never wait for each other. An inbound lookup sees the row as it stood before the
// last four or so operations: that is a moment in their order too, and the update checks again.
// Sustained, also with all packets of one SA: an outbound lookup and a release every 2 cycles, or an inbound
// lookup and an inbound update every 2 cycles; a single lane has an update every 4. Lookup 9 to 11 cycles from
// lk_valid_i to lr_valid_o, update one more.
// Commands find the pipeline empty and hold it about 20 cycles. Not here: checks of a new entry (sad_command).
//
// Stages: 0 arbitration, 1 ready and payload, 2-3 parameters' RAM, 4-5 checks against them, 4-5 dynamic row's RAM,
// 6 forwarding and differences, 7 verdict and new row, 8 events and inbound status, 9 answers and write. x7 is the
// value of stage 7. From stage 6 of an operation to stage 6 of the next on its row there are two cycles: so stage 6
// leaves to stage 7 single bits to decide with (over a limit, in the window, seen, poisoned) and both outcomes of
// every sum, and everything that does not need the row is done before.
module sad #(
  parameter int Lanes = 4,
  parameter int SaEntries = 1024,         // a power of two, up to 65,536
  parameter int ReplayWindow = 1024,      // largest window, a power of two, 32 to 1,024
  parameter int MaxPacketBytes = 9216,
  parameter int ScanCycles = 1024,        // between two entries of the scan, at least 32
  localparam int Index = $clog2(SaEntries)
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic                flush_i,    // soft reset: nothing is in flight any more
  input  logic [31:0]         seconds_i,
  output logic                idle_o,     // no operation of a lane or of sad_command under way
  // lookup, a field a lane, lane 0 lowest; valid until ready
  input  logic [Lanes-1:0]    lk_valid_i,
  output logic [Lanes-1:0]    lk_ready_o,
  input  logic [Lanes-1:0]    lk_encap_i,
  input  logic [32*Lanes-1:0] lk_index_i,
  input  logic [32*Lanes-1:0] lk_spi_i,
  input  logic [32*Lanes-1:0] lk_seq_i,
  input  logic [Lanes-1:0]    lk_ah_i,
  input  logic [Lanes-1:0]    lk_udp_i,
  input  logic [Lanes-1:0]    lk_v6_i,
  input  logic [128*Lanes-1:0] lk_src_i,
  input  logic [128*Lanes-1:0] lk_dst_i,
  input  logic [16*Lanes-1:0] lk_len_i,
  input  logic [8*Lanes-1:0]  lk_hdr_len_i,
  input  logic [16*Lanes-1:0] lk_dst_size_i,
  input  logic [Lanes-1:0]    lk_fragment_i,
  // answer: one lane's bit for one cycle, with the fields below; in the order of the lane's requests
  output logic [Lanes-1:0]    lr_valid_o,
  output logic [7:0]          lr_status_o,
  output logic                lr_found_o,
  output logic                lr_epoch_o,
  output logic [31:0]         lr_index_o,
  output logic [31:0]         lr_spi_o,
  output logic [63:0]         lr_seq_o,
  output logic [15:0]         lr_ip_id_o,
  output logic [15:0]         lr_out_len_o,
  output logic                lr_transport_o,
  output logic                lr_ah_o,
  output logic                lr_outer_v6_o,
  output logic                lr_natt_o,
  output logic                lr_esn_o,
  output logic                lr_inner_v4_o,
  output logic                lr_inner_v6_o,
  output logic [1:0]          lr_cipher_o,
  output logic [1:0]          lr_auth_o,
  output logic [1:0]          lr_df_policy_o,
  output logic                lr_dscp_set_o,
  output logic [5:0]          lr_dscp_o,
  output logic                lr_ecn_clear_o,
  output logic [7:0]          lr_ttl_o,
  output logic [15:0]         lr_udp_src_o,
  output logic [15:0]         lr_udp_dst_o,
  output logic [127:0]        lr_src_o,
  output logic [127:0]        lr_dst_o,
  output logic [191:0]        lr_enc_key_o,
  output logic [159:0]        lr_istate_o,
  output logic [159:0]        lr_ostate_o,
  // update
  input  logic [Lanes-1:0]    up_valid_i,
  output logic [Lanes-1:0]    up_ready_o,
  input  logic [32*Lanes-1:0] up_index_i,
  input  logic [Lanes-1:0]    up_epoch_i,
  input  logic [Lanes-1:0]    up_auth_i,
  input  logic [Lanes-1:0]    up_ok_i,
  input  logic [8*Lanes-1:0]  up_status_i,
  input  logic [64*Lanes-1:0] up_seq_i,
  input  logic [16*Lanes-1:0] up_bytes_i,
  output logic [Lanes-1:0]    ur_valid_o,
  output logic [7:0]          ur_status_o, // Ok, Replay, Expired; Poisoned when the row is
  // events
  output logic                ev_valid_o,
  input  logic                ev_ready_i,
  output logic [7:0]          ev_type_o,
  output logic [31:0]         ev_index_o,
  output logic [31:0]         ev_spi_o,
  output logic [31:0]         ev_arg_o,   // bytes, packets, age or number, low 32 bits; Error: cause
  output logic                poison_o,   // one cycle
  // sad_command
  input  logic                cmd_valid_i,  // until cmd_done_o
  input  logic [2:0]          cmd_op_i,     // 0 install, 1 close, 2 wipe, 3 view, 4 update, 5 close all, 6 wipe all
  input  logic [Index-1:0]    cmd_index_i,
  input  logic [2047:0]       cmd_entry_i,  // format SaEntry, checked
  input  logic [159:0]        cmd_istate_i,
  input  logic [159:0]        cmd_ostate_i,
  output logic                cmd_done_o,   // one cycle
  output logic                cmd_was_valid_o, // with it, like the next: the entry was in use before
  output logic                cmd_match_o,  // update: same SPI and direction, UDP only around ESP over IPv4
  output logic [639:0]        cmd_view_o,   // view: the start of format SaView
  output logic                drained_o     // nobody holds an entry found before the last close
);
  localparam logic [2:0] OpInstall = 3'd0, OpClose = 3'd1, OpWipe = 3'd2, OpView = 3'd3, OpUpdate = 3'd4,
                         OpCloseAll = 3'd5, OpWipeAll = 3'd6;

  typedef struct packed {
    logic [2:0]   valid;        // three copies: one flipped bit neither opens nor hides an entry
    logic         check_outer;
    logic [31:0]  installed;    // second
    logic [31:0]  soft_seconds;
    logic [31:0]  hard_seconds;
    logic [63:0]  soft_bytes;
    logic [63:0]  hard_bytes;
    logic [63:0]  soft_packets;
    logic [63:0]  hard_packets;
    logic         outbound;     // from here on: what a lookup answers
    logic         transport;
    logic         ah;
    logic         outer_v6;
    logic         natt;
    logic         esn;
    logic         inner_v4;
    logic         inner_v6;
    logic [1:0]   cipher;
    logic [1:0]   auth;
    logic [1:0]   df_policy;
    logic         dscp_set;
    logic [5:0]   dscp;
    logic         ecn_clear;
    logic [7:0]   ttl;
    logic [15:0]  udp_src;
    logic [15:0]  udp_dst;
    logic [31:0]  spi;
    logic [127:0] src;
    logic [127:0] dst;
  } par_t;
  localparam int OutBits  = 8 + 6 + 8 + 8 + 32 + 32 + 256;
  localparam int ParBits  = 3 + 1 + 96 + 256 + OutBits;
  localparam int ParWords = (ParBits + 63) / 64;

  typedef struct packed {
    logic        expired;       // a hard limit closed it
    logic        poisoned;
    logic        told_over;     // events already told; over: closed for want of numbers
    logic        told_soon;
    logic        told_hs;
    logic        told_hp;
    logic        told_hb;
    logic        told_ss;
    logic        told_sp;
    logic        told_sb;
    logic [5:0]  window;        // in units of 32, 0: no check
    logic [15:0] ip_id;         // of the next packet
    logic [63:0] seq;           // last sent, or the window's top
    logic [63:0] packets;
    logic [63:0] bytes;
    logic [31:0] replay_drops;
    logic [31:0] icv_drops;
    logic [31:0] other_drops;
    logic [31:0] padding_drops;
    logic [31:0] next_header_drops;
    logic [31:0] inner_drops;
    logic [31:0] protocol_drops;
    logic [31:0] address_drops;
    logic [31:0] expired_drops;
    logic [31:0] seq_drops;
    logic [31:0] length_drops;
  } dyn_t;
  localparam int DynBits  = 10 + 6 + 16 + 64 + 128 + 11 * 32;
  localparam int DynWords = (DynBits + ReplayWindow + 63) / 64;
  localparam int KeyWords = (192 + 320) / 64;

  typedef struct packed {
    logic         encap;
    logic [31:0]  index;
    logic [31:0]  spi;
    logic [31:0]  seq;
    logic         ah;
    logic         udp;
    logic         v6;
    logic [127:0] src;
    logic [127:0] dst;
    logic [15:0]  len;
    logic [7:0]   hdr_len;
    logic [15:0]  dst_size;
    logic         fragment;
  } lookup_t;
  typedef struct packed {
    logic [31:0] index;
    logic        epoch;
    logic        auth;
    logic        ok;
    logic [7:0]  status;
    logic [63:0] seq;
    logic [15:0] bytes;
  } update_t;

  // ------------------------------------------------------------------------------------------ stage 0: arbitration
  logic                phase_q;           // 0: the slot that is being filled is even
  logic                block, ev_room, scan_req;
  logic                even_open_q, odd_open_q; // stage 0 may grant; a cycle behind block and ev_room
  logic [Lanes-1:0]    waits_up, release_up;
  logic [Lanes-1:0]    even_up_q, odd_up_q;     // updates, from their second cycle on: it takes one to tell what they are
  logic                even_any_up_q, odd_any_up_q;
  logic [Lanes-1:0]    even_lk, odd_lk, even_up_grant, odd_up_grant, even_lk_grant, odd_lk_grant, up_grant, lk_grant;
  logic [2:0]          even_kind, odd_kind;     // granted: scan, update, lookup
  logic [Lanes-1:0]    lk1_q, up1_q;      // grants, stage 1
  logic                scan1_q, cmd1_q;
  localparam int LaneBits = Lanes > 1 ? $clog2(Lanes) : 1;
  logic [LaneBits-1:0] lk_lane, up_lane, lk_lane1_q, up_lane1_q; // whose they are
  logic                cmd_issue;
  for (genvar l = 0; l < Lanes; l++) begin : gen_release
    assign release_up[l] = !up_auth_i[l] && !up_ok_i[l] && up_status_i[8*l +: 8] == card_pkg::StatusOk;
  end
  assign waits_up = up_valid_i & ~up1_q & {Lanes{!flush_i}};
  assign even_lk  = lk_valid_i & lk_encap_i;
  assign odd_lk   = lk_valid_i & ~lk_encap_i;
  // A kind of operation, and beside it the lane of each kind
  sad_arbiter #(.N(3)) u_even (
    .clk_i(clk_i), .rst_ni(rst_ni), .open_i(even_open_q && !flush_i),
    .req_i({scan_req, even_any_up_q, even_lk != '0}), .grant_o(even_kind)
  );
  sad_arbiter #(.N(3)) u_odd (
    .clk_i(clk_i), .rst_ni(rst_ni), .open_i(odd_open_q && !flush_i),
    .req_i({1'b0, odd_any_up_q, odd_lk != '0}), .grant_o(odd_kind)
  );
  sad_arbiter #(.N(Lanes)) u_even_up (
    .clk_i(clk_i), .rst_ni(rst_ni), .open_i(even_kind[1]), .req_i(even_up_q), .grant_o(even_up_grant)
  );
  sad_arbiter #(.N(Lanes)) u_odd_up (
    .clk_i(clk_i), .rst_ni(rst_ni), .open_i(odd_kind[1]), .req_i(odd_up_q), .grant_o(odd_up_grant)
  );
  sad_arbiter #(.N(Lanes)) u_even_lk (
    .clk_i(clk_i), .rst_ni(rst_ni), .open_i(even_kind[0]), .req_i(even_lk), .grant_o(even_lk_grant)
  );
  sad_arbiter #(.N(Lanes)) u_odd_lk (
    .clk_i(clk_i), .rst_ni(rst_ni), .open_i(odd_kind[0]), .req_i(odd_lk), .grant_o(odd_lk_grant)
  );
  assign up_grant = even_up_grant | odd_up_grant;
  assign lk_grant = even_lk_grant | odd_lk_grant;
  always_comb begin
    lk_lane = '0;
    up_lane = '0;
    for (int l = 0; l < Lanes; l++) begin
      if (lk_grant[l]) lk_lane |= LaneBits'(l);
      if (up_grant[l]) up_lane |= LaneBits'(l);
    end
  end
  always_ff @(posedge clk_i) begin
    lk_lane1_q <= lk_lane;
    up_lane1_q <= up_lane;
    if (!rst_ni) begin
      even_open_q   <= 1'b0;
      odd_open_q    <= 1'b0;
      even_up_q     <= '0;
      odd_up_q      <= '0;
      even_any_up_q <= 1'b0;
      odd_any_up_q  <= 1'b0;
    end else begin
      even_up_q     <= waits_up & ~release_up;
      odd_up_q      <= waits_up & release_up;
      even_any_up_q <= (waits_up & ~release_up) != '0;
      odd_any_up_q  <= (waits_up & release_up) != '0;
      even_open_q   <= !block && ev_room && phase_q;
      odd_open_q    <= !block && !phase_q;
    end
    if (!rst_ni) begin
      phase_q <= 1'b0;
      lk1_q   <= '0;
      up1_q   <= '0;
      scan1_q <= 1'b0;
      cmd1_q  <= 1'b0;
    end else begin
      phase_q <= !phase_q;
      lk1_q   <= lk_grant;
      up1_q   <= up_grant;
      scan1_q <= even_kind[2];
      cmd1_q  <= cmd_issue && !phase_q;
    end
  end

  // ---------------------------------------------------------------------------------------------- stage 1: payload
  assign lk_ready_o = lk1_q;
  assign up_ready_o = up1_q;
  lookup_t          lk1, lk2_q, lk3_q, lk4_q;
  update_t          up1, up2_q, up3_q, up4_q, up5_q, up6_q;
  logic [Index-1:0] row1, scan_row_q, mark_row_q;
  logic             release1;
  logic             mark_q;               // a row was seen poisoned that only an even operation can mark
  always_comb begin
    lk1 = '0;                             // believed with lk1_q; up1 with up1_q, its number also with cmd1_q
    up1 = '0;
    for (int l = 0; l < Lanes; l++) begin
      if (lk_lane1_q == LaneBits'(l))
        lk1 = {lk_encap_i[l], lk_index_i[32*l +: 32], lk_spi_i[32*l +: 32], lk_seq_i[32*l +: 32], lk_ah_i[l],
               lk_udp_i[l], lk_v6_i[l], lk_src_i[128*l +: 128], lk_dst_i[128*l +: 128], lk_len_i[16*l +: 16],
               lk_hdr_len_i[8*l +: 8], lk_dst_size_i[16*l +: 16], lk_fragment_i[l]};
      if (up_lane1_q == LaneBits'(l))
        up1 = {up_index_i[32*l +: 32], up_epoch_i[l], up_auth_i[l], up_ok_i[l], up_status_i[8*l +: 8],
               up_seq_i[64*l +: 64], up_bytes_i[16*l +: 16]};
    end
    release1 = !up1.auth && !up1.ok && up1.status == card_pkg::StatusOk;
    if (cmd1_q) up1.seq = cmd_entry_i[card_pkg::SaEntrySeqLsb +: 64];
    if (cmd1_q) row1 = cmd_index_i;
    else if (scan1_q) row1 = mark_q ? mark_row_q : scan_row_q;
    else if (up1_q != '0) row1 = up1.index[Index-1:0];
    else row1 = lk1.encap ? lk1.index[Index-1:0] : lk1.spi[Index-1:0];
  end

  // What an operation is and whose, stages 2 to 10
  logic [9:2]           out_q, in_q, upd_q, rel_q, scan_q, cmd_q, force_q;
  logic [8*Lanes-1:0]   lane_q;           // stages 2 to 9, one-hot; cleared by a flush
  logic [8*Index-1:0]   row_q;            // stages 2 to 9
  logic [9:2]           row_used;         // stages that read or write rows
  assign row_used = out_q | in_q | upd_q | scan_q | cmd_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      out_q  <= '0;
      in_q   <= '0;
      upd_q  <= '0;
      rel_q  <= '0;
      scan_q <= '0;
      cmd_q  <= '0;
    end else begin
      out_q  <= {out_q[8:2], lk1_q != '0 && lk1.encap};
      in_q   <= {in_q[8:2], lk1_q != '0 && !lk1.encap};
      upd_q  <= {upd_q[8:2], up1_q != '0 && !release1};
      rel_q  <= {rel_q[8:2], up1_q != '0 && release1};
      scan_q <= {scan_q[8:2], scan1_q};
      cmd_q  <= {cmd_q[8:2], cmd1_q};
    end
    if (!rst_ni || flush_i) lane_q <= '0;
    else lane_q <= {lane_q[7*Lanes-1:0], lk1_q | up1_q};
  end
  always_ff @(posedge clk_i) begin
    force_q <= {force_q[8:2], scan1_q && mark_q};
    row_q   <= {row_q[7*Index-1:0], row1};
    if (lk1_q != '0) lk2_q <= lk1;
    if (up1_q != '0 || cmd1_q) up2_q <= up1;
    if (out_q[2] || in_q[2]) lk3_q <= lk2_q;
    if (out_q[3] || in_q[3]) lk4_q <= lk3_q;
    if (upd_q[2] || cmd_q[2]) up3_q <= up2_q;
    if (upd_q[3] || cmd_q[3]) up4_q <= up3_q;
    if (upd_q[4] || cmd_q[4]) up5_q <= up4_q;
    if (upd_q[5]) up6_q <= up5_q;
  end
  logic [Index-1:0] row2, row4, row5, row6, row7, row8, row9;
  assign row2 = row_q[Index-1:0];
  assign row4 = row_q[2*Index +: Index];
  assign row5 = row_q[3*Index +: Index];
  assign row6 = row_q[4*Index +: Index];
  assign row7 = row_q[5*Index +: Index];
  assign row8 = row_q[6*Index +: Index];
  assign row9 = row_q[7*Index +: Index];

  // --------------------------------------------------------------------------------------------------------- RAMs
  logic                    par_we, key_we, dyn_we, wiping;
  logic [Index-1:0]        wr_row;
  logic [64*ParWords-1:0]  par_rd, par_wr;
  logic [64*KeyWords-1:0]  key_rd, key_wr;
  logic [64*DynWords-1:0]  dyn_rd;
  logic [ParWords-1:0]     par_bad;
  logic [KeyWords-1:0]     key_bad;
  logic [DynWords-1:0]     dyn_bad;
  logic [DynBits+ReplayWindow-1:0] wr9_q;
  sad_ram #(.Words(ParWords), .Depth(SaEntries)) u_par (
    .clk_i(clk_i), .wr_en_i(par_we), .wr_addr_i(wr_row), .wr_data_i(par_wr),
    .rd_en_i(row_used[2]), .rd_addr_i(row2), .rd_data_o(par_rd), .rd_bad_o(par_bad)
  );
  sad_ram #(.Words(DynWords), .Depth(SaEntries)) u_dyn (
    .clk_i(clk_i), .wr_en_i(dyn_we), .wr_addr_i(wr_row), .wr_data_i((64*DynWords)'(wr9_q)),
    .rd_en_i(row_used[4]), .rd_addr_i(row4), .rd_data_o(dyn_rd), .rd_bad_o(dyn_bad)
  );
  sad_ram #(.Words(KeyWords), .Depth(SaEntries)) u_key (
    .clk_i(clk_i), .wr_en_i(key_we), .wr_addr_i(wr_row), .wr_data_i(key_wr),
    .rd_en_i(out_q[6] || in_q[6] || scan_q[6] || cmd_q[6]), .rd_addr_i(row6), .rd_data_o(key_rd), .rd_bad_o(key_bad)
  );

  // ------------------------------------------------------------- stages 4 to 6: checks that need no dynamic state
  par_t              p;                   // of stage 4; of a command until its end
  logic              closed_all_q, valid4;
  logic [OutBits-1:0] o5_q, o6_q, o7_q, o8_q, o9_q;
  logic              valid5_q, spi_hi5_q, spi_lo5_q, index5_q, proto5_q, check5_q, ver5_q, src5_q, dst5_q, src_rest5_q,
                     dst_rest5_q, frag5_q, encap5_q;
  logic [15:0]       payload5_q, room5_q, len5_q;
  logic [8:0]        extra5_q;
  logic [1:0]        pad5_q;              // 0 none, 1 to 4 octets, 2 to 8
  logic [31:0]       age5_q, soft5_q, hard5_q, num5_q;
  logic [255:0]      limits5_q;
  logic [ParWords-1:0] par_bad5_q;
  assign p      = par_rd[ParBits-1:0];
  assign valid4 = (p.valid[0] && p.valid[1]) || (p.valid[0] && p.valid[2]) || (p.valid[1] && p.valid[2]);
  logic [5:0] extra4;                     // UDP 8 (RFC 3948); AH with a 96-bit ICV 12 + 12 (RFC 4302)
  always_comb begin
    case ({p.ah, p.cipher != 2'd0, p.auth != 2'd0}) // ESP: SPI and number 8, IV 8, ICV 12
      3'b000:  extra4 = p.natt ? 6'd8 + 6'd8 : 6'd8;
      3'b001:  extra4 = p.natt ? 6'd8 + 6'd12 + 6'd8 : 6'd8 + 6'd12;
      3'b010:  extra4 = p.natt ? 6'd8 + 6'd8 + 6'd8 : 6'd8 + 6'd8;
      3'b011:  extra4 = p.natt ? 6'd8 + 6'd8 + 6'd12 + 6'd8 : 6'd8 + 6'd8 + 6'd12;
      default: extra4 = p.natt ? 6'd12 + 6'd12 + 6'd8 : 6'd12 + 6'd12;
    endcase
  end
  always_ff @(posedge clk_i) if (row_used[4]) begin
    o5_q        <= p[OutBits-1:0];
    valid5_q    <= valid4;
    spi_hi5_q   <= p.spi[31:16] == lk4_q.spi[31:16];
    spi_lo5_q   <= p.spi[15:0] == lk4_q.spi[15:0];
    index5_q    <= (lk4_q.index >> Index) == '0;
    encap5_q    <= lk4_q.encap;
    proto5_q    <= p.ah == lk4_q.ah && p.natt == lk4_q.udp;
    check5_q    <= p.check_outer;
    ver5_q      <= p.outer_v6 == lk4_q.v6;
    src5_q      <= p.src[127:96] == lk4_q.src[127:96];
    dst5_q      <= p.dst[127:96] == lk4_q.dst[127:96];
    src_rest5_q <= !p.outer_v6 || p.src[95:0] == lk4_q.src[95:0];
    dst_rest5_q <= !p.outer_v6 || p.dst[95:0] == lk4_q.dst[95:0];
    frag5_q     <= p.transport && lk4_q.fragment;
    payload5_q  <= lk4_q.len - (p.transport ? 16'(lk4_q.hdr_len) : 16'd0);
    // IPv4 header 20, IPv6 40 or the packet's own
    extra5_q    <= (p.transport ? 9'(lk4_q.hdr_len) : p.outer_v6 ? 9'd40 : 9'd20) + 9'(extra4);
    pad5_q      <= p.ah ? 2'd0 : p.cipher != 2'd0 ? 2'd2 : 2'd1;
    room5_q     <= lk4_q.dst_size;
    len5_q      <= upd_q[4] ? up4_q.bytes : lk4_q.len;
    num5_q      <= lk4_q.seq;
    age5_q      <= seconds_i - p.installed;
    soft5_q     <= p.soft_seconds;
    hard5_q     <= p.hard_seconds;
    limits5_q   <= {p.soft_bytes, p.hard_bytes, p.soft_packets, p.hard_packets};
    par_bad5_q  <= par_bad;
  end

  logic        known6_q, valid6_q, addr6_q, proto6_q, frag6_q, ss6_q, hs6_q, par_bad6_q, dir6_q, sb_set6_q, hb_set6_q,
               sp_set6_q, hp_set6_q, near6_q, far6_q, even5;
  logic [16:0] out_len6_q;
  logic [15:0] room6_q, len6_q;
  logic [31:0] age6_q;
  logic [63:0] number6_q;                 // lookup: low word
  logic [ReplayWindow/32-1:0] word5, word6_q; // one-hot: its word of the ring
  logic [63:0] lap_next6_q, lap_prev6_q;  // number6_q / ReplayWindow + 1, - 1
  logic [64:0] sb_left6_q, hb_left6_q;    // limit - octets of the packet, borrow on top
  logic [63:0] sp_left6_q, hp6_q;         // limit - 1; limit
  logic [10:0] class6_q;                  // drop counter of an update's status
  logic [31:0] low5;
  assign low5 = in_q[5] ? num5_q : up5_q.seq[31:0];
  for (genvar w = 0; w < ReplayWindow / 32; w++) begin : gen_word
    assign word5[w] = 32'(low5 % ReplayWindow) / 32 == w;
  end
  logic [16:0] padded5;
  assign padded5 = pad5_q == 2'd2 ? (17'(payload5_q) + 17'd9) & ~17'd7 :
                   pad5_q == 2'd1 ? (17'(payload5_q) + 17'd5) & ~17'd3 : 17'(payload5_q);
  assign even5   = out_q[5] || upd_q[5] || scan_q[5];
  localparam int ClReplay = 0, ClIcv = 1, ClOther = 2, ClPadding = 3, ClNext = 4, ClInner = 5, ClProtocol = 6,
                 ClAddress = 7, ClExpired = 8, ClSeq = 9, ClLength = 10;
  function automatic logic [10:0] class_of(input logic [7:0] status);
    case (status)
      card_pkg::StatusOk:                                         class_of = '0;
      card_pkg::StatusReplay:                                     class_of = 11'd1 << ClReplay;
      card_pkg::StatusBadIcv:                                     class_of = 11'd1 << ClIcv;
      card_pkg::StatusBadPadding:                                 class_of = 11'd1 << ClPadding;
      card_pkg::StatusBadNextHeader, card_pkg::StatusDummy:       class_of = 11'd1 << ClNext;
      card_pkg::StatusBadInner:                                   class_of = 11'd1 << ClInner;
      card_pkg::StatusWrongProtocol, card_pkg::StatusWrongDirection: class_of = 11'd1 << ClProtocol;
      card_pkg::StatusWrongAddress:                               class_of = 11'd1 << ClAddress;
      card_pkg::StatusExpired:                                    class_of = 11'd1 << ClExpired;
      card_pkg::StatusSeqOverflow:                                class_of = 11'd1 << ClSeq;
      card_pkg::StatusBadEspLength, card_pkg::StatusBadLength, card_pkg::StatusDstTooSmall:
                                                                  class_of = 11'd1 << ClLength;
      default:                                                    class_of = 11'd1 << ClOther;
    endcase
  endfunction
  always_ff @(posedge clk_i) if (row_used[5]) begin
    o6_q       <= o5_q;
    valid6_q   <= valid5_q;
    known6_q   <= valid5_q && !closed_all_q && (encap5_q ? index5_q : spi_hi5_q && spi_lo5_q);
    dir6_q     <= encap5_q == o5_q[OutBits-1];
    addr6_q    <= !check5_q || (ver5_q && src5_q && dst5_q && src_rest5_q && dst_rest5_q);
    proto6_q   <= proto5_q;
    frag6_q    <= frag5_q;
    out_len6_q <= padded5 + 17'(extra5_q);
    room6_q    <= room5_q;
    len6_q     <= len5_q;
    number6_q  <= {up5_q.seq[63:32], low5};
    age6_q     <= age5_q;
    ss6_q      <= soft5_q != '0 && age5_q >= soft5_q;
    hs6_q      <= hard5_q != '0 && age5_q >= hard5_q;
    word6_q    <= word5;
    lap_next6_q <= (up5_q.seq >> $clog2(ReplayWindow)) + 64'd1;
    lap_prev6_q <= (up5_q.seq >> $clog2(ReplayWindow)) - 64'd1;
    sb_left6_q <= {1'b0, limits5_q[255:192]} - 65'(len5_q);
    hb_left6_q <= {1'b0, limits5_q[191:128]} - 65'(len5_q);
    sp_left6_q <= limits5_q[127:64] - 64'd1;
    hp6_q      <= limits5_q[63:0];
    sb_set6_q  <= limits5_q[255:192] != '0;
    hb_set6_q  <= limits5_q[191:128] != '0;
    sp_set6_q  <= limits5_q[127:64] != '0;
    hp_set6_q  <= limits5_q[63:0] != '0;
    par_bad6_q <= par_bad5_q != '0;
    class6_q   <= class_of(up5_q.status);
  end
  always_ff @(posedge clk_i) begin
    near6_q <= even5 && row5 == row7 && write7;
    far6_q  <= even5 && row5 == row9 && write9_q;
  end

  // -------------------------------------------------------------------- stage 6: the row as it is now, differences
  dyn_t                    r6, r7_q, new7, new8_q;
  logic [ReplayWindow-1:0] map6, map7, new_map8_q;
  logic                    write7, write8_q, write9_q;
  always_comb begin
    if (near6_q) {map6, r6} = {new_map8_q, new8_q};
    else if (far6_q) {map6, r6} = wr9_q;
    else {map6, r6} = dyn_rd[DynBits+ReplayWindow-1:0];
  end
  logic        known7_q, valid7_q, dir7_q, addr7_q, proto7_q, frag7_q, ss7_q, hs7_q, sb7_q, hb7_q, sp7_q, hp7_q,
               fits7_q, short7_q, full7_q, soon7_q, auth7_q, ok7_q, status_ok7_q, single7_q, low7_q, other_bad7_q,
               can6, can7_q, live7_q, go7_q, fits6, short6;
  logic [7:0]  dyn_bad6, dyn_bad7_q;      // each of up to four words, as the RAM gave them
  logic        own_row7_q, dyn_bad7;      // a row from the pipeline: it has passed the RAM's check or was told
  logic [63:0] next_seq7_q, packets7_q, bytes7_q, number7_q;
  logic [31:0] left7_q, age7_q;
  logic [15:0] out_len7_q, ip_id7_q;
  logic [10:0] class7_q;
  assign can6     = out_q[6] && known6_q && dir6_q;
  assign fits6    = out_len6_q <= 17'(MaxPacketBytes);
  assign short6   = out_len6_q > 17'(room6_q);
  always_comb begin
    dyn_bad6 = '0;
    for (int w = 0; w < DynWords; w++) dyn_bad6[w%8] = dyn_bad6[w%8] | dyn_bad[w];
  end
  logic ahead_low7_q;                     // the number is above the top, low words compared
  always_ff @(posedge clk_i) if (in_q[6]) ahead_low7_q <= number6_q[31:0] > r6.seq[31:0];
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      can7_q  <= 1'b0;
      live7_q <= 1'b0;
      go7_q   <= 1'b0;
    end else begin
      can7_q  <= can6;
      live7_q <= can6 || upd_q[6] || (scan_q[6] && valid6_q && !closed_all_q);
      go7_q   <= can6 && !frag6_q && fits6 && !short6;
    end
  end
  logic [32:0] left6;                     // first number of the window, borrow on top: it spans two subspaces
  assign left6  = {1'b0, r6.seq[31:0]} - {22'd0, r6.window, 5'd0} + 33'd1;
  always_ff @(posedge clk_i) if (row_used[6]) begin
    o7_q         <= o6_q;
    r7_q         <= r6;
    known7_q     <= known6_q;
    valid7_q     <= valid6_q;
    dir7_q       <= dir6_q;
    addr7_q      <= addr6_q;
    proto7_q     <= proto6_q;
    frag7_q      <= frag6_q;
    ss7_q        <= ss6_q;
    hs7_q        <= hs6_q;
    sb7_q        <= sb_set6_q && (sb_left6_q[64] || r6.bytes >= sb_left6_q[63:0]);
    hb7_q        <= hb_set6_q && (hb_left6_q[64] || r6.bytes > hb_left6_q[63:0]);
    sp7_q        <= sp_set6_q && r6.packets >= sp_left6_q;
    hp7_q        <= hp_set6_q && r6.packets >= hp6_q;
    dyn_bad7_q   <= dyn_bad6;
    own_row7_q   <= near6_q || far6_q;
    other_bad7_q <= par_bad6_q || force_q[6];
    fits7_q      <= fits6;
    short7_q     <= short6;
    out_len7_q   <= out_len6_q[15:0];
    next_seq7_q  <= r6.seq + 64'd1;
    full7_q      <= r6.seq[31:0] == '1 && (!o6_q[OutBits-6] || r6.seq[63:32] == '1);
    soon7_q      <= !o6_q[OutBits-6] && r6.seq[31:28] == '1;  // the next number is above 2^32 - 2^28
    packets7_q   <= r6.packets + 64'd1;
    bytes7_q     <= r6.bytes + 64'(len6_q);
    number7_q    <= number6_q;
    ip_id7_q     <= r6.ip_id + 16'd1;
    auth7_q      <= up6_q.auth;
    ok7_q        <= up6_q.ok;
    status_ok7_q <= up6_q.status == card_pkg::StatusOk;
    class7_q     <= class6_q;
    left7_q      <= left6[31:0];
    single7_q    <= !left6[32];
    age7_q       <= age6_q;
    low7_q       <= number6_q[31:0] == '0;
  end

  // ------------------------------------------------------------------------------- stage 7: verdict and the new row
  logic window_ok, ahead7, mark7, seen7, bad7, poisoned7, told7;
  sad_window #(.Size(ReplayWindow), .SeqBits(64)) u_window (
    .clk_i(clk_i), .en_i(row_used[6]), .seq_i(number6_q), .word_i(word6_q), .lap_next_i(lap_next6_q),
    .lap_prev_i(lap_prev6_q), .top_i(r6.seq), .window_i(r6.window), .bitmap_i(map6),
    .clear_i(cmd_q[6]), .start_i(install_q),  // "highest number seen, window empty below it"
    .take_i(mark7), .ok_o(window_ok), .ahead_o(ahead7), .seen_o(seen7), .bitmap_o(map7)
  );
  assign dyn_bad7  = dyn_bad7_q != '0 && !own_row7_q;
  assign bad7      = dyn_bad7 || other_bad7_q;
  assign poisoned7 = bad7 || r7_q.poisoned;
  assign told7     = r7_q.poisoned && !dyn_bad7;  // poisoned, and not because that very flag is the flipped bit
  assign mark7     = upd_q[7] && auth7_q && !poisoned7;

  logic        healthy7, aged7, limits7, expired7, allot7, over7, admit7, refused7, count7, reached7;
  logic [7:0]  lk_status7, up_status7;
  logic [10:0] drop7;
  logic [8:0]  events7;
  assign healthy7 = live7_q && !poisoned7;
  assign refused7 = auth7_q && !window_ok;
  assign admit7   = upd_q[7] && ok7_q && !poisoned7;     // unless refused
  assign limits7  = (can7_q && !poisoned7) || (admit7 && !refused7); // byte and packet limits are looked at
  assign aged7    = healthy7 && hs7_q;
  assign reached7 = hb7_q || hp7_q;
  assign expired7 = r7_q.expired || hs7_q || reached7;   // as far as limits7 holds
  always_comb begin
    if (!known7_q) lk_status7 = card_pkg::StatusNoSa;
    else if (poisoned7) lk_status7 = card_pkg::StatusPoisoned;
    else if (!dir7_q) lk_status7 = card_pkg::StatusWrongDirection;
    else if (expired7) lk_status7 = card_pkg::StatusExpired;
    else if (frag7_q) lk_status7 = card_pkg::StatusFragment;
    else if (!fits7_q) lk_status7 = card_pkg::StatusBadLength;
    else if (short7_q) lk_status7 = card_pkg::StatusDstTooSmall;
    else if (full7_q) lk_status7 = card_pkg::StatusSeqOverflow;
    else lk_status7 = card_pkg::StatusOk;
  end
  assign over7  = go7_q && !poisoned7 && !expired7 && full7_q;
  assign allot7 = go7_q && !poisoned7 && !expired7 && !full7_q;
  assign count7 = allot7 || (admit7 && !expired7 && !refused7);
  always_comb begin
    if (rel_q[7]) up_status7 = card_pkg::StatusOk;
    else if (poisoned7 && (auth7_q || ok7_q)) up_status7 = card_pkg::StatusPoisoned;
    else if (refused7) up_status7 = card_pkg::StatusReplay;
    else if (ok7_q && expired7) up_status7 = card_pkg::StatusExpired;
    else up_status7 = card_pkg::StatusOk;
  end
  always_comb begin
    drop7 = '0;
    if (upd_q[7]) begin
      if (!status_ok7_q) drop7 = class7_q;
      else if (poisoned7) drop7[ClOther] = 1'b1;
      else if (refused7) drop7[ClReplay] = 1'b1;
      else if (ok7_q && expired7) drop7[ClExpired] = 1'b1;
    end
    events7    = '0;
    // The refusal comes last: what does not wait for it stands beside it
    events7[0] = (allot7 || (admit7 && !expired7)) && sb7_q && !r7_q.told_sb && (allot7 || !refused7);
    events7[1] = (allot7 || (admit7 && !expired7)) && sp7_q && !r7_q.told_sp && (allot7 || !refused7);
    events7[2] = healthy7 && ss7_q && !r7_q.told_ss;
    events7[3] = ((can7_q && !poisoned7) || admit7) && hb7_q && !r7_q.told_hb && (can7_q || !refused7);
    events7[4] = ((can7_q && !poisoned7) || admit7) && hp7_q && !r7_q.told_hp && (can7_q || !refused7);
    events7[5] = aged7 && !r7_q.told_hs;
    events7[6] = allot7 && soon7_q && !r7_q.told_soon;
    events7[7] = over7 && !r7_q.told_over;
    events7[8] = bad7 && !told7 && live7_q;
  end

  // Rows that a command writes
  logic [2047:0] e;
  logic [2:0]    op_q;                    // cmd_op_i, long before a command's row is written; so the next three
  logic          wipe_q, install_q, close_q;
  par_t          par_new;
  function automatic logic [31:0] swap32(input logic [31:0] x);
    swap32 = {x[7:0], x[15:8], x[23:16], x[31:24]};
  endfunction
  logic [127:0] e_src, e_dst;
  logic [191:0] e_key;
  assign e = cmd_entry_i;
  for (genvar i = 0; i < 4; i++) begin : gen_address
    assign e_src[32*(3-i) +: 32] = swap32(e[card_pkg::SaEntrySrcLsb + 32*i +: 32]);
    assign e_dst[32*(3-i) +: 32] = swap32(e[card_pkg::SaEntryDstLsb + 32*i +: 32]);
  end
  for (genvar i = 0; i < 6; i++) begin : gen_key
    assign e_key[32*(5-i) +: 32] = swap32(e[card_pkg::SaEntryEncKeyLsb + 32*i +: 32]);
  end
  always_comb begin
    par_new              = p;
    par_new.natt         = e[card_pkg::SaEntryNattLsb];
    par_new.check_outer  = e[card_pkg::SaEntryCheckOuterLsb];
    par_new.df_policy    = e[card_pkg::SaEntryDfPolicyLsb +: 2];
    par_new.dscp_set     = e[card_pkg::SaEntryDscpSetLsb];
    par_new.dscp         = e[card_pkg::SaEntryDscpLsb +: 6];
    par_new.ecn_clear    = e[card_pkg::SaEntryEcnClearLsb];
    par_new.ttl          = e[card_pkg::SaEntryTtlLsb +: 8];
    par_new.udp_src      = e[card_pkg::SaEntryUdpSrcLsb +: 16];
    par_new.udp_dst      = e[card_pkg::SaEntryUdpDstLsb +: 16];
    par_new.src          = e_src;
    par_new.dst          = e_dst;
    par_new.soft_seconds = e[card_pkg::SaEntrySoftSecondsLsb +: 32];
    par_new.hard_seconds = e[card_pkg::SaEntryHardSecondsLsb +: 32];
    par_new.soft_bytes   = e[card_pkg::SaEntrySoftBytesLsb +: 64];
    par_new.hard_bytes   = e[card_pkg::SaEntryHardBytesLsb +: 64];
    par_new.soft_packets = e[card_pkg::SaEntrySoftPacketsLsb +: 64];
    par_new.hard_packets = e[card_pkg::SaEntryHardPacketsLsb +: 64];
    if (install_q) begin
      par_new.valid     = '1;
      par_new.installed = seconds_i;
      par_new.outbound  = e[card_pkg::SaEntryOutboundLsb];
      par_new.transport = e[card_pkg::SaEntryTransportLsb];
      par_new.ah        = e[card_pkg::SaEntryAhLsb];
      par_new.outer_v6  = e[card_pkg::SaEntryOuterV6Lsb];
      par_new.esn       = e[card_pkg::SaEntryEsnLsb];
      par_new.inner_v4  = e[card_pkg::SaEntryInnerV4Lsb];
      par_new.inner_v6  = e[card_pkg::SaEntryInnerV6Lsb];
      par_new.cipher    = e[card_pkg::SaEntryCipherLsb +: 2];
      par_new.auth      = e[card_pkg::SaEntryAuthLsb +: 2];
      par_new.spi       = e[card_pkg::SaEntrySpiLsb +: 32];
    end
  end
  always_ff @(posedge clk_i) begin
    op_q      <= cmd_op_i;
    wipe_q    <= cmd_op_i == OpWipe || cmd_op_i == OpWipeAll;
    install_q <= cmd_op_i == OpInstall;
    close_q   <= cmd_op_i == OpClose;
  end
  // Without an ICV anybody could mark numbers: no check then (RFC 4303 s3.4.3)
  logic [5:0] e_window;
  assign e_window = !e[card_pkg::SaEntryOutboundLsb] && e[card_pkg::SaEntryAuthLsb +: 4] != '0 ?
                    e[card_pkg::SaEntryReplayWindowLsb + 5 +: 6] : '0;

  always_comb begin
    new7 = r7_q;
    if (allot7) begin
      new7.seq   = next_seq7_q;
      new7.ip_id = ip_id7_q;
    end else if (mark7 && window_ok && ahead7) new7.seq = number7_q;
    if (count7) begin
      new7.packets = packets7_q;
      new7.bytes   = bytes7_q;
    end
    if (aged7 || (limits7 && reached7)) new7.expired = 1'b1;
    if (bad7) new7.poisoned = 1'b1;
    new7.told_sb   = r7_q.told_sb | events7[0];
    new7.told_sp   = r7_q.told_sp | events7[1];
    new7.told_ss   = r7_q.told_ss | events7[2];
    new7.told_hb   = r7_q.told_hb | events7[3];
    new7.told_hp   = r7_q.told_hp | events7[4];
    new7.told_hs   = r7_q.told_hs | events7[5];
    new7.told_soon = r7_q.told_soon | events7[6];
    new7.told_over = r7_q.told_over | events7[7];
    new7.replay_drops      = r7_q.replay_drops + 32'(drop7[ClReplay]);
    new7.icv_drops         = r7_q.icv_drops + 32'(drop7[ClIcv]);
    new7.other_drops       = r7_q.other_drops + 32'(drop7[ClOther]);
    new7.padding_drops     = r7_q.padding_drops + 32'(drop7[ClPadding]);
    new7.next_header_drops = r7_q.next_header_drops + 32'(drop7[ClNext]);
    new7.inner_drops       = r7_q.inner_drops + 32'(drop7[ClInner]);
    new7.protocol_drops    = r7_q.protocol_drops + 32'(drop7[ClProtocol]);
    new7.address_drops     = r7_q.address_drops + 32'(drop7[ClAddress]);
    new7.expired_drops     = r7_q.expired_drops + 32'(drop7[ClExpired]);
    new7.seq_drops         = r7_q.seq_drops + 32'(drop7[ClSeq]);
    new7.length_drops      = r7_q.length_drops + 32'(drop7[ClLength]);
  end

  logic        cmd_writes7;
  assign cmd_writes7 = (install_q && !valid7_q) || wipe_q;
  assign write7      = can7_q || upd_q[7] || (scan_q[7] && valid7_q) || (cmd_q[7] && cmd_writes7);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write8_q  <= 1'b0;
      write9_q  <= 1'b0;
    end else begin
      write8_q  <= write7;
      write9_q  <= write8_q;
    end
  end
  always_ff @(posedge clk_i) begin
    if (write7) new_map8_q <= map7;
    if (write7) begin
      new8_q <= new7;
      if (cmd_q[7]) begin
        new8_q <= '0;
        if (install_q) begin
          new8_q.seq    <= number7_q;
          new8_q.ip_id  <= e[card_pkg::SaEntryIpIdLsb +: 16];
          new8_q.window <= e_window;
        end
      end
    end
    if (wiping) wr9_q <= '0;
    else if (write8_q) wr9_q <= {new_map8_q, new8_q};
  end

  // ------------------------------------------------------------------------- stage 8: events, status of decapsulation
  logic [8:0]  events8_q;
  logic [31:0] age8_q, packets8_q, bytes8_q, seq_arg8_q;
  logic        known8_q, valid8_q, dir8_q, addr8_q, proto8_q, expired8_q, poisoned8_q, sticky8_q, bad8_q, check8_q,
               less8_q, ahead8_q, seen8_q, single8_q, low8_q, esn8, none8_q, all8_q;
  logic [7:0]  lk_status8_q, up_status8_q;
  logic [31:0] hi8_q;
  logic [63:0] seq8_q;
  logic [15:0] ip_id8_q, out_len8_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) events8_q <= '0;
    else events8_q <= events7;
    if (row_used[7] || rel_q[7]) begin
      lk_status8_q <= lk_status7;
      up_status8_q <= up_status7;
    end
    if (row_used[7]) begin
      o8_q        <= o7_q;
      age8_q      <= age7_q;
      packets8_q  <= count7 ? packets7_q[31:0] : r7_q.packets[31:0];
      bytes8_q    <= count7 ? bytes7_q[31:0] : r7_q.bytes[31:0];
      seq_arg8_q  <= allot7 ? next_seq7_q[31:0] : r7_q.seq[31:0];
      known8_q    <= known7_q;
      valid8_q    <= valid7_q && !closed_all_q;
      dir8_q      <= dir7_q;
      addr8_q     <= addr7_q;
      proto8_q    <= proto7_q;
      expired8_q  <= r7_q.expired || hs7_q;
      poisoned8_q <= poisoned7;
      sticky8_q   <= told7;
      bad8_q      <= bad7;
      check8_q    <= r7_q.window != '0;
      less8_q     <= number7_q[31:0] < left7_q;
      ahead8_q    <= ahead_low7_q;
      seen8_q     <= seen7;
      single8_q   <= single7_q;
      low8_q      <= low7_q;
      hi8_q       <= r7_q.seq[63:32];
      none8_q     <= r7_q.seq[63:32] == '0;
      all8_q      <= r7_q.seq[63:32] == '1;
      seq8_q      <= out_q[7] ? next_seq7_q : {32'd0, number7_q[31:0]};
      ip_id8_q    <= r7_q.ip_id;
      out_len8_q  <= out_len7_q;
    end
  end
  sad_events u_events (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(events8_q != '0), .room_o(ev_room), .mask_i(events8_q),
    .index_i(32'(row8)), .spi_i(o8_q[287:256]), .bytes_i(bytes8_q), .packets_i(packets8_q), .age_i(age8_q),
    .seq_i(seq_arg8_q), .ev_valid_o(ev_valid_o), .ev_ready_i(ev_ready_i), .ev_type_o(ev_type_o),
    .ev_index_o(ev_index_o), .ev_spi_o(ev_spi_o), .ev_arg_o(ev_arg_o)
  );
  assign poison_o = events8_q[8];

  // High word by RFC 4303 appendix A2.2: the window lies in one subspace (A) or spans two (B). A number left of the
  // first one then belongs to the next subspace (A), one from it on to the one before (B).
  // A number inside the window whose bit is set was seen before: it costs no cipher cycles.
  logic        infer8, up_one8, down_one8, inside8, replay8;
  logic [7:0]  in_status8;
  logic [31:0] seq_hi8;
  assign esn8      = o8_q[OutBits-6];
  assign infer8    = esn8 && check8_q;
  assign up_one8   = single8_q && less8_q;
  assign down_one8 = !single8_q && !less8_q;
  assign inside8   = up_one8 ? 1'b0 : (esn8 && down_one8) || !ahead8_q;
  always_comb begin
    if (!check8_q) replay8 = 1'b0;
    else if (inside8 && seen8_q) replay8 = 1'b1;
    else if (!esn8) replay8 = low8_q || up_one8;
    else replay8 = (up_one8 && all8_q) || (down_one8 && none8_q) || (!up_one8 && none8_q && low8_q);
    seq_hi8 = '0;
    if (infer8) seq_hi8 = up_one8 ? hi8_q + 32'd1 : down_one8 ? hi8_q - 32'd1 : hi8_q;
    if (!known8_q) in_status8 = card_pkg::StatusNoSa;
    else if (poisoned8_q) in_status8 = card_pkg::StatusPoisoned;
    else if (!dir8_q) in_status8 = card_pkg::StatusWrongDirection;
    else if (!proto8_q) in_status8 = card_pkg::StatusWrongProtocol;
    else if (!addr8_q) in_status8 = card_pkg::StatusWrongAddress;
    else if (expired8_q) in_status8 = card_pkg::StatusExpired;
    else if (replay8) in_status8 = card_pkg::StatusReplay;
    else in_status8 = card_pkg::StatusOk;
  end

  // ------------------------------------------------------------------------------------------- stage 9: the answers
  logic [7:0]            status9_q, up_status9_q;
  logic                  known9_q, suspect9_q, clean9_q, key_bad9;
  logic [63:0]           seq9_q;
  logic [15:0]           ip_id9_q, out_len9_q;
  logic [64*KeyWords-1:0] key9_q;
  logic [KeyWords-1:0]   key_bad9_q;
  logic [Lanes-1:0]      lane9;
  par_t                  o9;
  always_ff @(posedge clk_i) begin
    up_status9_q <= up_status8_q;
    if (out_q[8] || in_q[8] || scan_q[8] || cmd_q[8]) begin
      o9_q       <= o8_q;
      status9_q  <= in_q[8] ? in_status8 : lk_status8_q;
      known9_q   <= known8_q;
      suspect9_q <= in_q[8] && bad8_q;
      clean9_q   <= valid8_q && !sticky8_q;
      seq9_q     <= in_q[8] ? {seq_hi8, seq8_q[31:0]} : seq8_q;
      ip_id9_q   <= ip_id8_q;
      out_len9_q <= out_len8_q;
      key9_q     <= key_rd;
      key_bad9_q <= key_bad;
    end
  end
  assign lane9        = lane_q[7*Lanes +: Lanes];
  assign key_bad9     = key_bad9_q != '0;
  assign o9           = ParBits'(o9_q);
  assign lr_valid_o   = out_q[9] || in_q[9] ? lane9 : '0;
  assign lr_status_o  = known9_q && key_bad9 ? card_pkg::StatusPoisoned : status9_q;
  assign lr_found_o   = known9_q;
  assign lr_index_o   = 32'(row9);
  assign lr_spi_o     = o9.spi;
  assign lr_seq_o     = seq9_q;
  assign lr_ip_id_o   = ip_id9_q;
  assign lr_out_len_o = out_len9_q;
  assign lr_transport_o = o9.transport;
  assign lr_ah_o        = o9.ah;
  assign lr_outer_v6_o  = o9.outer_v6;
  assign lr_natt_o      = o9.natt;
  assign lr_esn_o       = o9.esn;
  assign lr_inner_v4_o  = o9.inner_v4;
  assign lr_inner_v6_o  = o9.inner_v6;
  assign lr_cipher_o    = o9.cipher;
  assign lr_auth_o      = o9.auth;
  assign lr_df_policy_o = o9.df_policy;
  assign lr_dscp_set_o  = o9.dscp_set;
  assign lr_dscp_o      = o9.dscp;
  assign lr_ecn_clear_o = o9.ecn_clear;
  assign lr_ttl_o       = o9.ttl;
  assign lr_udp_src_o   = o9.udp_src;
  assign lr_udp_dst_o   = o9.udp_dst;
  assign lr_src_o       = o9.src;
  assign lr_dst_o       = o9.dst;
  assign {lr_enc_key_o, lr_istate_o, lr_ostate_o} = key9_q;
  assign ur_valid_o   = upd_q[9] || rel_q[9] ? lane9 : '0;
  assign ur_status_o  = up_status9_q;

  // --------------------------------------------------------------------------------- who holds an entry, by epoch
  logic        epoch_q, inc, dec;
  logic [15:0] held_q, held_old_q;        // found in this epoch, in the one before
  assign inc        = lr_valid_o != '0 && known9_q;
  assign dec        = (upd_q[2] || rel_q[2]) && lane_q[Lanes-1:0] != '0;
  assign lr_epoch_o = epoch_q;
  logic dec_new, dec_old, up, down;
  assign dec_new = dec && up2_q.epoch == epoch_q;
  assign dec_old = dec && up2_q.epoch != epoch_q;
  assign up   = inc && !dec_new;
  assign down = dec_new && !inc;
  logic close9;                           // a close is being written; nothing else is under way then
  assign close9 = cmd_q[9] && (op_q == OpClose || op_q == OpCloseAll);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) epoch_q <= 1'b0;
    else if (close9) epoch_q <= !epoch_q;
    if (!rst_ni || flush_i) begin
      held_q     <= '0;
      held_old_q <= '0;
    end else if (close9) begin
      held_q     <= held_old_q;           // 0: the one before is drained
      held_old_q <= held_q;
    end else begin
      held_q     <= held_q + {{15{down}}, up || down};
      held_old_q <= held_old_q - 16'(dec_old);
    end
  end
  assign drained_o = held_old_q == '0;

  // ---------------------------------------------------------------------------------------------- scan, poison marks
  localparam int ScanBits = $clog2(ScanCycles);
  logic [ScanBits-1:0] scan_timer_q;
  logic                scan_due_q, mark_set;
  assign scan_req = mark_q || scan_due_q;
  // A row whose parity an odd operation, or the late key read, found wrong; while a mark waits others are left for
  // the next one who reads them
  assign mark_set = (out_q[9] || in_q[9] || scan_q[9]) && clean9_q && (suspect9_q || key_bad9);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      scan_timer_q <= '0;
      scan_due_q   <= 1'b0;
      scan_row_q   <= '0;
      mark_q       <= 1'b0;
    end else begin
      scan_timer_q <= scan_timer_q == ScanBits'(ScanCycles - 1) ? '0 : scan_timer_q + 1'b1;
      if (scan1_q && !mark_q) begin
        scan_due_q <= 1'b0;
        scan_row_q <= scan_row_q + 1'b1;
      end else if (scan_timer_q == '0) scan_due_q <= 1'b1;
      if (mark_set) mark_q <= 1'b1;
      else if (scan1_q) mark_q <= 1'b0;
    end
    if (mark_set && (scan1_q || !mark_q)) mark_row_q <= row9;
  end

  // ------------------------------------------------------------------------------------------------------- commands
  typedef enum logic [2:0] {CmIdle, CmDrain, CmIssue, CmWait, CmWipeAll, CmDone} cm_e;
  cm_e            cm_q;
  logic           pipe_used;
  logic [Index:0] wipe_row_q;
  logic           again_q;                // second pass of a wipe: no register of the pipeline keeps what the row held
  assign pipe_used = even_open_q || odd_open_q || lk1_q != '0 || up1_q != '0 || scan1_q || cmd1_q ||
                     (row_used | rel_q) != '0 || write9_q;
  assign block     = cm_q != CmIdle || flush_i;
  assign cmd_issue = cm_q == CmIssue;
  assign wiping    = cm_q == CmWipeAll;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      cm_q         <= CmIdle;
      again_q      <= 1'b0;
      closed_all_q <= 1'b1;               // until the first wipe of everything: a RAM keeps its rows through a reset
    end else begin
      case (cm_q)
        CmIdle: begin
          again_q <= 1'b0;
          if (cmd_valid_i) cm_q <= CmDrain;
        end
        CmDrain:   if (!pipe_used) cm_q <= op_q == OpWipeAll ? CmWipeAll : CmIssue;
        CmIssue:   if (!phase_q) cm_q <= CmWait;
        CmWait: if (cmd_q[9]) begin
          again_q <= 1'b1;
          cm_q    <= wipe_q && !again_q ? CmIssue : CmDone;
        end
        CmWipeAll: if (wipe_row_q[Index]) begin
          again_q <= 1'b1;
          cm_q    <= CmIssue;
        end
        default:   cm_q <= CmIdle;
      endcase
      if (cmd_q[9] && op_q == OpCloseAll) closed_all_q <= 1'b1;
      else if (wiping && wipe_row_q[Index]) closed_all_q <= 1'b0;
    end
    if (!wiping) wipe_row_q <= '0;
    else wipe_row_q <= wipe_row_q + 1'b1;
  end

  logic         was_valid_q, match_q;
  logic [639:0] view_q;
  always_ff @(posedge clk_i) if (cmd_q[7]) begin
    was_valid_q <= valid7_q;
    match_q     <= p.spi == e[card_pkg::SaEntrySpiLsb +: 32] && p.outbound == e[card_pkg::SaEntryOutboundLsb] &&
                   !(e[card_pkg::SaEntryNattLsb] && (p.ah || p.outer_v6));
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) view_q <= '0;
    else if (cmd_q[7] && op_q == OpView) begin
      view_q <= '0;
      if (valid7_q) begin
        view_q[card_pkg::SaViewValidLsb]               <= 1'b1;
        view_q[card_pkg::SaViewOutboundLsb]            <= p.outbound;
        view_q[card_pkg::SaViewExpiredLsb]             <= r7_q.expired || r7_q.told_over;
        view_q[card_pkg::SaViewPoisonedLsb]            <= poisoned7;
        view_q[card_pkg::SaViewCipherLsb +: 4]         <= {2'd0, p.cipher};
        view_q[card_pkg::SaViewAuthLsb +: 4]           <= {2'd0, p.auth};
        view_q[card_pkg::SaViewSpiLsb +: 32]           <= p.spi;
        view_q[card_pkg::SaViewSeqLsb +: 64]           <= r7_q.seq;
        view_q[card_pkg::SaViewPacketsLsb +: 64]       <= r7_q.packets;
        view_q[card_pkg::SaViewBytesLsb +: 64]         <= r7_q.bytes;
        view_q[card_pkg::SaViewReplayDropsLsb +: 32]   <= r7_q.replay_drops;
        view_q[card_pkg::SaViewIcvDropsLsb +: 32]      <= r7_q.icv_drops;
        view_q[card_pkg::SaViewOtherDropsLsb +: 32]    <= r7_q.other_drops;
        view_q[card_pkg::SaViewAgeSecondsLsb +: 32]    <= age7_q;
        view_q[card_pkg::SaViewPaddingDropsLsb +: 32]  <= r7_q.padding_drops;
        view_q[card_pkg::SaViewNextHeaderDropsLsb +: 32] <= r7_q.next_header_drops;
        view_q[card_pkg::SaViewInnerDropsLsb +: 32]    <= r7_q.inner_drops;
        view_q[card_pkg::SaViewProtocolDropsLsb +: 32] <= r7_q.protocol_drops;
        view_q[card_pkg::SaViewAddressDropsLsb +: 32]  <= r7_q.address_drops;
        view_q[card_pkg::SaViewExpiredDropsLsb +: 32]  <= r7_q.expired_drops;
        view_q[card_pkg::SaViewSeqDropsLsb +: 32]      <= r7_q.seq_drops;
        view_q[card_pkg::SaViewLengthDropsLsb +: 32]   <= r7_q.length_drops;
      end
    end
  end
  assign cmd_done_o      = cm_q == CmDone;
  assign cmd_was_valid_o = was_valid_q;
  assign cmd_match_o     = match_q;
  assign cmd_view_o      = view_q;

  // Writes. par_new holds from the command's row on, because nothing reads parameters meanwhile.
  par_t par_closed;
  assign wr_row   = wiping ? wipe_row_q[Index-1:0] : row9;
  assign dyn_we   = write9_q || wiping;
  assign key_we   = wiping || (cmd_q[9] && (wipe_q || (install_q && !was_valid_q)));
  assign par_we   = wiping || (cmd_q[9] && (wipe_q || (install_q && !was_valid_q) ||
                               (op_q == OpClose && was_valid_q) || (op_q == OpUpdate && was_valid_q && match_q)));
  always_comb begin
    par_closed       = p;
    par_closed.valid = '0;
  end
  assign par_wr = wipe_q ? '0 : close_q ? (64*ParWords)'(par_closed) : (64*ParWords)'(par_new);
  assign key_wr = wipe_q ? '0 : {e_key, cmd_istate_i, cmd_ostate_i};

  assign idle_o = lk1_q == '0 && up1_q == '0 && (out_q | in_q | upd_q | rel_q) == '0 && cm_q == CmIdle;

  logic unused;
  assign unused = ^{par_rd, dyn_rd, up2_q.index, up3_q.epoch, up3_q.index, up4_q.index, up4_q.epoch, up5_q.index, up5_q.epoch,
                    up5_q.bytes, up6_q.index, up6_q.epoch, up6_q.bytes, up6_q.seq, e, lk2_q, lk3_q, lk4_q, force_q, o9, poisoned8_q, odd_kind[2]};
endmodule
