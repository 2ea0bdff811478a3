// MD5 compression function (RFC 1321 s3.4) as a ring: 16 stages of one step each, a block goes round four times.
// No padding, no message length: the caller's.
// Rate: one block every 4 cycles sustained, up to 16 in a row into an empty ring. Latency: valid_o comes 67 cycles
// after acceptance, always, so results keep the order of acceptance.
// K + M and then + A are worked out ahead; what is left of a step is two adders with a rotation between them, the
// shortest loop that MD5 has. A stage changes only when it holds a block.
// A block in its last two steps has no use for the first adders; the one that takes its place begins in them.
module md5_ring #(
  parameter int TagWidth = 8
) (
  input  logic                clk_i,
  input  logic                rst_ni,   // synchronous; drops all blocks
  input  logic                valid_i,
  output logic                ready_o,  // the ring's next turn is free; does not wait for valid_i
  input  logic [TagWidth-1:0] tag_i,
  input  logic [127:0]        state_i,  // A, B, C, D as numbers, A in the top bits
  input  logic [511:0]        block_i,  // first octet in the top bits
  output logic                valid_o,  // one cycle; no backpressure
  output logic [TagWidth-1:0] tag_o,
  output logic [127:0]        state_o   // addition of state_i included
);
  localparam int Stages = 16;
  localparam int Depth  = 32;           // blocks between acceptance and result: 16 in the ring, 2 before, 2 behind
  localparam int PtrW   = $clog2(Depth);

  // Lowest bit of the word of the block that a step takes.
  function automatic int word_at(input int step);
    case (step / 16)
      0: word_at = 32 * (15 - step);
      1: word_at = 32 * (15 - (5 * step + 1) % 16);
      2: word_at = 32 * (15 - (3 * step + 5) % 16);
      default: word_at = 32 * (15 - (7 * step) % 16);
    endcase
  endfunction

  // Field n of these vectors is what stage n works on; turn: 0 to 3, how often the block went round already, 3 where
  // there is none.
  logic [Stages-1:0]     valid_q;
  logic [2*Stages-1:0]   turn_q;
  logic [32*Stages-1:0]  b_q    /*verilator split_var*/;
  logic [32*Stages-1:0]  c_q    /*verilator split_var*/;
  logic [32*Stages-1:0]  d_q    /*verilator split_var*/;
  logic [32*Stages-1:0]  u_q    /*verilator split_var*/;  // A + K + M of this step
  logic [32*Stages-1:0]  v_q    /*verilator split_var*/;  // K + M of the next
  logic [512*Stages-1:0] m_q    /*verilator split_var*/;  // the block as numbers, word 0 on top

  // ---- Entry. A block is taken while its turn is in stage 14, empty or with step 62 of the block before; two cycles
  // later it is in stage 0.
  logic         take, ready_q, in_valid_q;
  logic [127:0] in_state_q;
  logic [511:0] in_m_q, in_m_d;
  for (genvar i = 0; i < 16; i++) begin : gen_word
    assign in_m_d[32*i +: 32] = md5_pkg::swap(block_i[32*i +: 32]);
  end

  assign ready_o = ready_q;
  assign take    = valid_i && ready_q;
  // Who is in stage 13 now is in stage 14 in the next cycle.
  always_ff @(posedge clk_i) begin
    ready_q    <= !rst_ni || turn_q[2*(Stages-3) +: 2] == 2'd3;
    in_valid_q <= rst_ni && take;
  end
  always_ff @(posedge clk_i) begin
    if (take) begin
      in_state_q <= state_i;
      in_m_q     <= in_m_d;
    end
  end

  logic last, again;
  assign last  = valid_q[Stages-1] && turn_q[2*Stages-2 +: 2] == 2'd3;
  assign again = valid_q[Stages-1] && !last;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q <= '0;
      turn_q  <= '1;
    end else begin
      valid_q <= {valid_q[Stages-2:0], again || in_valid_q};
      turn_q  <= {turn_q[2*Stages-3:0], again ? turn_q[2*Stages-2 +: 2] + 2'd1 : {2{!in_valid_q}}};
    end
  end

  // ---- The stages. Stage n does steps n, n + 16, n + 32 and n + 48 and writes field n + 1, the last one field 0.
  logic [31:0] b_last;                  // B after the last stage
  for (genvar n = 0; n < Stages; n++) begin : gen_stage
    localparam logic [5:0] Ahead0 = 6'(n + 2);   // K and M are for two steps ahead, in each of the four turns
    localparam logic [5:0] Ahead1 = 6'(n + 18);
    localparam logic [5:0] Ahead2 = 6'(n + 34);
    localparam logic [5:0] Ahead3 = 6'(n + 50);  // past step 63: step 0, 1 of the next block
    localparam int M0 = word_at(n + 2);
    localparam int M1 = word_at(n + 18);
    localparam int M2 = word_at(n + 34);
    localparam int M3 = word_at(n + 50);
    localparam logic [1:0] Step = 2'(n);
    logic [1:0]   turn;
    logic [31:0]  a_next, b, c, d, x, b_d, u_d, v_d, k_less_1, word, word3;
    logic [511:0] m;
    assign turn = turn_q[2*n +: 2];
    assign b    = b_q[32*n +: 32];
    assign c    = c_q[32*n +: 32];
    assign d    = d_q[32*n +: 32];
    assign m    = m_q[512*n +: 512];

    // K + M as (K - 1) - ~M: so the choice of the word and the adder share LUTs, 32 less a stage.
    assign k_less_1 = turn[1] ? (turn[0] ? md5_pkg::k(Ahead3) - 32'd1 : md5_pkg::k(Ahead2) - 32'd1)
                              : (turn[0] ? md5_pkg::k(Ahead1) - 32'd1 : md5_pkg::k(Ahead0) - 32'd1);
    assign word3  = n == Stages - 2 ? in_m_d[511:480] : n == Stages - 1 ? in_m_q[479:448] : m[M3 +: 32];
    assign word   = turn[1] ? (turn[0] ? word3 : m[M2 +: 32]) : (turn[0] ? m[M1 +: 32] : m[M0 +: 32]);
    assign a_next = (n == Stages - 1 && turn == 2'd3) ? in_state_q[127:96] : d;  // D becomes A
    assign x    = u_q[32*n +: 32] + md5_pkg::f(turn, b, c, d);
    assign b_d  = b + md5_pkg::rol(turn, Step, x);
    assign u_d  = a_next + v_q[32*n +: 32];
    assign v_d  = k_less_1 - ~word;

    if (n < Stages - 1) begin : gen_next
      always_ff @(posedge clk_i) begin
        if (valid_q[n] || (n == Stages - 2 && take)) begin
          b_q[32*(n+1) +: 32]   <= b_d;
          c_q[32*(n+1) +: 32]   <= b;
          d_q[32*(n+1) +: 32]   <= c;
          u_q[32*(n+1) +: 32]   <= u_d;
          v_q[32*(n+1) +: 32]   <= v_d;
          m_q[512*(n+1) +: 512] <= m;
        end
      end
    end else begin : gen_first
      assign b_last = b_d;
      always_ff @(posedge clk_i) begin
        if (again || in_valid_q) begin
          b_q[31:0]   <= in_valid_q ? in_state_q[95:64] : b_d;
          c_q[31:0]   <= in_valid_q ? in_state_q[63:32] : b;
          d_q[31:0]   <= in_valid_q ? in_state_q[31:0] : c;
          u_q[31:0]   <= u_d;
          v_q[31:0]   <= v_d;
          m_q[511:0]  <= in_valid_q ? in_m_q : m;
        end
      end
    end
  end

  // ---- Exit. Chaining value and tag wait in a queue: results leave in the order of acceptance.
  logic [TagWidth+127:0] chain_mem [0:Depth-1];
  logic [TagWidth+127:0] chain_q;
  logic [PtrW-1:0]       wr_q, rd_q;
  logic                  done_q, out_valid_q;
  logic [127:0]          done_state_q;  // after step 63
  logic [TagWidth-1:0]   tag_q;
  logic [127:0]          state_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_q        <= '0;
      rd_q        <= '0;
      done_q      <= 1'b0;
      out_valid_q <= 1'b0;
    end else begin
      if (take) wr_q <= wr_q + 1'b1;
      if (last) rd_q <= rd_q + 1'b1;
      done_q      <= last;
      out_valid_q <= done_q;
    end
  end
  always_ff @(posedge clk_i) if (take) chain_mem[wr_q] <= {tag_i, state_i};
  always_ff @(posedge clk_i) begin
    if (last) begin
      chain_q      <= chain_mem[rd_q];
      done_state_q <= {d_q[32*(Stages-1) +: 32], b_last, b_q[32*(Stages-1) +: 32], c_q[32*(Stages-1) +: 32]};
    end
  end
  always_ff @(posedge clk_i) begin
    if (done_q) begin
      tag_q           <= chain_q[TagWidth+127:128];
      state_q[127:96] <= chain_q[127:96] + done_state_q[127:96];
      state_q[95:64]  <= chain_q[95:64] + done_state_q[95:64];
      state_q[63:32]  <= chain_q[63:32] + done_state_q[63:32];
      state_q[31:0]   <= chain_q[31:0] + done_state_q[31:0];
    end
  end
  assign valid_o = out_valid_q;
  assign tag_o   = tag_q;
  assign state_o = state_q;
endmodule
