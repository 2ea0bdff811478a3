// Answers the window questions of N ring owners, one after the other, 4 cycles each; the lowest first.
module ring_range #(
  parameter int N = 2
) (
  input  logic            clk_i,
  input  logic            rst_ni,
  input  logic [255:0]    window_base_i,
  input  logic [259:0]    window_end_i,
  input  logic [3:0]      window_enable_i,
  input  logic [N-1:0]    req_i,          // until done_o
  input  logic [64*N-1:0] addr_i,         // a multiple of 64, or the owner refuses it
  input  logic [32*N-1:0] len_i,
  output logic [N-1:0]    done_o,         // one cycle
  output logic            ok_o            // with done_o
);
  localparam int Pick = N > 1 ? $clog2(N) : 1;
  logic [2:0]      wait_q;  // one-hot: question, compare, answer
  logic [Pick-1:0] pick_q, pick;
  logic [63:0]     addr;
  logic            busy;
  assign busy = wait_q != '0;
  always_comb begin
    pick = '0;
    for (int i = N - 1; i >= 0; i--) if (req_i[i]) pick = Pick'(i);
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) wait_q <= '0;
    else wait_q <= {wait_q[1:0], !busy && req_i != '0};
  end
  always_ff @(posedge clk_i) if (!busy) pick_q <= pick;
  for (genvar i = 0; i < N; i++) begin : gen_done
    assign done_o[i] = wait_q[2] && pick_q == Pick'(i);
  end
  assign addr = addr_i[64*pick_q +: 64];
  range_check u_check (
    .clk_i(clk_i), .window_base_i(window_base_i), .window_end_i(window_end_i), .window_enable_i(window_enable_i),
    .ask_i(wait_q[0]), .addr_i(addr[63:6]), .len_i(len_i[32*pick_q +: 32]), .up_i(1'b0), .ok_o(ok_o)
  );
  logic unused;
  assign unused = ^addr[5:0];
endmodule
