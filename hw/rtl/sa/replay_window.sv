// Anti-replay window of one SA (RFC 4303 s3.4.3): verdict on one sequence number and the window after it.
// Combinational; the caller has compared the number with the window's top. Without ESN.
// Bit n of the bitmap stands for the sequence number top - n.
module replay_window #(
  parameter int Size = 64  // bits, a power of two
) (
  input  logic            zero_i,      // the sequence number is 0
  input  logic            ahead_i,     // it is right of top
  input  logic [31:0]     distance_i,  // |number - top|
  input  logic [10:0]     window_i,    // packets, 0: no check, else up to Size
  input  logic [Size-1:0] bitmap_i,
  output logic            ok_o,        // neither 0, left of the window nor seen before
  output logic [Size-1:0] bitmap_o     // with the number seen; top moves to it when ahead_i
);
  localparam int Shift = $clog2(Size);
  logic             in_map;            // of the bitmap
  logic [Shift-1:0] distance;
  logic [Size-1:0]  mark, moved;

  assign in_map   = distance_i < 32'(Size);
  assign distance = distance_i[Shift-1:0];
  assign mark     = in_map ? Size'(1) << distance : Size'(0);
  assign moved    = in_map ? bitmap_i << distance : Size'(0);
  assign bitmap_o = ahead_i ? moved | Size'(1) : bitmap_i | mark;
  assign ok_o     = window_i == '0 ||
                    (!zero_i && (ahead_i || (distance_i < 32'(window_i) && (bitmap_i & mark) == '0)));
endmodule
