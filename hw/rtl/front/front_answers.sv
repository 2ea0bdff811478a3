// Keeps the SA's answers until their packets are opened: what is wanted early stands in a FIFO, what the headers want in
// a RAM read when a packet starts, what the opening wants (keys among it) in one that is read for the opening alone. A
// word is wiped behind it. The early part stands a cycle after valid_i; its packet's read_i must not come before the third.
module front_answers #(
  parameter int EarlyBits = 32,
  parameter int WideBits  = 350,
  parameter int LastBits  = 600,
  parameter int Depth     = 8         // a power of two
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  output logic                 room_o,      // a request may be made
  input  logic                 ask_i,       // one was made
  input  logic                 valid_i,     // an answer; never more than were asked for
  input  logic [EarlyBits-1:0] early_i,
  input  logic [WideBits-1:0]  wide_i,
  input  logic [LastBits-1:0]  last_i,
  output logic                 early_valid_o,
  input  logic                 early_ready_i,
  output logic [EarlyBits-1:0] early_o,
  input  logic                 read_i,      // read the next answer's wide part, from the next cycle to the next read_i
  output logic [WideBits-1:0]  wide_o,
  input  logic                 last_read_i, // read its last part and forget it; after its read_i
  output logic [LastBits-1:0]  last_o,      // one cycle after last_read_i; else 0
  output logic                 idle_o       // nothing asked for, nothing kept
);
  localparam int Ptr = $clog2(Depth);
  localparam int Bits = WideBits + LastBits;
  logic [Ptr-1:0] wr_q, rd_q, last_q, wipe_q;
  logic [Ptr:0]   used_q, dirty_q;          // asked for or kept or to be wiped; to be wiped
  logic           wipe;
  logic           in_v_q;
  logic [Bits-1:0] in_q;                    // 0 without an answer: what a wipe writes
  always_ff @(posedge clk_i) begin
    if (!rst_ni) in_v_q <= 1'b0;
    else in_v_q <= valid_i;
  end
  always_ff @(posedge clk_i) begin
    if (!valid_i) in_q <= '0;
    else in_q <= {wide_i, last_i};
  end
  assign wipe   = dirty_q != '0 && !in_v_q;
  assign room_o = used_q != (Ptr + 1)'(Depth);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_q    <= '0;
      rd_q    <= '0;
      last_q  <= '0;
      wipe_q  <= '0;
      used_q  <= (Ptr + 1)'(Depth);         // after a reset all words are wiped
      dirty_q <= (Ptr + 1)'(Depth);
    end else begin
      if (in_v_q) wr_q <= wr_q + 1'b1;
      if (read_i) rd_q <= rd_q + 1'b1;
      if (last_read_i) last_q <= last_q + 1'b1;
      if (wipe) wipe_q <= wipe_q + 1'b1;
      used_q  <= used_q + (Ptr + 1)'(ask_i) - (Ptr + 1)'(wipe);
      dirty_q <= dirty_q + (Ptr + 1)'(last_read_i) - (Ptr + 1)'(wipe);
    end
  end
  logic         fifo_ready;
  logic [Ptr:0] fifo_level;
  stream_fifo #(.Width(EarlyBits), .Depth(Depth)) u_early (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(valid_i), .ready_o(fifo_ready), .data_i(early_i),
    .valid_o(early_valid_o), .ready_i(early_ready_i), .data_o(early_o), .level_o(fifo_level)
  );
  logic                write;
  logic [Ptr-1:0]      wr_addr;
  assign write   = in_v_q || wipe;
  assign wr_addr = in_v_q ? wr_q : wipe_q;
  sdp_ram #(.Width(WideBits), .Depth(Depth)) u_wide (
    .clk_i(clk_i), .wr_en_i(write), .wr_addr_i(wr_addr), .wr_data_i(in_q[Bits-1 -: WideBits]),
    .rd_en_i(read_i), .rd_addr_i(rd_q), .rd_data_o(wide_o)
  );
  logic [LastBits-1:0] last_mem [0:Depth-1];
  logic [LastBits-1:0] out_q;
  always_ff @(posedge clk_i) if (write) last_mem[wr_addr] <= in_q[LastBits-1:0];
  always_ff @(posedge clk_i) begin
    if (!last_read_i) out_q <= '0;
    else out_q <= last_mem[last_q];
  end
  assign last_o = out_q;
  assign idle_o = used_q == '0;
  logic unused;
  assign unused = ^{fifo_ready, fifo_level};
endmodule
