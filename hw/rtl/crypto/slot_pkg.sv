// Packet slots of a lane: slots below JumboSlots hold a stream of up to 9,216 octets, the others of up to 2,048.
// A row is 64 octets of a slot's stream in the lane's buffers.
package slot_pkg;
  localparam int JumboBytes = 9216;
  localparam int SmallBytes = 2048;
  localparam int JumboRows  = JumboBytes / 64;  // 144
  localparam int SmallRows  = SmallBytes / 64;  // 32

  // First row of a slot. 144 n = 128 n + 16 n, 32 n: no multiplier.
  function automatic logic [15:0] base(input logic [15:0] slot, input logic [15:0] jumbo_slots);
    logic [10:0] above;  // 2,047 small slots at most
    above = 11'(slot - jumbo_slots);
    if (slot < jumbo_slots) base = {slot[8:0], 7'd0} + {slot[11:0], 4'd0};
    else base = {jumbo_slots[8:0], 7'd0} + {jumbo_slots[11:0], 4'd0} + {above, 5'd0};
  endfunction
endpackage
