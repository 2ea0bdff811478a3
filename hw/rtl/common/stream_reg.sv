// One-entry elastic register: cuts the valid path, keeps full rate.
// Latency 1 cycle; 1 beat/cycle while ready_i. Not cut: ready_i -> ready_o.
module stream_reg #(
  parameter int Width = 64  // data bits
) (
  input  logic             clk_i,
  input  logic             rst_ni,   // synchronous
  input  logic             valid_i,
  output logic             ready_o,
  input  logic [Width-1:0] data_i,
  output logic             valid_o,
  input  logic             ready_i,
  output logic [Width-1:0] data_o    // stable while valid_o && !ready_i
);
  logic             full_d, full_q, push;
  logic [Width-1:0] data_q;
  assign ready_o = !full_q || ready_i;            // drain and refill in one cycle
  assign push    = valid_i && ready_o;
  assign full_d  = push || (full_q && !ready_i);
  always_ff @(posedge clk_i) if (!rst_ni) full_q <= 1'b0; else full_q <= full_d;
  always_ff @(posedge clk_i) if (push) data_q <= data_i;
  assign valid_o = full_q;
  assign data_o  = data_q;
`ifdef FORMAL  // k-induction proves both; deleting "&& ready_o" above breaks the proof
  logic past_ok_q = 1'b0;
  always @(posedge clk_i) begin
    past_ok_q <= 1'b1;
    if (!past_ok_q) assume (!rst_ni);
    if (past_ok_q && $past(rst_ni) && $past(valid_o && !ready_i)) begin
      assert (valid_o);
      assert (data_o == $past(data_o));
    end
  end
`endif
endmodule
