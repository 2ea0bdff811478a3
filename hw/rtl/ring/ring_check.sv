// Answers the window questions of N ring owners, one after the other.
module ring_check #(
  parameter int N = 2
) (
  input  logic            clk_i,
  input  logic            rst_ni,
  input  logic [255:0]    window_base_i,
  input  logic [259:0]    window_end_i,
  input  logic [3:0]      window_enable_i,
  input  logic [N-1:0]    req_i,          // until done_o
  input  logic [64*N-1:0] addr_i,
  input  logic [32*N-1:0] len_i,
  output logic [N-1:0]    done_o,         // one cycle
  output logic            ok_o            // with done_o
);
  localparam int Pick = N > 1 ? $clog2(N) : 1;
  logic [2:0]      wait_q;  // one-hot delay of window_check, plus one: the windows' ends are registered
  logic [Pick-1:0] pick_q, pick;
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
  window_check u_check (
    .clk_i(clk_i), .window_base_i(window_base_i), .window_end_i(window_end_i), .window_enable_i(window_enable_i),
    .addr_i(addr_i[64*pick_q +: 64]), .len_i(len_i[32*pick_q +: 32]), .ok_o(ok_o)
  );
endmodule
