// Bench for Icarus: both kinds of tdes_pipe, 256 slots, against the openssl command: all keys, then blocks of the
// slots in turn, with gaps. At the end wiped slots must work as with the zero key.
`timescale 1ns/1ps
module tdes_pipe_icarus;
  localparam int Keys   = 20;
  localparam int Blocks = 3;   // a key
  localparam logic [63:0] ZeroUnderZero = 64'h8ca64de9c1b123a7;  // DES of the zero block under the zero key

  logic         clk = 1'b0;
  logic         rst_n = 1'b0;
  logic         key_we = 1'b0;
  logic         key_decrypt = 1'b0;
  logic         key_wipe = 1'b0;
  logic         valid = 1'b0;
  logic [7:0]   key_slot = '0;
  logic [7:0]   slot = '0;
  logic [191:0] key = '0;
  logic [63:0]  data = '0;
  logic [1:0]   out_valid;
  logic [63:0]  by_slot, carried;
  always #5 clk = !clk;

  tdes_pipe #(.Slots(256), .KeyCarry(0)) dut_by_slot (
    .clk_i(clk), .rst_ni(rst_n), .key_we_i(key_we), .key_slot_i(key_slot), .key_decrypt_i(key_decrypt),
    .key_wipe_i(key_wipe), .key_i(key), .valid_i(valid), .slot_i(slot), .data_i(data),
    .valid_o(out_valid[0]), .data_o(by_slot)
  );
  tdes_pipe #(.Slots(256), .KeyCarry(1)) dut_carried (
    .clk_i(clk), .rst_ni(rst_n), .key_we_i(key_we), .key_slot_i(key_slot), .key_decrypt_i(key_decrypt),
    .key_wipe_i(key_wipe), .key_i(key), .valid_i(valid), .slot_i(slot), .data_i(data),
    .valid_o(out_valid[1]), .data_o(carried)
  );

  logic [203:0] keys [0:Keys-1];           // direction, slot, key
  logic [63:0]  in [0:Keys*Blocks-1];
  logic [63:0]  out [0:Keys*Blocks-1];
  logic [63:0]  expected [0:Keys*Blocks+Keys-1];
  int           sent = 0;
  int           checks = 0;
  int           errors = 0;

  always @(posedge clk) begin
    if (rst_n && (^out_valid === 1'bx || out_valid[0] != out_valid[1])) errors = errors + 1;
    if (out_valid[0] === 1'b1) begin
      if (by_slot !== expected[checks] || carried !== expected[checks]) begin
        errors = errors + 1;
        $display("FAIL: block %0d: %h, %h instead of %h", checks, by_slot, carried, expected[checks]);
      end
      checks = checks + 1;
    end
  end

  task automatic send(input logic [7:0] to, input logic [63:0] x, input logic [63:0] y);
    begin
      valid = 1'b1;
      slot  = to;
      data  = x;
      expected[sent] = y;
      sent = sent + 1;
      @(posedge clk);
      #1 valid = 1'b0;
    end
  endtask

  initial begin
    $readmemh("key.hex", keys);
    $readmemh("in.hex", in);
    $readmemh("out.hex", out);
    repeat (3) @(posedge clk);
    #1 rst_n = 1'b1;
    key_we = 1'b1;
    for (int n = 0; n < Keys; n++) begin
      {key_decrypt, key_slot, key} = keys[n][200:0];
      @(posedge clk);
      #1;
    end
    key_we = 1'b0;
    for (int b = 0; b < Blocks; b++) begin
      for (int n = 0; n < Keys; n++) begin
        send(keys[n][199:192], in[n*Blocks + b], out[n*Blocks + b]);
        repeat (b % 2) @(posedge clk);
        #1;
      end
    end
    repeat (60) @(posedge clk);
    #1;
    key_we   = 1'b1;
    key_wipe = 1'b1;
    for (int n = 0; n < Keys; n++) begin
      key_slot = keys[n][199:192];
      @(posedge clk);
      #1;
    end
    key_we = 1'b0;
    for (int n = 0; n < Keys; n++) send(keys[n][199:192], 64'd0, ZeroUnderZero);
    repeat (60) @(posedge clk);
    #1;
    if (errors == 0 && checks == Keys * Blocks + Keys) $display("PASS: %0d checks", checks);
    else $display("FAIL: %0d errors, %0d checks", errors, checks);
    $finish;
  end
endmodule
