// Simple dual-port RAM: one write port, one read port with a registered result (block RAM).
// Read latency 1 cycle; rd_data_o holds while rd_en_i is low. A read in the cycle of a write to the same address
// gives the old word. Contents are never reset.
module sdp_ram #(
  parameter int Width = 64,
  parameter int Depth = 1024,
  localparam int Addr = $clog2(Depth)
) (
  input  logic             clk_i,
  input  logic             wr_en_i,
  input  logic [Addr-1:0]  wr_addr_i,
  input  logic [Width-1:0] wr_data_i,
  input  logic             rd_en_i,
  input  logic [Addr-1:0]  rd_addr_i,
  output logic [Width-1:0] rd_data_o
);
  logic [Width-1:0] mem [0:Depth-1];
  logic [Width-1:0] rd_data_q;
  always_ff @(posedge clk_i) if (wr_en_i) mem[wr_addr_i] <= wr_data_i;
  always_ff @(posedge clk_i) if (rd_en_i) rd_data_q <= mem[rd_addr_i];
  assign rd_data_o = rd_data_q;
endmodule
