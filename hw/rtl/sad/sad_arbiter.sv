// Round robin over N requests: at most one grant, none starves while it keeps asking and open_i comes.
// Combinational; the turn moves past the granted one at the clock edge. open_i gates the grant and its move, and is the
// last thing that the grant waits for.
module sad_arbiter #(
  parameter int N = 9
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         open_i,
  input  logic [N-1:0] req_i,
  output logic [N-1:0] grant_o
);
  logic [N-1:0] last_q;          // the last granted one
  logic [N-1:0] later, masked, first, first_masked;
  // No x & -x: a carry chain would stand between two levels of LUTs
  assign later        = below(last_q);
  assign masked       = req_i & later;
  assign first        = req_i & ~below(req_i);
  assign first_masked = masked & ~below(masked);
  assign grant_o      = (masked != '0 ? first_masked : first) & {N{open_i}};
  always_ff @(posedge clk_i) begin
    if (!rst_ni) last_q <= '0;
    else if (open_i && req_i != '0) last_q <= grant_o;
  end

  // bit n: one of the bits below n is set; by groups of three, so that no bit looks at those below it one by one
  function automatic logic [N-1:0] below(input logic [N-1:0] x);
    logic [N-1:0] y;
    logic [N+1:0] z;             // room for the rest of the last group
    logic         lower;         // in a group below
    z = {2'b00, x};
    y = '0;
    for (int g = 0; g < N; g += 3) begin
      lower = 1'b0;
      for (int h = 0; h < g; h += 3) lower = lower | (z[h] | z[h+1] | z[h+2]);
      y[g]   = lower;
      if (g + 1 < N) y[g+1] = lower | z[g];
      if (g + 2 < N) y[g+2] = lower | (z[g] | z[g+1]);
    end
    below = y;
  endfunction
endmodule
