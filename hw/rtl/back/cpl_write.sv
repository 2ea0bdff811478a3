// Writes completions of a lane in the order given, each once its packet is in memory; many may be on their way to
// the ring. CQ_TAIL moves when the memory has answered. A completion of a queue that is off is dropped.
// CycleDone is the cycle in which axi_write reports the packet in memory; without a packet, that in which the completion
// left. One completion in 3 cycles; 5 cycles from pkt_done_i to wr_valid_o at the least.
module cpl_write #(
  parameter int QueueCount = 4,    // of this lane, up to 16
  parameter int Depth      = 32    // completions held, a power of two
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,
  output logic                     idle_o,
  input  logic [31:0]              cycle_i,
  // completions, see lane_back
  input  logic                     in_valid_i,
  output logic                     in_ready_o,
  input  logic                     in_wait_i,
  input  logic [3:0]               in_queue_i,     // the lane's own number
  input  logic [15:0]              in_src_len_i,
  input  logic [511:0]             in_data_i,
  input  logic                     pkt_done_i,     // one cycle a packet write, in order
  input  logic                     pkt_err_i,
  // queues: fields hold until issue_o; a queue's next address may follow one cycle after it
  input  logic [QueueCount-1:0]    live_i,
  input  logic [64*QueueCount-1:0] addr_i,
  input  logic [QueueCount-1:0]    phase_i,
  output logic [QueueCount-1:0]    issue_o,
  output logic [QueueCount-1:0]    done_o,
  output logic [QueueCount-1:0]    error_o,
  // write port
  output logic                     wr_valid_o,
  input  logic                     wr_ready_i,
  output logic [63:0]              wr_addr_o,
  output logic [511:0]             wr_data_o,
  output logic [3:0]               wr_queue_o,
  input  logic                     wr_done_i,      // one cycle, in order
  input  logic [3:0]               wr_done_queue_i,
  input  logic                     wr_done_err_i,
  // for counters, one cycle a completion
  output logic                     count_o,
  output logic [3:0]               count_queue_o,
  output logic [7:0]               count_op_o,
  output logic [7:0]               count_status_o,
  output logic [15:0]              count_src_len_o,
  output logic [15:0]              count_out_len_o
);
  localparam int Kept = 384;  // the other stamps end below CycleDone
  localparam int Ptr  = $clog2(Depth);

  // ---- Completions held, in block RAM; the oldest stands at its output while loaded_q -----------------------------
  logic [Ptr:0]    wr_q, rd_q, held;
  logic            push, load, loaded_q, take, head_wait;
  logic [3:0]      head_queue;
  logic [15:0]     head_src_len;
  logic [Kept-1:0] head;
  // rd_q counts what was read; a read one still takes its place until it is taken
  assign held       = wr_q - rd_q;
  assign in_ready_o = !held[Ptr];
  assign push       = in_valid_i && in_ready_o;
  assign load       = held != '0 && (!loaded_q || take);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_q     <= '0;
      rd_q     <= '0;
      loaded_q <= 1'b0;
    end else begin
      if (push) wr_q <= wr_q + 1'b1;
      if (load) rd_q <= rd_q + 1'b1;
      if (load) loaded_q <= 1'b1;
      else if (take) loaded_q <= 1'b0;
    end
  end
  sdp_ram #(.Width(1 + 4 + 16 + Kept), .Depth(Depth)) u_held (
    .clk_i(clk_i), .wr_en_i(push), .wr_addr_i(wr_q[Ptr-1:0]),
    .wr_data_i({in_wait_i, in_queue_i, in_src_len_i, in_data_i[Kept-1:0]}),
    .rd_en_i(load), .rd_addr_i(rd_q[Ptr-1:0]), .rd_data_o({head_wait, head_queue, head_src_len, head})
  );

  // ---- Packets in memory ------------------------------------------------------------------------------------------
  logic         done_valid, done_room, done_err;
  logic [31:0]  done_cycle;
  logic [Ptr+1:0] done_level;
  stream_fifo #(.Width(33), .Depth(2 * Depth)) u_done (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(pkt_done_i), .ready_o(done_room), .data_i({pkt_err_i, cycle_i}),
    .valid_o(done_valid), .ready_i(take && head_wait), .data_o({done_err, done_cycle}), .level_o(done_level)
  );

  // ---- One completion at a time: take, look up its queue, send ----------------------------------------------------
  typedef enum logic [1:0] {StTake, StQueue, StSend} state_e;
  state_e          state_q;
  logic            sent, drop, live_q, phase_q;  // live_q: a cycle late
  logic [31:0]     stamp_q;
  logic [3:0]      queue_q;
  logic [15:0]     src_len_q, lives, phases;
  logic [Kept-1:0] kept_q;
  logic [63:0]     addr_q;
  logic [1023:0]   addrs;
  assign take = state_q == StTake && loaded_q && (!head_wait || done_valid);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) state_q <= StTake;
    else begin
      case (state_q)
        StTake:  if (take) state_q <= StQueue;
        StQueue: state_q <= StSend;
        default: if (sent) state_q <= StTake;
      endcase
    end
  end
  assign addrs  = 1024'(addr_i);
  assign phases = 16'(phase_i);
  assign lives  = 16'(live_i);
  always_ff @(posedge clk_i) begin
    live_q <= lives[queue_q];
    if (take) begin
      queue_q   <= head_queue;
      src_len_q <= head_src_len;
      kept_q    <= head;
      stamp_q   <= head_wait ? done_cycle : cycle_i;
      if (head_wait && done_err) begin
        kept_q[card_pkg::CompletionStatusLsb +: 8]  <= card_pkg::StatusBusError;
        kept_q[card_pkg::CompletionOutLenLsb +: 32] <= 32'd0;
      end
    end
    if (state_q == StQueue) begin
      addr_q  <= addrs[64*queue_q +: 64];
      phase_q <= phases[queue_q];
    end
  end

  // One done a cycle and queue: a dropped completion waits while a written one is answered.
  assign sent = drop || (wr_valid_o && wr_ready_i);
  assign drop = state_q == StSend && !live_q && !wr_done_i;
  for (genvar q = 0; q < QueueCount; q++) begin : gen_queue
    assign issue_o[q] = wr_valid_o && wr_ready_i && queue_q == 4'(q);
    assign done_o[q]  = (wr_done_i && wr_done_queue_i == 4'(q)) || (drop && queue_q == 4'(q));
    assign error_o[q] = wr_done_i && wr_done_queue_i == 4'(q) && wr_done_err_i;
  end
  assign wr_valid_o = state_q == StSend && live_q;
  assign wr_addr_o  = addr_q;
  assign wr_data_o  = {96'd0, stamp_q, kept_q[Kept-1:1], phase_q};
  assign wr_queue_o = queue_q;

  assign count_o         = state_q == StQueue;
  assign count_queue_o   = queue_q;
  assign count_op_o      = kept_q[card_pkg::CompletionOpLsb +: 8];
  assign count_status_o  = kept_q[card_pkg::CompletionStatusLsb +: 8];
  assign count_src_len_o = src_len_q;
  assign count_out_len_o = kept_q[card_pkg::CompletionOutLenLsb +: 16];
  assign idle_o          = held == '0 && !loaded_q && state_q == StTake;
  logic unused;
  assign unused = ^{done_level, done_room, in_data_i[511:Kept], kept_q[0]};
endmodule
