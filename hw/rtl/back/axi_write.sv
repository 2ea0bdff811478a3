// AXI4 write master of a lane, for packets and for single beats (completions and events, served first between
// bursts). Bursts stay inside 4 KiB and carry ID 0, so answers come back in order. Octets behind a request's end are
// not strobed. Addresses and data wait in queues of their own: short bursts leave back to back, one beat a cycle.
// A burst starts when its first beat is there. Latency 1 cycle from beat to W, 2 from request to AW, 1 from B to done.
module axi_write #(
  parameter int MaxBursts = 32,  // outstanding; a power of two
  parameter int Beats     = 16   // waiting for W; a power of two
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         stop_i,         // take no request from the next cycle on; a burst under way is ended with nothing strobed
  output logic         idle_o,
  // packets: requests, and their beats
  input  logic         wr_valid_i,
  output logic         wr_ready_o,
  input  logic [63:0]  wr_addr_i,      // multiple of 64
  input  logic [15:0]  wr_len_i,       // octets, at least 1
  input  logic         wr_last_i,      // last request of the packet
  input  logic         wd_valid_i,
  output logic         wd_ready_o,
  input  logic [511:0] wd_data_i,
  output logic         pkt_done_o,     // one cycle, in order: the packet is in memory
  // single beats
  input  logic         one_valid_i,
  output logic         one_ready_o,
  input  logic [63:0]  one_addr_i,     // multiple of 64
  input  logic [511:0] one_data_i,
  input  logic [63:0]  one_strb_i,
  input  logic [4:0]   one_tag_i,
  output logic         one_done_o,     // one cycle, in request order
  output logic [4:0]   one_done_tag_o,
  // with either done
  output logic         done_err_o,     // a burst of the packet, or the beat, failed
  output logic         err_o,          // one cycle, a cycle after its answer: a burst failed, at
  output logic [63:0]  err_addr_o,
  // AXI
  output logic         awvalid_o,
  input  logic         awready_i,
  output logic [63:0]  awaddr_o,
  output logic [7:0]   awlen_o,
  output logic         wvalid_o,
  input  logic         wready_i,
  output logic [511:0] wdata_o,
  output logic [63:0]  wstrb_o,
  output logic         wlast_o,
  input  logic         bvalid_i,
  output logic         bready_o,
  input  logic [1:0]   bresp_i
);
  // ---- Requests to bursts -----------------------------------------------------------------------------------------
  // A burst ends at the request's end or at the page's, so the next one starts on a page.
  logic        req_q, req_last_q, cut, cut_all;
  logic [51:0] page_q;
  logic [5:0]  at_q, tail_q;           // first beat in the page; octets in the last beat, 0 for all
  logic [10:0] left_q, beats_in;
  logic [6:0]  to_page;
  logic        next_q, next_last_q, start;
  logic [57:0] next_addr_q;
  logic [6:0]  next_beats_q;
  logic [63:0] next_strb_q;            // of the burst's last beat
  assign beats_in = {1'b0, wr_len_i[15:6]} + {10'd0, wr_len_i[5:0] != 6'd0};
  assign to_page  = 7'd64 - {1'b0, at_q};
  assign cut_all  = left_q <= {4'd0, to_page};
  assign cut      = req_q && (!next_q || start);
  assign wr_ready_o = !stop_i && (!req_q || (cut && cut_all));
  always_ff @(posedge clk_i) begin
    if (!rst_ni || stop_i) begin
      req_q  <= 1'b0;
      next_q <= 1'b0;
    end else begin
      if (wr_ready_o) req_q <= wr_valid_i;
      if (cut) next_q <= 1'b1;
      else if (start) next_q <= 1'b0;
    end
  end
  always_ff @(posedge clk_i) begin
    if (wr_ready_o) begin
      page_q     <= wr_addr_i[63:12];
      at_q       <= wr_addr_i[11:6];
      left_q     <= beats_in;
      tail_q     <= wr_len_i[5:0];
      req_last_q <= wr_last_i;
    end else if (cut) begin
      page_q <= page_q + 52'd1;
      at_q   <= 6'd0;
      left_q <= left_q - {4'd0, to_page};
    end
    if (cut) begin
      next_addr_q  <= {page_q, at_q};
      next_beats_q <= cut_all ? left_q[6:0] : to_page;
      next_last_q  <= cut_all && req_last_q;
      next_strb_q  <= cut_all && tail_q != 6'd0 ? ~(64'hffffffff_ffffffff << tail_q) : 64'hffffffff_ffffffff;
    end
  end

  // ---- Order of bursts and beats on W -----------------------------------------------------------------------------
  logic        busy_q, one, beat, beat_last, room_q, w_room_q;
  logic [6:0]  left_beats_q;
  logic [63:0] busy_strb_q, strb;
  // Seen a cycle late, so asked for one more than is needed.
  logic [2:0]                 aw_level;
  logic [$clog2(Beats):0]     w_level;
  logic [$clog2(MaxBursts):0] b_level;
  always_ff @(posedge clk_i) begin
    w_room_q <= w_level < ($clog2(Beats) + 1)'(Beats - 1);
    room_q   <= !stop_i && aw_level < 3'd3 && b_level < ($clog2(MaxBursts) + 1)'(MaxBursts - 1) && w_level < ($clog2(Beats) + 1)'(Beats - 1);
  end
  assign one   = one_valid_i && one_ready_o;
  assign start = !busy_q && next_q && wd_valid_i && !one_valid_i && room_q;
  assign beat  = start || (busy_q && w_room_q && (stop_i || wd_valid_i));
  assign one_ready_o = !busy_q && room_q;
  assign wd_ready_o  = !stop_i && (busy_q ? w_room_q : next_q && !one_valid_i && room_q);
  assign beat_last   = busy_q ? left_beats_q == 7'd1 : next_beats_q == 7'd1;
  // `one` comes with busy_q low: which of two strobes is meant is known before whether there is a beat.
  assign strb        = !busy_q && one_valid_i ? one_strb_i :
                       {64{!stop_i}} & ({64{!beat_last}} | (busy_q ? busy_strb_q : next_strb_q));
  always_ff @(posedge clk_i) begin
    if (!rst_ni) busy_q <= 1'b0;
    else if (beat) busy_q <= !beat_last;
  end
  always_ff @(posedge clk_i) begin
    if (start) begin
      left_beats_q <= next_beats_q - 7'd1;
      busy_strb_q  <= next_strb_q;
    end else if (beat) left_beats_q <= left_beats_q - 7'd1;
  end

  logic                     aw_valid, w_valid, aw_ready, w_ready, b_ready;
  logic [5:0]               aw_len;
  logic [6:0]               len_in;
  assign len_in = one ? 7'd0 : next_beats_q - 7'd1;
  stream_fifo #(.Width(58 + 6), .Depth(4)) u_aw (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(one || start), .ready_o(aw_ready),
    .data_i({one ? one_addr_i[63:6] : next_addr_q, len_in[5:0]}),
    .valid_o(aw_valid), .ready_i(awready_i), .data_o({awaddr_o[63:6], aw_len}), .level_o(aw_level)
  );
  stream_fifo #(.Width(1 + 64 + 512), .Depth(Beats)) u_w (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(one || beat), .ready_o(w_ready),
    .data_i({one || beat_last, strb, one ? one_data_i : wd_data_i}),
    .valid_o(w_valid), .ready_i(wready_i), .data_o({wlast_o, wstrb_o, wdata_o}), .level_o(w_level)
  );
  assign awvalid_o     = aw_valid;
  assign awaddr_o[5:0] = 6'd0;
  assign awlen_o       = {2'd0, aw_len};
  assign wvalid_o      = w_valid;

  // ---- Answers ----------------------------------------------------------------------------------------------------
  logic        b_valid, b_one, b_last, b_pop, err_q;
  logic [4:0]  b_tag;
  logic [57:0] b_addr;
  stream_fifo #(.Width(1 + 1 + 5 + 58), .Depth(MaxBursts)) u_bursts (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(one || start), .ready_o(b_ready),
    .data_i({one, one || next_last_q, one_tag_i, one ? one_addr_i[63:6] : next_addr_q}),
    .valid_o(b_valid), .ready_i(b_pop), .data_o({b_one, b_last, b_tag, b_addr}), .level_o(b_level)
  );
  assign b_pop = bvalid_i && bready_o;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || stop_i) err_q <= 1'b0;  // stopped: no packet goes on behind it
    else if (b_pop && !b_one) err_q <= !b_last && (err_q || bresp_i[1]);
  end
  assign bready_o       = b_valid;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      pkt_done_o <= 1'b0;
      one_done_o <= 1'b0;
      err_o      <= 1'b0;
    end else begin
      err_o      <= b_pop && bresp_i[1];
      pkt_done_o <= b_pop && !b_one && b_last;
      one_done_o <= b_pop && b_one;
    end
  end
  always_ff @(posedge clk_i) begin
    one_done_tag_o <= b_tag;
    done_err_o     <= bresp_i[1] || (err_q && !b_one);
  end
  // Of use with err_o only.
  always_ff @(posedge clk_i) err_addr_o <= {b_addr, 6'd0};
  assign idle_o         = !req_q && !next_q && !busy_q && !aw_valid && !w_valid && !b_valid && !pkt_done_o && !one_done_o;
  logic unused;
  assign unused = ^{wr_addr_i[5:0], one_addr_i[5:0], bresp_i[0], aw_ready, w_ready, b_ready, len_in[6]};
endmodule
