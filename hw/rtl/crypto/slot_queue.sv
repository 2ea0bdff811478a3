// Queue of entries that each belong to a slot: block RAM with its head read ahead. It has room for one entry of every
// slot and is never full, so there is no ready. Latency 2 cycles from push to head; 1 entry a cycle in and out.
module slot_queue #(
  parameter int Width = 8,
  parameter int Depth = 256,        // a power of two
  localparam int Ptr  = $clog2(Depth)
) (
  input  logic             clk_i,
  input  logic             rst_ni,   // synchronous; empties the queue
  input  logic             push_i,
  input  logic [Width-1:0] data_i,
  output logic             valid_o,
  input  logic             pop_i,    // only while valid_o
  output logic [Width-1:0] data_o    // stable while valid_o && !pop_i
);
  logic [Ptr:0] wr_q, rd_q;          // one bit more than an address: full is not empty
  logic         head_q, fetch;

  assign fetch   = wr_q != rd_q && (!head_q || pop_i);
  assign valid_o = head_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_q   <= '0;
      rd_q   <= '0;
      head_q <= 1'b0;
    end else begin
      if (push_i) wr_q <= wr_q + 1'b1;
      if (fetch) rd_q <= rd_q + 1'b1;
      head_q <= fetch || (head_q && !pop_i);
    end
  end
  slot_ram #(.Width(Width), .Depth(Depth)) u_ram (
    .clk_i(clk_i),
    .wr_en_i(push_i), .wr_addr_i(wr_q[Ptr-1:0]), .wr_data_i(data_i),
    .rd_en_i(fetch), .rd_addr_i(rd_q[Ptr-1:0]), .rd_data_o(data_o)
  );
endmodule
