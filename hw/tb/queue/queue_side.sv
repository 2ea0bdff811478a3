// The queue side of a lane as it stands in the card, for its bench: queues, fetch, checks, bus master, counters.
module queue_side #(
  parameter int QueueCount = 3
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,
  input  logic                     flush_i,
  input  logic                     stop_i,
  input  logic                     enable_i,
  input  logic                     test_mode_i,
  input  logic [255:0]             window_base_i,
  input  logic [259:0]             window_end_i,
  input  logic [3:0]               window_enable_i,
  output logic                     fetch_idle_o,
  output logic                     read_idle_o,
  output logic                     bus_idle_o,
  output logic [31:0]              cycle_o,
  input  logic [15:0]              reg_addr_i,
  input  logic                     reg_wr_i,
  input  logic [31:0]              reg_wdata_i,
  output logic [31:0]              reg_rdata_o,
  output logic [QueueCount-1:0]    bad_doorbell_o,
  output logic [QueueCount-1:0]    bad_config_o,
  output logic [QueueCount-1:0]    cpl_live_o,
  output logic [QueueCount-1:0]    cpl_phase_o,
  output logic [64*QueueCount-1:0] cpl_addr_o,
  input  logic [QueueCount-1:0]    cpl_issue_i,
  input  logic [QueueCount-1:0]    cpl_done_i,
  input  logic [QueueCount-1:0]    cpl_error_i,
  output logic                     arvalid_o,
  input  logic                     arready_i,
  output logic [63:0]              araddr_o,
  output logic [7:0]               arlen_o,
  input  logic                     rvalid_i,
  output logic                     rready_o,
  input  logic [511:0]             rdata_i,
  input  logic [1:0]               rresp_i,
  output logic                     pd_valid_o,
  input  logic                     pd_ready_i,
  output logic [7:0]               pd_status_o,
  output logic [3:0]               pd_queue_o,
  output logic                     pd_in_order_o,
  output logic [31:0]              pd_cycle_o,
  output logic [7:0]               pd_op_o,
  output logic                     pd_host_iv_o,
  output logic [31:0]              pd_sa_index_o,
  output logic [63:0]              pd_cookie_o,
  output logic [63:0]              pd_dst_addr_o,
  output logic [31:0]              pd_dst_size_o,
  output logic [7:0]               pd_dst_segments_o,
  output logic [15:0]              pd_src_len_o,
  output logic [63:0]              pd_iv_o,
  output logic                     hb_valid_o,
  input  logic                     hb_ready_i,
  output logic [511:0]             hb_data_o,
  output logic                     hb_last_o,
  output logic                     hb_err_o,
  output logic                     db_valid_o,
  input  logic                     db_ready_i,
  output logic [511:0]             db_data_o,
  output logic                     db_err_o,
  output logic                     seg_valid_o,
  input  logic                     seg_ready_i,
  output logic [63:0]              seg_addr_o,
  output logic [15:0]              seg_len_o
);
  logic path_rst_n;
  assign path_rst_n = rst_ni && !flush_i;
  always_ff @(posedge clk_i) if (!rst_ni) cycle_o <= '0; else cycle_o <= cycle_o + 32'd1;

  logic [2:0]   req_valid, req_ready, rsp_valid;
  logic [191:0] req_addr;
  logic [23:0]  req_beats;
  logic [511:0] rsp_data;
  logic         rsp_last, rsp_err;
  logic [63:0]  rsp_addr;
  axi_read u_axi_read (
    .clk_i(clk_i), .rst_ni(rst_ni), .stop_i(stop_i), .idle_o(bus_idle_o),
    .req_valid_i(req_valid), .req_ready_o(req_ready), .req_addr_i(req_addr), .req_beats_i(req_beats),
    .rsp_valid_o(rsp_valid), .rsp_data_o(rsp_data), .rsp_last_o(rsp_last), .rsp_err_o(rsp_err), .rsp_addr_o(rsp_addr),
    .arvalid_o(arvalid_o), .arready_i(arready_i), .araddr_o(araddr_o), .arlen_o(arlen_o),
    .rvalid_i(rvalid_i), .rready_o(rready_o), .rdata_i(rdata_i), .rresp_i(rresp_i)
  );

  logic [QueueCount-1:0]    chk_req, chk_done, run, in_order, fetch, fetched, dropped, fetch_error, hit;
  logic [64*QueueCount-1:0] chk_addr, base;
  logic [32*QueueCount-1:0] chk_len, rdata;
  logic                     chk_ok;
  logic [5*QueueCount-1:0]  available, to_wrap;
  logic [15*QueueCount-1:0] index;
  logic [4:0]               fetch_count;
  for (genvar q = 0; q < QueueCount; q++) begin : gen_queue
    queue_regs #(.Queue(q)) u_queue (
      .clk_i(clk_i), .rst_ni(rst_ni), .flush_i(flush_i),
      .reg_addr_i(reg_addr_i), .reg_wr_i(reg_wr_i), .reg_wdata_i(reg_wdata_i), .reg_rdata_o(rdata[32*q +: 32]),
      .reg_hit_o(hit[q]), .bad_doorbell_o(bad_doorbell_o[q]), .bad_config_o(bad_config_o[q]),
      .chk_req_o(chk_req[q]), .chk_addr_o(chk_addr[64*q +: 64]), .chk_len_o(chk_len[32*q +: 32]),
      .chk_done_i(chk_done[q]), .chk_ok_i(chk_ok),
      .run_o(run[q]), .in_order_o(in_order[q]), .available_o(available[5*q +: 5]), .fetch_base_o(base[64*q +: 64]),
      .fetch_index_o(index[15*q +: 15]), .to_wrap_o(to_wrap[5*q +: 5]),
      .fetch_i(fetch[q]), .fetch_count_i(fetch_count), .fetched_i(fetched[q]), .dropped_i(dropped[q]),
      .fetch_error_i(fetch_error[q]),
      .cpl_live_o(cpl_live_o[q]), .cpl_addr_o(cpl_addr_o[64*q +: 64]), .cpl_phase_o(cpl_phase_o[q]),
      .cpl_issue_i(cpl_issue_i[q]), .cpl_done_i(cpl_done_i[q]), .cpl_error_i(cpl_error_i[q])
    );
  end
  always_comb begin
    reg_rdata_o = '0;
    for (int q = 0; q < QueueCount; q++) reg_rdata_o = reg_rdata_o | rdata[32*q +: 32];
  end
  ring_range #(.N(QueueCount)) u_range (
    .clk_i(clk_i), .rst_ni(rst_ni), .window_base_i(window_base_i), .window_end_i(window_end_i),
    .window_enable_i(window_enable_i), .req_i(chk_req), .addr_i(chk_addr), .len_i(chk_len), .done_o(chk_done),
    .ok_o(chk_ok)
  );

  logic         desc_valid, desc_ready, desc_reserved, desc_in_order;
  logic [383:0] desc_data;
  logic [3:0]   desc_queue;
  logic [31:0]  desc_cycle;
  desc_fetch #(.QueueCount(QueueCount)) u_fetch (
    .clk_i(clk_i), .rst_ni(path_rst_n), .enable_i(enable_i && !stop_i), .cycle_i(cycle_o), .idle_o(fetch_idle_o),
    .run_i(run), .in_order_i(in_order), .available_i(available), .base_i(base), .index_i(index), .to_wrap_i(to_wrap),
    .fetch_o(fetch), .fetch_count_o(fetch_count), .fetched_o(fetched), .dropped_o(dropped), .error_o(fetch_error),
    .req_valid_o(req_valid[0]), .req_ready_i(req_ready[0]), .req_addr_o(req_addr[63:0]), .req_beats_o(req_beats[7:0]),
    .rsp_valid_i(rsp_valid[0]), .rsp_data_i(rsp_data), .rsp_last_i(rsp_last), .rsp_err_i(rsp_err),
    .out_valid_o(desc_valid), .out_ready_i(desc_ready), .out_data_o(desc_data), .out_reserved_o(desc_reserved),
    .out_queue_o(desc_queue), .out_in_order_o(desc_in_order), .out_cycle_o(desc_cycle)
  );
  desc_read u_read (
    .clk_i(clk_i), .rst_ni(path_rst_n), .idle_o(read_idle_o), .test_mode_i(test_mode_i),
    .window_base_i(window_base_i), .window_end_i(window_end_i), .window_enable_i(window_enable_i),
    .in_valid_i(desc_valid), .in_ready_o(desc_ready), .in_data_i(desc_data), .in_reserved_i(desc_reserved),
    .in_queue_i(desc_queue), .in_order_i(desc_in_order), .in_cycle_i(desc_cycle),
    .list_valid_o(req_valid[1]), .list_ready_i(req_ready[1]), .list_addr_o(req_addr[127:64]),
    .list_beats_o(req_beats[15:8]), .list_rsp_valid_i(rsp_valid[1]), .list_rsp_err_i(rsp_err),
    .req_valid_o(req_valid[2]), .req_ready_i(req_ready[2]), .req_addr_o(req_addr[191:128]),
    .req_beats_o(req_beats[23:16]), .rsp_valid_i(rsp_valid[2]), .rsp_err_i(rsp_err), .rsp_data_i(rsp_data),
    .pd_valid_o(pd_valid_o), .pd_ready_i(pd_ready_i), .pd_status_o(pd_status_o), .pd_queue_o(pd_queue_o),
    .pd_in_order_o(pd_in_order_o), .pd_cycle_o(pd_cycle_o), .pd_op_o(pd_op_o), .pd_host_iv_o(pd_host_iv_o),
    .pd_sa_index_o(pd_sa_index_o), .pd_cookie_o(pd_cookie_o), .pd_dst_addr_o(pd_dst_addr_o),
    .pd_dst_size_o(pd_dst_size_o), .pd_dst_segments_o(pd_dst_segments_o), .pd_src_len_o(pd_src_len_o),
    .pd_iv_o(pd_iv_o),
    .hb_valid_o(hb_valid_o), .hb_ready_i(hb_ready_i), .hb_data_o(hb_data_o), .hb_last_o(hb_last_o), .hb_err_o(hb_err_o),
    .db_valid_o(db_valid_o), .db_ready_i(db_ready_i), .db_data_o(db_data_o), .db_err_o(db_err_o),
    .seg_valid_o(seg_valid_o), .seg_ready_i(seg_ready_i), .seg_addr_o(seg_addr_o), .seg_len_o(seg_len_o)
  );
  logic unused;
  assign unused = ^{rsp_addr, hit};
endmodule
