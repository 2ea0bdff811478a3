// IP headers with options or extension headers as AH authenticates them (RFC 4302 s3.3.3.1 and appendix A): what may
// change on the way is zeroed, source routes are as at the final destination. A scratch of 128 octets, worked on octet by
// octet: 5 cycles each (zeroed ones 1); plain headers need no pass. The fixed parts are zeroed by who writes them here.
module front_ah (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        we_i,             // not while busy
  input  logic [3:0]  word_i,           // write
  input  logic [63:0] data_i,
  input  logic [3:0]  rd_word_i,        // read while idle
  output logic [63:0] data_o,           // a cycle later
  input  logic        start_i,          // one cycle
  input  logic        v6_i,             // these two stay
  input  logic [5:0]  end_dw_i,         // headers, units of 4 octets, up to 32
  output logic        done_o,           // one cycle
  output logic [7:0]  status_o          // with done_o: Ok, BadHeader, Unsupported
);
  typedef enum logic [4:0] {
    StIdle, StOption, StLength, StPointer, StCopy, StWipe, StFirst, StHeader, StHeaderLen,
    StRouteType, StRouteLeft, StSwapRead, StSwapDst, StSwapHop, StRouteEnd, StBad, StUnsupported, StDone
  } state_e;
  state_e state_q, state_d;
  logic [7:0] head_q, opt_q, end_q;     // extension header, option in it, its end
  logic [7:0] wipe_q, stop_q;           // octets to wipe,
  logic [7:0] wipe_left_q;              // so many
  logic [7:0] copy_at_q;                // octet to copy
  logic [7:0] type_q, len_q, next_q;    // option type and length; type of the next extension header
  logic [7:0] headers_end;
  logic [1:0] copy_q;
  logic [2:0] hops_q;
  logic       high_q;                   // second half of an address
  logic [3:0] hop_q;                    // word of the next hop's address
  logic [63:0] swap_q;
  logic [3:0] dst_word;                 // IPv6 destination: octets 24 to 39
  assign dst_word    = {1'b0, high_q, !high_q, !high_q};
  assign headers_end = {end_dw_i, 2'b00};

  // A state's octet: address, word, octet, what it is compared with, act
  logic [4:0] step_q;                   // one-hot
  logic       act, wiping, wiped;
  assign act    = step_q[4];
  assign wiping = state_q == StWipe && !wiped;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || state_q == StIdle) step_q <= 5'b00001;
    else if (!(act && wiping)) step_q <= {step_q[3:0], step_q[4]};
  end

  // Scratch: a word is read and octets or a word are written a cycle
  logic [7:0]  rd_at, at_q, octet_q;
  logic [7:0]  wr_en;
  logic [6:0]  wr_at;
  logic [3:0]  rd_word, wr_word;
  logic [63:0] wr_data, rd_data, word_q;
  assign rd_word = state_q == StIdle ? rd_word_i : at_q[6:3];
  for (genvar i = 0; i < 8; i++) begin : gen_octet
    logic [7:0] mem [0:15];
    always_ff @(posedge clk_i) if (wr_en[i]) mem[wr_word] <= wr_data[8 * (7 - i) +: 8];
    assign rd_data[8 * (7 - i) +: 8] = mem[rd_word];
  end
  always_ff @(posedge clk_i) begin
    at_q    <= rd_at;
    word_q  <= rd_data;
    octet_q <= word_q[8 * (7 - {29'd0, at_q[2:0]}) +: 8];
  end
  assign data_o = word_q;
  always_comb begin
    case (state_q)
      StOption:    rd_at = opt_q;
      StLength:    rd_at = opt_q + 8'd1;
      StPointer:   rd_at = opt_q + 8'd2;
      StCopy:      rd_at = copy_at_q;
      StFirst:     rd_at = 8'd6;
      StHeader:    rd_at = head_q;
      StHeaderLen: rd_at = head_q + 8'd1;
      StRouteType: rd_at = head_q + 8'd2;
      StRouteLeft: rd_at = head_q + 8'd3;
      StSwapRead:  rd_at = {1'b0, hop_q, 3'd0};
      StSwapDst:   rd_at = {1'b0, dst_word, 3'd0};
      default:     rd_at = '0;
    endcase
  end
  logic moves;                            // a word goes from the swap register to the scratch
  logic [7:0] route_at_q;                 // octet of a routing header that counts what is left
  assign moves = state_q == StSwapDst || state_q == StSwapHop;
  always_ff @(posedge clk_i) route_at_q <= head_q + 8'd3;
  always_comb begin
    wr_at = wipe_q[6:0];
    if (state_q == StCopy) wr_at = {5'b00100, copy_q};                     // IPv4 destination
    if (state_q == StRouteEnd) wr_at = route_at_q[6:0];
    wr_word = wr_at[6:3];
    if (state_q == StIdle) wr_word = word_i;
    if (state_q == StSwapDst) wr_word = dst_word;
    if (state_q == StSwapHop) wr_word = hop_q;
    wr_en = '0;
    case (state_q)
      StIdle:                     wr_en = {8{we_i}};
      StCopy, StWipe, StRouteEnd: wr_en[wr_at[2:0]] = act;
      StSwapDst, StSwapHop:       wr_en = {8{act}};
      default: ;
    endcase
    wr_data = '0;
    if (state_q == StIdle) wr_data = data_i;
    else if (moves) wr_data = swap_q;
    else if (state_q == StCopy) wr_data = {8{octet_q}};
  end

  // Compared in the step before the act; what is compared with does not move meanwhile.
  logic [7:0] left_q, size_q, base_q, after_q;   // octets from the option, from the extension header to the end
  logic [2:0] hops_all_q, hops_done_q;
  logic       opt_end_q, head_end_q, zero_q, pad_q, short_q, len_bad_q, long_route_q, wipes_q, pointer_q, routing_q, left_bad_q;
  logic       route, keeps;
  assign route   = !v6_i && (type_q == 8'd131 || type_q == 8'd137);   // LSRR, SSRR
  // RFC 4302 A1: options that stay; RFC 8200 s4.2: bit 5 says that an option may change
  assign keeps   = v6_i ? !type_q[5] : type_q == 8'd130 || type_q == 8'd133 || type_q == 8'd134 || type_q == 8'd148 || type_q == 8'd149;
  logic [7:0] blocks;
  assign blocks = size_q - 8'd8;
  always_ff @(posedge clk_i) begin
    left_q       <= end_q - opt_q;
    size_q       <= end_q - head_q;
    base_q       <= v6_i ? opt_q + 8'd2 : opt_q;
    hops_all_q   <= blocks[6:4];
    opt_end_q    <= opt_q == end_q;
    head_end_q   <= head_q == headers_end;
    routing_q    <= type_q == 8'd43;
    short_q      <= left_q < 8'd2;
    after_q      <= base_q + octet_q;
    hops_done_q  <= hops_all_q - octet_q[2:0];
    zero_q       <= octet_q == 8'd0;
    pad_q        <= octet_q == {7'd0, !v6_i};
    len_bad_q    <= v6_i ? {1'b0, octet_q} + 9'd2 > {1'b0, left_q} : octet_q < 8'd2 || octet_q > left_q;
    long_route_q <= route && octet_q >= 8'd7;
    wipes_q      <= !keeps && !(v6_i && octet_q == 8'd0);
    pointer_q    <= octet_q >= 8'd4 && octet_q <= len_q - 8'd3;
    left_bad_q   <= octet_q > {4'd0, blocks[7:4]};
  end
  assign wiped = wipe_left_q == 8'd1;
  always_comb begin
    state_d = state_q;
    case (state_q)
      StIdle:
        if (start_i && v6_i) state_d = StFirst;
        else if (start_i) state_d = StOption;
      StOption:
        if (opt_end_q && v6_i) state_d = StHeader;
        else if (opt_end_q || (zero_q && !v6_i)) state_d = StDone;
        else if (pad_q) state_d = StOption;                    // one octet of padding
        else if (short_q) state_d = StBad;
        else state_d = StLength;
      StLength:
        if (len_bad_q) state_d = StBad;
        else if (long_route_q) state_d = StPointer;
        else if (wipes_q) state_d = StWipe;
        else state_d = StOption;
      StPointer:
        if (pointer_q) state_d = StCopy;
        else state_d = StWipe;
      StCopy:      if (copy_q == 2'd3) state_d = StWipe;
      StWipe:      if (wiped) state_d = StOption;
      StFirst:     state_d = StHeader;
      StHeader:
        if (head_end_q) state_d = StDone;
        else state_d = StHeaderLen;
      StHeaderLen:
        if (routing_q) state_d = StRouteType;
        else state_d = StOption;
      StRouteType:
        if (!zero_q) state_d = StUnsupported;
        else state_d = StRouteLeft;
      StRouteLeft:
        if (left_bad_q) state_d = StBad;
        else if (zero_q) state_d = StHeader;
        else state_d = StSwapRead;
      StSwapRead:  state_d = StSwapDst;
      StSwapDst:   state_d = StSwapHop;
      StSwapHop:
        if (high_q && hops_q == 3'd1) state_d = StRouteEnd;
        else state_d = StSwapRead;
      StRouteEnd:  state_d = StHeader;
      default:     state_d = StIdle;
    endcase
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) state_q <= StIdle;
    else if (act || state_q == StIdle) state_q <= state_d;
  end
  always_ff @(posedge clk_i) if (act || state_q == StIdle) begin
    case (state_q)
      StIdle: if (start_i) begin
        head_q <= 8'd40;
        opt_q  <= 8'd20;
        end_q  <= headers_end;
      end
      StOption: begin
        type_q <= octet_q;
        if (opt_end_q) begin                             // IPv6: on to the next extension header
          type_q <= next_q;
          head_q <= end_q;
        end else if (pad_q) opt_q <= opt_q + 8'd1;
      end
      StLength: begin
        len_q  <= octet_q;
        wipe_q <= base_q;
        stop_q <= after_q;
        wipe_left_q <= octet_q;
        if (!wipes_q) opt_q <= after_q;
        copy_q <= '0;
        copy_at_q <= after_q - 8'd4;
      end
      StCopy: begin
        copy_q    <= copy_q + 2'd1;
        copy_at_q <= copy_at_q + 8'd1;
      end
      StWipe: begin
        wipe_q      <= wipe_q + 8'd1;
        wipe_left_q <= wipe_left_q - 8'd1;
        if (wiped) opt_q <= stop_q;
      end
      StFirst:  type_q <= octet_q;
      StHeader: next_q <= octet_q;
      StHeaderLen: begin
        end_q <= head_q + {octet_q[4:0], 3'd0} + 8'd8;
        opt_q <= head_q + 8'd2;
      end
      StRouteLeft: begin
        hops_q <= octet_q[2:0];
        high_q <= 1'b0;
        hop_q  <= head_q[6:3] + 4'd1 + {hops_done_q, 1'b0};
        if (zero_q) begin
          type_q <= next_q;
          head_q <= end_q;
        end
      end
      StSwapRead, StSwapDst: swap_q <= word_q;
      StSwapHop: begin
        hop_q  <= hop_q + 4'd1;
        high_q <= !high_q;
        if (high_q) hops_q <= hops_q - 3'd1;
      end
      StRouteEnd: begin
        type_q <= next_q;
        head_q <= end_q;
      end
      default: ;
    endcase
  end
  assign done_o   = act && (state_q == StBad || state_q == StUnsupported || state_q == StDone);
  assign status_o = state_q == StBad ? card_pkg::StatusBadHeader :
                    state_q == StUnsupported ? card_pkg::StatusUnsupported : card_pkg::StatusOk;
  logic unused;
  assign unused = ^{at_q[7], wipe_q[7], route_at_q[7], blocks[3:0]};
endmodule
