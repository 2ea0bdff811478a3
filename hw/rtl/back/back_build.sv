// Builds results: header words with their lengths, checksum and next header filled in, the stream's octets, the ICV.
// A packet is a list of pieces of up to 32 octets; each is masked, turned by words of 4 octets to where the result has
// got to and laid over what is left of the one before. Octets behind the end are 0. CE of the outer header goes to an
// ECN-capable inner one (RFC 6040 s4.2).
// One piece a cycle: 32 octets a cycle in long packets; a result of n octets takes about n / 32 + 3 cycles.
// First beat 9 cycles after the job, if rows are there.
module back_build #(
  parameter int SlotBits = 7
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  output logic                idle_o,
  // header words, written before the slot is opened
  input  logic                hdr_we_i,
  input  logic [SlotBits-1:0] hdr_slot_i,
  input  logic [3:0]          hdr_word_i,
  input  logic [63:0]         hdr_data_i,
  // results, see back_finish
  input  logic                job_valid_i,
  output logic                job_ready_o,
  input  logic [SlotBits-1:0] job_slot_i,
  input  logic                job_has_rows_i,
  input  logic [8:0]          job_more_i,        // half rows behind the one in which the stream starts
  input  logic                job_one_half_i,    // there are none
  input  logic [4:0]          job_end_i,         // last octet in the last half row
  input  logic [3:0]          job_skip_i,
  input  logic                job_has_hdr_i,
  input  logic [4:0]          job_hdr_end_i,     // last word of 4 octets
  input  logic                job_icv_mid_i,
  input  logic                job_icv_end_i,
  input  logic [95:0]         job_icv_i,
  input  logic                job_v6_i,
  input  logic [15:0]         job_ip_len_i,
  input  logic [15:0]         job_checksum_i,
  input  logic                job_natt_i,
  input  logic [4:0]          job_udp_at_i,
  input  logic [15:0]         job_udp_len_i,
  input  logic                job_patch_nh_i,
  input  logic [6:0]          job_nh_at_i,       // 9, 6 or a multiple of 8
  input  logic [7:0]          job_nh_i,
  input  logic                job_ce_i,
  output logic                job_done_o,        // one cycle, in order: the slot's words and rows are read
  // rows
  input  logic                row_valid_i,
  output logic                row_ready_o,
  input  logic [511:0]        row_data_i,
  // beats
  output logic                wd_valid_o,
  input  logic                wd_ready_i,
  output logic [511:0]        wd_data_o          // AXI octet order
);
  // ---- Jobs: what the list of pieces needs, and what goes into them -------------------------------------------------
  // One FIFO read at two places: the list of pieces runs ahead by what stands in stages A and B.
  localparam int PlanWidth = 4 + 9 + 1 + 5 + 4 + 1 + 5;
  localparam int Width = SlotBits + 96 + 1 + 16 + 16 + 1 + 5 + 16 + 1 + 7 + 8 + 1;
  logic [PlanWidth-1:0] plan_mem [0:3];
  logic [Width-1:0]     job_mem [0:3];
  logic [2:0]           wr_q, plan_q, rd_q;  // one bit more than an address: tells full from empty
  logic                 load, push, pop, one_half, has_hdr, v6, natt, patch_nh, ce;
  logic                 hdr_last, icv_last, row_last, hdr_then_row;  // kinds that end the list; what follows header words
  logic [8:0]           more;
  logic [4:0]           row_end, hdr_end;
  logic [3:0]           skip;
  logic [SlotBits-1:0]  slot;
  logic [6:0]           nh_at;
  logic [95:0]          icv;
  logic [15:0]          ip_len, checksum, udp_len;
  logic [4:0]           udp_at;
  logic [7:0]           nh;
  assign job_ready_o = wr_q != {!rd_q[2], rd_q[1:0]};
  assign push        = job_valid_i && job_ready_o;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_q   <= '0;
      plan_q <= '0;
      rd_q   <= '0;
    end else begin
      if (push) wr_q <= wr_q + 1'b1;
      if (load && wr_q != plan_q) plan_q <= plan_q + 1'b1;
      if (pop) rd_q <= rd_q + 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (push) begin
      plan_mem[wr_q[1:0]] <= {!job_icv_mid_i && !job_has_rows_i && !job_icv_end_i, job_icv_end_i || !job_has_rows_i,
                              !job_icv_end_i, !job_icv_mid_i && job_has_rows_i, job_more_i, job_one_half_i, job_end_i,
                              job_skip_i, job_has_hdr_i, job_hdr_end_i};
      job_mem[wr_q[1:0]]  <= {job_slot_i, job_icv_i, job_v6_i, job_ip_len_i, job_checksum_i, job_natt_i, job_udp_at_i,
                              job_udp_len_i, job_patch_nh_i, job_nh_at_i, job_nh_i, job_ce_i};
    end
  end
  assign {hdr_last, icv_last, row_last, hdr_then_row, more, one_half, row_end, skip, has_hdr, hdr_end} = plan_mem[plan_q[1:0]];
  assign {slot, icv, v6, ip_len, checksum, natt, udp_at, udp_len, patch_nh, nh_at, nh, ce} = job_mem[rd_q[1:0]];

  // Words are counted modulo 8 and 16 in plain gates: a carry chain is longer than that.
  function automatic logic [2:0] minus(input logic [2:0] a, input logic [2:0] b);
    logic under0, under1;
    under0 = !a[0] && b[0];
    under1 = (!a[1] && (b[1] || under0)) || (b[1] && under0);
    minus  = {a[2] ^ b[2] ^ under1, a[1] ^ b[1] ^ under0, a[0] ^ b[0]};
  endfunction
  function automatic logic [3:0] plus_one(input logic [2:0] a, input logic [2:0] b);  // a + b + 1
    logic over0, over1;
    over0    = a[0] || b[0];
    over1    = (a[1] && b[1]) || (over0 && (a[1] || b[1]));
    plus_one = {(a[2] && b[2]) || (over1 && (a[2] || b[2])), a[2] ^ b[2] ^ over1, a[1] ^ b[1] ^ over0, !(a[0] ^ b[0])};
  endfunction

  // ---- Stage A: the list of pieces: header words, ICV (AH), stream, ICV (ESP) ---------------------------------------
  localparam logic [1:0] PcHdr = 2'd0, PcIcv = 2'd1, PcRow = 2'd2;
  logic       a_valid_q, a_hdr_last_q, a_icv_last_q, a_row_last_q, a_hdr_then_row_q, ends_q, odd_q;
  logic [1:0] piece_q, next, hdr_at_q, hdr_next;
  logic [8:0] behind_q;                    // half rows behind the next one; ends_q: none
  logic [4:0] a_row_end_q, a_hdr_end_q;
  logic [2:0] from_q, from, to;            // first and last word in the piece; from_q: for the next half row
  logic       b_ready, step, final_piece, hdr_ends_q;
  always_comb begin
    case (piece_q)
      PcHdr: begin
        final_piece = hdr_ends_q && a_hdr_last_q;
        next        = !hdr_ends_q ? PcHdr : a_hdr_then_row_q ? PcRow : PcIcv;
      end
      PcIcv: begin
        final_piece = a_icv_last_q;
        next        = PcRow;
      end
      default: begin
        final_piece = ends_q && a_row_last_q;
        next        = ends_q ? PcIcv : PcRow;
      end
    endcase
  end
  assign hdr_next = {hdr_at_q[1] ^ hdr_at_q[0], !hdr_at_q[0]};
  assign from = piece_q == PcRow ? from_q : 3'd0;
  assign to   = piece_q == PcIcv ? 3'd2 : piece_q == PcHdr ? (hdr_ends_q ? a_hdr_end_q[2:0] : 3'd7) :
                ends_q ? a_row_end_q[4:2] : 3'd7;
  assign step = a_valid_q && b_ready;
  assign load = !a_valid_q || (b_ready && final_piece);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) a_valid_q <= 1'b0;
    else if (load) a_valid_q <= wr_q != plan_q;
  end
  always_ff @(posedge clk_i) begin
    if (load) begin
      {a_hdr_last_q, a_icv_last_q, a_row_last_q, a_hdr_then_row_q} <= {hdr_last, icv_last, row_last, hdr_then_row};
      {a_row_end_q, a_hdr_end_q} <= {row_end, hdr_end};
      piece_q  <= has_hdr ? PcHdr : PcRow;
      hdr_at_q <= 2'd0;
      hdr_ends_q <= hdr_end[4:3] == 2'd0;
      behind_q <= more;
      ends_q   <= one_half;
      {odd_q, from_q} <= skip;
    end else if (step) begin
      piece_q <= next;
      if (piece_q == PcHdr) begin
        hdr_at_q   <= hdr_next;
        hdr_ends_q <= hdr_next == a_hdr_end_q[4:3];
      end
      if (piece_q == PcRow) begin
        behind_q <= behind_q - 9'd1;
        ends_q   <= behind_q == 9'd1;
        odd_q    <= !odd_q;
        from_q   <= 3'd0;
      end
    end
  end

  // ---- Stage B: where the piece comes to stand. rest: it fills 32 octets and leaves some, and nothing follows: one
  // piece more, without octets, brings them out.
  logic       move;                        // stages B to 2 go on
  logic       b_valid_q, b_hdr_q, b_icv_q, b_row_q, b_low_q, b_use_q, b_final_q, b_rest_q;
  logic [1:0] b_at_q;
  logic [2:0] b_from_q, b_len_q, fill_q;   // words less 1; words of the result's current 32 octets
  logic [4:0] b_last_q;                    // last octet
  logic [3:0] sum;
  logic       rest, emit, close;           // close: last of the packet
  assign sum     = plus_one(fill_q, b_len_q);
  assign rest    = b_final_q && sum[3] && sum[2:0] != 3'd0 && !b_rest_q;
  assign close   = b_final_q && !rest;
  assign emit    = b_final_q || sum[3];
  assign b_ready = !b_valid_q || (move && !rest);
  assign pop     = b_valid_q && move && close;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      b_valid_q <= 1'b0;
      b_rest_q  <= 1'b0;
      fill_q    <= 3'd0;
    end else begin
      if (b_ready) b_valid_q <= a_valid_q;
      if (b_valid_q && move) begin
        b_rest_q <= rest;
        fill_q   <= b_final_q ? 3'd0 : sum[2:0];
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (b_ready) begin
      b_hdr_q   <= piece_q == PcHdr;
      b_icv_q   <= piece_q == PcIcv;
      b_row_q   <= piece_q == PcRow;
      b_at_q    <= hdr_at_q;
      b_from_q  <= from;
      b_len_q   <= minus(to, from);
      b_last_q  <= {to, piece_q == PcRow && ends_q ? a_row_end_q[1:0] : 2'd3};
      b_low_q   <= odd_q;
      b_use_q   <= piece_q == PcRow && (odd_q || ends_q);
      b_final_q <= final_piece;
    end
  end

  // ---- Stage 1: header words on their way from RAM, mask of the piece's octets ------------------------------------
  logic         c1_valid_q, c1_row_q, c1_icv_q, c1_hdr_q, c1_data_q, c1_low_q, c1_use_q, c1_emit_q, c1_close_q, c1_ce_q;
  logic         c1_v6_q, c1_natt_q, c1_patch_q;
  logic [1:0]   c1_at_q;
  logic [2:0]   c1_from_q, c1_turn_q, c1_fill_q;
  logic [4:0]   c1_last_q, c1_udp_at_q;
  logic [15:0]  c1_ip_len_q, c1_checksum_q, c1_udp_len_q;
  logic [6:0]   c1_nh_at_q;
  logic [7:0]   c1_nh_q;
  logic [95:0]  c1_icv_data_q;
  logic [255:0] hdr;
  for (genvar b = 0; b < 4; b++) begin : gen_bank
    sdp_ram #(.Width(64), .Depth(4 << SlotBits)) u_hdr (
      .clk_i(clk_i), .wr_en_i(hdr_we_i && hdr_word_i[1:0] == 2'(b)), .wr_addr_i({hdr_slot_i, hdr_word_i[3:2]}),
      .wr_data_i(hdr_data_i), .rd_en_i(move && b_hdr_q), .rd_addr_i({slot, b_at_q}),
      .rd_data_o(hdr[255-64*b -: 64])
    );
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) c1_valid_q <= 1'b0;
    else if (move) c1_valid_q <= b_valid_q;
  end
  always_ff @(posedge clk_i) begin
    if (move) begin
      c1_row_q      <= b_row_q && !b_rest_q;
      c1_icv_q      <= b_icv_q;
      c1_hdr_q      <= b_hdr_q;
      c1_data_q     <= !b_rest_q;
      c1_low_q      <= b_low_q;
      c1_use_q      <= b_use_q && !b_rest_q;
      c1_emit_q     <= emit;
      c1_close_q    <= close;
      c1_ce_q       <= ce;
      c1_at_q       <= b_at_q;
      c1_from_q     <= b_from_q;
      c1_last_q     <= b_last_q;
      c1_turn_q     <= minus(b_from_q, fill_q);
      c1_fill_q     <= fill_q;
      c1_v6_q       <= v6;
      c1_natt_q     <= natt;
      c1_patch_q    <= patch_nh;
      c1_udp_at_q   <= udp_at;
      c1_ip_len_q   <= ip_len;
      c1_checksum_q <= checksum;
      c1_udp_len_q  <= udp_len;
      c1_nh_at_q    <= nh_at;
      c1_nh_q       <= nh;
      c1_icv_data_q <= icv;
    end
  end
  logic [31:0] mask;  // first octet on top
  logic [7:0]  words;
  logic [31:0] tail;
  assign words = 8'hff >> c1_from_q;
  assign tail  = 32'hffffffff << ~c1_last_q;
  for (genvar k = 0; k < 32; k++) begin : gen_mask
    assign mask[31-k] = c1_data_q && words[7-k/4] && tail[31-k];
  end

  // ---- Stage 2: header words with fill-ins, or a row; waits for the row -------------------------------------------
  logic         c2_valid_q, c2_row_q, c2_low_q, c2_use_q, c2_emit_q, c2_close_q, c2_ce_q, c2_v4_q, c2_v6_q;
  logic [2:0]   c2_turn_q, c2_fill_q;
  logic [31:0]  c2_mask_q;
  logic [15:0]  c2_ip_len_q, c2_checksum_q, c2_udp_len_q;
  logic [7:0]   c2_udp_q, c2_nh_q;     // c2_udp_q: word that takes the UDP length
  logic [5:0]   c2_nh_at_q;            // octet 0, 6, 8, 9, 16, 24 takes the next header
  logic [255:0] hdr_q, filled, source;
  logic         stall, out_ready, here, done_q;
  assign stall = c2_valid_q && ((c2_row_q && !row_valid_i) || !out_ready);
  assign move  = !stall;
  assign row_ready_o = c2_valid_q && c2_use_q && out_ready;
  assign job_done_o  = done_q;
  assign here  = c1_patch_q && c1_hdr_q && c1_nh_at_q[6:5] == c1_at_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) c2_valid_q <= 1'b0;
    else if (move) c2_valid_q <= c1_valid_q;
    done_q <= rst_ni && c2_valid_q && c2_close_q && !stall;
  end
  always_ff @(posedge clk_i) begin
    if (move && c1_valid_q) begin
      c2_row_q   <= c1_row_q;
      c2_low_q   <= c1_low_q;
      c2_use_q   <= c1_use_q;
      c2_emit_q  <= c1_emit_q;
      c2_close_q <= c1_close_q;
      c2_ce_q    <= c1_ce_q;
      c2_turn_q  <= c1_turn_q;
      c2_fill_q  <= c1_fill_q;
      c2_mask_q  <= mask;
      c2_v4_q    <= c1_hdr_q && c1_at_q == 2'd0 && !c1_v6_q;
      c2_v6_q    <= c1_hdr_q && c1_at_q == 2'd0 && c1_v6_q;
      c2_udp_q   <= c1_natt_q && c1_hdr_q && c1_udp_at_q[4:3] == c1_at_q ? 8'd1 << c1_udp_at_q[2:0] : 8'd0;
      c2_nh_at_q <= {here && c1_nh_at_q[4:0] == 5'd24, here && c1_nh_at_q[4:0] == 5'd16, here && c1_nh_at_q[4:0] == 5'd9,
                     here && c1_nh_at_q[4:0] == 5'd8, here && c1_nh_at_q[4:0] == 5'd6, here && c1_nh_at_q[4:0] == 5'd0};
      if (!c1_row_q) begin
        c2_ip_len_q   <= c1_ip_len_q;
        c2_checksum_q <= c1_checksum_q;
        c2_udp_len_q  <= c1_udp_len_q;
        c2_nh_q       <= c1_nh_q;
        hdr_q         <= hdr;
        if (c1_icv_q) hdr_q[255:160] <= c1_icv_data_q;
      end
    end
  end
  for (genvar w = 0; w < 8; w++) begin : gen_fill
    localparam int Top = 255 - 32 * w;
    logic [31:0] word, with_len;
    assign word = hdr_q[Top -: 32];
    if (w == 0)      assign with_len = {c2_udp_q[w] ? c2_udp_len_q : word[31:16], c2_v4_q ? c2_ip_len_q : word[15:0]};
    else if (w == 1) assign with_len = {c2_v6_q ? c2_ip_len_q : c2_udp_q[w] ? c2_udp_len_q : word[31:16], word[15:0]};
    else if (w == 2) assign with_len = {c2_udp_q[w] ? c2_udp_len_q : word[31:16], c2_v4_q ? c2_checksum_q : word[15:0]};
    else             assign with_len = {c2_udp_q[w] ? c2_udp_len_q : word[31:16], word[15:0]};
    if (w == 0)      assign filled[Top -: 32] = {c2_nh_at_q[0] ? c2_nh_q : with_len[31:24], with_len[23:0]};
    else if (w == 1) assign filled[Top -: 32] = {with_len[31:16], c2_nh_at_q[1] ? c2_nh_q : with_len[15:8],
                                                 with_len[7:0]};
    else if (w == 2) assign filled[Top -: 32] = {c2_nh_at_q[2] ? c2_nh_q : with_len[31:24],
                                                 c2_nh_at_q[3] ? c2_nh_q : with_len[23:16], with_len[15:0]};
    else if (w == 4) assign filled[Top -: 32] = {c2_nh_at_q[4] ? c2_nh_q : with_len[31:24], with_len[23:0]};
    else if (w == 6) assign filled[Top -: 32] = {c2_nh_at_q[5] ? c2_nh_q : with_len[31:24], with_len[23:0]};
    else             assign filled[Top -: 32] = with_len;
  end
  for (genvar k = 0; k < 32; k++) begin : gen_source
    assign source[8*k +: 8] = !c2_mask_q[k] ? 8'd0 : !c2_row_q ? filled[8*k +: 8] :
                              c2_low_q ? row_data_i[8*k +: 8] : row_data_i[256 + 8*k +: 8];
  end

  // ---- Stages 3 and 4: turn by up to 3 words, then by 4 -----------------------------------------------------------
  logic         x_valid_q, x_emit_q, x_close_q, x_ce_q, y_valid_q, y_emit_q, y_close_q, y_ce_q, y_turn_q;
  logic [2:0]   x_turn_q, x_fill_q;
  logic [7:0]   y_new_q;               // words from the fill level on, first word lowest
  logic [255:0] x_q, y_q, turned, carry_q, current;
  logic [351:0] doubled;
  assign doubled = {x_q, x_q[255:160]};
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      x_valid_q <= 1'b0;
      y_valid_q <= 1'b0;
    end else if (out_ready) begin
      x_valid_q <= c2_valid_q && !stall;
      y_valid_q <= x_valid_q;
    end
  end
  always_ff @(posedge clk_i) begin
    if (out_ready && c2_valid_q) begin
      x_q       <= source;
      x_emit_q  <= c2_emit_q;
      x_close_q <= c2_close_q;
      x_ce_q    <= c2_ce_q;
      x_turn_q  <= c2_turn_q;
      x_fill_q  <= c2_fill_q;
    end
    if (out_ready && x_valid_q) begin
      case (x_turn_q[1:0])
        2'd0:    y_q <= doubled[351 -: 256];
        2'd1:    y_q <= doubled[351-32 -: 256];
        2'd2:    y_q <= doubled[351-64 -: 256];
        default: y_q <= doubled[351-96 -: 256];
      endcase
      y_turn_q  <= x_turn_q[2];
      y_emit_q  <= x_emit_q;
      y_close_q <= x_close_q;
      y_ce_q    <= x_ce_q;
      y_new_q   <= 8'hff << x_fill_q;
    end
  end
  assign turned = y_turn_q ? {y_q[127:0], y_q[255:128]} : y_q;

  // ---- Stage 5: lay over what was left; two times 32 octets make a beat --------------------------------------------
  logic         first_q, second_q, full_q;  // first_q: 32 octets of a packet's start are next
  logic [255:0] high_q, low_q, left, marked;
  for (genvar w = 0; w < 8; w++) begin : gen_lay
    assign current[32*(7-w) +: 32] = carry_q[32*(7-w) +: 32] | (y_new_q[w] ? turned[32*(7-w) +: 32] : 32'd0);
    assign left[32*(7-w) +: 32]    = y_new_q[w] ? 32'd0 : turned[32*(7-w) +: 32];
  end
  // ECT(1) 01 and ECT(0) 10 become CE 11: the header's sum grows by 2 or 1, its checksum falls by as much, with the
  // borrow put back at the low end (RFC 1624 s3). What either family would need is worked out before the version is.
  logic [3:0]  version;
  logic [1:0]  ecn4, ecn6;
  logic        mark, mark_v4, mark_v6, borrow;
  logic [15:0] sum16;
  assign version = current[255:252];
  assign ecn4    = current[241:240];
  assign ecn6    = current[245:244];
  assign sum16   = current[175:160];
  assign borrow  = sum16[15:1] == 15'd0 && (ecn4[0] || !sum16[0]);
  assign mark    = y_ce_q && first_q;
  assign mark_v4 = mark && version == 4'd4 && ecn4[1] != ecn4[0];
  assign mark_v6 = mark && version == 4'd6 && ecn6[1] != ecn6[0];
  assign marked  = {current[255:246], ecn6 | {2{mark_v6}}, current[243:242], ecn4 | {2{mark_v4}}, current[239:176],
                    mark_v4 ? sum16 - {14'd0, ecn4[0], ecn4[1]} - 16'(borrow) : sum16, current[159:0]};
  assign out_ready = !full_q || wd_ready_i;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      first_q  <= 1'b1;
      second_q <= 1'b0;
      full_q   <= 1'b0;
      carry_q  <= '0;
    end else if (out_ready) begin
      full_q <= y_valid_q && y_emit_q && (second_q || y_close_q);
      if (y_valid_q && y_emit_q) begin
        first_q  <= y_close_q;
        second_q <= !second_q && !y_close_q;
      end
      if (y_valid_q) carry_q <= y_emit_q ? left : current;
    end
  end
  always_ff @(posedge clk_i) begin
    if (out_ready && y_valid_q && y_emit_q) begin
      if (!second_q) high_q <= marked;
      low_q <= second_q ? current : '0;
    end
  end
  assign wd_valid_o = full_q;
  for (genvar b = 0; b < 32; b++) begin : gen_order
    assign wd_data_o[8*b +: 8]       = high_q[8*(31-b) +: 8];
    assign wd_data_o[256 + 8*b +: 8] = low_q[8*(31-b) +: 8];
  end
  assign idle_o = wr_q == rd_q && !c1_valid_q && !c2_valid_q && !x_valid_q && !y_valid_q && !full_q;
endmodule
