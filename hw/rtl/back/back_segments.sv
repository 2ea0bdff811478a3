// Asks for the memory writes of a result: one to the destination buffer, or one a destination segment as far as the
// result reaches. Segments of no length are passed over. One request two cycles after the job; 4 cycles a segment.
module back_segments #(
  parameter int SlotBits = 7
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  output logic                idle_o,
  // segments, written before the slot is opened
  input  logic                dseg_we_i,
  input  logic [SlotBits-1:0] dseg_slot_i,
  input  logic [2:0]          dseg_index_i,
  input  logic [63:0]         dseg_addr_i,
  input  logic [15:0]         dseg_len_i,
  // result
  input  logic                job_valid_i,
  output logic                job_ready_o,
  input  logic [SlotBits-1:0] job_slot_i,
  input  logic [63:0]         job_addr_i,
  input  logic                job_segmented_i,
  input  logic [15:0]         job_len_i,
  output logic                job_done_o,      // one cycle, in order: the slot's segments are no longer needed
  // requests
  output logic                wr_valid_o,
  input  logic                wr_ready_i,
  output logic [63:0]         wr_addr_o,
  output logic [15:0]         wr_len_o,
  output logic                wr_last_o
);
  typedef enum logic [2:0] {StIdle, StRead, StRam, StCut, StAsk} state_e;
  state_e              state_q;
  logic [SlotBits-1:0] slot_q;
  logic [2:0]          index_q;
  logic [63:0]         addr_q, seg_addr;
  logic [15:0]         left_q, len_q, seg_len;
  logic                last_q, taken;

  sdp_ram #(.Width(80), .Depth(8 << SlotBits)) u_segments (
    .clk_i(clk_i), .wr_en_i(dseg_we_i), .wr_addr_i({dseg_slot_i, dseg_index_i}), .wr_data_i({dseg_addr_i, dseg_len_i}),
    .rd_en_i(state_q == StRead), .rd_addr_i({slot_q, index_q}), .rd_data_o({seg_addr, seg_len})
  );

  assign taken = state_q == StAsk && wr_ready_i;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) state_q <= StIdle;
    else begin
      case (state_q)
        StIdle:  if (job_valid_i) state_q <= job_segmented_i ? StRead : StAsk;
        StRead:  state_q <= StRam;
        StRam:   state_q <= StCut;
        StCut:   state_q <= len_q == 16'd0 ? StRead : StAsk;
        default: if (wr_ready_i) state_q <= last_q ? StIdle : StRead;
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    case (state_q)
      StIdle: begin
        slot_q  <= job_slot_i;
        index_q <= 3'd0;
        addr_q  <= job_addr_i;
        len_q   <= job_len_i;
        left_q  <= job_len_i;
        last_q  <= 1'b1;
      end
      StRam: begin
        addr_q  <= seg_addr;
        len_q   <= seg_len;
        index_q <= index_q + 3'd1;
      end
      StCut: begin
        last_q <= left_q <= len_q;
        if (left_q <= len_q) len_q <= left_q;
      end
      StAsk:   if (taken) left_q <= left_q - len_q;
      default: ;
    endcase
  end
  assign job_ready_o = state_q == StIdle;
  assign job_done_o  = taken && last_q;
  assign wr_valid_o  = state_q == StAsk;
  assign wr_addr_o   = addr_q;
  assign wr_len_o    = len_q;
  assign wr_last_o   = last_q;
  assign idle_o      = state_q == StIdle;
endmodule
