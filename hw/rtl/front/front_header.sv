// Makes the header words of a packet, one a cycle, and for AH the words of the stream in front of the payload, in the
// same pass; with options in a second one, after front_ah. Lengths and the IPv4 checksum stay 0 in header words.
module front_header (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         start_i,         // one cycle; all fields stand from the next cycle to the next start_i
  input  logic         run_i,           // taken with start_i
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
  input  logic [63:0]  esp_iv_i,
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
  output logic         fr_write_o,
  output logic [3:0]   fr_word_o,
  output logic [63:0]  fr_data_o,
  output logic         fr_end_o,
  output logic         done_o,          // the last word is written with or before the next cycle
  output logic [7:0]   status_o,        // with done_o: verdict on options, Ok without
  output logic [15:0]  hsum_o,          // from the cycle after done_o on
  output logic [95:0]  icv_o            // decap of AH, likewise
);
  localparam logic [2:0] WdIp = 3'd0, WdUdp = 3'd1, WdNumber = 3'd2, WdIv = 3'd3, WdAh0 = 3'd4, WdAh1 = 3'd5, WdAh2 = 3'd6,
                         WdFlush = 3'd7;
  typedef enum logic [1:0] {StIdle, StRun, StSlow} state_e;
  state_e     state_q;
  logic       second_q;                 // second pass
  logic [2:0] kind_q, kind_next;
  logic [3:0] t_q, out_q;               // word that is made, word that leaves
  logic       run, last, odd, ip, ip_last;
  logic [3:0] ip_last_w, copy_last_w;
  logic       slow_done;
  logic [7:0] slow_status, status_q;
  assign run         = state_q == StRun;
  assign odd         = ip_dw_i[0];
  assign ip          = kind_q == WdIp;
  assign ip_last_w   = 4'((ip_dw_i - 6'd1) >> 1);
  assign copy_last_w = esp_i ? ip_last_w : 4'((ip_dw_i + 6'd5) >> 1);   // decap of AH: with AH itself
  assign ip_last     = ip && t_q == ip_last_w;
  // The last IP word is half a word: it leaves with what follows.
  logic stash;
  assign stash = encap_i && odd && ip_last;
  always_comb begin
    kind_next = kind_q;
    last      = 1'b0;
    if (!encap_i) last = t_q == copy_last_w;
    else begin
      case (kind_q)
        WdIp:     if (ip_last) kind_next = !esp_i ? WdAh0 : natt_i ? WdUdp : WdNumber;
        WdUdp:    kind_next = WdNumber;
        WdNumber: begin
          kind_next = iv_i ? WdIv : WdFlush;
          last      = !iv_i && !odd;
        end
        WdAh0: kind_next = WdAh1;
        WdAh1: kind_next = WdAh2;
        WdFlush: last = 1'b1;
        default: begin                    // WdIv, WdAh2
          kind_next = WdFlush;
          last      = !odd;
        end
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q  <= StIdle;
      second_q <= 1'b0;
    end else begin
      case (state_q)
        StIdle: if (start_i && run_i) state_q <= StRun;
        StRun:  if (last) begin
          if (slow_i && !second_q) state_q <= StSlow;
          else state_q <= StIdle;
          second_q <= 1'b0;
        end
        default: if (slow_done) begin
          if (slow_status == card_pkg::StatusOk) state_q <= StRun;
          else state_q <= StIdle;
          second_q <= slow_status == card_pkg::StatusOk;
        end
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    if (run) begin
      kind_q <= kind_next;
      t_q    <= t_q + 4'd1;
      if (!stash) out_q <= out_q + 4'd1;
    end else begin
      kind_q <= WdIp;
      t_q    <= '0;
      out_q  <= '0;
    end
    if (start_i) status_q <= card_pkg::StatusOk;
    else if (slow_done) status_q <= slow_status;
  end
  assign rd_en_o   = start_i || state_q != StIdle;
  assign rd_word_o = run ? t_q + 4'd1 : 4'd0;

  // The word as it is made
  logic [7:0]  tos, proto;
  logic        df, made;
  logic [63:0] outer, own, word, slow_word;
  assign made  = encap_i && tunnel_i;
  assign tos   = {dscp_set_i ? dscp_i : tos_i[7:2], ecn_clear_i ? 2'b00 : tos_i[1:0]};
  assign df    = 8'(df_policy_i) == card_pkg::DfPolicySet || (8'(df_policy_i) == card_pkg::DfPolicyCopy && df_i);
  assign proto = !esp_i ? 8'd51 : natt_i ? 8'd17 : 8'd50;
  always_comb begin
    if (v6_i) begin
      case (t_q[2:0])
        3'd0:    outer = {4'd6, tos, 20'd0, 16'd0, proto, ttl_i};
        3'd1:    outer = src_i[127:64];
        3'd2:    outer = src_i[63:0];
        3'd3:    outer = dst_i[127:64];
        default: outer = dst_i[63:0];
      endcase
    end else begin
      case (t_q[1:0])
        2'd0:    outer = {8'h45, tos, 16'd0, ip_id_i, 1'b0, df, 14'd0};
        2'd1:    outer = {ttl_i, proto, 16'd0, src_i[127:96]};
        default: outer = {dst_i[127:96], 32'd0};
      endcase
    end
    own = rd_data_i;
    if (t_q == 4'd0) begin
      if (v6_i) own[31:16] = '0;
      else own[47:32] = '0;
    end
    if (t_q == 4'd1 && !v6_i) own[47:32] = '0;
    if (encap_i && t_q == nh_at_i[6:3]) begin
      if (!v6_i) own[55:48] = proto;
      else if (t_q == 4'd0) own[15:8] = proto;
      else own[63:56] = proto;
    end
    case (kind_q)
      WdIp:     word = made ? outer : second_q && t_q <= ip_last_w ? slow_word : second_q ? rd_data_i : own;
      WdUdp:    word = {udp_src_i, udp_dst_i, 32'd0};
      WdNumber: word = spi_seq_i;
      WdIv:     word = esp_iv_i;
      WdAh0:    word = {nh_i, 8'd4, 16'd0, spi_seq_i[63:32]};     // RFC 4302 s2.2: (12 + 12) / 4 - 2
      WdAh1:    word = {spi_seq_i[31:0], 32'd0};
      default:  word = '0;
    endcase
  end

  // Behind IP headers that end in the middle of a word, words are shifted by half of one.
  logic        packs;
  logic [31:0] half_q;
  logic [63:0] packed_word;
  assign packs       = encap_i && odd && !ip;
  assign packed_word = packs ? {half_q, word[63:32]} : word;
  always_ff @(posedge clk_i) if (run) half_q <= ip ? word[63:32] : word[31:0];

  // Header words
  logic        hdr_we_q;
  logic [3:0]  hdr_word_q;
  logic [63:0] hdr_data_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) hdr_we_q <= 1'b0;
    else hdr_we_q <= run && !second_q && !stash && (encap_i || (!tunnel_i && t_q <= ip_last_w));
  end
  always_ff @(posedge clk_i) if (run) begin
    hdr_word_q <= out_q;
    hdr_data_q <= packed_word;
  end
  assign hdr_we_o   = hdr_we_q;
  assign hdr_word_o = hdr_word_q;
  assign hdr_data_o = hdr_data_q;

  // Words of the AH stream: final length, mutable fields 0, ICV of a received packet 0
  logic [63:0] fixed, cleared;
  logic [5:0]  rel0, rel1;
  logic        icv0, icv1;
  assign rel0 = {1'b0, t_q, 1'b0} - ip_dw_i;
  assign rel1 = {1'b0, t_q, 1'b1} - ip_dw_i;
  assign icv0 = !encap_i && rel0 >= 6'd3 && rel0 <= 6'd5;
  assign icv1 = !encap_i && rel1 >= 6'd3 && rel1 <= 6'd5;
  always_comb begin
    fixed = packed_word;
    if (!second_q && t_q == 4'd0) fixed = v6_i ? {32'h60000000, plen_i, word[15:8], 8'd0} : {word[63:56], 8'd0, plen_i, word[31:16], 16'd0};
    if (!second_q && t_q == 4'd1 && !v6_i) fixed = {8'd0, word[55:48], 16'd0, word[31:0]};
    cleared = {icv0 ? 32'd0 : fixed[63:32], icv1 ? 32'd0 : fixed[31:0]};
  end
  assign fr_valid_o = run && !esp_i && !stash && (second_q || !slow_i);
  assign fr_write_o = !(last && odd);
  assign fr_word_o  = out_q;
  assign fr_data_o  = cleared;
  assign fr_end_o   = (fr_valid_o && last) || (slow_done && slow_status != card_pkg::StatusOk);

  logic [95:0] icv_q;
  always_ff @(posedge clk_i) if (run && (second_q || !slow_i)) begin
    if (icv0 && icv1) icv_q <= {icv_q[31:0], rd_data_i};
    else if (icv0) icv_q <= {icv_q[63:0], rd_data_i[63:32]};
    else if (icv1) icv_q <= {icv_q[63:0], rd_data_i[31:0]};
  end
  assign icv_o = icv_q;

  front_ah u_ah (
    .clk_i(clk_i), .rst_ni(rst_ni), .we_i(run && !second_q && slow_i && ip && t_q <= ip_last_w), .word_i(t_q), .data_i(fixed),
    .data_o(slow_word), .start_i(run && last && slow_i && !second_q), .v6_i(v6_i), .end_dw_i(ip_dw_i),
    .done_o(slow_done), .status_o(slow_status)
  );

  // Sum of the IPv4 header as it stands in the header words; decap: without the protocol
  logic        sum_now, sum_v_q;
  logic [16:0] part0_q, part1_q, fold_q;
  logic [20:0] sum_q;            // 30 halves of a 60-octet header
  assign sum_now = run && ip && !second_q && t_q <= ip_last_w;
  always_ff @(posedge clk_i) if (!rst_ni) sum_v_q <= 1'b0; else sum_v_q <= sum_now;
  logic [15:0] top;
  assign top = !encap_i && t_q == 4'd1 ? {word[63:56], 8'd0} : word[63:48];
  always_ff @(posedge clk_i) begin
    if (sum_now) begin
      part0_q <= 17'(top) + 17'(word[47:32]);
      part1_q <= ip_last && odd ? 17'd0 : 17'(word[31:16]) + 17'(word[15:0]);
    end
    if (start_i) sum_q <= '0;
    else if (sum_v_q) sum_q <= sum_q + 21'(part0_q) + 21'(part1_q);
    fold_q <= 17'(sum_q[15:0]) + 17'(sum_q[20:16]);
  end
  assign hsum_o   = fold_q[15:0] + 16'(fold_q[16]);
  assign done_o   = (state_q == StIdle || (run && last && (second_q || !slow_i))) && !sum_now && !sum_v_q;
  assign status_o = status_q;
  logic unused;
  assign unused = ^nh_at_i[2:0];
endmodule
