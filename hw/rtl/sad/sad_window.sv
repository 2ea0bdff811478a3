// Anti-replay window of one SA (RFC 4303 s3.4.3): verdict on one number, and the window after it. The bitmap is a
// ring: bit n stands for the numbers n modulo Size, so that nothing is ever shifted. When the window moves, the
// circular range (old top, new top] is cleared by thermometer masks, word by word.
// The number is the whole one; inferring its high word (ESN) is the caller's, and keeping the state too.
// Latency 1 cycle: ok_o, ahead_o, seen_o and bitmap_o belong to the inputs of the last cycle with en_i; take_i is of
// their cycle. One number a cycle; with the state handed back by the caller, one number every 2 cycles on one SA.
module sad_window #(
  parameter int Size = 64,      // bits of the ring, a power of two, at least 32
  parameter int SeqBits = 64    // bits of a number, more than $clog2(Size)
) (
  input  logic               clk_i,
  input  logic               en_i,
  input  logic [SeqBits-1:0] seq_i,
  input  logic [Size/32-1:0] word_i,     // one-hot: the number's word of the ring
  input  logic [SeqBits-1:0] lap_next_i, // seq_i / Size + 1
  input  logic [SeqBits-1:0] lap_prev_i, // seq_i / Size - 1; of both the low SeqBits - $clog2(Size) bits count
  input  logic [SeqBits-1:0] top_i,      // highest number taken
  input  logic [5:0]         window_i,   // size in units of 32 numbers, up to Size / 32; 0: no check
  input  logic [Size-1:0]    bitmap_i,
  input  logic               clear_i,    // whatever take_i says, the bitmap becomes empty
  input  logic               start_i,    // with clear_i: but for the number's bit
  // one cycle later
  input  logic               take_i,     // the ICV was good: mark the number if ok_o
  output logic               ok_o,       // not 0, not left of the window, not seen before; or no check; not with clear_i
  output logic               ahead_o,    // right of the top: the new top, if taken; not with clear_i
  output logic               seen_o,     // the bit of the number's place in the ring
  output logic [Size-1:0]    bitmap_o
);
  localparam int Pos   = $clog2(Size);
  localparam int Words = Size / 32;
  // Not ~Words'(1) and not a parameter of '1: Yosys 0.23 reads both otherwise

  // First cycle. A lap of the ring is what stands above a number's place in it. Two numbers are less than Size apart
  // when they are of one lap, or of neighbouring ones and the places cross; no subtraction of whole numbers has to end
  // before that is known.
  localparam int Lap = SeqBits - Pos;
  logic [Lap-1:0]     seq_lap, top_lap;
  logic [Pos-1:0]     top_pos, seq_pos, top_word, seq_word;
  logic               wrap, same;
  logic [31:0]        after_top, upto_seq;
  logic [Words-1:0]   behind_top, before_seq;  // words
  assign seq_lap  = seq_i[SeqBits-1:Pos];
  assign top_lap  = top_i[SeqBits-1:Pos];
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

  logic               ahead_q, lap_same_q, lap_next_q, lap_prev_q, behind_q, nonzero_q, free_q, clear_q;
  logic [Words-1:0]   candidate_q;       // the number's bit in its word, 0 in the others
  logic [Pos-1:0]     below_q;           // top - seq, low bits
  logic [5:0]         window_q;
  logic [Size-1:0]    bitmap_q;
  logic [Words-1:0]   whole_q, first_q, mark_q;  // words: cleared; of the top; of the number
  logic [31:0]        first_mask_q, last_mask_q, bit_q;
  always_ff @(posedge clk_i) if (en_i) begin
    ahead_q      <= seq_i > top_i || clear_i;
    lap_same_q   <= top_lap == seq_lap;
    lap_next_q   <= top_lap == lap_next_i[Lap-1:0];
    lap_prev_q   <= top_lap == lap_prev_i[Lap-1:0];
    behind_q     <= top_pos < seq_pos;
    nonzero_q    <= seq_i != '0;
    free_q       <= window_i == '0 || (seq_i > top_i);  // ok, whatever the bitmap says; 0 is above nothing
    below_q      <= top_pos - seq_pos;
    window_q     <= window_i;
    for (int w = 0; w < Words; w++) candidate_q[w] <= bitmap_i[32*w + 32'(seq_pos[4:0])] && word_i[w];
    clear_q      <= clear_i;
    bitmap_q     <= bitmap_i;
    mark_q       <= word_i;
    first_mask_q <= after_top;
    last_mask_q  <= !same ? upto_seq : (wrap ? after_top | upto_seq : after_top & upto_seq);
    bit_q        <= clear_i && !start_i ? '0 : 32'd1 << seq_pos[4:0];
    for (int w = 0; w < Words; w++) begin
      whole_q[w] <= wrap ? behind_top[w] || before_seq[w] : behind_top[w] && before_seq[w];
      first_q[w] <= Pos'(w) == top_word;
    end
  end

  // Second cycle. A word is kept, cleared, cleared by the first mask (that of the top), or is that of the number; so a
  // bit depends on itself, two bits of its word and three of its place in the word.
  logic        near, far, in_window, take;
  logic [31:0] last_mask;
  assign near      = lap_same_q || (lap_next_q && behind_q);              // of a number that is not ahead
  assign far       = clear_q || !(lap_same_q || (lap_prev_q && !behind_q)); // of one that is
  assign in_window = near && nonzero_q && 11'(below_q[Pos-1:0]) < {window_q, 5'd0};
  assign seen_o    = candidate_q != '0;
  assign ahead_o   = ahead_q;
  assign ok_o      = free_q || (in_window && !seen_o);
  assign take      = ok_o ? take_i || clear_q : clear_q;
  assign last_mask = {32{ahead_q}} & ({32{far}} | last_mask_q);
  logic unused;
  assign unused = ^{lap_next_i, lap_prev_i};
  for (genvar w = 0; w < Words; w++) begin : gen_word
    logic [31:0] old;
    logic [1:0]  kind;                   // 0 keep, 1 first mask, 2 the number's, 3 clear
    assign old     = bitmap_q[32*w +: 32];
    assign kind[1] = take && (mark_q[w] || (ahead_q && (far || whole_q[w])));
    assign kind[0] = take && (!mark_q[w] && ahead_q && (far || whole_q[w] || first_q[w]));
    assign bitmap_o[32*w +: 32] = kind[1] ? (kind[0] ? '0 : (old & ~last_mask) | bit_q)
                                          : (kind[0] ? old & ~first_mask_q : old);
  end
endmodule
