// Does [addr, addr + len) lie whole inside one enabled window? The answer stands on ok_o two cycles after the
// question, one question a cycle. addr is taken as a multiple of 64: who asks refuses others. With whole_i len is
// rounded up to whole beats. A range of length 0 must touch or lie in a window.
module range_check (
  input  logic         clk_i,
  input  logic [255:0] window_base_i,    // 4 x 64
  input  logic [259:0] window_end_i,     // 4 x 65: first address behind
  input  logic [3:0]   window_enable_i,
  input  logic         ask_i,            // ok_o is held without a question
  input  logic [57:0]  addr_i,           // in beats
  input  logic [31:0]  len_i,            // bytes
  input  logic         whole_i,
  output logic         ok_o
);
  logic [57:0] addr_q;
  logic [64:0] end_q;
  logic [3:0]  in_window;
  logic        up, asked_q, ok_q;
  assign up = whole_i && len_i[5:0] != '0;
  for (genvar w = 0; w < card_pkg::NumWindows; w++) begin : gen_window
    assign in_window[w] = window_enable_i[w] && {addr_q, 6'd0} >= window_base_i[64*w +: 64] &&
                          end_q <= window_end_i[65*w +: 65];
  end
  always_ff @(posedge clk_i) begin
    asked_q <= ask_i;
    if (ask_i) begin
      addr_q <= addr_i;
      end_q  <= {59'(addr_i) + 59'(len_i[31:6]) + 59'(up), whole_i ? 6'd0 : len_i[5:0]};
    end
    if (asked_q) ok_q <= |in_window;
  end
  assign ok_o = ok_q;
endmodule
