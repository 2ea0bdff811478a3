// Takes finished packets from the lane and asks the SA table to settle them: reads what the update needs of the
// slot's record, forms the status as far as it is known, sends the update, passes the packet on in order.
// The window moves for every packet whose ICV matched, also when what is inside is refused (RFC 4303 s3.4.3); not
// when only the destination is too small, so that the host can try again.
// Does not wait for the answer: back_finish does. Latency 3 cycles from done to update; one packet in 4 cycles.
module back_settle #(
  parameter int SlotBits = 7
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  output logic                idle_o,
  // from the record, when the slot is opened
  input  logic                rec_valid_i,
  input  logic [SlotBits-1:0] rec_slot_i,
  input  logic                rec_found_i,
  input  logic                rec_epoch_i,
  input  logic [31:0]         rec_index_i,
  input  logic [63:0]         rec_seq_i,
  input  logic                rec_encap_i,
  input  logic                rec_esp_i,
  input  logic [7:0]          rec_hdr_len_i,
  input  logic [15:0]         rec_out_len_i,
  input  logic [15:0]         rec_dst_size_i,
  input  logic [7:0]          rec_ah_status_i,
  // finished packets
  input  logic                done_valid_i,
  output logic                done_ready_o,
  input  logic [SlotBits-1:0] done_slot_i,
  input  logic [7:0]          done_status_i,
  input  logic                done_icv_ok_i,
  input  logic [13:0]         done_len_i,
  // update
  output logic                up_valid_o,
  input  logic                up_ready_i,
  output logic [31:0]         up_index_o,
  output logic                up_epoch_o,
  output logic                up_auth_o,
  output logic                up_ok_o,
  output logic [7:0]          up_status_o,
  output logic [63:0]         up_seq_o,
  output logic [15:0]         up_bytes_o,
  // passed on in the cycle of done_ready_o, beside the done fields
  output logic                pend_valid_o,
  input  logic                pend_ready_i,    // does not fall before something was passed on
  output logic                pend_found_o,
  output logic [7:0]          pend_status_o,
  output logic [15:0]         pend_len_o       // result in octets where the status is Ok
);
  localparam int Width = 1 + 1 + 32 + 64 + 1 + 1 + 8 + 16 + 16 + 8;
  logic [1:0]       step_q;
  logic             read, push;
  logic [Width-1:0] rec;
  logic             found, epoch, encap, esp;
  logic [31:0]      index;
  logic [63:0]      seq;
  logic [7:0]       hdr_len, ah_status;
  logic [15:0]      out_len, dst_size;

  assign read = step_q == 2'd0 && done_valid_i;
  sdp_ram #(.Width(Width), .Depth(1 << SlotBits)) u_record (
    .clk_i(clk_i), .wr_en_i(rec_valid_i), .wr_addr_i(rec_slot_i),
    .wr_data_i({rec_found_i, rec_epoch_i, rec_index_i, rec_seq_i, rec_encap_i, rec_esp_i, rec_hdr_len_i, rec_out_len_i,
                rec_dst_size_i, rec_ah_status_i}),
    .rd_en_i(read), .rd_addr_i(done_slot_i), .rd_data_o(rec)
  );
  assign {found, epoch, index, seq, encap, esp, hdr_len, out_len, dst_size, ah_status} = rec;

  // Step 1: RAM to registers, length and status. Step 2: room. Step 3: send.
  logic        found_q, epoch_q, decap_q, auth_q;
  logic [31:0] index_q;
  logic [63:0] seq_q;
  logic [7:0]  status_q;
  logic [15:0] len_q, dst_size_q;
  logic        too_small;
  assign too_small = decap_q && status_q == card_pkg::StatusOk && len_q > dst_size_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) step_q <= 2'd0;
    else if (step_q == 2'd0 ? done_valid_i : step_q != 2'd3 || push) step_q <= step_q + 2'd1;
  end
  always_ff @(posedge clk_i) begin
    if (step_q == 2'd1) begin
      found_q    <= found;
      epoch_q    <= epoch;
      index_q    <= index;
      seq_q      <= seq;
      decap_q    <= !encap;
      auth_q     <= !encap && done_icv_ok_i;
      dst_size_q <= dst_size;
      len_q      <= !encap && esp ? 16'(hdr_len) + 16'(done_len_i) : out_len;
      status_q   <= done_status_i == card_pkg::StatusOk ? ah_status : done_status_i;
    end
    if (step_q == 2'd2 && too_small) begin
      auth_q   <= 1'b0;
      status_q <= card_pkg::StatusDstTooSmall;
    end
  end

  assign push          = pend_valid_o && pend_ready_i;
  assign up_valid_o    = step_q == 2'd3 && found_q && pend_ready_i;
  assign up_index_o    = index_q;
  assign up_epoch_o    = epoch_q;
  assign up_auth_o     = auth_q;
  assign up_ok_o       = decap_q && status_q == card_pkg::StatusOk;
  assign up_status_o   = status_q;
  assign up_seq_o      = seq_q;
  assign up_bytes_o    = len_q;
  assign pend_valid_o  = step_q == 2'd3 && (!found_q || up_ready_i);
  assign pend_found_o  = found_q;
  assign pend_status_o = status_q;
  assign pend_len_o    = len_q;
  assign done_ready_o  = push;
  assign idle_o        = step_q == 2'd0;
endmodule
