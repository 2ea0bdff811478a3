// Counters of a lane: completions by queue and status, by status, and packets and bytes each way. The first two stand
// in RAM: ask with rd_*_i, the numbers follow two cycles later. After reset the RAM is wiped; completions
// of that time wait (up to 16), so none is lost. All counts are modulo 2^32, bytes 2^64.
// Rate: a completion every cycle; it shows 5 cycles later.
module lane_counters #(
  parameter int QueueCount = 4,        // at most 16
  localparam int Addr = QueueCount > 1 ? $clog2(QueueCount) + 5 : 6
) (
  input  logic            clk_i,
  input  logic            rst_ni,
  // one cycle a completion
  input  logic            count_i,
  input  logic [3:0]      count_queue_i,
  input  logic [7:0]      count_op_i,
  input  logic [7:0]      count_status_i,
  input  logic [15:0]     count_src_len_i,
  input  logic [15:0]     count_out_len_i,
  // read
  input  logic [3:0]      rd_queue_i,
  input  logic [4:0]      rd_status_i,
  output logic [31:0]     rd_queue_count_o,  // completions of that queue with that status
  output logic [31:0]     rd_total_o,        // of all queues with that status
  output logic [31:0]     encap_packets_o,
  output logic [63:0]     encap_bytes_o,
  output logic [31:0]     decap_packets_o,
  output logic [63:0]     decap_bytes_o
);
  // Wipe
  logic [Addr:0] wipe_q;
  logic          wiping;
  assign wiping = !wipe_q[Addr];
  always_ff @(posedge clk_i) begin
    if (!rst_ni) wipe_q <= '0;
    else if (wiping) wipe_q <= wipe_q + 1'b1;
  end

  // Read, add, write. A read in the cycle of the write gives the old number, so two completions before it count too.
  logic            in_valid, in_ready, get, add_q, put_q;
  logic [4:0]      level;
  logic [Addr-1:0] in_addr, get_addr, add_addr_q, put_addr_q, rd_addr;
  logic [31:0]     old_queue, old_total, put_queue_q, put_total_q, new_queue, new_total;
  assign in_valid = count_i && count_status_i[7:5] == '0;
  assign in_addr  = {count_queue_i[Addr-6:0], count_status_i[4:0]};
  stream_fifo #(.Width(Addr), .Depth(16)) u_in (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(in_valid), .ready_o(in_ready), .data_i(in_addr),
    .valid_o(get), .ready_i(!wiping), .data_o(get_addr), .level_o(level)
  );
  logic        take;
  logic        again_queue, again_total, late_queue_q, late_total_q;
  logic [31:0] late_q_count_q, late_t_count_q;
  assign take        = get && !wiping;
  assign again_queue = put_q && put_addr_q == add_addr_q;
  assign again_total = put_q && put_addr_q[4:0] == add_addr_q[4:0];
  assign new_queue   = (again_queue ? put_queue_q : late_queue_q ? late_q_count_q : old_queue) + 32'd1;
  assign new_total   = (again_total ? put_total_q : late_total_q ? late_t_count_q : old_total) + 32'd1;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      add_q <= 1'b0;
      put_q <= 1'b0;
    end else begin
      add_q <= take;
      put_q <= add_q;
    end
  end
  always_ff @(posedge clk_i) begin
    add_addr_q     <= get_addr;
    put_addr_q     <= add_addr_q;
    put_queue_q    <= new_queue;
    put_total_q    <= new_total;
    late_queue_q   <= put_q && put_addr_q == get_addr;
    late_total_q   <= put_q && put_addr_q[4:0] == get_addr[4:0];
    late_q_count_q <= put_queue_q;
    late_t_count_q <= put_total_q;
  end

  logic            wr;
  logic [Addr-1:0] wr_addr;
  logic [31:0]     wr_queue, wr_total, out_queue, out_total;
  assign wr       = wiping || put_q;
  assign wr_addr  = wiping ? wipe_q[Addr-1:0] : put_addr_q;
  assign wr_queue = wiping ? 32'd0 : put_queue_q;
  assign wr_total = wiping ? 32'd0 : put_total_q;
  assign rd_addr  = {rd_queue_i[Addr-6:0], rd_status_i};
  // One copy to count, one to read
  sdp_ram #(.Width(32), .Depth(1 << Addr)) u_queue (
    .clk_i(clk_i), .wr_en_i(wr), .wr_addr_i(wr_addr), .wr_data_i(wr_queue),
    .rd_en_i(take), .rd_addr_i(get_addr), .rd_data_o(old_queue)
  );
  sdp_ram #(.Width(32), .Depth(1 << Addr)) u_queue_out (
    .clk_i(clk_i), .wr_en_i(wr), .wr_addr_i(wr_addr), .wr_data_i(wr_queue),
    .rd_en_i(1'b1), .rd_addr_i(rd_addr), .rd_data_o(out_queue)
  );
  sdp_ram #(.Width(32), .Depth(32)) u_total (
    .clk_i(clk_i), .wr_en_i(wr), .wr_addr_i(wr_addr[4:0]), .wr_data_i(wr_total),
    .rd_en_i(take), .rd_addr_i(get_addr[4:0]), .rd_data_o(old_total)
  );
  sdp_ram #(.Width(32), .Depth(32)) u_total_out (
    .clk_i(clk_i), .wr_en_i(wr), .wr_addr_i(wr_addr[4:0]), .wr_data_i(wr_total),
    .rd_en_i(1'b1), .rd_addr_i(rd_status_i), .rd_data_o(out_total)
  );
  always_ff @(posedge clk_i) begin
    rd_queue_count_o <= out_queue;
    rd_total_o       <= out_total;
  end

  // Both ways
  logic        encap_q, decap_q, ok;
  logic [15:0] src_len_q, out_len_q;
  assign ok = count_i && count_status_i == card_pkg::StatusOk;
  always_ff @(posedge clk_i) begin
    src_len_q <= count_src_len_i;
    out_len_q <= count_out_len_i;
    if (!rst_ni) begin
      encap_q <= 1'b0;
      decap_q <= 1'b0;
      encap_packets_o <= '0;
      encap_bytes_o   <= '0;
      decap_packets_o <= '0;
      decap_bytes_o   <= '0;
    end else begin
      encap_q <= ok && count_op_i == card_pkg::OpEncap;
      decap_q <= ok && count_op_i == card_pkg::OpDecap;
      if (encap_q) begin
        encap_packets_o <= encap_packets_o + 32'd1;
        encap_bytes_o   <= encap_bytes_o + 64'(src_len_q);
      end
      if (decap_q) begin
        decap_packets_o <= decap_packets_o + 32'd1;
        decap_bytes_o   <= decap_bytes_o + 64'(out_len_q);
      end
    end
  end
  logic unused;
  assign unused = ^{in_ready, level, count_queue_i, rd_queue_i};
endmodule
