// Checks descriptors, reads segment lists, asks for source packets, and passes all on with the verdict, in order.
// A packet is asked for when there is room for all its beats, so the bus never stalls and many packets are on their
// way at once. A descriptor with a status other than Ok, and a Nop, has no data and no segments.
// Not checked here: what the SA decides, and whether the result fits the destination.
// Rate: a descriptor every 3 cycles; one with lists takes their latency and about 4 cycles a segment, and holds up
// those behind it. Latency: descriptor to request 4 cycles.
// Verdicts, the first that holds: reserved bits, operation, HostIv without Encap, more than MaxSegments segments:
// BadDescriptor; source or destination (or its list) not aligned: BadAlign; source length: BadLength; source,
// destination or list outside the windows: BadAddress; HostIvRefused. Then the source list, then the destination list,
// segment by segment: unused word not 0 or length 0: BadDescriptor; address, or length of any but the last, not
// aligned: BadAlign; outside the windows: BadAddress; at the end a sum other than SrcLen or DstSize: BadLength. A list
// that cannot be read: BusError.
module desc_read #(
  parameter int MaxPacketBytes = 9216,
  parameter int DataBeats = 256,      // of 64 bytes; a power of two, at least one largest packet
  parameter int HeaderBeats = 128,    // a power of two
  parameter int Records = 64,         // a power of two
  parameter int Segments = 32         // a power of two, at least MaxSegments
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  output logic         idle_o,
  input  logic         test_mode_i,
  input  logic [255:0] window_base_i,
  input  logic [259:0] window_end_i,
  input  logic [3:0]   window_enable_i,
  // descriptors, see desc_fetch
  input  logic         in_valid_i,
  output logic         in_ready_o,
  input  logic [383:0] in_data_i,
  input  logic         in_reserved_i,
  input  logic [3:0]   in_queue_i,
  input  logic         in_order_i,
  input  logic [31:0]  in_cycle_i,
  // segment lists: requests of one beat
  output logic         list_valid_o,
  input  logic         list_ready_i,
  output logic [63:0]  list_addr_o,
  output logic [7:0]   list_beats_o,
  input  logic         list_rsp_valid_i,
  input  logic         list_rsp_err_i,
  // packets
  output logic         req_valid_o,
  input  logic         req_ready_i,
  output logic [63:0]  req_addr_o,
  output logic [7:0]   req_beats_o,
  input  logic         rsp_valid_i,    // always taken
  input  logic         rsp_err_i,
  input  logic [511:0] rsp_data_i,     // of lists and packets
  // checked descriptors
  output logic         pd_valid_o,
  input  logic         pd_ready_i,
  output logic [7:0]   pd_status_o,
  output logic [3:0]   pd_queue_o,
  output logic         pd_in_order_o,
  output logic [31:0]  pd_cycle_o,
  output logic [7:0]   pd_op_o,
  output logic         pd_host_iv_o,
  output logic [31:0]  pd_sa_index_o,
  output logic [63:0]  pd_cookie_o,
  output logic [63:0]  pd_dst_addr_o,
  output logic [31:0]  pd_dst_size_o,
  output logic [7:0]   pd_dst_segments_o,
  output logic [15:0]  pd_src_len_o,
  output logic [63:0]  pd_iv_o,        // first octet on top
  // header beats: the first two of each packet, or its only one
  output logic         hb_valid_o,
  input  logic         hb_ready_i,
  output logic [511:0] hb_data_o,
  output logic         hb_last_o,
  output logic         hb_err_o,
  // all beats of each packet
  output logic         db_valid_o,
  input  logic         db_ready_i,
  output logic [511:0] db_data_o,
  output logic         db_err_o,
  // destination segments
  output logic         seg_valid_o,
  input  logic         seg_ready_i,
  output logic [63:0]  seg_addr_o,
  output logic [15:0]  seg_len_o       // cut to 65,472: no result is longer
);
  localparam int DataCredit   = $clog2(DataBeats) + 1;
  localparam int HeaderCredit = $clog2(HeaderBeats) + 1;
  localparam int RecordCredit = $clog2(Records) + 1;

  // ------------------------------------------------------- the descriptor at the door: its two window questions
  // For the source (or its list) in the cycle in which it is taken, for the destination (or its list) at age 0. Their
  // answers stand at the checker at ages 1 and 2; then both are kept.
  logic         s1_q, s1_leave, asks_dst, list_ask, chk_ok, take;
  logic [383:0] desc_q;
  logic [3:0]   queue_q;
  logic [31:0]  cycle_q;
  logic         in_order_q, reserved_q, src_ok_q, dst_ok_q, dst_ok, kept_q;  // kept_q: age 3 and above
  logic [1:0]   age_q;
  logic         bad_q, odd_q, size_q;        // at age 1: not well formed, not aligned, too short or too long
  logic [7:0]   first_q, verdict;            // what needs no window, from age 2 on
  logic         may_q, lists_q, wants;       // Ok and has a packet, has lists: likewise; wants: with verdict
  logic [7:0]   op, src_segments, dst_segments;
  logic [31:0]  src_len;
  logic         host_iv, touches;
  assign in_ready_o = !s1_q || s1_leave;
  assign take       = in_valid_i && in_ready_o;
  assign asks_dst   = s1_q && age_q == 2'd0;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      s1_q   <= 1'b0;
      age_q  <= 2'd0;
      kept_q <= 1'b0;
    end else begin
      if (in_ready_o) s1_q <= in_valid_i;
      if (in_ready_o) age_q <= 2'd0;
      else if (!age_q[1]) age_q <= age_q + 2'd1;
      kept_q <= !in_ready_o && age_q[1];
    end
  end
  always_ff @(posedge clk_i) if (take) begin
    desc_q     <= in_data_i;
    queue_q    <= in_queue_i;
    in_order_q <= in_order_i;
    cycle_q    <= in_cycle_i;
    reserved_q <= in_reserved_i;
  end
  assign op           = desc_q[card_pkg::DescriptorOpLsb +: 8];
  assign host_iv      = desc_q[card_pkg::DescriptorHostIvLsb];
  assign src_segments = desc_q[card_pkg::DescriptorNumSegmentsLsb +: 8];
  assign dst_segments = desc_q[card_pkg::DescriptorNumDstSegmentsLsb +: 8];
  assign src_len      = desc_q[card_pkg::DescriptorSrcLenLsb +: 32];
  assign touches      = op == card_pkg::OpEncap || op == card_pkg::OpDecap;
  logic [5:0] src_odd, dst_odd;
  assign src_odd = desc_q[card_pkg::DescriptorSrcAddrLsb +: 6];
  assign dst_odd = desc_q[card_pkg::DescriptorDstAddrLsb +: 6];
  always_ff @(posedge clk_i) begin
    bad_q   <= reserved_q || op > card_pkg::OpDecap || (host_iv && op != card_pkg::OpEncap) ||
               src_segments > 8'(card_pkg::MaxSegments) || dst_segments > 8'(card_pkg::MaxSegments);
    odd_q   <= src_odd != '0 || dst_odd != '0;
    size_q  <= src_len < 32'd20 || src_len > 32'(MaxPacketBytes);
    lists_q <= src_segments != '0 || dst_segments != '0;
    may_q   <= !bad_q && touches && !odd_q && !size_q;
    first_q <= bad_q ? card_pkg::StatusBadDescriptor : !touches ? card_pkg::StatusOk :
               odd_q ? card_pkg::StatusBadAlign : size_q ? card_pkg::StatusBadLength : card_pkg::StatusOk;
    if (age_q == 2'd1) src_ok_q <= chk_ok;
    if (!kept_q) dst_ok_q <= chk_ok;
  end
  assign dst_ok = kept_q ? dst_ok_q : chk_ok;
  always_comb begin
    verdict = first_q;
    if (may_q) begin
      if (!src_ok_q || !dst_ok) verdict = card_pkg::StatusBadAddress;
      else if (host_iv && !test_mode_i) verdict = card_pkg::StatusHostIvRefused;
    end
  end
  assign wants = may_q && src_ok_q && dst_ok && !(host_iv && !test_mode_i);

  // --------------------------------------------------------------------- with a verdict: lists, room, requests
  typedef enum logic [3:0] {StIdle, StGo, StAsk, StList, StCheck, StWait, StSegment, StSum, StSumOk, StPush, StRead} state_e;
  state_e       state_q;
  logic [7:0]   status_q;
  logic [3:0]   r_queue_q, num_src_q, num_dst_q, left_q;
  logic         r_in_order_q, r_host_iv_q, wants_q, is_dst_q;
  logic [1:0]   r_op_q;               // operations above Decap are BadDescriptor; their number is kept apart
  logic [5:0]   r_op_high_q;
  logic [31:0]  r_cycle_q, sa_index_q, dst_size_q;
  logic [63:0]  cookie_q, iv_q;
  logic [57:0]  src_addr_q, dst_addr_q, list_addr_q;
  logic [15:0]  r_src_len_q;
  logic [7:0]   beats_q;
  logic [2:0]   index_q;
  logic [511:0] list_q;
  logic [34:0]  sum_q;                // of up to 8 lengths of 32 bits
  logic [13:0]  src_span;
  assign src_span = src_len[13:0] + 14'd63;
  assign s1_leave = s1_q && age_q[1] && state_q == StIdle;

  logic [127:0] segment;
  logic [31:0]  seg_len, seg_unused;
  logic [57:0]  seg_addr;             // in beats
  logic [5:0]   seg_addr_odd, seg_len_odd;
  logic [15:0]  seg_short;
  logic [7:0]   seg_status;
  logic         seg_last;
  assign segment    = list_q[128*index_q[1:0] +: 128];
  assign {seg_addr, seg_addr_odd} = segment[63:0];
  assign seg_len    = segment[95:64];
  assign seg_len_odd = seg_len[5:0];
  assign seg_unused = segment[127:96];
  assign seg_short  = seg_len[31:16] != '0 ? 16'hffc0 : seg_len[15:0];
  assign seg_last   = left_q == 4'd1;
  logic         seg_bad_q, seg_none_q, seg_odd_q, sum_bad_q;  // believed in StSegment; in StSumOk
  always_ff @(posedge clk_i) begin
    seg_bad_q  <= seg_unused != '0;
    seg_none_q <= seg_len == '0;
    seg_odd_q  <= seg_addr_odd != '0 || (!seg_last && seg_len_odd != '0);
    sum_bad_q  <= sum_q != (is_dst_q ? 35'(dst_size_q) : 35'(r_src_len_q));
  end
  assign seg_status = seg_bad_q || seg_none_q ? card_pkg::StatusBadDescriptor : seg_odd_q ? card_pkg::StatusBadAlign :
                      !chk_ok ? card_pkg::StatusBadAddress : card_pkg::StatusOk;

  logic         data_room_q, header_room_q, rec_ready_q, go, segs_ready, req_free, load_segment, pop_beat, pop_header;
  logic         req_q;
  logic [57:0]  req_addr_q;
  logic [7:0]   req_beats_q;
  logic [73:0]  kept;                 // a checked segment
  logic [73:0]  kept_mem [0:15];      // source list, destination list
  logic [7:0]   kept_beats;
  logic         last_src, last_dst;
  assign kept       = kept_mem[{state_q == StPush, index_q}];
  assign kept_beats = kept[13:6] + 8'(kept[5:0] != '0);
  assign last_src   = {1'b0, index_q} + 4'd1 == num_src_q;
  assign last_dst   = {1'b0, index_q} + 4'd1 == num_dst_q;
  assign req_free   = !req_q;
  assign go         = state_q == StGo && rec_ready_q && (!wants_q || (data_room_q && header_room_q && req_free));
  assign load_segment = state_q == StRead && req_free;
  assign list_ask   = state_q == StCheck && !take && !asks_dst;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) state_q <= StIdle;
    else begin
      case (state_q)
        StIdle: if (s1_leave) begin
          state_q <= wants && lists_q ? StAsk : StGo;
        end
        StAsk:  if (list_ready_i) state_q <= StList;
        StList: if (list_rsp_valid_i) state_q <= list_rsp_err_i ? StGo : StCheck;
        StCheck: if (list_ask) state_q <= StWait;
        StWait: state_q <= StSegment;
        StSegment: begin
          if (seg_status != card_pkg::StatusOk) state_q <= StGo;
          else if (seg_last) state_q <= StSum;
          else state_q <= index_q[1:0] == 2'd3 ? StAsk : StCheck;
        end
        StSum: state_q <= StSumOk;
        StSumOk: begin
          if (sum_bad_q) state_q <= StGo;
          else if (num_dst_q == '0) state_q <= StGo;
          else state_q <= is_dst_q ? StPush : StAsk;
        end
        StPush: if (segs_ready && last_dst) state_q <= StGo;
        StGo:   if (go) state_q <= wants_q && num_src_q != '0 ? StRead : StIdle;
        StRead: if (load_segment && last_src) state_q <= StIdle;
        default: state_q <= StIdle;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (s1_leave) begin
      status_q     <= verdict;
      wants_q      <= wants;
      r_queue_q    <= queue_q;
      r_in_order_q <= in_order_q;
      r_cycle_q    <= cycle_q;
      {r_op_high_q, r_op_q} <= op;
      r_host_iv_q  <= host_iv;
      sa_index_q   <= desc_q[card_pkg::DescriptorSaIndexLsb +: 32];
      cookie_q     <= desc_q[card_pkg::DescriptorCookieLsb +: 64];
      src_addr_q   <= desc_q[card_pkg::DescriptorSrcAddrLsb + 6 +: 58];
      dst_addr_q   <= desc_q[card_pkg::DescriptorDstAddrLsb + 6 +: 58];
      dst_size_q   <= desc_q[card_pkg::DescriptorDstSizeLsb +: 32];
      r_src_len_q  <= src_len[15:0];
      beats_q      <= src_span[13:6];
      num_src_q    <= src_segments[3:0];
      num_dst_q    <= dst_segments[3:0];
      is_dst_q     <= src_segments == '0;
      list_addr_q  <= src_segments == '0 ? desc_q[card_pkg::DescriptorDstAddrLsb + 6 +: 58]
                                         : desc_q[card_pkg::DescriptorSrcAddrLsb + 6 +: 58];
      left_q       <= src_segments == '0 ? dst_segments[3:0] : src_segments[3:0];
      index_q      <= '0;
      sum_q        <= '0;
      for (int i = 0; i < 8; i++) iv_q[8*(7-i) +: 8] <= desc_q[card_pkg::DescriptorIvLsb + 8*i +: 8];
    end
    case (state_q)
      StList: if (list_rsp_valid_i && list_rsp_err_i) begin
        status_q <= card_pkg::StatusBusError;
        wants_q  <= 1'b0;
      end
      StSegment: begin
        if (seg_status != card_pkg::StatusOk) begin
          status_q <= seg_status;
          wants_q  <= 1'b0;
        end
        index_q <= seg_last ? 3'd0 : index_q + 3'd1;
        left_q  <= left_q - 4'd1;
        sum_q   <= sum_q + 35'(seg_len);
        if (index_q[1:0] == 2'd3) list_addr_q <= list_addr_q + 58'd1;
      end
      StSumOk: begin
        if (sum_bad_q) begin
          status_q <= card_pkg::StatusBadLength;
          wants_q  <= 1'b0;
        end
        is_dst_q    <= 1'b1;
        list_addr_q <= dst_addr_q;
        left_q      <= num_dst_q;
        sum_q       <= '0;
      end
      StPush: if (segs_ready) index_q <= last_dst ? 3'd0 : index_q + 3'd1;
      StRead: if (load_segment) index_q <= index_q + 3'd1;
      default: ;
    endcase
  end
  always_ff @(posedge clk_i) if (state_q == StList && list_rsp_valid_i) list_q <= rsp_data_i;
  always_ff @(posedge clk_i) if (state_q == StSegment) kept_mem[{is_dst_q, index_q}] <= {seg_addr, seg_short};
  assign list_valid_o = state_q == StAsk;
  assign list_addr_o  = {list_addr_q, 6'd0};
  assign list_beats_o = 8'd1;

  // The checker: the descriptor at the door goes first; it asks twice and then stands. A list's length in octets is
  // its number of segments times 16; above MaxSegments nobody looks at the answer.
  // Whole beats but for the destination's buffer.
  logic [31:0] ask_len;
  logic [25:0] in_beats, dst_beats;
  logic [5:0]  dst_rest;
  logic [57:0] ask_addr;
  logic        ask_up, in_list, in_up, dst_list, dst_up;
  logic [3:0]  in_segments;
  assign in_segments = in_data_i[card_pkg::DescriptorNumSegmentsLsb +: 4];
  assign in_list   = in_segments != '0;
  assign in_beats  = in_list ? 26'(in_segments[3:2]) : in_data_i[card_pkg::DescriptorSrcLenLsb + 6 +: 26];
  assign in_up     = in_list ? in_segments[1:0] != '0 : in_data_i[card_pkg::DescriptorSrcLenLsb +: 6] != '0;
  assign dst_list  = dst_segments[3:0] != '0;
  assign dst_beats = dst_list ? 26'(dst_segments[3:2]) : desc_q[card_pkg::DescriptorDstSizeLsb + 6 +: 26];
  assign dst_up    = dst_list && dst_segments[1:0] != '0;
  assign dst_rest  = dst_list ? 6'd0 : desc_q[card_pkg::DescriptorDstSizeLsb +: 6];
  assign ask_addr  = asks_dst ? desc_q[card_pkg::DescriptorDstAddrLsb + 6 +: 58] :
                     take ? in_data_i[card_pkg::DescriptorSrcAddrLsb + 6 +: 58] : seg_addr;
  assign ask_len   = {asks_dst ? dst_beats : take ? in_beats : seg_len[31:6], asks_dst ? dst_rest : 6'd0};
  assign ask_up    = asks_dst ? dst_up : take ? in_up : seg_len_odd != '0;
  range_check u_check (
    .clk_i(clk_i), .window_base_i(window_base_i), .window_end_i(window_end_i), .window_enable_i(window_enable_i),
    .ask_i(take || asks_dst || list_ask), .addr_i(ask_addr), .len_i(ask_len), .up_i(ask_up), .ok_o(chk_ok)
  );

  // --------------------------------------------------------------------------------------------- packet reads
  always_ff @(posedge clk_i) begin
    if (!rst_ni) req_q <= 1'b0;
    else if ((go && wants_q && num_src_q == '0) || load_segment) req_q <= 1'b1;
    else if (req_ready_i) req_q <= 1'b0;
  end
  always_ff @(posedge clk_i) begin
    if (load_segment) begin
      req_addr_q  <= kept[73:16];
      req_beats_q <= kept_beats;
    end else if (reserve) begin
      req_addr_q  <= src_addr_q;
      req_beats_q <= beats_q;
    end
  end
  assign req_valid_o = req_q;
  assign req_addr_o  = {req_addr_q, 6'd0};
  assign req_beats_o = req_beats_q;

  // Room that no packet has reserved. Whether there is enough is known a cycle late, which is no harm: it only grows
  // between two packets, and StGo comes at the earliest two cycles after the last one.
  logic [DataCredit-1:0]   data_credit_q;
  logic [HeaderCredit-1:0] header_credit_q;
  logic [RecordCredit-1:0] rec_credit_q;
  logic                    reserve, two;
  logic [7:0]              span;
  assign span = state_q == StIdle ? src_span[13:6] : beats_q;
  always_ff @(posedge clk_i) begin
    rec_ready_q   <= rec_credit_q != '0;
    data_room_q   <= data_credit_q >= DataCredit'(span);
    header_room_q <= header_credit_q >= HeaderCredit'(2);
  end
  assign reserve     = go && wants_q;
  assign two         = beats_q != 8'd1;
  assign pop_beat    = db_valid_o && db_ready_i;
  assign pop_header  = hb_valid_o && hb_ready_i;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      data_credit_q   <= DataCredit'(DataBeats);
      header_credit_q <= HeaderCredit'(HeaderBeats);
      rec_credit_q    <= RecordCredit'(Records);
    end else begin
      data_credit_q   <= data_credit_q - (reserve ? DataCredit'(beats_q) : '0) + DataCredit'(pop_beat);
      header_credit_q <= header_credit_q - (reserve ? HeaderCredit'({two, !two}) : '0) + HeaderCredit'(pop_header);
      rec_credit_q    <= rec_credit_q - RecordCredit'(go) + RecordCredit'(pd_valid_o && pd_ready_i);
    end
  end

  // Beats of the packets on their way: the first two are header beats. Each packet has a header credit, so there are
  // never more than HeaderBeats.
  logic [7:0]              way_last, beat_q;    // numbers of the packet's last beat and of the next
  logic                    way_ready, way_valid, packet_end, header_beat, header_end;
  logic [HeaderCredit-1:0] way_level;
  stream_fifo #(.Width(8), .Depth(HeaderBeats)) u_way (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(reserve), .ready_o(way_ready), .data_i(beats_q - 8'd1),
    .valid_o(way_valid), .ready_i(packet_end), .data_o(way_last), .level_o(way_level)
  );
  assign packet_end  = rsp_valid_i && beat_q == way_last;
  assign header_beat = rsp_valid_i && beat_q[7:1] == '0;
  assign header_end  = beat_q[0] || way_last == 8'd0;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || packet_end) beat_q <= '0;
    else if (rsp_valid_i) beat_q <= beat_q + 8'd1;
  end

  beat_fifo #(.Width(513), .Depth(DataBeats)) u_data (
    .clk_i(clk_i), .rst_ni(rst_ni), .push_i(rsp_valid_i), .data_i({rsp_err_i, rsp_data_i}),
    .valid_o(db_valid_o), .ready_i(db_ready_i), .data_o({db_err_o, db_data_o})
  );
  beat_fifo #(.Width(514), .Depth(HeaderBeats)) u_header (
    .clk_i(clk_i), .rst_ni(rst_ni), .push_i(header_beat), .data_i({rsp_err_i, header_end, rsp_data_i}),
    .valid_o(hb_valid_o), .ready_i(hb_ready_i), .data_o({hb_err_o, hb_last_o, hb_data_o})
  );

  // ------------------------------------------------------------------------------------ records and segments
  logic [$clog2(Segments):0] seg_level;
  logic [57:0]               pd_dst_addr, out_seg_addr;
  logic [4:0]                pd_status;
  logic [3:0]                pd_dst_segments;
  logic                      seg_push;
  assign seg_push = state_q == StPush;
  beat_fifo #(.Width(5 + 4 + 1 + 32 + 8 + 1 + 32 + 64 + 58 + 32 + 4 + 16 + 64), .Depth(Records), .OutReg(0)) u_records (
    .clk_i(clk_i), .rst_ni(rst_ni), .push_i(go),
    .data_i({status_q[4:0], r_queue_q, r_in_order_q, r_cycle_q, r_op_high_q, r_op_q, r_host_iv_q, sa_index_q, cookie_q,
             dst_addr_q, dst_size_q, wants_q ? num_dst_q : 4'd0, r_src_len_q, iv_q}),
    .valid_o(pd_valid_o), .ready_i(pd_ready_i),
    .data_o({pd_status, pd_queue_o, pd_in_order_o, pd_cycle_o, pd_op_o, pd_host_iv_o, pd_sa_index_o, pd_cookie_o,
             pd_dst_addr, pd_dst_size_o, pd_dst_segments, pd_src_len_o, pd_iv_o})
  );
  stream_fifo #(.Width(74), .Depth(Segments)) u_segments (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(seg_push), .ready_o(segs_ready), .data_i(kept),
    .valid_o(seg_valid_o), .ready_i(seg_ready_i), .data_o({out_seg_addr, seg_len_o}), .level_o(seg_level)
  );
  assign pd_status_o       = {3'd0, pd_status};
  assign pd_dst_addr_o     = {pd_dst_addr, 6'd0};
  assign pd_dst_segments_o = {4'd0, pd_dst_segments};
  assign seg_addr_o        = {out_seg_addr, 6'd0};

  assign idle_o = !in_valid_i && !s1_q && state_q == StIdle && !req_q && rec_credit_q == RecordCredit'(Records) && !seg_valid_o &&
                  data_credit_q == DataCredit'(DataBeats) && header_credit_q == HeaderCredit'(HeaderBeats);
  logic unused;
  assign unused = ^{way_ready, way_valid, way_level, seg_level, status_q[7:5], src_span[5:0]};
endmodule
