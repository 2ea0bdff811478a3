// Packet buffer in block RAM: rows of 64 octets = 8 words, first octet and first word on top.
// Any set of words of one row is written in a cycle (bit w of wr_word_en_i: word w). A read gives a whole row one
// cycle later and holds it while rd_en_i is low; word 0 may come from the following row instead, so that a word
// that straddles two rows by 4 octets can be read in one go. Contents are never reset.
module lane_buffer #(
  parameter int Rows      = 1024,
  localparam int AddrBits = $clog2(Rows)
) (
  input  logic                clk_i,
  input  logic [7:0]          wr_word_en_i,
  input  logic [AddrBits-1:0] wr_addr_i,
  input  logic [511:0]        wr_data_i,
  input  logic                rd_en_i,
  input  logic [AddrBits-1:0] rd_addr_i,
  input  logic                rd_next_first_i,  // word 0 comes from the row after rd_addr_i
  output logic [511:0]        rd_data_o
);
  for (genvar w = 0; w < 8; w++) begin : gen_word
    localparam int Low = 64 * (7 - w);
    logic [63:0] word;
    sdp_ram #(.Width(64), .Depth(Rows)) u_ram (
      .clk_i(clk_i),
      .wr_en_i(wr_word_en_i[w]), .wr_addr_i(wr_addr_i), .wr_data_i(wr_data_i[Low +: 64]),
      .rd_en_i(rd_en_i), .rd_addr_i((w == 0 && rd_next_first_i) ? rd_addr_i + 1'b1 : rd_addr_i),
      .rd_data_o(word)
    );
    assign rd_data_o[Low +: 64] = word;
  end
endmodule
