// One lane of the card: everything from a queue's descriptors to its completions, on an AXI4 port of its own. What it
// shares with other lanes it reaches through ports: the SA database, registers, the card's time.
// Queue numbers inside a lane are local: queue n of the card is local queue n / Lanes of lane n % Lanes.
module card_lane #(
  parameter int Lane = 0,
  parameter int Lanes = 1,
  parameter int QueueCount = 4,          // of this lane
  parameter int JumboSlots = 64,
  parameter int SmallSlots = 192,
  parameter int MaxPacketBytes = 9216,
  parameter int WatchdogLog2 = 23,
  parameter int KeyCarry = 0
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         stop_i,           // soft reset: the bus masters come to rest
  input  logic         flush_i,          // soft reset: everything that holds packets is reset
  output logic         bus_idle_o,
  output logic         idle_o,           // no packet in flight and nothing to fetch
  output logic         resting_o,        // and nothing else moves either
  input  logic [31:0]  cycle_i,
  input  logic         enable_i,         // CONTROL.ENABLE
  input  logic         test_mode_i,
  input  logic         seed_valid_i,
  input  logic [159:0] seed_i,
  output logic         seeded_o,
  input  logic [255:0] window_base_i,
  input  logic [259:0] window_end_i,
  input  logic [3:0]   window_enable_i,
  // register bus: queues and counters of this lane; counters answer 2 cycles after the address
  input  logic [15:0]  reg_addr_i,
  input  logic         reg_wr_i,
  input  logic [31:0]  reg_wdata_i,
  output logic [31:0]  reg_rdata_o,
  output logic         reg_hit_o,
  output logic [63:0]  total_o,          // this lane's part of the card-wide counter at reg_addr_i
  output logic         total_hit_o,
  // errors in the order of ERROR_CAUSE, one cycle each
  output logic [9:0]   error_o,
  output logic         bus_error_o,
  output logic [63:0]  bus_error_addr_o,
  output logic         completed_o,      // one cycle: a completion is in memory
  // SA lookup, see hw/rtl/README.md
  output logic         lk_valid_o,
  input  logic         lk_ready_i,
  output logic         lk_encap_o,
  output logic [31:0]  lk_index_o,
  output logic [31:0]  lk_spi_o,
  output logic [31:0]  lk_seq_o,
  output logic         lk_ah_o,
  output logic         lk_udp_o,
  output logic         lk_v6_o,
  output logic [127:0] lk_src_o,
  output logic [127:0] lk_dst_o,
  output logic [15:0]  lk_len_o,
  output logic [7:0]   lk_hdr_len_o,
  output logic [15:0]  lk_dst_size_o,
  output logic         lk_fragment_o,
  input  logic         lr_valid_i,
  input  logic [7:0]   lr_status_i,
  input  logic         lr_found_i,
  input  logic         lr_epoch_i,
  input  logic [31:0]  lr_index_i,
  input  logic [31:0]  lr_spi_i,
  input  logic [63:0]  lr_seq_i,
  input  logic [15:0]  lr_ip_id_i,
  input  logic [15:0]  lr_out_len_i,
  input  logic         lr_transport_i,
  input  logic         lr_ah_i,
  input  logic         lr_outer_v6_i,
  input  logic         lr_natt_i,
  input  logic         lr_esn_i,
  input  logic         lr_inner_v4_i,
  input  logic         lr_inner_v6_i,
  input  logic [1:0]   lr_cipher_i,
  input  logic [1:0]   lr_auth_i,
  input  logic [1:0]   lr_df_policy_i,
  input  logic         lr_dscp_set_i,
  input  logic [5:0]   lr_dscp_i,
  input  logic         lr_ecn_clear_i,
  input  logic [7:0]   lr_ttl_i,
  input  logic [15:0]  lr_udp_src_i,
  input  logic [15:0]  lr_udp_dst_i,
  input  logic [127:0] lr_src_i,
  input  logic [127:0] lr_dst_i,
  input  logic [191:0] lr_enc_key_i,
  input  logic [159:0] lr_istate_i,
  input  logic [159:0] lr_ostate_i,
  // SA update
  output logic         up_valid_o,
  input  logic         up_ready_i,
  output logic [31:0]  up_index_o,
  output logic         up_epoch_o,
  output logic         up_auth_o,
  output logic         up_ok_o,
  output logic [7:0]   up_status_o,
  output logic [63:0]  up_seq_o,
  output logic [15:0]  up_bytes_o,
  input  logic         ur_valid_i,
  input  logic [7:0]   ur_status_i,
  // events to be written by this lane's port; tied off where the event ring is elsewhere
  input  logic         ew_valid_i,
  output logic         ew_ready_o,
  input  logic [63:0]  ew_addr_i,
  input  logic [511:0] ew_data_i,
  input  logic [63:0]  ew_strb_i,
  output logic         ew_done_o,        // one cycle
  output logic         ew_done_err_o,
  // AXI4, 512 bits, ID 0
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
  input  logic [1:0]   bresp_i,
  output logic         arvalid_o,
  input  logic         arready_i,
  output logic [63:0]  araddr_o,
  output logic [7:0]   arlen_o,
  input  logic         rvalid_i,
  output logic         rready_o,
  input  logic [511:0] rdata_i,
  input  logic [1:0]   rresp_i
);
  localparam int SlotBits = $clog2(JumboSlots + SmallSlots);
  localparam int RowBits  = $clog2(JumboSlots * slot_pkg::JumboRows + SmallSlots * slot_pkg::SmallRows);
  logic path_rst_n;
  assign path_rst_n = rst_ni && !flush_i;

  // -------------------------------------------------------------------------------- queues and counters: registers
  logic [QueueCount-1:0]    q_hit, q_bad_doorbell, q_bad_config, q_run, q_in_order, q_fetch, q_fetched, q_dropped;
  logic [QueueCount-1:0]    q_fetch_error, q_live, q_phase, q_issue, q_done, q_error, chk_req, chk_done;
  logic [32*QueueCount-1:0] q_rdata, chk_len;
  logic [64*QueueCount-1:0] chk_addr, q_base, q_cpl_addr;
  logic [5*QueueCount-1:0]  q_available, q_to_wrap;
  logic [15*QueueCount-1:0] q_index;
  logic [4:0]               fetch_count;
  logic                     chk_ok;
  for (genvar q = 0; q < QueueCount; q++) begin : gen_queue
    queue_regs #(.Queue(q * Lanes + Lane)) u_queue (
      .clk_i(clk_i), .rst_ni(rst_ni), .flush_i(flush_i),
      .reg_addr_i(reg_addr_i), .reg_wr_i(reg_wr_i), .reg_wdata_i(reg_wdata_i), .reg_rdata_o(q_rdata[32*q +: 32]),
      .reg_hit_o(q_hit[q]), .bad_doorbell_o(q_bad_doorbell[q]), .bad_config_o(q_bad_config[q]),
      .chk_req_o(chk_req[q]), .chk_addr_o(chk_addr[64*q +: 64]), .chk_len_o(chk_len[32*q +: 32]),
      .chk_done_i(chk_done[q]), .chk_ok_i(chk_ok),
      .run_o(q_run[q]), .in_order_o(q_in_order[q]), .available_o(q_available[5*q +: 5]),
      .fetch_base_o(q_base[64*q +: 64]), .fetch_index_o(q_index[15*q +: 15]), .to_wrap_o(q_to_wrap[5*q +: 5]),
      .fetch_i(q_fetch[q]), .fetch_count_i(fetch_count), .fetched_i(q_fetched[q]), .dropped_i(q_dropped[q]),
      .fetch_error_i(q_fetch_error[q]),
      .cpl_live_o(q_live[q]), .cpl_addr_o(q_cpl_addr[64*q +: 64]), .cpl_phase_o(q_phase[q]), .cpl_issue_i(q_issue[q]),
      .cpl_done_i(q_done[q]), .cpl_error_i(q_error[q])
    );
  end
  ring_range #(.N(QueueCount)) u_ring_range (
    .clk_i(clk_i), .rst_ni(rst_ni), .window_base_i(window_base_i), .window_end_i(window_end_i),
    .window_enable_i(window_enable_i), .req_i(chk_req), .addr_i(chk_addr), .len_i(chk_len), .done_o(chk_done),
    .ok_o(chk_ok)
  );

  logic        count, in_status, in_queue_status, queue_mine;
  logic [3:0]  count_queue, status_queue;
  logic [7:0]  count_op, count_status;
  logic [15:0] count_src_len, count_out_len;
  logic [31:0] queue_count, status_count, encap_packets, decap_packets;
  logic [63:0] encap_bytes, decap_bytes;
  lane_counters #(.QueueCount(QueueCount)) u_counters (
    .clk_i(clk_i), .rst_ni(rst_ni), .count_i(count), .count_queue_i(count_queue), .count_op_i(count_op),
    .count_status_i(count_status), .count_src_len_i(count_src_len), .count_out_len_i(count_out_len),
    .rd_queue_i(4'(32'(status_queue) / Lanes)), .rd_status_i(reg_addr_i[6:2]), .rd_queue_count_o(queue_count),
    .rd_total_o(status_count), .encap_packets_o(encap_packets), .encap_bytes_o(encap_bytes),
    .decap_packets_o(decap_packets), .decap_bytes_o(decap_bytes)
  );
  assign status_queue    = reg_addr_i[10:7];
  assign in_status       = reg_addr_i[15:7] == card_pkg::RegPacketsByStatus[15:7];
  assign in_queue_status = reg_addr_i[15:11] == card_pkg::RegQPacketsByStatus[15:11];
  assign queue_mine      = 32'(status_queue) % Lanes == Lane && 32'(status_queue) < Lanes * QueueCount;
  logic [31:0] reg_rdata;
  always_comb begin
    reg_rdata = in_queue_status && queue_mine ? queue_count : 32'd0;
    for (int q = 0; q < QueueCount; q++) reg_rdata = reg_rdata | q_rdata[32*q +: 32];
    total_hit_o = 1'b1;
    total_o     = '0;
    case (reg_addr_i)
      card_pkg::RegEncapPackets:                            total_o = 64'(encap_packets);
      card_pkg::RegEncapBytesLo, card_pkg::RegEncapBytesHi: total_o = encap_bytes;
      card_pkg::RegDecapPackets:                            total_o = 64'(decap_packets);
      card_pkg::RegDecapBytesLo, card_pkg::RegDecapBytesHi: total_o = decap_bytes;
      default: begin
        total_hit_o = in_status;
        if (in_status) total_o = 64'(status_count);
      end
    endcase
  end
  always_ff @(posedge clk_i) begin
    reg_rdata_o <= reg_rdata;
    reg_hit_o   <= q_hit != '0 || (in_queue_status && queue_mine);
  end

  // --------------------------------------------------------------------------------------------------- descriptors
  logic         rd_idle, rd_last, rd_err;
  logic [2:0]   rd_req_valid, rd_req_ready, rd_rsp_valid;
  logic [191:0] rd_req_addr;
  logic [23:0]  rd_req_beats;
  logic [511:0] rd_data;
  logic [63:0]  rd_addr;
  axi_read u_axi_read (
    .clk_i(clk_i), .rst_ni(rst_ni), .stop_i(stop_i), .idle_o(rd_idle),
    .req_valid_i(rd_req_valid), .req_ready_o(rd_req_ready), .req_addr_i(rd_req_addr), .req_beats_i(rd_req_beats),
    .rsp_valid_o(rd_rsp_valid), .rsp_data_o(rd_data), .rsp_last_o(rd_last), .rsp_err_o(rd_err), .rsp_addr_o(rd_addr),
    .arvalid_o(arvalid_o), .arready_i(arready_i), .araddr_o(araddr_o), .arlen_o(arlen_o),
    .rvalid_i(rvalid_i), .rready_o(rready_o), .rdata_i(rdata_i), .rresp_i(rresp_i)
  );
  logic         fetch_idle, desc_valid, desc_ready, desc_reserved, desc_in_order;
  logic [383:0] desc_data;
  logic [3:0]   desc_queue;
  logic [31:0]  desc_cycle;
  desc_fetch #(.QueueCount(QueueCount)) u_fetch (
    .clk_i(clk_i), .rst_ni(path_rst_n), .enable_i(enable_i && !stop_i), .cycle_i(cycle_i), .idle_o(fetch_idle),
    .run_i(q_run), .in_order_i(q_in_order), .available_i(q_available), .base_i(q_base), .index_i(q_index),
    .to_wrap_i(q_to_wrap), .fetch_o(q_fetch), .fetch_count_o(fetch_count), .fetched_o(q_fetched), .dropped_o(q_dropped),
    .error_o(q_fetch_error),
    .req_valid_o(rd_req_valid[0]), .req_ready_i(rd_req_ready[0]), .req_addr_o(rd_req_addr[63:0]),
    .req_beats_o(rd_req_beats[7:0]), .rsp_valid_i(rd_rsp_valid[0]), .rsp_data_i(rd_data), .rsp_last_i(rd_last),
    .rsp_err_i(rd_err),
    .out_valid_o(desc_valid), .out_ready_i(desc_ready), .out_data_o(desc_data), .out_reserved_o(desc_reserved),
    .out_queue_o(desc_queue), .out_in_order_o(desc_in_order), .out_cycle_o(desc_cycle)
  );
  logic         read_idle, pd_valid, pd_ready, pd_in_order, pd_host_iv, hb_valid, hb_ready, hb_last, hb_err;
  logic         db_valid, db_ready, db_err, seg_valid, seg_ready;
  logic [7:0]   pd_status, pd_op, pd_dst_segments;
  logic [3:0]   pd_queue;
  logic [31:0]  pd_cycle, pd_sa_index, pd_dst_size;
  logic [63:0]  pd_cookie, pd_dst_addr, pd_iv, seg_addr;
  logic [15:0]  pd_src_len, seg_len;
  logic [511:0] hb_data, db_data;
  desc_read #(.MaxPacketBytes(MaxPacketBytes)) u_read (
    .clk_i(clk_i), .rst_ni(path_rst_n), .idle_o(read_idle), .test_mode_i(test_mode_i),
    .window_base_i(window_base_i), .window_end_i(window_end_i), .window_enable_i(window_enable_i),
    .in_valid_i(desc_valid), .in_ready_o(desc_ready), .in_data_i(desc_data), .in_reserved_i(desc_reserved),
    .in_queue_i(desc_queue), .in_order_i(desc_in_order), .in_cycle_i(desc_cycle),
    .list_valid_o(rd_req_valid[1]), .list_ready_i(rd_req_ready[1]), .list_addr_o(rd_req_addr[127:64]),
    .list_beats_o(rd_req_beats[15:8]), .list_rsp_valid_i(rd_rsp_valid[1]), .list_rsp_err_i(rd_err),
    .req_valid_o(rd_req_valid[2]), .req_ready_i(rd_req_ready[2]), .req_addr_o(rd_req_addr[191:128]),
    .req_beats_o(rd_req_beats[23:16]), .rsp_valid_i(rd_rsp_valid[2]), .rsp_err_i(rd_err), .rsp_data_i(rd_data),
    .pd_valid_o(pd_valid), .pd_ready_i(pd_ready), .pd_status_o(pd_status), .pd_queue_o(pd_queue),
    .pd_in_order_o(pd_in_order), .pd_cycle_o(pd_cycle), .pd_op_o(pd_op), .pd_host_iv_o(pd_host_iv),
    .pd_sa_index_o(pd_sa_index), .pd_cookie_o(pd_cookie), .pd_dst_addr_o(pd_dst_addr), .pd_dst_size_o(pd_dst_size),
    .pd_dst_segments_o(pd_dst_segments), .pd_src_len_o(pd_src_len), .pd_iv_o(pd_iv),
    .hb_valid_o(hb_valid), .hb_ready_i(hb_ready), .hb_data_o(hb_data), .hb_last_o(hb_last), .hb_err_o(hb_err),
    .db_valid_o(db_valid), .db_ready_i(db_ready), .db_data_o(db_data), .db_err_o(db_err),
    .seg_valid_o(seg_valid), .seg_ready_i(seg_ready), .seg_addr_o(seg_addr), .seg_len_o(seg_len)
  );

  // ----------------------------------------------------------------------------------------------------- packets in
  // Lanes draw from one seed: the lane's number in the last octet of Trivium's IV gives each a keystream of its own.
  logic        iv_valid, iv_ready;
  logic [63:0] iv_data;
  trivium64 u_trivium (
    .clk_i(clk_i), .rst_ni(rst_ni), .seed_valid_i(seed_valid_i), .seed_key_i(seed_i[79:0]),
    .seed_iv_i(seed_i[159:80] ^ 80'(Lane)), .seeded_o(seeded_o), .valid_o(iv_valid), .ready_i(iv_ready),
    .data_o(iv_data)
  );

  logic                front_idle, alloc_jumbo, alloc_ok, alloc_take;
  logic [SlotBits-1:0] alloc_slot, open_slot, hdr_slot, rec_slot, dseg_slot;
  logic [7:0]          in_we;
  logic [RowBits-1:0]  in_row;
  logic [511:0]        in_data;
  logic                open_valid, open_run, open_encap, open_esp, open_tunnel, open_inner_v4, open_inner_v6, open_esn;
  logic                open_ordered;
  logic [7:0]          open_status;
  logic [1:0]          open_cipher, open_auth;
  logic [13:0]         open_len;
  logic [63:0]         open_spi_seq, open_iv;
  logic [31:0]         open_seq_hi;
  logic [95:0]         open_icv;
  logic [191:0]        open_key;
  logic [159:0]        open_istate, open_ostate;
  logic [8:0]          open_order;
  logic                hdr_we, dseg_we;
  logic [3:0]          hdr_word;
  logic [63:0]         hdr_data, dseg_addr;
  logic [2:0]          dseg_index;
  logic [15:0]         dseg_len;
  logic                rec_valid, rec_found, rec_encap, rec_esp, rec_tunnel, rec_v6, rec_natt, rec_patch_nh, rec_ce;
  logic [0:0]          rec_epoch;
  logic [7:0]          rec_op, rec_next_header, rec_hdr_len, rec_ip_len, rec_skip, rec_nh_at, rec_ah_status;
  logic [3:0]          rec_queue, rec_dst_segments, rec_icv_len;
  logic [63:0]         rec_cookie, rec_dst_addr, rec_seq;
  logic [15:0]         rec_dst_size, rec_src_len, rec_out_len, rec_hsum;
  logic [31:0]         rec_fetched, rec_started, rec_index, rec_spi;
  lane_front #(.JumboSlots(JumboSlots), .SmallSlots(SmallSlots)) u_front (
    .clk_i(clk_i), .rst_ni(path_rst_n), .cycle_i(cycle_i), .idle_o(front_idle),
    .pd_valid_i(pd_valid), .pd_ready_o(pd_ready), .pd_status_i(pd_status), .pd_queue_i(pd_queue),
    .pd_in_order_i(pd_in_order), .pd_cycle_i(pd_cycle), .pd_op_i(pd_op), .pd_host_iv_i(pd_host_iv),
    .pd_sa_index_i(pd_sa_index), .pd_cookie_i(pd_cookie), .pd_dst_addr_i(pd_dst_addr), .pd_dst_size_i(pd_dst_size),
    .pd_dst_segments_i(pd_dst_segments), .pd_src_len_i(pd_src_len), .pd_iv_i(pd_iv),
    .hb_valid_i(hb_valid), .hb_ready_o(hb_ready), .hb_data_i(hb_data), .hb_last_i(hb_last), .hb_err_i(hb_err),
    .db_valid_i(db_valid), .db_ready_o(db_ready), .db_data_i(db_data), .db_err_i(db_err),
    .seg_valid_i(seg_valid), .seg_ready_o(seg_ready), .seg_addr_i(seg_addr), .seg_len_i(seg_len),
    .seeded_i(seeded_o), .iv_valid_i(iv_valid), .iv_ready_o(iv_ready), .iv_data_i(iv_data),
    .lk_valid_o(lk_valid_o), .lk_ready_i(lk_ready_i), .lk_encap_o(lk_encap_o), .lk_index_o(lk_index_o),
    .lk_spi_o(lk_spi_o), .lk_seq_o(lk_seq_o), .lk_ah_o(lk_ah_o), .lk_udp_o(lk_udp_o), .lk_v6_o(lk_v6_o),
    .lk_src_o(lk_src_o), .lk_dst_o(lk_dst_o), .lk_len_o(lk_len_o), .lk_hdr_len_o(lk_hdr_len_o),
    .lk_dst_size_o(lk_dst_size_o), .lk_fragment_o(lk_fragment_o),
    .lr_valid_i(lr_valid_i), .lr_status_i(lr_status_i), .lr_found_i(lr_found_i), .lr_epoch_i(lr_epoch_i),
    .lr_index_i(lr_index_i), .lr_spi_i(lr_spi_i), .lr_seq_i(lr_seq_i), .lr_ip_id_i(lr_ip_id_i),
    .lr_out_len_i(lr_out_len_i), .lr_transport_i(lr_transport_i), .lr_ah_i(lr_ah_i), .lr_outer_v6_i(lr_outer_v6_i),
    .lr_natt_i(lr_natt_i), .lr_esn_i(lr_esn_i), .lr_inner_v4_i(lr_inner_v4_i), .lr_inner_v6_i(lr_inner_v6_i),
    .lr_cipher_i(lr_cipher_i), .lr_auth_i(lr_auth_i), .lr_df_policy_i(lr_df_policy_i), .lr_dscp_set_i(lr_dscp_set_i),
    .lr_dscp_i(lr_dscp_i), .lr_ecn_clear_i(lr_ecn_clear_i), .lr_ttl_i(lr_ttl_i), .lr_udp_src_i(lr_udp_src_i),
    .lr_udp_dst_i(lr_udp_dst_i), .lr_src_i(lr_src_i), .lr_dst_i(lr_dst_i), .lr_enc_key_i(lr_enc_key_i),
    .lr_istate_i(lr_istate_i), .lr_ostate_i(lr_ostate_i),
    .alloc_jumbo_o(alloc_jumbo), .alloc_ok_i(alloc_ok), .alloc_slot_i(alloc_slot), .alloc_take_o(alloc_take),
    .in_we_o(in_we), .in_row_o(in_row), .in_data_o(in_data),
    .open_valid_o(open_valid), .open_slot_o(open_slot), .open_run_o(open_run), .open_status_o(open_status),
    .open_encap_o(open_encap), .open_esp_o(open_esp), .open_tunnel_o(open_tunnel), .open_inner_v4_o(open_inner_v4),
    .open_inner_v6_o(open_inner_v6), .open_cipher_o(open_cipher), .open_auth_o(open_auth), .open_len_o(open_len),
    .open_spi_seq_o(open_spi_seq), .open_iv_o(open_iv), .open_esn_o(open_esn), .open_seq_hi_o(open_seq_hi),
    .open_icv_o(open_icv), .open_key_o(open_key), .open_istate_o(open_istate), .open_ostate_o(open_ostate),
    .open_ordered_o(open_ordered), .open_order_o(open_order),
    .hdr_we_o(hdr_we), .hdr_slot_o(hdr_slot), .hdr_word_o(hdr_word), .hdr_data_o(hdr_data),
    .dseg_we_o(dseg_we), .dseg_slot_o(dseg_slot), .dseg_index_o(dseg_index), .dseg_addr_o(dseg_addr),
    .dseg_len_o(dseg_len),
    .rec_valid_o(rec_valid), .rec_slot_o(rec_slot), .rec_op_o(rec_op), .rec_queue_o(rec_queue),
    .rec_cookie_o(rec_cookie), .rec_dst_addr_o(rec_dst_addr), .rec_dst_size_o(rec_dst_size),
    .rec_dst_segments_o(rec_dst_segments), .rec_src_len_o(rec_src_len), .rec_fetched_o(rec_fetched),
    .rec_started_o(rec_started), .rec_found_o(rec_found), .rec_epoch_o(rec_epoch), .rec_index_o(rec_index),
    .rec_spi_o(rec_spi), .rec_seq_o(rec_seq), .rec_encap_o(rec_encap), .rec_out_len_o(rec_out_len),
    .rec_next_header_o(rec_next_header), .rec_esp_o(rec_esp), .rec_tunnel_o(rec_tunnel), .rec_hdr_len_o(rec_hdr_len),
    .rec_ip_len_o(rec_ip_len), .rec_skip_o(rec_skip), .rec_v6_o(rec_v6), .rec_hsum_o(rec_hsum), .rec_natt_o(rec_natt),
    .rec_patch_nh_o(rec_patch_nh), .rec_nh_at_o(rec_nh_at), .rec_icv_len_o(rec_icv_len), .rec_ce_o(rec_ce),
    .rec_ah_status_o(rec_ah_status)
  );

  // ----------------------------------------------------------------------------------------------- cipher and hash
  logic                done_valid, done_ready, done_icv_ok, row_valid, row_ready, row_data_valid, free_valid, lane_busy;
  logic [SlotBits-1:0] done_slot, free_slot;
  logic [7:0]          done_status, done_next_header;
  logic [13:0]         done_len;
  logic [95:0]         done_icv;
  logic [31:0]         done_ciphered, done_hashed;
  logic [RowBits-1:0]  row_at;
  logic [511:0]        row_data;
  crypto_lane #(.JumboSlots(JumboSlots), .SmallSlots(SmallSlots), .KeyCarry(KeyCarry)) u_crypto (
    .clk_i(clk_i), .rst_ni(path_rst_n), .cycle_i(cycle_i),
    .alloc_jumbo_i(alloc_jumbo), .alloc_ok_o(alloc_ok), .alloc_slot_o(alloc_slot), .alloc_take_i(alloc_take),
    .in_we_i(in_we), .in_row_i(in_row), .in_data_i(in_data),
    .open_valid_i(open_valid), .open_slot_i(open_slot), .open_run_i(open_run), .open_status_i(open_status),
    .open_encap_i(open_encap), .open_esp_i(open_esp), .open_tunnel_i(open_tunnel), .open_inner_v4_i(open_inner_v4),
    .open_inner_v6_i(open_inner_v6), .open_cipher_i(open_cipher), .open_auth_i(open_auth), .open_len_i(open_len),
    .open_spi_seq_i(open_spi_seq), .open_iv_i(open_iv), .open_esn_i(open_esn), .open_seq_hi_i(open_seq_hi),
    .open_icv_i(open_icv), .open_key_i(open_key), .open_istate_i(open_istate), .open_ostate_i(open_ostate),
    .open_ordered_i(open_ordered), .open_order_i(open_order),
    .done_valid_o(done_valid), .done_ready_i(done_ready), .done_slot_o(done_slot), .done_status_o(done_status),
    .done_icv_ok_o(done_icv_ok), .done_len_o(done_len), .done_next_header_o(done_next_header), .done_icv_o(done_icv),
    .done_ciphered_o(done_ciphered), .done_hashed_o(done_hashed),
    .rd_valid_i(row_valid), .rd_ready_o(row_ready), .rd_row_i(row_at), .rd_data_valid_o(row_data_valid),
    .rd_data_o(row_data), .free_valid_i(free_valid), .free_slot_i(free_slot), .busy_o(lane_busy)
  );
  logic late;
  slot_watch #(.Slots(1 << SlotBits), .Log2Cycles(WatchdogLog2)) u_watch (
    .clk_i(clk_i), .rst_ni(path_rst_n), .open_i(open_valid), .open_slot_i(open_slot), .free_i(free_valid),
    .free_slot_i(free_slot), .late_o(late)
  );

  // ---------------------------------------------------------------------------------------------------- packets out
  logic         back_idle, wr_valid, wr_ready, wr_last, wd_valid, wd_ready, cpl_valid, cpl_ready, cpl_wait;
  logic [63:0]  wr_addr;
  logic [15:0]  wr_len, cpl_src_len;
  logic [511:0] wd_data, cpl_data;
  logic [3:0]   cpl_queue;
  lane_back #(.JumboSlots(JumboSlots), .SmallSlots(SmallSlots)) u_back (
    .clk_i(clk_i), .rst_ni(path_rst_n), .idle_o(back_idle),
    .hdr_we_i(hdr_we), .hdr_slot_i(hdr_slot), .hdr_word_i(hdr_word), .hdr_data_i(hdr_data),
    .dseg_we_i(dseg_we), .dseg_slot_i(dseg_slot), .dseg_index_i(dseg_index), .dseg_addr_i(dseg_addr),
    .dseg_len_i(dseg_len),
    .rec_valid_i(rec_valid), .rec_slot_i(rec_slot), .rec_op_i(rec_op), .rec_queue_i(rec_queue),
    .rec_cookie_i(rec_cookie), .rec_dst_addr_i(rec_dst_addr), .rec_dst_size_i(rec_dst_size),
    .rec_dst_segments_i(rec_dst_segments), .rec_src_len_i(rec_src_len), .rec_fetched_i(rec_fetched),
    .rec_started_i(rec_started), .rec_found_i(rec_found), .rec_epoch_i(rec_epoch), .rec_index_i(rec_index),
    .rec_spi_i(rec_spi), .rec_seq_i(rec_seq), .rec_encap_i(rec_encap), .rec_out_len_i(rec_out_len),
    .rec_next_header_i(rec_next_header), .rec_esp_i(rec_esp), .rec_tunnel_i(rec_tunnel), .rec_hdr_len_i(rec_hdr_len),
    .rec_ip_len_i(rec_ip_len), .rec_skip_i(rec_skip), .rec_v6_i(rec_v6), .rec_hsum_i(rec_hsum), .rec_natt_i(rec_natt),
    .rec_patch_nh_i(rec_patch_nh), .rec_nh_at_i(rec_nh_at), .rec_icv_len_i(rec_icv_len), .rec_ce_i(rec_ce),
    .rec_ah_status_i(rec_ah_status),
    .done_valid_i(done_valid), .done_ready_o(done_ready), .done_slot_i(done_slot), .done_status_i(done_status),
    .done_icv_ok_i(done_icv_ok), .done_len_i(done_len), .done_next_header_i(done_next_header), .done_icv_i(done_icv),
    .done_ciphered_i(done_ciphered), .done_hashed_i(done_hashed),
    .rd_valid_o(row_valid), .rd_ready_i(row_ready), .rd_row_o(row_at), .rd_data_valid_i(row_data_valid),
    .rd_data_i(row_data), .free_valid_o(free_valid), .free_slot_o(free_slot),
    .up_valid_o(up_valid_o), .up_ready_i(up_ready_i), .up_index_o(up_index_o), .up_epoch_o(up_epoch_o),
    .up_auth_o(up_auth_o), .up_ok_o(up_ok_o), .up_status_o(up_status_o), .up_seq_o(up_seq_o), .up_bytes_o(up_bytes_o),
    .ur_valid_i(ur_valid_i), .ur_status_i(ur_status_i),
    .wr_valid_o(wr_valid), .wr_ready_i(wr_ready), .wr_addr_o(wr_addr), .wr_len_o(wr_len), .wr_last_o(wr_last),
    .wd_valid_o(wd_valid), .wd_ready_i(wd_ready), .wd_data_o(wd_data),
    .cpl_valid_o(cpl_valid), .cpl_ready_i(cpl_ready), .cpl_wait_o(cpl_wait), .cpl_queue_o(cpl_queue),
    .cpl_src_len_o(cpl_src_len), .cpl_data_o(cpl_data)
  );

  logic         pkt_done, one_valid, one_ready, one_done, wr_done_err, wr_err, wr_idle, cpl_idle, cw_valid, cw_ready;
  logic [63:0]  one_addr, one_strb, wr_err_addr, cw_addr;
  logic [511:0] one_data, cw_data;
  logic [4:0]   one_tag, one_done_tag;   // event, queue
  logic [3:0]   cw_queue;
  axi_write u_axi_write (
    .clk_i(clk_i), .rst_ni(rst_ni), .stop_i(stop_i), .idle_o(wr_idle),
    .wr_valid_i(wr_valid), .wr_ready_o(wr_ready), .wr_addr_i(wr_addr), .wr_len_i(wr_len), .wr_last_i(wr_last),
    .wd_valid_i(wd_valid), .wd_ready_o(wd_ready), .wd_data_i(wd_data), .pkt_done_o(pkt_done),
    .one_valid_i(one_valid), .one_ready_o(one_ready), .one_addr_i(one_addr), .one_data_i(one_data),
    .one_strb_i(one_strb), .one_tag_i(one_tag), .one_done_o(one_done), .one_done_tag_o(one_done_tag),
    .done_err_o(wr_done_err), .err_o(wr_err), .err_addr_o(wr_err_addr),
    .awvalid_o(awvalid_o), .awready_i(awready_i), .awaddr_o(awaddr_o), .awlen_o(awlen_o),
    .wvalid_o(wvalid_o), .wready_i(wready_i), .wdata_o(wdata_o), .wstrb_o(wstrb_o), .wlast_o(wlast_o),
    .bvalid_i(bvalid_i), .bready_o(bready_o), .bresp_i(bresp_i)
  );
  cpl_write #(.QueueCount(QueueCount)) u_cpl (
    .clk_i(clk_i), .rst_ni(path_rst_n), .idle_o(cpl_idle), .cycle_i(cycle_i),
    .in_valid_i(cpl_valid), .in_ready_o(cpl_ready), .in_wait_i(cpl_wait), .in_queue_i(cpl_queue),
    .in_src_len_i(cpl_src_len), .in_data_i(cpl_data), .pkt_done_i(pkt_done), .pkt_err_i(wr_done_err),
    .live_i(q_live), .addr_i(q_cpl_addr), .phase_i(q_phase), .issue_o(q_issue), .done_o(q_done), .error_o(q_error),
    .wr_valid_o(cw_valid), .wr_ready_i(cw_ready), .wr_addr_o(cw_addr), .wr_data_o(cw_data), .wr_queue_o(cw_queue),
    .wr_done_i(one_done && !one_done_tag[4]), .wr_done_queue_i(one_done_tag[3:0]), .wr_done_err_i(wr_done_err),
    .count_o(count), .count_queue_o(count_queue), .count_op_o(count_op), .count_status_o(count_status),
    .count_src_len_o(count_src_len), .count_out_len_o(count_out_len)
  );
  // Completions go first: they are what the host waits for.
  assign one_valid     = cw_valid || ew_valid_i;
  assign one_addr      = cw_valid ? cw_addr : ew_addr_i;
  assign one_data      = cw_valid ? cw_data : ew_data_i;
  assign one_strb      = cw_valid ? 64'hffffffff_ffffffff : ew_strb_i;
  assign one_tag       = cw_valid ? {1'b0, cw_queue} : 5'b10000;
  assign cw_ready      = one_ready;
  assign ew_ready_o    = one_ready && !cw_valid;
  assign ew_done_o     = one_done && one_done_tag[4];
  assign ew_done_err_o = wr_done_err;
  assign completed_o   = one_done && !one_done_tag[4] && !wr_done_err;

  // ------------------------------------------------------------------------------------------- errors and idleness
  always_comb begin
    error_o = '0;
    error_o[card_pkg::ErrorCauseRingReadLsb]    = rd_rsp_valid[0] && rd_err;
    error_o[card_pkg::ErrorCausePacketReadLsb]  = rd_rsp_valid[2:1] != '0 && rd_err;
    error_o[card_pkg::ErrorCausePacketWriteLsb] = pkt_done && wr_done_err;
    error_o[card_pkg::ErrorCauseRingWriteLsb]   = one_done && wr_done_err;
    error_o[card_pkg::ErrorCauseRingConfigLsb]  = q_bad_config != '0;
    error_o[card_pkg::ErrorCauseBadDoorbellLsb] = q_bad_doorbell != '0;
    error_o[card_pkg::ErrorCauseWatchdogLsb]    = late;
  end
  assign bus_error_o      = wr_err || (rd_rsp_valid != '0 && rd_err);
  assign bus_error_addr_o = wr_err ? wr_err_addr : rd_addr;
  assign bus_idle_o       = rd_idle && wr_idle;
  assign idle_o           = fetch_idle && read_idle && front_idle && !lane_busy && back_idle && cpl_idle && bus_idle_o;
  assign resting_o        = idle_o && chk_req == '0;
endmodule
