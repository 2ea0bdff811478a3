// IP headers with options or extension headers as AH authenticates them (RFC 4302 s3.3.3.1 and appendix A): what may
// change on the way is zeroed, source routes are as at the final destination. A scratch of 128 octets, worked on octet by
// octet, 2 to 6 cycles each; plain headers need no pass. The fixed parts are zeroed by who writes them here.
module front_ah (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        we_i,             // not while busy
  input  logic [3:0]  word_i,           // write, or read while idle
  input  logic [63:0] data_i,
  output logic [63:0] data_o,           // without latency
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
  logic [7:0] wipe_q, stop_q;           // octets to wipe
  logic [7:0] type_q, len_q, next_q;    // option type and length; type of the next extension header
  logic [7:0] headers_end;
  logic [7:0] left, size;               // octets from the option, from the extension header to the end
  logic [1:0] copy_q;
  logic [2:0] hops_q;
  logic       high_q;                   // second half of an address
  logic [3:0] hop_q;                    // word of the next hop's address
  logic [63:0] swap_q;
  assign headers_end = {end_dw_i, 2'b00};
  assign left        = end_q - opt_q;
  assign size        = end_q - head_q;

  // Scratch: an octet or a word is read and written a cycle
  logic [7:0]  rd_at, wr_at, fetched, octet_q;
  logic        act_q;                   // 0: the octet is fetched; 1: the state acts on it
  logic [7:0]  wr_en;
  logic [3:0]  rd_word, wr_word;
  logic [63:0] wr_data, rd_data;
  for (genvar i = 0; i < 8; i++) begin : gen_octet
    logic [7:0] mem [0:15];
    always_ff @(posedge clk_i) if (wr_en[i]) mem[wr_word] <= wr_data[8 * (7 - i) +: 8];
    assign rd_data[8 * (7 - i) +: 8] = mem[rd_word];
  end
  assign fetched = rd_data[8 * (7 - {29'd0, rd_at[2:0]}) +: 8];
  always_ff @(posedge clk_i) octet_q <= fetched;
  always_ff @(posedge clk_i) act_q <= rst_ni && state_q != StIdle && !act_q;
  assign data_o = rd_data;
  always_comb begin
    case (state_q)
      StOption:    rd_at = opt_q;
      StLength:    rd_at = opt_q + 8'd1;
      StPointer:   rd_at = opt_q + 8'd2;
      StCopy:      rd_at = opt_q + len_q - 8'd4 + 8'(copy_q);
      StFirst:     rd_at = 8'd6;
      StHeader:    rd_at = head_q;
      StHeaderLen: rd_at = head_q + 8'd1;
      StRouteType: rd_at = head_q + 8'd2;
      StRouteLeft: rd_at = head_q + 8'd3;
      default:     rd_at = '0;
    endcase
    case (state_q)
      StIdle:     rd_word = word_i;
      StSwapRead: rd_word = {3'b001, 1'b1} + 4'(high_q);   // destination: octets 24 to 39
      StSwapDst:  rd_word = hop_q;
      default:    rd_word = rd_at[6:3];
    endcase
    wr_en   = '0;
    wr_at   = wipe_q;
    wr_word = word_i;
    wr_data = data_i;
    case (state_q)
      StIdle: wr_en = {8{we_i}};
      StCopy, StWipe, StRouteEnd: begin
        if (state_q == StCopy) wr_at = 8'd16 + 8'(copy_q);   // IPv4 destination
        if (state_q == StRouteEnd) wr_at = head_q + 8'd3;
        wr_word            = wr_at[6:3];
        wr_data            = state_q == StCopy ? {8{octet_q}} : '0;
        wr_en[wr_at[2:0]]  = act_q;
      end
      StSwapDst: begin
        wr_word = {3'b001, 1'b1} + 4'(high_q);
        wr_data = rd_data;
        wr_en   = {8{act_q}};
      end
      StSwapHop: begin
        wr_word = hop_q;
        wr_data = swap_q;
        wr_en   = {8{act_q}};
      end
      default: ;
    endcase
  end

  logic route, keeps, len_bad, wipes;
  assign route   = !v6_i && (type_q == 8'd131 || type_q == 8'd137);   // LSRR, SSRR
  // RFC 4302 A1: options that stay; RFC 8200 s4.2: bit 5 says that an option may change
  assign keeps   = v6_i ? !type_q[5] : type_q == 8'd130 || type_q == 8'd133 || type_q == 8'd134 || type_q == 8'd148 || type_q == 8'd149;
  assign len_bad = v6_i ? {1'b0, octet_q} + 9'd2 > {1'b0, left} : octet_q < 8'd2 || octet_q > left;
  assign wipes   = !keeps && !(v6_i && octet_q == 8'd0);
  always_comb begin
    state_d = state_q;
    case (state_q)
      StIdle:
        if (start_i && v6_i) state_d = StFirst;
        else if (start_i) state_d = StOption;
      StOption:
        if (opt_q == end_q && v6_i) state_d = StHeader;
        else if (opt_q == end_q || (octet_q == 8'd0 && !v6_i)) state_d = StDone;
        else if (octet_q == {7'd0, !v6_i}) state_d = StOption;   // one octet of padding
        else if (left < 8'd2) state_d = StBad;
        else state_d = StLength;
      StLength:
        if (len_bad) state_d = StBad;
        else if (route && octet_q >= 8'd7) state_d = StPointer;
        else if (wipes) state_d = StWipe;
        else state_d = StOption;
      StPointer:
        if (octet_q >= 8'd4 && octet_q <= len_q - 8'd3) state_d = StCopy;
        else state_d = StWipe;
      StCopy:      if (copy_q == 2'd3) state_d = StWipe;
      StWipe:      if (wipe_q + 8'd1 == stop_q) state_d = StOption;
      StFirst:     state_d = StHeader;
      StHeader:
        if (head_q == headers_end) state_d = StDone;
        else state_d = StHeaderLen;
      StHeaderLen:
        if (type_q == 8'd43) state_d = StRouteType;
        else state_d = StOption;
      StRouteType:
        if (octet_q != 8'd0) state_d = StUnsupported;
        else state_d = StRouteLeft;
      StRouteLeft:
        if (octet_q > {4'd0, 4'((size - 8'd8) >> 4)}) state_d = StBad;
        else if (octet_q == 8'd0) state_d = StHeader;
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
    else if (act_q || state_q == StIdle) state_q <= state_d;
  end
  always_ff @(posedge clk_i) if (act_q || state_q == StIdle) begin
    case (state_q)
      StIdle: if (start_i) begin
        head_q <= 8'd40;
        opt_q  <= 8'd20;
        end_q  <= headers_end;
      end
      StOption: begin
        type_q <= octet_q;
        if (opt_q == end_q) begin                       // IPv6: on to the next extension header
          type_q <= next_q;
          head_q <= end_q;
        end else if (octet_q == {7'd0, !v6_i}) opt_q <= opt_q + 8'd1;
      end
      StLength: begin
        len_q  <= octet_q;
        wipe_q <= v6_i ? opt_q + 8'd2 : opt_q;
        stop_q <= v6_i ? opt_q + 8'd2 + octet_q : opt_q + octet_q;
        if (!wipes) opt_q <= v6_i ? opt_q + 8'd2 + octet_q : opt_q + octet_q;
        copy_q <= '0;
      end
      StCopy: copy_q <= copy_q + 2'd1;
      StWipe: begin
        wipe_q <= wipe_q + 8'd1;
        if (wipe_q + 8'd1 == stop_q) opt_q <= stop_q;
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
        hop_q  <= head_q[6:3] + 4'd1 + {3'((size - 8'd8) >> 4) - octet_q[2:0], 1'b0};
        if (octet_q == 8'd0) begin
          type_q <= next_q;
          head_q <= end_q;
        end
      end
      StSwapRead: swap_q <= rd_data;
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
  assign done_o   = act_q && (state_q == StBad || state_q == StUnsupported || state_q == StDone);
  assign status_o = state_q == StBad ? card_pkg::StatusBadHeader :
                    state_q == StUnsupported ? card_pkg::StatusUnsupported : card_pkg::StatusOk;
  logic unused;
  assign unused = ^{rd_at[7], wr_at[7]};
endmodule
