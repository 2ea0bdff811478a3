// HMAC-SHA1-96 (RFC 2404) over SPI, sequence number, IV and ciphertext of the packets of all slots, block by block
// as the cipher makes or passes them. Starts from the states after the pad blocks, so a packet of n octets takes
// ceil((n + 9) / 64) inner blocks and one outer block. A slot has at most one block in the engine.
// Words are 8 octets: header word 0 is SPI and sequence number, word 1 the IV, word 2 the first cipher block.
module lane_hash #(
  parameter int Slots     = 32,
  parameter int SlotBytes = 2048,
  parameter int HashUnits = 8,
  localparam int SlotBits = $clog2(Slots),
  localparam int RowBits  = $clog2(SlotBytes / 64),
  localparam int IdxBits  = $clog2(SlotBytes / 8)
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic [31:0]         cycle_i,
  // States after the pad blocks (as good as the key) and header word of a slot: set when a job is taken into it,
  // wiped when it is done with.
  input  logic                key_we_i,
  input  logic [SlotBits-1:0] key_slot_i,
  input  logic                key_wipe_i,
  input  logic [159:0]        key_istate_i,
  input  logic [159:0]        key_ostate_i,
  input  logic [63:0]         spi_seq_i,
  // Slot opened.
  input  logic                open_i,
  input  logic [SlotBits-1:0] open_slot_i,
  input  logic                open_encap_i,
  input  logic [IdxBits-1:0]  open_blocks_i,
  input  logic [63:0]         open_iv_i,
  input  logic [95:0]         open_icv_i,   // decap: as received
  // Ciphertext words, in order within a slot.
  input  logic                x_valid_i,
  input  logic [SlotBits-1:0] x_slot_i,
  input  logic [IdxBits-1:0]  x_index_i,
  input  logic                x_last_i,
  input  logic [63:0]         x_cipher_i,
  // Packet done.
  output logic                done_valid_o,
  output logic [SlotBits-1:0] done_slot_o,
  output logic                done_ok_o,    // encap, or the ICV is the received one
  output logic [95:0]         done_icv_o,
  output logic [31:0]         done_cycle_o
);
  localparam int BlkBits = IdxBits - 2;     // number of a block: padding and outer block reach past the buffer
  localparam int Entry   = SlotBits + BlkBits;

  logic [159:0]       istate_mem [0:Slots-1];
  logic [159:0]       ostate_mem [0:Slots-1];
  logic [159:0]       state_mem [0:Slots-1];   // after the last block done
  logic [63:0]        spi_seq_mem [0:Slots-1];
  logic [63:0]        iv_mem [0:Slots-1];
  logic [95:0]        icv_mem [0:Slots-1];
  logic               encap_mem [0:Slots-1];
  logic [IdxBits:0]   words_mem [0:Slots-1];   // authenticated words
  logic [BlkBits-1:0] avail_mem [0:Slots-1];   // blocks whose data is there, the outer one included at the end

  always_ff @(posedge clk_i) begin
    if (key_we_i) begin
      istate_mem[key_slot_i]  <= key_wipe_i ? '0 : key_istate_i;
      ostate_mem[key_slot_i]  <= key_wipe_i ? '0 : key_ostate_i;
      spi_seq_mem[key_slot_i] <= spi_seq_i;
    end
    if (open_i) begin
      iv_mem[open_slot_i]    <= open_iv_i;
      icv_mem[open_slot_i]   <= open_icv_i;
      encap_mem[open_slot_i] <= open_encap_i;
      words_mem[open_slot_i] <= (IdxBits+1)'(open_blocks_i) + (IdxBits+1)'(2);
    end
  end

  // Inner blocks of n words: ceil((8 n + 9) / 64).
  function automatic logic [BlkBits-1:0] inner_blocks(input logic [IdxBits:0] words);
    inner_blocks = BlkBits'((words + (IdxBits+1)'(9)) >> 3);
  endfunction

  // ---- Which slots have a block to hash ------------------------------------------------------------------------
  // A block's data gets complete (fresh_*), or a slot's block is done and the next one's data is there (next_*).
  // busy_q: the slot is in one of the queues, on its way or in the engine.
  logic [Slots-1:0]   busy_q;
  logic [IdxBits:0]   x_word;
  logic [BlkBits-1:0] x_block;
  logic               fresh, fresh_push, fresh_valid, fresh_pop, fresh_ready;
  logic [Entry-1:0]   fresh_entry;
  logic [SlotBits:0]  fresh_level, next_level;
  logic [BlkBits-1:0] fresh_avail;
  assign x_word      = (IdxBits+1)'(x_index_i) + (IdxBits+1)'(2);
  assign x_block     = x_word[IdxBits:3];
  assign fresh       = x_valid_i && (x_word[2:0] == 3'd7 || x_last_i);
  assign fresh_push  = fresh && !busy_q[x_slot_i];  // not busy: all blocks before this one are done
  assign fresh_avail = x_last_i ? inner_blocks(x_word + 1'b1) + 1'b1 : x_block + 1'b1;
  always_ff @(posedge clk_i) if (fresh) avail_mem[x_slot_i] <= fresh_avail;

  logic                e_valid, e_final, next_push, next_valid, next_pop, next_ready;
  logic [SlotBits-1:0] e_slot;
  logic [BlkBits-1:0]  e_block, e_next;
  logic [159:0]        e_state;
  logic [Entry-1:0]    next_entry;
  assign e_next    = e_block + 1'b1;
  assign e_final   = e_block == inner_blocks(words_mem[e_slot]);
  assign next_push = e_valid && !e_final && (e_next < avail_mem[e_slot] || (fresh && x_slot_i == e_slot));

  stream_fifo #(.Width(Entry), .Depth(Slots)) u_fresh (
    .clk_i(clk_i), .rst_ni(rst_ni),
    .valid_i(fresh_push), .ready_o(fresh_ready), .data_i({x_slot_i, x_block}),
    .valid_o(fresh_valid), .ready_i(fresh_pop), .data_o(fresh_entry), .level_o(fresh_level)
  );
  stream_fifo #(.Width(Entry), .Depth(Slots)) u_next (
    .clk_i(clk_i), .rst_ni(rst_ni),
    .valid_i(next_push), .ready_o(next_ready), .data_i({e_slot, e_next}),
    .valid_o(next_valid), .ready_i(next_pop), .data_o(next_entry), .level_o(next_level)
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      busy_q <= '0;
    end else begin
      if (e_valid && !next_push) busy_q[e_slot] <= 1'b0;
      if (fresh_push) busy_q[x_slot_i] <= 1'b1;
    end
  end

  // ---- Stage 0: choose, read the block's words ------------------------------------------------------------------
  // Packets under way go first: they free slots.
  logic                advance, l1_valid_q, l2_valid_q;
  logic [SlotBits-1:0] l0_slot, l1_slot_q;
  logic [BlkBits-1:0]  l0_block, l1_block_q;
  logic [511:0]        l1_row;
  logic                engine_ready;
  assign advance   = !l2_valid_q || engine_ready;
  assign next_pop  = advance && next_valid;
  assign fresh_pop = advance && !next_valid && fresh_valid;
  assign {l0_slot, l0_block} = next_valid ? next_entry : fresh_entry;

  lane_buffer #(.Rows(Slots * SlotBytes / 64)) u_cipher_words (
    .clk_i(clk_i),
    .wr_word_en_i(x_valid_i ? 8'd1 << x_word[2:0] : 8'd0), .wr_addr_i({x_slot_i, x_word[RowBits+2:3]}),
    .wr_data_i({8{x_cipher_i}}),
    .rd_en_i(next_pop || fresh_pop), .rd_addr_i({l0_slot, l0_block[RowBits-1:0]}), .rd_next_first_i(1'b0),
    .rd_data_o(l1_row)
  );
  always_ff @(posedge clk_i) begin
    if (!rst_ni) l1_valid_q <= 1'b0;
    else if (advance) l1_valid_q <= next_pop || fresh_pop;
  end
  always_ff @(posedge clk_i) begin
    if (next_pop || fresh_pop) begin
      l1_slot_q  <= l0_slot;
      l1_block_q <= l0_block;
    end
  end

  // ---- Stage 1: put the block together ---------------------------------------------------------------------------
  // Inner block: header words, data, the bit that ends the message, its length with the pad block (FIPS 180-4 s5.1.1).
  function automatic logic [511:0] inner_block(input logic [511:0] row, input logic [BlkBits-1:0] block,
                                               input logic [IdxBits:0] words, input logic [63:0] spi_seq,
                                               input logic [63:0] iv);
    logic [511:0]       y;
    logic [IdxBits+1:0] at;
    y = row;
    if (block == '0) y[511:384] = {spi_seq, iv};
    for (int j = 0; j < 8; j++) begin
      at = (IdxBits+2)'({block, 3'(j)});
      if (at == (IdxBits+2)'(words)) y[64*(7-j) +: 64] = 64'h8000000000000000;
      else if (at > (IdxBits+2)'(words)) y[64*(7-j) +: 64] = 64'd0;
    end
    if (block + 1'b1 == inner_blocks(words)) y[63:0] = 64'(words) * 64 + 64'd512;
    inner_block = y;
  endfunction

  logic [IdxBits:0]    l1_words;
  logic                l1_outer;
  logic [159:0]        l1_state;
  logic [Entry-1:0]    l2_tag_q;
  logic [159:0]        l2_state_q;
  logic [511:0]        l2_block_q;
  assign l1_words = words_mem[l1_slot_q];
  assign l1_outer = l1_block_q == inner_blocks(l1_words);
  assign l1_state = state_mem[l1_slot_q];
  always_ff @(posedge clk_i) begin
    if (!rst_ni) l2_valid_q <= 1'b0;
    else if (advance) l2_valid_q <= l1_valid_q;
  end
  always_ff @(posedge clk_i) begin
    if (advance && l1_valid_q) begin
      l2_tag_q <= {l1_slot_q, l1_block_q};
      if (l1_outer) begin
        l2_state_q <= ostate_mem[l1_slot_q];
        l2_block_q <= {l1_state, 1'b1, 287'd0, 64'd672};  // 512 + 160 bits
      end else begin
        l2_state_q <= (l1_block_q == '0) ? istate_mem[l1_slot_q] : l1_state;
        l2_block_q <= inner_block(l1_row, l1_block_q, l1_words, spi_seq_mem[l1_slot_q], iv_mem[l1_slot_q]);
      end
    end
  end

  // ---- Stage 2: engine -------------------------------------------------------------------------------------------
  sha1_engine #(.Units(HashUnits), .TagWidth(Entry)) u_engine (
    .clk_i(clk_i), .rst_ni(rst_ni),
    .valid_i(l2_valid_q), .ready_o(engine_ready), .tag_i(l2_tag_q), .state_i(l2_state_q), .block_i(l2_block_q),
    .valid_o(e_valid), .tag_o({e_slot, e_block}), .state_o(e_state)
  );
  always_ff @(posedge clk_i) if (e_valid) state_mem[e_slot] <= e_state;

  logic                done_valid_q, done_ok_q;
  logic [SlotBits-1:0] done_slot_q;
  logic [95:0]         done_icv_q;
  logic [31:0]         done_cycle_q;
  always_ff @(posedge clk_i) done_valid_q <= rst_ni && e_valid && e_final;
  always_ff @(posedge clk_i) begin
    if (e_valid && e_final) begin
      done_slot_q  <= e_slot;
      done_ok_q    <= encap_mem[e_slot] || icv_mem[e_slot] == e_state[159:64];
      done_icv_q   <= e_state[159:64];
      done_cycle_q <= cycle_i;
    end
  end
  assign done_valid_o = done_valid_q;
  assign done_slot_o  = done_slot_q;
  assign done_ok_o    = done_ok_q;
  assign done_icv_o   = done_icv_q;
  assign done_cycle_o = done_cycle_q;

  logic unused;
  assign unused = &{1'b0, fresh_ready, next_ready, fresh_level, next_level};
endmodule
