// The card without its packaging: lanes, SA database, registers, events. AXI masters are vectors, lane 0 lowest;
// esp_card and its kin give them the names that a kernel's ports have.
module card_core #(
  parameter int Lanes = 1,
  parameter int JumboSlots = 64,      // a lane
  parameter int SmallSlots = 192,
  parameter int SaEntries = 4096,     // a power of two, up to 65,536
  parameter int RingCount = 4,        // queues, a multiple of Lanes, up to card_pkg::MaxQueues
  parameter int ReplayWindow = 1024,  // largest window
  parameter int ClockHz = 300000000,
  parameter int BuildId = 0,          // first 32 bits of the source revision
  parameter int AllowTestMode = 1,    // CONTROL.TEST_MODE may be set
  parameter int WatchdogLog2 = 23,    // see slot_watch
  parameter int KeyCarry = 0          // see tdes_pipe
) (
  input  logic                 ap_clk,
  input  logic                 ap_rst_n,
  input  logic                 s_axi_control_awvalid,
  output logic                 s_axi_control_awready,
  input  logic [15:0]          s_axi_control_awaddr,
  input  logic                 s_axi_control_wvalid,
  output logic                 s_axi_control_wready,
  input  logic [31:0]          s_axi_control_wdata,
  input  logic [3:0]           s_axi_control_wstrb,
  output logic                 s_axi_control_bvalid,
  input  logic                 s_axi_control_bready,
  output logic [1:0]           s_axi_control_bresp,
  input  logic                 s_axi_control_arvalid,
  output logic                 s_axi_control_arready,
  input  logic [15:0]          s_axi_control_araddr,
  output logic                 s_axi_control_rvalid,
  input  logic                 s_axi_control_rready,
  output logic [31:0]          s_axi_control_rdata,
  output logic [1:0]           s_axi_control_rresp,
  output logic [Lanes-1:0]     m_axi_awvalid_o,
  input  logic [Lanes-1:0]     m_axi_awready_i,
  output logic [64*Lanes-1:0]  m_axi_awaddr_o,
  output logic [8*Lanes-1:0]   m_axi_awlen_o,
  output logic [Lanes-1:0]     m_axi_wvalid_o,
  input  logic [Lanes-1:0]     m_axi_wready_i,
  output logic [512*Lanes-1:0] m_axi_wdata_o,
  output logic [64*Lanes-1:0]  m_axi_wstrb_o,
  output logic [Lanes-1:0]     m_axi_wlast_o,
  input  logic [Lanes-1:0]     m_axi_bvalid_i,
  output logic [Lanes-1:0]     m_axi_bready_o,
  input  logic [2*Lanes-1:0]   m_axi_bresp_i,
  output logic [Lanes-1:0]     m_axi_arvalid_o,
  input  logic [Lanes-1:0]     m_axi_arready_i,
  output logic [64*Lanes-1:0]  m_axi_araddr_o,
  output logic [8*Lanes-1:0]   m_axi_arlen_o,
  input  logic [Lanes-1:0]     m_axi_rvalid_i,
  output logic [Lanes-1:0]     m_axi_rready_o,
  input  logic [512*Lanes-1:0] m_axi_rdata_i,
  input  logic [2*Lanes-1:0]   m_axi_rresp_i,
  input  logic [Lanes-1:0]     m_axi_rlast_i,
  output logic                 interrupt_o
);
  localparam int MaxPacketBytes = slot_pkg::JumboBytes;
  localparam int QueueCount     = RingCount / Lanes;
  initial begin
    if (Lanes < 1 || Lanes > 8) $fatal(1, "card_core: Lanes out of range");
    if (RingCount < Lanes || RingCount > card_pkg::MaxQueues || RingCount % Lanes != 0)
      $fatal(1, "card_core: RingCount must be a multiple of Lanes, up to MaxQueues");
    if (SaEntries < 16 || SaEntries > 65536 || (SaEntries & (SaEntries - 1)) != 0)
      $fatal(1, "card_core: SaEntries must be a power of two, 16 to 65,536");
  end

  logic clk, rst_n;
  assign clk   = ap_clk;
  assign rst_n = ap_rst_n;

  // ------------------------------------------------------------------------------------------- registers
  logic [15:0]        reg_addr;
  logic               reg_wr, unmapped, reg_hit;
  logic [31:0]        reg_wdata, reg_rdata;
  logic               global_hit, sa_hit, event_hit, spare_hit, total_hit;
  logic [31:0]        global_rdata, sa_rdata, event_rdata;
  logic [Lanes-1:0]   lane_hit;
  logic [32*Lanes-1:0] lane_rdata;
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
  assign spare_hit = (reg_addr >= card_pkg::RegSqBaseLo + 16'(64 * RingCount) &&
                      reg_addr < card_pkg::RegSqBaseLo + 16'(64 * card_pkg::MaxQueues) && reg_addr[5:0] <= 6'h24) ||
                     (reg_addr >= card_pkg::RegQPacketsByStatus + 16'(128 * RingCount) &&
                      reg_addr < card_pkg::RegQPacketsByStatus + 16'(4 * card_pkg::RegQPacketsByStatusCount));
  // Card-wide counters are sums over lanes. reg_addr stands still for as long as an access takes.
  logic [Lanes-1:0]    lane_total_hit;
  logic [64*Lanes-1:0] lane_total;
  logic [64*Lanes-1:0] lane_total_q;
  logic [63:0]         total;
  logic [31:0]         queue_rdata;
  logic                total_high;
  assign total_hit  = lane_total_hit[0];
  assign total_high = reg_addr == card_pkg::RegEncapBytesHi || reg_addr == card_pkg::RegDecapBytesHi;
  always_comb begin
    total       = '0;
    queue_rdata = '0;
    for (int l = 0; l < Lanes; l++) begin
      total       = total + lane_total_q[64*l +: 64];
      queue_rdata = queue_rdata | lane_rdata[32*l +: 32];
    end
  end
  // Two stages, as the lanes have theirs.
  logic        reg_hit_q, hit_q, total_hit_q;
  logic [31:0] reg_rdata_q, global_rdata_q, sa_rdata_q, event_rdata_q;
  always_ff @(posedge clk) begin
    lane_total_q   <= lane_total;
    total_hit_q    <= total_hit;
    global_rdata_q <= global_hit ? global_rdata : 32'd0;
    sa_rdata_q     <= sa_hit ? sa_rdata : 32'd0;
    event_rdata_q  <= event_hit ? event_rdata : 32'd0;
    hit_q          <= global_hit || sa_hit || event_hit || spare_hit || total_hit;
    reg_rdata_q    <= global_rdata_q | sa_rdata_q | event_rdata_q | queue_rdata |
                      (total_hit_q ? (total_high ? total[63:32] : total[31:0]) : 32'd0);
    reg_hit_q      <= hit_q || lane_hit != '0;
  end
  assign reg_rdata = reg_rdata_q;
  assign reg_hit   = reg_hit_q;

  logic         soft_reset, stop, flush, soft_reset_busy, error_new, irq_event;
  logic         enable, test_mode, seed_valid;
  logic [9:0]   error_set, error_cause;
  logic [63:0]  cycles, busy_cycles;
  logic [31:0]  seconds;
  logic [159:0] seed;
  logic [255:0] window_base;
  logic [259:0] window_end;
  logic [3:0]   window_enable;
  logic [Lanes-1:0]    lane_bus_idle, lane_idle, lane_resting, lane_seeded, lane_completed, lane_bus_error;
  logic [10*Lanes-1:0] lane_error;
  logic [64*Lanes-1:0] lane_bus_error_addr;
  logic         path_idle, path_idle_q;
  logic [Lanes-1:0] lane_bus_idle_q;
  assign path_idle = &lane_idle && !soft_reset_busy;
  always_ff @(posedge clk) path_idle_q <= path_idle;
  always_ff @(posedge clk) lane_bus_idle_q <= lane_bus_idle;
  card_time #(.ClockHz(ClockHz)) u_time (
    .clk_i(clk), .rst_ni(rst_n), .busy_i(!path_idle_q),
    .cycles_o(cycles), .busy_cycles_o(busy_cycles), .seconds_o(seconds)
  );

  // Errors of all lanes, registered: they are far apart.
  logic        sad_poison, ev_bad_doorbell, ev_bad_config, ev_lost;
  logic        bus_error_q;
  logic [63:0] bus_error_addr_q, bus_error_addr;
  logic [9:0]  error_set_d;
  always_comb begin
    error_set_d    = '0;
    bus_error_addr = '0;
    for (int l = 0; l < Lanes; l++) error_set_d = error_set_d | lane_error[10*l +: 10];
    for (int l = Lanes - 1; l >= 0; l--) if (lane_bus_error[l]) bus_error_addr = lane_bus_error_addr[64*l +: 64];
    if (ev_bad_config) error_set_d[card_pkg::ErrorCauseRingConfigLsb] = 1'b1;
    if (ev_bad_doorbell) error_set_d[card_pkg::ErrorCauseBadDoorbellLsb] = 1'b1;
    if (ev_lost) error_set_d[card_pkg::ErrorCauseEventLostLsb] = 1'b1;
    if (sad_poison) error_set_d[card_pkg::ErrorCauseSaParityLsb] = 1'b1;
    if (unmapped) error_set_d[card_pkg::ErrorCauseAxilUnmappedLsb] = 1'b1;
  end
  always_ff @(posedge clk) begin
    if (!rst_n) begin
      error_set   <= '0;
      bus_error_q <= 1'b0;
    end else begin
      error_set   <= error_set_d;
      bus_error_q <= lane_bus_error != '0;
    end
  end
  always_ff @(posedge clk) bus_error_addr_q <= bus_error_addr;

  card_regs #(
    .Lanes(Lanes), .SlotsPerLane(JumboSlots + SmallSlots), .SaEntries(SaEntries), .RingCount(RingCount),
    .ReplayWindow(ReplayWindow), .ClockHz(ClockHz), .MaxPacketBytes(MaxPacketBytes), .BuildId(BuildId),
    .AllowTestMode(AllowTestMode)
  ) u_regs (
    .clk_i(clk), .rst_ni(rst_n),
    .reg_addr_i(reg_addr), .reg_wr_i(reg_wr), .reg_wdata_i(reg_wdata), .reg_rdata_o(global_rdata),
    .reg_hit_o(global_hit),
    .idle_i(path_idle_q), .seeded_i(&lane_seeded), .cycles_i(cycles), .busy_cycles_i(busy_cycles), .seconds_i(seconds),
    .soft_reset_busy_i(soft_reset_busy),
    .error_set_i(error_set), .bus_error_i(bus_error_q), .bus_error_addr_i(bus_error_addr_q),
    .error_new_o(error_new), .error_cause_o(error_cause),
    .irq_completion_i(lane_completed != '0), .irq_event_i(irq_event), .interrupt_o(interrupt_o),
    .enable_o(enable), .test_mode_o(test_mode), .soft_reset_o(soft_reset), .seed_valid_o(seed_valid), .seed_o(seed),
    .window_base_o(window_base), .window_end_o(window_end), .window_enable_o(window_enable)
  );
  card_reset u_reset (
    .clk_i(clk), .rst_ni(rst_n), .request_i(soft_reset), .bus_idle_i(&lane_bus_idle_q),
    .stop_o(stop), .flush_o(flush), .busy_o(soft_reset_busy)
  );

  // ------------------------------------------------------------------------------------------------ lanes
  logic [Lanes-1:0]     lk_valid, lk_ready, lk_encap, lk_ah, lk_udp, lk_v6, lk_fragment;
  logic [32*Lanes-1:0]  lk_index, lk_spi, lk_seq;
  logic [128*Lanes-1:0] lk_src, lk_dst;
  logic [16*Lanes-1:0]  lk_len, lk_dst_size;
  logic [8*Lanes-1:0]   lk_hdr_len;
  logic [Lanes-1:0]     lr_valid;
  logic [7:0]           lr_status, lr_ttl;
  logic                 lr_found, lr_epoch, lr_transport, lr_ah, lr_outer_v6, lr_natt, lr_esn, lr_inner_v4, lr_inner_v6;
  logic                 lr_dscp_set, lr_ecn_clear;
  logic [31:0]          lr_index, lr_spi;
  logic [63:0]          lr_seq;
  logic [15:0]          lr_ip_id, lr_out_len, lr_udp_src, lr_udp_dst;
  logic [1:0]           lr_cipher, lr_auth, lr_df_policy;
  logic [5:0]           lr_dscp;
  logic [127:0]         lr_src, lr_dst;
  logic [191:0]         lr_enc_key;
  logic [159:0]         lr_istate, lr_ostate;
  logic [Lanes-1:0]     up_valid, up_ready, up_epoch, up_auth, up_ok, ur_valid;
  logic [32*Lanes-1:0]  up_index;
  logic [8*Lanes-1:0]   up_status;
  logic [64*Lanes-1:0]  up_seq;
  logic [16*Lanes-1:0]  up_bytes;
  logic [7:0]           ur_status;
  logic                 ew_valid, ew_done, ew_done_err;
  logic [63:0]          ew_addr, ew_strb;
  logic [511:0]         ew_data;
  logic [Lanes-1:0]     lane_ew_ready, lane_ew_done, lane_ew_done_err;
  genvar n;
  for (n = 0; n < Lanes; n = n + 1) begin : gen_lane
    card_lane #(
      .Lane(n), .Lanes(Lanes), .QueueCount(QueueCount), .JumboSlots(JumboSlots), .SmallSlots(SmallSlots),
      .MaxPacketBytes(MaxPacketBytes), .WatchdogLog2(WatchdogLog2), .KeyCarry(KeyCarry)
    ) u_lane (
      .clk_i(clk), .rst_ni(rst_n), .stop_i(stop), .flush_i(flush), .bus_idle_o(lane_bus_idle[n]),
      .idle_o(lane_idle[n]), .resting_o(lane_resting[n]), .cycle_i(cycles[31:0]), .enable_i(enable),
      .test_mode_i(test_mode), .seed_valid_i(seed_valid), .seed_i(seed), .seeded_o(lane_seeded[n]),
      .window_base_i(window_base), .window_end_i(window_end), .window_enable_i(window_enable),
      .reg_addr_i(reg_addr), .reg_wr_i(reg_wr), .reg_wdata_i(reg_wdata), .reg_rdata_o(lane_rdata[32*n +: 32]),
      .reg_hit_o(lane_hit[n]), .total_o(lane_total[64*n +: 64]), .total_hit_o(lane_total_hit[n]),
      .error_o(lane_error[10*n +: 10]), .bus_error_o(lane_bus_error[n]),
      .bus_error_addr_o(lane_bus_error_addr[64*n +: 64]), .completed_o(lane_completed[n]),
      .lk_valid_o(lk_valid[n]), .lk_ready_i(lk_ready[n]), .lk_encap_o(lk_encap[n]), .lk_index_o(lk_index[32*n +: 32]),
      .lk_spi_o(lk_spi[32*n +: 32]), .lk_seq_o(lk_seq[32*n +: 32]), .lk_ah_o(lk_ah[n]), .lk_udp_o(lk_udp[n]),
      .lk_v6_o(lk_v6[n]), .lk_src_o(lk_src[128*n +: 128]), .lk_dst_o(lk_dst[128*n +: 128]),
      .lk_len_o(lk_len[16*n +: 16]), .lk_hdr_len_o(lk_hdr_len[8*n +: 8]), .lk_dst_size_o(lk_dst_size[16*n +: 16]),
      .lk_fragment_o(lk_fragment[n]),
      .lr_valid_i(lr_valid[n]), .lr_status_i(lr_status), .lr_found_i(lr_found), .lr_epoch_i(lr_epoch),
      .lr_index_i(lr_index), .lr_spi_i(lr_spi), .lr_seq_i(lr_seq), .lr_ip_id_i(lr_ip_id), .lr_out_len_i(lr_out_len),
      .lr_transport_i(lr_transport), .lr_ah_i(lr_ah), .lr_outer_v6_i(lr_outer_v6), .lr_natt_i(lr_natt),
      .lr_esn_i(lr_esn), .lr_inner_v4_i(lr_inner_v4), .lr_inner_v6_i(lr_inner_v6), .lr_cipher_i(lr_cipher),
      .lr_auth_i(lr_auth), .lr_df_policy_i(lr_df_policy), .lr_dscp_set_i(lr_dscp_set), .lr_dscp_i(lr_dscp),
      .lr_ecn_clear_i(lr_ecn_clear), .lr_ttl_i(lr_ttl), .lr_udp_src_i(lr_udp_src), .lr_udp_dst_i(lr_udp_dst),
      .lr_src_i(lr_src), .lr_dst_i(lr_dst), .lr_enc_key_i(lr_enc_key), .lr_istate_i(lr_istate),
      .lr_ostate_i(lr_ostate),
      .up_valid_o(up_valid[n]), .up_ready_i(up_ready[n]), .up_index_o(up_index[32*n +: 32]), .up_epoch_o(up_epoch[n]),
      .up_auth_o(up_auth[n]), .up_ok_o(up_ok[n]), .up_status_o(up_status[8*n +: 8]), .up_seq_o(up_seq[64*n +: 64]),
      .up_bytes_o(up_bytes[16*n +: 16]), .ur_valid_i(ur_valid[n]), .ur_status_i(ur_status),
      .ew_valid_i(ew_valid && n == 0), .ew_ready_o(lane_ew_ready[n]), .ew_addr_i(ew_addr), .ew_data_i(ew_data),
      .ew_strb_i(ew_strb), .ew_done_o(lane_ew_done[n]), .ew_done_err_o(lane_ew_done_err[n]),
      .awvalid_o(m_axi_awvalid_o[n]), .awready_i(m_axi_awready_i[n]), .awaddr_o(m_axi_awaddr_o[64*n +: 64]),
      .awlen_o(m_axi_awlen_o[8*n +: 8]), .wvalid_o(m_axi_wvalid_o[n]), .wready_i(m_axi_wready_i[n]),
      .wdata_o(m_axi_wdata_o[512*n +: 512]), .wstrb_o(m_axi_wstrb_o[64*n +: 64]), .wlast_o(m_axi_wlast_o[n]),
      .bvalid_i(m_axi_bvalid_i[n]), .bready_o(m_axi_bready_o[n]), .bresp_i(m_axi_bresp_i[2*n +: 2]),
      .arvalid_o(m_axi_arvalid_o[n]), .arready_i(m_axi_arready_i[n]), .araddr_o(m_axi_araddr_o[64*n +: 64]),
      .arlen_o(m_axi_arlen_o[8*n +: 8]), .rvalid_i(m_axi_rvalid_i[n]), .rready_o(m_axi_rready_o[n]),
      .rdata_i(m_axi_rdata_i[512*n +: 512]), .rresp_i(m_axi_rresp_i[2*n +: 2])
    );
  end

  // ---------------------------------------------------------------------------------------- SA database, events
  logic        sad_idle, sa_busy, ev_valid, ev_ready, event_idle, chk_req, chk_done, chk_ok;
  logic [7:0]  ev_type;
  logic [31:0] ev_index, ev_spi, ev_arg, chk_len;
  logic [63:0] chk_addr;
  event_ring u_events (
    .clk_i(clk), .rst_ni(rst_n), .idle_o(event_idle), .cycles_i(cycles),
    .reg_addr_i(reg_addr), .reg_wr_i(reg_wr), .reg_wdata_i(reg_wdata), .reg_rdata_o(event_rdata),
    .reg_hit_o(event_hit),
    .bad_doorbell_o(ev_bad_doorbell), .bad_config_o(ev_bad_config), .lost_o(ev_lost),
    .chk_req_o(chk_req), .chk_addr_o(chk_addr), .chk_len_o(chk_len), .chk_done_i(chk_done), .chk_ok_i(chk_ok),
    .sa_valid_i(ev_valid), .sa_ready_o(ev_ready), .sa_type_i(ev_type), .sa_index_i(ev_index), .sa_spi_i(ev_spi),
    .sa_arg_i(ev_arg), .error_new_i(error_new), .error_cause_i(error_cause),
    .wr_valid_o(ew_valid), .wr_ready_i(lane_ew_ready[0]), .wr_addr_o(ew_addr), .wr_data_o(ew_data),
    .wr_strb_o(ew_strb), .wr_done_i(ew_done), .wr_done_err_i(ew_done_err), .written_o(irq_event)
  );
  assign ew_done     = lane_ew_done[0];
  assign ew_done_err = lane_ew_done_err[0];
  ring_range #(.N(1)) u_event_check (
    .clk_i(clk), .rst_ni(rst_n), .window_base_i(window_base), .window_end_i(window_end),
    .window_enable_i(window_enable), .req_i(chk_req), .addr_i(chk_addr), .len_i(chk_len), .done_o(chk_done),
    .ok_o(chk_ok)
  );

  localparam int Index = $clog2(SaEntries);
  logic             cmd_valid, cmd_done, cmd_was_valid, cmd_match, drained;
  logic [2:0]       cmd_op;
  logic [Index-1:0] cmd_index;
  logic [2047:0]    cmd_entry;
  logic [159:0]     cmd_istate, cmd_ostate;
  logic [639:0]     cmd_view;
  sad #(
    .Lanes(Lanes), .SaEntries(SaEntries), .ReplayWindow(ReplayWindow), .MaxPacketBytes(MaxPacketBytes)
  ) u_sad (
    .clk_i(clk), .rst_ni(rst_n), .flush_i(flush), .seconds_i(seconds), .idle_o(sad_idle),
    .lk_valid_i(lk_valid), .lk_ready_o(lk_ready), .lk_encap_i(lk_encap), .lk_index_i(lk_index), .lk_spi_i(lk_spi),
    .lk_seq_i(lk_seq), .lk_ah_i(lk_ah), .lk_udp_i(lk_udp), .lk_v6_i(lk_v6), .lk_src_i(lk_src), .lk_dst_i(lk_dst),
    .lk_len_i(lk_len), .lk_hdr_len_i(lk_hdr_len), .lk_dst_size_i(lk_dst_size), .lk_fragment_i(lk_fragment),
    .lr_valid_o(lr_valid), .lr_status_o(lr_status), .lr_found_o(lr_found), .lr_epoch_o(lr_epoch),
    .lr_index_o(lr_index), .lr_spi_o(lr_spi), .lr_seq_o(lr_seq), .lr_ip_id_o(lr_ip_id), .lr_out_len_o(lr_out_len),
    .lr_transport_o(lr_transport), .lr_ah_o(lr_ah), .lr_outer_v6_o(lr_outer_v6), .lr_natt_o(lr_natt),
    .lr_esn_o(lr_esn), .lr_inner_v4_o(lr_inner_v4), .lr_inner_v6_o(lr_inner_v6), .lr_cipher_o(lr_cipher),
    .lr_auth_o(lr_auth), .lr_df_policy_o(lr_df_policy), .lr_dscp_set_o(lr_dscp_set), .lr_dscp_o(lr_dscp),
    .lr_ecn_clear_o(lr_ecn_clear), .lr_ttl_o(lr_ttl), .lr_udp_src_o(lr_udp_src), .lr_udp_dst_o(lr_udp_dst),
    .lr_src_o(lr_src), .lr_dst_o(lr_dst), .lr_enc_key_o(lr_enc_key), .lr_istate_o(lr_istate), .lr_ostate_o(lr_ostate),
    .up_valid_i(up_valid), .up_ready_o(up_ready), .up_index_i(up_index), .up_epoch_i(up_epoch), .up_auth_i(up_auth),
    .up_ok_i(up_ok), .up_status_i(up_status), .up_seq_i(up_seq), .up_bytes_i(up_bytes), .ur_valid_o(ur_valid),
    .ur_status_o(ur_status),
    .ev_valid_o(ev_valid), .ev_ready_i(ev_ready), .ev_type_o(ev_type), .ev_index_o(ev_index), .ev_spi_o(ev_spi),
    .ev_arg_o(ev_arg), .poison_o(sad_poison),
    .cmd_valid_i(cmd_valid), .cmd_op_i(cmd_op), .cmd_index_i(cmd_index), .cmd_entry_i(cmd_entry),
    .cmd_istate_i(cmd_istate), .cmd_ostate_i(cmd_ostate), .cmd_done_o(cmd_done), .cmd_was_valid_o(cmd_was_valid),
    .cmd_match_o(cmd_match), .cmd_view_o(cmd_view), .drained_o(drained)
  );
  sad_command #(.SaEntries(SaEntries), .ReplayWindow(ReplayWindow)) u_sad_command (
    .clk_i(clk), .rst_ni(rst_n), .busy_o(sa_busy),
    .reg_addr_i(reg_addr), .reg_wr_i(reg_wr), .reg_wdata_i(reg_wdata), .reg_rdata_o(sa_rdata), .reg_hit_o(sa_hit),
    .cmd_valid_o(cmd_valid), .cmd_op_o(cmd_op), .cmd_index_o(cmd_index), .cmd_entry_o(cmd_entry),
    .cmd_istate_o(cmd_istate), .cmd_ostate_o(cmd_ostate), .cmd_done_i(cmd_done), .cmd_was_valid_i(cmd_was_valid),
    .cmd_match_i(cmd_match), .cmd_view_i(cmd_view), .drained_i(drained)
  );

  // ------------------------------------------------------------------------------------------------- idle
  // card_idle: nothing moves but the clock, and nothing will before the next register access. Pulses between blocks
  // and the warm-up of the IV generators are covered by a wait.
  logic       card_idle, resting;
  logic [5:0] rest_q;
  assign resting = path_idle && &lane_resting && sad_idle && event_idle && !sa_busy && !chk_req && !reg_wr && !seed_valid;
  always_ff @(posedge clk) begin
    if (!rst_n || !resting) rest_q <= '0;
    else if (!rest_q[5]) rest_q <= rest_q + 6'd1;
  end
  assign card_idle = resting && rest_q[5];

  logic unused;
  assign unused = ^{m_axi_rlast_i, card_idle, lane_total_hit, lane_ew_ready, lane_ew_done, lane_ew_done_err};
endmodule
