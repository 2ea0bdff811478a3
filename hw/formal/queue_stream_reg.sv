// Proof bench of stream_reg: what goes in comes out, once, in order; one entry is held at most.
module queue_stream_reg #(
  parameter int Width = 4
) (
  input logic             clk_i,
  input logic             rst_ni,
  input logic             valid_i,
  input logic [Width-1:0] data_i,
  input logic             ready_i
);
  logic             ready, valid;
  logic [Width-1:0] data;
  stream_reg #(.Width(Width)) u_dut (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(valid_i), .ready_o(ready), .data_i(data_i),
    .valid_o(valid), .ready_i(ready_i), .data_o(data)
  );
  logic             past_ok_q = 1'b0;
  logic             held_q;
  logic [Width-1:0] held_data_q;
  always @(posedge clk_i) begin
    past_ok_q <= 1'b1;
    if (!past_ok_q) assume (!rst_ni);
    if (!rst_ni) held_q <= 1'b0;
    else if (valid_i && ready) held_q <= 1'b1;
    else if (ready_i) held_q <= 1'b0;
    if (valid_i && ready) held_data_q <= data_i;
    if (past_ok_q) begin
      assert (valid == held_q);
      if (valid) assert (data == held_data_q);
      assert (ready == (!held_q || ready_i));
      cover (rst_ni && $past(valid && ready_i) && valid && ready_i);  // full rate
      cover (rst_ni && valid && !ready_i && $past(valid && !ready_i));
    end
  end
endmodule
