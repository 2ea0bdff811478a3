// Soft reset: the bus masters stop and end what they began, then everything that holds packets is reset while the
// SA table and the registers stay.
module card_reset (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic request_i,    // one cycle
  input  logic bus_idle_i,   // no transaction was outstanding a cycle ago
  output logic stop_o,       // to the bus masters
  output logic flush_o,      // reset of the packet path, 16 cycles
  output logic busy_o
);
  typedef enum logic [1:0] {StRun, StStop, StFlush} state_e;
  state_e     state_q, state_d;
  logic [3:0] count_q;
  logic [1:0] heard_q;  // the masters know of the stop, and bus_idle_i is from when they did
  always_comb begin
    state_d = state_q;
    case (state_q)
      StStop:  if (heard_q[1] && bus_idle_i) state_d = StFlush;
      StFlush: if (count_q == 4'd15) state_d = StRun;
      default: if (request_i) state_d = StStop;
    endcase
  end
  // Both outputs go far, so they are registers of their own.
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= StRun;
      count_q <= '0;
      heard_q <= '0;
      stop_o  <= 1'b0;
      flush_o <= 1'b0;
    end else begin
      state_q <= state_d;
      heard_q <= {heard_q[0], 1'b1} & {2{state_q == StStop}};
      if (state_q == StFlush) count_q <= count_q + 4'd1;
      stop_o  <= state_d != StRun;
      flush_o <= state_d == StFlush;
    end
  end
  assign busy_o = stop_o;
endmodule
