// sad_window against the definition of the window (RFC 4303 s3.4.3): arbitrary state and number, one step. The module
// keeps nothing beyond that step, so a few steps from any state are the whole proof.
module sad_window_props #(
  parameter int Size = 64,
  parameter int SeqBits = 8
) (
  input logic               clk_i,
  input logic [SeqBits-1:0] seq_i,
  input logic [SeqBits-1:0] top_i,
  input logic [5:0]         window_i,
  input logic [Size-1:0]    bitmap_i,
  input logic               clear_i,
  input logic               start_i,
  input logic               take_i
);
  localparam int Pos = $clog2(Size);
  logic            ok, ahead, seen;
  logic [Size-1:0] bitmap;
  sad_window #(.Size(Size), .SeqBits(SeqBits)) dut (
    .clk_i(clk_i), .en_i(1'b1), .seq_i(seq_i), .word_i((Size/32)'(1) << (seq_i[Pos-1:0] >> 5)), .lap_next_i((seq_i >> Pos) + 1'b1), .lap_prev_i((seq_i >> Pos) - 1'b1),
    .top_i(top_i), .window_i(window_i), .bitmap_i(bitmap_i),
    .clear_i(clear_i), .start_i(start_i), .take_i(take_i), .ok_o(ok), .ahead_o(ahead), .seen_o(seen), .bitmap_o(bitmap)
  );
  logic               past_q = 1'b0, clear_q, start_q;
  logic [SeqBits-1:0] seq_q, top_q;
  logic [5:0]         window_q;
  logic [Size-1:0]    map_q;
  always @(posedge clk_i) begin
    past_q   <= 1'b1;
    seq_q    <= seq_i;
    top_q    <= top_i;
    window_q <= window_i;
    map_q    <= bitmap_i;
    clear_q  <= clear_i;
    start_q  <= start_i;
  end
  always @(*) assume (window_i <= 6'(Size / 32));

  logic               wanted_ok;
  logic [SeqBits-1:0] new_top;
  always_comb begin
    wanted_ok = 1'b0;
    if (window_q == '0) wanted_ok = 1'b1;
    else if (seq_q == '0) wanted_ok = 1'b0;
    else if (seq_q > top_q) wanted_ok = 1'b1;
    else if (32'(top_q) - 32'(seq_q) >= 32 * 32'(window_q)) wanted_ok = 1'b0;
    else wanted_ok = !map_q[seq_q[Pos-1:0]];
    new_top = take_i && wanted_ok && seq_q > top_q ? seq_q : top_q;
  end
  always @(posedge clk_i) if (past_q) begin
    assert (seen == map_q[seq_q[Pos-1:0]]);
    if (clear_q) begin
      assert (bitmap == (start_q ? Size'(1) << seq_q[Pos-1:0] : '0));
`ifdef REACH_1  // each must fail: the case exists
      assert (!(start_q && map_q == '1));
`endif
    end else begin
      assert (ok == wanted_ok);
      assert (ahead == (seq_q > top_q));
`ifdef REACH_2
      assert (!(ok && take_i && ahead && 32'(seq_q) - 32'(top_q) < Size && seq_q[Pos-1:0] < top_q[Pos-1:0]));
`endif
`ifdef REACH_3
      assert (!(ok && take_i && ahead && 32'(seq_q) - 32'(top_q) >= Size));
`endif
`ifdef REACH_4
      assert (!(!ok && seq_q != '0 && 32'(top_q) - 32'(seq_q) < 32));
`endif
    end
  end
  // Each place of the ring, which stands for the highest number up to the new top that has it
  for (genvar n = 0; n < Size; n++) begin : gen_place
    logic [SeqBits:0] number;             // top bit: there is none yet
    logic             wanted;
    assign number = {1'b0, new_top} - (SeqBits + 1)'(Pos'(new_top[Pos-1:0] - Pos'(n)));
    assign wanted = (take_i && wanted_ok && number == {1'b0, seq_q}) ||
                    (number <= {1'b0, top_q} && 32'(top_q) - 32'(number) < Size && map_q[n]);
    // An old number with no check may lie left of the ring: its bit then belongs to nobody who looks
    always @(posedge clk_i)
      if (past_q && !clear_q && !number[SeqBits] && window_q != '0) assert (bitmap[n] == wanted);
  end
endmodule
