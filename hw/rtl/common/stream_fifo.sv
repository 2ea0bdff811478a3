// FIFO of Depth entries in distributed RAM, read without latency: the head stands on data_o while valid_o.
// Latency 1 cycle; 1 entry/cycle in and out. Neither handshake depends combinationally on the other side's.
module stream_fifo #(
  parameter int Width = 64,         // data bits
  parameter int Depth = 16,         // entries, a power of two, at least 2
  localparam int Ptr  = $clog2(Depth)
) (
  input  logic             clk_i,
  input  logic             rst_ni,   // synchronous; empties the FIFO
  input  logic             valid_i,
  output logic             ready_o,
  input  logic [Width-1:0] data_i,
  output logic             valid_o,
  input  logic             ready_i,
  output logic [Width-1:0] data_o,   // stable while valid_o && !ready_i
  output logic [Ptr:0]     level_o   // entries held
);
  logic [Width-1:0] mem [0:Depth-1];
  logic [Ptr:0]     wr_q, rd_q;      // one bit more than an address: tells full from empty
  logic             push, pop;

  initial if (Depth < 2 || (Depth & (Depth - 1)) != 0) $fatal(1, "stream_fifo: Depth must be a power of two >= 2");

  assign level_o = wr_q - rd_q;
  assign ready_o = !level_o[Ptr];
  assign valid_o = wr_q != rd_q;
  assign data_o  = mem[rd_q[Ptr-1:0]];
  assign push    = valid_i && ready_o;
  assign pop     = valid_o && ready_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_q <= '0;
      rd_q <= '0;
    end else begin
      if (push) wr_q <= wr_q + 1'b1;
      if (pop) rd_q <= rd_q + 1'b1;
    end
  end
  always_ff @(posedge clk_i) if (push) mem[wr_q[Ptr-1:0]] <= data_i;

`ifdef FORMAL
  logic past_ok_q = 1'b0;
  always @(posedge clk_i) begin
    past_ok_q <= 1'b1;
    if (!past_ok_q) assume (!rst_ni);
    if (past_ok_q) begin
      assert (level_o <= (Ptr + 1)'(Depth));
      if ($past(rst_ni) && $past(valid_o && !ready_i)) begin
        assert (valid_o);
        assert (data_o == $past(data_o));
      end
      cover (level_o == (Ptr + 1)'(Depth));
    end
  end
`endif
endmodule
