// Fetches descriptors of a lane's queues, in turn, in bursts of up to 16 that end at multiples of 16 entries and so
// never pass the end of a ring. Several bursts of one or several queues are on their way at once, each with room in
// the FIFO reserved. Descriptors leave in the order of each ring with their queue's number and the cycle of arrival.
// A bus error stops the queue; descriptors of a queue that no longer runs are dropped.
// Rate: a burst every 4 cycles, a descriptor a cycle out. Latency: beat to descriptor 2 cycles.
module desc_fetch #(
  parameter int QueueCount = 4,
  parameter int Depth = 64            // descriptors held or on their way; a power of two, at least 32
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,
  input  logic                     enable_i,       // CONTROL.ENABLE
  input  logic [31:0]              cycle_i,
  output logic                     idle_o,         // nothing to fetch, nothing held
  // queues, see queue_regs
  input  logic [QueueCount-1:0]    run_i,
  input  logic [QueueCount-1:0]    in_order_i,
  input  logic [5*QueueCount-1:0]  available_i,
  input  logic [64*QueueCount-1:0] base_i,
  input  logic [15*QueueCount-1:0] index_i,
  input  logic [5*QueueCount-1:0]  to_wrap_i,
  output logic [QueueCount-1:0]    fetch_o,        // one cycle
  output logic [4:0]               fetch_count_o,
  output logic [QueueCount-1:0]    fetched_o,
  output logic [QueueCount-1:0]    dropped_o,
  output logic [QueueCount-1:0]    error_o,
  // read requests
  output logic                     req_valid_o,
  input  logic                     req_ready_i,
  output logic [63:0]              req_addr_o,
  output logic [7:0]               req_beats_o,
  input  logic                     rsp_valid_i,    // always taken
  input  logic [511:0]             rsp_data_i,
  input  logic                     rsp_last_i,
  input  logic                     rsp_err_i,
  // descriptors
  output logic                     out_valid_o,
  input  logic                     out_ready_i,
  output logic [383:0]             out_data_o,     // format Descriptor without its reserved end
  output logic                     out_reserved_o, // a reserved bit is set
  output logic [3:0]               out_queue_o,
  output logic                     out_in_order_o,
  output logic [31:0]              out_cycle_o
);
  localparam int Credit = $clog2(Depth) + 1;
  typedef enum logic [1:0] {StPick, StCount, StAddr, StStart} state_e;
  state_e            state_q;
  logic [3:0]        queue_q, queue_next;
  logic [4:0]        burst_q, available, to_wrap, req_burst_q;
  logic [63:0]       base_q;
  logic [14:0]       index_q;
  logic [57:0]       addr_q;
  logic              req_q, failed_q;
  logic [Credit-1:0] credit_q;         // room in the FIFO that no burst has reserved
  logic              push, drop, start, pop;

  // The next queue with work behind the last one served
  logic [15:0] work;
  logic        found, found_above;
  always_comb begin
    work = '0;
    for (int i = 0; i < QueueCount; i++) work[i] = available_i[5*i +: 5] != '0;
  end
  always_comb begin
    found       = work != '0;
    found_above = 1'b0;
    queue_next  = '0;
    for (int i = QueueCount - 1; i >= 0; i--) if (work[i]) queue_next = 4'(i);
    for (int i = QueueCount - 1; i >= 0; i--) begin
      if (work[i] && 4'(i) > queue_q) begin
        queue_next  = 4'(i);
        found_above = 1'b1;
      end
    end
  end

  // The queue counts the descriptors as in flight from `start` on, so it cannot begin a new life before they came. A
  // queue that was switched off since StCount has nothing available, and a new life takes more cycles than that.
  assign available = available_i[5*queue_q +: 5];
  assign to_wrap   = to_wrap_i[5*queue_q +: 5];
  assign start     = state_q == StStart && work[queue_q] && enable_i && credit_q >= Credit'(burst_q);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= StPick;
      queue_q <= '0;
      req_q   <= 1'b0;
    end else begin
      case (state_q)
        StPick: if (enable_i && found) begin
          queue_q <= queue_next;
          state_q <= StCount;
        end
        StCount: state_q <= StAddr;
        StAddr:  if (!req_q) state_q <= StStart;
        default: if (start || !work[queue_q] || !enable_i) state_q <= StPick;
      endcase
      if (start) req_q <= 1'b1;
      else if (req_ready_i) req_q <= 1'b0;
    end
  end
  always_ff @(posedge clk_i) begin
    if (state_q == StCount) begin
      burst_q <= available < to_wrap ? available : to_wrap;
      base_q  <= base_i[64*queue_q +: 64];
      index_q <= index_i[15*queue_q +: 15];
    end
    if (state_q == StAddr && !req_q) addr_q <= base_q[63:6] + 58'(index_q);
    if (start) req_burst_q <= burst_q;
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) credit_q <= Credit'(Depth);
    else credit_q <= credit_q - (start ? Credit'(burst_q) : '0) + Credit'(drop) + Credit'(pop);
  end

  // Bursts on their way, by queue: each has room reserved, so there are never more than Depth
  logic [3:0]        queue;
  logic              way_ready, way_valid;
  logic [Credit-1:0] way_level;
  logic [15:0]       runs, orders;
  stream_fifo #(.Width(4), .Depth(Depth)) u_way (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(start), .ready_o(way_ready), .data_i(queue_q),
    .valid_o(way_valid), .ready_i(rsp_valid_i && rsp_last_i), .data_o(queue), .level_o(way_level)
  );
  always_ff @(posedge clk_i) begin
    if (!rst_ni) failed_q <= 1'b0;
    else if (rsp_valid_i) failed_q <= !rsp_last_i && (failed_q || rsp_err_i);
  end
  assign runs   = 16'(run_i);
  assign orders = 16'(in_order_i);
  assign push   = rsp_valid_i && !rsp_err_i && !failed_q && runs[queue];
  assign drop   = rsp_valid_i && !push;

  // The reserved end of a descriptor is looked at here rather than kept.
  logic reserved;
  assign reserved = rsp_data_i[15:9] != '0 || rsp_data_i[511:384] != '0;
  beat_fifo #(.Width(384 + 1 + 4 + 1 + 32), .Depth(Depth), .OutReg(0)) u_fifo (
    .clk_i(clk_i), .rst_ni(rst_ni), .push_i(push),
    .data_i({cycle_i, orders[queue], queue, reserved, rsp_data_i[383:0]}),
    .valid_o(out_valid_o), .ready_i(out_ready_i),
    .data_o({out_cycle_o, out_in_order_o, out_queue_o, out_reserved_o, out_data_o})
  );
  assign pop = out_valid_o && out_ready_i;

  for (genvar q = 0; q < QueueCount; q++) begin : gen_queue
    assign fetch_o[q]   = start && queue_q == 4'(q);
    assign fetched_o[q] = push && queue == 4'(q);
    assign dropped_o[q] = drop && queue == 4'(q);
    assign error_o[q]   = rsp_valid_i && rsp_err_i && queue == 4'(q);
  end
  assign fetch_count_o = burst_q;
  assign req_valid_o   = req_q;
  assign req_addr_o    = {addr_q, 6'd0};
  assign req_beats_o   = {3'd0, req_burst_q};
  assign idle_o        = state_q == StPick && !(enable_i && found) && !req_q && credit_q == Credit'(Depth);
  logic unused;
  assign unused = ^{found_above, way_ready, way_valid, way_level, base_q[5:0]};
endmodule
