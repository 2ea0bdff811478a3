// CBC over the packets of all slots with one 3DES pipeline: the source buffer, the choice of the next block, ESP
// padding (RFC 4303 s2.4), chaining.
// Encryption is serial within a packet: a packet's next block enters the pipeline 50 cycles after the one before,
// so 50 packets fill it. Decryption streams one packet at a time into the free cycles, one block each. Both take
// turns when both want the pipeline. Nothing here ever waits: what enters comes out on x_*, and must be taken.
module lane_cipher #(
  parameter int Slots     = 32,
  parameter int SlotBytes = 2048,
  localparam int SlotBits = $clog2(Slots),
  localparam int RowBits  = $clog2(SlotBytes / 64),
  localparam int IdxBits  = $clog2(SlotBytes / 8)
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  // Key of a slot: set when a job is taken into it, wiped when it is done with.
  input  logic                        key_we_i,
  input  logic [SlotBits-1:0]         key_slot_i,
  input  logic                        key_wipe_i,
  input  logic                        key_decrypt_i,
  input  logic                        key_single_des_i,
  input  logic [191:0]                key_i,
  // Source buffer, beats as they come from memory (first octet in the low bits).
  input  logic                        src_we_i,
  input  logic [SlotBits+RowBits-1:0] src_addr_i,
  input  logic [511:0]                src_data_i,
  // Slot opened: its payload is complete.
  input  logic                        open_i,
  input  logic [SlotBits-1:0]         open_slot_i,
  input  logic                        open_ok_i,
  input  logic                        open_encap_i,
  input  logic [IdxBits-1:0]          open_blocks_i,
  input  logic [IdxBits:0]            open_start_i,
  input  logic [15:0]                 open_len_i,
  input  logic [63:0]                 open_iv_i,
  input  logic                        open_v6_i,
  // Blocks done, in order within a slot.
  output logic                        x_valid_o,
  output logic [SlotBits-1:0]         x_slot_o,
  output logic                        x_encap_o,
  output logic [IdxBits-1:0]          x_index_o,   // of the block in its packet
  output logic                        x_last_o,
  output logic [63:0]                 x_cipher_o,  // ciphertext, either direction
  output logic [63:0]                 x_out_o      // result: ciphertext or plaintext
);
  localparam int Latency    = 49;  // of tdes_pipe
  localparam int EarlyBy    = 2;   // a packet's next block is called for before the last is done: see early_* below
  localparam int DelayBits  = 6;   // delay lines are rings of 64
  localparam int MetaWidth  = SlotBits + IdxBits + 2;

  // What is known of a slot. Written when it is opened.
  logic [IdxBits-1:0] blocks_mem [0:Slots-1];
  logic [IdxBits:0]   start_mem [0:Slots-1];
  logic [IdxBits+3:0] len_mem [0:Slots-1];
  logic               v6_mem [0:Slots-1];
  logic               encap_mem [0:Slots-1];
  logic [63:0]        iv_mem [0:Slots-1];
  // Chaining value (last ciphertext block) and next block of a slot.
  logic [63:0]        chain_mem [0:Slots-1];
  logic [IdxBits-1:0] next_mem [0:Slots-1];

  always_ff @(posedge clk_i) begin
    if (open_i) begin
      blocks_mem[open_slot_i] <= open_blocks_i;
      start_mem[open_slot_i]  <= open_start_i;
      len_mem[open_slot_i]    <= open_len_i[IdxBits+3:0];
      v6_mem[open_slot_i]     <= open_v6_i;
      encap_mem[open_slot_i]  <= open_encap_i;
      iv_mem[open_slot_i]     <= open_iv_i;
    end
  end

  // ---- Choice of the next block -----------------------------------------------------------------------------
  // Packets to start, in order.
  logic                start_valid, start_pop, start_ready;  // room for every slot: always ready
  logic [SlotBits:0]   start_level;
  logic [SlotBits-1:0] start_slot;
  stream_fifo #(.Width(SlotBits), .Depth(Slots)) u_start (
    .clk_i(clk_i), .rst_ni(rst_ni),
    .valid_i(open_i && open_ok_i), .ready_o(start_ready), .data_i(open_slot_i),
    .valid_o(start_valid), .ready_i(start_pop), .data_o(start_slot), .level_o(start_level)
  );

  // Packet being started: one block of a packet to encrypt, all blocks of one to decrypt.
  logic                act_q, act_encap_q, act_done, act_last;
  logic [SlotBits-1:0] act_slot_q;
  logic [IdxBits-1:0]  act_index_q, act_blocks_q;
  logic [IdxBits:0]    act_pos_q;

  // Packets whose next block may be encrypted.
  logic                again_valid, again_pop, again_ready, again_last, early_valid;
  logic [SlotBits:0]   again_level;
  logic [SlotBits-1:0] again_slot, early_slot;
  logic [IdxBits-1:0]  again_index;
  stream_fifo #(.Width(SlotBits), .Depth(Slots)) u_again (
    .clk_i(clk_i), .rst_ni(rst_ni),
    .valid_i(early_valid), .ready_o(again_ready), .data_i(early_slot),
    .valid_o(again_valid), .ready_i(again_pop), .data_o(again_slot), .level_o(again_level)
  );
  assign again_index = next_mem[again_slot];
  assign again_last  = again_index + 1'b1 == blocks_mem[again_slot];

  logic prefer_start_q, use_act;
  assign again_pop = again_valid && !(act_q && prefer_start_q);
  assign use_act   = act_q && !again_pop;
  assign act_last  = act_index_q + 1'b1 == act_blocks_q;
  assign act_done  = use_act && (act_encap_q || act_last);
  assign start_pop = start_valid && (!act_q || act_done);

  always_ff @(posedge clk_i) begin
    prefer_start_q <= again_pop;
    if (!rst_ni) act_q <= 1'b0;
    else if (start_pop) act_q <= 1'b1;
    else if (act_done) act_q <= 1'b0;
  end
  always_ff @(posedge clk_i) begin
    if (start_pop) begin
      act_slot_q   <= start_slot;
      act_encap_q  <= encap_mem[start_slot];
      act_blocks_q <= blocks_mem[start_slot];
      act_pos_q    <= start_mem[start_slot];
      act_index_q  <= '0;
    end else if (use_act) begin
      act_pos_q   <= act_pos_q + (IdxBits+1)'(2);
      act_index_q <= act_index_q + 1'b1;
    end
  end

  logic                pick;        // a block is chosen
  logic [SlotBits-1:0] pick_slot;
  logic [IdxBits-1:0]  pick_index;
  logic [IdxBits:0]    pick_pos;    // where its octets start, in units of 4
  logic [IdxBits+3:0]  pick_left;   // encap: octets of the packet from here on; negative where only padding is left
  assign pick       = again_pop || use_act;
  assign pick_slot  = again_pop ? again_slot : act_slot_q;
  assign pick_index = again_pop ? again_index : act_index_q;
  assign pick_pos   = again_pop ? {again_index, 1'b0} : act_pos_q;
  assign pick_left  = len_mem[pick_slot] - {1'b0, pick_index, 3'b0};
  always_ff @(posedge clk_i) if (pick) next_mem[pick_slot] <= pick_index + 1'b1;

  // ---- Source buffer ----------------------------------------------------------------------------------------
  logic [511:0] src_data, s1_row;
  for (genvar b = 0; b < 64; b++) begin : gen_order
    assign src_data[8*(63-b) +: 8] = src_data_i[8*b +: 8];
  end
  lane_buffer #(.Rows(Slots * SlotBytes / 64)) u_source (
    .clk_i(clk_i),
    .wr_word_en_i({8{src_we_i}}), .wr_addr_i(src_addr_i), .wr_data_i(src_data),
    .rd_en_i(pick), .rd_addr_i({pick_slot, pick_pos[IdxBits:4]}), .rd_next_first_i(pick_pos[3:0] == 4'hf),
    .rd_data_o(s1_row)
  );

  // ---- Stage 1: the block's octets, padding put behind the packet's -------------------------------------------
  logic                s1_valid_q, s1_encap_q, s1_last_q, s1_v6_q;
  logic [SlotBits-1:0] s1_slot_q;
  logic [IdxBits-1:0]  s1_index_q;
  logic [3:0]          s1_pos_q, s1_left_q;  // left: -1 to 8, where 8 stands for more too
  always_ff @(posedge clk_i) s1_valid_q <= rst_ni && pick;
  always_ff @(posedge clk_i) begin
    if (pick) begin
      s1_slot_q  <= pick_slot;
      s1_index_q <= pick_index;
      s1_pos_q   <= pick_pos[3:0];
      s1_encap_q <= again_pop || act_encap_q;
      s1_last_q  <= again_pop ? again_last : act_last;
      s1_v6_q    <= v6_mem[pick_slot];
      s1_left_q  <= (!pick_left[IdxBits+3] && pick_left >= (IdxBits+4)'(8)) ? 4'd8 : pick_left[3:0];
    end
  end

  // Word at a position in units of 4 octets. Where that is 15, word 0 of the row is the following row's.
  function automatic logic [63:0] word_at(input logic [511:0] row, input logic [3:0] pos);
    logic [3:0] first, second;  // counted from the low end
    first   = ~pos;
    second  = first - 4'd1;
    word_at = {row[{first, 5'd0} +: 32], row[{second, 5'd0} +: 32]};
  endfunction

  // Octets from `left` on become 1, 2, 3 ..; the packet's last two are pad length and next header.
  function automatic logic [63:0] padded(input logic [63:0] word, input logic [3:0] left, input logic last,
                                         input logic v6);
    logic [63:0] y;
    logic [3:0]  n;
    y = word;
    for (int k = 0; k < 8; k++) begin
      n = 4'(k + 1) - left;  // 1 and up: number of this octet in the padding
      if (left != 4'd8 && !n[3] && n != 4'd0) y[8*(7-k) +: 8] = {4'd0, n};
    end
    if (last) y[15:0] = {4'd0, 4'd6 - left, v6 ? 8'd41 : 8'd4};
    padded = y;
  endfunction

  logic                s2_valid_q, s2_encap_q, s2_last_q;
  logic [SlotBits-1:0] s2_slot_q;
  logic [IdxBits-1:0]  s2_index_q;
  logic [63:0]         s2_word_q;
  always_ff @(posedge clk_i) s2_valid_q <= rst_ni && s1_valid_q;
  always_ff @(posedge clk_i) begin
    if (s1_valid_q) begin
      s2_slot_q  <= s1_slot_q;
      s2_index_q <= s1_index_q;
      s2_encap_q <= s1_encap_q;
      s2_last_q  <= s1_last_q;
      s2_word_q  <= s1_encap_q ? padded(word_at(s1_row, s1_pos_q), s1_left_q, s1_last_q, s1_v6_q)
                               : word_at(s1_row, s1_pos_q);
    end
  end

  // ---- Stage 2: chaining on the way in, pipeline ---------------------------------------------------------------
  logic [63:0] s2_chain, p_data;
  logic        p_valid;
  assign s2_chain = (s2_index_q == '0) ? iv_mem[s2_slot_q] : chain_mem[s2_slot_q];
  tdes_pipe #(.Slots(Slots)) u_tdes (
    .clk_i(clk_i), .rst_ni(rst_ni),
    .key_we_i(key_we_i), .key_slot_i(key_slot_i), .key_wipe_i(key_wipe_i), .key_decrypt_i(key_decrypt_i),
    .key_i(key_single_des_i ? {3{key_i[191:128]}} : key_i),
    .valid_i(s2_valid_q), .slot_i(s2_slot_q), .data_i(s2_encap_q ? s2_word_q ^ s2_chain : s2_word_q),
    .valid_o(p_valid), .data_o(p_data)
  );

  // What goes around the pipeline, in rings of which the oldest entry is read as its block comes out.
  logic [MetaWidth-1:0] meta_mem [0:2**DelayBits-1];
  logic [63:0]          word_mem [0:2**DelayBits-1];
  logic [DelayBits-1:0] now_q, then_p;
  logic [MetaWidth-1:0] p_meta, early_meta;
  logic [Latency-1:0]   under_way_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      now_q       <= '0;
      under_way_q <= '0;
    end else begin
      now_q       <= now_q + 1'b1;
      under_way_q <= {under_way_q[Latency-2:0], s2_valid_q};
    end
  end
  always_ff @(posedge clk_i) begin
    if (s2_valid_q) begin
      meta_mem[now_q] <= {s2_slot_q, s2_index_q, s2_encap_q, s2_last_q};
      word_mem[now_q] <= s2_word_q;
    end
  end
  assign then_p     = now_q - DelayBits'(Latency);
  assign p_meta     = meta_mem[then_p];
  assign early_meta = meta_mem[now_q - DelayBits'(Latency - EarlyBy)];

  // The next block needs this one's result in stage 2, three cycles after it was called for: so it is called for two
  // cycles before this one comes out, and finds the chaining value in place.
  assign early_valid = under_way_q[Latency-1-EarlyBy] && early_meta[1] && !early_meta[0];
  assign early_slot  = early_meta[MetaWidth-1 -: SlotBits];

  // ---- Chaining on the way out ---------------------------------------------------------------------------------
  logic [SlotBits-1:0] p_slot;
  logic [IdxBits-1:0]  p_index;
  logic                p_encap, p_last;
  logic [63:0]         p_word, p_chain, p_cipher;
  assign {p_slot, p_index, p_encap, p_last} = p_meta;
  assign p_word   = word_mem[then_p];
  assign p_chain  = (p_index == '0) ? iv_mem[p_slot] : chain_mem[p_slot];
  assign p_cipher = p_encap ? p_data : p_word;
  always_ff @(posedge clk_i) if (p_valid) chain_mem[p_slot] <= p_cipher;

  logic                x_valid_q, x_encap_q, x_last_q;
  logic [SlotBits-1:0] x_slot_q;
  logic [IdxBits-1:0]  x_index_q;
  logic [63:0]         x_cipher_q, x_out_q;
  always_ff @(posedge clk_i) x_valid_q <= rst_ni && p_valid;
  always_ff @(posedge clk_i) begin
    if (p_valid) begin
      x_slot_q   <= p_slot;
      x_index_q  <= p_index;
      x_encap_q  <= p_encap;
      x_last_q   <= p_last;
      x_cipher_q <= p_cipher;
      x_out_q    <= p_encap ? p_data : p_data ^ p_chain;
    end
  end
  assign x_valid_o  = x_valid_q;
  assign x_slot_o   = x_slot_q;
  assign x_encap_o  = x_encap_q;
  assign x_index_o  = x_index_q;
  assign x_last_o   = x_last_q;
  assign x_cipher_o = x_cipher_q;
  assign x_out_o    = x_out_q;

  logic unused;
  assign unused = &{1'b0, open_len_i[15:IdxBits+4], early_meta[MetaWidth-1-SlotBits:2], start_ready, start_level,
                    again_ready, again_level};
endmodule
