// Round robin over N requests: at most one grant, none starves while it keeps asking and en_i comes.
// Combinational; the turn moves past the granted one at the clock edge. en_i only gates the move.
module sad_arbiter #(
  parameter int N = 9
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         en_i,     // the grant is used
  input  logic [N-1:0] req_i,
  output logic [N-1:0] grant_o
);
  logic [N-1:0] later_q;         // requests behind the last granted one
  logic [N-1:0] masked, later;
  assign masked = req_i & later_q;
  always_comb begin
    if (masked != '0) grant_o = masked & (~masked + 1'b1);
    else grant_o = req_i & (~req_i + 1'b1);
  end
  assign later = ~(grant_o | (grant_o - 1'b1));
  always_ff @(posedge clk_i) begin
    if (!rst_ni) later_q <= '0;
    else if (en_i && req_i != '0) later_q <= later;
  end
endmodule
