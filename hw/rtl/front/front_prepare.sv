// Takes jobs with their SA answers, in order, and works out what the stream and the header words of each look like;
// then takes a slot and an IV for it. 6 cycles a job, beside the job before. Keys and addresses do not come here.
module front_prepare (
  input  logic         clk_i,
  input  logic         rst_ni,
  // job, from front_parse by a FIFO
  input  logic         job_valid_i,
  output logic         job_ready_o,
  input  logic [7:0]   job_status_i,
  input  logic         job_look_i,
  input  logic         job_data_i,
  input  logic         job_encap_i,
  input  logic         job_v6_i,
  input  logic         job_udp_i,
  input  logic [5:0]   job_hdr_dw_i,
  input  logic [15:0]  job_end_i,
  input  logic [7:0]   job_nh_i,
  input  logic [6:0]   job_nh_at_i,
  input  logic         job_ext_i,
  input  logic         job_ah_len_ok_i,
  input  logic [7:0]   job_in_first_i,
  input  logic [15:0]  job_in_len_i,
  input  logic         job_host_iv_i,
  input  logic [15:0]  job_src_len_i,
  // what the SA says; taken with the job if job_look_i
  input  logic         sa_valid_i,
  output logic         sa_ready_o,
  input  logic [7:0]   sa_status_i,
  input  logic [15:0]  sa_out_len_i,
  input  logic         sa_transport_i,
  input  logic         sa_ah_i,
  input  logic         sa_outer_v6_i,
  input  logic         sa_natt_i,
  input  logic         sa_inner_v4_i,
  input  logic         sa_inner_v6_i,
  input  logic         sa_cipher_i,      // not NULL
  input  logic         sa_auth_i,        // not none
  // IV and slot
  input  logic         iv_valid_i,
  output logic         iv_ready_o,
  output logic         alloc_jumbo_o,
  input  logic         alloc_ok_i,
  output logic         alloc_take_o,
  // result: stays while valid and not ready
  output logic         p_valid_o,
  input  logic         p_ready_i,
  output logic         p_look_o,
  output logic         p_run_o,
  output logic [7:0]   p_status_o,
  output logic         p_data_o,
  output logic         p_encap_o,
  output logic         p_esp_o,
  output logic         p_tunnel_o,
  output logic         p_host_iv_o,
  output logic         p_iv_o,           // the packet has an IV
  output logic         p_natt_o,         // a UDP header is to be made
  output logic         p_in6_o,          // the packet as it came is IPv6
  output logic         p_v6_o,           // header words start with IPv6
  output logic         p_slow_o,         // AH over options or extension headers
  output logic [5:0]   p_ip_dw_o,        // IP headers in the header words (decap of AH: also without those)
  output logic [7:0]   p_hdr_len_o,      // header words, octets
  output logic [3:0]   p_last_w_o,       // last word that front_header makes, 64 bits each
  output logic         p_words_o,        // it makes some
  output logic [7:0]   p_skip_o,
  output logic [5:0]   p_d0_dw_o,        // the source's octets start here in the stream,
  output logic [5:0]   p_src_dw_o,       // from here on in the source
  output logic [13:0]  p_len_o,          // S
  output logic [13:0]  p_keep_o,         // octets of the stream before the trailer
  output logic [8:0]   p_rows_o,         // half rows to write,
  output logic [8:0]   p_steps_o,        // and with what follows the stream in the source
  output logic [9:0]   p_src_halves_o,   // half beats of the source up to its end
  output logic [9:0]   p_beats_o,        // beats of the source, 0 without data
  output logic [15:0]  p_plen_o,         // AH: IPv4 total or IPv6 payload length
  output logic [7:0]   p_nh_o,           // next header for trailer or AH
  output logic [6:0]   p_nh_at_o,
  output logic [15:0]  p_out_len_o,
  output logic [7:0]   p_rec_nh_o,
  output logic [7:0]   p_ah_status_o,
  output logic         p_icv_o,          // the packet has an ICV
  output logic         p_busy_o
);
  typedef enum logic [2:0] {StIdle, StSub, StAlign, StSum, StEnd, StSlot, StHold} state_e;
  state_e state_q;
  logic   take;
  assign take        = state_q == StIdle && job_valid_i && (!job_look_i || sa_valid_i);
  assign job_ready_o = take;
  assign sa_ready_o  = take && job_look_i;

  // StIdle: what the job is
  logic        look_q, ok_q, run_q, data_q, encap_q, esp_q, tunnel_q, host_iv_q, iv_q, icv_q, natt_q, in6_q, v6_q, ext_q;
  logic        ah_len_ok_q, in4_ok_q, in6_ok_q;
  logic [7:0]  status_q, nh_q, job_nh_q, in_first_q;
  logic [6:0]  nh_at_q;
  logic [5:0]  ip_dw_q, sub_dw_q;
  logic [15:0] base_q, end_q, src_len_q, sa_out_q, in_len_q;
  logic        ok;
  assign ok = job_look_i && sa_status_i == card_pkg::StatusOk;
  always_ff @(posedge clk_i) if (take) begin
    look_q      <= job_look_i;
    ok_q        <= ok;
    status_q    <= job_look_i ? sa_status_i : job_status_i;
    data_q      <= job_data_i;
    encap_q     <= job_encap_i;
    esp_q       <= !sa_ah_i;
    tunnel_q    <= !sa_transport_i;
    host_iv_q   <= job_host_iv_i;
    iv_q        <= sa_cipher_i && !sa_ah_i;
    icv_q       <= sa_auth_i;
    natt_q      <= sa_natt_i && !sa_ah_i && job_encap_i;
    in6_q       <= job_v6_i;
    v6_q        <= job_encap_i && !sa_transport_i ? sa_outer_v6_i : job_v6_i;
    ext_q       <= job_ext_i && sa_ah_i && !(job_encap_i && !sa_transport_i);
    ah_len_ok_q <= job_ah_len_ok_i;
    in4_ok_q    <= sa_inner_v4_i;
    in6_ok_q    <= sa_inner_v6_i;
    in_first_q  <= job_in_first_i;
    in_len_q    <= job_in_len_i;
    job_nh_q    <= job_nh_i;
    nh_at_q     <= job_nh_at_i;
    ip_dw_q     <= job_encap_i && !sa_transport_i ? (sa_outer_v6_i ? 6'd10 : 6'd5) : job_hdr_dw_i;
    // octets of the source that are not payload (AH: 12 octets and 12 of ICV)
    sub_dw_q    <= job_encap_i ? (sa_transport_i ? job_hdr_dw_i : 6'd0) :
                   sa_ah_i ? job_hdr_dw_i + 6'd6 : job_hdr_dw_i + (job_udp_i ? 6'd2 : 6'd0);
    base_q      <= job_encap_i ? job_src_len_i : job_end_i;
    end_q       <= job_end_i;
    src_len_q   <= job_src_len_i;
    sa_out_q    <= sa_out_len_i;
  end

  // StSub: payload; for decap of ESP all of it
  logic [16:0] x_q;                      // 16: negative
  logic [6:0]  hdr_dw_q;                 // header words, units of 4 octets
  logic [5:0]  skip_dw_q, d0_dw_q;
  always_ff @(posedge clk_i) if (state_q == StSub) begin
    x_q       <= 17'(base_q) - {9'd0, sub_dw_q, 2'b00};
    skip_dw_q <= esp_q ? (iv_q ? 6'd4 : 6'd2) : ip_dw_q + 6'd6;
    d0_dw_q   <= !esp_q ? ip_dw_q + 6'd6 : encap_q ? (iv_q ? 6'd4 : 6'd2) : 6'd0;
    hdr_dw_q  <= !encap_q ? (tunnel_q ? 7'd0 : 7'(ip_dw_q)) :
                 7'(ip_dw_q) + (!esp_q ? 7'd6 : (natt_q ? 7'd2 : 7'd0) + (iv_q ? 7'd4 : 7'd2));
    nh_q      <= !encap_q ? job_nh_q : tunnel_q ? (in6_q ? 8'd41 : 8'd4) : job_nh_q;
  end

  // StAlign: encap of ESP: payload, pad length and next header in whole blocks
  logic [15:0] padded, part_q;
  logic        short_q, ragged_q;
  logic [6:0]  least;                    // decap of ESP: number, IV, trailer, ICV
  assign padded = x_q[15:0] + (iv_q ? 16'd2 + 16'd7 : 16'd2 + 16'd3);
  assign least  = 7'd8 + (iv_q ? 7'd8 : 7'd0) + 7'd2 + (icv_q ? 7'd12 : 7'd0);
  always_ff @(posedge clk_i) if (state_q == StAlign) begin
    part_q   <= encap_q && esp_q ? {padded[15:3], padded[2] && !iv_q, 2'b00} : encap_q || esp_q ? x_q[15:0] : end_q;
    short_q  <= x_q[16] || (esp_q && x_q[15:0] < 16'(least));
    ragged_q <= esp_q && (x_q[1:0] != 2'd0 || (iv_q && x_q[2] != icv_q));  // 16 + 12 octets around the blocks
  end

  // StSum: length of the stream, verdict
  logic [3:0]  last_w_q;
  logic [5:0]  last_w;
  logic        words_q;
  assign last_w = 6'((!encap_q && !esp_q ? {1'b0, skip_dw_q} : hdr_dw_q) - 7'd1) >> 1;
  logic [15:0] len_q, keep_q;
  logic [7:0]  verdict_q;
  always_ff @(posedge clk_i) if (state_q == StSum) begin
    len_q     <= encap_q ? part_q + {8'd0, d0_dw_q, 2'b00} : esp_q && icv_q ? part_q - 16'd12 : part_q;
    keep_q    <= encap_q ? x_q[15:0] + {8'd0, d0_dw_q, 2'b00} : part_q;
    verdict_q <= status_q;
    run_q     <= 1'b0;
    last_w_q  <= last_w[3:0];
    words_q   <= encap_q || !esp_q || !tunnel_q;
    if (ok_q) begin
      if (encap_q && hdr_dw_q > 7'd32) verdict_q <= card_pkg::StatusUnsupported;
      else if (!encap_q && (short_q || (esp_q ? ragged_q : !ah_len_ok_q))) verdict_q <= card_pkg::StatusBadEspLength;
      else run_q <= 1'b1;
    end
  end

  // StEnd: counts, and what is inside AH
  logic [8:0]  rows_q, steps_q;
  logic [9:0]  halves_q, beats_q;
  logic [15:0] plen_q, out_len_q;
  logic [7:0]  ah_status_q;
  logic [16:0] in_total;
  logic        in_is6, in_bad;
  logic        jumbo_q;
  assign in_is6   = nh_q == 8'd41;
  assign in_total = in_is6 ? 17'(in_len_q) + 17'd40 : 17'(in_len_q);
  assign in_bad   = in_total > x_q ||
                    (in_is6 ? in_first_q[7:4] != 4'd6 || !in6_ok_q || x_q < 17'd40
                            : in_first_q[7:4] != 4'd4 || !in4_ok_q || in_first_q[3:0] < 4'd5 || x_q < 17'd20 ||
                              in_len_q < {10'd0, in_first_q[3:0], 2'b00});
  always_ff @(posedge clk_i) if (state_q == StEnd) begin
    rows_q      <= 9'((len_q + 16'd31) >> 5);
    steps_q     <= 9'(((encap_q ? len_q : part_q) + 16'd31) >> 5);
    halves_q    <= 10'((base_q + 16'd31) >> 5);
    beats_q     <= data_q ? 10'((src_len_q + 16'd63) >> 6) : '0;
    plen_q      <= v6_q ? len_q - 16'd40 : len_q;
    ah_status_q <= card_pkg::StatusOk;
    out_len_q   <= encap_q ? (run_q ? sa_out_q : 16'd0) : 16'd0;
    if (run_q && !encap_q && !esp_q) begin
      out_len_q <= tunnel_q ? in_total[15:0] : end_q - 16'd24;
      if (tunnel_q) begin
        if (nh_q != 8'd4 && nh_q != 8'd41) ah_status_q <= card_pkg::StatusBadNextHeader;
        else if (in_bad) ah_status_q <= card_pkg::StatusBadInner;
      end
    end
    // 64 octets of slack: 2,048 - 64
    jumbo_q     <= run_q && (src_len_q > 16'd1984 || (encap_q && sa_out_q > 16'd1984));
  end

  // StSlot: the answer to alloc_jumbo_o may be believed one cycle after it changed
  logic asked_q, need_iv, go;
  assign need_iv      = run_q && encap_q && iv_q && !host_iv_q;
  assign go           = state_q == StSlot && asked_q && alloc_ok_i && (!need_iv || iv_valid_i);
  assign alloc_jumbo_o = jumbo_q;
  assign alloc_take_o = go;
  assign iv_ready_o   = go && need_iv;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= StIdle;
      asked_q <= 1'b0;
    end else begin
      asked_q <= state_q == StSlot;
      case (state_q)
        StIdle:  if (take) state_q <= StSub;
        StSub:   state_q <= StAlign;
        StAlign: state_q <= StSum;
        StSum:   state_q <= StEnd;
        StEnd:   state_q <= StSlot;
        StSlot:  if (go) state_q <= StHold;
        default: if (p_ready_i) state_q <= StIdle;
      endcase
    end
  end

  assign p_valid_o      = state_q == StHold;
  assign p_look_o       = look_q;
  assign p_run_o        = run_q;
  assign p_status_o     = verdict_q;
  assign p_data_o       = data_q;
  assign p_encap_o      = encap_q;
  assign p_esp_o        = esp_q;
  assign p_tunnel_o     = tunnel_q;
  assign p_host_iv_o    = host_iv_q;
  assign p_iv_o         = iv_q;
  assign p_natt_o       = natt_q;
  assign p_in6_o        = in6_q;
  assign p_v6_o         = v6_q;
  assign p_slow_o       = ext_q;
  assign p_ip_dw_o      = ip_dw_q;
  assign p_hdr_len_o    = {hdr_dw_q[5:0], 2'b00};
  assign p_last_w_o     = last_w_q;
  assign p_words_o      = run_q && words_q;
  assign p_skip_o       = {skip_dw_q, 2'b00};
  assign p_d0_dw_o      = d0_dw_q;
  assign p_src_dw_o     = sub_dw_q;
  assign p_len_o        = len_q[13:0];
  assign p_keep_o       = keep_q[13:0];
  assign p_rows_o       = rows_q;
  assign p_steps_o      = steps_q;
  assign p_src_halves_o = halves_q;
  assign p_beats_o      = beats_q;
  assign p_plen_o       = plen_q;
  assign p_nh_o         = nh_q;
  assign p_nh_at_o      = nh_at_q;
  assign p_out_len_o    = out_len_q;
  assign p_rec_nh_o     = !encap_q && !esp_q && ok_q ? nh_q : 8'd0;
  assign p_ah_status_o  = ah_status_q;
  assign p_icv_o        = icv_q;
  assign p_busy_o       = state_q != StIdle;
  logic unused;
  assign unused = ^{hdr_dw_q[6], last_w[5:4], len_q[15:14], keep_q[15:14], padded[1:0]};
endmodule
