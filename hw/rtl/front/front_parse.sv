// Reads the headers of one packet, a word of 64 bits a cycle, gives the verdict that needs no SA, asks for the SA and
// leaves a job. Also passes on descriptors without a packet. It looks at the first 128 octets only.
// Rate: a packet in 4 cycles and one for each word looked at (encap IPv4 3, decap ESP over IPv4 4).
// Not done: what depends on the SA (front_prepare).
module front_parse (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         seeded_i,
  input  logic         room_i,          // a job and its lookup may be added
  // descriptor: what is needed here; the rest is stored beside the job with job_push_o
  input  logic         pd_valid_i,
  output logic         pd_ready_o,
  input  logic [7:0]   pd_status_i,
  input  logic [7:0]   pd_op_i,
  input  logic         pd_host_iv_i,
  input  logic [31:0]  pd_sa_index_i,
  input  logic [31:0]  pd_dst_size_i,
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
  output logic         word_we_o,
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
  output logic [31:0]  job_spi_o,       // decap, 0 if none was found
  output logic [31:0]  job_seq_o,
  output logic         idle_o
);
  localparam logic [7:0] ProtoHop = 8'd0, ProtoUdp = 8'd17, ProtoRouting = 8'd43, ProtoFragment = 8'd44,
                         ProtoEsp = 8'd50, ProtoAh = 8'd51, ProtoDest = 8'd60;

  typedef enum logic [1:0] {StScan, StSum, StVerdict, StPush} state_e;
  state_e state_q;

  // Words of the header beats
  logic        encap, touches, issue, beat_end, hb_done_q, hb_over_q, done;
  logic        hb_left_q;                  // in StScan: beats of the packet before are still there
  logic [3:0]  next_q;                     // word to take
  logic        v_q;                        // word_q holds word at_q
  logic [3:0]  at_q;
  logic [63:0] word_q, picked, w;
  assign encap    = pd_op_i == card_pkg::OpEncap;
  assign touches  = pd_status_i == card_pkg::StatusOk && pd_op_i != card_pkg::OpNop;
  // hb_done_q: the last word was taken; hb_over_q: no beat of this packet is left in the FIFO.
  assign issue    = state_q == StScan && pd_valid_i && touches && room_i && hb_valid_i && !hb_done_q && !hb_left_q && !done;
  assign beat_end = next_q[2:0] == 3'd7;
  always_comb begin
    picked = hb_data_i[64 * next_q[2:0] +: 64];
    for (int i = 0; i < 8; i++) w[8 * (7 - i) +: 8] = picked[8 * i +: 8];
  end
  // A packet's first beat goes when its words are through, the last one when the packet is done with.
  logic hb_pop_last, hb_gone;
  assign hb_pop_last = hb_left_q || (state_q != StScan && touches && !hb_over_q);
  assign hb_gone     = hb_pop_last && hb_valid_i && hb_last_i;
  assign hb_ready_o = (issue && beat_end && !hb_last_i) || hb_pop_last;

  // What the words say so far
  logic         v6_q, df_q, frag_q, err_q, ext_bad_q, ah_len_q, upper_q, have_q, spi_zero_q;
  logic [7:0]   tos_q, proto_q;
  logic [15:0]  len_q;
  logic [3:0]   ver_q, ihl_q;
  logic [5:0]   hdr_q;                     // units of 4 octets; 62: that or more
  logic [6:0]   nh_at_q;
  logic [127:0] src_q, dst_q;
  logic [31:0]  lo_q, spi_q, seq_q;
  logic [15:0]  udp_len_q;
  logic [1:0]   up_q;                      // words of the upper layer seen
  logic [7:0]   ah_nh_q, in_first_q;
  logic [15:0]  in_len_q;
  logic         ext, is_esp, is_ah, is_udp;
  logic [4:0]   upper_w, last_w;
  logic [63:0]  a;                         // the upper layer's words, aligned
  logic         at_upper;
  assign ext     = v6_q && (proto_q == ProtoHop || proto_q == ProtoRouting || proto_q == ProtoDest);
  assign is_esp  = proto_q == ProtoEsp;
  assign is_ah   = proto_q == ProtoAh;
  assign is_udp  = proto_q == ProtoUdp;
  assign upper_w = 5'((hdr_q + 6'd1) >> 1);
  assign last_w  = encap ? upper_w - 5'd1 : upper_w + (is_udp ? 5'd1 : is_ah ? 5'd3 : 5'd0);
  assign a       = hdr_q[0] ? {lo_q, word_q[63:32]} : word_q;
  assign at_upper = v_q && at_q >= 4'd2 && (upper_q || {1'b0, at_q} == upper_w) && !ext;
  assign done    = v_q && at_q >= 4'd2 && ((!ext && (!v6_q || at_q >= 4'd4) && {1'b0, at_q} >= last_w) || ext_bad_q || hdr_q > 6'd32);

  // Extension header at at_q: its end must lie in the packet
  logic [9:0]  ext_dw, ext_to;             // 514 at most
  logic [11:0] ext_end;
  logic        ext_long;
  assign ext_dw   = {1'b0, word_q[55:48], 1'b0} + 10'd2;
  assign ext_to   = {4'd0, hdr_q} + ext_dw;
  assign ext_end  = {ext_to, 2'b00};
  assign ext_long = 17'(ext_end) > 17'(len_q) + 17'd40;

  // Checksum, in two steps: halves that belong to the header, then their sum
  logic [1:0]  in_hdr;
  logic [16:0] part0_q, part1_q;
  logic        part_v_q;
  logic [20:0] sum_q;            // 30 halves of a 60-octet header
  logic        sum_ok;
  assign in_hdr = {{1'b0, at_q, 1'b0} < {2'd0, ihl_q}, {1'b0, at_q, 1'b1} < {2'd0, ihl_q}};
  // The sum of a whole header is 0xffff, carries added back; there are too few of them for a second carry.
  assign sum_ok = sum_q[15:5] == 11'h7ff && sum_q[4:0] == ~sum_q[20:16];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q   <= StScan;
      v_q       <= 1'b0;
      next_q    <= '0;
      hb_done_q <= 1'b0;
      hb_over_q <= 1'b0;
      hb_left_q <= 1'b0;
      part_v_q  <= 1'b0;
    end else begin
      v_q      <= issue;
      part_v_q <= v_q;
      if (issue) begin
        next_q <= next_q + 4'd1;
        if (beat_end && (hb_last_i || next_q[3])) hb_done_q <= 1'b1;
      end
      if (hb_gone) begin
        hb_over_q <= !hb_left_q;
        hb_left_q <= 1'b0;
      end
      case (state_q)
        StScan: if (pd_valid_i && room_i) begin
          if (!touches) state_q <= StPush;
          else if (done || (hb_done_q && !v_q)) begin
            if (encap) state_q <= StSum;
            else state_q <= StVerdict;
          end
        end
        StSum: state_q <= StVerdict;       // decap looks at a word behind the header: its sum is ready
        StVerdict: state_q <= StPush;
        default: if (job_push_o) begin
          state_q   <= StScan;
          next_q    <= '0;
          hb_done_q <= 1'b0;
          hb_over_q <= 1'b0;
          hb_left_q <= (touches ? !hb_over_q : hb_left_q) && !hb_gone;
        end
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (issue) begin
      word_q <= w;
      at_q   <= next_q;
    end
    if (v_q) begin
      lo_q    <= word_q[31:0];
      part0_q <= (in_hdr[1] ? 17'(word_q[63:48]) + 17'(word_q[47:32]) : 17'd0);
      part1_q <= (in_hdr[0] ? 17'(word_q[31:16]) + 17'(word_q[15:0]) : 17'd0);
    end
    if (issue && next_q == '0) begin
      err_q   <= hb_err_i;
      upper_q <= 1'b0;
      up_q    <= '0;
      hdr_q   <= '0;
      spi_q   <= '0;
      seq_q   <= '0;
      sum_q   <= '0;
      src_q   <= '0;
      dst_q   <= '0;
      have_q  <= 1'b0;
      ihl_q   <= 4'd5;
      ext_bad_q <= 1'b0;
      ah_len_q  <= 1'b0;
    end else if (issue && hb_err_i) err_q <= 1'b1;
    if (part_v_q) sum_q <= sum_q + 21'(part0_q) + 21'(part1_q);
    if (v_q && at_q == 4'd0) begin
      have_q  <= 1'b1;
      ver_q   <= word_q[63:60];
      v6_q    <= word_q[63:60] == 4'd6;
      ihl_q   <= word_q[59:56];
      proto_q <= word_q[15:8];             // IPv4: with the next word
      if (word_q[63:60] == 4'd6) begin
        hdr_q   <= 6'd10;
        nh_at_q <= 7'd6;
        len_q   <= word_q[31:16];
        tos_q   <= word_q[59:52];
        df_q    <= 1'b0;
        frag_q  <= 1'b0;
      end else begin
        hdr_q   <= {2'd0, word_q[59:56]};
        nh_at_q <= 7'd9;
        len_q   <= word_q[47:32];
        tos_q   <= word_q[55:48];
        df_q    <= word_q[14];
        frag_q  <= word_q[13:0] != '0;     // more fragments or an offset
      end
    end
    if (v_q && !v6_q) begin
      if (at_q == 4'd1) begin
        proto_q <= word_q[55:48];
        src_q[127:96] <= word_q[31:0];
      end
      if (at_q == 4'd2) dst_q[127:96] <= word_q[63:32];
    end
    if (v_q && v6_q) begin
      if (at_q == 4'd1) src_q[127:64] <= word_q;
      if (at_q == 4'd2) src_q[63:0]   <= word_q;
      if (at_q == 4'd3) dst_q[127:64] <= word_q;
      if (at_q == 4'd4) dst_q[63:0]   <= word_q;
    end
    if (v_q && ext && {1'b0, at_q} == upper_w && at_q >= 4'd5) begin
      proto_q   <= word_q[63:56];
      nh_at_q   <= {at_q, 3'd0};
      hdr_q     <= ext_to > 10'd62 ? 6'd62 : ext_to[5:0];
      ext_bad_q <= ext_long;
    end
    if (at_upper && !(v6_q && at_q < 4'd5)) begin
      upper_q <= 1'b1;
      up_q    <= up_q == 2'd3 ? 2'd3 : up_q + 2'd1;
      case (up_q)
        2'd0: begin
          ah_nh_q   <= a[63:56];
          ah_len_q  <= a[55:48] == 8'd4;   // RFC 4302 s2.2: (12 + 12) / 4 - 2
          udp_len_q <= a[31:16];
          spi_zero_q <= a[63:32] == '0;
          if (is_esp) {spi_q, seq_q} <= a;
          if (is_ah) spi_q <= a[31:0];
        end
        2'd1: begin
          if (is_udp) begin
            spi_zero_q     <= a[63:32] == '0;
            {spi_q, seq_q} <= a;
          end
          if (is_ah) seq_q <= a[63:32];
        end
        default: ;
      endcase
      if (up_q == 2'd3) begin              // nothing is read behind it
        in_first_q <= a[63:56];
        in_len_q   <= ah_nh_q == 8'd41 ? a[31:16] : a[47:32];
      end
    end
  end
  // Verdict. What it compares is taken a cycle before; the fields behind it do not change then any more.
  logic [16:0] total, rest_q;              // rest: octets behind the IP headers
  logic [15:0] hdr_bytes;
  logic        length_bad_q, early_end_q, udp_bad_q, udp_short_q;
  logic [7:0]  status, status_q;
  logic [15:0] end_q;
  assign hdr_bytes  = {8'd0, hdr_q, 2'b00};
  assign total      = v6_q ? 17'(len_q) + 17'd40 : 17'(len_q);
  always_ff @(posedge clk_i) if (state_q != StPush) begin
    rest_q       <= total - 17'(hdr_bytes);
    length_bad_q <= encap ? total != 17'(pd_src_len_i) : total > 17'(pd_src_len_i);
    early_end_q  <= pd_src_len_i < (v6_q ? 16'd40 : 16'd20);
    udp_bad_q    <= udp_len_q < 16'd8 || 17'(udp_len_q) > rest_q;
    udp_short_q  <= udp_len_q < 16'd16;
  end
  always_comb begin
    status = card_pkg::StatusOk;
    if (err_q) status = card_pkg::StatusBusError;
    else if (!have_q || early_end_q || (ver_q != 4'd4 && ver_q != 4'd6)) status = card_pkg::StatusBadHeader;
    else if (length_bad_q || ext_bad_q) status = card_pkg::StatusBadHeader;
    else if (!v6_q && (ihl_q < 4'd5 || rest_q[16] || !sum_ok)) status = card_pkg::StatusBadHeader;
    else if (hdr_q > 6'd32 || ext) status = card_pkg::StatusUnsupported;
    else if (encap) begin
      if (!pd_host_iv_i && !seeded_i) status = card_pkg::StatusNoSeed;
    end else if (frag_q || (v6_q && proto_q == ProtoFragment)) status = card_pkg::StatusFragment;
    else if (is_udp) begin
      if (rest_q < 17'd8) status = card_pkg::StatusBadHeader;
      else if (rest_q < 17'd12) status = card_pkg::StatusWrongProtocol;     // RFC 3948 s2.3: keepalive
      else if (rest_q < 17'd16) status = card_pkg::StatusBadEspLength;
      else if (hdr_q > 6'd28) status = card_pkg::StatusUnsupported;
      else if (spi_zero_q) status = card_pkg::StatusWrongProtocol;         // RFC 3948 s2.2: IKE
      else if (udp_bad_q) status = card_pkg::StatusBadHeader;
      else if (udp_short_q) status = card_pkg::StatusBadEspLength;
    end else if (!is_esp && !is_ah) status = card_pkg::StatusWrongProtocol;
    else if (rest_q < (is_ah ? 17'd12 : 17'd8)) status = card_pkg::StatusBadEspLength;
    else if (hdr_q > (is_ah ? 6'd24 : 6'd30)) status = card_pkg::StatusUnsupported;
    else if (is_esp && spi_zero_q) status = card_pkg::StatusWrongProtocol;
  end
  logic frag;
  assign frag = frag_q || (v6_q && proto_q == ProtoFragment);
  always_ff @(posedge clk_i) if (state_q == StVerdict) begin
    status_q <= status;
    end_q    <= is_udp ? hdr_bytes + udp_len_q : total[15:0];
  end

  // Lookup register: the next packet is parsed while this one waits
  logic         lk_v_q, lk_free, looking;
  assign lk_free = !lk_v_q || lk_ready_i;
  assign looking = touches && status_q == card_pkg::StatusOk;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) lk_v_q <= 1'b0;
    else lk_v_q <= (job_push_o && job_look_o) || (lk_v_q && !lk_ready_i);
  end
  logic [31:0]  lk_index_q, lk_spi_q, lk_seq_q;
  logic [127:0] lk_src_q, lk_dst_q;
  logic [15:0]  lk_len_q, lk_dst_size_q;
  logic [5:0]   lk_hdr_q;
  logic [4:0]   lk_flags_q;
  always_ff @(posedge clk_i) if (job_push_o && job_look_o) begin
    lk_index_q    <= pd_sa_index_i;
    lk_spi_q      <= spi_q;
    lk_seq_q      <= seq_q;
    lk_src_q      <= src_q;
    lk_dst_q      <= dst_q;
    lk_len_q      <= total[15:0];
    lk_dst_size_q <= pd_dst_size_i[31:16] != '0 ? 16'hffff : pd_dst_size_i[15:0];
    lk_hdr_q      <= hdr_q;
    lk_flags_q    <= {encap, is_ah && !encap, is_udp && !encap, v6_q, frag};
  end
  assign lk_valid_o    = lk_v_q;
  assign lk_index_o    = lk_index_q;
  assign lk_spi_o      = lk_spi_q;
  assign lk_seq_o      = lk_seq_q;
  assign lk_src_o      = lk_src_q;
  assign lk_dst_o      = lk_dst_q;
  assign lk_len_o      = lk_len_q;
  assign lk_hdr_len_o  = {lk_hdr_q, 2'b00};
  assign lk_dst_size_o = lk_dst_size_q;
  assign {lk_encap_o, lk_ah_o, lk_udp_o, lk_v6_o, lk_fragment_o} = lk_flags_q;

  assign pd_ready_o      = job_push_o;
  assign job_push_o      = state_q == StPush && (!looking || lk_free);
  assign job_status_o    = touches ? status_q : pd_status_i;
  assign job_look_o      = looking;
  assign job_data_o      = touches;
  assign job_encap_o     = encap;
  assign job_v6_o        = v6_q;
  assign job_udp_o       = is_udp;
  assign job_hdr_dw_o    = hdr_q;
  assign job_end_o       = end_q;
  assign job_nh_o        = encap ? proto_q : is_ah ? ah_nh_q : 8'd0;
  assign job_nh_at_o     = nh_at_q;
  assign job_ext_o       = v6_q ? hdr_q != 6'd10 : hdr_q != 6'd5;
  assign job_ah_len_ok_o = ah_len_q;
  assign job_in_first_o  = in_first_q;
  assign job_in_len_o    = in_len_q;
  assign job_tos_o       = tos_q;
  assign job_df_o        = df_q;
  // A number was there if the verdict got that far.
  assign job_spi_o       = looking && !encap ? spi_q : 32'd0;
  assign job_seq_o       = looking && !encap ? seq_q : 32'd0;
  assign word_we_o       = v_q;
  assign word_o          = at_q;
  assign word_data_o     = word_q;
  assign idle_o          = state_q == StScan && !pd_valid_i && !lk_v_q && !hb_left_q;
endmodule
