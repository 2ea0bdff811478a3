// Bench for Icarus: a hash ring (CORE, state of BITS bits) against hashlib. All first blocks of the messages back to
// back from the initial state, then all second blocks from the states that came out, with gaps.
`timescale 1ns/1ps
module hash_ring_icarus;
  localparam int Messages = 64;
  localparam logic [159:0] Sha1Init = 160'h67452301_efcdab89_98badcfe_10325476_c3d2e1f0;
  localparam logic [`BITS-1:0] Init = Sha1Init[159 -: `BITS];  // MD5 starts from the same four

  logic             clk = 1'b0;
  logic             rst_n = 1'b0;
  logic             valid = 1'b0;
  logic             ready, out_valid;
  logic [7:0]       tag = '0;
  logic [7:0]       out_tag;
  logic [`BITS-1:0] state = '0;
  logic [`BITS-1:0] out_state;
  logic [511:0]     block = '0;
  always #5 clk = !clk;

  `CORE #(.TagWidth(8)) dut (
    .clk_i(clk), .rst_ni(rst_n), .valid_i(valid), .ready_o(ready), .tag_i(tag), .state_i(state), .block_i(block),
    .valid_o(out_valid), .tag_o(out_tag), .state_o(out_state)
  );

  logic [511:0]     first [0:Messages-1];
  logic [511:0]     second [0:Messages-1];
  logic [`BITS-1:0] digest [0:Messages-1];
  logic [`BITS-1:0] middle [0:Messages-1];
  int               middles = 0;
  int               checks = 0;
  int               errors = 0;

  always @(posedge clk) begin
    if (out_valid === 1'b1) begin
      if (out_tag[7:6] == 2'd0) begin
        middle[out_tag[5:0]] <= out_state;
        middles <= middles + 1;
      end else begin
        checks <= checks + 1;
        if (out_state !== digest[out_tag[5:0]] || out_tag[5:0] != checks) begin
          errors <= errors + 1;
          $display("FAIL: message %0d: %h instead of %h", out_tag[5:0], out_state, digest[out_tag[5:0]]);
        end
      end
    end
  end

  task automatic send(input int n, input bit last);
    begin
      valid = 1'b1;
      tag   = {1'b0, last, 6'(n)};
      state = last ? middle[n] : Init;
      block = last ? second[n] : first[n];
      @(posedge clk);
      while (ready !== 1'b1) @(posedge clk);
      #1 valid = 1'b0;
    end
  endtask

  initial begin
    $readmemh("first.hex", first);
    $readmemh("second.hex", second);
    $readmemh("digest.hex", digest);
    repeat (3) @(posedge clk);
    #1 rst_n = 1'b1;
    for (int n = 0; n < Messages; n++) send(n, 1'b0);
    for (int i = 0; i < 200 && middles < Messages; i++) @(posedge clk);
    #1;
    for (int n = 0; n < Messages; n++) begin
      send(n, 1'b1);
      repeat (n % 3) @(posedge clk);
      #1;
    end
    for (int i = 0; i < 200 && checks < Messages; i++) @(posedge clk);
    #1;
    if (errors == 0 && checks == Messages && middles == Messages) $display("PASS: %0d checks", checks);
    else $display("FAIL: %0d errors, %0d checks", errors, checks);
    $finish;
  end
endmodule
