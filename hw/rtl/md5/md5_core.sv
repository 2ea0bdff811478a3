// MD5 compression function (RFC 1321 s3.4), a step in two cycles: one 512-bit block per 130 cycles.
// state_o = the chaining value after the block (addition of state_i included). It comes with valid_o, 130 cycles
// after the block was taken, and stays until the next block is taken. No padding, no message length: the caller's.
// A step is two adders with a rotation between them, a cycle each; everything else is worked out ahead.
module md5_core (
  input  logic         clk_i,
  input  logic         rst_ni,   // synchronous; drops the block under way
  input  logic         valid_i,
  output logic         ready_o,
  input  logic [127:0] state_i,  // A, B, C, D as numbers, A in the top bits
  input  logic [511:0] block_i,  // first octet in the top bits
  output logic         valid_o,  // one cycle
  output logic [127:0] state_o
);
  localparam logic [6:0] LastStep = 7'd63;

  logic         busy_q, done_q, take;
  logic         mixed_now_q;     // second cycle of a step: mixed_q is there
  logic [6:0]   step_q;          // 0..63 steps, 64 the final addition
  logic [511:0] block_q;
  logic [127:0] chain_q;
  logic [31:0]  a_q, b_q, c_q, d_q;
  logic [31:0]  sum_q;           // A + K + M of this step
  logic [31:0]  km_q;            // K + M of the next step
  logic [31:0]  k_q, m_q;        // K and M of the step after that

  // Word of a block; words stand in the order of octets.
  function automatic logic [31:0] word_of(input logic [511:0] block, input logic [3:0] index);
    word_of = md5_pkg::swap(32'(block >> (32 * (15 - 32'(index)))));
  endfunction

  logic [5:0]  ahead;            // three steps ahead; past the last one its word is not used
  logic [31:0] mixed_q;
  assign ahead   = step_q[5:0] + 6'd3;
  assign ready_o = !busy_q;
  assign take    = valid_i && ready_o;
  assign valid_o = done_q;
  assign state_o = {a_q, b_q, c_q, d_q};

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      busy_q <= 1'b0;
      done_q <= 1'b0;
    end else begin
      done_q <= busy_q && step_q == LastStep + 7'd1;
      if (take) busy_q <= 1'b1;
      else if (step_q == LastStep + 7'd1) busy_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    mixed_q     <= sum_q + md5_pkg::f(step_q[5:4], b_q, c_q, d_q);
    mixed_now_q <= busy_q && !mixed_now_q;
    if (take) begin
      mixed_now_q          <= 1'b0;
      step_q               <= 7'd0;
      block_q              <= block_i;
      chain_q              <= state_i;
      {a_q, b_q, c_q, d_q} <= state_i;
      sum_q                <= md5_pkg::swap(block_i[511:480]) + md5_pkg::k(6'd0) + state_i[127:96];
      km_q                 <= md5_pkg::swap(block_i[479:448]) + md5_pkg::k(6'd1);
      k_q                  <= md5_pkg::k(6'd2);
      m_q                  <= md5_pkg::swap(block_i[447:416]);
    end else if (busy_q && step_q <= LastStep) begin
      if (mixed_now_q) begin
        step_q <= step_q + 7'd1;
        k_q    <= md5_pkg::k(ahead);
        m_q    <= word_of(block_q, md5_pkg::word(ahead));
        km_q   <= k_q + m_q;
        sum_q  <= km_q + d_q;    // D becomes A
        a_q    <= d_q;
        b_q    <= b_q + md5_pkg::rol(step_q[5:4], step_q[1:0], mixed_q);
        c_q    <= b_q;
        d_q    <= c_q;
      end
    end else if (busy_q) begin
      a_q <= a_q + chain_q[127:96];
      b_q <= b_q + chain_q[95:64];
      c_q <= c_q + chain_q[63:32];
      d_q <= d_q + chain_q[31:0];
    end
  end
endmodule
