// Reports packets in job order and sends their result: holds the result words, waits until cipher and hash are both
// done with the oldest slot, forms the verdict, builds the outer headers, frees the slot.
// The verdict: what was wrong with the input first, then the ICV, then what was found inside (RFC 4303 s3.4).
// Nothing is read from the result buffer unless the verdict is Ok.
module lane_output #(
  parameter int Slots     = 32,
  parameter int SlotBytes = 2048,
  localparam int SlotBits = $clog2(Slots),
  localparam int RowBits  = $clog2(SlotBytes / 64),
  localparam int IdxBits  = $clog2(SlotBytes / 8)
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  // Job taken into a slot: what the outer header is made of; see esp_lane.
  input  logic                take_i,
  input  logic [SlotBits-1:0] take_slot_i,
  input  logic [15:0]         take_tag_i,
  input  logic                take_encap_i,
  input  logic                take_natt_i,
  input  logic [31:0]         take_spi_i,
  input  logic [31:0]         take_seq_i,
  input  logic [31:0]         take_src_i,
  input  logic [31:0]         take_dst_i,
  input  logic [7:0]          take_ttl_i,
  input  logic [15:0]         take_ip_id_i,
  input  logic [1:0]          take_df_policy_i,
  input  logic                take_dscp_set_i,
  input  logic [5:0]          take_dscp_i,
  input  logic                take_ecn_clear_i,
  input  logic [15:0]         take_udp_src_i,
  input  logic [15:0]         take_udp_dst_i,
  // Slot opened.
  input  logic                open_i,
  input  logic [SlotBits-1:0] open_slot_i,
  input  logic                open_ok_i,
  input  logic [7:0]          open_status_i,
  input  logic [15:0]         open_out_len_i,
  input  logic [63:0]         open_iv_i,
  input  logic [7:0]          open_tos_i,
  input  logic                open_df_i,
  // Result words.
  input  logic                x_valid_i,
  input  logic [SlotBits-1:0] x_slot_i,
  input  logic [IdxBits-1:0]  x_index_i,
  input  logic [63:0]         x_out_i,
  // Cipher and checks done.
  input  logic                check_valid_i,
  input  logic [SlotBits-1:0] check_slot_i,
  input  logic [7:0]          check_status_i,
  input  logic [15:0]         check_len_i,
  input  logic [7:0]          check_next_header_i,
  input  logic [31:0]         check_cycle_i,
  // Hash done.
  input  logic                hash_valid_i,
  input  logic [SlotBits-1:0] hash_slot_i,
  input  logic                hash_ok_i,
  input  logic [95:0]         hash_icv_i,
  input  logic [31:0]         hash_cycle_i,
  // To the shell; see esp_lane.
  output logic                res_valid_o,
  input  logic                res_ready_i,
  input  logic                res_discard_i,
  output logic [15:0]         res_tag_o,
  output logic [7:0]          res_status_o,
  output logic [15:0]         res_out_len_o,
  output logic [7:0]          res_next_header_o,
  output logic [31:0]         res_cycle_ciphered_o,
  output logic [31:0]         res_cycle_hashed_o,
  output logic                out_valid_o,
  input  logic                out_ready_i,
  output logic [511:0]        out_data_o,
  output logic                out_last_o,
  output logic                free_o,       // the oldest slot is done with
  output logic [SlotBits-1:0] free_slot_o
);
  localparam logic [7:0] ProtocolEsp = 8'd50;  // IANA protocol numbers
  localparam logic [7:0] ProtocolUdp = 8'd17;

  // ---- What is known of a slot ----------------------------------------------------------------------------------
  localparam int TakeBits  = 16 + 1 + 1 + 32 + 32 + 32 + 32 + 8 + 16 + 2 + 1 + 6 + 1 + 16 + 16;
  localparam int OpenBits  = 8 + 16 + 64 + 8 + 1;
  localparam int CheckBits = 8 + 16 + 8 + 32;
  localparam int HashBits  = 1 + 96 + 32;
  logic [TakeBits-1:0]  take_mem [0:Slots-1];
  logic [OpenBits-1:0]  open_mem [0:Slots-1];
  logic [CheckBits-1:0] check_mem [0:Slots-1];
  logic [HashBits-1:0]  hash_mem [0:Slots-1];
  logic                 shift_mem [0:Slots-1];  // encap in UDP: one word more before the ciphertext
  logic                 encap_mem [0:Slots-1];
  logic [Slots-1:0]     checked_q, hashed_q;    // done; both set at once where nothing will come
  logic [SlotBits-1:0]  head_q;

  always_ff @(posedge clk_i) begin
    if (take_i) begin
      take_mem[take_slot_i] <= {take_tag_i, take_encap_i, take_natt_i, take_spi_i, take_seq_i, take_src_i, take_dst_i,
                                take_ttl_i, take_ip_id_i, take_df_policy_i, take_dscp_set_i, take_dscp_i,
                                take_ecn_clear_i, take_udp_src_i, take_udp_dst_i};
      shift_mem[take_slot_i] <= take_natt_i;
      encap_mem[take_slot_i] <= take_encap_i;
    end
    if (open_i) open_mem[open_slot_i] <= {open_status_i, open_out_len_i, open_iv_i, open_tos_i, open_df_i};
    if (check_valid_i)
      check_mem[check_slot_i] <= {check_status_i, check_len_i, check_next_header_i, check_cycle_i};
    if (hash_valid_i) hash_mem[hash_slot_i] <= {hash_ok_i, hash_icv_i, hash_cycle_i};
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      checked_q <= '0;
      hashed_q  <= '0;
      head_q    <= '0;
    end else begin
      if (open_i && !open_ok_i) checked_q[open_slot_i] <= 1'b1;
      if (open_i && !open_ok_i) hashed_q[open_slot_i] <= 1'b1;
      if (check_valid_i) checked_q[check_slot_i] <= 1'b1;
      if (hash_valid_i) hashed_q[hash_slot_i] <= 1'b1;
      if (free_o) begin
        checked_q[head_q] <= 1'b0;
        hashed_q[head_q]  <= 1'b0;
        head_q            <= head_q + 1'b1;
      end
    end
  end

  // ---- Sequence: wait for the oldest slot, form verdict, report, send ---------------------------------------------
  typedef enum logic [1:0] {StWait, StVerdict, StReport, StSend} state_e;
  state_e state_d, state_q;
  logic   load, sent, last_moved, out_valid_q;
  assign load = state_q == StWait && checked_q[head_q] && hashed_q[head_q];
  assign free_slot_o = head_q;
  assign sent = state_q == StSend && last_moved;
  assign res_valid_o = state_q == StReport && !out_valid_q;  // the payload before must be out

  logic [7:0]  status_q;
  logic [15:0] len_q;
  always_comb begin
    state_d = state_q;
    free_o  = 1'b0;
    case (state_q)
      StWait: if (load) state_d = StVerdict;
      StVerdict: state_d = StReport;
      StReport:
        if (res_valid_o && res_ready_i) begin
          if (status_q == card_pkg::StatusOk && !res_discard_i) begin
            state_d = StSend;
          end else begin
            state_d = StWait;
            free_o  = 1'b1;
          end
        end
      default:
        if (sent) begin
          state_d = StWait;
          free_o  = 1'b1;
        end
    endcase
  end
  always_ff @(posedge clk_i) if (!rst_ni) state_q <= StWait; else state_q <= state_d;

  // The oldest slot's fields, from StVerdict on.
  logic [15:0] tag_q, ip_id_q, udp_src_q, udp_dst_q, enc_len_q, dec_len_q;
  logic        encap_q, natt_q, dscp_set_q, ecn_clear_q, inner_df_q, icv_ok_q;
  logic [31:0] spi_q, seq_q, src_q, dst_q, ciphered_q, hashed_cycle_q;
  logic [7:0]  ttl_q, in_status_q, inner_tos_q, check_status_q, next_header_q;
  logic [1:0]  df_policy_q;
  logic [5:0]  dscp_q;
  logic [63:0] iv_q;
  logic [95:0] icv_q;
  always_ff @(posedge clk_i) begin
    if (load) begin
      {tag_q, encap_q, natt_q, spi_q, seq_q, src_q, dst_q, ttl_q, ip_id_q, df_policy_q, dscp_set_q, dscp_q, ecn_clear_q,
       udp_src_q, udp_dst_q} <= take_mem[head_q];
      {in_status_q, enc_len_q, iv_q, inner_tos_q, inner_df_q} <= open_mem[head_q];
      {check_status_q, dec_len_q, next_header_q, ciphered_q} <= check_mem[head_q];
      {icv_ok_q, icv_q, hashed_cycle_q} <= hash_mem[head_q];
    end
  end

  // Verdict. Where the input was wrong neither cipher nor hash ran, and their fields are an older packet's.
  logic        in_ok;
  logic [7:0]  status;
  assign in_ok  = in_status_q == card_pkg::StatusOk;
  assign status = !in_ok ? in_status_q : !icv_ok_q ? card_pkg::StatusBadIcv : check_status_q;

  logic [7:0]  res_next_q;
  logic [31:0] res_ciphered_q, res_hashed_q;
  always_ff @(posedge clk_i) begin
    if (state_q == StVerdict) begin
      status_q       <= status;
      len_q          <= (status != card_pkg::StatusOk) ? 16'd0 : encap_q ? enc_len_q : dec_len_q;
      res_next_q     <= (in_ok && icv_ok_q && !encap_q) ? next_header_q : 8'd0;
      res_ciphered_q <= in_ok ? ciphered_q : 32'd0;
      res_hashed_q   <= in_ok ? hashed_cycle_q : 32'd0;
    end
  end
  assign res_tag_o            = tag_q;
  assign res_status_o         = status_q;
  assign res_out_len_o        = len_q;
  assign res_next_header_o    = res_next_q;
  assign res_cycle_ciphered_o = res_ciphered_q;
  assign res_cycle_hashed_o   = res_hashed_q;

  // ---- Outer headers (RFC 791, 768, 3948; TOS and DF: RFC 4301 s5.1.2.1, s8.1) -------------------------------------
  // The checksum takes three cycles from StVerdict on; the first beat is put together in the fourth at the earliest.
  logic [7:0]  tos, protocol;
  logic        df;
  logic [18:0] sum_a_q, sum_b_q;
  logic [19:0] sum_q;
  logic [16:0] folded;
  logic [15:0] checksum;
  logic [159:0] ip_header;
  logic [63:0]  udp_header;
  assign tos      = {dscp_set_q ? dscp_q : inner_tos_q[7:2], ecn_clear_q ? 2'd0 : inner_tos_q[1:0]};
  assign df       = 8'(df_policy_q) == card_pkg::DfPolicySet || (8'(df_policy_q) == card_pkg::DfPolicyCopy && inner_df_q);
  assign protocol = natt_q ? ProtocolUdp : ProtocolEsp;
  always_ff @(posedge clk_i) begin
    sum_a_q <= 19'({8'h45, tos}) + 19'(enc_len_q) + 19'(ip_id_q) + 19'({1'b0, df, 14'd0}) + 19'({ttl_q, protocol});
    sum_b_q <= 19'(src_q[31:16]) + 19'(src_q[15:0]) + 19'(dst_q[31:16]) + 19'(dst_q[15:0]);
    sum_q   <= 20'(sum_a_q) + 20'(sum_b_q);
  end
  assign folded     = 17'(sum_q[15:0]) + 17'(sum_q[19:16]);
  assign checksum   = ~(folded[15:0] + 16'(folded[16]));
  assign ip_header  = {8'h45, tos, enc_len_q, ip_id_q, 1'b0, df, 14'd0, ttl_q, protocol, checksum, src_q, dst_q};
  assign udp_header = {udp_src_q, udp_dst_q, enc_len_q - 16'd20, 16'd0};

  // ---- Result buffer and beats -------------------------------------------------------------------------------------
  // Ciphertext starts at octet 36 or, in UDP, 44 of the result, so its words are kept from word 4 or 5 on and a beat
  // takes its first 4 octets from the row before. Plaintext starts at word 0 and needs no shift.
  logic [IdxBits-1:0] x_word;
  logic               read, advance, more_q;
  logic [9:0]         row_q, last_row;
  logic [511:0]       row;
  assign x_word = x_index_i + (!encap_mem[x_slot_i] ? '0 : shift_mem[x_slot_i] ? IdxBits'(5) : IdxBits'(4));
  lane_buffer #(.Rows(Slots * SlotBytes / 64)) u_result (
    .clk_i(clk_i),
    .wr_word_en_i(x_valid_i ? 8'd1 << x_word[2:0] : 8'd0), .wr_addr_i({x_slot_i, x_word[IdxBits-1:3]}),
    .wr_data_i({8{x_out_i}}),
    .rd_en_i(read), .rd_addr_i({head_q, row_q[RowBits-1:0]}), .rd_next_first_i(1'b0), .rd_data_o(row)
  );

  logic       r1_valid_q, r1_last_q, out_last_q;
  logic [9:0] r1_row_q;
  assign advance    = !out_valid_q || out_ready_i;
  assign last_row   = 10'((len_q - 16'd1) >> 6);
  assign read       = state_q == StSend && more_q && advance;
  assign last_moved = advance && r1_valid_q && r1_last_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      r1_valid_q  <= 1'b0;
      out_valid_q <= 1'b0;
    end else if (advance) begin
      r1_valid_q  <= read;
      out_valid_q <= r1_valid_q;
    end
  end
  always_ff @(posedge clk_i) begin
    if (state_q == StReport) begin
      row_q <= '0;
      more_q  <= 1'b1;
    end else if (read) begin
      row_q     <= row_q + 10'd1;
      more_q      <= row_q != last_row;
      r1_row_q  <= row_q;
      r1_last_q <= row_q == last_row;
    end
  end

  // One beat, first octet on top: row, headers over its start, ICV at `icv_at` (in units of 4 octets from the beat's
  // start), zeros from octet `len` (counted from the beat's start) on.
  function automatic logic [511:0] beat(input logic [511:0] data, input logic [31:0] carry, input logic encap,
                                        input logic natt, input logic first, input logic [351:0] headers,
                                        input logic [95:0] icv, input logic [14:0] icv_at, input logic [15:0] len);
    logic [511:0] y;
    y = data;
    if (encap) begin
      y = {carry, data[511:32]};
      if (first) begin
        if (natt) y[511:160] = headers;
        else y[511:224] = {headers[351:192], headers[127:0]};
      end
      for (int l = 0; l < 16; l++) begin
        if (icv_at == 15'(l)) y[32*(15-l) +: 32] = icv[95:64];
        if (icv_at + 15'd1 == 15'(l)) y[32*(15-l) +: 32] = icv[63:32];
        if (icv_at + 15'd2 == 15'(l)) y[32*(15-l) +: 32] = icv[31:0];
      end
    end
    if (len < 16'd64)
      for (int b = 0; b < 64; b++)
        if (16'(b) >= len) y[8*(63-b) +: 8] = 8'd0;
    beat = y;
  endfunction

  logic [511:0] out_q;
  logic [31:0]  carry_q;
  always_ff @(posedge clk_i) begin
    if (advance && r1_valid_q) begin
      out_q      <= beat(row, carry_q, encap_q, natt_q, r1_row_q == '0,
                         {ip_header, udp_header, spi_q, seq_q, iv_q}, icv_q,
                         {1'b0, len_q[15:2]} - 15'd3 - {1'b0, r1_row_q, 4'd0}, len_q - {r1_row_q, 6'd0});
      out_last_q <= r1_last_q;
      carry_q    <= row[31:0];
    end
  end
  for (genvar b = 0; b < 64; b++) begin : gen_order
    assign out_data_o[8*b +: 8] = out_q[8*(63-b) +: 8];
  end
  assign out_valid_o = out_valid_q;
  assign out_last_o  = out_last_q;

  logic unused;
  assign unused = &{1'b0, row_q[9:RowBits]};
endmodule
