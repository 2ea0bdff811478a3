// Ends packets in the order of done: waits for the SA table's answer where an update was sent, forms the final
// status, hands the result to the builders or gives the slot back, leaves the completion.
// What the headers need (lengths, checksum, where the stream ends) is worked out while the answer is awaited.
// Latency 6 cycles without waiting; one packet in 7 cycles.
module back_finish #(
  parameter int JumboSlots = 8,
  parameter int SlotBits   = 7,
  parameter int RowBits    = 13
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  output logic                idle_o,
  // record, when the slot is opened
  input  logic                rec_valid_i,
  input  logic [SlotBits-1:0] rec_slot_i,
  input  logic [7:0]          rec_op_i,
  input  logic [3:0]          rec_queue_i,
  input  logic [63:0]         rec_cookie_i,
  input  logic [63:0]         rec_dst_addr_i,
  input  logic [3:0]          rec_dst_segments_i,
  input  logic [15:0]         rec_src_len_i,
  input  logic [31:0]         rec_fetched_i,
  input  logic [31:0]         rec_started_i,
  input  logic [31:0]         rec_index_i,
  input  logic [31:0]         rec_spi_i,
  input  logic [63:0]         rec_seq_i,
  input  logic                rec_encap_i,
  input  logic [7:0]          rec_next_header_i,
  input  logic                rec_esp_i,
  input  logic                rec_tunnel_i,
  input  logic [7:0]          rec_hdr_len_i,
  input  logic [7:0]          rec_ip_len_i,
  input  logic [7:0]          rec_skip_i,
  input  logic                rec_v6_i,
  input  logic [15:0]         rec_hsum_i,
  input  logic                rec_natt_i,
  input  logic                rec_patch_nh_i,
  input  logic [7:0]          rec_nh_at_i,
  input  logic [3:0]          rec_icv_len_i,
  input  logic                rec_ce_i,
  // settled packets; fields hold until pend_ready_o
  input  logic                pend_valid_i,
  output logic                pend_ready_o,
  input  logic [SlotBits-1:0] pend_slot_i,
  input  logic                pend_found_i,      // an answer will come
  input  logic [7:0]          pend_status_i,
  input  logic [15:0]         pend_len_i,
  input  logic                pend_icv_ok_i,
  input  logic [7:0]          pend_next_header_i,
  input  logic [31:0]         pend_ciphered_i,
  input  logic [31:0]         pend_hashed_i,
  // answers
  input  logic                ur_valid_i,
  output logic                ur_ready_o,
  input  logic [7:0]          ur_status_i,
  // result to be written: one cycle; ready_i does not fall before it and may be seen a cycle late
  input  logic                ready_i,
  output logic                job_valid_o,
  output logic [15:0]         job_len_o,
  output logic [63:0]         job_dst_addr_o,
  output logic                job_segmented_o,
  output logic                job_has_rows_o,
  output logic [8:0]          job_more_o,        // half rows behind the one in which the stream starts
  output logic                job_one_half_o,    // there are none
  output logic [RowBits-1:0]  job_row_o,         // first row
  output logic [13:0]         job_end_o,         // last octet of the stream, counted from that row's start
  output logic [3:0]          job_skip_o,        // first octet of the stream / 4, from there
  output logic                job_has_hdr_o,
  output logic [4:0]          job_hdr_end_o,     // last word of 4 octets of the header words before the ICV of AH
  output logic                job_icv_mid_o,     // ICV between header words and stream (AH)
  output logic                job_icv_end_o,     // ICV behind the stream (ESP)
  output logic                job_v6_o,
  output logic [15:0]         job_ip_len_o,      // for the length field of the IP header
  output logic [15:0]         job_checksum_o,    // IPv4
  output logic                job_natt_o,
  output logic [4:0]          job_udp_at_o,      // word of 4 octets with the UDP length
  output logic [15:0]         job_udp_len_o,
  output logic                job_patch_nh_o,
  output logic [6:0]          job_nh_at_o,
  output logic [7:0]          job_nh_o,
  output logic                job_ce_o,
  // pend_slot_i has nothing to write: one cycle
  output logic                free_o,
  // completion
  output logic                cpl_valid_o,
  input  logic                cpl_ready_i,
  output logic                cpl_wait_o,
  output logic [3:0]          cpl_queue_o,
  output logic [15:0]         cpl_src_len_o,
  output logic [511:0]        cpl_data_o
);
  typedef enum logic [2:0] {StRead, StRam, StLen, StEnd, StAnswer, StHand, StPush} state_e;
  state_e state_q;
  localparam int Width = 8 + 4 + 64 + 64 + 1 + 16 + 32 + 32 + 32 + 32 + 64 + 1 + 8 + 1 + 1 + 8 + 8 +
                     8 + 1 + 16 + 1 + 1 + 7 + 1 + 1;
  logic [Width-1:0] rec, rec_q;
  logic [7:0]       op, next_header, hdr_len, ip_len, skip;
  logic [3:0]       queue;
  logic [63:0]      cookie, dst_addr, seq;
  logic [31:0]      fetched, started, index, spi;
  logic [15:0]      src_len, hsum;
  logic             segmented, encap, esp, tunnel, v6, natt, patch_nh, has_icv, ce;
  logic [6:0]       nh_at;

  sdp_ram #(.Width(Width), .Depth(1 << SlotBits)) u_record (
    .clk_i(clk_i), .wr_en_i(rec_valid_i), .wr_addr_i(rec_slot_i),
    .wr_data_i({rec_op_i, rec_queue_i, rec_cookie_i, rec_dst_addr_i, rec_dst_segments_i != 4'd0, rec_src_len_i,
                rec_fetched_i, rec_started_i, rec_index_i, rec_spi_i, rec_seq_i, rec_encap_i, rec_next_header_i,
                rec_esp_i, rec_tunnel_i, rec_hdr_len_i, rec_ip_len_i, rec_skip_i, rec_v6_i, rec_hsum_i, rec_natt_i,
                rec_patch_nh_i, rec_nh_at_i[6:0], rec_icv_len_i != 4'd0, rec_ce_i}),
    .rd_en_i(state_q == StRead && pend_valid_i), .rd_addr_i(pend_slot_i), .rd_data_o(rec)
  );
  always_ff @(posedge clk_i) if (state_q == StRam) rec_q <= rec;
  assign {op, queue, cookie, dst_addr, segmented, src_len, fetched, started, index, spi, seq, encap, next_header, esp,
          tunnel, hdr_len, ip_len, skip, v6, hsum, natt, patch_nh, nh_at, has_icv, ce} = rec_q;

  // ---- Final status -----------------------------------------------------------------------------------------------
  logic       answered, handed, write_q, free_q, ready_q;
  logic       asked_q, whole_q;  // from StEnd on: the answer decides the status; it decides whether there is a result
  logic [7:0] status_q;
  assign answered = state_q == StAnswer && (!pend_found_i || ur_valid_i);
  assign handed   = state_q == StHand && (!write_q || ready_q);
  always_ff @(posedge clk_i) begin
    ready_q <= ready_i;
    asked_q <= pend_status_i == card_pkg::StatusOk && pend_found_i;
    whole_q <= pend_status_i == card_pkg::StatusOk && pend_found_i && pend_len_i != 16'd0;
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= StRead;
      free_q  <= 1'b0;
    end else begin
      free_q <= handed && !write_q;
      case (state_q)
        StRead:   if (pend_valid_i) state_q <= StRam;
        StRam:    state_q <= StLen;
        StLen:    state_q <= StEnd;
        StEnd:    state_q <= StAnswer;
        StAnswer: if (answered) state_q <= StHand;
        StHand:   if (handed) state_q <= StPush;
        default:  if (cpl_ready_i) state_q <= StRead;
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    if (answered) begin
      status_q <= asked_q ? ur_status_i : pend_status_i;
      write_q  <= whole_q && ur_status_i == card_pkg::StatusOk;
    end
  end
  assign ur_ready_o   = answered && pend_found_i;
  assign pend_ready_o = state_q == StPush && cpl_ready_i;
  assign free_o       = free_q;  // first cycle of StPush: pend_slot_i is still this packet's
  assign idle_o       = state_q == StRead && !pend_valid_i && !free_q;

  // ---- Lengths and checksum (RFC 791, 768, 8200): StLen, then StEnd -------------------------------------------------
  logic               esp_icv, empty_q, one_half_q;
  logic [8:0]         more_q;
  logic [13:0]        count_q, end_q;      // stream and ICV of ESP; last octet of the stream
  logic [6:0]         first_q;             // from the start of the row, less that ICV and 1
  logic [4:0]         hdr_end_q;
  logic [RowBits-1:0] row_q;
  logic [15:0]        ip_len_q, udp_len_q;
  logic [16:0]        sum_q, sum2_q;
  logic [17:0]        sum2;
  logic [7:0]         nh_q;
  logic [15:0]        base;
  logic [7:0]         nh_sum;
  assign base    = slot_pkg::base(16'(pend_slot_i), 16'(JumboSlots));
  assign nh_sum  = patch_nh ? nh_q : 8'd0;
  assign esp_icv = encap && esp && has_icv;
  assign sum2    = {1'b0, sum_q[15:0], 1'b1} + {9'd0, nh_sum, sum_q[16]};  // one adder: the old carry goes in at the low end
  always_ff @(posedge clk_i) begin
    if (state_q == StLen) begin
      count_q   <= pend_len_i[13:0] - 14'(hdr_len);
      first_q   <= 7'(skip[5:0]) - (esp_icv ? 7'd13 : 7'd1);
      row_q     <= base[RowBits-1:0] + RowBits'(skip[7:6]);
      ip_len_q  <= v6 ? pend_len_i - 16'd40 : pend_len_i;
      udp_len_q <= pend_len_i - 16'(ip_len);
      sum_q     <= 17'(hsum) + 17'(pend_len_i);
      nh_q      <= esp ? pend_next_header_i : next_header;
      hdr_end_q <= hdr_len[6:2] - (encap && !esp ? 5'd4 : 5'd1);
    end
    if (state_q == StEnd) begin
      end_q      <= count_q + {{7{first_q[6]}}, first_q};
      empty_q    <= count_q == (esp_icv ? 14'd12 : 14'd0);
      sum2_q     <= sum2[17:1];
    end
    if (state_q == StAnswer) begin
      more_q     <= end_q[13:5] - 9'(skip[5]);
      one_half_q <= end_q[13:5] == {8'd0, skip[5]};
    end
  end

  assign job_valid_o     = handed && write_q;
  assign job_len_o       = pend_len_i;
  assign job_dst_addr_o  = dst_addr;
  assign job_segmented_o = segmented;
  assign job_has_rows_o  = !empty_q;
  assign job_more_o      = more_q;
  assign job_one_half_o  = one_half_q;
  assign job_row_o       = row_q;
  assign job_end_o       = end_q;
  assign job_skip_o      = skip[5:2];
  assign job_has_hdr_o   = hdr_len != 8'd0;
  assign job_hdr_end_o   = hdr_end_q;
  assign job_icv_mid_o   = encap && !esp;
  assign job_icv_end_o   = esp_icv;
  assign job_v6_o        = v6;
  assign job_ip_len_o    = ip_len_q;
  assign job_checksum_o  = ~(sum2_q[15:0] + 16'(sum2_q[16]));
  assign job_natt_o      = natt;
  assign job_udp_at_o    = ip_len[6:2] + 5'd1;
  assign job_udp_len_o   = udp_len_q;
  assign job_patch_nh_o  = patch_nh;
  assign job_nh_at_o     = nh_at;
  assign job_nh_o        = nh_q;
  assign job_ce_o        = ce && tunnel && !encap;

  // ---- Completion -------------------------------------------------------------------------------------------------
  always_comb begin
    cpl_data_o = '0;
    cpl_data_o[card_pkg::CompletionOpLsb +: 8]             = op;
    cpl_data_o[card_pkg::CompletionStatusLsb +: 8]         = status_q;
    cpl_data_o[card_pkg::CompletionNextHeaderLsb +: 8]     = !encap && pend_icv_ok_i ? nh_q : 8'd0;
    cpl_data_o[card_pkg::CompletionSaIndexLsb +: 32]       = index;
    cpl_data_o[card_pkg::CompletionCookieLsb +: 64]        = cookie;
    cpl_data_o[card_pkg::CompletionOutLenLsb +: 32]        = write_q ? 32'(pend_len_i) : 32'd0;
    cpl_data_o[card_pkg::CompletionSpiLsb +: 32]           = spi;
    cpl_data_o[card_pkg::CompletionSeqLsb +: 64]           = seq;
    cpl_data_o[card_pkg::CompletionCycleFetchedLsb +: 32]  = fetched;
    cpl_data_o[card_pkg::CompletionCycleStartedLsb +: 32]  = started;
    cpl_data_o[card_pkg::CompletionCycleCipheredLsb +: 32] = pend_ciphered_i;
    cpl_data_o[card_pkg::CompletionCycleHashedLsb +: 32]   = pend_hashed_i;
  end
  assign cpl_valid_o   = state_q == StPush;
  assign cpl_wait_o    = write_q;
  assign cpl_queue_o   = queue;
  assign cpl_src_len_o = src_len;

  logic unused;
  assign unused = ^{base, sum2[0], rec_nh_at_i[7], pend_len_i[15:14], skip[1:0], ip_len[7], ip_len[1:0]};
endmodule
