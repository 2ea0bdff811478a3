// Anti-replay window of one SA (RFC 4303 s3.4.3): verdict on one number, and the window after it. The bitmap is a
// ring: bit n stands for the numbers n modulo Size, so that nothing is ever shifted. When the window moves, the
// circular range (old top, new top] is cleared by thermometer masks, word by word.
// The number is the whole one; inferring its high word (ESN) is the caller's, and keeping the state too.
// Latency 1 cycle: ok_o, ahead_o and bitmap_o belong to the inputs of the last cycle with en_i; take_i is of their
// cycle. One number a cycle; with the state handed back by the caller, one number every 2 cycles on one SA.
module sad_window #(
  parameter int Size = 64,      // bits of the ring, a power of two, at least 32
  parameter int SeqBits = 64    // bits of a number, more than $clog2(Size)
) (
  input  logic               clk_i,
  input  logic               en_i,
  input  logic [SeqBits-1:0] seq_i,
  input  logic [SeqBits-1:0] top_i,      // highest number taken
  input  logic [5:0]         window_i,   // size in units of 32 numbers, up to Size / 32; 0: no check
  input  logic [Size-1:0]    bitmap_i,
  // one cycle later
  input  logic               take_i,     // the ICV was good: mark the number if ok_o
  output logic               ok_o,       // not 0, not left of the window, not seen before; or no check
  output logic               ahead_o,    // right of the top: the new top, if taken
  output logic [Size-1:0]    bitmap_o
);
  localparam int Pos    = $clog2(Size);
  localparam int Words  = Size / 32;
  localparam int Groups = Size / 16;
  // Not ~Words'(1) and not a parameter of '1: Yosys 0.23 reads both otherwise

  // First cycle: differences, masks, one candidate bit of each group of 16
  logic [SeqBits:0]   below;             // top - seq, borrow on top
  logic [SeqBits-1:0] above;             // seq - top
  logic [Pos-1:0]     top_pos, seq_pos, top_word, seq_word;
  logic               wrap, same;
  logic [31:0]        after_top, upto_seq;
  logic [Words-1:0]   behind_top, before_seq;  // words
  assign below    = {1'b0, top_i} - {1'b0, seq_i};
  assign above    = seq_i - top_i;
  assign top_pos  = top_i[Pos-1:0];
  assign seq_pos  = seq_i[Pos-1:0];
  assign top_word = top_pos >> 5;
  assign seq_word = seq_pos >> 5;
  assign wrap     = seq_pos <= top_pos;
  assign same     = seq_word == top_word;
  assign after_top = 32'hffff_fffe << top_pos[4:0];
  assign behind_top = ({Words{1'b1}} << 1) << top_word;
  assign before_seq = ~({Words{1'b1}} << seq_word);
  assign upto_seq  = ~(32'hffff_fffe << seq_pos[4:0]);

  logic               ahead_q, zero_q, check_q;
  logic [SeqBits-1:0] below_q, above_q;
  logic [5:0]         window_q;
  logic [Pos-1:0]     pos_q;
  logic [Size-1:0]    bitmap_q;
  logic [Groups-1:0]  candidate_q;
  logic [Words-1:0]   whole_q, first_q, last_q, mark_q;  // words: cleared, cleared by first / last mask, of the number
  logic [31:0]        first_mask_q, last_mask_q, bit_q;
  always_ff @(posedge clk_i) if (en_i) begin
    ahead_q      <= below[SeqBits];
    below_q      <= below[SeqBits-1:0];
    above_q      <= above;
    zero_q       <= seq_i == '0;
    check_q      <= window_i != '0;
    window_q     <= window_i;
    pos_q        <= seq_pos;
    bitmap_q     <= bitmap_i;
    first_mask_q <= !same ? after_top : (wrap ? after_top | upto_seq : after_top & upto_seq);
    last_mask_q  <= upto_seq;
    bit_q        <= 32'd1 << seq_pos[4:0];
    for (int g = 0; g < Groups; g++) candidate_q[g] <= bitmap_i[16*g + 32'(seq_pos[3:0])];
    for (int w = 0; w < Words; w++) begin
      whole_q[w] <= wrap ? behind_top[w] || before_seq[w] : behind_top[w] && before_seq[w];
      first_q[w] <= Pos'(w) == top_word;
      last_q[w]  <= Pos'(w) == seq_word && !same;
      mark_q[w]  <= Pos'(w) == seq_word;
    end
  end

  // Second cycle
  logic in_window, seen, far, take;
  assign in_window = below_q[SeqBits-1:Pos] == '0 && 11'(below_q[Pos-1:0]) < {window_q, 5'd0};
  assign seen      = candidate_q[pos_q[Pos-1:4]];
  assign far       = ahead_q && above_q[SeqBits-1:Pos] != '0;
  assign ahead_o   = ahead_q;
  assign ok_o      = !check_q || (!zero_q && (ahead_q || (in_window && !seen)));
  assign take      = take_i && ok_o;
  for (genvar w = 0; w < Words; w++) begin : gen_word
    logic [31:0] old, clear, moved;
    assign old   = bitmap_q[32*w +: 32];
    assign clear = {32{ahead_q && whole_q[w]}} | ({32{ahead_q && first_q[w]}} & first_mask_q) |
                   ({32{ahead_q && last_q[w]}} & last_mask_q);
    assign moved = (old & ~clear & ~{32{far}}) | ({32{mark_q[w]}} & bit_q);
    assign bitmap_o[32*w +: 32] = take ? moved : old;
  end
  logic unused;
  assign unused = ^{above_q[Pos-1:0], pos_q[3:0]};
endmodule
