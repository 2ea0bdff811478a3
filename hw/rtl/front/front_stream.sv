// Writes a packet's stream into its slot: source octets from src_dw on go to stream octet d0 (units of 4 octets), shifted
// by a rotator and a carry register, a half row of 32 octets a cycle; ESP header and trailer around them; the
// words of an AH stream's front come from front_header, up to the ICV, which is zeros. The front's words are gathered to a
// half row, which takes a turn of its own. Picks the ICV of ESP that follows the stream.
// Drops what is left of the source. Latency from a beat to its write 3 cycles.
module front_stream #(
  parameter int RowBits = 12
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  // one cycle; fields are taken then
  input  logic               start_i,
  input  logic               run_i,         // else only drop the source
  input  logic               encap_i,
  input  logic               esp_i,
  input  logic               iv_i,
  input  logic [5:0]         d0_dw_i,
  input  logic [5:0]         src_dw_i,
  input  logic [13:0]        len_i,
  input  logic [13:0]        keep_i,
  input  logic [8:0]         rows_i,
  input  logic [8:0]         steps_i,
  input  logic [9:0]         src_halves_i,
  input  logic [9:0]         beats_i,
  input  logic [7:0]         nh_i,
  input  logic [RowBits-1:0] base_i,        // first row of the slot
  // from the cycle after start_i on
  input  logic [63:0]        spi_seq_i,
  input  logic [63:0]        host_iv_i,     // one of the two is the IV, the other one 0
  input  logic [63:0]        gen_iv_i,
  // source
  input  logic               db_valid_i,
  output logic               db_ready_o,
  input  logic [511:0]       db_data_i,
  input  logic               db_err_i,
  // words of an AH front in their order, any time after start_i
  input  logic               fr_valid_i,
  input  logic               fr_last_i,     // no more of them
  input  logic [3:0]         fr_word_i,
  input  logic [63:0]        fr_data_i,
  input  logic               fr_stop_i,     // there will be no more of them
  output logic [7:0]         in_we_o,       // bit j: word j
  output logic [RowBits-1:0] in_row_o,
  output logic [511:0]       in_data_o,
  output logic               done_o,        // nothing is left to write after this cycle
  output logic               err_o,         // with done_o: a beat had an error
  output logic [63:0]        made1_o,       // one cycle after done_o: word 1 of the stream as it was made (encap of ESP: the IV),
  output logic [63:0]        word1_o,       // as it came (decap)
  output logic [95:0]        icv0_o,        // likewise: one of the two is the ICV, the other one 0
  output logic [95:0]        icv1_o
);
  // The packet under way
  logic               esp_enc_q, iv_q;
  logic [2:0]         rot_q, first_dw_q;
  logic [3:0]         first_we_q;
  logic [8:0]         front_row_q;         // half row where the payload starts
  logic [8:0]         rows_q, keep_hi_q, len_hi_q, icv_hi_q;
  logic [4:0]         keep_lo_q;
  logic [2:0]         icv_lo_q;
  logic [1:0]         len_word_q;
  logic [63:0]        trailer_q;
  logic [7:0]         nh_q;
  logic [RowBits-1:0] base_q;
  logic [2:0]         shift;
  logic [13:0]        last;
  assign shift = d0_dw_i[2:0] - src_dw_i[2:0];
  assign last  = len_i - 14'd1;

  // Trailer octets by their place in a word: pad length and next header at the end, before them 1, 2, 3...
  logic [2:0]  pad;
  logic [63:0] trailer;
  assign pad = len_i[2:0] - keep_i[2:0] - 3'd2;
  always_comb begin
    for (int i = 0; i < 8; i++) begin
      if (last[2:0] == 3'(i)) trailer[8 * (7 - i) +: 8] = nh_i;
      else if (last[2:0] - 3'd1 == 3'(i)) trailer[8 * (7 - i) +: 8] = {5'd0, pad};
      else trailer[8 * (7 - i) +: 8] = {5'd0, 3'(i) - keep_i[2:0] + 3'd1};
    end
  end

  // Words of the payload's first half row that the front does not write. AH: from the ICV on.
  logic [2:0]  front_dw;
  logic [3:0]  first_we;
  assign front_dw = esp_i ? d0_dw_i[2:0] : d0_dw_i[2:0] - 3'd3;
  always_comb begin
    if (!esp_i && d0_dw_i[2:0] <= 3'd3) first_we = 4'b1111;
    else begin
      case (front_dw)
        3'd0:       first_we = 4'b1111;
        3'd1, 3'd2: first_we = 4'b0111;
        3'd3, 3'd4: first_we = 4'b0011;
        default:    first_we = 4'b0001;
      endcase
    end
  end

  // Source side: half beats
  logic        skip_q, half_q, prime_q, first_q;
  logic [9:0]  src_q, beats_q;             // half beats to use, beats in the FIFO
  logic [8:0]  steps_q, at_q;              // half rows to go; the next one
  logic        err_q;
  logic        drained_q;                  // nothing is left to take, known a cycle later
  logic        adv, want, step, drain, pop;  // adv: stages A and B go on
  assign want       = src_q != '0;
  assign drain      = steps_q == '0;
  assign step       = adv && !skip_q && !drain && (!want || db_valid_i);
  assign db_ready_o = beats_q != '0 && (skip_q || drain || (adv && want && (half_q || src_q == 10'd1)));
  assign pop        = db_valid_i && db_ready_o;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      skip_q  <= 1'b0;
      steps_q <= '0;
      beats_q <= '0;
    end else if (start_i) begin
      skip_q  <= run_i && src_dw_i[4] && src_halves_i > {7'd0, src_dw_i[5:3]};
      steps_q <= run_i ? steps_i - {6'd0, d0_dw_i[5:3]} : '0;
      beats_q <= beats_i;
    end else begin
      if (pop) begin
        skip_q  <= 1'b0;
        beats_q <= beats_q - 10'd1;
      end
      if (step && !prime_q) steps_q <= steps_q - 9'd1;
    end
  end
  always_ff @(posedge clk_i) drained_q <= rst_ni && !start_i && drain && beats_q == '0 && !skip_q;
  always_ff @(posedge clk_i) begin
    if (start_i) begin
      esp_enc_q  <= run_i && esp_i && encap_i;
      iv_q       <= iv_i;
      rot_q      <= shift;
      first_dw_q <= d0_dw_i[2:0];
      first_we_q <= first_we;
      front_row_q <= {6'd0, d0_dw_i[5:3]};
      rows_q     <= rows_i;
      keep_hi_q  <= keep_i[13:5];
      keep_lo_q  <= keep_i[4:0];
      len_hi_q   <= last[13:5];
      len_word_q <= last[4:3];
      icv_hi_q   <= len_i[13:5];
      icv_lo_q   <= len_i[4:2];
      trailer_q  <= run_i && esp_i && encap_i ? trailer : '0;
      nh_q       <= run_i && esp_i && encap_i ? nh_i : '0;
      base_q     <= base_i;
      half_q     <= src_dw_i[3];
      src_q      <= src_halves_i - {7'd0, src_dw_i[5:3]};
      at_q       <= {6'd0, d0_dw_i[5:3]};
      prime_q    <= d0_dw_i[2:0] < src_dw_i[2:0];
      first_q    <= 1'b1;
      err_q      <= 1'b0;
    end else begin
      if (pop) err_q <= err_q || db_err_i;
      if (step) begin
        prime_q <= 1'b0;
        if (want) begin
          half_q <= !half_q;
          src_q  <= src_q - 10'd1;
        end
        if (!prime_q) begin
          first_q <= 1'b0;
          at_q    <= at_q + 9'd1;
        end
      end
    end
  end

  // Stage A: the half beat, first octet on top, rotated by 0 or 4 places
  logic         a_v_q, a_emit_q, a_first_q;
  logic [8:0]   a_at_q;
  logic         a_whole_q, a_part_q;       // all of it, some of it is payload
  logic         a_rows_q, a_icv0_q, a_icv1_q, a_len_q;
  logic [255:0] a_q, b_q, turned;
  always_comb begin
    for (int i = 0; i < 8; i++) begin
      for (int k = 0; k < 4; k++) begin
        turned[32 * (7 - i) + 8 * (3 - k) +: 8] =
            half_q ? (rot_q[2] ? db_data_i[256 + 32 * ((i + 4) % 8) + 8 * k +: 8] : db_data_i[256 + 32 * i + 8 * k +: 8])
                   : (rot_q[2] ? db_data_i[32 * ((i + 4) % 8) + 8 * k +: 8] : db_data_i[32 * i + 8 * k +: 8]);
      end
    end
  end
  // Stage B: rotated by 0 to 3 places, or a turn of the front, which leaves b_q as it is
  logic               b_v_q, b_emit_q, b_icv0_q, b_icv1_q, b_half_q, b_top_q;
  logic [31:0]        b_other_q, b_odd_q;  // octet: 0, 0 from b_q; 0, 1 from carry_q; 1, 0 trailer or zero; 1, 1 front
  logic [31:0]        keep, carried, keep_mask_q;
  logic [7:0]         first_mask_q, rot_mask_q;  // units of the front, from carry_q
  logic [3:0]         b_we_q, b_lastw_q, flush_we;
  logic [8:0]         b_at;
  logic               flush;               // the front's words that came up to this cycle go next
  logic [RowBits-1:0] b_row_q;
  assign b_at = flush ? {7'd0, load_word[3:2]} : a_at_q;
  // Masks of what stands from start_i on; no step comes so early.
  always_ff @(posedge clk_i) begin
    for (int i = 0; i < 32; i++) keep_mask_q[31 - i] <= 5'(i) < keep_lo_q;
    for (int i = 0; i < 8; i++) begin
      first_mask_q[7 - i] <= 3'(i) < first_dw_q;
      rot_mask_q[7 - i]   <= 3'(i) < rot_q;
    end
  end
  for (genvar i = 0; i < 32; i++) begin : gen_keep
    assign keep[i]    = (a_whole_q || (a_part_q && keep_mask_q[i])) && !(a_first_q && first_mask_q[i / 4]);
    assign carried[i] = keep[i] && rot_mask_q[i / 4];
  end
  always_comb begin
    flush_we = 4'b1111;
    if (fr_end && b_at == front_row_q) begin
      case (load_word[1:0])
        2'd0:    flush_we = 4'b1000;
        2'd1:    flush_we = 4'b1100;
        2'd2:    flush_we = 4'b1110;
        default: flush_we = 4'b1111;
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      a_v_q <= 1'b0;
      b_v_q <= 1'b0;
    end else begin
      if (adv) a_v_q <= step;
      b_v_q <= flush || a_v_q;
    end
  end
  always_ff @(posedge clk_i) begin
    if (step) begin
      a_q       <= turned;
      a_emit_q  <= !prime_q;
      a_first_q <= first_q;
      a_at_q    <= at_q;
      a_whole_q <= at_q < keep_hi_q;
      a_part_q  <= at_q == keep_hi_q;
      a_rows_q  <= !prime_q && at_q < rows_q;
      a_icv0_q  <= !prime_q && at_q == icv_hi_q;
      a_icv1_q  <= !prime_q && at_q == icv_hi_q + 9'd1;
      a_len_q   <= at_q == len_hi_q;
    end
    if (adv && a_v_q) begin
      b_q <= rot_q[1] ? (rot_q[0] ? {a_q[95:0], a_q[255:96]} : {a_q[63:0], a_q[255:64]})
                      : (rot_q[0] ? {a_q[31:0], a_q[255:32]} : a_q);
    end
    b_emit_q  <= flush || a_emit_q;
    b_other_q <= flush ? '1 : ~keep;
    b_odd_q   <= flush ? '1 : carried;
    b_we_q    <= flush ? flush_we : !a_rows_q ? 4'b0000 : a_first_q ? first_we_q : 4'b1111;
    b_top_q   <= !flush && a_at_q == '0;
    b_half_q  <= b_at[0];
    b_row_q   <= base_q + RowBits'(b_at[8:1]);
    b_icv0_q  <= !flush && a_icv0_q;
    b_icv1_q  <= !flush && a_icv1_q;
    for (int j = 0; j < 4; j++) b_lastw_q[3 - j] <= a_len_q && len_word_q == 2'(j);
  end

  // The front: ESP header from the two words that stand from start_i on, or the words of AH
  typedef enum logic [1:0] {FrIdle, FrNumber, FrIv, FrAh} front_e;
  front_e       fr_q;
  logic         load, fr_end;
  logic [3:0]   load_word;
  logic [63:0]  load_data;
  logic [255:0] front_q;
  assign load      = fr_q == FrNumber || fr_q == FrIv || (fr_q == FrAh && fr_valid_i);
  assign load_word = fr_q == FrAh ? fr_word_i : {3'd0, fr_q == FrIv};
  assign load_data = fr_q == FrNumber ? spi_seq_i : fr_q == FrIv ? host_iv_i | gen_iv_i : fr_data_i;
  assign fr_end    = fr_q == FrAh ? fr_last_i : fr_q == FrIv || !iv_q;
  assign flush     = load && (fr_end || load_word[1:0] == 2'd3);
  assign adv       = !flush;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) fr_q <= FrIdle;
    else if (start_i) begin
      fr_q <= FrIdle;
      if (run_i && !esp_i) fr_q <= FrAh;
      else if (run_i && encap_i) fr_q <= FrNumber;
    end else begin
      case (fr_q)
        FrNumber:
          if (iv_q) fr_q <= FrIv;
          else fr_q <= FrIdle;
        FrAh:     if ((fr_valid_i && fr_last_i) || fr_stop_i) fr_q <= FrIdle;
        default:  fr_q <= FrIdle;
      endcase
    end
  end
  // Words that have not come are zeros: behind the last one the ICV of AH.
  always_ff @(posedge clk_i) if (load) begin
    for (int j = 0; j < 4; j++) begin
      if (load_word[1:0] == 2'(j)) front_q[64 * (3 - j) +: 64] <= load_data;
      else if (load_word[1:0] == 2'd0) front_q[64 * (3 - j) +: 64] <= '0;
    end
  end

  // Stage C: the row to write
  logic               len_full_q;          // the stream ends with a whole word
  always_ff @(posedge clk_i) if (start_i) len_full_q <= len_i[2:0] == 3'd0;
  logic               c_v_q, c_half_q, c_icv0_q, c_icv1_q;
  logic [3:0]         c_we_q;
  logic [RowBits-1:0] c_row_q;
  logic [255:0]       carry_q, c_q, c_d;
  logic [63:0]        beside;              // trailer or zero
  always_comb begin
    for (int i = 0; i < 32; i++) begin
      beside = trailer_q;
      if (i % 8 == 7) beside[7:0] = b_lastw_q[3 - i / 8] && len_full_q ? nh_q : {7'd0, esp_enc_q};
      if (b_other_q[31 - i]) c_d[8 * (31 - i) +: 8] = b_odd_q[31 - i] ? front_q[8 * (31 - i) +: 8] : beside[8 * (7 - i % 8) +: 8];
      else c_d[8 * (31 - i) +: 8] = b_odd_q[31 - i] ? carry_q[8 * (31 - i) +: 8] : b_q[8 * (31 - i) +: 8];
    end
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) c_v_q <= 1'b0;
    else c_v_q <= b_v_q && b_emit_q;
  end
  always_ff @(posedge clk_i) begin
    if (b_v_q) begin
      carry_q  <= b_q;
      c_q      <= c_d;
      c_we_q   <= b_we_q;
      c_half_q <= b_half_q;
      c_row_q  <= b_row_q;
    end
    c_icv0_q <= b_v_q && b_icv0_q;
    c_icv1_q <= b_v_q && b_icv1_q;
  end
  always_comb for (int i = 0; i < 4; i++) begin
    in_we_o[i]     = c_v_q && !c_half_q && c_we_q[3 - i];
    in_we_o[4 + i] = c_v_q && c_half_q && c_we_q[3 - i];
  end
  assign in_row_o  = c_row_q;
  assign in_data_o = {c_q, c_q};

  // ICV behind the stream: three units of 4 octets, in one half row or two; taken from its first or second 16 octets
  logic [95:0] icv0_q, icv1_q;
  for (genvar i = 0; i < 3; i++) begin : gen_icv
    logic [3:0]  at;
    logic [31:0] unit0, unit1;
    assign at    = {1'b0, icv_lo_q} + 4'(i);
    assign unit0 = at[1] ? (at[0] ? c_q[159:128] : c_q[191:160]) : (at[0] ? c_q[223:192] : c_q[255:224]);
    assign unit1 = at[1] ? (at[0] ? c_q[31:0] : c_q[63:32]) : (at[0] ? c_q[95:64] : c_q[127:96]);
    always_ff @(posedge clk_i) if (at[3] ? c_icv1_q : c_icv0_q) begin
      if (at[2]) icv0_q[32 * (2 - i) +: 32] <= '0;
      else icv0_q[32 * (2 - i) +: 32] <= unit0;
      if (!at[2]) icv1_q[32 * (2 - i) +: 32] <= '0;
      else icv1_q[32 * (2 - i) +: 32] <= unit1;
    end
  end
  logic        c_top_q;
  logic [63:0] word1_q;
  always_ff @(posedge clk_i) begin
    c_top_q <= b_v_q && b_emit_q && b_top_q;
    if (c_top_q) word1_q <= c_q[191:128];
  end
  assign made1_o = front_q[191:128];
  assign word1_o = word1_q;
  assign icv0_o = icv0_q;
  assign icv1_o = icv1_q;
  assign done_o = drained_q && !a_v_q && !b_v_q && fr_q == FrIdle;
  assign err_o  = err_q;
endmodule
