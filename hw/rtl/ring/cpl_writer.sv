// Writes completions in the order given, each once its packet is in memory; several may be on their way to the
// ring. CQ_TAIL moves when the memory has answered. A completion of a queue that is off is dropped.
module cpl_writer #(
  parameter int RingCount = 1,
  parameter int Depth = 64           // completions held
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  output logic                    idle_o,
  input  logic [31:0]             cycle_i,
  // completions, see pkt_result
  input  logic                    in_valid_i,
  output logic                    in_ready_o,
  input  logic                    in_wait_i,
  input  logic [3:0]              in_queue_i,
  input  logic [15:0]             in_src_len_i,
  input  logic [511:0]            in_data_i,
  input  logic                    pkt_done_i,     // one cycle a packet write, in order
  input  logic                    pkt_err_i,
  // queues
  input  logic [RingCount-1:0]    live_i,
  input  logic [64*RingCount-1:0] addr_i,
  input  logic [RingCount-1:0]    phase_i,
  output logic [RingCount-1:0]    issue_o,
  output logic [RingCount-1:0]    done_o,
  output logic [RingCount-1:0]    error_o,
  // write port
  output logic                    wr_valid_o,
  input  logic                    wr_ready_i,
  output logic [63:0]             wr_addr_o,
  output logic [511:0]            wr_data_o,
  output logic [3:0]              wr_queue_o,
  input  logic                    wr_done_i,      // one cycle, in order
  input  logic [3:0]              wr_done_queue_i,
  input  logic                    wr_done_err_i,
  // for counters, one cycle a completion
  output logic                    count_o,
  output logic [7:0]              count_op_o,
  output logic [7:0]              count_status_o,
  output logic [15:0]             count_src_len_o,
  output logic [15:0]             count_out_len_o
);
  localparam int Kept = 384;  // the stamps end below CycleDone
  logic            head_valid, head_wait, head_take, ready, done_valid, done_err, done_ready, done_room;
  logic [3:0]      head_queue;
  logic [15:0]     head_src_len;
  logic [Kept-1:0] head_data;
  logic [$clog2(Depth):0] level;
  logic [$clog2(Depth)+1:0] done_level;

  stream_fifo #(.Width(1 + 4 + 16 + Kept), .Depth(Depth)) u_in (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(in_valid_i), .ready_o(in_ready_o),
    .data_i({in_wait_i, in_queue_i, in_src_len_i, in_data_i[Kept-1:0]}),
    .valid_o(head_valid), .ready_i(head_take), .data_o({head_wait, head_queue, head_src_len, head_data}),
    .level_o(level)
  );
  stream_fifo #(.Width(1), .Depth(2 * Depth)) u_done (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(pkt_done_i), .ready_o(done_room), .data_i(pkt_err_i),
    .valid_o(done_valid), .ready_i(done_ready), .data_o(done_err), .level_o(done_level)
  );

  // One completion on the way to the write port
  logic         out_q;
  logic [3:0]   queue_q;
  logic [511:0] data_q, data;
  logic         live, phase, sent, failed;
  logic [15:0]  lives, phases;
  assign ready      = head_valid && (!head_wait || done_valid);
  assign head_take  = ready && !out_q;
  assign done_ready = head_take && head_wait;
  assign failed     = head_wait && done_err;
  always_comb begin
    data = 512'(head_data);
    data[card_pkg::CompletionCycleDoneLsb +: 32] = cycle_i;
    if (failed) begin
      data[card_pkg::CompletionStatusLsb +: 8]  = card_pkg::StatusBusError;
      data[card_pkg::CompletionOutLenLsb +: 32] = 32'd0;
    end
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) out_q <= 1'b0;
    else if (head_take) out_q <= 1'b1;
    else if (sent) out_q <= 1'b0;
  end
  always_ff @(posedge clk_i) if (head_take) begin
    queue_q <= head_queue;
    data_q  <= data;
  end
  assign lives  = 16'(live_i);
  assign phases = 16'(phase_i);
  assign live   = lives[queue_q];
  assign phase  = phases[queue_q];

  // One done a cycle and queue: a dropped completion waits while a written one is answered.
  logic drop;
  assign sent = drop || (wr_valid_o && wr_ready_i);
  assign drop = out_q && !live && !wr_done_i;
  for (genvar q = 0; q < RingCount; q++) begin : gen_queue
    assign issue_o[q] = wr_valid_o && wr_ready_i && queue_q == 4'(q);
    assign done_o[q]  = (wr_done_i && wr_done_queue_i == 4'(q)) || (drop && queue_q == 4'(q));
    assign error_o[q] = wr_done_i && wr_done_queue_i == 4'(q) && wr_done_err_i;
  end
  assign wr_valid_o = out_q && live;
  assign wr_addr_o  = addr_i[64*queue_q +: 64];
  assign wr_data_o  = {data_q[511:1], phase};
  assign wr_queue_o = queue_q;

  assign count_o         = head_take;
  assign count_op_o      = data[card_pkg::CompletionOpLsb +: 8];
  assign count_status_o  = data[card_pkg::CompletionStatusLsb +: 8];
  assign count_src_len_o = head_src_len;
  assign count_out_len_o = data[card_pkg::CompletionOutLenLsb +: 16];
  assign idle_o          = !head_valid && !out_q;
  logic unused;
  assign unused = ^{level, done_level, done_room, in_data_i[511:Kept], data_q[0]};
endmodule
