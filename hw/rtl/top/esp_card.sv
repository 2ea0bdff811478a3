// XRT RTL kernel `esp_card`. Faces: s_axi_control (AXI4-Lite registers), m_axi_gmem (AXI4, 512 bits), interrupt.
//
//   ring_queue, ring_fetch -> desc_check -> pkt_dispatch -> esp_lane -> pkt_result -> cpl_writer
//                                           |    sa_table    |
// One lane; packets complete in submission order. What the card can do is in CAPS.
module esp_card #(
  parameter int Lanes = 1,            // 1 is built
  parameter int SlotsPerLane = 32,
  parameter int SaEntries = 1024,     // a power of two
  parameter int RingCount = 1,        // queues, up to card_pkg::MaxQueues
  parameter int ReplayWindow = 64,    // largest window
  parameter int ClockHz = 300000000,
  parameter int BuildId = 0,          // first 32 bits of the source revision
  parameter int AllowTestMode = 1   // CONTROL.TEST_MODE may be set
) (
  input  logic         ap_clk,
  input  logic         ap_rst_n,
  input  logic         s_axi_control_awvalid,
  output logic         s_axi_control_awready,
  input  logic [15:0]  s_axi_control_awaddr,
  input  logic         s_axi_control_wvalid,
  output logic         s_axi_control_wready,
  input  logic [31:0]  s_axi_control_wdata,
  input  logic [3:0]   s_axi_control_wstrb,
  output logic         s_axi_control_bvalid,
  input  logic         s_axi_control_bready,
  output logic [1:0]   s_axi_control_bresp,
  input  logic         s_axi_control_arvalid,
  output logic         s_axi_control_arready,
  input  logic [15:0]  s_axi_control_araddr,
  output logic         s_axi_control_rvalid,
  input  logic         s_axi_control_rready,
  output logic [31:0]  s_axi_control_rdata,
  output logic [1:0]   s_axi_control_rresp,
  output logic         m_axi_gmem_awvalid,
  input  logic         m_axi_gmem_awready,
  output logic [63:0]  m_axi_gmem_awaddr,
  output logic [0:0]   m_axi_gmem_awid,
  output logic [7:0]   m_axi_gmem_awlen,
  output logic [2:0]   m_axi_gmem_awsize,
  output logic [1:0]   m_axi_gmem_awburst,
  output logic [1:0]   m_axi_gmem_awlock,
  output logic [3:0]   m_axi_gmem_awcache,
  output logic [2:0]   m_axi_gmem_awprot,
  output logic [3:0]   m_axi_gmem_awqos,
  output logic [3:0]   m_axi_gmem_awregion,
  output logic         m_axi_gmem_wvalid,
  input  logic         m_axi_gmem_wready,
  output logic [511:0] m_axi_gmem_wdata,
  output logic [63:0]  m_axi_gmem_wstrb,
  output logic         m_axi_gmem_wlast,
  input  logic         m_axi_gmem_bvalid,
  output logic         m_axi_gmem_bready,
  input  logic [1:0]   m_axi_gmem_bresp,
  input  logic [0:0]   m_axi_gmem_bid,
  output logic         m_axi_gmem_arvalid,
  input  logic         m_axi_gmem_arready,
  output logic [63:0]  m_axi_gmem_araddr,
  output logic [0:0]   m_axi_gmem_arid,
  output logic [7:0]   m_axi_gmem_arlen,
  output logic [2:0]   m_axi_gmem_arsize,
  output logic [1:0]   m_axi_gmem_arburst,
  output logic [1:0]   m_axi_gmem_arlock,
  output logic [3:0]   m_axi_gmem_arcache,
  output logic [2:0]   m_axi_gmem_arprot,
  output logic [3:0]   m_axi_gmem_arqos,
  output logic [3:0]   m_axi_gmem_arregion,
  input  logic         m_axi_gmem_rvalid,
  output logic         m_axi_gmem_rready,
  input  logic [511:0] m_axi_gmem_rdata,
  input  logic         m_axi_gmem_rlast,
  input  logic [1:0]   m_axi_gmem_rresp,
  input  logic [0:0]   m_axi_gmem_rid,
  // XRT gives the interrupt of a kernel this name.
  // verilator lint_off SYMRSVDWORD
  output logic         interrupt
  // verilator lint_on SYMRSVDWORD
);
  localparam int MaxPacketBytes = 2048;
  localparam int Checkers = RingCount + 1;  // ring owners: queues, and the event ring
  initial if (Lanes != 1) $fatal(1, "esp_card: one lane is built");
  initial if (RingCount < 1 || RingCount > card_pkg::MaxQueues) $fatal(1, "esp_card: RingCount out of range");

  logic         clk, rst_n, path_rst_n;
  logic [31:0]  cycle;
  assign clk   = ap_clk;
  assign rst_n = ap_rst_n;

  // ------------------------------------------------------------------------------------------- registers
  logic [15:0]  reg_addr;
  logic         reg_wr, unmapped, reg_hit;
  logic [31:0]  reg_wdata, reg_rdata;
  logic         global_hit, sa_hit, event_hit, counter_hit, spare_hit;
  logic [31:0]  global_rdata, sa_rdata, event_rdata, counter_rdata, queue_rdata;
  logic [RingCount-1:0]    q_hit;
  logic [32*RingCount-1:0] q_rdata;

  axil_slave u_axil (
    .clk_i(clk), .rst_ni(rst_n),
    .awvalid_i(s_axi_control_awvalid), .awready_o(s_axi_control_awready), .awaddr_i(s_axi_control_awaddr),
    .wvalid_i(s_axi_control_wvalid), .wready_o(s_axi_control_wready), .wdata_i(s_axi_control_wdata),
    .wstrb_i(s_axi_control_wstrb),
    .bvalid_o(s_axi_control_bvalid), .bready_i(s_axi_control_bready), .bresp_o(s_axi_control_bresp),
    .arvalid_i(s_axi_control_arvalid), .arready_o(s_axi_control_arready), .araddr_i(s_axi_control_araddr),
    .rvalid_o(s_axi_control_rvalid), .rready_i(s_axi_control_rready), .rdata_o(s_axi_control_rdata),
    .rresp_o(s_axi_control_rresp),
    .reg_addr_o(reg_addr), .reg_wr_o(reg_wr), .reg_wdata_o(reg_wdata), .reg_rdata_i(reg_rdata), .reg_hit_i(reg_hit),
    .unmapped_o(unmapped)
  );
  // Queues of the map that this build does not have read 0.
  assign spare_hit = reg_addr >= card_pkg::RegSqBaseLo + 16'(64 * RingCount) &&
                     reg_addr < card_pkg::RegSqBaseLo + 16'(64 * card_pkg::MaxQueues) && reg_addr[5:0] <= 6'h24;
  always_comb begin
    queue_rdata = '0;
    for (int q = 0; q < RingCount; q++) queue_rdata = queue_rdata | q_rdata[32*q +: 32];
  end
  assign reg_hit   = global_hit || sa_hit || event_hit || counter_hit || spare_hit || q_hit != '0;
  assign reg_rdata = (global_hit ? global_rdata : 32'd0) | (sa_hit ? sa_rdata : 32'd0) |
                     (event_hit ? event_rdata : 32'd0) | (counter_hit ? counter_rdata : 32'd0) | queue_rdata;

  logic         path_idle, seeded, soft_reset, stop, flush, soft_reset_busy, error_new, irq_completion, irq_event;
  logic         enable, test_mode, seed_valid, bus_error;
  logic [9:0]   error_set, error_cause;
  logic [63:0]  cycles, busy_cycles, bus_error_addr;
  logic [31:0]  seconds;
  logic [159:0] seed;
  logic [255:0] window_base;
  logic [259:0] window_end;
  logic [3:0]   window_enable;
  card_time #(.ClockHz(ClockHz)) u_time (
    .clk_i(clk), .rst_ni(rst_n), .busy_i(!path_idle),
    .cycles_o(cycles), .busy_cycles_o(busy_cycles), .seconds_o(seconds)
  );
  assign cycle = cycles[31:0];
  card_regs #(
    .Lanes(Lanes), .SlotsPerLane(SlotsPerLane), .SaEntries(SaEntries), .RingCount(RingCount),
    .ReplayWindow(ReplayWindow), .ClockHz(ClockHz), .MaxPacketBytes(MaxPacketBytes), .BuildId(BuildId),
    .AllowTestMode(AllowTestMode)
  ) u_regs (
    .clk_i(clk), .rst_ni(rst_n),
    .reg_addr_i(reg_addr), .reg_wr_i(reg_wr), .reg_wdata_i(reg_wdata), .reg_rdata_o(global_rdata),
    .reg_hit_o(global_hit),
    .idle_i(path_idle), .seeded_i(seeded), .cycles_i(cycles), .busy_cycles_i(busy_cycles), .seconds_i(seconds),
    .soft_reset_busy_i(soft_reset_busy),
    .error_set_i(error_set), .bus_error_i(bus_error), .bus_error_addr_i(bus_error_addr), .error_new_o(error_new),
    .error_cause_o(error_cause),
    .irq_completion_i(irq_completion), .irq_event_i(irq_event), .interrupt_o(interrupt),
    .enable_o(enable), .test_mode_o(test_mode), .soft_reset_o(soft_reset), .seed_valid_o(seed_valid), .seed_o(seed),
    .window_base_o(window_base), .window_end_o(window_end), .window_enable_o(window_enable)
  );

  // -------------------------------------------------------------------------------------------- soft reset
  logic rd_idle, wr_idle;
  card_reset u_reset (
    .clk_i(clk), .rst_ni(rst_n), .request_i(soft_reset), .bus_idle_i(rd_idle && wr_idle),
    .stop_o(stop), .flush_o(flush), .busy_o(soft_reset_busy)
  );
  assign path_rst_n = rst_n && !flush;

  // ------------------------------------------------------------------------------------------- bus masters
  logic [1:0]   rd_req_valid, rd_req_ready, rd_valid;
  logic [127:0] rd_req_addr;
  logic [15:0]  rd_req_beats;
  logic [511:0] rd_data;
  logic         rd_last, rd_err;
  logic [63:0]  rd_addr;
  axi_rd u_axi_rd (
    .clk_i(clk), .rst_ni(rst_n), .stop_i(stop), .idle_o(rd_idle),
    .req_valid_i(rd_req_valid), .req_ready_o(rd_req_ready), .req_addr_i(rd_req_addr), .req_beats_i(rd_req_beats),
    .rsp_valid_o(rd_valid), .rsp_data_o(rd_data), .rsp_last_o(rd_last), .rsp_err_o(rd_err), .rsp_addr_o(rd_addr),
    .arvalid_o(m_axi_gmem_arvalid), .arready_i(m_axi_gmem_arready), .araddr_o(m_axi_gmem_araddr),
    .arlen_o(m_axi_gmem_arlen),
    .rvalid_i(m_axi_gmem_rvalid), .rready_o(m_axi_gmem_rready), .rdata_i(m_axi_gmem_rdata),
    .rresp_i(m_axi_gmem_rresp)
  );

  logic         pkt_wr_valid, pkt_wr_ready, pkt_done, out_valid, out_ready, out_last;
  logic [63:0]  pkt_wr_addr, one_addr, one_strb, wr_err_addr;
  logic [15:0]  pkt_wr_len;
  logic [511:0] out_data, one_data;
  logic         one_valid, one_ready, one_done, wr_done_err, wr_err;
  logic [4:0]   one_tag, one_done_tag;  // event, queue
  axi_wr u_axi_wr (
    .clk_i(clk), .rst_ni(rst_n), .stop_i(stop), .idle_o(wr_idle),
    .pkt_valid_i(pkt_wr_valid), .pkt_ready_o(pkt_wr_ready), .pkt_addr_i(pkt_wr_addr), .pkt_len_i(pkt_wr_len),
    .pkt_data_valid_i(out_valid), .pkt_data_ready_o(out_ready), .pkt_data_i(out_data), .pkt_done_o(pkt_done),
    .one_valid_i(one_valid), .one_ready_o(one_ready), .one_addr_i(one_addr), .one_data_i(one_data),
    .one_strb_i(one_strb), .one_tag_i(one_tag), .one_done_o(one_done), .one_done_tag_o(one_done_tag),
    .done_err_o(wr_done_err), .err_o(wr_err), .err_addr_o(wr_err_addr),
    .awvalid_o(m_axi_gmem_awvalid), .awready_i(m_axi_gmem_awready), .awaddr_o(m_axi_gmem_awaddr),
    .awlen_o(m_axi_gmem_awlen),
    .wvalid_o(m_axi_gmem_wvalid), .wready_i(m_axi_gmem_wready), .wdata_o(m_axi_gmem_wdata),
    .wstrb_o(m_axi_gmem_wstrb), .wlast_o(m_axi_gmem_wlast),
    .bvalid_i(m_axi_gmem_bvalid), .bready_o(m_axi_gmem_bready), .bresp_i(m_axi_gmem_bresp)
  );
  // Always: 64-byte beats, incrementing, one ID, normal memory that may be buffered
  assign m_axi_gmem_awid     = '0;
  assign m_axi_gmem_awsize   = 3'd6;
  assign m_axi_gmem_awburst  = 2'b01;
  assign m_axi_gmem_awlock   = '0;
  assign m_axi_gmem_awcache  = 4'b0011;
  assign m_axi_gmem_awprot   = '0;
  assign m_axi_gmem_awqos    = '0;
  assign m_axi_gmem_awregion = '0;
  assign m_axi_gmem_arid     = '0;
  assign m_axi_gmem_arsize   = 3'd6;
  assign m_axi_gmem_arburst  = 2'b01;
  assign m_axi_gmem_arlock   = '0;
  assign m_axi_gmem_arcache  = 4'b0011;
  assign m_axi_gmem_arprot   = '0;
  assign m_axi_gmem_arqos    = '0;
  assign m_axi_gmem_arregion = '0;

  // --------------------------------------------------------------------------------------------- queues
  logic [RingCount-1:0]    q_bad_doorbell, q_bad_config, q_run, q_fetch, q_fetched, q_dropped, q_fetch_error;
  logic [RingCount-1:0]    q_live, q_phase, q_issue, q_done, q_error;
  logic [16*RingCount-1:0] q_available, q_to_wrap;
  logic [64*RingCount-1:0] q_fetch_addr, q_cpl_addr;
  logic [7:0]              fetch_count;
  logic [Checkers-1:0]     chk_req, chk_done;
  logic [64*Checkers-1:0]  chk_addr;
  logic [32*Checkers-1:0]  chk_len;
  logic                    chk_ok;
  for (genvar q = 0; q < RingCount; q++) begin : gen_queue
    ring_queue #(.Queue(q)) u_queue (
      .clk_i(clk), .rst_ni(rst_n), .flush_i(flush),
      .reg_addr_i(reg_addr), .reg_wr_i(reg_wr), .reg_wdata_i(reg_wdata), .reg_rdata_o(q_rdata[32*q +: 32]),
      .reg_hit_o(q_hit[q]),
      .bad_doorbell_o(q_bad_doorbell[q]), .bad_config_o(q_bad_config[q]),
      .chk_req_o(chk_req[q]), .chk_addr_o(chk_addr[64*q +: 64]), .chk_len_o(chk_len[32*q +: 32]),
      .chk_done_i(chk_done[q]), .chk_ok_i(chk_ok),
      .run_o(q_run[q]), .available_o(q_available[16*q +: 16]), .fetch_addr_o(q_fetch_addr[64*q +: 64]),
      .to_wrap_o(q_to_wrap[16*q +: 16]), .fetch_i(q_fetch[q]), .fetch_count_i(fetch_count),
      .fetched_i(q_fetched[q]), .dropped_i(q_dropped[q]), .fetch_error_i(q_fetch_error[q]),
      .cpl_live_o(q_live[q]), .cpl_addr_o(q_cpl_addr[64*q +: 64]), .cpl_phase_o(q_phase[q]),
      .cpl_issue_i(q_issue[q]), .cpl_done_i(q_done[q]), .cpl_error_i(q_error[q])
    );
  end
  ring_check #(.N(Checkers)) u_ring_check (
    .clk_i(clk), .rst_ni(rst_n), .window_base_i(window_base), .window_end_i(window_end),
    .window_enable_i(window_enable), .req_i(chk_req), .addr_i(chk_addr), .len_i(chk_len), .done_o(chk_done),
    .ok_o(chk_ok)
  );

  logic         fetch_idle, desc_valid, desc_ready;
  logic [511:0] desc_data;
  logic [3:0]   desc_queue;
  logic [31:0]  desc_cycle;
  ring_fetch #(.RingCount(RingCount)) u_fetch (
    .clk_i(clk), .rst_ni(path_rst_n), .enable_i(enable && !stop), .cycle_i(cycle), .idle_o(fetch_idle),
    .run_i(q_run), .available_i(q_available), .addr_i(q_fetch_addr), .to_wrap_i(q_to_wrap),
    .fetch_o(q_fetch), .fetch_count_o(fetch_count), .fetched_o(q_fetched), .dropped_o(q_dropped),
    .error_o(q_fetch_error),
    .req_valid_o(rd_req_valid[0]), .req_ready_i(rd_req_ready[0]), .req_addr_o(rd_req_addr[63:0]),
    .req_beats_o(rd_req_beats[7:0]), .rsp_valid_i(rd_valid[0]), .rsp_data_i(rd_data), .rsp_last_i(rd_last),
    .rsp_err_i(rd_err),
    .out_valid_o(desc_valid), .out_ready_i(desc_ready), .out_data_o(desc_data), .out_queue_o(desc_queue),
    .out_cycle_o(desc_cycle)
  );

  // -------------------------------------------------------------------------------------------- packets in
  logic         check_idle, dispatch_idle;
  logic         pd_valid, pd_ready, pd_host_iv, beat_valid, beat_ready, beat_err;
  logic [7:0]   pd_status, pd_op;
  logic [3:0]   pd_queue;
  logic [31:0]  pd_cycle, pd_sa_index, pd_dst_size;
  logic [63:0]  pd_cookie, pd_dst_addr, pd_iv;
  logic [15:0]  pd_src_len;
  logic [511:0] beat_data;
  desc_check #(.MaxPacketBytes(MaxPacketBytes)) u_desc_check (
    .clk_i(clk), .rst_ni(path_rst_n), .idle_o(check_idle), .test_mode_i(test_mode),
    .window_base_i(window_base), .window_end_i(window_end), .window_enable_i(window_enable),
    .in_valid_i(desc_valid), .in_ready_o(desc_ready), .in_data_i(desc_data), .in_queue_i(desc_queue),
    .in_cycle_i(desc_cycle),
    .req_valid_o(rd_req_valid[1]), .req_ready_i(rd_req_ready[1]), .req_addr_o(rd_req_addr[127:64]),
    .req_beats_o(rd_req_beats[15:8]), .rsp_valid_i(rd_valid[1]), .rsp_data_i(rd_data), .rsp_err_i(rd_err),
    .out_valid_o(pd_valid), .out_ready_i(pd_ready), .out_status_o(pd_status), .out_queue_o(pd_queue),
    .out_cycle_o(pd_cycle), .out_op_o(pd_op), .out_host_iv_o(pd_host_iv), .out_sa_index_o(pd_sa_index),
    .out_cookie_o(pd_cookie), .out_dst_addr_o(pd_dst_addr), .out_dst_size_o(pd_dst_size),
    .out_src_len_o(pd_src_len), .out_iv_o(pd_iv),
    .beat_valid_o(beat_valid), .beat_ready_i(beat_ready), .beat_data_o(beat_data), .beat_err_o(beat_err)
  );

  logic         iv_valid, iv_ready;
  logic [63:0]  iv_data;
  trivium64 u_trivium (
    .clk_i(clk), .rst_ni(rst_n), .seed_valid_i(seed_valid), .seed_key_i(seed[79:0]), .seed_iv_i(seed[159:80]),
    .seeded_o(seeded), .valid_o(iv_valid), .ready_i(iv_ready), .data_o(iv_data)
  );

  logic         lk_valid, lk_encap, lk_natt_in, lk_done, lk_found, lk_natt, lk_dscp_set, lk_ecn_clear;
  logic [31:0]  lk_index_in, lk_spi_in, lk_seq_in, lk_src_in, lk_dst_in, lk_dst_size, lk_index, lk_spi, lk_seq;
  logic [31:0]  lk_src, lk_dst;
  logic [15:0]  lk_src_len, lk_ip_id, lk_udp_src, lk_udp_dst;
  logic [7:0]   lk_status, lk_ttl;
  logic [3:0]   lk_cipher, lk_auth;
  logic [191:0] lk_enc_key;
  logic [159:0] lk_istate, lk_ostate;
  logic [1:0]   lk_df_policy;
  logic [5:0]   lk_dscp;

  logic         job_valid, job_ready, job_encap, lane_valid, lane_ready, lane_last, lane_err;
  logic [15:0]  job_tag, job_src_len;
  logic [7:0]   job_esp_off;
  logic [63:0]  job_iv;
  logic [511:0] lane_data;

  localparam int RecordBits = 8 + 1 + 16 + 1 + 32 + 32 + 32 + 4 + 8 + 64 + 64 + 32 + 16 + 32 + 32;
  logic         ri_valid, ri_ready, ri_lane, ri_found, ro_valid, ro_ready, ro_lane, ro_found;
  logic [7:0]   ri_status, ri_op, ro_status, ro_op;
  logic [15:0]  ri_tag, ri_src_len, ro_tag, ro_src_len;
  logic [31:0]  ri_index, ri_spi, ri_seq, ri_dst_size, ri_fetched, ri_started;
  logic [31:0]  ro_index, ro_spi, ro_seq, ro_dst_size, ro_fetched, ro_started;
  logic [3:0]   ri_queue, ro_queue;
  logic [63:0]  ri_cookie, ri_dst_addr, ro_cookie, ro_dst_addr;
  pkt_dispatch u_dispatch (
    .clk_i(clk), .rst_ni(path_rst_n), .idle_o(dispatch_idle), .cycle_i(cycle),
    .in_valid_i(pd_valid), .in_ready_o(pd_ready), .in_status_i(pd_status), .in_queue_i(pd_queue),
    .in_cycle_i(pd_cycle), .in_op_i(pd_op), .in_host_iv_i(pd_host_iv), .in_sa_index_i(pd_sa_index),
    .in_cookie_i(pd_cookie), .in_dst_addr_i(pd_dst_addr), .in_dst_size_i(pd_dst_size), .in_src_len_i(pd_src_len),
    .in_iv_i(pd_iv),
    .beat_valid_i(beat_valid), .beat_ready_o(beat_ready), .beat_data_i(beat_data), .beat_err_i(beat_err),
    .lk_valid_o(lk_valid), .lk_encap_o(lk_encap), .lk_index_o(lk_index_in), .lk_spi_o(lk_spi_in),
    .lk_seq_o(lk_seq_in), .lk_natt_o(lk_natt_in), .lk_src_o(lk_src_in), .lk_dst_o(lk_dst_in),
    .lk_src_len_o(lk_src_len), .lk_dst_size_o(lk_dst_size),
    .lk_done_i(lk_done), .lk_status_i(lk_status), .lk_found_i(lk_found), .lk_index_i(lk_index), .lk_spi_i(lk_spi),
    .lk_seq_i(lk_seq),
    .iv_seeded_i(seeded), .iv_valid_i(iv_valid), .iv_ready_o(iv_ready), .iv_data_i(iv_data),
    .job_valid_o(job_valid), .job_ready_i(job_ready), .job_tag_o(job_tag), .job_encap_o(job_encap),
    .job_src_len_o(job_src_len), .job_esp_off_o(job_esp_off), .job_iv_o(job_iv),
    .lane_valid_o(lane_valid), .lane_ready_i(lane_ready), .lane_data_o(lane_data), .lane_last_o(lane_last),
    .lane_err_o(lane_err),
    .rec_valid_o(ri_valid), .rec_ready_i(ri_ready), .rec_status_o(ri_status), .rec_lane_o(ri_lane),
    .rec_tag_o(ri_tag), .rec_found_o(ri_found), .rec_index_o(ri_index), .rec_spi_o(ri_spi), .rec_seq_o(ri_seq),
    .rec_queue_o(ri_queue), .rec_op_o(ri_op), .rec_cookie_o(ri_cookie), .rec_dst_addr_o(ri_dst_addr),
    .rec_dst_size_o(ri_dst_size), .rec_src_len_o(ri_src_len), .rec_fetched_o(ri_fetched),
    .rec_started_o(ri_started)
  );
  logic [6:0] record_level;
  stream_fifo #(.Width(RecordBits), .Depth(64)) u_records (
    .clk_i(clk), .rst_ni(path_rst_n), .valid_i(ri_valid), .ready_o(ri_ready),
    .data_i({ri_status, ri_lane, ri_tag, ri_found, ri_index, ri_spi, ri_seq, ri_queue, ri_op, ri_cookie,
             ri_dst_addr, ri_dst_size, ri_src_len, ri_fetched, ri_started}),
    .valid_o(ro_valid), .ready_i(ro_ready),
    .data_o({ro_status, ro_lane, ro_tag, ro_found, ro_index, ro_spi, ro_seq, ro_queue, ro_op, ro_cookie,
             ro_dst_addr, ro_dst_size, ro_src_len, ro_fetched, ro_started}),
    .level_o(record_level)
  );

  // ------------------------------------------------------------------------------------------------- lane
  logic         res_valid, res_ready, res_discard, lane_busy;
  logic [15:0]  res_tag, res_out_len;
  logic [7:0]   res_status, res_next_header;
  logic [31:0]  res_ciphered, res_hashed;
  esp_lane #(.Slots(SlotsPerLane), .SlotBytes(MaxPacketBytes)) u_lane (
    .clk_i(clk), .rst_ni(rst_n), .flush_i(flush), .cycle_i(cycle),
    .job_valid_i(job_valid), .job_ready_o(job_ready), .job_tag_i(job_tag), .job_encap_i(job_encap),
    .job_natt_i(lk_natt), .job_cipher_i(lk_cipher), .job_auth_i(lk_auth), .job_src_len_i(job_src_len),
    .job_esp_off_i(job_esp_off), .job_enc_key_i(lk_enc_key), .job_istate_i(lk_istate), .job_ostate_i(lk_ostate),
    .job_spi_i(lk_spi), .job_seq_i({32'd0, lk_seq}), .job_iv_i(job_iv), .job_src_i({lk_src, 96'd0}),
    .job_dst_i({lk_dst, 96'd0}), .job_ttl_i(lk_ttl), .job_ip_id_i(lk_ip_id), .job_df_policy_i(lk_df_policy),
    .job_dscp_set_i(lk_dscp_set), .job_dscp_i(lk_dscp), .job_ecn_clear_i(lk_ecn_clear), .job_udp_src_i(lk_udp_src),
    .job_udp_dst_i(lk_udp_dst), .job_inner_v4_i(1'b1), .job_inner_v6_i(1'b0),
    .in_valid_i(lane_valid), .in_ready_o(lane_ready), .in_data_i(lane_data), .in_last_i(lane_last),
    .in_err_i(lane_err),
    .res_valid_o(res_valid), .res_ready_i(res_ready), .res_discard_i(res_discard), .res_tag_o(res_tag),
    .res_status_o(res_status), .res_out_len_o(res_out_len), .res_next_header_o(res_next_header),
    .res_cycle_ciphered_o(res_ciphered), .res_cycle_hashed_o(res_hashed),
    .out_valid_o(out_valid), .out_ready_i(out_ready), .out_data_o(out_data), .out_last_o(out_last),
    .busy_o(lane_busy)
  );

  // ------------------------------------------------------------------------------------------- packets out
  logic         result_idle, mismatch, up_valid, up_check, up_ok, up_replay, up_icv, up_done, up_refused;
  logic [31:0]  up_index, up_seq;
  logic [15:0]  up_bytes, cpl_src_len;
  logic         cpl_valid, cpl_ready, cpl_wait;
  logic [3:0]   cpl_queue;
  logic [511:0] cpl_data;
  pkt_result u_result (
    .clk_i(clk), .rst_ni(path_rst_n), .idle_o(result_idle),
    .rec_valid_i(ro_valid), .rec_ready_o(ro_ready), .rec_status_i(ro_status), .rec_lane_i(ro_lane),
    .rec_tag_i(ro_tag), .rec_found_i(ro_found), .rec_index_i(ro_index), .rec_spi_i(ro_spi), .rec_seq_i(ro_seq),
    .rec_queue_i(ro_queue), .rec_op_i(ro_op), .rec_cookie_i(ro_cookie), .rec_dst_addr_i(ro_dst_addr),
    .rec_dst_size_i(ro_dst_size), .rec_src_len_i(ro_src_len), .rec_fetched_i(ro_fetched),
    .rec_started_i(ro_started),
    .res_valid_i(res_valid), .res_ready_o(res_ready), .res_discard_o(res_discard), .res_tag_i(res_tag),
    .res_status_i(res_status), .res_out_len_i(res_out_len), .res_next_header_i(res_next_header),
    .res_cycle_ciphered_i(res_ciphered), .res_cycle_hashed_i(res_hashed), .mismatch_o(mismatch),
    .up_valid_o(up_valid), .up_index_o(up_index), .up_check_o(up_check), .up_ok_o(up_ok), .up_replay_o(up_replay),
    .up_icv_o(up_icv), .up_seq_o(up_seq), .up_bytes_o(up_bytes), .up_done_i(up_done), .up_refused_i(up_refused),
    .wr_valid_o(pkt_wr_valid), .wr_ready_i(pkt_wr_ready), .wr_addr_o(pkt_wr_addr), .wr_len_o(pkt_wr_len),
    .cpl_valid_o(cpl_valid), .cpl_ready_i(cpl_ready), .cpl_wait_o(cpl_wait), .cpl_queue_o(cpl_queue),
    .cpl_src_len_o(cpl_src_len), .cpl_data_o(cpl_data)
  );

  logic         cpl_idle, cw_valid, cw_ready, count;
  logic [63:0]  cw_addr;
  logic [511:0] cw_data;
  logic [3:0]   cw_queue;
  logic [7:0]   count_op, count_status;
  logic [15:0]  count_src_len, count_out_len;
  cpl_writer #(.RingCount(RingCount)) u_cpl (
    .clk_i(clk), .rst_ni(path_rst_n), .idle_o(cpl_idle), .cycle_i(cycle),
    .in_valid_i(cpl_valid), .in_ready_o(cpl_ready), .in_wait_i(cpl_wait), .in_queue_i(cpl_queue),
    .in_src_len_i(cpl_src_len), .in_data_i(cpl_data), .pkt_done_i(pkt_done), .pkt_err_i(wr_done_err),
    .live_i(q_live), .addr_i(q_cpl_addr), .phase_i(q_phase), .issue_o(q_issue), .done_o(q_done), .error_o(q_error),
    .wr_valid_o(cw_valid), .wr_ready_i(cw_ready), .wr_addr_o(cw_addr), .wr_data_o(cw_data), .wr_queue_o(cw_queue),
    .wr_done_i(one_done && !one_done_tag[4]), .wr_done_queue_i(one_done_tag[3:0]), .wr_done_err_i(wr_done_err),
    .count_o(count), .count_op_o(count_op), .count_status_o(count_status), .count_src_len_o(count_src_len),
    .count_out_len_o(count_out_len)
  );
  card_counters u_counters (
    .clk_i(clk), .rst_ni(rst_n), .reg_addr_i(reg_addr), .reg_rdata_o(counter_rdata), .reg_hit_o(counter_hit),
    .count_i(count), .count_op_i(count_op), .count_status_i(count_status), .count_src_len_i(count_src_len),
    .count_out_len_i(count_out_len)
  );

  // --------------------------------------------------------------------------------------------- SA table
  localparam int Index = $clog2(SaEntries);
  logic             sa_busy, cmd_valid, cmd_done, cmd_was_valid, closed, drained, ev_valid;
  logic [1:0]       cmd_op;
  logic [Index-1:0] cmd_index;
  logic [2047:0]    cmd_entry;
  logic [159:0]     cmd_istate, cmd_ostate;
  logic [383:0]     cmd_view;
  logic [7:0]       ev_type;
  logic [31:0]      ev_index, ev_spi, ev_arg;
  sa_table #(.SaEntries(SaEntries), .ReplayWindow(ReplayWindow), .MaxPacketBytes(MaxPacketBytes)) u_sa_table (
    .clk_i(clk), .rst_ni(rst_n), .flush_i(flush), .seconds_i(seconds),
    .lk_valid_i(lk_valid), .lk_encap_i(lk_encap), .lk_index_i(lk_index_in), .lk_spi_i(lk_spi_in),
    .lk_seq_i(lk_seq_in), .lk_natt_i(lk_natt_in), .lk_src_i(lk_src_in), .lk_dst_i(lk_dst_in),
    .lk_src_len_i(lk_src_len), .lk_dst_size_i(lk_dst_size),
    .lk_done_o(lk_done), .lk_status_o(lk_status), .lk_found_o(lk_found), .lk_index_o(lk_index), .lk_spi_o(lk_spi),
    .lk_seq_o(lk_seq), .lk_ip_id_o(lk_ip_id), .lk_natt_o(lk_natt), .lk_cipher_o(lk_cipher), .lk_auth_o(lk_auth),
    .lk_enc_key_o(lk_enc_key), .lk_istate_o(lk_istate), .lk_ostate_o(lk_ostate), .lk_src_o(lk_src),
    .lk_dst_o(lk_dst), .lk_ttl_o(lk_ttl), .lk_df_policy_o(lk_df_policy), .lk_dscp_set_o(lk_dscp_set),
    .lk_dscp_o(lk_dscp), .lk_ecn_clear_o(lk_ecn_clear), .lk_udp_src_o(lk_udp_src), .lk_udp_dst_o(lk_udp_dst),
    .up_valid_i(up_valid), .up_index_i(up_index), .up_check_i(up_check), .up_ok_i(up_ok), .up_replay_i(up_replay),
    .up_icv_i(up_icv), .up_seq_i(up_seq), .up_bytes_i(up_bytes), .up_done_o(up_done), .up_refused_o(up_refused),
    .cmd_valid_i(cmd_valid), .cmd_op_i(cmd_op), .cmd_index_i(cmd_index), .cmd_entry_i(cmd_entry),
    .cmd_istate_i(cmd_istate), .cmd_ostate_i(cmd_ostate), .closed_i(closed), .cmd_done_o(cmd_done),
    .cmd_was_valid_o(cmd_was_valid), .cmd_view_o(cmd_view), .drained_o(drained),
    .ev_valid_o(ev_valid), .ev_type_o(ev_type), .ev_index_o(ev_index), .ev_spi_o(ev_spi), .ev_arg_o(ev_arg)
  );
  sa_command #(.SaEntries(SaEntries), .ReplayWindow(ReplayWindow)) u_sa_command (
    .clk_i(clk), .rst_ni(rst_n), .busy_o(sa_busy),
    .reg_addr_i(reg_addr), .reg_wr_i(reg_wr), .reg_wdata_i(reg_wdata), .reg_rdata_o(sa_rdata), .reg_hit_o(sa_hit),
    .cmd_valid_o(cmd_valid), .cmd_op_o(cmd_op), .cmd_index_o(cmd_index), .cmd_entry_o(cmd_entry),
    .cmd_istate_o(cmd_istate), .cmd_ostate_o(cmd_ostate), .closed_o(closed), .cmd_done_i(cmd_done),
    .cmd_was_valid_i(cmd_was_valid), .cmd_view_i(cmd_view), .drained_i(drained)
  );

  // ----------------------------------------------------------------------------------------------- events
  logic         event_idle, ev_bad_doorbell, ev_bad_config, ev_lost, ew_valid, ew_ready;
  logic [63:0]  ew_addr, ew_strb;
  logic [511:0] ew_data;
  event_ring u_events (
    .clk_i(clk), .rst_ni(rst_n), .idle_o(event_idle), .cycles_i(cycles),
    .reg_addr_i(reg_addr), .reg_wr_i(reg_wr), .reg_wdata_i(reg_wdata), .reg_rdata_o(event_rdata),
    .reg_hit_o(event_hit),
    .bad_doorbell_o(ev_bad_doorbell), .bad_config_o(ev_bad_config), .lost_o(ev_lost),
    .chk_req_o(chk_req[RingCount]), .chk_addr_o(chk_addr[64*RingCount +: 64]),
    .chk_len_o(chk_len[32*RingCount +: 32]), .chk_done_i(chk_done[RingCount]), .chk_ok_i(chk_ok),
    .sa_valid_i(ev_valid), .sa_type_i(ev_type), .sa_index_i(ev_index), .sa_spi_i(ev_spi), .sa_arg_i(ev_arg),
    .error_new_i(error_new), .error_cause_i(error_cause),
    .wr_valid_o(ew_valid), .wr_ready_i(ew_ready), .wr_addr_o(ew_addr), .wr_data_o(ew_data), .wr_strb_o(ew_strb),
    .wr_done_i(one_done && one_done_tag[4]), .wr_done_err_i(wr_done_err), .written_o(irq_event)
  );
  // Completions go first: they are what the host waits for.
  assign one_valid = cw_valid || ew_valid;
  assign one_addr  = cw_valid ? cw_addr : ew_addr;
  assign one_data  = cw_valid ? cw_data : ew_data;
  assign one_strb  = cw_valid ? 64'hffffffff_ffffffff : ew_strb;
  assign one_tag   = cw_valid ? {1'b0, cw_queue} : 5'b10000;
  assign cw_ready  = one_ready;
  assign ew_ready  = one_ready && !cw_valid;
  assign irq_completion = one_done && !one_done_tag[4] && !wr_done_err;

  // ----------------------------------------------------------------------------------------------- errors
  logic [24:0] watch_q;  // cycles without a record ending while there is one
  always_ff @(posedge clk) begin
    if (!path_rst_n || !ro_valid || ro_ready) watch_q <= '0;
    else if (!watch_q[24]) watch_q <= watch_q + 25'd1;
  end
  always_comb begin
    error_set = '0;
    error_set[card_pkg::ErrorCauseRingReadLsb]     = rd_valid[0] && rd_err;
    error_set[card_pkg::ErrorCausePacketReadLsb]   = rd_valid[1] && rd_err;
    error_set[card_pkg::ErrorCausePacketWriteLsb]  = pkt_done && wr_done_err;
    error_set[card_pkg::ErrorCauseRingWriteLsb]    = one_done && wr_done_err;
    error_set[card_pkg::ErrorCauseRingConfigLsb]   = q_bad_config != '0 || ev_bad_config;
    error_set[card_pkg::ErrorCauseBadDoorbellLsb]  = q_bad_doorbell != '0 || ev_bad_doorbell;
    error_set[card_pkg::ErrorCauseEventLostLsb]    = ev_lost;
    error_set[card_pkg::ErrorCauseWatchdogLsb]     = watch_q[24] || mismatch;
    error_set[card_pkg::ErrorCauseAxilUnmappedLsb] = unmapped;
  end
  assign bus_error      = wr_err || ((rd_valid != '0) && rd_err);
  assign bus_error_addr = wr_err ? wr_err_addr : rd_addr;

  // ------------------------------------------------------------------------------------------------- idle
  // card_idle: nothing moves but the clock, and nothing will before the next register access. Pulses between blocks
  // and the warm-up of the IV generator are covered by a wait.
  logic       card_idle, resting;
  logic [5:0] rest_q;
  assign path_idle = fetch_idle && check_idle && dispatch_idle && result_idle && cpl_idle && rd_idle && wr_idle &&
                     !lane_busy && !soft_reset_busy;
  assign resting   = path_idle && event_idle && !sa_busy && chk_req == '0 && !reg_wr && !seed_valid;
  always_ff @(posedge clk) begin
    if (!rst_n || !resting) rest_q <= '0;
    else if (!rest_q[5]) rest_q <= rest_q + 6'd1;
  end
  assign card_idle = resting && rest_q[5];

  logic unused;
  assign unused = ^{m_axi_gmem_rlast, m_axi_gmem_rid, m_axi_gmem_bid, m_axi_gmem_rresp[0], m_axi_gmem_bresp[0],
                    out_last, record_level, card_idle, rd_last};
endmodule
