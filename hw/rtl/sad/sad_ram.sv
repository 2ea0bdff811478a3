// RAM of one part of the SA rows: Words words of 64 bits, each stored with its even parity bit. One write port, one
// read port with the array's and an output register (block RAM or UltraRAM). Contents are never reset.
// Read latency 2 cycles, one a cycle; rd_data_o holds until two cycles after the next read. A read in the cycle of
// a write to the same row gives the old row. rd_bad_o belongs to rd_data_o: the word's parity is odd.
module sad_ram #(
  parameter int Words = 8,       // of 64 bits
  parameter int Depth = 1024,    // rows, a power of two
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
  logic [65*Words-1:0] mem [0:Depth-1];
  logic [65*Words-1:0] array_q, out_q;
  logic [Words-1:0]    wr_parity;
  logic                rd_en_q;
  for (genvar w = 0; w < Words; w++) begin : gen_parity
    assign wr_parity[w] = parity({1'b0, wr_data_i[64*w +: 64]});
    assign rd_bad_o[w]  = parity({out_q[64*Words + w], out_q[64*w +: 64]});
  end
  // In sixes: three levels of LUTs, and the mapper keeps them
  function automatic logic parity(input logic [64:0] x);
    logic [10:0] six;
    for (int i = 0; i < 10; i++) six[i] = ^x[6*i +: 6];
    six[10] = ^x[64:60];
    parity  = (^six[5:0]) ^ (^six[10:6]);
  endfunction
  assign rd_data_o = out_q[64*Words-1:0];
  always_ff @(posedge clk_i) rd_en_q <= rd_en_i;
  always_ff @(posedge clk_i) if (wr_en_i) mem[wr_addr_i] <= {wr_parity, wr_data_i};
  always_ff @(posedge clk_i) if (rd_en_i) array_q <= mem[rd_addr_i];
  always_ff @(posedge clk_i) if (rd_en_q) out_q <= array_q;
endmodule
