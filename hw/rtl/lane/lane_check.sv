// Checks inside a decrypted packet, as its words pass (RFC 4303 s3.4.4.1): pad length, padding 1, 2, 3 .., next header,
// then version, length and permission of the inner packet; finds how long the inner packet is, so that padding and
// traffic flow confidentiality octets behind it fall away. A packet to protect only gets its time stamp here.
// done_* comes two cycles after a packet's last word.
module lane_check #(
  parameter int Slots     = 32,
  parameter int SlotBytes = 2048,
  localparam int SlotBits = $clog2(Slots),
  localparam int IdxBits  = $clog2(SlotBytes / 8)
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic [31:0]         cycle_i,
  // Job taken into a slot: inner families that its SA allows.
  input  logic                take_i,
  input  logic [SlotBits-1:0] take_slot_i,
  input  logic                take_inner_v4_i,
  input  logic                take_inner_v6_i,
  // Words of the result, in order within a slot.
  input  logic                x_valid_i,
  input  logic [SlotBits-1:0] x_slot_i,
  input  logic                x_encap_i,
  input  logic [IdxBits-1:0]  x_index_i,
  input  logic                x_last_i,
  input  logic [63:0]         x_out_i,
  output logic                done_valid_o,
  output logic [SlotBits-1:0] done_slot_o,
  output logic [7:0]          done_status_o,
  output logic [15:0]         done_len_o,          // decap and Ok: octets of the inner packet
  output logic [7:0]          done_next_header_o,  // decap: from the trailer
  output logic [31:0]         done_cycle_o
);
  localparam logic [7:0] NextIpv4  = 8'd4;   // IANA protocol numbers
  localparam logic [7:0] NextIpv6  = 8'd41;
  localparam logic [7:0] NextDummy = 8'd59;

  logic        v4_mem [0:Slots-1];
  logic        v6_mem [0:Slots-1];
  logic [63:0] head_mem [0:Slots-1];  // first word of the inner packet
  logic [7:0]  run_mem [0:Slots-1];   // m > 0: the slot's last m octets are 1, 2 .. m; 0: no such m

  always_ff @(posedge clk_i) begin
    if (take_i) begin
      v4_mem[take_slot_i] <= take_inner_v4_i;
      v6_mem[take_slot_i] <= take_inner_v6_i;
    end
  end

  // The run that ends with the last of `len` octets at the low end of a word, given the run before them. The last
  // octet says how long it must be; it counts if the octets before it go down from there and, where it starts
  // earlier than these octets, the run before fits.
  function automatic logic [7:0] run_of(input logic [63:0] octets, input logic [7:0] len, input logic [7:0] earlier);
    logic [7:0] m;
    logic       ok;
    m  = octets[7:0];
    ok = m != 8'd0;
    for (int k = 1; k < 8; k++)
      if (8'(k) < m && 8'(k) < len && octets[8*k +: 8] != m - 8'(k)) ok = 1'b0;
    if (m > len && earlier != m - len) ok = 1'b0;
    run_of = ok ? m : 8'd0;
  endfunction

  // Stage 1: runs.
  logic                k1_valid_q, k1_encap_q, k1_pad_ok_q;
  logic [SlotBits-1:0] k1_slot_q;
  logic [IdxBits-1:0]  k1_index_q;
  logic [7:0]          k1_pad_len_q, k1_next_q;
  logic [7:0]          run_before;
  logic                x_decap;
  assign x_decap    = x_valid_i && !x_encap_i;
  assign run_before = (x_index_i == '0) ? 8'd0 : run_mem[x_slot_i];
  always_ff @(posedge clk_i) k1_valid_q <= rst_ni && x_valid_i && x_last_i;
  always_ff @(posedge clk_i) begin
    if (x_decap) run_mem[x_slot_i] <= run_of(x_out_i, 8'd8, run_before);
    if (x_decap && x_index_i == '0) head_mem[x_slot_i] <= x_out_i;
    if (x_valid_i && x_last_i) begin
      k1_slot_q    <= x_slot_i;
      k1_encap_q   <= x_encap_i;
      k1_index_q   <= x_index_i;
      k1_pad_len_q <= x_out_i[15:8];
      k1_next_q    <= x_out_i[7:0];
      k1_pad_ok_q  <= x_out_i[15:8] == 8'd0 || run_of({16'd0, x_out_i[63:16]}, 8'd6, run_before) == x_out_i[15:8];
    end
  end

  // Stage 2: verdict.
  logic [63:0]        head;
  logic [IdxBits+3:0] recovered;  // octets between IV and trailer
  logic               pad_ok, v4_ok, v6_ok;
  logic [7:0]         status;
  logic [15:0]        v4_len, inner_len;
  logic [16:0]        v6_len;
  assign head      = head_mem[k1_slot_q];
  assign recovered = {1'b0, k1_index_q, 3'd6};  // of all blocks without pad length and next header
  assign pad_ok    = k1_pad_ok_q && (IdxBits+4)'(k1_pad_len_q) <= recovered;
  assign v4_len    = head[47:32];                   // RFC 791 total length
  assign v6_len    = 17'(head[31:16]) + 17'd40;     // RFC 8200 payload length and fixed header
  assign inner_len = (k1_next_q == NextIpv4) ? v4_len : v6_len[15:0];
  assign v4_ok     = v4_mem[k1_slot_q] && head[63:60] == 4'd4 && head[59:56] >= 4'd5 &&
                     v4_len >= {10'd0, head[59:56], 2'd0} &&
                     17'(v4_len) + 17'(k1_pad_len_q) <= 17'(recovered);
  assign v6_ok     = v6_mem[k1_slot_q] && head[63:60] == 4'd6 && v6_len + 17'(k1_pad_len_q) <= 17'(recovered);
  always_comb begin
    status = card_pkg::StatusOk;
    if (!k1_encap_q) begin
      if (!pad_ok) status = card_pkg::StatusBadPadding;
      else if (k1_next_q == NextDummy) status = card_pkg::StatusDummy;
      else if (k1_next_q != NextIpv4 && k1_next_q != NextIpv6) status = card_pkg::StatusBadNextHeader;
      else if (!(k1_next_q == NextIpv4 ? v4_ok : v6_ok)) status = card_pkg::StatusBadInner;
    end
  end

  logic                done_valid_q;
  logic [SlotBits-1:0] done_slot_q;
  logic [7:0]          done_status_q, done_next_header_q;
  logic [15:0]         done_len_q;
  logic [31:0]         done_cycle_q;
  always_ff @(posedge clk_i) done_valid_q <= rst_ni && k1_valid_q;
  always_ff @(posedge clk_i) begin
    if (k1_valid_q) begin
      done_slot_q        <= k1_slot_q;
      done_status_q      <= status;
      done_next_header_q <= k1_encap_q ? 8'd0 : k1_next_q;
      done_len_q         <= inner_len;
      done_cycle_q       <= cycle_i;
    end
  end
  assign done_valid_o       = done_valid_q;
  assign done_slot_o        = done_slot_q;
  assign done_status_o      = done_status_q;
  assign done_len_o         = done_len_q;
  assign done_next_header_o = done_next_header_q;
  assign done_cycle_o       = done_cycle_q;

  logic unused;
  assign unused = &{1'b0, head[55:48], head[15:0]};
endmodule
