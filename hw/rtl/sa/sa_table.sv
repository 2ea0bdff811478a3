// SA table: static row (parameters, keys, hash states) and dynamic row (sequence numbers, window, counters) an
// entry. One operation at a time, 5 cycles each, so each is atomic to all others; results before lookups before
// commands. Not done: ESN, lifetimes.
//   lookup   find and check the SA of one packet; outbound: allot its sequence number and IP identification
//   update   after the lane: replay check-and-set (never before the ICV), counters
//   command  install, close (no lookup finds the entry any more), wipe, view
// Every lookup with lk_found_o is followed by exactly one update, in lookup order; drained_o counts on it.
module sa_table #(
  parameter int SaEntries = 1024,      // a power of two
  parameter int ReplayWindow = 64,     // largest window
  parameter int MaxPacketBytes = 2048,
  localparam int Index = $clog2(SaEntries)
) (
  input  logic          clk_i,
  input  logic          rst_ni,
  input  logic          flush_i,          // all packets are dropped; hold for 8 cycles or more
  input  logic [31:0]   seconds_i,
  // lookup
  input  logic          lk_valid_i,       // until lk_done_o
  input  logic          lk_encap_i,
  input  logic [31:0]   lk_index_i,       // encap
  input  logic [31:0]   lk_spi_i,         // decap, this and the following
  input  logic [31:0]   lk_seq_i,
  input  logic          lk_natt_i,        // the packet is ESP in UDP
  input  logic [31:0]   lk_src_i,         // outer addresses
  input  logic [31:0]   lk_dst_i,
  input  logic [15:0]   lk_src_len_i,     // encap, this and the following
  input  logic [31:0]   lk_dst_size_i,
  output logic          lk_done_o,        // one cycle; what follows stays until the next lookup
  output logic [7:0]    lk_status_o,      // Ok, NoSa, WrongDirection, WrongProtocol, WrongAddress, Replay,
                                          // BadLength, DstTooSmall, SeqOverflow
  output logic          lk_found_o,       // lk_index_o, lk_spi_o name an entry
  output logic [31:0]   lk_index_o,
  output logic [31:0]   lk_spi_o,
  output logic [31:0]   lk_seq_o,
  output logic [15:0]   lk_ip_id_o,
  output logic          lk_natt_o,
  output logic [3:0]    lk_cipher_o,
  output logic [3:0]    lk_auth_o,
  output logic [191:0]  lk_enc_key_o,     // first octet on top, like all octet strings below
  output logic [159:0]  lk_istate_o,
  output logic [159:0]  lk_ostate_o,
  output logic [31:0]   lk_src_o,
  output logic [31:0]   lk_dst_o,
  output logic [7:0]    lk_ttl_o,
  output logic [1:0]    lk_df_policy_o,
  output logic          lk_dscp_set_o,
  output logic [5:0]    lk_dscp_o,
  output logic          lk_ecn_clear_o,
  output logic [15:0]   lk_udp_src_o,
  output logic [15:0]   lk_udp_dst_o,
  // update
  input  logic          up_valid_i,       // until up_done_o
  input  logic [31:0]   up_index_i,
  input  logic          up_check_i,       // inbound and the ICV matched: replay check-and-set
  input  logic          up_ok_i,          // count as done unless the replay check refuses
  input  logic          up_replay_i,      // not ok: count as a replay drop,
  input  logic          up_icv_i,         // as an ICV drop, else as another drop
  input  logic [31:0]   up_seq_i,
  input  logic [15:0]   up_bytes_i,
  output logic          up_done_o,        // one cycle
  output logic          up_refused_o,     // with up_done_o: replay
  // command
  input  logic          cmd_valid_i,      // until cmd_done_o
  input  logic [1:0]    cmd_op_i,         // 0 install, 1 close, 2 wipe, 3 view
  input  logic [Index-1:0] cmd_index_i,
  input  logic [2047:0] cmd_entry_i,      // format SaEntry, checked by the caller
  input  logic [159:0]  cmd_istate_i,
  input  logic [159:0]  cmd_ostate_i,
  input  logic          closed_i,         // lookups find nothing
  output logic          cmd_done_o,       // one cycle
  output logic          cmd_was_valid_o,  // with cmd_done_o
  output logic [383:0]  cmd_view_o,       // after a view: the start of format SaView
  output logic          drained_o,        // no packet found before the last close, or before closed_i, is in flight
  // events
  output logic          ev_valid_o,       // one cycle
  output logic [7:0]    ev_type_o,
  output logic [31:0]   ev_index_o,
  output logic [31:0]   ev_spi_o,
  output logic [31:0]   ev_arg_o
);
  localparam logic [31:0] SeqSoon = 32'hf0000000;  // 2^32 - 2^28

  typedef struct packed {
    logic         valid;
    logic         outbound;
    logic         natt;
    logic         check_outer;
    logic [1:0]   df_policy;
    logic         dscp_set;
    logic         ecn_clear;
    logic [5:0]   dscp;
    logic [3:0]   cipher;
    logic [3:0]   auth;
    logic [7:0]   ttl;
    logic [15:0]  udp_src;
    logic [15:0]  udp_dst;
    logic [31:0]  spi;
    logic [31:0]  src;
    logic [31:0]  dst;
    logic [191:0] enc_key;
    logic [159:0] istate;
    logic [159:0] ostate;
  } static_t;
  localparam int StaticBits = 8 + 6 + 8 + 8 + 32 + 96 + 192 + 320;

  typedef struct packed {
    logic [10:0]             window;
    logic                    soon;      // SeqSoon was reported
    logic                    over;      // SeqOverflow was reported
    logic [15:0]             ip_id;     // of the next packet
    logic [31:0]             seq;       // last sent, or the window's top
    logic [ReplayWindow-1:0] bitmap;
    logic [63:0]             packets;
    logic [63:0]             bytes;
    logic [31:0]             replay_drops;
    logic [31:0]             icv_drops;
    logic [31:0]             other_drops;
    logic [31:0]             installed;  // second
  } dynamic_t;
  localparam int DynamicBits = 13 + 16 + 32 + ReplayWindow + 128 + 128;

  typedef enum logic [2:0] {StIdle, StRead, StCalc, StExec, StDone} state_e;
  state_e state_d, state_q;

  localparam logic [1:0] SelUpdate = 2'd0, SelLookup = 2'd1, SelCommand = 2'd2;
  localparam logic [1:0] OpInstall = 2'd0, OpClose = 2'd1, OpWipe = 2'd2;
  logic [1:0] sel_d, sel_q;

  logic [Index-1:0]       row_d, row_q;
  logic                   static_wr, dynamic_wr;
  logic [StaticBits-1:0]  static_rd_bits;
  logic [DynamicBits-1:0] dynamic_rd_bits;
  logic                   reading;
  static_t                st, st_new, st_install, lk_q;
  dynamic_t               dy, dy_new, dy_install;

  sdp_ram #(.Width(StaticBits), .Depth(SaEntries)) u_static (
    .clk_i(clk_i), .wr_en_i(static_wr), .wr_addr_i(row_q), .wr_data_i(st_new),
    .rd_en_i(reading), .rd_addr_i(row_q), .rd_data_o(static_rd_bits)
  );
  sdp_ram #(.Width(DynamicBits), .Depth(SaEntries)) u_dynamic (
    .clk_i(clk_i), .wr_en_i(dynamic_wr), .wr_addr_i(row_q), .wr_data_i(dy_new),
    .rd_en_i(reading), .rd_addr_i(row_q), .rd_data_o(dynamic_rd_bits)
  );
  assign reading = state_q == StRead;
  assign st = static_rd_bits;
  assign dy = dynamic_rd_bits;

  // Which operation, and its row
  logic lk_index_bad;
  assign lk_index_bad = lk_encap_i && (lk_index_i >> Index) != '0;
  always_comb begin
    sel_d = sel_q;
    row_d = row_q;
    if (state_q == StIdle) begin
      if (up_valid_i) begin
        sel_d = SelUpdate;
        row_d = up_index_i[Index-1:0];
      end else if (lk_valid_i) begin
        sel_d = SelLookup;
        row_d = lk_encap_i ? lk_index_i[Index-1:0] : lk_spi_i[Index-1:0];
      end else begin
        sel_d = SelCommand;
        row_d = cmd_index_i;
      end
    end
    state_d = state_q;
    case (state_q)
      StIdle:  if (up_valid_i || lk_valid_i || cmd_valid_i) state_d = StRead;
      StRead:  state_d = StCalc;
      StCalc:  state_d = StExec;
      StExec:  state_d = StDone;
      default: state_d = StIdle;
    endcase
  end
  always_ff @(posedge clk_i) if (!rst_ni) state_q <= StIdle; else state_q <= state_d;
  always_ff @(posedge clk_i) begin
    sel_q <= sel_d;
    row_q <= row_d;
  end

  // StCalc: the wide subtractions and comparisons
  logic [31:0] seq, distance_q, spare_q;
  logic        ahead_q, zero_q, known_q, addr_ok_q, natt_ok_q, fits_q, short_q;
  logic [16:0] out_len;
  assign seq     = sel_q == SelUpdate ? up_seq_i : lk_seq_i;
  // RFC 791: 20, RFC 3948: 8, RFC 4303: SPI and number 8, IV 8, payload, pad length and next header to a multiple
  // of 8, ICV 12
  assign out_len = 17'd20 + (st.natt ? 17'd8 : 17'd0) + 17'd8 + 17'd8 +
                   ((17'(lk_src_len_i) + 17'd2 + 17'd7) & ~17'd7) + 17'd12;
  always_ff @(posedge clk_i) if (state_q == StCalc) begin
    ahead_q    <= seq > dy.seq;
    distance_q <= seq > dy.seq ? seq - dy.seq : dy.seq - seq;
    zero_q     <= seq == '0;
    known_q    <= st.valid && !closed_i && (lk_encap_i ? !lk_index_bad : st.spi == lk_spi_i);
    addr_ok_q  <= !st.check_outer || (st.src == lk_src_i && st.dst == lk_dst_i);
    natt_ok_q  <= st.natt == lk_natt_i;
    fits_q     <= out_len <= 17'(MaxPacketBytes);
    short_q    <= 32'(out_len) > lk_dst_size_i;
    spare_q    <= dy.seq + 32'd1;
  end

  logic                    window_ok;
  logic [ReplayWindow-1:0] window_map;
  replay_window #(.Size(ReplayWindow)) u_window (
    .zero_i(zero_q), .ahead_i(ahead_q), .distance_i(distance_q), .window_i(dy.window), .bitmap_i(dy.bitmap),
    .ok_o(window_ok), .bitmap_o(window_map)
  );

  // StExec: verdicts
  logic [7:0] lk_status;
  logic       overflow, allot, refused, exec;
  assign exec     = state_q == StExec;
  assign overflow = dy.seq == '1;
  always_comb begin
    if (!known_q) lk_status = card_pkg::StatusNoSa;
    else if (st.outbound != lk_encap_i) lk_status = card_pkg::StatusWrongDirection;
    else if (lk_encap_i) begin
      if (!fits_q) lk_status = card_pkg::StatusBadLength;
      else if (short_q) lk_status = card_pkg::StatusDstTooSmall;
      else if (overflow) lk_status = card_pkg::StatusSeqOverflow;
      else lk_status = card_pkg::StatusOk;
    end else begin
      if (!natt_ok_q) lk_status = card_pkg::StatusWrongProtocol;
      else if (!addr_ok_q) lk_status = card_pkg::StatusWrongAddress;
      else if (!window_ok) lk_status = card_pkg::StatusReplay;
      else lk_status = card_pkg::StatusOk;
    end
  end
  assign allot   = lk_encap_i && lk_status == card_pkg::StatusOk;
  assign refused = up_check_i && !window_ok;

  // The row that an installation writes. Octet strings of the entry start at the low end, here on top.
  function automatic logic [31:0] swap32(input logic [31:0] x);
    swap32 = {x[7:0], x[15:8], x[23:16], x[31:24]};
  endfunction
  logic [2047:0] e;
  logic [191:0]  enc_key;
  assign e = cmd_entry_i;
  for (genvar i = 0; i < 6; i++) begin : gen_enc_key
    assign enc_key[32*(5-i) +: 32] = swap32(e[card_pkg::SaEntryEncKeyLsb + 32*i +: 32]);
  end
  always_comb begin
    st_install             = '0;
    st_install.valid       = 1'b1;
    st_install.outbound    = e[card_pkg::SaEntryOutboundLsb];
    st_install.natt        = e[card_pkg::SaEntryNattLsb];
    st_install.check_outer = e[card_pkg::SaEntryCheckOuterLsb];
    st_install.df_policy   = e[card_pkg::SaEntryDfPolicyLsb +: 2];
    st_install.dscp_set    = e[card_pkg::SaEntryDscpSetLsb];
    st_install.ecn_clear   = e[card_pkg::SaEntryEcnClearLsb];
    st_install.dscp        = e[card_pkg::SaEntryDscpLsb +: 6];
    st_install.cipher      = e[card_pkg::SaEntryCipherLsb +: 4];
    st_install.auth        = e[card_pkg::SaEntryAuthLsb +: 4];
    st_install.ttl         = e[card_pkg::SaEntryTtlLsb +: 8];
    st_install.udp_src     = e[card_pkg::SaEntryUdpSrcLsb +: 16];
    st_install.udp_dst     = e[card_pkg::SaEntryUdpDstLsb +: 16];
    st_install.spi         = e[card_pkg::SaEntrySpiLsb +: 32];
    st_install.src         = swap32(e[card_pkg::SaEntrySrcLsb +: 32]);
    st_install.dst         = swap32(e[card_pkg::SaEntryDstLsb +: 32]);
    st_install.enc_key     = enc_key;
    st_install.istate      = cmd_istate_i;
    st_install.ostate      = cmd_ostate_i;
    dy_install           = '0;
    dy_install.window    = e[card_pkg::SaEntryReplayWindowLsb +: 11];
    dy_install.ip_id     = e[card_pkg::SaEntryIpIdLsb +: 16];
    dy_install.seq       = e[card_pkg::SaEntrySeqLsb +: 32];
    dy_install.bitmap    = ReplayWindow'(1);  // "highest number seen, window empty below it"
    dy_install.installed = seconds_i;
  end

  // The rows after the operation
  always_comb begin
    st_new     = st;
    dy_new     = dy;
    static_wr  = 1'b0;
    dynamic_wr = 1'b0;
    case (sel_q)
      SelUpdate: begin
        dynamic_wr = exec;
        if (up_check_i && window_ok) begin
          dy_new.bitmap = window_map;
          if (ahead_q) dy_new.seq = up_seq_i;
        end
        if (up_ok_i && !refused) begin
          dy_new.packets = dy.packets + 64'd1;
          dy_new.bytes   = dy.bytes + 64'(up_bytes_i);
        end else if (refused || up_replay_i) dy_new.replay_drops = dy.replay_drops + 32'd1;
        else if (up_icv_i) dy_new.icv_drops = dy.icv_drops + 32'd1;
        else dy_new.other_drops = dy.other_drops + 32'd1;
      end
      SelLookup: begin
        dynamic_wr = exec && lk_encap_i && known_q && st.outbound;
        if (allot) begin
          dy_new.seq   = spare_q;
          dy_new.ip_id = dy.ip_id + 16'd1;
          if (spare_q > SeqSoon) dy_new.soon = 1'b1;
        end else if (lk_status == card_pkg::StatusSeqOverflow) dy_new.over = 1'b1;
      end
      default: begin
        case (cmd_op_i)
          OpInstall: if (!st.valid) begin
            static_wr  = exec;
            dynamic_wr = exec;
            st_new     = st_install;
            dy_new     = dy_install;
          end
          OpClose: begin
            static_wr = exec;
            st_new    = '0;
          end
          OpWipe: begin
            static_wr  = exec;
            dynamic_wr = exec;
            st_new     = '0;
            dy_new     = '0;
          end
          default: ;
        endcase
      end
    endcase
  end

  // Answers, one cycle after StExec
  logic [7:0]   lk_status_q;
  logic         lk_found_q, refused_q, was_valid_q;
  logic [31:0]  lk_seq_q, lk_index_q;
  logic [15:0]  lk_ip_id_q;
  logic [383:0] view_q;
  always_ff @(posedge clk_i) begin
    if (exec && sel_q == SelLookup) begin
      lk_q        <= st;
      lk_status_q <= lk_status;
      lk_found_q  <= known_q;
      lk_seq_q    <= lk_encap_i ? spare_q : lk_seq_i;
      lk_ip_id_q  <= dy.ip_id;
      lk_index_q  <= 32'(row_q);
    end else if (exec && sel_q == SelCommand && cmd_op_i == OpWipe && lk_index_q == 32'(row_q)) lk_q <= '0;
    if (exec) begin
      refused_q   <= refused;
      was_valid_q <= st.valid;
    end
    if (!rst_ni) view_q <= '0;
    else if (exec && sel_q == SelCommand) begin
      view_q <= '0;
      if (st.valid && cmd_op_i == 2'd3) begin
        view_q[card_pkg::SaViewValidLsb]              <= 1'b1;
        view_q[card_pkg::SaViewOutboundLsb]           <= st.outbound;
        view_q[card_pkg::SaViewExpiredLsb]            <= dy.over;
        view_q[card_pkg::SaViewCipherLsb +: 4]        <= st.cipher;
        view_q[card_pkg::SaViewAuthLsb +: 4]          <= st.auth;
        view_q[card_pkg::SaViewSpiLsb +: 32]          <= st.spi;
        view_q[card_pkg::SaViewSeqLsb +: 32]          <= dy.seq;
        view_q[card_pkg::SaViewPacketsLsb +: 64]      <= dy.packets;
        view_q[card_pkg::SaViewBytesLsb +: 64]        <= dy.bytes;
        view_q[card_pkg::SaViewReplayDropsLsb +: 32]  <= dy.replay_drops;
        view_q[card_pkg::SaViewIcvDropsLsb +: 32]     <= dy.icv_drops;
        view_q[card_pkg::SaViewOtherDropsLsb +: 32]   <= dy.other_drops;
        view_q[card_pkg::SaViewAgeSecondsLsb +: 32]   <= seconds_i - dy.installed;
      end
    end
  end

  // Packets that hold an entry. They retire in the order in which they were found, so a mark is enough.
  logic [15:0] found_q, retired_q, mark_q, behind;
  assign behind = retired_q - mark_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      found_q   <= '0;
      retired_q <= '0;
      mark_q    <= '0;
    end else begin
      if (exec && sel_q == SelLookup && known_q) found_q <= found_q + 16'd1;
      if (flush_i) retired_q <= found_q;
      else if (exec && sel_q == SelUpdate) retired_q <= retired_q + 16'd1;
      if (exec && sel_q == SelCommand && cmd_op_i == OpClose) mark_q <= found_q;
    end
  end
  assign drained_o = !behind[15];

  // Events
  logic       ev_soon, ev_over;
  assign ev_soon = exec && sel_q == SelLookup && allot && spare_q > SeqSoon && !dy.soon;
  assign ev_over = exec && sel_q == SelLookup && lk_status == card_pkg::StatusSeqOverflow && !dy.over;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) ev_valid_o <= 1'b0;
    else ev_valid_o <= ev_soon || ev_over;
  end
  always_ff @(posedge clk_i) begin
    ev_type_o  <= ev_soon ? card_pkg::EventTypeSeqSoon : card_pkg::EventTypeSeqOverflow;
    ev_index_o <= 32'(row_q);
    ev_spi_o   <= st.spi;
    ev_arg_o   <= spare_q;
  end

  logic unused;
  assign unused = ^{up_index_i, lk_q.valid, lk_q.outbound, lk_q.check_outer, behind};
  assign lk_done_o       = state_q == StDone && sel_q == SelLookup;
  assign lk_status_o     = lk_status_q;
  assign lk_found_o      = lk_found_q;
  assign lk_index_o      = lk_index_q;
  assign lk_spi_o        = lk_q.spi;
  assign lk_seq_o        = lk_seq_q;
  assign lk_ip_id_o      = lk_ip_id_q;
  assign lk_natt_o       = lk_q.natt;
  assign lk_cipher_o     = lk_q.cipher;
  assign lk_auth_o       = lk_q.auth;
  assign lk_enc_key_o    = lk_q.enc_key;
  assign lk_istate_o     = lk_q.istate;
  assign lk_ostate_o     = lk_q.ostate;
  assign lk_src_o        = lk_q.src;
  assign lk_dst_o        = lk_q.dst;
  assign lk_ttl_o        = lk_q.ttl;
  assign lk_df_policy_o  = lk_q.df_policy;
  assign lk_dscp_set_o   = lk_q.dscp_set;
  assign lk_dscp_o       = lk_q.dscp;
  assign lk_ecn_clear_o  = lk_q.ecn_clear;
  assign lk_udp_src_o    = lk_q.udp_src;
  assign lk_udp_dst_o    = lk_q.udp_dst;
  assign up_done_o       = state_q == StDone && sel_q == SelUpdate;
  assign up_refused_o    = refused_q;
  assign cmd_done_o      = state_q == StDone && sel_q == SelCommand;
  assign cmd_was_valid_o = was_valid_q;
  assign cmd_view_o      = view_q;
endmodule
