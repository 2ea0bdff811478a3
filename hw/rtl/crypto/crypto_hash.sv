// HMAC-SHA1-96 and HMAC-MD5-96 (RFC 2404, 2403) over the streams of all slots, block by block: one SHA-1 ring and one
// MD5 ring behind one path that puts blocks together. It starts from the states after the pad blocks, so a stream of n
// octets (with 4 more for ESN) takes ceil((n + 9) / 64) inner blocks and one outer block. A slot has at most one block
// under way. Decap reads M1 from the opening on; encap reads M2, each row as soon as it is complete.
// A block goes from its queue into a ring in 6 cycles; up to 3 are on this path, so that a ring is fed every 3 cycles
// whatever the pattern of its free turns.
// final_* comes three cycles after a ring gave the last block (MD5: five).
module crypto_hash #(
  parameter int SlotBits = 8,
  parameter int RowBits  = 14
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  // States after the pad blocks, as good as the key; zeros to wipe them.
  input  logic                key_we_i,
  input  logic                key_wipe_i,
  input  logic [SlotBits-1:0] key_slot_i,
  input  logic [159:0]        key_istate_i,
  input  logic [159:0]        key_ostate_i,
  // Slot opened.
  input  logic                open_i,
  input  logic                open_hash_i,    // hash it from M1 from now on (decap)
  input  logic [SlotBits-1:0] open_slot_i,
  input  logic [RowBits-1:0]  open_row_i,
  input  logic [13:0]         open_len_i,
  input  logic                open_esn_i,
  input  logic [31:0]         open_seq_hi_i,
  input  logic                open_md5_i,
  input  logic                open_head_i,    // words 0 and 1 come from spi_seq and iv, not from M2
  input  logic [63:0]         open_spi_seq_i,
  input  logic [63:0]         open_iv_i,
  input  logic [95:0]         open_icv_i,
  // Words that got into M2; the row or, with last, the stream is complete with them.
  input  logic                x_valid_i,
  input  logic [SlotBits-1:0] x_slot_i,
  input  logic [RowBits-1:0]  x_row_i,
  input  logic [2:0]          x_sub_i,
  input  logic [7:0]          x_k_i,
  input  logic                x_last_i,
  input  logic                x_serial_i,
  input  logic                x_hash_i,
  input  logic                x_md5_i,
  output logic                x_hold_o,       // many rows wait: encrypt no more for now (what is under way is taken)
  // Read ports of M1 and M2; a read is always taken.
  output logic                m1_rd_o,
  output logic                m2_rd_o,
  output logic [RowBits-1:0]  row_o,
  input  logic [511:0]        m1_data_i,      // 2 cycles later
  input  logic [511:0]        m2_data_i,
  // Packet hashed.
  output logic                final_valid_o,
  output logic [SlotBits-1:0] final_slot_o,
  output logic                final_decap_o,
  output logic                final_match_o,  // the ICV is the received one
  output logic [95:0]         final_icv_o
);
  localparam int Slots = 1 << SlotBits;
  localparam int Entry = SlotBits + RowBits + 8 + 3;  // slot, row, block, run, decap, md5
  // run: all rows from this one on are there, so the slot's next block follows without being called for.

  // ---- Queues ----------------------------------------------------------------------------------------------------
  // Blocks whose row got complete in M2. A slot's row may be complete before its last block is done; then the entry
  // goes round the queue until it is. Streams that were not ciphered are called for once, at their end.
  logic                fresh, f_valid, f_pop, v_valid_q, v_move, v_pass, c_valid_q, c_pass_q, c_again, c_leave, c_pop;
  logic [Entry-1:0]    f_entry, v_entry_q, c_entry_q;
  logic [7:0]          v_done;
  assign fresh = x_valid_i && x_hash_i && (x_last_i || (x_serial_i && x_sub_i == 3'd7));
  slot_queue #(.Width(Entry), .Depth(4 * Slots)) u_fresh (
    .clk_i(clk_i), .rst_ni(rst_ni), .push_i(fresh || c_again),
    .data_i(!fresh ? c_entry_q
                   : {x_slot_i, x_serial_i ? x_row_i : x_row_i - RowBits'(x_k_i), x_serial_i ? x_k_i : 8'd0, x_last_i,
                      1'b0, x_md5_i}),
    .valid_o(f_valid), .pop_i(f_pop), .data_o(f_entry)
  );
  logic [SlotBits+2:0] f_level_q;  // entries of u_fresh
  always_ff @(posedge clk_i) begin
    if (!rst_ni) f_level_q <= '0;
    else f_level_q <= f_level_q + (SlotBits+3)'(fresh || c_again) - (SlotBits+3)'(f_pop);
  end
  assign x_hold_o = f_level_q[SlotBits+2] || f_level_q[SlotBits+1];  // half full

  logic                o_valid, o_pop;
  logic [Entry-1:0]    o_entry;
  slot_queue #(.Width(Entry), .Depth(Slots)) u_open (
    .clk_i(clk_i), .rst_ni(rst_ni), .push_i(open_i && open_hash_i),
    .data_i({open_slot_i, open_row_i, 8'd0, 2'b11, open_md5_i}),
    .valid_o(o_valid), .pop_i(o_pop), .data_o(o_entry)
  );
  logic                n_push, n_valid, n_pop;
  logic [Entry-1:0]    n_data, n_entry;
  slot_queue #(.Width(Entry), .Depth(Slots)) u_next (
    .clk_i(clk_i), .rst_ni(rst_ni), .push_i(n_push), .data_i(n_data),
    .valid_o(n_valid), .pop_i(n_pop), .data_o(n_entry)
  );

  // Blocks done of each slot; all ones before the first is.
  logic                done_we;
  logic [SlotBits-1:0] done_slot;
  logic [7:0]          done_data;
  slot_ram #(.Width(8), .Depth(Slots)) u_done (
    .clk_i(clk_i), .wr_en_i(done_we), .wr_addr_i(done_slot), .wr_data_i(done_data),
    .rd_en_i(f_pop), .rd_addr_i(f_entry[Entry-1 -: SlotBits]), .rd_data_o(v_done)
  );
  // v: the count is being read; c: whether the entry may go is known.
  assign f_pop   = f_valid && !v_valid_q;
  assign v_move  = v_valid_q && (!c_valid_q || c_leave);
  assign v_pass  = v_entry_q[10:3] == 8'd0 || v_entry_q[10:3] == v_done;
  assign c_again = c_valid_q && !c_pass_q && !fresh;
  assign c_leave = c_again || c_pop;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      v_valid_q <= 1'b0;
      c_valid_q <= 1'b0;
    end else begin
      v_valid_q <= f_pop || (v_valid_q && !v_move);
      c_valid_q <= v_move || (c_valid_q && !c_leave);
    end
  end
  always_ff @(posedge clk_i) begin
    if (f_pop) v_entry_q <= f_entry;
    if (v_move) begin
      c_entry_q <= v_entry_q;
      c_pass_q  <= v_pass;
    end
  end

  // ---- Stage 0: choice. Packets under way first, those that only begin last. ------------------------------------------
  logic             accept, prefer_fresh_q, issue, c_ready, use_c;
  logic [1:0]       path_q;   // blocks between here and the rings
  logic [Entry-1:0] entry;
  assign c_ready = c_valid_q && c_pass_q;
  assign issue = (n_valid || c_ready || o_valid) && (path_q != 2'd3 || accept);
  assign use_c = c_ready && (prefer_fresh_q || !n_valid);
  assign c_pop = issue && use_c;
  assign n_pop = issue && !use_c && n_valid;
  assign o_pop = issue && !use_c && !n_valid;
  assign entry = use_c ? c_entry_q : n_valid ? n_entry : o_entry;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) path_q <= '0;
    else path_q <= path_q + 2'(issue) - 2'(accept);
    if (issue) prefer_fresh_q <= !use_c;
  end

  // ---- Stages 1 to 3: read the row and what is known of the slot --------------------------------------------------------
  logic                s1_valid_q, s2_valid_q, s3_valid_q;
  logic [Entry-1:0]    s1_q, s2_q, s3_q;
  logic [SlotBits-1:0] s1_slot, s2_slot, s3_slot;
  logic [7:0]          s2_k;
  assign s1_slot = s1_q[Entry-1 -: SlotBits];
  assign s2_slot = s2_q[Entry-1 -: SlotBits];
  assign s3_slot = s3_q[Entry-1 -: SlotBits];
  assign s2_k    = s2_q[10:3];
  always_ff @(posedge clk_i) begin
    s1_valid_q <= rst_ni && issue;
    s2_valid_q <= rst_ni && s1_valid_q;
    s3_valid_q <= rst_ni && s2_valid_q;
  end
  always_ff @(posedge clk_i) begin
    if (issue) s1_q <= entry;
    if (s1_valid_q) s2_q <= s1_q;
    if (s2_valid_q) s3_q <= s2_q;
  end
  assign m1_rd_o = s1_valid_q && s1_q[1];
  assign m2_rd_o = s1_valid_q && !s1_q[1];
  assign row_o   = s1_q[11 +: RowBits];

  // Of a slot: last inner block, block in which the octets behind the stream begin and where, length of the message with
  // pad block, and these octets (high number of ESN, then 80): at their place in 64 bits, of which 32-bit words with
  // even numbers take the upper half and odd ones the lower.
  logic [13:0] w_len;
  logic [7:0]  w_last, r_last, r_tail;
  logic [5:0]  r_at;
  logic [13:0] r_len;
  logic        r_head;
  logic [31:0] w_high;
  logic [63:0] w_behind, r_behind;
  logic [5:0]  unused_low;
  assign w_len  = open_len_i + (open_esn_i ? 14'd68 : 14'd64);
  assign w_high = 32'({open_seq_hi_i, open_seq_hi_i} >> {open_len_i[1:0], 3'd0});
  assign {w_last, unused_low} = open_len_i + (open_esn_i ? 14'd12 : 14'd8);
  for (genvar j = 0; j < 8; j++) begin : gen_behind
    logic [2:0] from;  // octet j is this one of those behind the stream
    assign from = 3'(j) - open_len_i[2:0];
    assign w_behind[63-8*j -: 8] = (open_esn_i && !from[2] ? w_high[31-8*(j%4) -: 8] : 8'd0) |
                                   {from == {open_esn_i, 2'd0}, 7'd0};
  end
  slot_ram #(.Width(8 + 14 + 14 + 1 + 64), .Depth(Slots)) u_record (
    .clk_i(clk_i),
    .wr_en_i(open_i), .wr_addr_i(open_slot_i),
    .wr_data_i({w_last, open_len_i, w_len, open_head_i, w_behind}),
    .rd_en_i(s1_valid_q), .rd_addr_i(s1_slot), .rd_data_o({r_last, r_tail, r_at, r_len, r_head, r_behind})
  );
  logic [159:0] istate, ostate, chain;
  logic [127:0] head;
  slot_ram #(.Width(160), .Depth(Slots)) u_istate (
    .clk_i(clk_i), .wr_en_i(key_we_i), .wr_addr_i(key_slot_i), .wr_data_i(key_istate_i),
    .rd_en_i(s2_valid_q), .rd_addr_i(s2_slot), .rd_data_o(istate)
  );
  slot_ram #(.Width(160), .Depth(Slots)) u_ostate (
    .clk_i(clk_i), .wr_en_i(key_we_i), .wr_addr_i(key_slot_i), .wr_data_i(key_ostate_i),
    .rd_en_i(s2_valid_q), .rd_addr_i(s2_slot), .rd_data_o(ostate)
  );
  slot_ram #(.Width(128), .Depth(Slots)) u_head (
    .clk_i(clk_i), .wr_en_i(open_i && open_head_i), .wr_addr_i(open_slot_i), .wr_data_i({open_spi_seq_i, open_iv_i}),
    .rd_en_i(s2_valid_q && s2_k == 8'd0), .rd_addr_i(s2_slot), .rd_data_o(head)
  );

  // What stage 3 takes from where: the row up to octet `at` (all of it while full), or the inner digest. The octets
  // behind go into the 32-bit word at `at` and the next one. The message's length goes to the end of the last block.
  logic         outer, full_q, part_q, outer_q, first_q, head_q, wrap_q;
  logic [7:0]   s2_before_q;          // block before s2_k
  logic [7:0]   below8_q, same8_q;    // bit n: word n of 64 bits is before `at`, holds it
  logic [7:0]   below_q;              // bit n: octet n of a word of 64 bits is before `at` in its own
  logic [15:0]  put_q;                // bit n: 32-bit word n is the one at `at` or the next
  logic [63:0]  behind_q;
  logic [16:3]  bits, sha1_bits_q, md5_bits_q;
  assign outer = s2_before_q == r_last;
  assign bits  = outer ? (s2_q[0] ? 14'd80 : 14'd84) : s2_k == r_last ? r_len : 14'd0;  // 64, and the inner digest
  always_ff @(posedge clk_i) begin
    if (s1_valid_q) s2_before_q <= s1_q[10:3] - 8'd1;
    if (s2_valid_q) begin
      full_q   <= s2_k < r_tail;
      part_q   <= s2_k == r_tail;
      outer_q  <= outer;
      wrap_q   <= s2_k > r_tail && !outer && r_at[5:2] == 4'd15;
      first_q  <= s2_k == 8'd0;
      head_q   <= r_head && s2_k == 8'd0;
      behind_q <= !outer ? r_behind : s2_q[0] ? {8'h80, 56'd0} : {32'd0, 8'h80, 24'd0};  // words 4, 5
      for (int n = 0; n < 8; n++) begin
        below8_q[n] <= 3'(n) < r_at[5:3];
        same8_q[n]  <= 3'(n) == r_at[5:3];
        below_q[n]  <= 3'(n) < r_at[2:0];
      end
      for (int n = 0; n < 16; n++) put_q[n] <= r_at[5:2] == 4'(n) || (n != 0 && r_at[5:2] == 4'(n - 1));
      sha1_bits_q <= s2_q[0] ? 14'd0 : bits;
      md5_bits_q  <= s2_q[0] ? bits : 14'd0;
    end
  end

  // ---- Stage 4 (a): the block -----------------------------------------------------------------------------------------
  logic         a_valid_q, b_valid_q, a_move, md5;
  logic [511:0] a_data_q;
  logic [159:0] a_state_q;
  logic         a_md5_q;
  logic [SlotBits-1:0] a_slot_q;
  logic [63:0]  keep;          // bit j: data octet j, first on top
  logic [15:0]  put;           // bit n: word n takes octets of behind_q; word 0 on top
  logic [63:0]  bits_at;       // message length in the last two words
  assign md5 = s3_q[0];
  for (genvar j = 0; j < 64; j++) begin : gen_keep
    assign keep[63-j] = full_q || (part_q && (below8_q[j/8] || (same8_q[j/8] && below_q[j%8]))) ||
                        (outer_q && (j < 16 || (j < 20 && !md5)));
  end
  for (genvar n = 0; n < 16; n++) begin : gen_put
    assign put[15-n] = (part_q && put_q[n]) || (n == 0 && wrap_q) ||
                       (outer_q && (n == 5 || (n == 4 && md5) || (n == 6 && !md5)));
  end
  // MD5 puts the lowest octet first.
  assign bits_at = {md5_bits_q[7:3], 3'd0, md5_bits_q[15:8], 7'd0, md5_bits_q[16], 23'd0, sha1_bits_q, 3'd0};

  // The octets of each 32-bit number turned round: MD5 counts the first as the lowest.
  function automatic logic [127:0] turned(input logic [127:0] x);
    for (int n = 0; n < 16; n++) turned[8*n +: 8] = x[32*(n/4) + 8*(3-n%4) +: 8];
  endfunction

  logic [511:0] row;
  assign row[511:384] = head_q ? head : outer_q ? chain[159:32] : s3_q[1] ? m1_data_i[511:384] : m2_data_i[511:384];
  assign row[383:352] = outer_q ? chain[31:0] : s3_q[1] ? m1_data_i[383:352] : m2_data_i[383:352];
  assign row[351:0]   = s3_q[1] ? m1_data_i[351:0] : m2_data_i[351:0];
  always_ff @(posedge clk_i) begin
    if (s3_valid_q) begin
      for (int j = 0; j < 64; j++)
        a_data_q[8*j +: 8] <= (row[8*j +: 8] & {8{keep[j]}}) | (behind_q[8*(j%8) +: 8] & {8{put[j/4]}}) |
                              (j < 8 ? bits_at[8*(j%8) +: 8] : 8'd0);
      a_state_q <= first_q ? istate : outer_q ? ostate : md5 ? {turned(chain[159:32]), 32'd0} : chain;
      a_md5_q   <= md5;
      a_slot_q  <= s3_slot;
    end
  end

  // ---- Stage 5 (w): waiting room ----------------------------------------------------------------------------------------------
  logic         w_valid_q, w_md5_q, w_move;
  logic [511:0] w_data_q;
  logic [159:0] w_state_q;
  logic [SlotBits-1:0] w_slot_q;
  always_ff @(posedge clk_i) begin
    if (a_move) begin
      w_data_q  <= a_data_q;
      w_state_q <= a_state_q;
      w_md5_q   <= a_md5_q;
      w_slot_q  <= a_slot_q;
    end
  end

  // ---- Stage 6 (b): until a ring takes it -----------------------------------------------------------------------
  logic [511:0]        b_block_q;
  logic [159:0]        b_state_q;
  logic                b_md5_q, sha1_ready, md5_ready;
  logic [SlotBits-1:0] b_slot_q;
  assign a_move = a_valid_q && (!w_valid_q || w_move);
  assign w_move = w_valid_q && (!b_valid_q || accept);
  assign accept = b_valid_q && (b_md5_q ? md5_ready : sha1_ready);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      a_valid_q <= 1'b0;
      w_valid_q <= 1'b0;
      b_valid_q <= 1'b0;
    end else begin
      a_valid_q <= s3_valid_q || (a_valid_q && !a_move);
      w_valid_q <= a_move || (w_valid_q && !w_move);
      b_valid_q <= w_move || (b_valid_q && !accept);
    end
  end
  always_ff @(posedge clk_i) begin
    if (w_move) begin
      b_block_q <= w_data_q;
      b_state_q <= w_state_q;
      b_md5_q   <= w_md5_q;
      b_slot_q  <= w_slot_q;
    end
  end

  // ---- Rings -------------------------------------------------------------------------------------------------------------
  logic                sha1_valid, md5_valid, md5_got, md5_take, e_valid;
  logic [SlotBits-1:0] sha1_slot, md5_slot, md5_got_slot, e_slot;
  logic [159:0]        sha1_state;
  logic [127:0]        md5_state, md5_got_state;
  sha1_ring #(.TagWidth(SlotBits)) u_sha1 (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(b_valid_q && !b_md5_q), .ready_o(sha1_ready), .tag_i(b_slot_q),
    .state_i(b_state_q), .block_i(b_block_q), .valid_o(sha1_valid), .tag_o(sha1_slot), .state_o(sha1_state)
  );
  md5_ring #(.TagWidth(SlotBits)) u_md5 (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(b_valid_q && b_md5_q), .ready_o(md5_ready), .tag_i(b_slot_q),
    .state_i(b_state_q[159:32]), .block_i(b_block_q), .valid_o(md5_valid), .tag_o(md5_slot), .state_o(md5_state)
  );
  // MD5 results wait here for a cycle without a SHA-1 result.
  slot_queue #(.Width(SlotBits + 128), .Depth(16)) u_md5_result (
    .clk_i(clk_i), .rst_ni(rst_ni), .push_i(md5_valid), .data_i({md5_slot, turned(md5_state)}),
    .valid_o(md5_got), .pop_i(md5_take), .data_o({md5_got_slot, md5_got_state})
  );
  assign md5_take = md5_got && !sha1_valid;
  assign e_valid  = sha1_valid || md5_got;
  assign e_slot   = sha1_valid ? sha1_slot : md5_got_slot;

  // The block that a slot has under way.
  logic [Entry-1-SlotBits:0] e1_block;
  logic                      e1_outer;
  slot_ram #(.Width(Entry - SlotBits + 1), .Depth(Slots)) u_block (
    .clk_i(clk_i), .wr_en_i(s3_valid_q), .wr_addr_i(s3_slot), .wr_data_i({s3_q[Entry-1-SlotBits:0], outer_q}),
    .rd_en_i(e_valid), .rd_addr_i(e_slot), .rd_data_o({e1_block, e1_outer})
  );

  // Result, its first octet on top for MD5 too.
  logic                e1_valid_q;
  logic [SlotBits-1:0] e1_slot_q;
  logic [159:0]        e1_state_q;
  logic [RowBits-1:0]  e1_row;
  logic [7:0]          e1_k;
  logic                e1_run, e1_decap, e1_md5;
  always_ff @(posedge clk_i) e1_valid_q <= rst_ni && e_valid;
  always_ff @(posedge clk_i) begin
    if (e_valid) begin
      e1_slot_q  <= e_slot;
      e1_state_q <= sha1_valid ? sha1_state : {md5_got_state, 32'd0};
    end
  end
  assign {e1_row, e1_k, e1_run, e1_decap, e1_md5} = e1_block;
  slot_ram #(.Width(160), .Depth(Slots)) u_chain (
    .clk_i(clk_i), .wr_en_i(e1_valid_q), .wr_addr_i(e1_slot_q), .wr_data_i(e1_state_q),
    .rd_en_i(s2_valid_q), .rd_addr_i(s2_slot), .rd_data_o(chain)
  );
  assign n_push    = e1_valid_q && e1_run && !e1_outer;
  assign n_data    = {e1_slot_q, e1_row + 1'b1, e1_k + 8'd1, 1'b1, e1_decap, e1_md5};
  assign done_we   = e1_valid_q || (key_we_i && key_wipe_i);
  assign done_slot = e1_valid_q ? e1_slot_q : key_slot_i;
  assign done_data = (e1_valid_q && !e1_outer) ? e1_k + 8'd1 : 8'hff;

  // ---- ICV: all 96 bits compared, in two cycles, however many differ --------------------------------------------------------
  logic                e2_valid_q, e2_decap_q, e3_valid_q, e3_decap_q;
  logic [SlotBits-1:0] e2_slot_q, e3_slot_q;
  logic [95:0]         e2_icv_q, e3_icv_q, received;
  logic [7:0]          e3_differ_q;
  slot_ram #(.Width(96), .Depth(Slots)) u_icv (
    .clk_i(clk_i), .wr_en_i(open_i), .wr_addr_i(open_slot_i), .wr_data_i(open_icv_i),
    .rd_en_i(e1_valid_q && e1_outer), .rd_addr_i(e1_slot_q), .rd_data_o(received)
  );
  always_ff @(posedge clk_i) begin
    e2_valid_q <= rst_ni && e1_valid_q && e1_outer;
    e3_valid_q <= rst_ni && e2_valid_q;
  end
  always_ff @(posedge clk_i) begin
    if (e1_valid_q) begin
      e2_slot_q  <= e1_slot_q;
      e2_decap_q <= e1_decap;
      e2_icv_q   <= e1_state_q[159:64];
    end
    if (e2_valid_q) begin
      e3_slot_q  <= e2_slot_q;
      e3_decap_q <= e2_decap_q;
      e3_icv_q   <= e2_icv_q;
      for (int n = 0; n < 8; n++) e3_differ_q[n] <= e2_icv_q[12*n +: 12] != received[12*n +: 12];
    end
  end
  assign final_valid_o = e3_valid_q;
  assign final_slot_o  = e3_slot_q;
  assign final_decap_o = e3_decap_q;
  assign final_match_o = e3_differ_q == 8'd0;
  assign final_icv_o   = e3_icv_q;

  logic unused;
  assign unused = &{1'b0, unused_low};
endmodule
