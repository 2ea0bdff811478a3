// Back of a lane: takes finished packets from crypto_lane in the order of done, settles them with the SA table,
// writes their results and completions, frees their slots. Completions leave in the order of done.
// Keeps records, header words and destination segments by slot. Does not decide what a result is made of: lane_front
// did, in the record. No row of the stream is read unless the packet's final status is Ok.
//   back_settle ─ update ─► sad ─ answer ─► back_finish ─► back_rows, back_build ─► wd_*
//                                                        ├► back_segments ─► wr_*
//                                                        └► cpl_*
// One packet in 7 cycles for results of up to 150 octets, 32 octets a cycle for long ones. From done to the last beat
// of a packet of 64 octets on AXI: 28 cycles when the SA table answers after 8 and rows come after 4.
module lane_back #(
  parameter int JumboSlots = 8,
  parameter int SmallSlots = 120,
  localparam int SlotBits = $clog2(JumboSlots + SmallSlots),
  localparam int RowBits  = $clog2(JumboSlots * slot_pkg::JumboRows + SmallSlots * slot_pkg::SmallRows)
) (
  input  logic                clk_i,
  input  logic                rst_ni,             // also low during a soft reset
  output logic                idle_o,
  // lane_front
  input  logic                hdr_we_i,
  input  logic [SlotBits-1:0] hdr_slot_i,
  input  logic [3:0]          hdr_word_i,
  input  logic [63:0]         hdr_data_i,
  input  logic                dseg_we_i,
  input  logic [SlotBits-1:0] dseg_slot_i,
  input  logic [2:0]          dseg_index_i,
  input  logic [63:0]         dseg_addr_i,
  input  logic [15:0]         dseg_len_i,
  input  logic                rec_valid_i,
  input  logic [SlotBits-1:0] rec_slot_i,
  input  logic [7:0]          rec_op_i,
  input  logic [3:0]          rec_queue_i,
  input  logic [63:0]         rec_cookie_i,
  input  logic [63:0]         rec_dst_addr_i,
  input  logic [15:0]         rec_dst_size_i,
  input  logic [3:0]          rec_dst_segments_i,
  input  logic [15:0]         rec_src_len_i,
  input  logic [31:0]         rec_fetched_i,
  input  logic [31:0]         rec_started_i,
  input  logic                rec_found_i,
  input  logic [0:0]          rec_epoch_i,
  input  logic [31:0]         rec_index_i,
  input  logic [31:0]         rec_spi_i,
  input  logic [63:0]         rec_seq_i,
  input  logic                rec_encap_i,
  input  logic [15:0]         rec_out_len_i,
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
  input  logic [7:0]          rec_nh_at_i,        // 9 (IPv4), 6 (IPv6) or a multiple of 8 (extension header)
  input  logic [3:0]          rec_icv_len_i,
  input  logic                rec_ce_i,
  input  logic [7:0]          rec_ah_status_i,    // counts where done_status_i is Ok
  // crypto_lane
  input  logic                done_valid_i,
  output logic                done_ready_o,
  input  logic [SlotBits-1:0] done_slot_i,
  input  logic [7:0]          done_status_i,
  input  logic                done_icv_ok_i,
  input  logic [13:0]         done_len_i,
  input  logic [7:0]          done_next_header_i,
  input  logic [95:0]         done_icv_i,
  input  logic [31:0]         done_ciphered_i,
  input  logic [31:0]         done_hashed_i,
  output logic                rd_valid_o,
  input  logic                rd_ready_i,
  output logic [RowBits-1:0]  rd_row_o,
  input  logic                rd_data_valid_i,
  input  logic [511:0]        rd_data_i,
  output logic                free_valid_o,
  output logic [SlotBits-1:0] free_slot_o,
  // sad
  output logic                up_valid_o,
  input  logic                up_ready_i,
  output logic [31:0]         up_index_o,
  output logic                up_epoch_o,
  output logic                up_auth_o,
  output logic                up_ok_o,
  output logic [7:0]          up_status_o,
  output logic [63:0]         up_seq_o,
  output logic [15:0]         up_bytes_o,
  input  logic                ur_valid_i,
  input  logic [7:0]          ur_status_i,
  // axi_write
  output logic                wr_valid_o,
  input  logic                wr_ready_i,
  output logic [63:0]         wr_addr_o,
  output logic [15:0]         wr_len_o,
  output logic                wr_last_o,
  output logic                wd_valid_o,
  input  logic                wd_ready_i,
  output logic [511:0]        wd_data_o,
  // cpl_write
  output logic                cpl_valid_o,
  input  logic                cpl_ready_i,
  output logic                cpl_wait_o,
  output logic [3:0]          cpl_queue_o,
  output logic [15:0]         cpl_src_len_o,
  output logic [511:0]        cpl_data_o
);
  localparam int Held = 16;  // settled packets, and with them answers to come

  logic settle_idle, settled, pend_room, pend_found_in;
  logic [7:0]  pend_status_in;
  logic [15:0] pend_len_in;
  back_settle #(.SlotBits(SlotBits)) u_settle (
    .clk_i(clk_i), .rst_ni(rst_ni), .idle_o(settle_idle),
    .rec_valid_i(rec_valid_i), .rec_slot_i(rec_slot_i), .rec_found_i(rec_found_i), .rec_epoch_i(rec_epoch_i[0]),
    .rec_index_i(rec_index_i), .rec_seq_i(rec_seq_i), .rec_encap_i(rec_encap_i), .rec_esp_i(rec_esp_i),
    .rec_hdr_len_i(rec_hdr_len_i), .rec_out_len_i(rec_out_len_i), .rec_dst_size_i(rec_dst_size_i),
    .rec_ah_status_i(rec_ah_status_i),
    .done_valid_i(done_valid_i), .done_ready_o(done_ready_o), .done_slot_i(done_slot_i), .done_status_i(done_status_i),
    .done_icv_ok_i(done_icv_ok_i), .done_len_i(done_len_i),
    .up_valid_o(up_valid_o), .up_ready_i(up_ready_i), .up_index_o(up_index_o), .up_epoch_o(up_epoch_o),
    .up_auth_o(up_auth_o), .up_ok_o(up_ok_o), .up_status_o(up_status_o), .up_seq_o(up_seq_o), .up_bytes_o(up_bytes_o),
    .pend_valid_o(settled), .pend_ready_i(pend_room), .pend_found_o(pend_found_in), .pend_status_o(pend_status_in),
    .pend_len_o(pend_len_in)
  );

  // ---- Settled packets and answers --------------------------------------------------------------------------------
  localparam int PendBits = SlotBits + 1 + 8 + 16 + 1 + 8 + 96 + 32 + 32;
  logic                pend_valid, pend_take, pend_found, pend_icv_ok, answer_room, answer_valid, answer_take;
  logic [SlotBits-1:0] pend_slot;
  logic [7:0]          pend_status, pend_next_header, answer;
  logic [15:0]         pend_len;
  logic [95:0]         pend_icv;
  logic [31:0]         pend_ciphered, pend_hashed;
  logic [$clog2(Held):0] pend_level, answer_level;
  stream_fifo #(.Width(PendBits), .Depth(Held)) u_pending (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(settled), .ready_o(pend_room),
    .data_i({done_slot_i, pend_found_in, pend_status_in, pend_len_in, done_icv_ok_i, done_next_header_i, done_icv_i,
             done_ciphered_i, done_hashed_i}),
    .valid_o(pend_valid), .ready_i(pend_take),
    .data_o({pend_slot, pend_found, pend_status, pend_len, pend_icv_ok, pend_next_header, pend_icv, pend_ciphered,
             pend_hashed}),
    .level_o(pend_level)
  );
  stream_fifo #(.Width(8), .Depth(Held)) u_answers (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(ur_valid_i), .ready_o(answer_room), .data_i(ur_status_i),
    .valid_o(answer_valid), .ready_i(answer_take), .data_o(answer), .level_o(answer_level)
  );

  // ---- Final status, completion -----------------------------------------------------------------------------------
  logic               finish_idle, build_ready, rows_ready, segs_ready, free_room, job, job_segmented, job_has_rows;
  logic               job_one_half;
  logic [8:0]         job_more;
  logic               job_has_hdr, job_icv_mid, job_icv_end, job_v6, job_natt, job_patch_nh, job_ce, free_empty;
  logic [15:0]        job_len, job_ip_len, job_checksum, job_udp_len;
  logic [63:0]        job_dst_addr;
  logic [RowBits-1:0] job_row;
  logic [13:0]        job_end;
  logic [3:0]         job_skip;
  logic [6:0]         job_nh_at;
  logic [4:0]         job_hdr_end, job_udp_at;
  logic [7:0]         job_nh;
  back_finish #(.JumboSlots(JumboSlots), .SlotBits(SlotBits), .RowBits(RowBits)) u_finish (
    .clk_i(clk_i), .rst_ni(rst_ni), .idle_o(finish_idle),
    .rec_valid_i(rec_valid_i), .rec_slot_i(rec_slot_i), .rec_op_i(rec_op_i), .rec_queue_i(rec_queue_i),
    .rec_cookie_i(rec_cookie_i), .rec_dst_addr_i(rec_dst_addr_i), .rec_dst_segments_i(rec_dst_segments_i),
    .rec_src_len_i(rec_src_len_i), .rec_fetched_i(rec_fetched_i), .rec_started_i(rec_started_i),
    .rec_index_i(rec_index_i), .rec_spi_i(rec_spi_i), .rec_seq_i(rec_seq_i), .rec_encap_i(rec_encap_i),
    .rec_next_header_i(rec_next_header_i), .rec_esp_i(rec_esp_i), .rec_tunnel_i(rec_tunnel_i),
    .rec_hdr_len_i(rec_hdr_len_i), .rec_ip_len_i(rec_ip_len_i), .rec_skip_i(rec_skip_i), .rec_v6_i(rec_v6_i),
    .rec_hsum_i(rec_hsum_i), .rec_natt_i(rec_natt_i), .rec_patch_nh_i(rec_patch_nh_i), .rec_nh_at_i(rec_nh_at_i),
    .rec_icv_len_i(rec_icv_len_i), .rec_ce_i(rec_ce_i),
    .pend_valid_i(pend_valid), .pend_ready_o(pend_take), .pend_slot_i(pend_slot), .pend_found_i(pend_found),
    .pend_status_i(pend_status), .pend_len_i(pend_len), .pend_icv_ok_i(pend_icv_ok),
    .pend_next_header_i(pend_next_header), .pend_ciphered_i(pend_ciphered), .pend_hashed_i(pend_hashed),
    .ur_valid_i(answer_valid), .ur_ready_o(answer_take), .ur_status_i(answer),
    .ready_i(build_ready && free_room && rows_ready && segs_ready),
    .job_valid_o(job), .job_len_o(job_len), .job_dst_addr_o(job_dst_addr), .job_segmented_o(job_segmented),
    .job_has_rows_o(job_has_rows), .job_more_o(job_more), .job_one_half_o(job_one_half), .job_row_o(job_row),
    .job_end_o(job_end), .job_skip_o(job_skip),
    .job_has_hdr_o(job_has_hdr), .job_hdr_end_o(job_hdr_end), .job_icv_mid_o(job_icv_mid), .job_icv_end_o(job_icv_end),
    .job_v6_o(job_v6), .job_ip_len_o(job_ip_len), .job_checksum_o(job_checksum), .job_natt_o(job_natt),
    .job_udp_at_o(job_udp_at), .job_udp_len_o(job_udp_len), .job_patch_nh_o(job_patch_nh), .job_nh_at_o(job_nh_at),
    .job_nh_o(job_nh), .job_ce_o(job_ce), .free_o(free_empty),
    .cpl_valid_o(cpl_valid_o), .cpl_ready_i(cpl_ready_i), .cpl_wait_o(cpl_wait_o), .cpl_queue_o(cpl_queue_o),
    .cpl_src_len_o(cpl_src_len_o), .cpl_data_o(cpl_data_o)
  );

  // ---- Result -----------------------------------------------------------------------------------------------------
  logic         rows_idle, row_valid, row_take, build_idle, built, segs_idle, segs_done;
  logic [511:0] row;
  back_rows #(.RowBits(RowBits)) u_rows (
    .clk_i(clk_i), .rst_ni(rst_ni), .idle_o(rows_idle),
    .job_valid_i(job && job_has_rows), .job_ready_o(rows_ready), .job_first_i(job_row), .job_more_i(job_end[13:6]),
    .rd_valid_o(rd_valid_o), .rd_ready_i(rd_ready_i), .rd_row_o(rd_row_o), .rd_data_valid_i(rd_data_valid_i),
    .rd_data_i(rd_data_i), .row_valid_o(row_valid), .row_ready_i(row_take), .row_data_o(row)
  );
  back_build #(.SlotBits(SlotBits)) u_build (
    .clk_i(clk_i), .rst_ni(rst_ni), .idle_o(build_idle),
    .hdr_we_i(hdr_we_i), .hdr_slot_i(hdr_slot_i), .hdr_word_i(hdr_word_i), .hdr_data_i(hdr_data_i),
    .job_valid_i(job), .job_ready_o(build_ready), .job_slot_i(pend_slot), .job_has_rows_i(job_has_rows),
    .job_more_i(job_more), .job_one_half_i(job_one_half),
    .job_end_i(job_end[4:0]), .job_skip_i(job_skip), .job_has_hdr_i(job_has_hdr), .job_hdr_end_i(job_hdr_end),
    .job_icv_mid_i(job_icv_mid), .job_icv_end_i(job_icv_end), .job_icv_i(pend_icv), .job_v6_i(job_v6),
    .job_ip_len_i(job_ip_len), .job_checksum_i(job_checksum), .job_natt_i(job_natt), .job_udp_at_i(job_udp_at),
    .job_udp_len_i(job_udp_len), .job_patch_nh_i(job_patch_nh), .job_nh_at_i(job_nh_at), .job_nh_i(job_nh),
    .job_ce_i(job_ce), .job_done_o(built),
    .row_valid_i(row_valid), .row_ready_o(row_take), .row_data_i(row),
    .wd_valid_o(wd_valid_o), .wd_ready_i(wd_ready_i), .wd_data_o(wd_data_o)
  );
  back_segments #(.SlotBits(SlotBits)) u_segments (
    .clk_i(clk_i), .rst_ni(rst_ni), .idle_o(segs_idle),
    .dseg_we_i(dseg_we_i), .dseg_slot_i(dseg_slot_i), .dseg_index_i(dseg_index_i), .dseg_addr_i(dseg_addr_i),
    .dseg_len_i(dseg_len_i),
    .job_valid_i(job), .job_ready_o(segs_ready), .job_slot_i(pend_slot), .job_addr_i(job_dst_addr),
    .job_segmented_i(job_segmented), .job_len_i(job_len), .job_done_o(segs_done),
    .wr_valid_o(wr_valid_o), .wr_ready_i(wr_ready_i), .wr_addr_o(wr_addr_o), .wr_len_o(wr_len_o), .wr_last_o(wr_last_o)
  );

  // ---- Slots: back to the lane when rows, header words and segments are read ---------------------------------------
  logic                free_valid, free_take;
  logic [SlotBits-1:0] free_slot;
  logic [$clog2(Held):0] free_level, built_q, asked_q;  // packets behind either, not yet freed
  stream_fifo #(.Width(SlotBits), .Depth(Held)) u_free (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(job), .ready_o(free_room), .data_i(pend_slot),
    .valid_o(free_valid), .ready_i(free_take), .data_o(free_slot), .level_o(free_level)
  );
  assign free_take    = built_q != '0 && asked_q != '0 && !free_empty;
  assign free_valid_o = free_take || free_empty;
  assign free_slot_o  = free_empty ? pend_slot : free_slot;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      built_q <= '0;
      asked_q <= '0;
    end else begin
      if (built != free_take) built_q <= built ? built_q + 1'b1 : built_q - 1'b1;
      if (segs_done != free_take) asked_q <= segs_done ? asked_q + 1'b1 : asked_q - 1'b1;
    end
  end
  assign idle_o = settle_idle && finish_idle && rows_idle && build_idle && segs_idle && !free_valid;
  logic unused;
  assign unused = ^{pend_level, answer_room, answer_level, free_level, job_end[5]};
endmodule
