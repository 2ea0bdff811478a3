// AXI4 read master for three clients, served in turn: 0 descriptors, 1 segment lists, 2 packets. A request is a run
// of 64-byte beats; it is cut into bursts that stay inside 4 KiB, all with ID 0, so data come back in request order.
// Clients take every beat at once (they ask only for what they have room for). Burst lengths are counted here:
// rlast is not relied upon.
// Rate 1 beat/cycle, a request every 2 cycles, up to MaxBursts bursts outstanding. Latency: request to AR 2 cycles,
// beat to client 1 cycle.
module axi_read #(
  parameter int MaxBursts = 64  // a power of two
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         stop_i,        // take no request, start no burst; idle_o follows when all data have come
  output logic         idle_o,
  // requests
  input  logic [2:0]   req_valid_i,
  output logic [2:0]   req_ready_o,
  input  logic [191:0] req_addr_i,    // 3 x 64, multiples of 64
  input  logic [23:0]  req_beats_i,   // 3 x 8, at least 1
  // data
  output logic [2:0]   rsp_valid_o,
  output logic [511:0] rsp_data_o,
  output logic         rsp_last_o,    // of the request
  output logic         rsp_err_o,     // this beat is no data
  output logic [63:0]  rsp_addr_o,    // of the beat
  // AXI
  output logic         arvalid_o,
  input  logic         arready_i,
  output logic [63:0]  araddr_o,
  output logic [7:0]   arlen_o,
  input  logic         rvalid_i,
  output logic         rready_o,
  input  logic [511:0] rdata_i,
  input  logic [1:0]   rresp_i
);
  // Request being cut; burst_q and last_q describe its next burst
  logic        active_q, last_q, take, issue, room;
  logic [2:0]  client_q, pick, turn_q;   // one-hot; turn_q: who was served last
  logic [57:0] addr_q, pick_addr;
  logic [7:0]  beats_q, pick_beats, rest;
  logic [6:0]  burst_q, to_page;
  // Burst on the address channel
  logic        ar_q;
  logic [57:0] araddr_q;
  logic [5:0]  arlen_q;

  // In turn: behind the one served last
  logic a, b, c;
  assign {c, b, a} = req_valid_i;
  always_comb begin
    case (turn_q)
      3'b001:  pick = b ? 3'b010 : c ? 3'b100 : 3'b001;
      3'b010:  pick = c ? 3'b100 : a ? 3'b001 : 3'b010;
      default: pick = a ? 3'b001 : b ? 3'b010 : 3'b100;
    endcase
  end
  assign take        = !active_q && !stop_i;
  assign req_ready_o = take ? pick : 3'b000;
  assign pick_addr   = pick[0] ? req_addr_i[63:6] : pick[1] ? req_addr_i[127:70] : req_addr_i[191:134];
  assign pick_beats  = pick[0] ? req_beats_i[7:0] : pick[1] ? req_beats_i[15:8] : req_beats_i[23:16];
  assign to_page     = 7'd64 - {1'b0, pick_addr[5:0]};
  assign rest        = beats_q - {1'b0, burst_q};
  assign issue       = active_q && !stop_i && room && (!ar_q || arready_i);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      active_q <= 1'b0;
      ar_q     <= 1'b0;
      turn_q   <= 3'b100;
    end else begin
      if (take && req_valid_i != '0) begin
        active_q <= 1'b1;
        turn_q   <= pick;
      end else if (stop_i || (issue && last_q)) active_q <= 1'b0;
      if (issue) ar_q <= 1'b1;
      else if (arready_i) ar_q <= 1'b0;
    end
  end
  always_ff @(posedge clk_i) begin
    if (take) begin
      client_q <= pick;
      addr_q   <= pick_addr;
      beats_q  <= pick_beats;
      burst_q  <= pick_beats < 8'(to_page) ? pick_beats[6:0] : to_page;
      last_q   <= pick_beats <= 8'(to_page);
    end else if (issue) begin  // what follows begins a page
      addr_q   <= {addr_q[57:6] + 52'd1, 6'd0};
      beats_q  <= rest;
      burst_q  <= rest < 8'd64 ? rest[6:0] : 7'd64;
      last_q   <= rest <= 8'd64;
    end
    if (issue) begin
      araddr_q <= addr_q;
      arlen_q  <= 6'(burst_q - 7'd1);
    end
  end

  // Bursts outstanding, the oldest in registers
  logic        next_valid, next_last, next, now_q, now_last_q, final_q, beat;
  logic [2:0]  next_client, now_client_q;
  logic [6:0]  next_beats, left_q;       // left_q: beats to come of this burst
  logic [57:0] next_addr, now_addr_q;
  logic [$clog2(MaxBursts):0] level;
  stream_fifo #(.Width(3 + 1 + 7 + 58), .Depth(MaxBursts)) u_bursts (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(issue), .ready_o(room), .data_i({client_q, last_q, burst_q, addr_q}),
    .valid_o(next_valid), .ready_i(next), .data_o({next_client, next_last, next_beats, next_addr}), .level_o(level)
  );
  assign beat = rvalid_i && now_q;
  assign next = !now_q || (beat && final_q);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) now_q <= 1'b0;
    else if (next) now_q <= next_valid;
  end
  always_ff @(posedge clk_i) begin
    if (next) begin
      now_client_q <= next_client;
      now_last_q   <= next_last;
      left_q       <= next_beats;
      final_q      <= next_beats == 7'd1;
      now_addr_q   <= next_addr;
    end else if (beat) begin
      left_q          <= left_q - 7'd1;
      final_q         <= left_q == 7'd2;
      now_addr_q[5:0] <= now_addr_q[5:0] + 6'd1;  // a burst ends with its page
    end
  end

  // Beat on its way to the client
  logic [2:0]   rsp_q;
  logic [511:0] data_q;
  logic         rsp_last_q, err_q;
  logic [57:0]  rsp_addr_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) rsp_q <= '0;
    else rsp_q <= beat ? now_client_q : 3'b000;
  end
  always_ff @(posedge clk_i) if (beat) begin
    data_q     <= rdata_i;
    rsp_last_q <= now_last_q && final_q;
    err_q      <= rresp_i[1];
    rsp_addr_q <= now_addr_q;
  end

  assign rsp_valid_o = rsp_q;
  assign rsp_data_o  = data_q;
  assign rsp_last_o  = rsp_last_q;
  assign rsp_err_o   = err_q;
  assign rsp_addr_o  = {rsp_addr_q, 6'd0};
  assign rready_o    = now_q;
  assign arvalid_o   = ar_q;
  assign araddr_o    = {araddr_q, 6'd0};
  assign arlen_o     = {2'd0, arlen_q};
  assign idle_o      = !active_q && !ar_q && level == '0 && !now_q && rsp_q == '0;
  logic unused;
  assign unused = ^{rresp_i[0], req_addr_i[5:0], req_addr_i[69:64], req_addr_i[133:128]};
endmodule
