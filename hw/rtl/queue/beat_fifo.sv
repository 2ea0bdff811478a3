// FIFO of wide entries in block RAM with registered read and prefetch: one entry a cycle in and out.
// No ready at the input: whoever pushes keeps credits, an entry counting until it was taken at the output.
// Latency 2 cycles, 3 with OutReg (a register behind the RAM).
module beat_fifo #(
  parameter int Width  = 513,
  parameter int Depth  = 256,  // entries, a power of two
  parameter int OutReg = 1,
  localparam int Ptr   = $clog2(Depth)
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             push_i,
  input  logic [Width-1:0] data_i,
  output logic             valid_o,
  input  logic             ready_i,
  output logic [Width-1:0] data_o   // stable while valid_o && !ready_i
);
  (* ram_style = "block" *) logic [Width-1:0] mem [0:Depth-1];
  logic [Width-1:0] rd_data_q;
  logic [Ptr:0]     wr_q, rd_q;
  logic             read, read_q, ahead;  // read_q: rd_data_q is an entry; ahead: it moves on, or there is none

  assign read = wr_q != rd_q && ahead;
  always_ff @(posedge clk_i) if (push_i) mem[wr_q[Ptr-1:0]] <= data_i;
  always_ff @(posedge clk_i) if (read) rd_data_q <= mem[rd_q[Ptr-1:0]];
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_q   <= '0;
      rd_q   <= '0;
      read_q <= 1'b0;
    end else begin
      if (push_i) wr_q <= wr_q + 1'b1;
      if (read) rd_q <= rd_q + 1'b1;
      if (ahead) read_q <= read;
    end
  end

  if (OutReg != 0) begin : gen_reg
    logic             out_q, take;
    logic [Width-1:0] data_q;
    assign take  = !out_q || ready_i;
    assign ahead = !read_q || take;
    always_ff @(posedge clk_i) if (!rst_ni) out_q <= 1'b0; else if (take) out_q <= read_q;
    always_ff @(posedge clk_i) if (take && read_q) data_q <= rd_data_q;
    assign valid_o = out_q;
    assign data_o  = data_q;
  end else begin : gen_direct
    assign ahead   = !read_q || ready_i;
    assign valid_o = read_q;
    assign data_o  = rd_data_q;
  end
endmodule
