// Takes checked descriptors with their packets: reads the header, finds the SA, hands the packet to the lane, and
// leaves a record for pkt_result, in order, also of what failed. One packet at a time up to the lane.
module pkt_dispatch (
  input  logic         clk_i,
  input  logic         rst_ni,
  output logic         idle_o,
  input  logic [31:0]  cycle_i,
  // checked descriptors, see desc_check
  input  logic         in_valid_i,
  output logic         in_ready_o,
  input  logic [7:0]   in_status_i,
  input  logic [3:0]   in_queue_i,
  input  logic [31:0]  in_cycle_i,
  input  logic [7:0]   in_op_i,
  input  logic         in_host_iv_i,
  input  logic [31:0]  in_sa_index_i,
  input  logic [63:0]  in_cookie_i,
  input  logic [63:0]  in_dst_addr_i,
  input  logic [31:0]  in_dst_size_i,
  input  logic [15:0]  in_src_len_i,
  input  logic [63:0]  in_iv_i,
  input  logic         beat_valid_i,
  output logic         beat_ready_o,
  input  logic [511:0] beat_data_i,
  input  logic         beat_err_i,
  // SA table
  output logic         lk_valid_o,
  output logic         lk_encap_o,
  output logic [31:0]  lk_index_o,
  output logic [31:0]  lk_spi_o,
  output logic [31:0]  lk_seq_o,
  output logic         lk_natt_o,
  output logic [31:0]  lk_src_o,
  output logic [31:0]  lk_dst_o,
  output logic [15:0]  lk_src_len_o,
  output logic [31:0]  lk_dst_size_o,
  input  logic         lk_done_i,
  input  logic [7:0]   lk_status_i,
  input  logic         lk_found_i,
  input  logic [31:0]  lk_index_i,
  input  logic [31:0]  lk_spi_i,
  input  logic [31:0]  lk_seq_i,
  // IV generator
  input  logic         iv_seeded_i,
  input  logic         iv_valid_i,
  output logic         iv_ready_o,
  input  logic [63:0]  iv_data_i,
  // lane: what does not come straight from the SA table
  output logic         job_valid_o,
  input  logic         job_ready_i,
  output logic [15:0]  job_tag_o,
  output logic         job_encap_o,
  output logic [15:0]  job_src_len_o,
  output logic [7:0]   job_esp_off_o,
  output logic [63:0]  job_iv_o,
  output logic         lane_valid_o,
  input  logic         lane_ready_i,
  output logic [511:0] lane_data_o,
  output logic         lane_last_o,
  output logic         lane_err_o,
  // records
  output logic         rec_valid_o,
  input  logic         rec_ready_i,
  output logic [7:0]   rec_status_o,
  output logic         rec_lane_o,       // a lane result belongs to it
  output logic [15:0]  rec_tag_o,
  output logic         rec_found_o,      // an SA was found: rec_index_o
  output logic [31:0]  rec_index_o,      // 0xffffffff when not found
  output logic [31:0]  rec_spi_o,
  output logic [31:0]  rec_seq_o,
  output logic [3:0]   rec_queue_o,
  output logic [7:0]   rec_op_o,
  output logic [63:0]  rec_cookie_o,
  output logic [63:0]  rec_dst_addr_o,
  output logic [31:0]  rec_dst_size_o,
  output logic [15:0]  rec_src_len_o,
  output logic [31:0]  rec_fetched_o,
  output logic [31:0]  rec_started_o
);
  typedef enum logic [3:0] {StIdle, StHead0, StHead1, StParse, StLookup, StJob, StFeed, StDrain, StRecord} state_e;
  state_e state_q;

  // The descriptor under way
  logic [7:0]  status_q, op_q;
  logic [3:0]  queue_q;
  logic        host_iv_q, encap, found_q;
  logic [31:0] fetched_q, sa_index_q, dst_size_q, index_q, spi_q, seq_q;
  logic [63:0] cookie_q, dst_addr_q, iv_q;
  logic [15:0] src_len_q, tag_q;
  // Its packet
  logic [1023:0] head_q;
  logic [1:0]    head_err_q;
  logic [10:0]   left_q;          // beats still in the FIFO
  logic [10:0]   feed_q;          // beats still to give to the lane
  logic [1:0]    fed_q;           // of the head, given
  logic [15:0]   lane_len;
  logic          start_q, touches, take_beat, feeding_fifo, lane_take, job_take;

  // Parser
  logic        parse_done, esp_found, natt;
  logic [7:0]  parse_status, esp_off;
  logic [15:0] total_len;
  logic [31:0] ip_src, ip_dst, parse_spi, parse_seq;
  ip_parse u_parse (
    .clk_i(clk_i), .rst_ni(rst_ni), .start_i(start_q), .encap_i(encap), .header_i(head_q), .src_len_i(src_len_q),
    .done_o(parse_done), .status_o(parse_status), .esp_found_o(esp_found), .total_len_o(total_len),
    .esp_off_o(esp_off), .natt_o(natt), .src_o(ip_src), .dst_o(ip_dst), .spi_o(parse_spi), .seq_o(parse_seq)
  );

  assign encap        = op_q == card_pkg::OpEncap;
  assign touches      = in_status_i == card_pkg::StatusOk && in_op_i != card_pkg::OpNop;
  assign lane_len     = encap ? src_len_q : total_len;
  assign feeding_fifo = state_q == StFeed && fed_q == 2'd2;
  assign lane_take    = lane_valid_o && lane_ready_i;
  assign job_take     = job_valid_o && job_ready_i;
  assign take_beat    = beat_valid_i && beat_ready_o;
  assign beat_ready_o = state_q == StHead0 || state_q == StHead1 || state_q == StDrain ||
                        (feeding_fifo && lane_ready_i);

  // Verdict before the SA is looked at
  logic [7:0] early;
  always_comb begin
    if (head_err_q != '0) early = card_pkg::StatusBusError;
    else if (parse_status != card_pkg::StatusOk) early = parse_status;
    else if (encap && !host_iv_q && !iv_seeded_i) early = card_pkg::StatusNoSeed;
    else early = card_pkg::StatusOk;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= StIdle;
      start_q <= 1'b0;
      tag_q   <= '0;
    end else begin
      start_q <= 1'b0;
      if (rec_valid_o) tag_q <= tag_q + 16'd1;
      case (state_q)
        StIdle: if (in_valid_i && rec_ready_i) state_q <= touches ? StHead0 : StRecord;
        StHead0: if (take_beat) begin
          state_q <= left_q == 11'd1 ? StParse : StHead1;
          start_q <= left_q == 11'd1;
        end
        StHead1: if (take_beat) begin
          state_q <= StParse;
          start_q <= 1'b1;
        end
        StParse:  if (parse_done) state_q <= early == card_pkg::StatusOk ? StLookup : StRecord;
        StLookup: if (lk_done_i) state_q <= lk_status_i == card_pkg::StatusOk ? StJob : StRecord;
        StJob:    if (job_take) state_q <= StFeed;
        StFeed:   if (lane_take && feed_q == 11'd1) state_q <= left_q == '0 || (feeding_fifo && left_q == 11'd1) ? StIdle : StDrain;
        StDrain:  if (take_beat && left_q == 11'd1) state_q <= StIdle;
        default:  state_q <= left_q == '0 ? StIdle : StDrain;  // StRecord
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (state_q == StIdle) begin
      status_q   <= in_status_i;
      queue_q    <= in_queue_i;
      fetched_q  <= in_cycle_i;
      op_q       <= in_op_i;
      host_iv_q  <= in_host_iv_i;
      sa_index_q <= in_sa_index_i;
      cookie_q   <= in_cookie_i;
      dst_addr_q <= in_dst_addr_i;
      dst_size_q <= in_dst_size_i;
      src_len_q  <= in_src_len_i;
      iv_q       <= in_iv_i;
      left_q     <= touches ? 11'((17'(in_src_len_i) + 17'd63) >> 6) : 11'd0;
      found_q    <= 1'b0;
      index_q    <= '1;
      spi_q      <= '0;
      seq_q      <= '0;
      head_err_q <= '0;
    end
    if (take_beat) left_q <= left_q - 11'd1;
    if (state_q == StHead0) head_q[511:0] <= beat_data_i;
    if (state_q == StHead1) head_q[1023:512] <= beat_data_i;
    if (take_beat && state_q == StHead0) head_err_q[0] <= beat_err_i;
    if (take_beat && state_q == StHead1) head_err_q[1] <= beat_err_i;
    if (state_q == StParse && parse_done) begin
      status_q <= early;
      if (early != card_pkg::StatusBusError && esp_found) begin
        spi_q <= parse_spi;
        seq_q <= parse_seq;
      end
    end
    if (state_q == StLookup && lk_done_i) begin
      status_q <= lk_status_i;
      found_q  <= lk_found_i;
      if (lk_found_i) begin
        index_q <= lk_index_i;
        spi_q   <= lk_spi_i;
        if (lk_status_i == card_pkg::StatusOk) seq_q <= lk_seq_i;
      end
    end
    if (state_q == StJob) begin
      feed_q <= 11'((17'(lane_len) + 17'd63) >> 6);
      fed_q  <= '0;
    end else if (lane_take) begin
      feed_q <= feed_q - 11'd1;
      if (fed_q != 2'd2) fed_q <= fed_q + 2'd1;
    end
  end

  assign in_ready_o    = state_q == StIdle && rec_ready_i;
  assign lk_valid_o    = state_q == StLookup;
  assign lk_encap_o    = encap;
  assign lk_index_o    = sa_index_q;
  assign lk_spi_o      = spi_q;
  assign lk_seq_o      = seq_q;
  assign lk_natt_o     = natt;
  assign lk_src_o      = ip_src;
  assign lk_dst_o      = ip_dst;
  assign lk_src_len_o  = src_len_q;
  assign lk_dst_size_o = dst_size_q;
  assign job_valid_o   = state_q == StJob && (!encap || host_iv_q || iv_valid_i);
  assign job_tag_o     = tag_q;
  assign job_encap_o   = encap;
  assign job_src_len_o = lane_len;
  assign job_esp_off_o = esp_off;
  assign job_iv_o      = host_iv_q ? iv_q : iv_data_i;
  assign iv_ready_o    = job_take && encap && !host_iv_q;
  assign lane_valid_o  = state_q == StFeed && (fed_q != 2'd2 || beat_valid_i);
  assign lane_data_o   = fed_q == 2'd0 ? head_q[511:0] : fed_q == 2'd1 ? head_q[1023:512] : beat_data_i;
  assign lane_last_o   = feed_q == 11'd1;
  assign lane_err_o    = fed_q == 2'd2 && beat_err_i;  // an error in the head ended the packet before
  assign rec_valid_o    = state_q == StRecord || job_take;
  assign rec_status_o   = status_q;
  assign rec_lane_o     = state_q == StJob;
  assign rec_tag_o      = tag_q;
  assign rec_found_o    = found_q;
  assign rec_index_o    = index_q;
  assign rec_spi_o      = spi_q;
  assign rec_seq_o      = seq_q;
  assign rec_queue_o    = queue_q;
  assign rec_op_o       = op_q;
  assign rec_cookie_o   = cookie_q;
  assign rec_dst_addr_o = dst_addr_q;
  assign rec_dst_size_o = dst_size_q;
  assign rec_src_len_o  = src_len_q;
  assign rec_fetched_o  = fetched_q;
  assign rec_started_o  = state_q == StJob ? cycle_i : 32'd0;
  assign idle_o         = state_q == StIdle;
endmodule
