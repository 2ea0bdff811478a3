// AXI4 write master for packets and for single beats (completions and events, served first). Bursts stay inside
// 4 KiB and carry ID 0, so answers come back in order. Bytes past a packet's end are not strobed.
// Several bursts may be outstanding; address and data of one burst are offered at the same time, and the next burst
// starts when both are taken.
module axi_wr #(
  parameter int MaxBursts = 32  // a power of two
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         stop_i,         // take no request; a burst under way is ended with nothing strobed
  output logic         idle_o,
  // packets: a request, then its beats
  input  logic         pkt_valid_i,
  output logic         pkt_ready_o,
  input  logic [63:0]  pkt_addr_i,     // multiple of 64
  input  logic [15:0]  pkt_len_i,      // bytes, at least 1
  input  logic         pkt_data_valid_i,
  output logic         pkt_data_ready_o,
  input  logic [511:0] pkt_data_i,
  output logic         pkt_done_o,     // one cycle, in request order: the packet is in memory
  // single beats
  input  logic         one_valid_i,
  output logic         one_ready_o,
  input  logic [63:0]  one_addr_i,
  input  logic [511:0] one_data_i,
  input  logic [63:0]  one_strb_i,
  input  logic [4:0]   one_tag_i,
  output logic         one_done_o,     // one cycle, in request order
  output logic [4:0]   one_done_tag_o,
  // with either done
  output logic         done_err_o,     // a burst of the request failed
  output logic         err_o,          // one cycle: a burst failed, at
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
  // Packet being cut
  logic        pkt_q;
  logic [63:0] pkt_addr_q;
  logic [15:0] pkt_left_q;             // bytes
  logic [9:0]  pkt_beats;
  logic [7:0]  to_page, burst;
  // Burst under way
  logic        burst_q, one_q, aw_q, w_q, cut_q;  // aw_q, w_q: still to be taken; cut_q: stopped within
  logic [63:0] awaddr_q, one_strb_q;
  logic [7:0]  awlen_q, beat_q;
  logic [511:0] one_data_q;
  logic        start_one, start_pkt, w_take, w_last, end_burst;
  logic        fifo_ready, b_valid, b_one, b_last, b_pop, err_q;
  logic [4:0]  b_tag;
  logic [63:0] b_addr;
  logic [$clog2(MaxBursts):0] level;

  assign pkt_beats = 10'((17'(pkt_left_q) + 17'd63) >> 6);
  assign to_page   = 8'd64 - {2'd0, pkt_addr_q[11:6]};
  assign burst     = pkt_beats < {2'd0, to_page} ? pkt_beats[7:0] : to_page;
  assign start_one = (!burst_q || end_burst) && fifo_ready && one_valid_i && !stop_i;
  assign start_pkt = !burst_q && fifo_ready && pkt_q && !one_valid_i && !stop_i;
  assign one_ready_o = (!burst_q || end_burst) && fifo_ready && !stop_i;
  assign pkt_ready_o = !pkt_q && !(burst_q && !one_q) && !stop_i;

  assign w_last    = one_q || beat_q == awlen_q;
  assign w_take    = wvalid_o && wready_i;
  assign end_burst = burst_q && (!aw_q || awready_i) && (!w_q || (w_take && w_last));

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      pkt_q   <= 1'b0;
      burst_q <= 1'b0;
      aw_q    <= 1'b0;
      w_q     <= 1'b0;
      cut_q   <= 1'b0;
    end else begin
      if (pkt_ready_o) pkt_q <= pkt_valid_i;
      else if (stop_i || (start_pkt && {2'd0, burst} == pkt_beats)) pkt_q <= 1'b0;
      if (start_one || start_pkt) begin
        burst_q <= 1'b1;
        aw_q    <= 1'b1;
        w_q     <= 1'b1;
        cut_q   <= 1'b0;
      end else begin
        if (end_burst) burst_q <= 1'b0;
        if (awready_i) aw_q <= 1'b0;
        if (w_take && w_last) w_q <= 1'b0;
        // A beat that is on offer stays as it is; cut behind it.
        if (stop_i && (!wvalid_o || w_take)) cut_q <= 1'b1;
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (pkt_ready_o) begin
      pkt_addr_q <= pkt_addr_i;
      pkt_left_q <= pkt_len_i;
    end else if (w_take && !one_q) pkt_left_q <= pkt_left_q > 16'd64 ? pkt_left_q - 16'd64 : 16'd0;
    if (start_one || start_pkt) begin
      one_q    <= start_one;
      awaddr_q <= start_one ? one_addr_i : pkt_addr_q;
      awlen_q  <= start_one ? 8'd0 : burst - 8'd1;
      beat_q   <= '0;
    end else if (w_take) beat_q <= beat_q + 8'd1;
    if (start_one) begin
      one_data_q <= one_data_i;
      one_strb_q <= one_strb_i;
    end
    if (start_pkt) pkt_addr_q <= pkt_addr_q + {50'd0, burst, 6'd0};
  end

  stream_fifo #(.Width(1 + 1 + 5 + 64), .Depth(MaxBursts)) u_bursts (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(start_one || start_pkt), .ready_o(fifo_ready),
    .data_i({start_one, start_one || {2'd0, burst} == pkt_beats, one_tag_i, start_one ? one_addr_i : pkt_addr_q}),
    .valid_o(b_valid), .ready_i(b_pop), .data_o({b_one, b_last, b_tag, b_addr}), .level_o(level)
  );
  assign b_pop = bvalid_i && bready_o;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) err_q <= 1'b0;
    else if (b_pop && !b_one) err_q <= !b_last && (err_q || bresp_i[1]);
  end

  assign awvalid_o        = aw_q;
  assign awaddr_o         = awaddr_q;
  assign awlen_o          = awlen_q;
  assign wvalid_o         = w_q && (one_q || cut_q || pkt_data_valid_i);
  assign wdata_o          = one_q ? one_data_q : pkt_data_i;
  assign wstrb_o          = one_q ? one_strb_q : cut_q ? 64'd0 :
                            pkt_left_q >= 16'd64 ? 64'hffffffff_ffffffff : ~(64'hffffffff_ffffffff << pkt_left_q[5:0]);
  assign wlast_o          = w_last;
  assign pkt_data_ready_o = w_q && !one_q && !cut_q && wready_i;
  assign bready_o         = b_valid;
  assign pkt_done_o       = b_pop && !b_one && b_last;
  assign one_done_o       = b_pop && b_one;
  assign one_done_tag_o   = b_tag;
  assign done_err_o       = bresp_i[1] || (err_q && !b_one);
  assign err_o            = b_pop && bresp_i[1];
  assign err_addr_o       = b_addr;
  logic unused;
  assign unused = bresp_i[0];
  assign idle_o           = !pkt_q && !burst_q && level == '0;
endmodule
