// Does [addr, addr + len) lie whole inside one enabled window? Answer ok_o two cycles after the question, one
// question a cycle. A range of length 0 must touch or lie in a window.
module window_check (
  input  logic         clk_i,
  input  logic [255:0] window_base_i,    // 4 x 64
  input  logic [259:0] window_end_i,     // 4 x 65: first address behind
  input  logic [3:0]   window_enable_i,
  input  logic [63:0]  addr_i,
  input  logic [31:0]  len_i,            // bytes
  output logic         ok_o
);
  logic [63:0] addr_q;
  logic [64:0] end_q;
  logic [3:0]  in_window;
  logic        ok_q;
  for (genvar w = 0; w < card_pkg::NumWindows; w++) begin : gen_window
    assign in_window[w] = window_enable_i[w] && addr_q >= window_base_i[64*w +: 64] &&
                          end_q <= window_end_i[65*w +: 65];
  end
  always_ff @(posedge clk_i) begin
    addr_q <= addr_i;
    end_q  <= {1'b0, addr_i} + {33'd0, len_i};
    ok_q   <= |in_window;
  end
  assign ok_o = ok_q;
endmodule
