// Checks a descriptor, asks for its source packet, and passes it on with the verdict; descriptors stay in order,
// good or bad. Packet data wait in a FIFO behind the read port: a packet is asked for when there is room for all
// of it, so the bus never stalls and several packets are on their way at once.
// Not checked here: what the SA decides, and whether the result fits the destination.
module desc_check #(
  parameter int MaxPacketBytes = 2048,
  parameter int DataBeats = 128        // of 64 bytes; a power of two, at least two packets
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  output logic         idle_o,
  input  logic         test_mode_i,
  input  logic [255:0] window_base_i,
  input  logic [259:0] window_end_i,
  input  logic [3:0]   window_enable_i,
  // descriptors
  input  logic         in_valid_i,
  output logic         in_ready_o,
  input  logic [511:0] in_data_i,      // format Descriptor
  input  logic [3:0]   in_queue_i,
  input  logic [31:0]  in_cycle_i,
  // read requests and data
  output logic         req_valid_o,
  input  logic         req_ready_i,
  output logic [63:0]  req_addr_o,
  output logic [7:0]   req_beats_o,
  input  logic         rsp_valid_i,    // always taken
  input  logic [511:0] rsp_data_i,
  input  logic         rsp_err_i,
  // checked descriptors
  output logic         out_valid_o,
  input  logic         out_ready_i,
  output logic [7:0]   out_status_o,   // Ok: packet data follow, unless the operation is Nop
  output logic [3:0]   out_queue_o,
  output logic [31:0]  out_cycle_o,
  output logic [7:0]   out_op_o,
  output logic         out_host_iv_o,
  output logic [31:0]  out_sa_index_o,
  output logic [63:0]  out_cookie_o,
  output logic [63:0]  out_dst_addr_o,
  output logic [31:0]  out_dst_size_o,
  output logic [15:0]  out_src_len_o,
  output logic [63:0]  out_iv_o,       // first octet on top
  // packet data, whole packets in order, ceil(src_len / 64) beats each
  output logic         beat_valid_o,
  input  logic         beat_ready_i,
  output logic [511:0] beat_data_o,
  output logic         beat_err_o
);
  localparam int Credit = $clog2(DataBeats) + 1;
  typedef enum logic [2:0] {StIdle, StRange, StWindow, StVerdict, StRead, StOut} state_e;
  state_e        state_q;
  logic [511:0]  desc_q;
  logic [3:0]    queue_q;
  logic [31:0]   cycle_q;
  logic [7:0]    status_q, status;
  logic [Credit-1:0] credit_q;         // beats that the FIFO has room for, counting those on their way

  logic [7:0]  op, beats, segments;
  logic        host_iv, src_ok, dst_ok, touches, reserved, out_ready, wants;
  logic [63:0] src_addr, dst_addr, iv;
  logic [31:0] src_len, dst_size, src_span;
  assign op       = desc_q[card_pkg::DescriptorOpLsb +: 8];
  assign host_iv  = desc_q[card_pkg::DescriptorHostIvLsb];
  assign segments = desc_q[card_pkg::DescriptorNumSegmentsLsb +: 8];
  assign src_addr = desc_q[card_pkg::DescriptorSrcAddrLsb +: 64];
  assign dst_addr = desc_q[card_pkg::DescriptorDstAddrLsb +: 64];
  assign src_len  = desc_q[card_pkg::DescriptorSrcLenLsb +: 32];
  assign dst_size = desc_q[card_pkg::DescriptorDstSizeLsb +: 32];
  assign reserved = desc_q[15:9] != '0 || desc_q[31:24] != '0 || desc_q[511:384] != '0;
  assign touches  = op == card_pkg::OpEncap || op == card_pkg::OpDecap;
  assign src_span = {src_len[31:6] + 26'(src_len[5:0] != '0), 6'd0};  // whole beats are read
  assign beats    = src_span[13:6];
  for (genvar i = 0; i < 8; i++) begin : gen_iv
    assign iv[8*(7-i) +: 8] = desc_q[card_pkg::DescriptorIvLsb + 8*i +: 8];
  end

  window_check u_src (
    .clk_i(clk_i), .window_base_i(window_base_i), .window_end_i(window_end_i), .window_enable_i(window_enable_i),
    .addr_i(src_addr), .len_i(src_span), .ok_o(src_ok)
  );
  window_check u_dst (
    .clk_i(clk_i), .window_base_i(window_base_i), .window_end_i(window_end_i), .window_enable_i(window_enable_i),
    .addr_i(dst_addr), .len_i(dst_size), .ok_o(dst_ok)
  );

  always_comb begin
    status = card_pkg::StatusOk;
    if (reserved || op > card_pkg::OpDecap || (host_iv && op != card_pkg::OpEncap)) status = card_pkg::StatusBadDescriptor;
    else if (segments != '0) status = card_pkg::StatusUnsupported;
    else if (touches) begin
      if (src_addr[5:0] != '0 || dst_addr[5:0] != '0) status = card_pkg::StatusBadAlign;
      else if (src_len < 32'd20 || src_len > 32'(MaxPacketBytes)) status = card_pkg::StatusBadLength;
      else if (!src_ok || !dst_ok) status = card_pkg::StatusBadAddress;
      else if (host_iv && !test_mode_i) status = card_pkg::StatusHostIvRefused;
    end
  end

  assign wants = status_q == card_pkg::StatusOk && touches;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) state_q <= StIdle;
    else begin
      case (state_q)
        StIdle:    if (in_valid_i) state_q <= StRange;
        StRange:   state_q <= StWindow;
        StWindow:  state_q <= StVerdict;
        StVerdict: state_q <= StRead;
        StRead:    if (!wants || (req_valid_o && req_ready_i)) state_q <= StOut;
        default:   if (out_ready) state_q <= StIdle;
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    if (state_q == StIdle) begin
      desc_q  <= in_data_i;
      queue_q <= in_queue_i;
      cycle_q <= in_cycle_i;
    end
    if (state_q == StVerdict) status_q <= status;
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) credit_q <= Credit'(DataBeats);
    else credit_q <= credit_q - (req_valid_o && req_ready_i ? Credit'(beats) : Credit'(0)) +
                     Credit'(beat_valid_o && beat_ready_i);
  end

  logic data_room;  // always, by the credits
  logic [$clog2(DataBeats):0] data_level;
  stream_fifo #(.Width(513), .Depth(DataBeats)) u_data (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(rsp_valid_i), .ready_o(data_room), .data_i({rsp_err_i, rsp_data_i}),
    .valid_o(beat_valid_o), .ready_i(beat_ready_i), .data_o({beat_err_o, beat_data_o}), .level_o(data_level)
  );
  logic       out_push;
  logic [4:0] out_level;
  assign out_push = state_q == StOut;
  stream_fifo #(.Width(8 + 4 + 32 + 8 + 1 + 32 + 64 + 64 + 32 + 16 + 64), .Depth(16)) u_out (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(out_push), .ready_o(out_ready),
    .data_i({status_q, queue_q, cycle_q, op, host_iv, desc_q[card_pkg::DescriptorSaIndexLsb +: 32],
             desc_q[card_pkg::DescriptorCookieLsb +: 64], dst_addr, dst_size, src_len[15:0], iv}),
    .valid_o(out_valid_o), .ready_i(out_ready_i),
    .data_o({out_status_o, out_queue_o, out_cycle_o, out_op_o, out_host_iv_o, out_sa_index_o, out_cookie_o,
             out_dst_addr_o, out_dst_size_o, out_src_len_o, out_iv_o}),
    .level_o(out_level)
  );

  assign in_ready_o  = state_q == StIdle;
  assign req_valid_o = state_q == StRead && wants && credit_q >= Credit'(beats);
  assign req_addr_o  = src_addr;
  assign req_beats_o = beats;
  assign idle_o      = state_q == StIdle && !out_valid_o;
  logic unused;
  assign unused = ^{data_room, data_level, out_level};
endmodule
