// What the life cycle must not depend on, left free: parity results, and when there is room for events.
module sad_ram #(
  parameter int Words = 8,
  parameter int Depth = 1024,
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
  logic [64*Words-1:0] mem [0:Depth-1];
  logic [64*Words-1:0] array_q, out_q;
  logic                rd_en_q;
  logic                bad;   // driven by nothing: free in every cycle
  assign rd_bad_o  = Words'(bad);
  assign rd_data_o = out_q;
  always_ff @(posedge clk_i) rd_en_q <= rd_en_i;
  always_ff @(posedge clk_i) if (wr_en_i) mem[wr_addr_i] <= wr_data_i;
  always_ff @(posedge clk_i) if (rd_en_i) array_q <= mem[rd_addr_i];
  always_ff @(posedge clk_i) if (rd_en_q) out_q <= array_q;
endmodule
module sad_events (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        valid_i,
  output logic        room_o,
  input  logic [8:0]  mask_i,
  input  logic [31:0] index_i,
  input  logic [31:0] spi_i,
  input  logic [31:0] bytes_i,
  input  logic [31:0] packets_i,
  input  logic [31:0] age_i,
  input  logic [31:0] seq_i,
  output logic        ev_valid_o,
  input  logic        ev_ready_i,
  output logic [7:0]  ev_type_o,
  output logic [31:0] ev_index_o,
  output logic [31:0] ev_spi_o,
  output logic [31:0] ev_arg_o
);
  logic room;  // driven by nothing: free in every cycle
  assign room_o     = room;
  assign ev_valid_o = 1'b0;
  assign ev_type_o  = '0;
  assign ev_index_o = '0;
  assign ev_spi_o   = '0;
  assign ev_arg_o   = '0;
  logic unused;
  assign unused = ^{clk_i, rst_ni, valid_i, mask_i, index_i, spi_i, bytes_i, packets_i, age_i, seq_i, ev_ready_i};
endmodule
