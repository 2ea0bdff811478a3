// Bench for Icarus: md5_core against hashlib, messages of two blocks one after the other.
`timescale 1ns/1ps
module md5_core_icarus;
  localparam int Messages = 64;

  logic         clk = 1'b0;
  logic         rst_n = 1'b0;
  logic         valid = 1'b0;
  logic         ready, out_valid;
  logic [127:0] state = '0;
  logic [127:0] out_state;
  logic [511:0] block = '0;
  always #5 clk = !clk;

  md5_core dut (
    .clk_i(clk), .rst_ni(rst_n), .valid_i(valid), .ready_o(ready), .state_i(state), .block_i(block),
    .valid_o(out_valid), .state_o(out_state)
  );

  logic [511:0] first [0:Messages-1];
  logic [511:0] second [0:Messages-1];
  logic [127:0] digest [0:Messages-1];
  int           checks = 0;
  int           errors = 0;

  // One block; returns when its result stands at state_o.
  task automatic hash(input logic [127:0] from, input logic [511:0] data);
    begin
      valid = 1'b1;
      state = from;
      block = data;
      @(posedge clk);
      #1 valid = 1'b0;
      for (int i = 0; i < 200 && out_valid !== 1'b1; i++) begin
        @(posedge clk);
        #1;
      end
      if (out_valid !== 1'b1 || ready !== 1'b1) errors = errors + 1;
    end
  endtask

  initial begin
    $readmemh("first.hex", first);
    $readmemh("second.hex", second);
    $readmemh("digest.hex", digest);
    repeat (3) @(posedge clk);
    #1 rst_n = 1'b1;
    for (int n = 0; n < Messages; n++) begin
      hash(128'h67452301_efcdab89_98badcfe_10325476, first[n]);
      hash(out_state, second[n]);
      checks = checks + 1;
      if (out_state !== digest[n]) begin
        errors = errors + 1;
        $display("FAIL: message %0d: %h instead of %h", n, out_state, digest[n]);
      end
    end
    if (errors == 0 && checks == Messages) $display("PASS: %0d checks", checks);
    else $display("FAIL: %0d errors, %0d checks", errors, checks);
    $finish;
  end
endmodule
