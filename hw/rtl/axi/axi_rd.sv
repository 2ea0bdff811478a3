// AXI4 read master for two clients: 0 (served first) and 1. A request is a run of 64-byte beats; it is cut into
// bursts that stay inside 4 KiB, all with ID 0, so data come back in request order. Clients take every beat at
// once (they ask only for what they have room for). Burst lengths are counted here: rlast is not relied upon.
// Throughput 1 beat/cycle, up to MaxBursts bursts outstanding.
module axi_rd #(
  parameter int MaxBursts = 16  // a power of two
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         stop_i,        // take no request, start no burst; idle_o follows when all data have come
  output logic         idle_o,
  // requests
  input  logic [1:0]   req_valid_i,
  output logic [1:0]   req_ready_o,
  input  logic [127:0] req_addr_i,    // 2 x 64, multiples of 64
  input  logic [15:0]  req_beats_i,   // 2 x 8, at least 1
  // data
  output logic [1:0]   rsp_valid_o,
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
  // Request being cut
  logic        active_q, client_q, take;
  logic [63:0] addr_q;
  logic [7:0]  beats_q;
  // Burst on the address channel
  logic        ar_q, issue;
  logic [63:0] araddr_q;
  logic [7:0]  arlen_q;
  logic [7:0]  to_page, burst;
  // Burst whose data come next
  logic        head_valid, head_client, head_last, head_pop, fifo_ready;
  logic [63:0] head_addr;
  logic [7:0]  head_beats, beat_q;
  logic [$clog2(MaxBursts):0] level;

  assign take           = !active_q && !stop_i;
  assign req_ready_o[0] = take;
  assign req_ready_o[1] = take && !req_valid_i[0];
  assign to_page        = 8'd64 - {2'd0, addr_q[11:6]};
  assign burst          = beats_q < to_page ? beats_q : to_page;
  assign issue          = active_q && !stop_i && fifo_ready && (!ar_q || arready_i);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      active_q <= 1'b0;
      ar_q     <= 1'b0;
    end else begin
      if (take && req_valid_i != '0) active_q <= 1'b1;
      else if (stop_i || (issue && burst == beats_q)) active_q <= 1'b0;
      if (issue) ar_q <= 1'b1;
      else if (arready_i) ar_q <= 1'b0;
    end
  end
  always_ff @(posedge clk_i) begin
    if (take) begin
      client_q <= !req_valid_i[0];
      addr_q   <= req_valid_i[0] ? req_addr_i[63:0] : req_addr_i[127:64];
      beats_q  <= req_valid_i[0] ? req_beats_i[7:0] : req_beats_i[15:8];
    end else if (issue) begin
      addr_q   <= addr_q + {50'd0, burst, 6'd0};
      beats_q  <= beats_q - burst;
    end
    if (issue) begin
      araddr_q <= addr_q;
      arlen_q  <= burst - 8'd1;
    end
  end

  stream_fifo #(.Width(1 + 1 + 8 + 64), .Depth(MaxBursts)) u_bursts (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(issue), .ready_o(fifo_ready),
    .data_i({client_q, burst == beats_q, burst, addr_q}),
    .valid_o(head_valid), .ready_i(head_pop), .data_o({head_client, head_last, head_beats, head_addr}),
    .level_o(level)
  );
  assign head_pop = rvalid_i && rready_o && beat_q + 8'd1 == head_beats;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || head_pop) beat_q <= '0;
    else if (rvalid_i && rready_o) beat_q <= beat_q + 8'd1;
  end

  assign rready_o       = head_valid;
  assign rsp_valid_o[0] = rvalid_i && head_valid && !head_client;
  assign rsp_valid_o[1] = rvalid_i && head_valid && head_client;
  assign rsp_data_o     = rdata_i;
  assign rsp_last_o     = head_last && beat_q + 8'd1 == head_beats;
  assign rsp_err_o      = rresp_i[1];
  assign rsp_addr_o     = head_addr + {50'd0, beat_q, 6'd0};
  assign arvalid_o      = ar_q;
  assign araddr_o       = araddr_q;
  assign arlen_o        = arlen_q;
  logic unused;
  assign unused = rresp_i[0];
  assign idle_o         = !active_q && !ar_q && level == '0;
endmodule
