// One queue: its registers, the indices of its submission and completion rings, and its life.
// ENABLE starts it once nothing of its former life is in flight, after both rings were found inside the windows.
// Base addresses and sizes are fixed while ENABLE is set. Every descriptor fetched has room for its completion:
// fetch counts stay within the ring's length of CQ_HEAD, so completions never wait for the host.
module ring_queue #(
  parameter int Queue = 0
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        flush_i,        // soft reset: off, indices 0
  // register bus
  input  logic [15:0] reg_addr_i,
  input  logic        reg_wr_i,
  input  logic [31:0] reg_wdata_i,
  output logic [31:0] reg_rdata_o,
  output logic        reg_hit_o,
  // errors, one cycle each
  output logic        bad_doorbell_o,
  output logic        bad_config_o,
  // window check: chk_req_o until chk_done_i
  output logic        chk_req_o,
  output logic [63:0] chk_addr_o,
  output logic [31:0] chk_len_o,
  input  logic        chk_done_i,
  input  logic        chk_ok_i,
  // fetch
  output logic        run_o,          // descriptors may be fetched and passed on
  output logic [15:0] available_o,    // descriptors to fetch, with room for their completions
  output logic [63:0] fetch_addr_o,   // of the next descriptor
  output logic [15:0] to_wrap_o,      // entries up to the end of the ring
  input  logic        fetch_i,        // one cycle: fetch_count_i descriptors are being fetched
  input  logic [7:0]  fetch_count_i,
  input  logic        fetched_i,      // one of them has come and is passed on
  input  logic        dropped_i,      // one of them has come and is dropped
  input  logic        fetch_error_i,  // bus error: stop
  // completions
  output logic        cpl_live_o,     // completions may be written
  output logic [63:0] cpl_addr_o,     // of the next one
  output logic        cpl_phase_o,
  input  logic        cpl_issue_i,    // one cycle: the next one is being written, or dropped if not live
  input  logic        cpl_done_i,     // one that was issued is in memory, or dropped
  input  logic        cpl_error_i     // with cpl_done_i: it is not; stop
);
  typedef enum logic [2:0] {StOff, StWait, StCheckSq, StCheckCq, StRun, StStopped} state_e;
  state_e      state_q;
  logic        enable_q, in_order_q;
  logic [3:0]  log2_q;
  logic [63:0] sq_base_q, cq_base_q;
  logic [31:0] sq_tail_q, sq_head_q, sq_issued_q, cq_head_q, cq_tail_q, cq_issued_q;
  logic [15:0] in_flight_q;            // descriptors fetched whose completion is not done

  logic        mine, wr, wr_control, enable_new, running;
  logic [5:0]  at;
  logic [31:0] size, mask, waiting, room, ahead;
  assign mine       = reg_addr_i[15:6] == 10'(card_pkg::RegSqBaseLo >> 6) + 10'(Queue);
  assign at         = reg_addr_i[5:0];
  assign wr         = reg_wr_i && mine;
  assign wr_control = wr && at == 6'h10;
  assign enable_new = reg_wdata_i[card_pkg::QControlEnableLsb];
  assign size       = 32'd1 << log2_q;
  assign mask       = size - 32'd1;
  assign running    = state_q == StRun;

  always_comb begin
    reg_hit_o   = mine;
    reg_rdata_o = '0;
    if (mine) begin
      case (at)
        6'h00:   reg_rdata_o = sq_base_q[31:0];
        6'h04:   reg_rdata_o = sq_base_q[63:32];
        6'h08:   reg_rdata_o = cq_base_q[31:0];
        6'h0c:   reg_rdata_o = cq_base_q[63:32];
        6'h10:   reg_rdata_o = {20'd0, log2_q, 6'd0, in_order_q, enable_q};
        6'h14:   reg_rdata_o = sq_tail_q;
        6'h18:   reg_rdata_o = sq_head_q;
        6'h1c:   reg_rdata_o = cq_head_q;
        6'h20:   reg_rdata_o = cq_tail_q;
        6'h24:   reg_rdata_o = {31'd0, state_q == StStopped};
        default: reg_hit_o = 1'b0;
      endcase
    end
  end

  // Doorbells: free-running counts, believed only where they are possible. By the phase bit the host may know a
  // completion before the memory's answer has come here, so CQ_HEAD is held against what was issued.
  logic sq_bad, cq_bad;
  assign sq_bad = reg_wdata_i - sq_head_q > size || reg_wdata_i - sq_head_q < sq_tail_q - sq_head_q;
  assign cq_bad = reg_wdata_i - cq_head_q > cq_issued_q - cq_head_q;
  assign bad_doorbell_o = wr && enable_q && ((at == 6'h14 && sq_bad) || (at == 6'h1c && cq_bad));

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      sq_base_q  <= '0;
      cq_base_q  <= '0;
      log2_q     <= '0;
      in_order_q <= 1'b0;
    end else if (wr && !enable_q) begin
      case (at)
        6'h00:   sq_base_q[31:0] <= reg_wdata_i;
        6'h04:   sq_base_q[63:32] <= reg_wdata_i;
        6'h08:   cq_base_q[31:0] <= reg_wdata_i;
        6'h0c:   cq_base_q[63:32] <= reg_wdata_i;
        6'h10: begin
          log2_q     <= reg_wdata_i[card_pkg::QControlLog2SizeLsb +: 4];
          in_order_q <= reg_wdata_i[card_pkg::QControlInOrderLsb];
        end
        default: ;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni || flush_i || (wr_control && enable_new && !enable_q)) begin
      sq_tail_q   <= '0;
      sq_head_q   <= '0;
      sq_issued_q <= '0;
      cq_head_q   <= '0;
      cq_tail_q   <= '0;
      cq_issued_q <= '0;
    end else if (enable_q) begin
      if (wr && at == 6'h14 && !sq_bad) sq_tail_q <= reg_wdata_i;
      if (wr && at == 6'h1c && !cq_bad) cq_head_q <= reg_wdata_i;
      if (fetch_i) sq_issued_q <= sq_issued_q + 32'(fetch_count_i);
      if (running && fetched_i) sq_head_q <= sq_head_q + 32'd1;
      if (cpl_live_o && cpl_issue_i) cq_issued_q <= cq_issued_q + 32'd1;
      if (cpl_live_o && cpl_done_i && !cpl_error_i) cq_tail_q <= cq_tail_q + 32'd1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni || flush_i) in_flight_q <= '0;
    else in_flight_q <= in_flight_q + (fetch_i ? 16'(fetch_count_i) : 16'd0) - 16'(dropped_i) - 16'(cpl_done_i);
  end

  // A queue that stopped for a bus error on reading still completes what is in flight; one whose completions
  // fail does not write another.
  logic cpl_ok_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || flush_i) begin
      state_q  <= StOff;
      enable_q <= 1'b0;
      cpl_ok_q <= 1'b0;
    end else begin
      if (wr_control) enable_q <= enable_new;
      if (wr_control && enable_new && !enable_q) state_q <= StWait;
      else if (wr_control && !enable_new) state_q <= StOff;
      else begin
        case (state_q)
          StWait:    if (in_flight_q == '0) state_q <= StCheckSq;
          StCheckSq: if (chk_done_i) state_q <= chk_ok_i && sq_base_q[5:0] == '0 ? StCheckCq : StStopped;
          StCheckCq: if (chk_done_i) begin
            state_q  <= chk_ok_i && cq_base_q[5:0] == '0 ? StRun : StStopped;
            cpl_ok_q <= chk_ok_i && cq_base_q[5:0] == '0;
          end
          StRun:     if (fetch_error_i || (cpl_done_i && cpl_error_i)) state_q <= StStopped;
          default:   ;
        endcase
      end
      if ((wr_control && enable_new != enable_q) || (cpl_done_i && cpl_error_i)) cpl_ok_q <= 1'b0;
    end
  end
  assign bad_config_o = chk_done_i && ((state_q == StCheckSq && !(chk_ok_i && sq_base_q[5:0] == '0)) ||
                                       (state_q == StCheckCq && !(chk_ok_i && cq_base_q[5:0] == '0)));
  assign chk_req_o    = state_q == StCheckSq || state_q == StCheckCq;
  assign chk_addr_o   = state_q == StCheckSq ? sq_base_q : cq_base_q;
  assign chk_len_o    = size << 6;  // 64 bytes an entry: DescriptorBytes, CompletionBytes

  assign waiting      = sq_tail_q - sq_issued_q;
  assign ahead        = sq_issued_q - cq_head_q;
  assign room         = size - ahead;
  assign run_o        = running;
  assign available_o  = running ? (waiting < room ? waiting[15:0] : room[15:0]) : 16'd0;
  assign fetch_addr_o = sq_base_q + {26'd0, sq_issued_q & mask, 6'd0};
  assign to_wrap_o    = 16'(size - (sq_issued_q & mask));
  assign cpl_live_o   = enable_q && cpl_ok_q;
  assign cpl_addr_o   = cq_base_q + {26'd0, cq_issued_q & mask, 6'd0};
  assign cpl_phase_o  = (cq_issued_q & size) == '0;
endmodule
