// Reads the rows of a packet's stream and keeps them until they are used. A read is asked only with room for its
// row. One row a cycle; a row is there one cycle after rd_data_valid_i.
module back_rows #(
  parameter int RowBits = 13,
  parameter int Depth   = 16   // rows on the way or kept, a power of two
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  output logic               idle_o,
  // packet with at least one row
  input  logic               job_valid_i,
  output logic               job_ready_o,
  input  logic [RowBits-1:0] job_first_i,
  input  logic [7:0]         job_more_i,      // rows behind the first
  // lane
  output logic               rd_valid_o,
  input  logic               rd_ready_i,
  output logic [RowBits-1:0] rd_row_o,
  input  logic               rd_data_valid_i,
  input  logic [511:0]       rd_data_i,
  // rows in order
  output logic               row_valid_o,
  input  logic               row_ready_i,
  output logic [511:0]       row_data_o
);
  localparam int Count = $clog2(Depth) + 1;
  logic               active_q, take, used, valid_q;
  logic [RowBits-1:0] row_q;
  logic [7:0]         more_q;
  logic [Count-1:0]   held_q, here_q;      // rows asked for and not yet used; those of them that have come
  logic [Count-2:0]   wr_q, rd_q;
  logic [511:0]       mem [0:Depth-1];

  assign job_ready_o = !active_q;
  assign rd_valid_o  = active_q && !held_q[Count-1];
  assign rd_row_o    = row_q;
  assign take        = rd_valid_o && rd_ready_i;
  assign used        = row_valid_o && row_ready_i;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      active_q <= 1'b0;
      held_q   <= '0;
    end else begin
      if (!active_q) active_q <= job_valid_i;
      else if (take && more_q == 8'd0) active_q <= 1'b0;
      if (take != used) held_q <= take ? held_q + 1'b1 : held_q - 1'b1;
    end
  end
  // valid_q is here_q != 0, known a cycle ahead: who waits for a row waits for a register.
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      here_q  <= '0;
      valid_q <= 1'b0;
      wr_q    <= '0;
      rd_q    <= '0;
    end else begin
      if (rd_data_valid_i != used) here_q <= rd_data_valid_i ? here_q + 1'b1 : here_q - 1'b1;
      valid_q <= rd_data_valid_i || here_q[Count-1:1] != '0 || (here_q[0] && !used);
      if (rd_data_valid_i) wr_q <= wr_q + 1'b1;
      if (used) rd_q <= rd_q + 1'b1;
    end
  end
  always_ff @(posedge clk_i) if (rd_data_valid_i) mem[wr_q] <= rd_data_i;
  assign row_valid_o = valid_q;
  assign row_data_o  = mem[rd_q];
  always_ff @(posedge clk_i) begin
    if (!active_q) begin
      row_q  <= job_first_i;
      more_q <= job_more_i;
    end else if (take) begin
      row_q  <= row_q + 1'b1;
      more_q <= more_q - 8'd1;
    end
  end
  assign idle_o = !active_q && held_q == '0;
endmodule
