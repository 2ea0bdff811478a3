// Proof bench of stream_fifo: it equals a shift register of Depth entries that counts what it holds.
module queue_stream_fifo #(
  parameter int Width = 2,
  parameter int Depth = 4
) (
  input logic             clk_i,
  input logic             rst_ni,
  input logic             valid_i,
  input logic [Width-1:0] data_i,
  input logic             ready_i
);
  localparam int Level = $clog2(Depth) + 1;
  logic                   ready, valid;
  logic [Width-1:0]       data;
  logic [Level-1:0]       level;
  stream_fifo #(.Width(Width), .Depth(Depth)) u_dut (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(valid_i), .ready_o(ready), .data_i(data_i),
    .valid_o(valid), .ready_i(ready_i), .data_o(data), .level_o(level)
  );
  logic                   past_ok_q = 1'b0;
  logic [Width*Depth-1:0] all_q, popped;  // oldest in the low bits
  logic [Level-1:0]       count_q, count;
  logic                   push, pop;
  assign push   = valid_i && ready;
  assign pop    = valid && ready_i;
  assign popped = pop ? all_q >> Width : all_q;
  assign count  = count_q - Level'(pop);
  always @(posedge clk_i) begin
    past_ok_q <= 1'b1;
    if (!past_ok_q) assume (!rst_ni);
    if (!rst_ni) count_q <= '0;
    else begin
      count_q <= count + Level'(push);
      all_q   <= popped;
      if (push) all_q[Width*32'(count) +: Width] <= data_i;
    end
    if (past_ok_q) begin
      assert (level == count_q);
      assert (valid == (count_q != '0));
      assert (ready == (count_q != Level'(Depth)));
      if (valid) assert (data == all_q[Width-1:0]);
      cover (rst_ni && count_q == Level'(Depth) && $past(count_q) == Level'(Depth));
      cover (rst_ni && push && pop && $past(push && pop));
    end
  end
endmodule
