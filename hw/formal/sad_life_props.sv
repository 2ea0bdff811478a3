// Life cycle of an entry of sad, one lane, two entries, commands in the order in which sad_command gives them: no lookup
// finds an entry that is not installed, and nothing is wiped while somebody holds it.
module sad_life_props (
  input logic         clk_i,
  input logic         lk_valid_i,
  input logic         lk_encap_i,
  input logic [31:0]  lk_index_i,
  input logic         up_valid_i,
  input logic         up_epoch_i,
  input logic         up_auth_i,
  input logic         cmd_valid_i,
  input logic [2:0]   cmd_op_i,
  input logic         cmd_index_i,
  input logic [31:0]  spi_i
);
  localparam logic [2:0] OpInstall = 3'd0, OpClose = 3'd1, OpWipe = 3'd2, OpCloseAll = 3'd5, OpWipeAll = 3'd6;
  logic rst_ni = 1'b0;
  logic lk_ready, lr_valid, found, epoch, up_ready, ur_valid, cmd_done, was_valid, drained;
  logic [31:0]   index;
  logic [2047:0] entry;
  assign entry = 2048'({spi_i, 32'd1}) | (2048'd1 << 256);
  sad #(.Lanes(1), .SaEntries(2), .ReplayWindow(32), .MaxPacketBytes(9216), .ScanCycles(64)) dut (
    .clk_i(clk_i), .rst_ni(rst_ni), .flush_i(1'b0), .seconds_i(32'd0), .idle_o(),
    .lk_valid_i(lk_valid_i), .lk_ready_o(lk_ready), .lk_encap_i(lk_encap_i), .lk_index_i(lk_index_i), .lk_spi_i(lk_index_i),
    .lk_seq_i(32'd1), .lk_ah_i(1'b0), .lk_udp_i(1'b0), .lk_v6_i(1'b0), .lk_src_i(128'd0), .lk_dst_i(128'd0),
    .lk_len_i(16'd64), .lk_hdr_len_i(8'd20), .lk_dst_size_i(16'hffff), .lk_fragment_i(1'b0),
    .lr_valid_o(lr_valid), .lr_status_o(), .lr_found_o(found), .lr_epoch_o(epoch), .lr_index_o(index), .lr_spi_o(), .lr_seq_o(),
    .lr_ip_id_o(), .lr_out_len_o(), .lr_transport_o(), .lr_ah_o(), .lr_outer_v6_o(), .lr_natt_o(), .lr_esn_o(),
    .lr_inner_v4_o(), .lr_inner_v6_o(), .lr_cipher_o(), .lr_auth_o(), .lr_df_policy_o(), .lr_dscp_set_o(), .lr_dscp_o(),
    .lr_ecn_clear_o(), .lr_ttl_o(), .lr_udp_src_o(), .lr_udp_dst_o(), .lr_src_o(), .lr_dst_o(), .lr_enc_key_o(),
    .lr_istate_o(), .lr_ostate_o(),
    .up_valid_i(up_valid_i), .up_ready_o(up_ready), .up_index_i(32'd0), .up_epoch_i(up_epoch_i), .up_auth_i(up_auth_i),
    .up_ok_i(1'b0), .up_status_i(8'd0), .up_seq_i(64'd0), .up_bytes_i(16'd0), .ur_valid_o(ur_valid), .ur_status_o(),
    .ev_valid_o(), .ev_ready_i(1'b1), .ev_type_o(), .ev_index_o(), .ev_spi_o(), .ev_arg_o(), .poison_o(),
    .cmd_valid_i(cmd_valid_i), .cmd_op_i(cmd_op_i), .cmd_index_i(cmd_index_i), .cmd_entry_i(entry), .cmd_istate_i(160'd0),
    .cmd_ostate_i(160'd0), .cmd_done_o(cmd_done), .cmd_was_valid_o(was_valid), .cmd_match_o(), .cmd_view_o(),
    .drained_o(drained)
  );

  // The environment
  logic        past_q = 1'b0, cleared_q = 1'b0, closing_q = 1'b0, clearing_q = 1'b0;
  logic        lk_wait_q = 1'b0, up_wait_q = 1'b0, cmd_wait_q = 1'b0, encap_q, up_epoch_q, up_auth_q, cmd_index_q, close_index_q;
  logic [31:0] lk_index_q;
  logic [2:0]  cmd_op_q;
  logic [1:0]  valid_q = 2'b00;
  logic [7:0]  held0_q = 8'd0, held1_q = 8'd0;  // found and not given back, by epoch bit
  logic        epoch_now_q = 1'b0;
  always @(posedge clk_i) begin
    rst_ni       <= 1'b1;
    past_q       <= rst_ni;
    lk_wait_q    <= lk_valid_i && !lk_ready;
    up_wait_q    <= up_valid_i && !up_ready;
    cmd_wait_q   <= cmd_valid_i && !cmd_done;
    encap_q      <= lk_encap_i;
    lk_index_q   <= lk_index_i;
    up_epoch_q   <= up_epoch_i;
    up_auth_q    <= up_auth_i;
    cmd_op_q     <= cmd_op_i;
    cmd_index_q  <= cmd_index_i;
    if (rst_ni) held0_q <= held0_q + 8'(lr_valid && found && !epoch) - 8'(up_valid_i && up_ready && !up_epoch_i);
    if (rst_ni) held1_q <= held1_q + 8'(lr_valid && found && epoch) - 8'(up_valid_i && up_ready && up_epoch_i);
    if (rst_ni && cmd_done) begin
      if (cmd_op_i == OpInstall) valid_q[cmd_index_i] <= 1'b1;
      if (cmd_op_i == OpClose && was_valid) begin
        valid_q[cmd_index_i] <= 1'b0;
        closing_q            <= 1'b1;
        close_index_q        <= cmd_index_i;
      end
      if (cmd_op_i == OpClose || cmd_op_i == OpCloseAll) epoch_now_q <= !epoch_now_q;
      if (cmd_op_i == OpCloseAll) begin
        valid_q    <= 2'b00;
        clearing_q <= 1'b1;
      end
      if (cmd_op_i == OpWipe) closing_q <= 1'b0;
      if (cmd_op_i == OpWipeAll) {cleared_q, clearing_q} <= 2'b10;
    end
  end
  always @(*) begin
    if (!rst_ni) assume (!lk_valid_i && !up_valid_i && !cmd_valid_i);
    if (lk_wait_q) assume (lk_valid_i && lk_encap_i == encap_q && lk_index_i == lk_index_q);
    if (up_wait_q) assume (up_valid_i && up_epoch_i == up_epoch_q && up_auth_i == up_auth_q);
    // A packet is given back once, with the epoch in which it was found
    if (up_valid_i) assume (up_epoch_i ? held1_q != '0 : held0_q != '0);
    if (cmd_wait_q) assume (cmd_valid_i && cmd_op_i == cmd_op_q && cmd_index_i == cmd_index_q);
    if (cmd_valid_i && !cmd_wait_q) begin
      if (!cleared_q) assume (cmd_op_i == OpWipeAll);
      else if (closing_q) assume (cmd_op_i == OpWipe && cmd_index_i == close_index_q && drained);
      else if (clearing_q) assume (cmd_op_i == OpWipeAll && drained);
      else assume (cmd_op_i == OpInstall || cmd_op_i == OpClose || cmd_op_i == OpCloseAll);
    end
  end
  logic [7:0] held_old;
  assign held_old = epoch_now_q ? held0_q : held1_q;
  always @(posedge clk_i) if (past_q) begin
    if (lr_valid && found) assert (valid_q[index[0]] && index[31:1] == '0);
    if (cmd_valid_i && cmd_op_i == OpWipe) assert (held_old == '0);
    if (cmd_valid_i && cmd_op_i == OpWipeAll) assert (held_old == '0);
  end
`ifdef REACH_1  // each must fail: the case exists
  always @(posedge clk_i) if (past_q) assert (!(lr_valid && found));
`endif
`ifdef REACH_2
  always @(posedge clk_i) if (past_q) assert (!(closing_q && held_old != '0));
`endif
endmodule
