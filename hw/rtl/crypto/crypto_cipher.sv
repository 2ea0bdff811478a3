// Moves the streams of all slots from buffer M1 to M2, one word a cycle, all through one 3DES pipeline.
// Three kinds share it. Serial encryption: one block of a packet is under way at a time; the next one enters in the
// cycle in which the one before comes out, every 49 cycles, so 49 packets fill the pipeline. Streams, one after the
// other, a word a cycle: decryption, and bypass (NULL, AH), which takes its words unchanged around the pipeline.
// Encryption and streams take turns when both want the pipeline. A stream reads M1 by rows and keeps up to three of
// them, so that it leaves most of the read port to others. Nothing here waits behind the pipeline: x_* must be taken.
// Words 0 and 1 (SPI and number, IV) of a ciphered stream are not moved.
module crypto_cipher #(
  parameter int SlotBits = 8,
  parameter int RowBits  = 14,
  parameter int KeyCarry = 1     // see tdes_pipe
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  // Key of a slot: set when it is opened, wiped when it is done with.
  input  logic                key_we_i,
  input  logic [SlotBits-1:0] key_slot_i,
  input  logic                key_wipe_i,
  input  logic                key_decrypt_i,
  input  logic [191:0]        key_i,
  // Slot opened: start now (serial or stream), or, for a stream, remember until match_*.
  input  logic                open_i,
  input  logic                open_serial_i,  // encrypt
  input  logic                open_stream_i,  // start the stream at once
  input  logic [SlotBits-1:0] open_slot_i,
  input  logic [RowBits-1:0]  open_row_i,     // first row
  input  logic [10:0]         open_words_i,   // words of the stream
  input  logic                open_encap_i,
  input  logic                open_crypt_i,   // deciphers (else bypass)
  input  logic                open_esp_i,
  input  logic                open_hash_i,    // encap with an ICV
  input  logic                open_md5_i,
  input  logic [63:0]         open_iv_i,
  // The ICV of a packet matched: start its stream.
  input  logic                match_valid_i,
  input  logic [SlotBits-1:0] match_slot_i,
  input  logic                hold_i,         // encrypt nothing more for now
  // M1 read port; free_i does not depend on rd_o.
  input  logic                m1_free_i,
  output logic                m1_rd_o,
  output logic [RowBits-1:0]  m1_row_o,
  input  logic [511:0]        m1_data_i,      // 2 cycles after m1_rd_o
  // Words done, in order within a slot; all words of one stream before those of the next.
  output logic                x_valid_o,
  output logic [SlotBits-1:0] x_slot_o,
  output logic [RowBits-1:0]  x_row_o,
  output logic [2:0]          x_sub_o,        // word in the row
  output logic [7:0]          x_k_o,          // row in the stream
  output logic                x_last_o,
  output logic                x_serial_o,
  output logic                x_decap_o,      // ESP decap: to be checked inside
  output logic                x_head_o,       // its first word of payload
  output logic                x_hash_o,
  output logic                x_md5_o,
  output logic [63:0]         x_data_o
);
  localparam int Latency  = 49;   // of tdes_pipe
  localparam int Ahead    = 5;    // from the call for a block (early_push) to its entry into the pipeline
  localparam int RingBits = 6;    // delay lines are rings of 64
  localparam int Slots    = 1 << SlotBits;
  localparam int PosBits  = SlotBits + RowBits + 8 + 3;      // slot, row, row in the stream, word in the row
  localparam int BlkBits  = PosBits + 11 + 2;                // position, blocks left with this one, hash, md5
  localparam int RowTag   = SlotBits + RowBits + 8 + 3 + 3 + 2 + 5;
  localparam int Meta     = PosBits + 8;

  // ---- Serial encryption: packets to start and packets whose next block may go ---------------------------------
  logic               start_valid, start_pop, again_valid, again_pop, early_push;
  logic [BlkBits-1:0] start_blk, again_blk, early_blk, enc_blk;
  slot_queue #(.Width(BlkBits), .Depth(Slots)) u_start (
    .clk_i(clk_i), .rst_ni(rst_ni),
    .push_i(open_i && open_serial_i),
    .data_i({open_slot_i, open_row_i, 8'd0, 3'd2, open_words_i - 11'd2, open_hash_i, open_md5_i}),
    .valid_o(start_valid), .pop_i(start_pop), .data_o(start_blk)
  );
  slot_queue #(.Width(BlkBits), .Depth(Slots)) u_again (
    .clk_i(clk_i), .rst_ni(rst_ni), .push_i(early_push), .data_i(early_blk),
    .valid_o(again_valid), .pop_i(again_pop), .data_o(again_blk)
  );
  assign enc_blk = again_valid ? again_blk : start_blk;

  // ---- Streams: choose the next, fetch its record, ask for its rows ---------------------------------------------
  logic                so_valid, so_pop, sm_valid, sm_pop, l_valid_q, l_load, a_valid_q, a_load, row_req, row_last;
  logic [SlotBits-1:0] so_slot, sm_slot, l_slot_q, a_slot_q;
  logic [RowBits-1:0]  l_row, a_row_q;
  logic [10:0]         l_words, a_left_q;  // words from the row's first on
  logic [7:0]          a_k_q;
  logic [4:0]          l_flags, a_flags_q; // encap, crypt, esp, hash, md5
  slot_queue #(.Width(SlotBits), .Depth(Slots)) u_stream_open (
    .clk_i(clk_i), .rst_ni(rst_ni), .push_i(open_i && open_stream_i), .data_i(open_slot_i),
    .valid_o(so_valid), .pop_i(so_pop), .data_o(so_slot)
  );
  slot_queue #(.Width(SlotBits), .Depth(Slots)) u_stream_match (
    .clk_i(clk_i), .rst_ni(rst_ni), .push_i(match_valid_i), .data_i(match_slot_i),
    .valid_o(sm_valid), .pop_i(sm_pop), .data_o(sm_slot)
  );
  slot_ram #(.Width(RowBits + 11 + 5), .Depth(Slots)) u_record (
    .clk_i(clk_i),
    .wr_en_i(open_i), .wr_addr_i(open_slot_i),
    .wr_data_i({open_row_i, open_words_i, open_encap_i, open_crypt_i, open_esp_i, open_hash_i, open_md5_i}),
    .rd_en_i(l_load), .rd_addr_i(sm_valid ? sm_slot : so_slot), .rd_data_o({l_row, l_words, l_flags})
  );
  assign a_load = l_valid_q && (!a_valid_q || (row_req && row_last));
  assign l_load = (so_valid || sm_valid) && (!l_valid_q || a_load);
  assign sm_pop = l_load && sm_valid;
  assign so_pop = l_load && !sm_valid;

  logic [1:0] rows_q;     // rows asked for and not used up
  logic       row_done;
  assign row_last = a_left_q <= 11'd8;
  assign row_req  = a_valid_q && rows_q != 2'd3 && m1_free_i;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      l_valid_q <= 1'b0;
      a_valid_q <= 1'b0;
      rows_q    <= '0;
    end else begin
      l_valid_q <= l_load || (l_valid_q && !a_load);
      a_valid_q <= a_load || (a_valid_q && !(row_req && row_last));
      rows_q    <= rows_q + 2'(row_req) - 2'(row_done);
    end
  end
  always_ff @(posedge clk_i) begin
    if (l_load) l_slot_q <= sm_valid ? sm_slot : so_slot;
    if (a_load) begin
      a_slot_q  <= l_slot_q;
      a_row_q   <= l_row;
      a_left_q  <= l_words;
      a_flags_q <= l_flags;
      a_k_q     <= '0;
    end else if (row_req) begin
      a_row_q  <= a_row_q + 1'b1;
      a_left_q <= a_left_q - 11'd8;
      a_k_q    <= a_k_q + 8'd1;
    end
  end

  // A row and what it is: asked for, under way in M1 (1, 2), then in three places of which h is used.
  logic              r1_valid_q, r2_valid_q, c_valid_q, b_valid_q, h_valid_q, b_move, h_move, h_use;
  logic [RowTag-1:0] r1_tag_q, r2_tag_q, c_tag_q, b_tag_q, h_tag_q;
  logic [511:0]      c_row_q, b_row_q, h_row_q;
  logic [2:0]        h_sub_q, h_end;
  logic              a_skip;
  assign a_skip = a_k_q == '0 && a_flags_q[3];  // first row of a ciphered stream
  assign h_move = b_valid_q && (!h_valid_q || row_done);
  assign b_move = c_valid_q && (!b_valid_q || h_move);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      r1_valid_q <= 1'b0;
      r2_valid_q <= 1'b0;
      c_valid_q  <= 1'b0;
      b_valid_q  <= 1'b0;
      h_valid_q  <= 1'b0;
    end else begin
      r1_valid_q <= row_req;
      r2_valid_q <= r1_valid_q;
      c_valid_q  <= r2_valid_q || (c_valid_q && !b_move);
      b_valid_q  <= b_move || (b_valid_q && !h_move);
      h_valid_q  <= h_move || (h_valid_q && !row_done);
    end
  end
  always_ff @(posedge clk_i) begin
    if (row_req)
      r1_tag_q <= {a_slot_q, a_row_q, a_k_q, a_skip ? 3'd2 : 3'd0, row_last ? a_left_q[2:0] - 3'd1 : 3'd7,
                   a_k_q == '0, row_last, a_flags_q};
    if (r1_valid_q) r2_tag_q <= r1_tag_q;
    if (r2_valid_q) begin
      c_tag_q <= r2_tag_q;
      c_row_q <= m1_data_i;
    end
    if (b_move) begin
      b_tag_q <= c_tag_q;
      b_row_q <= c_row_q;
    end
    if (h_move) begin
      h_tag_q <= b_tag_q;
      h_row_q <= b_row_q;
    end
    if (h_move) h_sub_q <= b_tag_q[12:10];
    else if (h_use) h_sub_q <= h_sub_q + 3'd1;
  end
  logic [SlotBits-1:0] h_slot;
  logic [RowBits-1:0]  h_row;
  logic [7:0]          h_k;
  logic [2:0]          h_begin;
  logic                h_first, h_final, h_encap, h_crypt, h_esp, h_hash, h_md5;
  assign {h_slot, h_row, h_k, h_begin, h_end, h_first, h_final, h_encap, h_crypt, h_esp, h_hash, h_md5} = h_tag_q;
  assign row_done = h_use && h_sub_q == h_end;

  // ---- Choice ------------------------------------------------------------------------------------------------------
  logic prefer_stream_q, can_enc, use_enc, pick;
  assign can_enc   = (again_valid || start_valid) && !hold_i && m1_free_i && !row_req;
  assign use_enc   = can_enc && !(h_valid_q && prefer_stream_q);
  assign h_use     = h_valid_q && !use_enc;
  assign pick      = use_enc || h_use;
  assign again_pop = use_enc && again_valid;
  assign start_pop = use_enc && !again_valid;
  assign m1_rd_o   = row_req || use_enc;
  assign m1_row_o  = row_req ? a_row_q : enc_blk[11 + 2 + 3 + 8 +: RowBits];
  always_ff @(posedge clk_i) prefer_stream_q <= use_enc;

  // Word `n` of a row.
  function automatic logic [63:0] word_of(input logic [511:0] row, input logic [2:0] n);
    logic [2:0] up;
    up      = ~n;
    word_of = row[{up, 6'd0} +: 64];
  endfunction

  // Stages 1 to 3 after the choice; the block enters the pipeline in stage 3. Encryption's row comes in stage 2.
  // meta: position, last, serial, crypt, decap, head, hash, md5, first.
  logic            s1_valid_q, s2_valid_q, s3_valid_q;
  logic [Meta-1:0] s1_meta_q, s2_meta_q, s3_meta_q;
  logic [10:0]     s1_left_q, s2_left_q, s3_left_q;
  logic [63:0]     s1_word_q, s2_word_q, s3_word_q, s1_iv_q, prev_q, s2_mask_q, s3_mask_q, iv;
  always_ff @(posedge clk_i) begin
    s1_valid_q <= rst_ni && pick;
    s2_valid_q <= rst_ni && s1_valid_q;
    s3_valid_q <= rst_ni && s2_valid_q;
  end
  always_ff @(posedge clk_i) begin
    if (use_enc) begin
      s1_meta_q <= {enc_blk[BlkBits-1 -: PosBits], enc_blk[12:2] == 11'd1, 3'b110, enc_blk[1:0],
                    start_pop, 1'b0};
      s1_left_q <= enc_blk[12:2];
    end else if (h_use) begin
      s1_meta_q <= {h_slot, h_row, h_k, h_sub_q, h_final && h_sub_q == h_end, 1'b0, h_crypt, h_esp && !h_encap,
                    h_hash, h_md5, h_first && h_sub_q == h_begin,
                    h_first && h_sub_q == (h_crypt ? 3'd2 : 3'd1)};
      s1_word_q <= word_of(h_row_q, h_sub_q);
    end
    if (h_use && h_first && h_sub_q == h_begin) s1_iv_q <= h_row_q[447:384];
  end
  // A stream's mask is what its word meets behind the pipeline: the ciphertext before it, or itself for a bypass.
  logic s1_serial, s1_crypt, s1_first, s2_serial, s2_first;
  assign s1_serial = s1_meta_q[6];
  assign s1_crypt  = s1_meta_q[5];
  assign s1_first  = s1_meta_q[1];
  assign s2_serial = s2_meta_q[6];
  assign s2_first  = s2_meta_q[1];
  always_ff @(posedge clk_i) begin
    if (s1_valid_q) begin
      s2_meta_q <= s1_meta_q;
      s2_left_q <= s1_left_q;
    end
    if (s1_valid_q && !s1_serial) begin
      s2_word_q <= s1_word_q;
      prev_q    <= s1_word_q;
      s2_mask_q <= !s1_crypt ? s1_word_q : s1_first ? s1_iv_q : prev_q;
    end
  end
  slot_ram #(.Width(64), .Depth(Slots)) u_iv (
    .clk_i(clk_i), .wr_en_i(open_i && open_serial_i), .wr_addr_i(open_slot_i), .wr_data_i(open_iv_i),
    .rd_en_i(s1_valid_q && s1_serial && s1_first), .rd_addr_i(s1_meta_q[Meta-1 -: SlotBits]), .rd_data_o(iv)
  );

  // Chaining value: the block before comes out just now (1), came out a cycle ago (2), or stands in memory (3).
  logic                pm_valid, p_valid;
  logic [Meta-1:0]     pm_meta, p_meta_q;
  logic [1:0]          s3_chain_q;
  logic [SlotBits-1:0] s2_slot;
  logic [63:0]         chain, p_data, p_data_q;
  assign s2_slot = s2_meta_q[Meta-1 -: SlotBits];
  always_ff @(posedge clk_i) begin
    if (s2_valid_q) begin
      s3_meta_q <= s2_meta_q;
      s3_left_q <= s2_left_q;
      s3_word_q <= s2_serial ? word_of(m1_data_i, s2_meta_q[10:8]) ^ (s2_first ? iv : 64'd0) : s2_word_q;
      s3_mask_q <= s2_serial ? 64'd0 : s2_mask_q;
      if (!s2_serial || s2_first) s3_chain_q <= 2'd0;
      else if (pm_valid && pm_meta[Meta-1 -: SlotBits] == s2_slot) s3_chain_q <= 2'd1;
      else if (p_valid && p_meta_q[Meta-1 -: SlotBits] == s2_slot) s3_chain_q <= 2'd2;
      else s3_chain_q <= 2'd3;
    end
  end
  slot_ram #(.Width(64), .Depth(Slots)) u_chain (
    .clk_i(clk_i),
    .wr_en_i(p_valid && p_meta_q[6]), .wr_addr_i(p_meta_q[Meta-1 -: SlotBits]), .wr_data_i(p_data),
    .rd_en_i(s2_valid_q && s2_serial && !s2_first), .rd_addr_i(s2_slot), .rd_data_o(chain)
  );
  always_ff @(posedge clk_i) if (p_valid) p_data_q <= p_data;

  logic [63:0] s3_link, s3_data;
  always_comb begin
    case (s3_chain_q)
      2'd1: s3_link = p_data;
      2'd2: s3_link = p_data_q;
      2'd3: s3_link = chain;
      default: s3_link = 64'd0;
    endcase
  end
  assign s3_data = s3_word_q ^ s3_link;
  logic tdes_valid;  // not looked at: a bypass leaves it low, under_way_q knows better
  tdes_pipe #(.Slots(Slots), .KeyCarry(KeyCarry)) u_tdes (
    .clk_i(clk_i), .rst_ni(rst_ni),
    .key_we_i(key_we_i), .key_slot_i(key_slot_i), .key_wipe_i(key_wipe_i), .key_decrypt_i(key_decrypt_i),
    .key_i(key_i),
    .valid_i(s3_valid_q && s3_meta_q[5]), .slot_i(s3_meta_q[Meta-1 -: SlotBits]), .data_i(s3_data),
    .valid_o(tdes_valid), .data_o(p_data)
  );

  // ---- What goes around the pipeline -----------------------------------------------------------------------------
  logic [RingBits-1:0] now_q;
  logic [Latency-1:0]  under_way_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      now_q       <= '0;
      under_way_q <= '0;
    end else begin
      now_q       <= now_q + 1'b1;
      under_way_q <= {under_way_q[Latency-2:0], s3_valid_q};
    end
  end
  assign pm_valid = under_way_q[Latency-2];
  assign p_valid  = under_way_q[Latency-1];
  slot_ram #(.Width(Meta), .Depth(2**RingBits)) u_meta (
    .clk_i(clk_i), .wr_en_i(s3_valid_q), .wr_addr_i(now_q), .wr_data_i(s3_meta_q),
    .rd_en_i(under_way_q[Latency-3]), .rd_addr_i(now_q - RingBits'(Latency - 2)), .rd_data_o(pm_meta)
  );
  logic [63:0] p_mask;
  slot_ram #(.Width(64), .Depth(2**RingBits)) u_mask (
    .clk_i(clk_i), .wr_en_i(s3_valid_q), .wr_addr_i(now_q), .wr_data_i(s3_mask_q),
    .rd_en_i(pm_valid), .rd_addr_i(now_q - RingBits'(Latency - 1)), .rd_data_o(p_mask)
  );
  always_ff @(posedge clk_i) if (pm_valid) p_meta_q <= pm_meta;

  // The next block of a packet is called for so early that it enters as this one comes out.
  logic [PosBits-1:0]  e_pos;
  logic [10:0]         e_left;
  logic [1:0]          e_hash;
  logic                e_more;
  logic [SlotBits-1:0] e_slot;
  logic [RowBits-1:0]  e_row;
  logic [7:0]          e_k;
  logic [2:0]          e_sub;
  slot_ram #(.Width(PosBits + 14), .Depth(2**RingBits)) u_early (
    .clk_i(clk_i), .wr_en_i(s3_valid_q), .wr_addr_i(now_q),
    .wr_data_i({s3_meta_q[Meta-1 -: PosBits], s3_left_q, s3_meta_q[3:2], s3_meta_q[6] && !s3_meta_q[7]}),
    .rd_en_i(under_way_q[Latency-Ahead-2]), .rd_addr_i(now_q - RingBits'(Latency - Ahead - 1)),
    .rd_data_o({e_pos, e_left, e_hash, e_more})
  );
  assign {e_slot, e_row, e_k, e_sub} = e_pos;
  assign early_push = under_way_q[Latency-Ahead-1] && e_more;
  assign early_blk  = {e_slot, e_sub == 3'd7 ? e_row + 1'b1 : e_row, e_sub == 3'd7 ? e_k + 8'd1 : e_k, e_sub + 3'd1,
                       e_left - 11'd1, e_hash};

  // ---- Result ------------------------------------------------------------------------------------------------------
  logic            x_valid_q;
  logic [Meta-1:0] x_meta_q;
  logic [63:0]     x_data_q;
  always_ff @(posedge clk_i) x_valid_q <= rst_ni && p_valid;
  always_ff @(posedge clk_i) begin
    if (p_valid) begin
      x_meta_q <= p_meta_q;
      x_data_q <= p_meta_q[5] ? p_data ^ p_mask : p_mask;
    end
  end
  assign x_valid_o = x_valid_q;
  assign {x_slot_o, x_row_o, x_k_o, x_sub_o} = x_meta_q[Meta-1 -: PosBits];
  assign {x_last_o, x_serial_o} = x_meta_q[7:6];
  assign {x_decap_o, x_hash_o, x_md5_o} = x_meta_q[4:2];
  assign x_head_o  = x_meta_q[0];
  assign x_data_o  = x_data_q;

  logic unused;
  assign unused = &{1'b0, tdes_valid, x_meta_q[5], x_meta_q[1]};
endmodule
