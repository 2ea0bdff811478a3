// Ends packets in submission order: takes the record of pkt_dispatch and, where there is one, the lane's result;
// settles the SA (replay check-and-set, counters); sends the result packet to memory; leaves the completion.
// The window moves for every packet whose ICV matched, also when what is inside is refused (RFC 4303 s3.4.3); not
// when only the destination is too small, so that the host can try again.
module pkt_result (
  input  logic         clk_i,
  input  logic         rst_ni,
  output logic         idle_o,
  // records, see pkt_dispatch
  input  logic         rec_valid_i,
  output logic         rec_ready_o,
  input  logic [7:0]   rec_status_i,
  input  logic         rec_lane_i,
  input  logic [15:0]  rec_tag_i,
  input  logic         rec_found_i,
  input  logic [31:0]  rec_index_i,
  input  logic [31:0]  rec_spi_i,
  input  logic [31:0]  rec_seq_i,
  input  logic [3:0]   rec_queue_i,
  input  logic [7:0]   rec_op_i,
  input  logic [63:0]  rec_cookie_i,
  input  logic [63:0]  rec_dst_addr_i,
  input  logic [31:0]  rec_dst_size_i,
  input  logic [15:0]  rec_src_len_i,
  input  logic [31:0]  rec_fetched_i,
  input  logic [31:0]  rec_started_i,
  // lane
  input  logic         res_valid_i,
  output logic         res_ready_o,
  output logic         res_discard_o,
  input  logic [15:0]  res_tag_i,
  input  logic [7:0]   res_status_i,
  input  logic [15:0]  res_out_len_i,
  input  logic [7:0]   res_next_header_i,
  input  logic [31:0]  res_cycle_ciphered_i,
  input  logic [31:0]  res_cycle_hashed_i,
  output logic         mismatch_o,        // one cycle: result and record are not of the same packet
  // SA table
  output logic         up_valid_o,
  output logic [31:0]  up_index_o,
  output logic         up_check_o,
  output logic         up_ok_o,
  output logic         up_replay_o,
  output logic         up_icv_o,
  output logic [31:0]  up_seq_o,
  output logic [15:0]  up_bytes_o,
  input  logic         up_done_i,
  input  logic         up_refused_i,
  // packet write; the lane's payload goes straight there
  output logic         wr_valid_o,
  input  logic         wr_ready_i,
  output logic [63:0]  wr_addr_o,
  output logic [15:0]  wr_len_o,
  // completions
  output logic         cpl_valid_o,
  input  logic         cpl_ready_i,
  output logic         cpl_wait_o,        // a packet write belongs to it
  output logic [3:0]   cpl_queue_o,
  output logic [15:0]  cpl_src_len_o,
  output logic [511:0] cpl_data_o         // format Completion without Phase and CycleDone
);
  typedef enum logic [2:0] {StIdle, StUpdate, StAccept, StWrite, StPush} state_e;
  state_e      state_q;
  logic [7:0]  status_q, next_header_q;
  logic [15:0] out_len_q;
  logic [31:0] ciphered_q, hashed_q;
  logic        check_q, begin_now, decap, too_small, lane_ok, icv_good;

  assign begin_now = state_q == StIdle && rec_valid_i && (!rec_lane_i || res_valid_i);
  assign decap     = rec_op_i == card_pkg::OpDecap;
  assign lane_ok   = res_status_i == card_pkg::StatusOk;
  assign too_small = lane_ok && 32'(res_out_len_i) > rec_dst_size_i;
  assign icv_good  = lane_ok || res_status_i == card_pkg::StatusBadPadding || res_status_i == card_pkg::StatusBadNextHeader ||
                     res_status_i == card_pkg::StatusDummy || res_status_i == card_pkg::StatusBadInner;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) state_q <= StIdle;
    else begin
      case (state_q)
        StIdle:   if (begin_now) state_q <= rec_found_i ? StUpdate : rec_lane_i ? StAccept : StPush;
        StUpdate: if (up_done_i) state_q <= rec_lane_i ? StAccept : StPush;
        StAccept: state_q <= status_q == card_pkg::StatusOk ? StWrite : StPush;  // the result is there
        StWrite:  if (wr_ready_i) state_q <= StPush;
        default:  if (cpl_ready_i) state_q <= StIdle;
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    if (begin_now) begin
      status_q      <= !rec_lane_i ? rec_status_i : too_small ? card_pkg::StatusDstTooSmall : res_status_i;
      check_q       <= rec_lane_i && decap && icv_good && !too_small;
      out_len_q     <= rec_lane_i ? res_out_len_i : 16'd0;
      next_header_q <= rec_lane_i && decap ? res_next_header_i : 8'd0;
      ciphered_q    <= rec_lane_i ? res_cycle_ciphered_i : 32'd0;
      hashed_q      <= rec_lane_i ? res_cycle_hashed_i : 32'd0;
    end else if (state_q == StUpdate && up_done_i && up_refused_i) status_q <= card_pkg::StatusReplay;
  end

  assign up_valid_o    = state_q == StUpdate;
  assign up_index_o    = rec_index_i;
  assign up_check_o    = check_q;
  assign up_ok_o       = rec_lane_i && status_q == card_pkg::StatusOk;
  assign up_replay_o   = status_q == card_pkg::StatusReplay;
  assign up_icv_o      = status_q == card_pkg::StatusBadIcv;
  assign up_seq_o      = rec_seq_i;
  assign up_bytes_o    = decap ? out_len_q : rec_src_len_i;
  assign res_ready_o   = state_q == StAccept;
  assign res_discard_o = status_q != card_pkg::StatusOk;
  assign mismatch_o    = res_ready_o && (!res_valid_i || res_tag_i != rec_tag_i);
  assign wr_valid_o    = state_q == StWrite;
  assign wr_addr_o     = rec_dst_addr_i;
  assign wr_len_o      = out_len_q;

  logic ok;
  assign ok = status_q == card_pkg::StatusOk;
  always_comb begin
    cpl_data_o = '0;
    cpl_data_o[card_pkg::CompletionOpLsb +: 8]             = rec_op_i;
    cpl_data_o[card_pkg::CompletionStatusLsb +: 8]         = status_q;
    cpl_data_o[card_pkg::CompletionNextHeaderLsb +: 8]     = next_header_q;
    cpl_data_o[card_pkg::CompletionSaIndexLsb +: 32]       = rec_index_i;
    cpl_data_o[card_pkg::CompletionCookieLsb +: 64]        = rec_cookie_i;
    cpl_data_o[card_pkg::CompletionOutLenLsb +: 32]        = ok ? 32'(out_len_q) : 32'd0;
    cpl_data_o[card_pkg::CompletionSpiLsb +: 32]           = rec_spi_i;
    cpl_data_o[card_pkg::CompletionSeqLsb +: 32]           = rec_seq_i;
    cpl_data_o[card_pkg::CompletionCycleFetchedLsb +: 32]  = rec_fetched_i;
    cpl_data_o[card_pkg::CompletionCycleStartedLsb +: 32]  = rec_started_i;
    cpl_data_o[card_pkg::CompletionCycleCipheredLsb +: 32] = ciphered_q;
    cpl_data_o[card_pkg::CompletionCycleHashedLsb +: 32]   = hashed_q;
  end
  assign cpl_valid_o   = state_q == StPush;
  assign cpl_wait_o    = ok && rec_lane_i;
  assign cpl_queue_o   = rec_queue_i;
  assign cpl_src_len_o = rec_src_len_i;
  assign rec_ready_o   = state_q == StPush && cpl_ready_i;
  assign idle_o        = state_q == StIdle && !rec_valid_i;
endmodule
