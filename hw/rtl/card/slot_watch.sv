// Watchdog of a lane's slots: looks at one slot a cycle and tells when one has been open for longer than
// 2^(Log2Cycles+1) cycles (at the latest after twice that). It reports; what to do about it is the host's choice.
module slot_watch #(
  parameter int Slots = 256,             // a power of two
  parameter int Log2Cycles = 23,         // 28 ms at 300 MHz
  localparam int SlotBits = $clog2(Slots)
) (
  input  logic                clk_i,
  input  logic                rst_ni,    // also low during a soft reset
  input  logic                open_i,    // one cycle
  input  logic [SlotBits-1:0] open_slot_i,
  input  logic                free_i,    // one cycle
  input  logic [SlotBits-1:0] free_slot_i,
  output logic                late_o     // one cycle a look
);
  logic [Log2Cycles+1:0] time_q;
  logic [1:0]            since_mem [0:Slots-1];  // quarter of the clock's round in which the slot was opened
  logic [Slots-1:0]      held_q;
  logic [SlotBits-1:0]   at_q;
  logic [1:0]            now, age;
  assign now = time_q[Log2Cycles+1 -: 2];
  assign age = now - since_mem[at_q];
  always_ff @(posedge clk_i) if (open_i) since_mem[open_slot_i] <= now;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      time_q <= '0;
      held_q <= '0;
      at_q   <= '0;
      late_o <= 1'b0;
    end else begin
      time_q <= time_q + 1'b1;
      at_q   <= at_q + 1'b1;
      late_o <= held_q[at_q] && age == 2'd3;
      if (open_i) held_q[open_slot_i] <= 1'b1;
      if (free_i) held_q[free_slot_i] <= 1'b0;
    end
  end
endmodule
