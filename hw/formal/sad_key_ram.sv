// The key RAM of sad as a black box: rows go in and come out, and what its parity check says depends on no key, since
// the RAM itself writes the parity that it checks.
(* blackbox *)
module sad_key_ram #(
  parameter int Words = 8,
  parameter int Depth = 4,
  localparam int Addr = $clog2(Depth)
) (
  input  logic                clk_i,
  input  logic                wr_en_i,
  input  logic [Addr-1:0]     wr_addr_i,
  input  logic [64*Words-1:0] wr_data_i,
  input  logic                rd_en_i,
  input  logic [Addr-1:0]     rd_addr_i,
  output logic [64*Words-1:0] rd_data_o,
  output logic [Words-1:0]    rd_bad_o
);
endmodule
