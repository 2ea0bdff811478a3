// Stream buffer: rows of 64 octets = 8 words of 64 bits, first octet on top, each word in a bank of its own (UltraRAM).
// Any set of words of a row is written in a cycle (bit w of wr_word_en_i: word w). A row comes 2 cycles after its
// read and holds only until the next read's row; a read in the cycle of a write to the same word gives the old one.
// Contents are never reset.
module crypto_buffer #(
  parameter int Rows      = 1024,
  localparam int AddrBits = $clog2(Rows)
) (
  input  logic                clk_i,
  input  logic [7:0]          wr_word_en_i,
  input  logic [AddrBits-1:0] wr_addr_i,
  input  logic [511:0]        wr_data_i,
  input  logic                rd_en_i,
  input  logic [AddrBits-1:0] rd_addr_i,
  output logic [511:0]        rd_data_o
);
  logic rd_en_q;
  always_ff @(posedge clk_i) rd_en_q <= rd_en_i;
  for (genvar w = 0; w < 8; w++) begin : gen_bank
    localparam int Low = 64 * (7 - w);
    (* ram_style = "ultra" *)
    logic [63:0] mem [0:Rows-1];
    logic [63:0] row_q, out_q;
    always_ff @(posedge clk_i) if (wr_word_en_i[w]) mem[wr_addr_i] <= wr_data_i[Low +: 64];
    always_ff @(posedge clk_i) if (rd_en_i) row_q <= mem[rd_addr_i];
    always_ff @(posedge clk_i) if (rd_en_q) out_q <= row_q;
    assign rd_data_o[Low +: 64] = out_q;
  end
endmodule
