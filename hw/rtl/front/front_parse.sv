// Reads the headers of one packet, a word of 64 bits a cycle, gives the verdict that needs no SA, asks for the SA and
// leaves a job. Also passes on descriptors without a packet. It looks at the first 128 octets only.
// The verdict on a packet is found, and its lookup waits, while the next one's words are read.
// Rate: a packet in 2 cycles and one for each word looked at (encap IPv4 3, decap ESP over IPv4 4, AH 7), 6 at least.
// Not done: what depends on the SA (front_prepare).
module front_parse (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         seeded_i,
  input  logic         room_i,          // a descriptor may be taken
  input  logic         ask_room_i,      // a lookup may be asked for
  // descriptor: what is needed here; the rest is to be stored when it is taken, long before its job_push_o
  input  logic         pd_valid_i,
  output logic         pd_ready_o,
  input  logic [7:0]   pd_status_i,
  input  logic [7:0]   pd_op_i,
  input  logic         pd_host_iv_i,
  input  logic [31:0]  pd_sa_index_i,
  input  logic [15:0]  pd_dst_size_i,   // saturated
  input  logic [15:0]  pd_src_len_i,
  // header beats
  input  logic         hb_valid_i,
  output logic         hb_ready_o,
  input  logic [511:0] hb_data_i,
  input  logic         hb_last_i,
  input  logic         hb_err_i,
  // lookup
  output logic         lk_valid_o,
  input  logic         lk_ready_i,
  output logic         lk_encap_o,
  output logic [31:0]  lk_index_o,
  output logic [31:0]  lk_spi_o,
  output logic [31:0]  lk_seq_o,
  output logic         lk_ah_o,
  output logic         lk_udp_o,
  output logic         lk_v6_o,
  output logic [127:0] lk_src_o,
  output logic [127:0] lk_dst_o,
  output logic [15:0]  lk_len_o,
  output logic [7:0]   lk_hdr_len_o,
  output logic [15:0]  lk_dst_size_o,
  output logic         lk_fragment_o,
  // header words as they pass, before their job
  output logic         word_we_o,       // of the descriptor taken last
  output logic [3:0]   word_o,
  output logic [63:0]  word_data_o,
  // job; all fields stand with job_push_o
  output logic         job_push_o,      // one cycle
  output logic [7:0]   job_status_o,    // Ok: a lookup was asked for (or it is a Nop)
  output logic         job_look_o,      // an answer will come
  output logic         job_data_o,      // data beats belong to it
  output logic         job_encap_o,
  output logic         job_v6_o,
  output logic         job_udp_o,
  output logic [5:0]   job_hdr_dw_o,    // IP headers in units of 4 octets
  output logic [15:0]  job_end_o,       // decap: end of what is protected
  output logic [7:0]   job_nh_o,        // encap: protocol of the packet; decap of AH: next header in AH
  output logic [6:0]   job_nh_at_o,     // octet that names the protocol
  output logic         job_ext_o,       // options or extension headers are there
  output logic         job_ah_len_ok_o, // AH's own length is that of a 96-bit ICV
  output logic [7:0]   job_in_first_o,  // decap of AH: first octet and length field of what AH protects
  output logic [15:0]  job_in_len_o,
  output logic [7:0]   job_tos_o,
  output logic         job_df_o,
  output logic         job_number_o,    // decap: these two were there; else to be taken as 0
  output logic [31:0]  job_spi_o,
  output logic [31:0]  job_seq_o,
  output logic         job_host_iv_o,
  output logic [15:0]  job_src_len_o,
  output logic         idle_o
);
  localparam logic [7:0] ProtoHop = 8'd0, ProtoUdp = 8'd17, ProtoRouting = 8'd43, ProtoFragment = 8'd44,
                         ProtoEsp = 8'd50, ProtoAh = 8'd51, ProtoDest = 8'd60;

  // The descriptor whose packet is read
  logic        d_v_q, d_touches_q, d_encap_q, d_host_iv_q;
  logic [7:0]  d_status_q;
  logic [31:0] d_index_q;
  logic [15:0] d_dst_size_q, d_src_len_q;
  logic        accept, leave, held;
  assign pd_ready_o = room_i && (!d_v_q || leave);
  assign accept     = pd_valid_i && pd_ready_o;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) d_v_q <= 1'b0;
    else d_v_q <= accept || (d_v_q && !leave);
  end
  always_ff @(posedge clk_i) if (accept) begin
    d_touches_q  <= pd_status_i == card_pkg::StatusOk && pd_op_i != card_pkg::OpNop;
    d_encap_q    <= pd_op_i == card_pkg::OpEncap;
    d_host_iv_q  <= pd_host_iv_i;
    d_status_q   <= pd_status_i;
    d_index_q    <= pd_sa_index_i;
    d_dst_size_q <= pd_dst_size_i;
    d_src_len_q  <= pd_src_len_i;
  end

  // Words of the header beats
  logic        issue, taken, beat_end, hb_done_q, hb_over_q, done, done_q, chained;
  logic        hb_left_q;                  // beats of the packet before are still there
  logic [3:0]  next_q;                     // word to take
  logic        v_q;                        // word_q holds word at_q
  logic [3:0]  at_q;
  logic [63:0] word_q, picked, w;
  // hb_done_q: the last word was taken; hb_over_q: no beat of this packet is left in the FIFO; done_q: no word is wanted.
  // A word issued with `done` is not wanted any more. An extension header moves what is compared with: a cycle's pause.
  assign issue    = d_v_q && d_touches_q && hb_valid_i && !hb_done_q && !hb_left_q && !done_q && !chained;
  assign taken    = issue && !done;
  assign beat_end = next_q[2:0] == 3'd7;
  always_comb begin
    picked = hb_data_i[64 * next_q[2:0] +: 64];
    for (int i = 0; i < 8; i++) w[8 * (7 - i) +: 8] = picked[8 * i +: 8];
  end
  assign leave = d_v_q && (done_q || !d_touches_q) && !held;
  // A packet's first beat goes when its words are through, the last one when no word is wanted.
  logic hb_pop_last, hb_gone;
  assign hb_pop_last = hb_left_q || ((done || done_q) && !hb_over_q);
  assign hb_gone     = hb_pop_last && hb_valid_i && hb_last_i;
  assign hb_ready_o  = (issue && beat_end && !hb_last_i) || hb_pop_last;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      v_q       <= 1'b0;
      next_q    <= '0;
      hb_done_q <= 1'b0;
      hb_over_q <= 1'b0;
      hb_left_q <= 1'b0;
      done_q    <= 1'b0;
    end else begin
      v_q <= taken;
      if (taken) begin
        next_q <= next_q + 4'd1;
        if (beat_end && (hb_last_i || next_q[3])) hb_done_q <= 1'b1;
      end
      if (done) done_q <= 1'b1;
      if (hb_gone) begin
        hb_over_q <= !hb_left_q;
        hb_left_q <= 1'b0;
      end
      if (leave) begin
        next_q    <= '0;
        hb_done_q <= 1'b0;
        hb_over_q <= 1'b0;
        done_q    <= 1'b0;
        hb_left_q <= (d_touches_q ? !hb_over_q : hb_left_q) && !hb_gone;
      end
    end
  end

  // What the words say so far. c_: of the packet that is read
  logic         c_v6_q, c_df_q, c_frag_q, c_err_q, c_ext_bad_q, c_ah_len_q, c_have_q, c_big_q;
  logic         c_ext_q;                   // the header there is one of IPv6's extension headers
  logic [7:0]   c_tos_q, c_proto_q, c_ah_nh_q;
  logic [15:0]  c_len_q, c_udp_len_q, c_in_len6_q;
  logic [3:0]   c_ver_q, c_ihl_q;
  logic [9:0]   c_hdr_q;                   // IP headers, units of 4 octets: 32 + 514 at most
  logic [6:0]   c_nh_at_q;
  logic [127:0] c_src_q, c_dst_q;
  logic [31:0]  lo_q, c_spi_q, c_seq_q, c_in_q;
  logic         is_esp, is_ah, is_udp;
  assign is_esp = c_proto_q == ProtoEsp;
  assign is_ah  = c_proto_q == ProtoAh;
  assign is_udp = c_proto_q == ProtoUdp;
  // Where things are, for words from 2 on: the upper layer's first whole word, that of the SPI, the last one
  logic [5:0]   upper, spi_at_q, in_at_q;
  logic         odd_q, spi_lo_q;
  logic [5:0]   at;
  logic         to_before, to_upper, to_udp, to_ah;        // the next word is the one before the first of these, it, ...
  logic         at2_q, at_upper_q, at_chain_q, at_last_q;  // at_q is 2 or more, the first of these, in IPv6, the last one
  assign upper    = c_hdr_q[6:1] + {5'd0, c_hdr_q[0]};
  assign at       = {2'd0, at_q};
  // Word n is `upper` when c_hdr_q halved is n, or n - 1 and a half.
  assign to_before = c_hdr_q[6:1] == {2'd0, next_q} + {5'd0, !c_hdr_q[0]};
  assign to_upper  = c_hdr_q[6:1] == {2'd0, next_q} - {5'd0, c_hdr_q[0]};
  assign to_udp    = c_hdr_q[6:1] == {2'd0, next_q} - {4'd0, c_hdr_q[0], !c_hdr_q[0]};
  assign to_ah     = c_hdr_q[6:1] == {2'd0, next_q} - {3'd0, c_hdr_q[0], {2{!c_hdr_q[0]}}};
  always_ff @(posedge clk_i) begin
    if (issue) begin
      at2_q      <= next_q >= 4'd2;
      at_upper_q <= to_upper;
      at_chain_q <= to_upper && next_q >= 4'd5;
      at_last_q  <= d_encap_q ? to_before : is_udp ? to_udp : is_ah ? to_ah : to_upper;
    end
    odd_q    <= c_hdr_q[0];
    c_ext_q  <= c_v6_q && (c_proto_q == ProtoHop || c_proto_q == ProtoRouting || c_proto_q == ProtoDest);
    spi_at_q <= upper + {5'd0, is_udp || (is_ah && !c_hdr_q[0])};
    spi_lo_q <= c_hdr_q[0] ^ is_ah;        // the SPI is in the word before
    in_at_q  <= upper + 6'd3;
    c_big_q  <= c_hdr_q > 10'd32;
  end
  // An IHL below 5 may be told from words 0 and 1 or from all of them: the verdict is the same.
  assign done    = v_q ? at2_q && ((!c_ext_q && at_last_q) || c_ext_bad_q || c_big_q) : hb_done_q;
  // Extension header: its end must lie in the packet, which is looked at a cycle later
  logic [9:0]  ext_to;
  logic        chained_q;
  logic [16:0] c_total_q;
  assign chained = v_q && c_ext_q && at_chain_q;
  assign ext_to  = c_hdr_q + {1'b0, word_q[55:48], 1'b0} + 10'd2;

  // Checksum, in two steps: halves that belong to the header, then their sum
  logic [1:0]  in_hdr;
  logic [16:0] part0_q, part1_q;
  logic        part_v_q;
  logic [20:0] sum_q;            // 30 halves of a 60-octet header
  assign in_hdr = {{1'b0, at_q, 1'b0} < {2'd0, c_ihl_q}, {1'b0, at_q, 1'b1} < {2'd0, c_ihl_q}};
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      part_v_q  <= 1'b0;
      chained_q <= 1'b0;
    end else begin
      part_v_q  <= v_q;
      chained_q <= chained;
    end
  end
  always_ff @(posedge clk_i) begin
    if (issue) begin
      word_q <= w;
      at_q   <= next_q;
    end
    if (v_q) begin
      lo_q    <= word_q[31:0];
      part0_q <= in_hdr[1] ? 17'(word_q[63:48]) + 17'(word_q[47:32]) : 17'd0;
      part1_q <= in_hdr[0] ? 17'(word_q[31:16]) + 17'(word_q[15:0]) : 17'd0;
    end
    if (taken && next_q == '0) begin
      sum_q       <= '0;
      c_err_q     <= hb_err_i;
      c_have_q    <= 1'b0;
      c_ihl_q     <= 4'd5;
      c_ext_bad_q <= 1'b0;
    end else begin
      if (taken && hb_err_i) c_err_q <= 1'b1;
      if (part_v_q) sum_q <= sum_q + 21'(part0_q) + 21'(part1_q);
      if (v_q && at_q == 4'd0) begin
        c_have_q <= 1'b1;
        c_ihl_q  <= word_q[59:56];
      end
      if (chained_q && 17'({c_hdr_q, 2'b00}) > c_total_q) c_ext_bad_q <= 1'b1;
    end
    c_total_q <= c_v6_q ? 17'(c_len_q) + 17'd40 : 17'(c_len_q);
    if (v_q && at_q == 4'd0) begin
      c_ver_q   <= word_q[63:60];
      c_v6_q    <= word_q[63:60] == 4'd6;
      c_proto_q <= word_q[15:8];           // IPv4: with the next word
      if (word_q[63:60] == 4'd6) begin
        c_hdr_q   <= 10'd10;
        c_nh_at_q <= 7'd6;
        c_len_q   <= word_q[31:16];
        c_tos_q   <= word_q[59:52];
        c_df_q    <= 1'b0;
        c_frag_q  <= 1'b0;
      end else begin
        c_hdr_q   <= {6'd0, word_q[59:56]};
        c_nh_at_q <= 7'd9;
        c_len_q   <= word_q[47:32];
        c_tos_q   <= word_q[55:48];
        c_df_q    <= word_q[14];
        c_frag_q  <= word_q[13:0] != '0;   // more fragments or an offset
      end
    end
    if (v_q && at_q == 4'd1 && !c_v6_q) c_proto_q <= word_q[55:48];
    if (chained) begin
      c_proto_q <= word_q[63:56];
      c_nh_at_q <= {at_q, 3'd0};
      c_hdr_q   <= ext_to;
    end
    // Addresses. IPv4: in the top 32 bits
    if (v_q && at_q == 4'd1) begin
      c_src_q[127:96] <= c_v6_q ? word_q[63:32] : word_q[31:0];
      c_src_q[95:64]  <= c_v6_q ? word_q[31:0] : '0;
    end
    if (v_q && at_q == 4'd2) c_src_q[63:0] <= c_v6_q ? word_q : '0;
    if (v_q && at_q == (c_v6_q ? 4'd3 : 4'd2)) begin
      c_dst_q[127:96] <= word_q[63:32];
      c_dst_q[95:64]  <= c_v6_q ? word_q[31:0] : '0;
    end
    if (v_q && at_q == (c_v6_q ? 4'd4 : 4'd2)) c_dst_q[63:0] <= c_v6_q ? word_q : '0;
    // Upper layer
    if (v_q && at_upper_q) begin
      c_ah_nh_q   <= odd_q ? lo_q[31:24] : word_q[63:56];
      c_ah_len_q  <= (odd_q ? lo_q[23:16] : word_q[55:48]) == 8'd4;   // RFC 4302 s2.2: (12 + 12) / 4 - 2
      c_udp_len_q <= odd_q ? word_q[63:48] : word_q[31:16];
    end
    if (v_q && at == spi_at_q) begin
      c_spi_q <= spi_lo_q ? lo_q : word_q[63:32];
      c_seq_q <= spi_lo_q ? word_q[63:32] : word_q[31:0];
    end
    if (v_q && at == in_at_q) begin
      c_in_q      <= odd_q ? lo_q : word_q[63:32];
      c_in_len6_q <= odd_q ? word_q[63:48] : word_q[31:16];
    end
  end

  // The packet that is judged, then its lookup, until that is taken. Steps: what is compared, what is in bounds, verdict, job.
  logic [3:0]  step_q;
  logic        lk_v_q;
  logic        err_q, have_q, v6_q, df_q, frag_q, ext_q, ext_bad_q, big_q, ah_len_q, esp_q, ah_q, udp_q, encap_q, touches_q, host_iv_q;
  logic [3:0]  ver_q, ihl_q;
  logic [5:0]  hdr_q;
  logic [6:0]  nh_at_q;
  logic [7:0]  d_stat_q, tos_q, proto_q, ah_nh_q, in_first_q;
  logic [15:0] total_q, udp_len_q, in_len4_q, in_len6_q, dst_size_q, src_len_q;
  logic        total16_q;
  logic [31:0] index_q, spi_q, seq_q;
  logic [127:0] src_q, dst_q;
  always_ff @(posedge clk_i) if (leave) begin
    touches_q  <= d_touches_q;
    encap_q    <= d_encap_q;
    host_iv_q  <= d_host_iv_q;
    d_stat_q   <= d_status_q;
    index_q    <= d_index_q;
    dst_size_q <= d_dst_size_q;
    src_len_q  <= d_src_len_q;
    err_q      <= c_err_q;
    have_q     <= c_have_q;
    v6_q       <= c_v6_q;
    df_q       <= c_df_q;
    frag_q     <= c_frag_q;
    ext_q      <= c_ext_q;
    ext_bad_q  <= c_ext_bad_q;
    big_q      <= c_big_q;
    ah_len_q   <= c_ah_len_q;
    esp_q      <= is_esp;
    ah_q       <= is_ah;
    udp_q      <= is_udp;
    ver_q      <= c_ver_q;
    ihl_q      <= c_ihl_q;
    hdr_q      <= c_hdr_q[5:0];
    nh_at_q    <= c_nh_at_q;
    tos_q      <= c_tos_q;
    proto_q    <= c_proto_q;
    ah_nh_q    <= c_ah_nh_q;
    in_first_q <= c_in_q[31:24];
    in_len4_q  <= c_in_q[15:0];
    in_len6_q  <= c_in_len6_q;
    {total16_q, total_q} <= c_total_q;
    udp_len_q  <= c_udp_len_q;
    spi_q      <= c_spi_q;
    seq_q      <= c_seq_q;
    src_q      <= c_src_q;
    dst_q      <= c_dst_q;
  end
  // First step. The sum is complete by then and still this packet's.
  logic [16:0] rest_q;                     // octets behind the IP headers
  logic [15:0] hdr_bytes;
  logic        sum_ok, length_bad_q, early_end_q, udp_short_q, udp_tiny_q, spi_zero_q;
  assign hdr_bytes = {8'd0, hdr_q, 2'b00};
  always_ff @(posedge clk_i) if (step_q[0]) begin
    rest_q       <= {total16_q, total_q} - 17'(hdr_bytes);
    length_bad_q <= encap_q ? {total16_q, total_q} != 17'(src_len_q) : {total16_q, total_q} > 17'(src_len_q);
    early_end_q  <= src_len_q < (v6_q ? 16'd40 : 16'd20);
    udp_tiny_q   <= udp_len_q < 16'd8;
    udp_short_q  <= udp_len_q < 16'd16;
    spi_zero_q   <= spi_q == '0;
    // The sum of a whole header is 0xffff, carries added back; there are too few of them for a second carry.
    sum_ok       <= sum_q[15:5] == 11'h7ff && sum_q[4:0] == ~sum_q[20:16];
  end
  // Second step
  logic        bad4_q, bad_q, deep_q, bad_udp_q, frag_any_q, no_seed_q, rest8_q, rest12_q, rest16_q, deep_udp_q, deep_up_q, cut;
  logic [15:0] end_q;
  always_ff @(posedge clk_i) if (step_q[1]) begin
    bad_q      <= !have_q || early_end_q || (ver_q != 4'd4 && ver_q != 4'd6) || length_bad_q || ext_bad_q;
    bad4_q     <= !v6_q && (ihl_q < 4'd5 || rest_q[16] || !sum_ok);
    deep_q     <= big_q || ext_q;
    no_seed_q  <= !host_iv_q && !seeded_i;
    frag_any_q <= (frag_q || (v6_q && proto_q == ProtoFragment));
    rest8_q    <= rest_q < 17'd8;
    rest12_q   <= rest_q < 17'd12;
    rest16_q   <= rest_q < 17'd16;
    deep_udp_q <= hdr_q > 6'd28;
    deep_up_q  <= hdr_q > (ah_q ? 6'd24 : 6'd30);
    bad_udp_q  <= udp_tiny_q || 17'(udp_len_q) > rest_q;
    end_q      <= udp_q ? hdr_bytes + udp_len_q : total_q;
  end
  assign cut = ah_q ? rest12_q : rest8_q;
  // Third step
  logic [7:0]  status, status_q;
  logic        looking_q;
  always_comb begin
    status = card_pkg::StatusOk;
    if (err_q) status = card_pkg::StatusBusError;
    else if (bad_q || bad4_q) status = card_pkg::StatusBadHeader;
    else if (deep_q) status = card_pkg::StatusUnsupported;
    else if (encap_q) begin
      if (no_seed_q) status = card_pkg::StatusNoSeed;
    end else if (frag_any_q) status = card_pkg::StatusFragment;
    else if (udp_q) begin
      if (rest8_q) status = card_pkg::StatusBadHeader;
      else if (rest12_q) status = card_pkg::StatusWrongProtocol;           // RFC 3948 s2.3: keepalive
      else if (rest16_q) status = card_pkg::StatusBadEspLength;
      else if (deep_udp_q) status = card_pkg::StatusUnsupported;
      else if (spi_zero_q) status = card_pkg::StatusWrongProtocol;         // RFC 3948 s2.2: IKE
      else if (bad_udp_q) status = card_pkg::StatusBadHeader;
      else if (udp_short_q) status = card_pkg::StatusBadEspLength;
    end else if (!esp_q && !ah_q) status = card_pkg::StatusWrongProtocol;
    else if (cut) status = card_pkg::StatusBadEspLength;
    else if (deep_up_q) status = card_pkg::StatusUnsupported;
    else if (esp_q && spi_zero_q) status = card_pkg::StatusWrongProtocol;
  end
  always_ff @(posedge clk_i) if (step_q[2]) begin
    status_q  <= touches_q ? status : d_stat_q;
    looking_q <= touches_q && status == card_pkg::StatusOk;
  end
  // Job, lookup
  assign job_push_o = step_q[3] && (!looking_q || ask_room_i);
  assign held     = step_q != '0 || lk_v_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      step_q <= '0;
      lk_v_q <= 1'b0;
    end else begin
      step_q <= {step_q[2] || (step_q[3] && !job_push_o), step_q[1:0], leave};
      lk_v_q <= (job_push_o && looking_q) || (lk_v_q && !lk_ready_i);
    end
  end
  assign lk_valid_o    = lk_v_q;
  assign lk_encap_o    = encap_q;
  assign lk_index_o    = index_q;
  assign lk_spi_o      = spi_q;
  assign lk_seq_o      = seq_q;
  assign lk_ah_o       = ah_q && !encap_q;
  assign lk_udp_o      = udp_q && !encap_q;
  assign lk_v6_o       = v6_q;
  assign lk_src_o      = src_q;
  assign lk_dst_o      = dst_q;
  assign lk_len_o      = total_q;
  assign lk_hdr_len_o  = {hdr_q, 2'b00};
  assign lk_dst_size_o = dst_size_q;
  assign lk_fragment_o = frag_any_q;

  assign job_status_o    = status_q;
  assign job_look_o      = looking_q;
  assign job_data_o      = touches_q;
  assign job_encap_o     = encap_q;
  assign job_v6_o        = v6_q;
  assign job_udp_o       = udp_q;
  assign job_hdr_dw_o    = hdr_q;
  assign job_end_o       = end_q;
  assign job_nh_o        = encap_q ? proto_q : ah_q ? ah_nh_q : 8'd0;
  assign job_nh_at_o     = nh_at_q;
  assign job_ext_o       = v6_q ? hdr_q != 6'd10 : hdr_q != 6'd5;
  assign job_ah_len_ok_o = ah_len_q;
  assign job_in_first_o  = in_first_q;
  assign job_in_len_o    = ah_nh_q == 8'd41 ? in_len6_q : in_len4_q;
  assign job_tos_o       = tos_q;
  assign job_df_o        = df_q;
  // A number was there if the verdict got that far.
  assign job_number_o    = looking_q && !encap_q;
  assign job_spi_o       = spi_q;
  assign job_seq_o       = seq_q;
  assign job_host_iv_o   = host_iv_q;
  assign job_src_len_o   = src_len_q;
  assign word_we_o       = v_q;
  assign word_o          = at_q;
  assign word_data_o     = word_q;
  assign idle_o          = !d_v_q && !pd_valid_i && !held && !hb_left_q;
  logic unused;
  assign unused = ^c_in_q[23:16];
endmodule
