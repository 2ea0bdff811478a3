// Makes the header words of a packet, one a cycle, and for AH the words of the stream up to the ICV, in the same pass;
// with options in a second one, after front_ah. Lengths and the IPv4 checksum stay 0 in header words.
// Latency from start_i to the first word 3 cycles: it is read, chosen, put together.
module front_header (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         start_i,         // one cycle; all fields stand from the next cycle to the next start_i
  input  logic         run_i,           // taken with start_i, as is
  input  logic         made_i,          // the IP headers are new ones
  input  logic [3:0]   last_i,          // last word to make
  input  logic         encap_i,
  input  logic         esp_i,
  input  logic         tunnel_i,
  input  logic         iv_i,
  input  logic         natt_i,
  input  logic         v6_i,            // header words start with IPv6
  input  logic         slow_i,
  input  logic [5:0]   ip_dw_i,
  input  logic [15:0]  plen_i,
  input  logic [7:0]   nh_i,
  input  logic [6:0]   nh_at_i,
  input  logic [7:0]   tos_i,           // of the packet as it came
  input  logic         df_i,
  input  logic [63:0]  spi_seq_i,
  input  logic [63:0]  host_iv_i,       // one of the two is the IV, the other one 0
  input  logic [63:0]  gen_iv_i,
  input  logic [15:0]  ip_id_i,
  input  logic [1:0]   df_policy_i,
  input  logic         dscp_set_i,
  input  logic [5:0]   dscp_i,
  input  logic         ecn_clear_i,
  input  logic [7:0]   ttl_i,
  input  logic [15:0]  udp_src_i,
  input  logic [15:0]  udp_dst_i,
  input  logic [127:0] src_i,
  input  logic [127:0] dst_i,
  // the packet's own header words, first octet on top; a word asked for comes a cycle later
  output logic         rd_en_o,
  output logic [3:0]   rd_word_o,
  input  logic [63:0]  rd_data_i,
  output logic         hdr_we_o,
  output logic [3:0]   hdr_word_o,
  output logic [63:0]  hdr_data_o,
  output logic         fr_valid_o,      // see front_stream
  output logic         fr_last_o,
  output logic [3:0]   fr_word_o,
  output logic [63:0]  fr_data_o,
  output logic         fr_stop_o,
  output logic         done_o,          // nothing is left to write after the next cycle
  output logic [7:0]   status_o,        // with done_o: verdict on options, Ok without
  output logic [15:0]  hsum_o,          // one cycle after done_o
  output logic [127:0] tail_o           // likewise: the last two words as they came (decap of AH: the ICV is in them)
);
  localparam logic [2:0] TlUdp = 3'd0, TlNumber = 3'd1, TlIv = 3'd2, TlAh0 = 3'd3, TlAh1 = 3'd4, TlZero = 3'd5;
  typedef enum logic [2:0] {StIdle, StRun, StDrain, StSlow, StAgain} state_e;
  state_e      state_q, state_d;
  logic        idle_q;                  // state_q is StIdle
  logic        second_q;                // second pass
  logic [2:0]  tail_q, tail_next;       // what follows the IP headers
  logic [3:0]  t_q;                     // word
  logic        run, last, odd, made, ip_hi, ip_lo, scratch_end;
  logic [3:0]  ip_last_w;
  logic [4:0]  ip_words;                // whole ones
  logic        w_v_q, s_v_q;            // a word is chosen, stands in hdr_data_q
  logic        slow_start, slow_done;
  logic [7:0]  slow_status, status_q;
  assign run       = state_q == StRun;
  assign odd       = ip_dw_i[0];
  assign made      = encap_i && tunnel_i;
  assign ip_words  = ip_dw_i[5:1];
  assign ip_last_w = 4'((ip_dw_i - 6'd1) >> 1);
  assign ip_hi     = t_q <= ip_last_w;
  assign ip_lo     = {1'b0, t_q} < ip_words;
  assign scratch_end = t_q >= ip_last_w;  // the next word is behind the IP headers
  assign last      = t_q == last_i;
  assign slow_start = state_q == StDrain && !w_v_q && !s_v_q;
  always_comb begin
    case (tail_q)
      TlUdp:    tail_next = TlNumber;
      TlNumber: tail_next = iv_i ? TlIv : TlZero;
      TlAh0:    tail_next = TlAh1;
      default:  tail_next = TlZero;
    endcase
  end
  always_comb begin
    state_d = state_q;
    case (state_q)
      StIdle:  if (start_i && run_i) state_d = StRun;
      StRun:
        if (last && slow_i && !second_q) state_d = StDrain;
        else if (last) state_d = StIdle;
      StDrain: if (slow_start) state_d = StSlow;
      StSlow:
        if (fr_stop_o) state_d = StIdle;
        else if (slow_done) state_d = StAgain;
      default: state_d = StRun;
    endcase
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q  <= StIdle;
      idle_q   <= 1'b1;
      second_q <= 1'b0;
    end else begin
      state_q <= state_d;
      idle_q  <= state_d == StIdle;
      if (start_i) second_q <= 1'b0;
      else if (slow_done) second_q <= 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    t_q    <= run ? t_q + 4'd1 : 4'd0;
    tail_q <= run && !ip_lo ? tail_next : !esp_i ? TlAh0 : natt_i ? TlUdp : TlNumber;
    if (start_i) status_q <= card_pkg::StatusOk;
    else if (slow_done) status_q <= slow_status;
  end
  assign rd_en_o   = start_i || state_q != StIdle;
  assign rd_word_o = run ? t_q + 4'd1 : 4'd0;

  // Chosen: a word of IP headers and one of what follows them (tail_q is right from the second word on)
  logic [7:0]  tos, proto;
  logic        df;
  logic [63:0] word, tail, slow_word, word_q, before_q, tail_word_q;
  assign tos   = {dscp_set_i ? dscp_i : tos_i[7:2], ecn_clear_i ? 2'b00 : tos_i[1:0]};
  assign df    = 8'(df_policy_i) == card_pkg::DfPolicySet || (8'(df_policy_i) == card_pkg::DfPolicyCopy && df_i);
  assign proto = !esp_i ? 8'd51 : natt_i ? 8'd17 : 8'd50;
  // Where the word comes from, known a cycle before: first of the packet's own, the scratch, the source; if it is none of
  // these, of the destination and words that hold other things.
  localparam logic [1:0] FromPacket = 2'd0, FromScratch = 2'd1, FromSrc0 = 2'd2, FromSrc1 = 2'd3;
  localparam logic [1:0] FromFirst = 2'd0, FromDst0 = 2'd1, FromDst1 = 2'd2, FromOther = 2'd3;
  logic [1:0]  from_q, pick_q;
  logic        new_q;                   // not the packet's own
  logic [63:0] first, other;
  always_ff @(posedge clk_i) begin
    if (start_i) begin
      new_q  <= made_i;
      from_q <= FromPacket;
      pick_q <= made_i ? FromOther : FromFirst;
    end else if (!new_q) begin
      // A second pass starts with word 0 of the scratch.
      from_q <= !run || (second_q && !scratch_end) ? FromScratch : FromPacket;
    end else if (run) begin
      from_q <= t_q[0] ? FromSrc1 : FromSrc0;
      if (v6_i) pick_q <= t_q[2:1] == 2'd0 ? FromFirst : t_q[0] ? FromDst1 : FromDst0;
      else pick_q <= t_q[0] ? FromDst0 : FromOther;
    end
  end
  always_comb begin
    case (from_q)
      FromPacket:  first = rd_data_i;
      FromScratch: first = slow_word;
      FromSrc0:    first = src_i[127:64];
      default:     first = src_i[63:0];
    endcase
    if (v6_i) other = {4'd6, tos, 20'd0, 24'd0, ttl_i};
    else if (t_q[0]) other = {ttl_i, 24'd0, src_i[127:96]};
    else other = {8'h45, tos, 16'd0, ip_id_i, 1'b0, df, 14'd0};
    case (pick_q)
      FromFirst: word = first;
      FromDst0:  word = dst_i[127:64];
      FromDst1:  word = dst_i[63:0];
      default:   word = other;
    endcase
    case (tail_q)
      TlUdp:    tail = {udp_src_i, udp_dst_i, 32'd0};
      TlNumber: tail = spi_seq_i;
      TlIv:     tail = host_iv_i | gen_iv_i;
      TlAh0:    tail = {nh_i, 8'd4, 16'd0, spi_seq_i[63:32]};     // RFC 4302 s2.2: (12 + 12) / 4 - 2
      TlAh1:    tail = {spi_seq_i[31:0], 32'd0};
      default:  tail = '0;
    endcase
  end
  logic        w_hi_q, w_lo_q, w_t0_q, w_t1_q, w_patch_q, w_hdr_q, w_ip_q, w_fr_q, w_fr_last_q;
  logic [3:0]  w_t_q, patch_w;
  assign patch_w = !made ? nh_at_i[6:3] : {3'd0, !v6_i};
  always_ff @(posedge clk_i) begin
    if (!rst_ni) w_v_q <= 1'b0;
    else w_v_q <= run;
  end
  always_ff @(posedge clk_i) if (run) begin
    word_q      <= word;
    before_q    <= word_q;
    tail_word_q <= tail;
    w_t_q       <= t_q;
    w_hi_q      <= !encap_i || ip_hi;
    w_ip_q      <= !second_q && ip_hi;
    w_lo_q      <= !encap_i || ip_lo;
    w_t0_q      <= !second_q && t_q == 4'd0;
    w_t1_q      <= !second_q && t_q == 4'd1;
    w_patch_q   <= !second_q && encap_i && t_q == patch_w;
    w_hdr_q     <= !second_q && (encap_i || (!tunnel_i && ip_hi));
    // AH's first 12 octets end in the word behind the whole ones of the IP headers.
    w_fr_q      <= !esp_i && (second_q || !slow_i) && {1'b0, t_q} <= ip_words + 5'd1;
    w_fr_last_q <= {1'b0, t_q} == ip_words + 5'd1;
  end
  assign tail_o = {before_q, word_q};

  // Put together: behind IP headers that end in the middle of a word, what follows is shifted by half of one.
  logic [31:0] hi, lo, half_q;
  always_comb begin
    hi = w_hi_q ? word_q[63:32] : odd ? half_q : tail_word_q[63:32];
    lo = w_lo_q ? word_q[31:0] : odd ? tail_word_q[63:32] : tail_word_q[31:0];
    if (!v6_i && (w_t0_q || w_t1_q)) hi[15:0] = '0;
    if (v6_i && w_t0_q) lo[31:16] = '0;
    if (w_patch_q) begin
      if (!v6_i) hi[23:16] = proto;
      else if (w_t0_q) lo[15:8] = proto;
      else hi[31:24] = proto;
    end
  end
  logic        hdr_we_q, s_fr_q, s_fr_last_q, s_ip_q, s_sum_q;
  logic [3:0]  s_t_q;
  logic [63:0] hdr_data_q;
  // Of an AH stream's word stays: the first nibble, the second, octets 1, 2 to 3, 4 to 5, 6, 7; length goes to 2 or 4.
  logic        s_n0_q, s_n1_q, s_b1_q, s_b2_q, s_b4_q, s_b6_q, s_b7_q, s_len2_q, s_len4_q;
  logic        w_icv;                   // decap: the first octets of the ICV are in the lower half
  assign w_icv = !odd && !encap_i && w_fr_last_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      hdr_we_q <= 1'b0;
      s_fr_q   <= 1'b0;
      s_v_q    <= 1'b0;
    end else begin
      hdr_we_q <= w_v_q && w_hdr_q;
      s_fr_q   <= w_v_q && w_fr_q;
      s_v_q    <= w_v_q;
    end
  end
  always_ff @(posedge clk_i) if (w_v_q) begin
    half_q      <= tail_word_q[31:0];
    s_t_q       <= w_t_q;
    hdr_data_q  <= {hi, lo};
    s_ip_q      <= w_ip_q;
    s_sum_q     <= w_ip_q && !v6_i;
    s_fr_last_q <= w_fr_last_q;
    s_n0_q      <= v6_i || !w_t1_q;
    s_n1_q      <= v6_i ? !w_t0_q : !w_t1_q;
    s_b1_q      <= !w_t0_q;
    s_b2_q      <= !w_t0_q;
    s_b4_q      <= !(v6_i && w_t0_q) && !w_icv;
    s_b6_q      <= !(!v6_i && w_t0_q) && !w_icv;
    s_b7_q      <= !w_t0_q && !w_icv;
    s_len2_q    <= !v6_i && w_t0_q;
    s_len4_q    <= v6_i && w_t0_q;
  end
  assign hdr_we_o   = hdr_we_q;
  assign hdr_word_o = s_t_q;
  assign hdr_data_o = hdr_data_q;

  // Words of the AH stream: final length, mutable fields 0, ICV of a received packet 0
  assign fr_valid_o = s_fr_q;
  assign fr_last_o  = s_fr_last_q;
  assign fr_word_o  = s_t_q;
  assign fr_data_o  = {hdr_data_q[63:60] & {4{s_n0_q}}, hdr_data_q[59:56] & {4{s_n1_q}}, hdr_data_q[55:48] & {8{s_b1_q}},
                       (hdr_data_q[47:32] & {16{s_b2_q}}) | (plen_i & {16{s_len2_q}}),
                       (hdr_data_q[31:16] & {16{s_b4_q}}) | (plen_i & {16{s_len4_q}}),
                       hdr_data_q[15:8] & {8{s_b6_q}}, hdr_data_q[7:0] & {8{s_b7_q}}};
  assign fr_stop_o  = slow_done && slow_status != card_pkg::StatusOk;

  front_ah u_ah (
    .clk_i(clk_i), .rst_ni(rst_ni), .we_i(s_v_q && s_ip_q && slow_i), .word_i(s_t_q), .data_i(fr_data_o),
    .rd_word_i(rd_word_o), .data_o(slow_word), .start_i(slow_start), .v6_i(v6_i),
    .end_dw_i(ip_dw_i), .done_o(slow_done), .status_o(slow_status)
  );

  // Sum of the IPv4 header as it stands in the header words; decap: without the protocol
  logic        sum_now, sum_v_q, sum_busy_q;  // busy: a word to add is on its way
  logic [16:0] part0_q, part1_q, fold_q;
  logic [20:0] sum_q;            // 30 halves of a 60-octet header
  assign sum_now = s_v_q && s_sum_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      sum_v_q    <= 1'b0;
      sum_busy_q <= 1'b0;
    end else begin
      sum_v_q    <= sum_now;
      sum_busy_q <= !v6_i && !second_q && ((run && ip_hi) || (w_v_q && w_ip_q) || sum_now);
    end
  end
  logic [15:0] top;
  assign top = !encap_i && s_t_q == 4'd1 ? {hdr_data_q[63:56], 8'd0} : hdr_data_q[63:48];
  always_ff @(posedge clk_i) begin
    part0_q <= 17'(top) + 17'(hdr_data_q[47:32]);
    part1_q <= s_t_q == ip_last_w && odd ? 17'd0 : 17'(hdr_data_q[31:16]) + 17'(hdr_data_q[15:0]);
    if (start_i) sum_q <= '0;
    else if (sum_v_q) sum_q <= sum_q + 21'(part0_q) + 21'(part1_q);
    fold_q <= 17'(sum_q[15:0]) + 17'(sum_q[20:16]);
  end
  assign hsum_o   = fold_q[15:0] + 16'(fold_q[16]);
  assign done_o   = idle_q && !sum_busy_q;
  assign status_o = status_q;
  logic unused;
  assign unused = ^nh_at_i[2:0];
endmodule
