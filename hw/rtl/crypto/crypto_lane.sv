// Cryptographic lane: ESP and AH on streams of octets, one a slot, many slots at a time (hw/rtl/README.md has the
// contract). lane_front writes a stream into M1 and opens the slot; the lane ciphers, hashes, checks, and hands the
// slot out in order; lane_back reads the result from M2 and frees the slot. Encap: cipher, then hash what it made.
// Decap: hash, and only when the ICV matched decipher, so that no unauthenticated plaintext exists anywhere.
// Not here: parsing, headers, sequence numbers, replay, any limit of time.
// Rate: a word of 64 bits or, if that is less, a block of SHA-1 each 3 cycles (MD5: 4). A lone packet of 72 octets of
// ciphertext takes about 650 cycles from its opening to done_valid_o.
module crypto_lane #(
  parameter int JumboSlots = 64,
  parameter int SmallSlots = 192,
  parameter int KeyCarry   = 1,   // see tdes_pipe
  localparam int SlotBits  = $clog2(JumboSlots + SmallSlots),
  localparam int Rows      = JumboSlots * slot_pkg::JumboRows + SmallSlots * slot_pkg::SmallRows,
  localparam int RowBits   = $clog2(Rows)
) (
  input  logic                clk_i,
  input  logic                rst_ni,            // synchronous; then all keys are wiped before a slot is allotted
  input  logic [31:0]         cycle_i,
  // Slots.
  input  logic                alloc_jumbo_i,
  output logic                alloc_ok_o,
  output logic [SlotBits-1:0] alloc_slot_o,
  input  logic                alloc_take_i,      // only while ok
  // M1.
  input  logic [7:0]          in_we_i,           // bit w: word w of the row
  input  logic [RowBits-1:0]  in_row_i,
  input  logic [511:0]        in_data_i,
  // A slot's stream is complete: what to do with it. Not two cycles in a row.
  input  logic                open_valid_i,
  input  logic [SlotBits-1:0] open_slot_i,
  input  logic                open_run_i,
  input  logic [7:0]          open_status_i,     // reported where not run
  input  logic                open_encap_i,
  input  logic                open_esp_i,
  input  logic                open_tunnel_i,
  input  logic                open_inner_v4_i,
  input  logic                open_inner_v6_i,
  input  logic [1:0]          open_cipher_i,     // card_pkg::Cipher*
  input  logic [1:0]          open_auth_i,       // card_pkg::Auth*
  input  logic [13:0]         open_len_i,
  input  logic [63:0]         open_spi_seq_i,
  input  logic [63:0]         open_iv_i,
  input  logic                open_esn_i,
  input  logic [31:0]         open_seq_hi_i,
  input  logic [95:0]         open_icv_i,
  input  logic [191:0]        open_key_i,
  input  logic [159:0]        open_istate_i,
  input  logic [159:0]        open_ostate_i,
  input  logic                open_ordered_i,
  input  logic [8:0]          open_order_i,
  // A slot is finished; fields hold until ready.
  output logic                done_valid_o,
  input  logic                done_ready_i,
  output logic [SlotBits-1:0] done_slot_o,
  output logic [7:0]          done_status_o,
  output logic                done_icv_ok_o,
  output logic [13:0]         done_len_o,
  output logic [7:0]          done_next_header_o,
  output logic [95:0]         done_icv_o,
  output logic [31:0]         done_ciphered_o,
  output logic [31:0]         done_hashed_o,
  // M2; data 2 cycles after acceptance.
  input  logic                rd_valid_i,
  output logic                rd_ready_o,
  input  logic [RowBits-1:0]  rd_row_i,
  output logic                rd_data_valid_o,
  output logic [511:0]        rd_data_o,
  input  logic                free_valid_i,
  input  logic [SlotBits-1:0] free_slot_i,
  output logic                busy_o
);
  localparam int Slots = 1 << SlotBits;

  // ---- Keys: taken at the opening, wiped before the slot is allotted again --------------------------------------------
  logic                wipe, k_we_q, k_wipe_q, k_decrypt_q;
  logic [SlotBits-1:0] wipe_slot, k_slot_q;
  logic [191:0]        k_key_q;
  logic [159:0]        k_istate_q, k_ostate_q;
  always_ff @(posedge clk_i) k_we_q <= rst_ni && (open_valid_i || wipe);
  always_ff @(posedge clk_i) begin
    if (open_valid_i || wipe) begin
      k_wipe_q <= wipe;
      k_slot_q <= wipe ? wipe_slot : open_slot_i;
    end
    if (wipe) begin
      k_key_q    <= '0;
      k_istate_q <= '0;
      k_ostate_q <= '0;
    end else if (open_valid_i) begin
      k_decrypt_q <= !open_encap_i;
      k_key_q     <= 8'(open_cipher_i) == card_pkg::CipherDesCbc ? {3{open_key_i[191:128]}} : open_key_i;
      k_istate_q  <= open_istate_i;
      k_ostate_q  <= open_ostate_i;
    end
  end

  // The pipeline writes its own copy a cycle after k_we_q.
  logic order_busy, k_last_q;
  always_ff @(posedge clk_i) k_last_q <= rst_ni && k_we_q;
  assign busy_o = order_busy || k_we_q || k_last_q;

  // ---- Opening, a cycle later ---------------------------------------------------------------------------------------------
  logic                o_valid_q, o_run_q, o_encap_q, o_esp_q, o_tunnel_q, o_v4_q, o_v6_q, o_crypt_q, o_hash_q, o_md5_q, o_esn_q;
  logic [SlotBits-1:0] o_slot_q;
  logic [7:0]          o_status_q;
  logic [13:0]         o_len_q;
  logic [63:0]         o_spi_seq_q, o_iv_q;
  logic [31:0]         o_seq_hi_q;
  logic [95:0]         o_icv_q;
  always_ff @(posedge clk_i) o_valid_q <= rst_ni && open_valid_i;
  always_ff @(posedge clk_i) begin
    if (open_valid_i) begin
      o_slot_q    <= open_slot_i;
      o_run_q     <= open_run_i;
      o_status_q  <= open_status_i;
      o_encap_q   <= open_encap_i;
      o_esp_q     <= open_esp_i;
      o_tunnel_q  <= open_tunnel_i;
      o_v4_q      <= open_inner_v4_i;
      o_v6_q      <= open_inner_v6_i;
      o_crypt_q   <= open_esp_i && 8'(open_cipher_i) != card_pkg::CipherNull;
      o_hash_q    <= 8'(open_auth_i) != card_pkg::AuthNone;
      o_md5_q     <= 8'(open_auth_i) == card_pkg::AuthHmacMd5_96;
      o_len_q     <= open_len_i;
      o_spi_seq_q <= open_spi_seq_i;
      o_iv_q      <= open_iv_i;
      o_esn_q     <= open_esn_i;
      o_seq_hi_q  <= open_seq_hi_i;
      o_icv_q     <= open_icv_i;
    end
  end
  logic [15:0] o_base;
  logic [13:0] o_len_up;
  logic        o_go;
  assign o_base   = slot_pkg::base(16'(o_slot_q), 16'(JumboSlots));
  assign o_len_up = o_len_q + 14'd7;
  assign o_go     = o_valid_q && o_run_q;

  // ---- Buffers ----------------------------------------------------------------------------------------------------------------
  logic               c_rd, h_m1_rd, h_m2_rd, x_valid;
  logic [RowBits-1:0] c_row, h_row, x_row;
  logic [2:0]         x_sub;
  logic [63:0]        x_data;
  logic [511:0]       m1_data, m2_data;
  crypto_buffer #(.Rows(Rows)) u_m1 (
    .clk_i(clk_i), .wr_word_en_i(in_we_i), .wr_addr_i(in_row_i), .wr_data_i(in_data_i),
    .rd_en_i(c_rd || h_m1_rd), .rd_addr_i(h_m1_rd ? h_row : c_row), .rd_data_o(m1_data)
  );
  crypto_buffer #(.Rows(Rows)) u_m2 (
    .clk_i(clk_i), .wr_word_en_i(x_valid ? 8'd1 << x_sub : 8'd0), .wr_addr_i(x_row), .wr_data_i({8{x_data}}),
    .rd_en_i(rd_valid_i || h_m2_rd), .rd_addr_i(h_m2_rd ? h_row : rd_row_i), .rd_data_o(m2_data)
  );
  // The hash reads at most two rows in five cycles, so it may go first.
  logic rd1_q, rd2_q;
  assign rd_ready_o = !h_m2_rd;
  always_ff @(posedge clk_i) begin
    rd1_q <= rst_ni && rd_valid_i && rd_ready_o;
    rd2_q <= rst_ni && rd1_q;
  end
  assign rd_data_valid_o = rd2_q;
  assign rd_data_o       = m2_data;

  // ---- Parts --------------------------------------------------------------------------------------------------------------------
  logic                x_last, x_serial, x_decap, x_head, x_hash, x_md5, x_hold, match;
  logic [SlotBits-1:0] x_slot;
  logic [7:0]          x_k;
  logic                f_valid, f_decap, f_match;
  logic [SlotBits-1:0] f_slot;
  logic [95:0]         f_icv;
  assign match = f_valid && f_decap && f_match;
  crypto_cipher #(.SlotBits(SlotBits), .RowBits(RowBits), .KeyCarry(KeyCarry)) u_cipher (
    .clk_i(clk_i), .rst_ni(rst_ni),
    .key_we_i(k_we_q), .key_slot_i(k_slot_q), .key_wipe_i(k_wipe_q), .key_decrypt_i(k_decrypt_q), .key_i(k_key_q),
    .open_i(o_go), .open_serial_i(o_encap_q && o_crypt_q),
    .open_stream_i(o_encap_q ? !o_crypt_q : !o_hash_q), .open_slot_i(o_slot_q), .open_row_i(o_base[RowBits-1:0]),
    .open_words_i(o_len_up[13:3]), .open_encap_i(o_encap_q), .open_crypt_i(o_crypt_q), .open_esp_i(o_esp_q),
    .open_hash_i(o_encap_q && o_hash_q), .open_md5_i(o_md5_q), .open_iv_i(o_iv_q),
    .match_valid_i(match), .match_slot_i(f_slot),
    .hold_i(x_hold), .m1_free_i(!h_m1_rd), .m1_rd_o(c_rd), .m1_row_o(c_row), .m1_data_i(m1_data),
    .x_valid_o(x_valid), .x_slot_o(x_slot), .x_row_o(x_row), .x_sub_o(x_sub), .x_k_o(x_k), .x_last_o(x_last),
    .x_serial_o(x_serial), .x_decap_o(x_decap), .x_head_o(x_head), .x_hash_o(x_hash), .x_md5_o(x_md5), .x_data_o(x_data)
  );
  crypto_hash #(.SlotBits(SlotBits), .RowBits(RowBits)) u_hash (
    .clk_i(clk_i), .rst_ni(rst_ni),
    .key_we_i(k_we_q), .key_wipe_i(k_wipe_q), .key_slot_i(k_slot_q), .key_istate_i(k_istate_q), .key_ostate_i(k_ostate_q),
    .open_i(o_go), .open_hash_i(!o_encap_q && o_hash_q), .open_slot_i(o_slot_q), .open_row_i(o_base[RowBits-1:0]),
    .open_len_i(o_len_q), .open_esn_i(o_esn_q), .open_seq_hi_i(o_seq_hi_q), .open_md5_i(o_md5_q),
    .open_head_i(o_encap_q && o_crypt_q), .open_spi_seq_i(o_spi_seq_q), .open_iv_i(o_iv_q), .open_icv_i(o_icv_q),
    .x_valid_i(x_valid), .x_slot_i(x_slot), .x_row_i(x_row), .x_sub_i(x_sub), .x_k_i(x_k), .x_last_i(x_last),
    .x_serial_i(x_serial), .x_hash_i(x_hash), .x_md5_i(x_md5), .x_hold_o(x_hold),
    .m1_rd_o(h_m1_rd), .m2_rd_o(h_m2_rd), .row_o(h_row), .m1_data_i(m1_data), .m2_data_i(m2_data),
    .final_valid_o(f_valid), .final_slot_o(f_slot), .final_decap_o(f_decap), .final_match_o(f_match), .final_icv_o(f_icv)
  );
  logic                t_valid, t_hash;
  logic [SlotBits-1:0] t_slot;
  logic [7:0]          t_status, t_next;
  logic [13:0]         t_len;
  logic [31:0]         t_cycle;
  crypto_check #(.SlotBits(SlotBits)) u_check (
    .clk_i(clk_i), .rst_ni(rst_ni), .cycle_i(cycle_i),
    .open_i(o_go), .open_slot_i(o_slot_q), .open_len_i(o_len_q), .open_null_i(!o_crypt_q), .open_tunnel_i(o_tunnel_q),
    .open_v4_i(o_v4_q), .open_v6_i(o_v6_q),
    .x_valid_i(x_valid), .x_slot_i(x_slot), .x_last_i(x_last), .x_decap_i(x_decap), .x_hash_i(x_hash), .x_head_i(x_head),
    .x_data_i(x_data),
    .done_valid_o(t_valid), .done_slot_o(t_slot), .done_hash_o(t_hash), .done_status_o(t_status), .done_len_o(t_len),
    .done_next_header_o(t_next), .done_cycle_o(t_cycle)
  );
  // A packet is finished with its ICV (encap, or not the right one), else with its last word.
  logic                d_valid, d_pop, handed_out;
  logic [SlotBits-1:0] d_slot, d_slot_q;
  crypto_order #(.JumboSlots(JumboSlots), .SmallSlots(SmallSlots)) u_order (
    .clk_i(clk_i), .rst_ni(rst_ni),
    .alloc_jumbo_i(alloc_jumbo_i), .alloc_ok_o(alloc_ok_o), .alloc_slot_o(alloc_slot_o), .alloc_take_i(alloc_take_i),
    .free_valid_i(free_valid_i), .free_slot_i(free_slot_i), .wipe_o(wipe), .wipe_slot_o(wipe_slot), .busy_o(order_busy),
    .open_i(open_valid_i), .open_slot_i(open_slot_i), .open_done_i(!open_run_i), .open_ordered_i(open_ordered_i),
    .open_order_i(open_order_i),
    .fin0_i(f_valid && !match), .fin0_slot_i(f_slot), .fin1_i(t_valid && !t_hash), .fin1_slot_i(t_slot),
    .done_valid_o(d_valid), .done_pop_i(d_pop), .done_slot_o(d_slot)
  );

  // ---- What is reported ---------------------------------------------------------------------------------------------------------
  logic        r_run, r_encap, r_hash, r_esp, r_match, icv_ok, read_q, full_q;
  logic [7:0]  r_status, rt_status, rt_next;
  logic [13:0] rt_len;
  logic [31:0] rt_cycle, rf_cycle;
  logic [95:0] rf_icv;
  assign d_pop      = d_valid && !read_q && !full_q;
  assign handed_out = done_valid_o && done_ready_i;
  slot_ram #(.Width(12), .Depth(Slots)) u_opened (
    .clk_i(clk_i), .wr_en_i(o_valid_q), .wr_addr_i(o_slot_q), .wr_data_i({o_run_q, o_encap_q, o_hash_q, o_esp_q, o_status_q}),
    .rd_en_i(d_pop), .rd_addr_i(d_slot), .rd_data_o({r_run, r_encap, r_hash, r_esp, r_status})
  );
  slot_ram #(.Width(62), .Depth(Slots)) u_checked (
    .clk_i(clk_i), .wr_en_i(t_valid), .wr_addr_i(t_slot), .wr_data_i({t_status, t_next, t_len, t_cycle}),
    .rd_en_i(d_pop), .rd_addr_i(d_slot), .rd_data_o({rt_status, rt_next, rt_len, rt_cycle})
  );
  slot_ram #(.Width(129), .Depth(Slots)) u_hashed (
    .clk_i(clk_i), .wr_en_i(f_valid), .wr_addr_i(f_slot), .wr_data_i({f_match, f_icv, cycle_i}),
    .rd_en_i(d_pop), .rd_addr_i(d_slot), .rd_data_o({r_match, rf_icv, rf_cycle})
  );
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      read_q <= 1'b0;
      full_q <= 1'b0;
    end else begin
      read_q <= d_pop;
      full_q <= read_q || (full_q && !handed_out);
    end
  end
  logic        through;   // the stream got into M2
  logic [7:0]  d_status_q, d_next_q;
  logic        d_icv_ok_q;
  logic [13:0] d_len_q;
  logic [95:0] d_icv_q;
  logic [31:0] d_ciphered_q, d_hashed_q;
  assign icv_ok = r_match || !r_hash;
  assign through = r_run && (r_encap || icv_ok);
  always_ff @(posedge clk_i) begin
    if (d_pop) d_slot_q <= d_slot;
    if (read_q) begin
      d_status_q   <= !r_run ? r_status : !through ? card_pkg::StatusBadIcv : rt_status;
      d_icv_ok_q   <= r_run && !r_encap && icv_ok;
      d_len_q      <= (through && !r_encap && r_esp) ? rt_len : 14'd0;
      d_next_q     <= (through && !r_encap && r_esp) ? rt_next : 8'd0;
      d_icv_q      <= (r_run && r_encap && r_hash) ? rf_icv : 96'd0;  // a received ICV's right value stays inside
      d_ciphered_q <= through ? rt_cycle : 32'd0;
      d_hashed_q   <= (r_run && r_hash) ? rf_cycle : 32'd0;
    end
  end
  assign done_valid_o       = full_q;
  assign done_slot_o        = d_slot_q;
  assign done_status_o      = d_status_q;
  assign done_icv_ok_o      = d_icv_ok_q;
  assign done_len_o         = d_len_q;
  assign done_next_header_o = d_next_q;
  assign done_icv_o         = d_icv_q;
  assign done_ciphered_o    = d_ciphered_q;
  assign done_hashed_o      = d_hashed_q;

  logic unused;
  assign unused = &{1'b0, o_base, o_len_up[2:0]};
endmodule
