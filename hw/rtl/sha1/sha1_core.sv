// SHA-1 compression function (FIPS 180-4 s6.1.2), one round a cycle: one 512-bit block per 82 cycles.
// state_o = the chaining value after the block (addition of state_i included). It comes with valid_o, 82 cycles
// after the block was taken, and stays until the next block is taken. No padding, no message length: the caller's.
module sha1_core (
  input  logic         clk_i,
  input  logic         rst_ni,   // synchronous; drops the block under way
  input  logic         valid_i,
  output logic         ready_o,
  input  logic [159:0] state_i,  // H0 in the top bits
  input  logic [511:0] block_i,  // first byte in the top bits
  output logic         valid_o,  // one cycle
  output logic [159:0] state_o
);
  localparam logic [6:0] LastRound = 7'd79;

  logic         busy_q, done_q, take;
  logic [6:0]   round_q;          // 0..79 rounds, 80 the final addition
  logic [511:0] w_q;              // word of this round in the top bits
  logic [159:0] chain_q;
  logic [31:0]  a_q, b_q, c_q, d_q, e_q;
  logic [31:0]  sum_q;            // W + K + e of this round: off the critical path

  function automatic logic [31:0] k_of(input logic [6:0] round);
    if (round < 7'd20) k_of = 32'h5a827999;
    else if (round < 7'd40) k_of = 32'h6ed9eba1;
    else if (round < 7'd60) k_of = 32'h8f1bbcdc;
    else k_of = 32'hca62c1d6;
  endfunction

  function automatic logic [31:0] f_of(input logic [6:0] round, input logic [31:0] b, input logic [31:0] c,
                                       input logic [31:0] d);
    if (round < 7'd20) f_of = (b & c) | (~b & d);
    else if (round < 7'd40) f_of = b ^ c ^ d;
    else if (round < 7'd60) f_of = (b & c) | (b & d) | (c & d);
    else f_of = b ^ c ^ d;
  endfunction

  logic [31:0] w_mix;  // W[t] ^ W[t+2] ^ W[t+8] ^ W[t+13]; rotated it is W[t+16]

  assign w_mix   = w_q[511:480] ^ w_q[447:416] ^ w_q[255:224] ^ w_q[95:64];
  assign ready_o = !busy_q;
  assign take    = valid_i && ready_o;
  assign valid_o = done_q;
  assign state_o = {a_q, b_q, c_q, d_q, e_q};

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      busy_q <= 1'b0;
      done_q <= 1'b0;
    end else begin
      done_q <= busy_q && round_q == LastRound + 7'd1;
      if (take) busy_q <= 1'b1;
      else if (round_q == LastRound + 7'd1) busy_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (take) begin
      round_q                   <= 7'd0;
      w_q                       <= block_i;
      chain_q                   <= state_i;
      {a_q, b_q, c_q, d_q, e_q} <= state_i;
      sum_q                     <= block_i[511:480] + k_of(7'd0) + state_i[31:0];
    end else if (busy_q && round_q <= LastRound) begin
      round_q <= round_q + 7'd1;
      w_q     <= {w_q[479:0], w_mix[30:0], w_mix[31]};
      sum_q   <= w_q[479:448] + k_of(round_q + 7'd1) + d_q;
      a_q     <= {a_q[26:0], a_q[31:27]} + f_of(round_q, b_q, c_q, d_q) + sum_q;
      b_q     <= a_q;
      c_q     <= {b_q[1:0], b_q[31:2]};
      d_q     <= c_q;
      e_q     <= d_q;
    end else if (busy_q) begin
      a_q <= a_q + chain_q[159:128];
      b_q <= b_q + chain_q[127:96];
      c_q <= c_q + chain_q[95:64];
      d_q <= d_q + chain_q[63:32];
      e_q <= e_q + chain_q[31:0];
    end
  end
endmodule
