// Keeps the SA's answers until their packets are built: what is wanted early stands in a FIFO, the rest (keys among it)
// in a RAM that is read when a packet starts and wiped behind it, word and output. The early part stands a cycle after
// valid_i; its packet's read_i must not come before the third.
module front_answers #(
  parameter int EarlyBits = 32,
  parameter int WideBits  = 900,
  parameter int Depth     = 8         // a power of two
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  output logic                 room_o,      // a request may be made
  input  logic                 ask_i,       // one was made
  input  logic                 valid_i,     // an answer; never more than were asked for
  input  logic [EarlyBits-1:0] early_i,
  input  logic [WideBits-1:0]  wide_i,
  output logic                 early_valid_o,
  input  logic                 early_ready_i,
  output logic [EarlyBits-1:0] early_o,
  input  logic                 read_i,      // take the oldest answer's rest: from the next cycle to the next read_i or drop_i
  input  logic                 drop_i,      // not read_i: it is no longer wanted
  output logic [WideBits-1:0]  wide_o,
  output logic                 idle_o       // nothing asked for, nothing kept
);
  localparam int Ptr = $clog2(Depth);
  logic [Ptr-1:0] wr_q, rd_q, wipe_q;
  logic [Ptr:0]   used_q, dirty_q;          // asked for or kept or to be wiped; to be wiped
  logic           wipe, clear_q;            // clear_q: the output holds what nobody wants
  logic           in_v_q;
  logic [WideBits-1:0] in_q;                // 0 without an answer: what a wipe writes
  always_ff @(posedge clk_i) begin
    if (!rst_ni) in_v_q <= 1'b0;
    else in_v_q <= valid_i;
  end
  always_ff @(posedge clk_i) begin
    if (!valid_i) in_q <= '0;
    else in_q <= wide_i;
  end
  assign wipe   = dirty_q != '0 && !in_v_q;
  assign room_o = used_q != (Ptr + 1)'(Depth);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_q    <= '0;
      rd_q    <= '0;
      wipe_q  <= '0;
      used_q  <= (Ptr + 1)'(Depth);         // after a reset all words are wiped
      dirty_q <= (Ptr + 1)'(Depth);
      clear_q <= 1'b1;
    end else begin
      if (in_v_q) wr_q <= wr_q + 1'b1;
      if (read_i) rd_q <= rd_q + 1'b1;
      if (wipe) wipe_q <= wipe_q + 1'b1;
      used_q  <= used_q + (Ptr + 1)'(ask_i) - (Ptr + 1)'(wipe);
      dirty_q <= dirty_q + (Ptr + 1)'(read_i) - (Ptr + 1)'(wipe);
      if (read_i) clear_q <= 1'b0;
      else if (drop_i) clear_q <= 1'b1;
      else if (dirty_q == '0) clear_q <= 1'b0;
    end
  end
  logic         fifo_ready;
  logic [Ptr:0] fifo_level;
  stream_fifo #(.Width(EarlyBits), .Depth(Depth)) u_early (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(valid_i), .ready_o(fifo_ready), .data_i(early_i),
    .valid_o(early_valid_o), .ready_i(early_ready_i), .data_o(early_o), .level_o(fifo_level)
  );
  // The word before the next to be wiped is zero.
  sdp_ram #(.Width(WideBits), .Depth(Depth)) u_wide (
    .clk_i(clk_i), .wr_en_i(in_v_q || wipe), .wr_addr_i(in_v_q ? wr_q : wipe_q), .wr_data_i(in_q),
    .rd_en_i(read_i || (clear_q && dirty_q == '0)), .rd_addr_i(read_i ? rd_q : wipe_q - 1'b1), .rd_data_o(wide_o)
  );
  assign idle_o = used_q == '0 && !clear_q;
  logic unused;
  assign unused = ^{fifo_ready, fifo_level};
endmodule
