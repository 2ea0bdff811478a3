// The event ring and its registers, 0x0700 to 0x07ff. Events wait in a short FIFO; one is written at a time. An
// event that finds the ring full is dropped and reported; while the ring is off, events are nobody's.
module event_ring (
  input  logic         clk_i,
  input  logic         rst_ni,
  output logic         idle_o,
  input  logic [63:0]  cycles_i,
  // register bus
  input  logic [15:0]  reg_addr_i,
  input  logic         reg_wr_i,
  input  logic [31:0]  reg_wdata_i,
  output logic [31:0]  reg_rdata_o,
  output logic         reg_hit_o,
  // errors, one cycle each
  output logic         bad_doorbell_o,
  output logic         bad_config_o,
  output logic         lost_o,
  // window check
  output logic         chk_req_o,
  output logic [63:0]  chk_addr_o,
  output logic [31:0]  chk_len_o,
  input  logic         chk_done_i,
  input  logic         chk_ok_i,
  // events of the SA table
  input  logic         sa_valid_i,
  output logic         sa_ready_o,
  input  logic [7:0]   sa_type_i,
  input  logic [31:0]  sa_index_i,
  input  logic [31:0]  sa_spi_i,
  input  logic [31:0]  sa_arg_i,
  // new error cause
  input  logic         error_new_i,     // one cycle
  input  logic [9:0]   error_cause_i,
  // write port
  output logic         wr_valid_o,
  input  logic         wr_ready_i,
  output logic [63:0]  wr_addr_o,       // multiple of 64
  output logic [511:0] wr_data_o,
  output logic [63:0]  wr_strb_o,
  input  logic         wr_done_i,       // one cycle
  input  logic         wr_done_err_i,
  output logic         written_o        // one cycle: an event is in memory
);
  typedef enum logic [2:0] {StOff, StCheck, StOn, StSend, StAnswer, StStopped} state_e;
  state_e      state_q;
  logic        enable_q, error_pending_q, stale_q;  // stale_q: an answer to a former life is still to come
  logic [3:0]  log2_q;
  logic [63:0] base_q;
  logic [31:0] head_q, tail_q, size, mask, issued;

  logic wr_control, enable_new, bad_head, off;
  logic at_lo_q, at_hi_q, at_control_q, at_head_q;  // the address stands from the cycle before a write
  always_ff @(posedge clk_i) begin
    at_lo_q      <= reg_addr_i == card_pkg::RegEventBaseLo;
    at_hi_q      <= reg_addr_i == card_pkg::RegEventBaseHi;
    at_control_q <= reg_addr_i == card_pkg::RegEventControl;
    at_head_q    <= reg_addr_i == card_pkg::RegEventHead;
  end
  assign wr_control = reg_wr_i && at_control_q;
  assign enable_new = reg_wdata_i[card_pkg::EventControlEnableLsb];
  assign size       = 32'd1 << log2_q;
  assign mask       = size - 32'd1;
  assign issued     = tail_q + 32'(state_q == StAnswer);  // the host may see the phase bit before we see the answer
  assign bad_head   = reg_wdata_i - head_q > issued - head_q;
  assign off        = state_q == StOff || state_q == StCheck || state_q == StStopped;

  always_comb begin
    reg_hit_o   = 1'b1;
    reg_rdata_o = '0;
    case (reg_addr_i)
      card_pkg::RegEventBaseLo:  reg_rdata_o = base_q[31:0];
      card_pkg::RegEventBaseHi:  reg_rdata_o = base_q[63:32];
      card_pkg::RegEventControl: reg_rdata_o = {20'd0, log2_q, 7'd0, enable_q};
      card_pkg::RegEventHead:    reg_rdata_o = head_q;
      card_pkg::RegEventTail:    reg_rdata_o = tail_q;
      default:                   reg_hit_o = 1'b0;
    endcase
  end

  // Events in; an SA event goes before an error that comes in the same cycle. SA events wait for room here; the ring
  // does not wait for the host: what finds it full is dropped and reported.
  logic         push, push_error, fifo_ready, head_valid, head_pop, full, sa_take;
  logic [167:0] push_data, head;
  logic [3:0]   level;
  assign sa_ready_o = off || fifo_ready;
  assign sa_take    = sa_valid_i && sa_ready_o;
  assign push       = !off && (sa_take || error_pending_q);
  assign push_error = error_pending_q && !sa_take;
  assign push_data  = push_error ? {cycles_i, 22'd0, error_cause_i, 32'd0, 32'hffffffff, card_pkg::EventTypeError}
                                 : {cycles_i, sa_arg_i, sa_spi_i, sa_index_i, sa_type_i};
  stream_fifo #(.Width(168), .Depth(8)) u_fifo (
    .clk_i(clk_i), .rst_ni(rst_ni && !off), .valid_i(push), .ready_o(fifo_ready), .data_i(push_data),
    .valid_o(head_valid), .ready_i(head_pop), .data_o(head), .level_o(level)
  );
  assign full     = tail_q - head_q >= size;
  assign head_pop = (state_q == StOn && full) || (state_q == StSend && wr_ready_i);
  assign lost_o   = (push && !fifo_ready) || (state_q == StOn && head_valid && full);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q         <= StOff;
      enable_q        <= 1'b0;
      error_pending_q <= 1'b0;
      stale_q         <= 1'b0;
      log2_q          <= '0;
      base_q          <= '0;
      head_q          <= '0;
      tail_q          <= '0;
    end else begin
      error_pending_q <= !off && (error_new_i || (error_pending_q && sa_take));
      if (wr_done_i) stale_q <= 1'b0;
      if (reg_wr_i && !enable_q) begin
        if (at_lo_q) base_q[31:0] <= reg_wdata_i;
        if (at_hi_q) base_q[63:32] <= reg_wdata_i;
        if (at_control_q) log2_q <= reg_wdata_i[card_pkg::EventControlLog2SizeLsb +: 4];
      end
      if (reg_wr_i && at_head_q && enable_q && !bad_head) head_q <= reg_wdata_i;
      case (state_q)
        StCheck:  if (chk_done_i) state_q <= chk_ok_i && base_q[5:0] == '0 ? StOn : StStopped;
        StOn:     if (head_valid && !full && !stale_q) state_q <= StSend;
        StSend:   if (wr_ready_i) state_q <= StAnswer;
        StAnswer: if (wr_done_i) begin
          state_q <= wr_done_err_i ? StStopped : StOn;
          if (!wr_done_err_i) tail_q <= tail_q + 32'd1;
        end
        default: ;
      endcase
      if (wr_control) begin
        enable_q <= enable_new;
        if (enable_new != enable_q) begin
          state_q <= enable_new ? StCheck : StOff;
          head_q  <= '0;
          tail_q  <= '0;
          if ((state_q == StAnswer && !wr_done_i) || (state_q == StSend && wr_ready_i)) stale_q <= 1'b1;
        end
      end
    end
  end

  assign bad_doorbell_o = reg_wr_i && at_head_q && enable_q && bad_head;
  assign bad_config_o   = state_q == StCheck && chk_done_i && !(chk_ok_i && base_q[5:0] == '0);
  assign chk_req_o      = state_q == StCheck;
  assign chk_addr_o     = base_q;
  assign chk_len_o      = size << 5;  // EventBytes

  logic [255:0] entry;
  logic         upper;
  always_comb begin
    entry = '0;
    entry[card_pkg::EventPhaseLsb]         = (tail_q & size) == '0;
    entry[card_pkg::EventTypeLsb +: 8]     = head[7:0];
    entry[card_pkg::EventSaIndexLsb +: 32] = head[39:8];
    entry[card_pkg::EventSpiLsb +: 32]     = head[71:40];
    entry[card_pkg::EventArgLsb +: 32]     = head[103:72];
    entry[card_pkg::EventCycleLsb +: 64]   = head[167:104];
  end
  assign upper      = tail_q[0] && log2_q != '0;
  assign wr_valid_o = state_q == StSend;
  assign wr_addr_o  = base_q + {26'd0, (tail_q & mask) >> 1, 6'd0};
  assign wr_data_o  = {entry, entry};
  assign wr_strb_o  = upper ? {32'hffffffff, 32'd0} : {32'd0, 32'hffffffff};
  assign written_o  = state_q == StAnswer && wr_done_i && !wr_done_err_i;
  assign idle_o     = (state_q == StOff || state_q == StStopped || (state_q == StOn && !head_valid)) &&
                      !error_pending_q && !stale_q;
  logic unused;
  assign unused = ^level;
endmodule
