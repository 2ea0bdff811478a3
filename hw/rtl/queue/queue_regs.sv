// One queue: its registers, the indices of its submission and completion rings, and its life.
// ENABLE starts it once nothing of its former life is in flight, after both rings were found inside the windows.
// Base addresses and sizes are fixed while ENABLE is set. Every descriptor fetched has room for its completion:
// fetch counts stay within the ring's length of CQ_HEAD, so completions never wait for the host.
// Doorbells are judged over two cycles, so register writes must not follow each other in consecutive cycles; the address
// of a write stands from the cycle before it.
module queue_regs #(
  parameter int Queue = 0,            // its number on the register bus
  parameter int IndexBits = 32        // of the free-running indices; fewer only for proofs
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
  output logic        in_order_o,     // completions in submission order
  output logic [4:0]  available_o,    // descriptors to fetch, with room for their completions; 16: or more
  output logic [63:0] fetch_base_o,   // of the submission ring
  output logic [14:0] fetch_index_o,  // of the next descriptor; with available_o > 0
  output logic [4:0]  to_wrap_o,      // most that may be fetched at once, 1 to 16; with available_o > 0
  input  logic        fetch_i,        // one cycle: fetch_count_i descriptors, at most available_o, are being fetched
  input  logic [4:0]  fetch_count_i,
  input  logic        fetched_i,      // one of them has come and is passed on
  input  logic        dropped_i,      // one of them has come and is dropped
  input  logic        fetch_error_i,  // bus error: stop
  // completions
  output logic        cpl_live_o,     // completions may be written
  output logic [63:0] cpl_addr_o,     // of the next one
  output logic        cpl_phase_o,
  input  logic        cpl_issue_i,    // one cycle, not in the one after it: the next one is being written; cpl_live_o may
                                      // have fallen the cycle before
  input  logic        cpl_done_i,     // one that was issued is in memory, or dropped
  input  logic        cpl_error_i     // with cpl_done_i: it is not; stop
);
  typedef enum logic [2:0] {StOff, StWait, StCheckSq, StCheckCq, StRun, StStopped} state_e;
  state_e      state_q;
  logic        enable_q, in_order_q;
  logic [3:0]  log2_q;
  logic [63:0] sq_base_q, cq_base_q;
  logic [IndexBits-1:0] sq_tail_q, sq_head_q, sq_issued_q, cq_head_q, cq_tail_q, cq_issued_q;
  // Descriptors fetched whose completion is not done: in_flight_q + moved_q, which is what the last cycle added.
  logic [15:0] in_flight_q;
  logic [5:0]  moved_q;                // signed

  logic        mine, mine_q, wr, wr_control, enable_new, running, begins;
  logic [5:0]  at, at_q;
  logic [15:0] size;
  logic [14:0] mask_q;                 // of size, from the second cycle of a life on
  assign mine       = reg_addr_i[15:6] == 10'(card_pkg::RegSqBaseLo >> 6) + 10'(Queue);
  assign at         = reg_addr_i[5:0];
  assign wr         = reg_wr_i && mine_q;
  assign wr_control = wr && at_q == 6'h10;
  assign enable_new = reg_wdata_i[card_pkg::QControlEnableLsb];
  assign begins     = wr_control && enable_new && !enable_q;
  assign size       = 16'd1 << log2_q;
  assign running    = state_q == StRun;
  always_ff @(posedge clk_i) begin
    mine_q <= mine;
    at_q   <= at;
    mask_q <= 15'(size - 16'd1);
  end

  logic [31:0] sq_lo, sq_hi, cq_lo, cq_hi;
  assign {sq_hi, sq_lo} = sq_base_q;
  assign {cq_hi, cq_lo} = cq_base_q;
  logic        hit;
  logic [31:0] rdata;
  always_ff @(posedge clk_i) begin
    reg_hit_o   <= hit;
    reg_rdata_o <= rdata;
  end
  always_comb begin
    hit   = mine;
    rdata = '0;
    if (mine) begin
      case (at)
        6'h00:   rdata = sq_lo;
        6'h04:   rdata = sq_hi;
        6'h08:   rdata = cq_lo;
        6'h0c:   rdata = cq_hi;
        6'h10:   rdata = {20'd0, log2_q, 6'd0, in_order_q, enable_q};
        6'h14:   rdata = 32'(sq_tail_q);
        6'h18:   rdata = 32'(sq_head_q);
        6'h1c:   rdata = 32'(cq_head_q);
        6'h20:   rdata = 32'(cq_tail_q);
        6'h24:   rdata = {31'd0, state_q == StStopped};
        default: hit = 1'b0;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      sq_base_q  <= '0;
      cq_base_q  <= '0;
      log2_q     <= '0;
      in_order_q <= 1'b0;
    end else if (wr && !enable_q) begin
      case (at_q)
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

  // Doorbells: free-running counts, believed only where they are possible. By the phase bit the host may know a
  // completion before the memory's answer has come here, so CQ_HEAD is held against what was issued. Both sides of a
  // comparison are taken in the cycle of the write; what moves meanwhile only widens what is allowed.
  logic        sq_ring_q, cq_ring_q, sq_bad, cq_bad;
  logic [IndexBits-1:0] ring_q, step_q, floor_q, ceil_q;  // value, its distance from the head, and the bounds of that
  assign sq_bad = step_q > IndexBits'(size) || step_q < floor_q;
  assign cq_bad = step_q > ceil_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || flush_i) begin
      sq_ring_q      <= 1'b0;
      cq_ring_q      <= 1'b0;
      bad_doorbell_o <= 1'b0;
    end else begin
      bad_doorbell_o <= (sq_ring_q && sq_bad) || (cq_ring_q && cq_bad);
      sq_ring_q <= wr && enable_q && at_q == 6'h14;
      cq_ring_q <= wr && enable_q && at_q == 6'h1c;
    end
  end
  always_ff @(posedge clk_i) if (wr) begin
    ring_q  <= IndexBits'(reg_wdata_i);
    step_q  <= IndexBits'(reg_wdata_i) - (at_q == 6'h14 ? sq_head_q : cq_head_q);
    floor_q <= sq_tail_q - sq_head_q;
    ceil_q  <= cq_issued_q - cq_head_q;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni || flush_i || begins) begin
      sq_tail_q   <= '0;
      sq_head_q   <= '0;
      sq_issued_q <= '0;
      cq_head_q   <= '0;
      cq_tail_q   <= '0;
      cq_issued_q <= '0;
    end else if (enable_q) begin
      if (sq_ring_q && !sq_bad) sq_tail_q <= ring_q;
      if (cq_ring_q && !cq_bad) cq_head_q <= ring_q;
      if (fetch_i) sq_issued_q <= sq_issued_q + IndexBits'(fetch_count_i);
      if (running && fetched_i) sq_head_q <= sq_head_q + IndexBits'(1);
      if (cpl_live_o && cpl_issue_i) cq_issued_q <= cq_issued_q + IndexBits'(1);
      if (cpl_live_o && cpl_done_i && !cpl_error_i) cq_tail_q <= cq_tail_q + IndexBits'(1);
    end
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni || flush_i) begin
      in_flight_q <= '0;
      moved_q     <= '0;
    end else begin
      in_flight_q <= in_flight_q + {{10{moved_q[5]}}, moved_q};
      moved_q     <= (fetch_i ? {1'b0, fetch_count_i} : 6'd0) - 6'(dropped_i) - 6'(cpl_done_i);
    end
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
      if (begins) state_q <= StWait;
      else if (wr_control && !enable_new) state_q <= StOff;
      else begin
        case (state_q)
          StWait:    if (in_flight_q == '0 && moved_q == '0) state_q <= StCheckSq;
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
  assign chk_len_o    = 32'(size) << 6;  // 64 bytes an entry: DescriptorBytes, CompletionBytes

  // What may be fetched, two cycles late: doorbells only add to it; after a fetch it reads 0 until it is fresh.
  // Differences stay within the ring's length, at most 2^15, so 16 bits tell them.
  localparam int Near = IndexBits < 16 ? IndexBits : 16;
  logic [Near-1:0] waiting_q, room_q;
  logic [4:0]  few_waiting, few_room, available_q, to_wrap_q, index_low;
  logic        stale_q;
  assign few_waiting = waiting_q[Near-1:4] != '0 ? 5'd16 : waiting_q[4:0];
  assign few_room    = room_q[Near-1:4] != '0 ? 5'd16 : room_q[4:0];
  assign index_low   = {1'b0, sq_issued_q[3:0] & mask_q[3:0]};
  always_ff @(posedge clk_i) begin
    waiting_q <= sq_tail_q[Near-1:0] - sq_issued_q[Near-1:0];
    room_q    <= Near'(size) + cq_head_q[Near-1:0] - sq_issued_q[Near-1:0];
    to_wrap_q <= (log2_q < 4'd4 ? size[4:0] : 5'd16) - index_low;  // bursts end at a multiple of 16 entries
    stale_q   <= fetch_i;
  end
  always_ff @(posedge clk_i) begin
    if (!running || fetch_i || stale_q) available_q <= '0;
    else available_q <= few_waiting < few_room ? few_waiting : few_room;
  end
  assign run_o         = running;
  assign in_order_o    = in_order_q;
  assign available_o   = running ? available_q : 5'd0;
  assign fetch_base_o  = sq_base_q;
  assign fetch_index_o = 15'(sq_issued_q) & mask_q;
  assign to_wrap_o     = to_wrap_q;

  // The next completion's place, moved with cq_issued_q
  logic [57:0] cpl_addr_q;
  logic        cpl_phase_q, cpl_wrap_q;  // cpl_wrap_q: the next completion is the ring's last
  always_ff @(posedge clk_i) begin
    cpl_wrap_q <= (15'(cq_issued_q) & mask_q) == mask_q;
    if (begins) begin
      cpl_addr_q  <= cq_base_q[63:6];
      cpl_phase_q <= 1'b1;
    end else if (cpl_live_o && cpl_issue_i) begin
      cpl_addr_q <= cpl_wrap_q ? cq_base_q[63:6] : cpl_addr_q + 58'd1;
      if (cpl_wrap_q) cpl_phase_q <= !cpl_phase_q;
    end
  end
  assign cpl_live_o  = enable_q && cpl_ok_q;
  assign cpl_addr_o  = {cpl_addr_q, 6'd0};
  assign cpl_phase_o = cpl_phase_q;

`ifdef FORMAL
  // Descriptors on their way here, waiting for their completion to be issued, and with it issued but not done
  logic        past_ok_q = 1'b0, past_wr_q, past_live_q, past_issue_q;
  logic [4:0]  f_way_q, f_held_q, f_out_q;
  logic        f_drop;   // cpl_done_i without cpl_issue_i
  logic [IndexBits-1:0] f_size, f_ahead, f_wait, f_ring, f_come, f_open, f_left, f_late, f_moved, f_grown;
  logic [15:0] f_in_flight;
  assign f_drop  = cpl_done_i && f_out_q == '0;
  assign f_ahead = sq_issued_q - cq_head_q;
  assign f_wait  = sq_tail_q - sq_issued_q;
  assign f_size  = IndexBits'(size);
  assign f_ring  = sq_tail_q - sq_head_q;
  assign f_come  = sq_issued_q - sq_head_q;
  assign f_open  = cq_issued_q - cq_head_q;
  assign f_left  = sq_issued_q - cq_issued_q;
  assign f_late  = cq_issued_q - cq_tail_q;
  assign f_moved = floor_q - f_ring;   // since the doorbell was written
  assign f_grown = f_open - ceil_q;
  assign f_in_flight = in_flight_q + {{10{moved_q[5]}}, moved_q};
  always @(posedge clk_i) begin
    past_ok_q <= 1'b1;
    past_wr_q <= reg_wr_i;
    past_live_q <= cpl_live_o;
    past_issue_q <= cpl_issue_i;
    assume (!(cpl_issue_i && past_issue_q));
    if (!rst_ni || flush_i) begin
      f_way_q  <= '0;
      f_held_q <= '0;
      f_out_q  <= '0;
    end else begin
      f_way_q  <= f_way_q + (fetch_i ? fetch_count_i : 5'd0) - 5'(fetched_i) - 5'(dropped_i);
      f_held_q <= f_held_q + 5'(fetched_i) - 5'(cpl_issue_i) - 5'(f_drop);
      f_out_q  <= f_out_q + 5'(cpl_issue_i) - 5'(cpl_done_i && !f_drop);
    end
    // What the neighbours promise
    if (!past_ok_q) assume (!rst_ni);
    if (past_wr_q) assume (!reg_wr_i);
    if (wr && at_q < 6'h10) assume (reg_wdata_i == '0);  // where the rings stand does not matter here
    if (wr && at_q == 6'h10) assume (reg_wdata_i[11:8] <= 4'd2);
    if (fetch_i) assume (fetch_count_i != '0 && fetch_count_i <= available_o);
    assume (!(fetched_i && dropped_i));
    if (fetched_i || dropped_i) assume (f_way_q != '0);
    if (fetched_i) assume (run_o);
    if (dropped_i && run_o) assume (fetch_error_i);
    if (cpl_issue_i) assume ((cpl_live_o || past_live_q) && f_held_q != '0 && f_out_q < 5'd4);  // few writes are under way at once
    if (f_drop) assume (!cpl_live_o && !cpl_issue_i && f_held_q != '0);
    if (chk_done_i) assume (chk_req_o);
    if (past_ok_q) begin
      assert (f_in_flight == 16'(f_way_q) + 16'(f_held_q) + 16'(f_out_q));
      assert (f_in_flight <= 16'd8 && f_out_q <= 5'd4);
      assert (log2_q <= 4'd2 && cq_base_q == '0);
      assert (!cpl_live_o || state_q == StRun || state_q == StStopped);
      assert (enable_q == (state_q != StOff));
      assert (!(cpl_ok_q && !enable_q));
      if (sq_ring_q || cq_ring_q) assert (past_wr_q && floor_q <= f_size && ceil_q <= f_size);
      if (sq_ring_q) assert (enable_q && IndexBits'(step_q - floor_q) == IndexBits'(ring_q - sq_tail_q) && f_moved <= IndexBits'(1));
      if (cq_ring_q) assert (enable_q && step_q == IndexBits'(ring_q - cq_head_q) && f_grown <= IndexBits'(1));
      if (enable_q) begin
        // Indices stay within the ring and in order
        assert (f_ahead <= f_size);
        assert (f_wait <= f_size);
        assert (f_ring <= f_size);
        assert (f_come <= f_ring);
        assert (f_open <= f_ahead);
        // What may be fetched has a descriptor and room for its completion
        assert (IndexBits'(available_o) <= f_wait);
        assert (IndexBits'(available_o) <= f_size - f_ahead);
        assert (cpl_addr_q == 58'(15'(cq_issued_q) & 15'(size - 16'd1)));
        if (state_q != StWait) assert (mask_q == 15'(size - 16'd1));
        if (cpl_live_o && !past_issue_q) assert (cpl_wrap_q == ((15'(cq_issued_q) & mask_q) == mask_q));
        assert (cpl_phase_o == ((cq_issued_q & f_size) == '0));
        assert (available_q == '0 || !stale_q);
        if (state_q == StCheckSq || state_q == StCheckCq) assert (in_flight_q == '0 && moved_q == '0 && !stale_q);
        if (!running && state_q != StStopped)
          assert (sq_issued_q == '0 && sq_head_q == '0 && cq_issued_q == '0 && cq_tail_q == '0 && cq_head_q == '0);
        if (state_q == StCheckSq || state_q == StCheckCq || running) begin
          if (!stale_q) assert (waiting_q <= Near'(f_wait) && Near'(f_ahead) + room_q <= Near'(f_size) && room_q <= Near'(f_size));
        end
        if (running) begin
          assert (f_come == IndexBits'(f_way_q));
          assert (f_left == IndexBits'(f_way_q) + IndexBits'(f_held_q));
          assert (f_late == IndexBits'(f_out_q));
          assert (cpl_live_o);
          assert (f_late <= IndexBits'(4));
        end
        if (state_q == StStopped) begin
          assert (f_left >= IndexBits'(f_way_q) + IndexBits'(f_held_q) || !cpl_live_o);
          assert (f_late == IndexBits'(f_out_q) || !cpl_live_o);
        end
      end
      cover (running && available_o == 5'd4);
      cover (running && cq_tail_q == IndexBits'(2) && cq_head_q == IndexBits'(2) && !cpl_phase_o);
      cover (state_q == StWait && in_flight_q != '0 && $past(state_q) == StWait);
      cover (cq_ring_q && cq_bad);
    end
  end
`endif
endmodule
