// Checks inside a packet that was authenticated and deciphered, as its words pass (RFC 4303 s3.4.4.1): pad length,
// padding 1, 2, 3 .., next header; in tunnel mode then version, length and permission of the inner packet, so that
// traffic flow confidentiality octets behind it fall away, and the checksum of an inner IPv4 header, before anything
// changes it. Extension headers of IPv6 are not looked at. Streams pass one after the other, so the state between
// words is one set of registers, whatever passes in between. AH and packets to protect only get their status and stamp.
// done_* comes six cycles after a packet's last word; one word a cycle.
module crypto_check #(
  parameter int SlotBits = 8
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic [31:0]         cycle_i,
  // Slot opened.
  input  logic                open_i,
  input  logic [SlotBits-1:0] open_slot_i,
  input  logic [13:0]         open_len_i,     // of the stream
  input  logic                open_null_i,    // NULL: payload starts at octet 8, else 16
  input  logic                open_tunnel_i,
  input  logic                open_v4_i,
  input  logic                open_v6_i,
  // Words of streams.
  input  logic                x_valid_i,
  input  logic [SlotBits-1:0] x_slot_i,
  input  logic                x_last_i,
  input  logic                x_decap_i,      // ESP decap
  input  logic                x_hash_i,       // comes back with the result
  input  logic                x_head_i,
  input  logic [63:0]         x_data_i,
  output logic                done_valid_o,
  output logic [SlotBits-1:0] done_slot_o,
  output logic                done_hash_o,
  output logic [7:0]          done_status_o,
  output logic [13:0]         done_len_o,
  output logic [7:0]          done_next_header_o,
  output logic [31:0]         done_cycle_o
);
  localparam logic [7:0] NextIpv4  = 8'd4;   // IANA protocol numbers
  localparam logic [7:0] NextIpv6  = 8'd41;
  localparam logic [7:0] NextDummy = 8'd59;
  localparam int Slots = 1 << SlotBits;

  // What is known of the slot, with its last word's k1.
  logic [13:0] r_len;
  logic        r_null, r_tunnel, r_v4, r_v6, last;
  assign last = x_valid_i && x_last_i;
  slot_ram #(.Width(18), .Depth(Slots)) u_record (
    .clk_i(clk_i), .wr_en_i(open_i), .wr_addr_i(open_slot_i),
    .wr_data_i({open_len_i, open_null_i, open_tunnel_i, open_v4_i, open_v6_i}),
    .rd_en_i(last), .rd_addr_i(x_slot_i), .rd_data_o({r_len, r_null, r_tunnel, r_v4, r_v6})
  );

  // Stage 1: the word.
  logic                k1_word_q, k1_head_q, k1_last_q, k1_decap_q, k1_hash_q;
  logic [SlotBits-1:0] k1_slot_q;
  logic [63:0]         k1_data_q, head_q;
  logic [31:0]         k1_cycle_q;
  always_ff @(posedge clk_i) begin
    k1_word_q <= rst_ni && x_valid_i && x_decap_i;
    k1_last_q <= rst_ni && last;
  end
  always_ff @(posedge clk_i) begin
    if (x_valid_i && (x_decap_i || x_last_i)) begin
      k1_head_q  <= x_head_i;
      k1_decap_q <= x_decap_i;
      k1_slot_q  <= x_slot_i;
      k1_hash_q  <= x_hash_i;
      k1_data_q  <= x_data_i;
      k1_cycle_q <= cycle_i;
    end
    if (x_valid_i && x_decap_i && x_head_i) head_q <= x_data_i;
  end

  // Beside it the sum of what would be an IPv4 header (RFC 791), 8 octets a word: two halves, their sum, the total. It
  // is believed for a packet's header at stage 4 of its last word.
  logic [3:0]  ip_left_q, ip_left;         // words of 4 octets from this one on
  logic [16:0] ip_high_q, ip_low_q;
  logic [17:0] ip_both_q;
  logic [20:0] ip_sum_q;                   // of up to 30 numbers
  assign ip_left = k1_head_q ? k1_data_q[59:56] : ip_left_q;
  always_ff @(posedge clk_i) begin
    if (k1_word_q) begin
      ip_left_q <= ip_left[3:1] == 3'd0 ? 4'd0 : ip_left - 4'd2;
      ip_high_q <= ip_left == 4'd0 ? 17'd0 : 17'(k1_data_q[63:48]) + 17'(k1_data_q[47:32]);
      ip_low_q  <= ip_left[3:1] == 3'd0 ? 17'd0 : 17'(k1_data_q[31:16]) + 17'(k1_data_q[15:0]);
    end
    if (m_word_q) ip_both_q <= 18'(ip_high_q) + 18'(ip_low_q);
    if (k2_word_q) ip_sum_q <= (k2_head_q ? 21'd0 : ip_sum_q) + 21'(ip_both_q);
  end

  // Stage 2: the octets before the trailer (those of other words: all). Where the stream ends in the middle of its last
  // word the trailer is octets 2 and 3 of it.
  logic                k1_half, m_word_q, m_last_q, m_decap_q, m_hash_q, m_head_q, m_null_q, m_tunnel_q, m_v4_q, m_v6_q;
  logic [SlotBits-1:0] m_slot_q;
  logic [63:0]         m_octets_q, m_ip_q;
  logic [3:0]          m_n_q;
  logic [7:0]          m_pad_q, m_next_q;
  logic [13:0]         m_len_q;
  logic [31:0]         m_cycle_q;
  assign k1_half = r_len[2];  // a stream that is checked is a multiple of 4 long
  always_ff @(posedge clk_i) begin
    m_word_q <= rst_ni && k1_word_q;
    m_last_q <= rst_ni && k1_last_q;
  end
  always_ff @(posedge clk_i) begin
    if (k1_word_q) begin
      m_head_q   <= k1_head_q;
      m_octets_q <= !k1_last_q ? k1_data_q : k1_half ? {48'd0, k1_data_q[63:48]} : {16'd0, k1_data_q[63:16]};
      m_n_q      <= !k1_last_q ? 4'd8 : k1_half ? 4'd2 : 4'd6;
    end
    if (k1_last_q) begin
      m_slot_q   <= k1_slot_q;
      m_decap_q  <= k1_decap_q;
      m_hash_q   <= k1_hash_q;
      m_pad_q    <= k1_half ? k1_data_q[47:40] : k1_data_q[15:8];
      m_next_q   <= k1_half ? k1_data_q[39:32] : k1_data_q[7:0];
      m_len_q    <= r_len;
      m_null_q   <= r_null;
      m_tunnel_q <= r_tunnel;
      m_v4_q     <= r_v4;
      m_v6_q     <= r_v6;
      m_cycle_q  <= k1_cycle_q;
      m_ip_q     <= head_q;
    end
  end

  // Stage 3: what these octets end with. Do they, or those of them that belong to it, go down 1 by 1 from the last?
  logic down;
  // Octet k from the end goes down to octet k - 1.
  logic [7:1] step;
  for (genvar k = 1; k < 8; k++) begin : gen_step
    assign step[k] = 8'(k) >= m_octets_q[7:0] || 4'(k) >= m_n_q || m_octets_q[8*k +: 8] + 8'd1 == m_octets_q[8*(k-1) +: 8];
  end
  assign down = m_octets_q[7:0] != 8'd0 && step == '1;
  logic                k2_word_q, k2_last_q, k2_decap_q, k2_hash_q, k2_head_q, k2_down_q, k2_over_q, k2_v4_q, k2_v6_q, k2_tunnel_q;
  logic [SlotBits-1:0] k2_slot_q;
  logic [7:0]          k2_run_q, k2_rest_q, k2_pad_q, k2_next_q;
  logic [13:0]         k2_room_q;   // octets between IV and trailer
  logic [31:0]         k2_cycle_q;
  logic [63:0]         k2_ip_q;     // first word of the payload
  always_ff @(posedge clk_i) begin
    k2_word_q <= rst_ni && m_word_q;
    k2_last_q <= rst_ni && m_last_q;
  end
  always_ff @(posedge clk_i) begin
    if (m_word_q) begin
      k2_head_q <= m_head_q;
      k2_down_q <= down;
      k2_run_q  <= m_octets_q[7:0];
      k2_over_q <= m_octets_q[7:0] > 8'(m_n_q);
      k2_rest_q <= m_octets_q[7:0] - 8'(m_n_q);
    end
    if (m_last_q) begin
      k2_slot_q   <= m_slot_q;
      k2_hash_q   <= m_hash_q;
      k2_decap_q  <= m_decap_q;
      k2_pad_q    <= m_pad_q;
      k2_next_q   <= m_next_q;
      k2_room_q   <= m_len_q - (m_null_q ? 14'd10 : 14'd18);  // 8 or 16, and the trailer's 2
      k2_v4_q     <= m_v4_q;
      k2_v6_q     <= m_v6_q;
      k2_tunnel_q <= m_tunnel_q;
      k2_cycle_q  <= m_cycle_q;
      k2_ip_q     <= m_ip_q;
    end
  end

  // Stage 4: run_q = m > 0: the octets up to here end with 1, 2 .. m; 0: with no such m.
  logic                k3_last_q, k3_decap_q, k3_hash_q, k3_pad_ok_q, k3_v4_q, k3_v6_q, k3_tunnel_q;
  logic [SlotBits-1:0] k3_slot_q;
  logic [7:0]          run_q, run, k3_next_q;
  logic [13:0]         k3_end_q;    // octets of payload without padding
  logic                k3_neg_q;
  logic [15:0]         k3_len_q;
  logic [31:0]         k3_cycle_q;
  logic [15:0]         v4_len, v6_len;
  assign v4_len = k2_ip_q[47:32];                 // RFC 791 total length
  assign v6_len = k2_ip_q[31:16] + 16'd40;        // RFC 8200 payload length and fixed header
  assign run    = (k2_down_q && (!k2_over_q || (!k2_head_q && run_q == k2_rest_q))) ? k2_run_q : 8'd0;
  always_ff @(posedge clk_i) k3_last_q <= rst_ni && k2_last_q;
  always_ff @(posedge clk_i) begin
    if (k2_word_q) run_q <= run;
    if (k2_last_q) begin
      k3_slot_q   <= k2_slot_q;
      k3_hash_q   <= k2_hash_q;
      k3_decap_q  <= k2_decap_q;
      k3_pad_ok_q <= k2_pad_q == 8'd0 || run == k2_pad_q;
      {k3_neg_q, k3_end_q} <= {1'b0, k2_room_q} - 15'(k2_pad_q);
      k3_next_q   <= k2_next_q;
      // Version, then length: of the header for IPv4, no wrap for IPv6.
      k3_v4_q     <= k2_v4_q && k2_ip_q[63:60] == 4'd4 && k2_ip_q[59:56] >= 4'd5 && v4_len >= {10'd0, k2_ip_q[59:56], 2'd0};
      k3_v6_q     <= k2_v6_q && k2_ip_q[63:60] == 4'd6 && k2_ip_q[31:30] == 2'd0;
      k3_len_q    <= (k2_next_q == NextIpv4) ? v4_len : v6_len;
      k3_tunnel_q <= k2_tunnel_q;
      k3_cycle_q  <= k2_cycle_q;
    end
  end

  // Stage 5: does the inner packet fit? Stage 6: verdict. A right checksum makes the sum, folded to 16 bits, all ones;
  // a carry out of the folding leaves far less.
  logic [15:0]         ip_folded_q;
  logic                k4_last_q, k4_decap_q, k4_hash_q, k4_pad_ok_q, k4_inner_ok_q, k4_v4_q, k4_known_q, k4_dummy_q, k4_tunnel_q;
  logic [SlotBits-1:0] k4_slot_q;
  logic [7:0]          k4_next_q;
  logic [13:0]         k4_len_q;
  logic [31:0]         k4_cycle_q;
  always_ff @(posedge clk_i) k4_last_q <= rst_ni && k3_last_q;
  always_ff @(posedge clk_i) begin
    if (k3_last_q) begin
      k4_slot_q     <= k3_slot_q;
      k4_hash_q     <= k3_hash_q;
      k4_decap_q    <= k3_decap_q;
      k4_pad_ok_q   <= k3_pad_ok_q && !k3_neg_q;
      ip_folded_q   <= ip_sum_q[15:0] + {11'd0, ip_sum_q[20:16]};
      k4_v4_q       <= k3_next_q == NextIpv4;
      k4_inner_ok_q <= (k3_next_q == NextIpv4 ? k3_v4_q : k3_v6_q) && k3_len_q <= {2'd0, k3_end_q};
      k4_known_q    <= k3_next_q == NextIpv4 || k3_next_q == NextIpv6;
      k4_dummy_q    <= k3_next_q == NextDummy;
      k4_tunnel_q   <= k3_tunnel_q;
      k4_next_q     <= k3_next_q;
      k4_len_q      <= k3_tunnel_q ? k3_len_q[13:0] : k3_end_q;
      k4_cycle_q    <= k3_cycle_q;
    end
  end

  logic [7:0] status;
  always_comb begin
    status = card_pkg::StatusOk;
    if (k4_decap_q) begin
      if (!k4_pad_ok_q) status = card_pkg::StatusBadPadding;
      else if (k4_dummy_q) status = card_pkg::StatusDummy;
      else if (k4_tunnel_q && !k4_known_q) status = card_pkg::StatusBadNextHeader;
      else if (k4_tunnel_q && (!k4_inner_ok_q || (k4_v4_q && ip_folded_q != '1))) status = card_pkg::StatusBadInner;
    end
  end

  logic                done_valid_q, done_hash_q;
  logic [SlotBits-1:0] done_slot_q;
  logic [7:0]          done_status_q, done_next_q;
  logic [13:0]         done_len_q;
  logic [31:0]         done_cycle_q;
  always_ff @(posedge clk_i) done_valid_q <= rst_ni && k4_last_q;
  always_ff @(posedge clk_i) begin
    if (k4_last_q) begin
      done_slot_q   <= k4_slot_q;
      done_hash_q   <= k4_hash_q;
      done_status_q <= status;
      done_next_q   <= k4_decap_q ? k4_next_q : 8'd0;
      done_len_q    <= (k4_decap_q && status == card_pkg::StatusOk) ? k4_len_q : 14'd0;
      done_cycle_q  <= k4_cycle_q;
    end
  end
  assign done_valid_o       = done_valid_q;
  assign done_slot_o        = done_slot_q;
  assign done_hash_o        = done_hash_q;
  assign done_status_o      = done_status_q;
  assign done_len_o         = done_len_q;
  assign done_next_header_o = done_next_q;
  assign done_cycle_o       = done_cycle_q;

  logic unused;
  assign unused = &{1'b0, k2_ip_q[55:48], k2_ip_q[15:0]};
endmodule
