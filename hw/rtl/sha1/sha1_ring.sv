// SHA-1 compression function (FIPS 180-4 s6.1.2) as a ring: 27 stages of one round each, a block goes round three
// times (81 turns for 80 rounds). No padding, no message length: the caller's.
// Rate: one block every 3 cycles sustained, up to 27 in a row into an empty ring. Latency: valid_o comes 83 cycles
// after acceptance, always, so results keep the order of acceptance.
// Each register has one 32-bit adder in front of it: W + K, then + e, then + f, each a round ahead of the next, and
// a' = rol5(a) + s. A stage changes only when it holds a block. u + f is written as (u - 1) - ~f with the 1 taken off K:
// so f shares the adder's LUTs, 32 less a stage.
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
  localparam int Depth  = 32;           // blocks between acceptance and result: 27 in the ring, 1 before, 1 behind
  localparam int PtrW   = $clog2(Depth);

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

  // Field n of these vectors is what stage n works on; turn: 0 to 2, how often the block
  // went round already.
  logic [Stages-1:0]     valid_q;
  logic [2*Stages-1:0]   turn_q  /*verilator split_var*/;
  logic [32*Stages-1:0]  a_q     /*verilator split_var*/;
  logic [32*Stages-1:0]  b_q     /*verilator split_var*/;
  logic [32*Stages-1:0]  c_q     /*verilator split_var*/;
  logic [32*Stages-1:0]  s_q     /*verilator split_var*/;  // f + e + K + W of this round
  logic [32*Stages-1:0]  u_q     /*verilator split_var*/;  // e + K + W - 1 of the next
  logic [32*Stages-1:0]  v_q     /*verilator split_var*/;  // K + W - 1 of the one after that
  logic [512*Stages-1:0] w_q     /*verilator split_var*/;  // W of this round on top and of the 15 that follow

  // ---- Entry: first sums of an accepted block. It is in stage 0 two cycles after acceptance.
  logic         take, ready_q, in_valid_q;
  logic [31:0]  in_fe_q, in_wk_q, in_u_q, in_v_q;
  logic [127:0] in_state_q;             // without e, which is in in_fe_q
  logic [511:0] in_w_q;

  assign ready_o = ready_q;
  assign take    = valid_i && ready_q;
  // Who is in stage Stages-3 now would be in stage 0 three cycles from now, and so would a block taken in the next.
  always_ff @(posedge clk_i) begin
    ready_q    <= !rst_ni || !valid_q[Stages-3] || turn_q[2*(Stages-3)+1];
    in_valid_q <= rst_ni && take;
  end
  always_ff @(posedge clk_i) begin
    if (take) begin
      in_state_q <= state_i[159:32];
      in_w_q     <= block_i;
      in_fe_q    <= f_of(0, state_i[127:96], state_i[95:64], state_i[63:32]) + state_i[31:0];
      in_wk_q    <= block_i[511:480] + k_of(0);
      in_u_q     <= block_i[479:448] + (k_of(1) - 32'd1);
      in_v_q     <= block_i[447:416] + (k_of(2) - 32'd1);
    end
  end

  logic again;
  assign again = valid_q[Stages-1] && !turn_q[2*Stages-1];
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[Stages-2:0], again || in_valid_q};
  end

  // ---- The stages. Stage n does rounds n, n + 27 and n + 54 and writes field n + 1, the last one field 0.
  for (genvar n = 0; n < Stages; n++) begin : gen_stage
    logic [1:0]   turn;
    logic [31:0]  a, b, c, a_d, s_d, u_d, v_d, f, k_less_1, w_mix;
    logic [511:0] w, w_d;
    assign turn = turn_q[2*n +: 2];
    assign a    = a_q[32*n +: 32];
    assign b    = b_q[32*n +: 32];
    assign c    = c_q[32*n +: 32];
    assign w    = w_q[512*n +: 512];

    // f of the next round, whose b, c, d are a, rol30(b), c; K of three rounds ahead.
    assign f = (turn == 2'd0) ? f_of(n + 1, a, {b[1:0], b[31:2]}, c)
             : (turn == 2'd1) ? f_of(n + 28, a, {b[1:0], b[31:2]}, c) : f_of(n + 55, a, {b[1:0], b[31:2]}, c);
    assign k_less_1 = (turn == 2'd0) ? k_of(n + 3) - 32'd1 : (turn == 2'd1) ? k_of(n + 30) - 32'd1 : k_of(n + 57) - 32'd1;

    assign w_mix = w[511:480] ^ w[447:416] ^ w[255:224] ^ w[95:64];  // rotated it is W[t+16]
    assign w_d   = {w[479:0], w_mix[30:0], w_mix[31]};
    assign a_d   = {a[26:0], a[31:27]} + s_q[32*n +: 32];
    assign s_d   = u_q[32*n +: 32] - ~f;                             // + f + 1
    assign u_d   = c + v_q[32*n +: 32];                              // c is e two rounds on
    assign v_d   = w[415:384] + k_less_1;

    if (n < Stages - 1) begin : gen_next
      always_ff @(posedge clk_i) begin
        if (valid_q[n]) begin
          turn_q[2*(n+1) +: 2]     <= turn;
          a_q[32*(n+1) +: 32]      <= a_d;
          b_q[32*(n+1) +: 32]      <= a;
          c_q[32*(n+1) +: 32]      <= {b[1:0], b[31:2]};
          s_q[32*(n+1) +: 32]      <= s_d;
          u_q[32*(n+1) +: 32]      <= u_d;
          v_q[32*(n+1) +: 32]      <= v_d;
          w_q[512*(n+1) +: 512]    <= w_d;
        end
      end
    end else begin : gen_first
      always_ff @(posedge clk_i) begin
        if (in_valid_q) begin
          turn_q[1:0]    <= 2'd0;
          a_q[31:0]      <= in_state_q[127:96];
          b_q[31:0]      <= in_state_q[95:64];
          c_q[31:0]      <= in_state_q[63:32];
          s_q[31:0]      <= in_fe_q + in_wk_q;
          u_q[31:0]      <= in_state_q[31:0] + in_u_q;
          v_q[31:0]      <= in_v_q;
          w_q[511:0]     <= in_w_q;
        end else if (again) begin
          turn_q[1:0]    <= turn + 2'd1;
          a_q[31:0]      <= a_d;
          b_q[31:0]      <= a;
          c_q[31:0]      <= {b[1:0], b[31:2]};
          s_q[31:0]      <= s_d;
          u_q[31:0]      <= u_d;
          v_q[31:0]      <= v_d;
          w_q[511:0]     <= w_d;
        end
      end
    end
  end

  // ---- Exit: round 79 is the third turn of stage 25, so field 26 is the result of the rounds then. d and e are the
  // c of one and two rounds before.
  logic        fetch, finish;
  logic [31:0] e_pre_q, d_q, e_q;
  assign fetch  = valid_q[Stages-2] && turn_q[2*(Stages-2)+1];
  assign finish = valid_q[Stages-1] && turn_q[2*Stages-1];
  always_ff @(posedge clk_i) if (valid_q[Stages-3] && turn_q[2*(Stages-3)+1]) e_pre_q <= c_q[32*(Stages-3) +: 32];
  always_ff @(posedge clk_i) begin
    if (fetch) begin
      d_q <= c_q[32*(Stages-2) +: 32];
      e_q <= e_pre_q;
    end
  end

  // Chaining value and tag wait in a queue: results leave in the order of acceptance.
  logic [TagWidth+159:0] chain_mem [0:Depth-1];
  logic [TagWidth+159:0] chain_q;
  logic [PtrW-1:0]       wr_q, rd_q;
  logic                  out_valid_q;
  logic [TagWidth-1:0]   tag_q;
  logic [159:0]          state_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_q        <= '0;
      rd_q        <= '0;
      out_valid_q <= 1'b0;
    end else begin
      if (take) wr_q <= wr_q + 1'b1;
      if (fetch) rd_q <= rd_q + 1'b1;
      out_valid_q <= finish;
    end
  end
  always_ff @(posedge clk_i) if (take) chain_mem[wr_q] <= {tag_i, state_i};
  always_ff @(posedge clk_i) if (fetch) chain_q <= chain_mem[rd_q];
  always_ff @(posedge clk_i) begin
    if (finish) begin
      tag_q            <= chain_q[TagWidth+159:160];
      state_q[159:128] <= chain_q[159:128] + a_q[32*(Stages-1) +: 32];
      state_q[127:96]  <= chain_q[127:96] + b_q[32*(Stages-1) +: 32];
      state_q[95:64]   <= chain_q[95:64] + c_q[32*(Stages-1) +: 32];
      state_q[63:32]   <= chain_q[63:32] + d_q;
      state_q[31:0]    <= chain_q[31:0] + e_q;
    end
  end
  assign valid_o = out_valid_q;
  assign tag_o   = tag_q;
  assign state_o = state_q;
endmodule
