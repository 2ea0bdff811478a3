// The card's clock: cycles and seconds since reset, cycles with work in flight.
// A simulator that stops clocking an idle card adds the cycles it left out to cycles_q, second_q and seconds_q;
// nothing else in the card counts time.
module card_time #(
  parameter int ClockHz = 300000000
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        busy_i,     // a packet is in flight
  output logic [63:0] cycles_o,
  output logic [63:0] busy_cycles_o,
  output logic [31:0] seconds_o
);
  logic [63:0] cycles_q, busy_cycles_q;
  logic [31:0] second_q;   // cycles into the current second
  logic [31:0] seconds_q;
  logic        tick;
  assign tick = second_q == 32'(ClockHz - 1);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      cycles_q      <= '0;
      busy_cycles_q <= '0;
      second_q      <= '0;
      seconds_q     <= '0;
    end else begin
      cycles_q      <= cycles_q + 64'd1;
      busy_cycles_q <= busy_cycles_q + 64'(busy_i);
      second_q      <= tick ? 32'd0 : second_q + 32'd1;
      seconds_q     <= seconds_q + 32'(tick);
    end
  end
  assign cycles_o      = cycles_q;
  assign busy_cycles_o = busy_cycles_q;
  assign seconds_o     = seconds_q;
endmodule
