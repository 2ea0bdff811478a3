// Fetches descriptors of all queues, in turn: one burst at a time, up to MaxBurst descriptors, never past the end
// of a ring. Descriptors leave in the order of each ring with their queue's number and the cycle of arrival.
// A bus error stops the queue; descriptors of a queue that no longer runs are dropped.
module ring_fetch #(
  parameter int RingCount = 1,
  parameter int MaxBurst = 16
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  input  logic                    enable_i,       // CONTROL.ENABLE
  input  logic [31:0]             cycle_i,
  output logic                    idle_o,         // nothing to fetch, nothing held
  // queues
  input  logic [RingCount-1:0]    run_i,
  input  logic [16*RingCount-1:0] available_i,
  input  logic [64*RingCount-1:0] addr_i,
  input  logic [16*RingCount-1:0] to_wrap_i,
  output logic [RingCount-1:0]    fetch_o,        // one cycle
  output logic [7:0]              fetch_count_o,
  output logic [RingCount-1:0]    fetched_o,
  output logic [RingCount-1:0]    dropped_o,
  output logic [RingCount-1:0]    error_o,
  // read requests
  output logic                    req_valid_o,
  input  logic                    req_ready_i,
  output logic [63:0]             req_addr_o,
  output logic [7:0]              req_beats_o,
  input  logic                    rsp_valid_i,    // always taken
  input  logic [511:0]            rsp_data_i,
  input  logic                    rsp_last_i,
  input  logic                    rsp_err_i,
  // descriptors
  output logic                    out_valid_o,
  input  logic                    out_ready_i,
  output logic [511:0]            out_data_o,
  output logic [3:0]              out_queue_o,
  output logic [31:0]             out_cycle_o
);
  typedef enum logic [1:0] {StPick, StCount, StRequest, StData} state_e;
  state_e      state_q;
  logic [3:0]  queue_q, queue_next;
  logic [7:0]  count_q;
  logic [63:0] addr_q;
  logic        failed_q;
  logic [4:0]  level;
  logic        push, fifo_ready, start;
  logic [15:0] available, to_wrap, most, count;

  // The next queue with work behind the last one served
  logic        found;
  logic [15:0] runs;
  always_comb begin
    found      = 1'b0;
    queue_next = queue_q;
    for (int i = 0; i < RingCount; i++) begin
      if (!found && available_i[16*((32'(queue_q) + 1 + i) % RingCount) +: 16] != '0) begin
        found      = 1'b1;
        queue_next = 4'((32'(queue_q) + 1 + i) % RingCount);
      end
    end
  end

  assign available = available_i[16*queue_q +: 16];
  assign to_wrap   = to_wrap_i[16*queue_q +: 16];
  assign most      = 16'(MaxBurst) - 16'(level);
  assign count     = available < to_wrap ? (available < most ? available : most)
                                         : (to_wrap < most ? to_wrap : most);
  // The queue counts the descriptors as in flight from here on, so it cannot begin a new life before they came.
  assign start = state_q == StCount && count != '0 && enable_i;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q  <= StPick;
      queue_q  <= '0;
      failed_q <= 1'b0;
    end else begin
      case (state_q)
        StPick: if (enable_i && found) begin
          queue_q <= queue_next;
          state_q <= StCount;
        end
        StCount: begin
          count_q  <= count[7:0];
          addr_q   <= addr_i[64*queue_q +: 64];
          failed_q <= 1'b0;
          state_q  <= start ? StRequest : StPick;
        end
        StRequest: if (req_ready_i) state_q <= StData;
        default: if (rsp_valid_i) begin
          if (rsp_err_i) failed_q <= 1'b1;
          if (rsp_last_i) state_q <= StPick;
        end
      endcase
    end
  end

  assign runs = 16'(run_i);
  assign push = rsp_valid_i && !rsp_err_i && !failed_q && runs[queue_q] && fifo_ready;
  stream_fifo #(.Width(512 + 4 + 32), .Depth(MaxBurst)) u_fifo (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(push), .ready_o(fifo_ready), .data_i({cycle_i, queue_q, rsp_data_i}),
    .valid_o(out_valid_o), .ready_i(out_ready_i), .data_o({out_cycle_o, out_queue_o, out_data_o}), .level_o(level)
  );

  for (genvar q = 0; q < RingCount; q++) begin : gen_queue
    logic mine;
    assign mine         = queue_q == 4'(q);
    assign fetch_o[q]   = mine && start;
    assign fetched_o[q] = mine && push;
    assign dropped_o[q] = mine && rsp_valid_i && !push;
    assign error_o[q]   = mine && rsp_valid_i && rsp_err_i;
  end
  assign fetch_count_o = count[7:0];
  assign req_valid_o   = state_q == StRequest;
  assign req_addr_o    = addr_q;
  assign req_beats_o   = count_q;
  assign idle_o        = state_q == StPick && !(enable_i && found) && !out_valid_o;
endmodule
