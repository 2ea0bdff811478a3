// SHA-1 compression function (FIPS 180-4 s6.1.2) as a ring: 27 stages of one round each, a block goes round three
// times (81 turns for 80 rounds). No padding, no message length: the caller's.
// Rate: one block every 3 cycles sustained, up to 27 in a row into an empty ring. Latency: valid_o comes 84 cycles
// after acceptance, always, so results keep the order of acceptance.
// Each register has one 32-bit adder in front of it: W + K, then + e, then + f, each a round ahead of the next, and
// a' = rol5(a) + s. A stage changes only when it holds a block. u + f is written as (u - 1) - ~f with the 1 taken off K:
// so f shares the adder's LUTs, 32 less a stage.
// A block in its last three rounds has no use for the first adders; the one that takes its place begins in them. The
// words of a block wait in block RAM and come one a round, each into the LUTs that would make a word of the schedule:
// so the entry costs neither adders nor a choice of 512 bits.
module sha1_ring #(
  parameter int TagWidth = 8
) (
  input  logic                clk_i,
  input  logic                rst_ni,   // synchronous; drops all blocks
  input  logic                valid_i,
  output logic                ready_o,  // the ring's next turn is free; does not wait for valid_i
  input  logic [TagWidth-1:0] tag_i,
  input  logic [159:0]        state_i,  // H0 in the top bits
  input  logic [511:0]        block_i,  // first octet in the top bits
  output logic                valid_o,  // one cycle; no backpressure
  output logic [TagWidth-1:0] tag_o,
  output logic [159:0]        state_o   // addition of state_i included
);
  localparam int Stages = 27;
  localparam int Enter  = 24;           // stage at which a block is taken; it is in stage 0 three cycles later
  localparam int Depth  = 32;           // blocks between acceptance and result: 27 in the ring and their successors
  localparam int PtrW   = $clog2(Depth);
  localparam int Waits  = 14;           // cycles from acceptance to the last read of a word
  localparam int Words  = 16;           // blocks with words still to be read: at most one a cycle
  localparam int IdxW   = $clog2(Words);

  // Constant and function of a round.
  function automatic logic [31:0] k_of(input int round);
    if (round < 20) k_of = 32'h5a827999;
    else if (round < 40) k_of = 32'h6ed9eba1;
    else if (round < 60) k_of = 32'h8f1bbcdc;
    else k_of = 32'hca62c1d6;
  endfunction
  function automatic logic [31:0] f_of(input int round, input logic [31:0] b, input logic [31:0] c, input logic [31:0] d);
    if (round < 20) f_of = (b & c) | (~b & d);
    else if (round < 40) f_of = b ^ c ^ d;
    else if (round < 60) f_of = (b & c) | (b & d) | (c & d);
    else f_of = b ^ c ^ d;
  endfunction

  // Field n of these vectors is what stage n works on. n is the round in the first turn.
  logic [Stages-1:0]     valid_q;
  logic [Stages-1:0]     first_q, last_q;  // in its first, in its third turn
  logic [32*Stages-1:0]  a_q     /*verilator split_var*/;
  logic [32*Stages-1:0]  b_q     /*verilator split_var*/;
  logic [32*Stages-1:0]  c_q     /*verilator split_var*/;
  logic [32*Stages-1:0]  s_q     /*verilator split_var*/;  // f + e + K + W of this round
  logic [32*Stages-1:0]  u_q     /*verilator split_var*/;  // e + K + W - 1 of the next
  logic [32*Stages-1:0]  v_q     /*verilator split_var*/;  // K + W - 1 of the one after that
  logic [512*Stages-1:0] w_q     /*verilator split_var*/;  // W of three rounds ahead at the bottom, above it the 15 before

  // ---- Entry. A block is taken while its turn is in stage 24, empty or with round 78 of the block before.
  logic                  take, ready_q;
  logic [Waits:1]        wait_q;           // bit j: a block was taken j cycles ago
  logic [IdxW*Waits-1:0] idx_q;            // where its words are: field j - 1
  logic [PtrW-1:0]       wr_q, rd_q;
  logic [159:0]          in_state_q;       // of the block that will be in stage 0 in two cycles
  logic [31:0]           in_word2_q;
  logic [31:0]           in_a_q;           // of the one that will be there in the next cycle
  assign ready_o = ready_q;
  assign take    = valid_i && ready_q;
  // Who is in stage 23 now is in stage 24 in the next cycle.
  always_ff @(posedge clk_i) begin
    ready_q <= !rst_ni || !valid_q[Enter-1] || last_q[Enter-1];
    if (!rst_ni) wait_q <= '0;
    else wait_q <= {wait_q[Waits-1:1], take};
  end
  always_ff @(posedge clk_i) begin
    idx_q <= {idx_q[IdxW*(Waits-1)-1:0], wr_q[IdxW-1:0]};
    if (take) begin
      in_state_q <= state_i;
      in_word2_q <= block_i[447:416];
    end
    if (wait_q[1]) in_a_q <= in_state_q[159:128];
  end

  // Word t of a block is there t - 1 cycles after its acceptance, word 0 after 15, for one cycle.
  logic [511:0] words  /*verilator split_var*/;  // word 0 on top
  for (genvar t = 0; t < 16; t++) begin : gen_word
    if (t == 1) begin : gen_port
      assign words[32*(15-t) +: 32] = block_i[32*(15-t) +: 32];
    end else if (t == 2) begin : gen_next
      assign words[32*(15-t) +: 32] = in_word2_q;
    end else begin : gen_ram
      localparam int At = (t == 0) ? Waits : t - 2;
      (* ram_style = "block" *)
      logic [31:0] mem [0:Words-1];
      logic [31:0] out_q;
      always_ff @(posedge clk_i) if (take) mem[wr_q[IdxW-1:0]] <= block_i[32*(15-t) +: 32];
      always_ff @(posedge clk_i) if (wait_q[At]) out_q <= mem[idx_q[IdxW*(At-1) +: IdxW]];
      assign words[32*(15-t) +: 32] = out_q;
    end
  end

  logic again;
  assign again = valid_q[Stages-1] && !last_q[Stages-1];
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[Stages-2:0], again || wait_q[2]};
  end

  // ---- The stages. Stage n does rounds n, n + 27 and n + 54 and writes field n + 1, the last one field 0.
  for (genvar n = 0; n < Stages; n++) begin : gen_stage
    localparam int Ahead = n + 4 - (n < Enter - 1 ? 0 : Stages);  // in the first turn w_new is this word
    logic         first, last, fresh;   // fresh: the first adders work for a block that was taken
    logic [31:0]  a, b, c, e, a_d, s_d, u_d, v_d, f, k_less_1, w_v, w_16, w_mix, w_new;
    logic [511:0] w, w_d;
    assign first = first_q[n];
    assign last  = last_q[n];
    assign a     = a_q[32*n +: 32];
    assign b     = b_q[32*n +: 32];
    assign c     = c_q[32*n +: 32];
    assign w     = w_q[512*n +: 512];

    // Words: word 0 goes straight into v, and comes when word 16 is made of it.
    assign w_16  = (n == 12 && first) ? words[511:480] : w[511:480];
    assign w_mix = w[95:64] ^ w[255:224] ^ w[447:416] ^ w_16;         // rotated it is W of four rounds ahead
    // f of the next round, whose b, c, d are a, rol30(b), c; K of three rounds ahead.
    if (n < Enter) begin : gen_old
      assign fresh    = 1'b0;
      assign k_less_1 = first ? k_of(n + 3) - 32'd1 : last ? k_of(n + 57) - 32'd1 : k_of(n + 30) - 32'd1;
      assign f        = first ? f_of(n + 1, a, {b[1:0], b[31:2]}, c)
                      : last ? f_of(n + 55, a, {b[1:0], b[31:2]}, c) : f_of(n + 28, a, {b[1:0], b[31:2]}, c);
    end else begin : gen_new
      assign fresh    = (n == Enter) ? ready_q : wait_q[n == Enter ? 1 : n - Enter];
      assign k_less_1 = fresh ? k_of(n - Enter) - 32'd1 : first ? k_of(n + 3) - 32'd1 : k_of(n + 30) - 32'd1;
      assign f        = (n == Stages - 1 && fresh) ? f_of(0, a, {b[1:0], b[31:2]}, c)
                      : first ? f_of(n + 1, a, {b[1:0], b[31:2]}, c)
                      : (n != Stages - 1 && last) ? f_of(n + 55, a, {b[1:0], b[31:2]}, c)
                      : f_of(n + 28, a, {b[1:0], b[31:2]}, c);
    end
    if (n < 12 || n >= Enter) begin : gen_take
      assign w_new = ((n < 12) ? first : fresh) ? words[32*(15-Ahead) +: 32] : {w_mix[30:0], w_mix[31]};
    end else begin : gen_mix
      assign w_new = {w_mix[30:0], w_mix[31]};
    end
    assign w_v = (n == Enter && fresh) ? block_i[511:480] : w[31:0];
    assign e   = (n == Enter + 1 && fresh) ? in_state_q[31:0] : c;    // of two rounds ahead
    assign w_d = {w[479:0], w_new};
    assign a_d = {a[26:0], a[31:27]} + s_q[32*n +: 32];
    assign s_d = u_q[32*n +: 32] - ~f;                               // + f + 1
    assign u_d = e + v_q[32*n +: 32];
    assign v_d = w_v + k_less_1;

    if (n < Stages - 1) begin : gen_next
      always_ff @(posedge clk_i) begin
        if (valid_q[n] || (n == Enter ? take : fresh)) begin
          first_q[n+1]          <= first;
          last_q[n+1]           <= last;
          // A round before its first, b, c and d of a new block stand where a, rol30(b) and c do.
          a_q[32*(n+1) +: 32]   <= (n == Stages - 2 && fresh) ? in_state_q[127:96] : a_d;
          b_q[32*(n+1) +: 32]   <= (n == Stages - 2 && fresh) ? {in_state_q[93:64], in_state_q[95:94]} : a;
          c_q[32*(n+1) +: 32]   <= (n == Stages - 2 && fresh) ? in_state_q[63:32] : {b[1:0], b[31:2]};
          s_q[32*(n+1) +: 32]   <= s_d;
          u_q[32*(n+1) +: 32]   <= u_d;
          v_q[32*(n+1) +: 32]   <= v_d;
          w_q[512*(n+1) +: 512] <= w_d;
        end
      end
    end else begin : gen_first
      always_ff @(posedge clk_i) begin
        if (again || fresh) begin
          first_q[0]  <= fresh;
          last_q[0]   <= !fresh && !first;
          a_q[31:0]   <= fresh ? in_a_q : a_d;
          b_q[31:0]   <= a;
          c_q[31:0]   <= {b[1:0], b[31:2]};
          s_q[31:0]   <= s_d;
          u_q[31:0]   <= u_d;
          v_q[31:0]   <= v_d;
          w_q[511:0]  <= w_d;
        end
      end
    end
  end

  // ---- Exit: round 79 is the third turn of stage 25. d and e are c of this stage and of the one before.
  logic         fetch, finish_q, out_valid_q;
  logic [31:0]  a79, b79, e_pre_q;
  logic [159:0] done_q;
  assign a79   = a_q[32*(Stages-2) +: 32];
  assign b79   = b_q[32*(Stages-2) +: 32];
  assign fetch = valid_q[Stages-2] && last_q[Stages-2];
  always_ff @(posedge clk_i) if (valid_q[Stages-3] && last_q[Stages-3]) e_pre_q <= c_q[32*(Stages-3) +: 32];
  always_ff @(posedge clk_i) begin
    if (fetch)
      done_q <= {{a79[26:0], a79[31:27]} + s_q[32*(Stages-2) +: 32], a79, b79[1:0], b79[31:2], c_q[32*(Stages-2) +: 32], e_pre_q};
  end

  // Chaining value and tag wait in a queue: results leave in the order of acceptance.
  logic [TagWidth+159:0] chain_mem [0:Depth-1];
  logic [TagWidth+159:0] chain_q;
  logic [TagWidth-1:0]   tag_q;
  logic [159:0]          state_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_q        <= '0;
      rd_q        <= '0;
      finish_q    <= 1'b0;
      out_valid_q <= 1'b0;
    end else begin
      if (take) wr_q <= wr_q + 1'b1;
      if (fetch) rd_q <= rd_q + 1'b1;
      finish_q    <= fetch;
      out_valid_q <= finish_q;
    end
  end
  always_ff @(posedge clk_i) if (take) chain_mem[wr_q] <= {tag_i, state_i};
  always_ff @(posedge clk_i) if (fetch) chain_q <= chain_mem[rd_q];
  always_ff @(posedge clk_i) begin
    if (finish_q) begin
      tag_q <= chain_q[TagWidth+159:160];
      for (int n = 0; n < 5; n++) state_q[32*n +: 32] <= chain_q[32*n +: 32] + done_q[32*n +: 32];
    end
  end
  assign valid_o = out_valid_q;
  assign tag_o   = tag_q;
  assign state_o = state_q;
endmodule
