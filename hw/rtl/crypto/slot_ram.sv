// State of slots: as common/sdp_ram (registered read, old word on a write to the same address, never reset), but in
// block RAM whatever its width: as LUT RAM the many narrow ones would cost a lane a thousand LUTs.
module slot_ram #(
  parameter int Width = 64,
  parameter int Depth = 256,
  localparam int Addr = $clog2(Depth)
) (
  input  logic             clk_i,
  input  logic             wr_en_i,
  input  logic [Addr-1:0]  wr_addr_i,
  input  logic [Width-1:0] wr_data_i,
  input  logic             rd_en_i,
  input  logic [Addr-1:0]  rd_addr_i,
  output logic [Width-1:0] rd_data_o  // a cycle after rd_en_i; holds
);
  (* ram_style = "block" *)
  logic [Width-1:0] mem [0:Depth-1];
  logic [Width-1:0] rd_data_q;
  always_ff @(posedge clk_i) if (wr_en_i) mem[wr_addr_i] <= wr_data_i;
  always_ff @(posedge clk_i) if (rd_en_i) rd_data_q <= mem[rd_addr_i];
  assign rd_data_o = rd_data_q;
endmodule
