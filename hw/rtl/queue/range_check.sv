// Does [addr, addr + len) lie whole inside one enabled window? The answer stands on ok_o two cycles after the
// question, one question a cycle. addr is taken as a multiple of 64: who asks refuses others. A range of length 0 must
// touch or lie in a window.
module range_check (
  input  logic         clk_i,
  input  logic [255:0] window_base_i,    // 4 x 64
  input  logic [259:0] window_end_i,     // 4 x 65: first address behind
  input  logic [3:0]   window_enable_i,
  input  logic         ask_i,            // ok_o is held without a question
  input  logic [57:0]  addr_i,           // in beats
  input  logic [31:0]  len_i,            // bytes
  input  logic         up_i,             // 64 bytes more: who asks for whole beats rounds up with it
  output logic         ok_o
);
  logic [57:0] addr_q;
  logic [64:0] end_q;
  logic [59:0] sum;
  logic [3:0]  in_window, hit_q;
  logic        asked_q;
  assign sum = {1'b0, addr_i, 1'b1} + {33'd0, len_i[31:6], up_i};  // one adder: up goes in at the low end
  for (genvar w = 0; w < card_pkg::NumWindows; w++) begin : gen_window
    assign in_window[w] = window_enable_i[w] && {addr_q, 6'd0} >= window_base_i[64*w +: 64] &&
                          end_q <= window_end_i[65*w +: 65];
  end
  always_ff @(posedge clk_i) begin
    asked_q <= ask_i;
    if (ask_i) begin
      addr_q <= addr_i;
      end_q  <= {sum[59:1], len_i[5:0]};
    end
    if (asked_q) hit_q <= in_window;
  end
  assign ok_o = hit_q != '0;
  logic unused;
  assign unused = sum[0];
endmodule
