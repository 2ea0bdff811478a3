// ESP lane: protects or unprotects whole packets, many at a time, in and out in job order.
// Tunnel mode under an outer IPv4 header, optionally in UDP (RFC 3948); 3DES-CBC or DES-CBC with HMAC-SHA1-96.
// The shell has parsed the outer header, found the SA, allotted or checked the sequence number and validated the
// inner IPv4 header of a packet to protect; the lane does padding, cipher, ICV, headers and the checks inside ESP
// in the order of RFC 4303 s3.4: length, ICV, then padding, next header and inner header. Plaintext leaves only
// after all of them passed. Source and result are each at most SlotBytes long, else StatusBadLength.
// Not done: ESN, transport mode, outer IPv6, AH, NULL, MD5 (StatusUnsupported).
module esp_lane #(
  parameter int Slots     = 32,    // packets in flight, a power of two
  parameter int SlotBytes = 2048,  // largest source and result packet, a power of two
  parameter int HashUnits = 8      // SHA-1 units of 82 cycles a block
) (
  input  logic         clk_i,
  input  logic         rst_ni,            // synchronous
  input  logic         flush_i,           // drop everything at once; hold off jobs and beats meanwhile
  input  logic [31:0]  cycle_i,           // free-running, for the stamps

  // Job: one a packet, taken before its payload.
  input  logic         job_valid_i,
  output logic         job_ready_o,
  input  logic [15:0]  job_tag_i,         // comes back with the result
  input  logic         job_encap_i,
  input  logic         job_natt_i,        // encap: put ESP into UDP
  input  logic [3:0]   job_cipher_i,      // card_pkg::Cipher*
  input  logic [3:0]   job_auth_i,        // card_pkg::Auth*
  input  logic [15:0]  job_src_len_i,     // bytes, at least 1
  input  logic [7:0]   job_esp_off_i,     // decap: bytes before the ESP header, 20..68, a multiple of 4
  input  logic [191:0] job_enc_key_i,     // first key octet on top; DES in the top 64 bits
  input  logic [159:0] job_istate_i,      // SHA-1 state after the inner pad block
  input  logic [159:0] job_ostate_i,      // and after the outer one
  input  logic [31:0]  job_spi_i,         // decap: as looked up; the ICV is computed over THIS and job_seq_i, not
  input  logic [63:0]  job_seq_i,         // over the payload's copy, so what was checked is what is authenticated
  input  logic [63:0]  job_iv_i,          // encap; first octet on top
  input  logic [127:0] job_src_i,         // encap: outer addresses, first octet on top, IPv4 in the top 32 bits
  input  logic [127:0] job_dst_i,
  input  logic [7:0]   job_ttl_i,         // this and the following up to udp_dst: encap, outer header
  input  logic [15:0]  job_ip_id_i,
  input  logic [1:0]   job_df_policy_i,   // card_pkg::DfPolicy*
  input  logic         job_dscp_set_i,
  input  logic [5:0]   job_dscp_i,
  input  logic         job_ecn_clear_i,
  input  logic [15:0]  job_udp_src_i,
  input  logic [15:0]  job_udp_dst_i,
  input  logic         job_inner_v4_i,    // decap: inner families that the SA allows
  input  logic         job_inner_v6_i,

  // Source packets in job order, ceil(src_len / 64) beats each; memory byte 0 in bits 7:0.
  input  logic         in_valid_i,
  output logic         in_ready_o,
  input  logic [511:0] in_data_i,
  input  logic         in_last_i,         // not relied upon: the job's length counts
  input  logic         in_err_i,          // this beat is a bus error: the job ends with StatusBusError

  // Result header, in job order.
  output logic         res_valid_o,
  input  logic         res_ready_i,
  input  logic         res_discard_i,     // with res_ready_i: send no payload
  output logic [15:0]  res_tag_o,
  output logic [7:0]   res_status_o,      // card_pkg::Status*
  output logic [15:0]  res_out_len_o,     // bytes; 0 unless Ok
  output logic [7:0]   res_next_header_o, // decap: from the ESP trailer where the ICV matched; else 0
  output logic [31:0]  res_cycle_ciphered_o,
  output logic [31:0]  res_cycle_hashed_o,

  // Result packet, only where the header said Ok and was not discarded: ceil(out_len / 64) beats, byte 0 in bits
  // 7:0, zeros past the end.
  output logic         out_valid_o,
  input  logic         out_ready_i,
  output logic [511:0] out_data_o,
  output logic         out_last_o,

  output logic         busy_o             // any slot in use
);
  localparam int SlotBits = $clog2(Slots);
  localparam int RowBits  = $clog2(SlotBytes / 64);
  localparam int IdxBits  = $clog2(SlotBytes / 8);

  initial begin
    if (Slots < 2 || (Slots & (Slots - 1)) != 0) $fatal(1, "esp_lane: Slots must be a power of two >= 2");
    if (SlotBytes < 128 || SlotBytes > 32768 || (SlotBytes & (SlotBytes - 1)) != 0)
      $fatal(1, "esp_lane: SlotBytes must be a power of two from 128 to 32768");
  end

  logic rst_n;
  assign rst_n = rst_ni && !flush_i;

  // A slot's keys are wiped when it is done with, and all of them after a reset or flush (Slots cycles in which no job
  // is taken). Between two slots that get free there is always a cycle without a new job, in which to do it.
  logic                sweep_q, wipe_q, key_we;
  logic [SlotBits-1:0] wipe_slot_q, key_slot;

  logic                        take, free, job_ready, in_ready;
  logic [SlotBits-1:0]         take_slot, free_slot;
  logic                        src_we;
  logic [SlotBits+RowBits-1:0] src_addr;
  logic [511:0]                src_data;
  logic                        open, open_ok, open_encap, open_df, open_v6;
  logic [SlotBits-1:0]         open_slot;
  logic [7:0]                  open_status, open_tos;
  logic [IdxBits-1:0]          open_blocks;
  logic [IdxBits:0]            open_start;
  logic [15:0]                 open_len, open_out_len;
  logic [63:0]                 open_iv;
  logic [95:0]                 open_icv;
  lane_input #(.Slots(Slots), .SlotBytes(SlotBytes)) u_input (
    .clk_i(clk_i), .rst_ni(rst_n),
    .job_valid_i(job_valid_i), .job_ready_o(job_ready), .job_encap_i(job_encap_i), .job_natt_i(job_natt_i),
    .job_cipher_i(job_cipher_i), .job_auth_i(job_auth_i), .job_src_len_i(job_src_len_i),
    .job_esp_off_i(job_esp_off_i), .job_iv_i(job_iv_i),
    .in_valid_i(in_valid_i), .in_ready_o(in_ready), .in_data_i(in_data_i), .in_err_i(in_err_i),
    .take_o(take), .take_slot_o(take_slot), .free_i(free), .hold_i(sweep_q),
    .src_we_o(src_we), .src_addr_o(src_addr), .src_data_o(src_data),
    .open_o(open), .open_slot_o(open_slot), .open_ok_o(open_ok), .open_status_o(open_status),
    .open_encap_o(open_encap), .open_blocks_o(open_blocks), .open_start_o(open_start), .open_len_o(open_len),
    .open_out_len_o(open_out_len), .open_iv_o(open_iv), .open_icv_o(open_icv), .open_tos_o(open_tos),
    .open_df_o(open_df), .open_v6_o(open_v6),
    .busy_o(busy_o)
  );
  assign job_ready_o = job_ready && rst_n;  // nothing is taken in a cycle of flush
  assign in_ready_o  = in_ready && rst_n;

  always_ff @(posedge clk_i) begin
    if (!rst_n) begin
      sweep_q     <= 1'b1;
      wipe_q      <= 1'b1;
      wipe_slot_q <= '0;
    end else if (sweep_q) begin
      sweep_q     <= wipe_slot_q != SlotBits'(Slots - 1);
      wipe_q      <= wipe_slot_q != SlotBits'(Slots - 1);
      wipe_slot_q <= wipe_slot_q + 1'b1;
    end else if (free) begin
      wipe_q      <= 1'b1;
      wipe_slot_q <= free_slot;
    end else if (!take || take_slot == wipe_slot_q) begin
      wipe_q <= 1'b0;
    end
  end
  assign key_we   = take || wipe_q;
  assign key_slot = take ? take_slot : wipe_slot_q;

  logic                x_valid, x_encap, x_last;
  logic [SlotBits-1:0] x_slot;
  logic [IdxBits-1:0]  x_index;
  logic [63:0]         x_cipher, x_out;
  lane_cipher #(.Slots(Slots), .SlotBytes(SlotBytes)) u_cipher (
    .clk_i(clk_i), .rst_ni(rst_n),
    .key_we_i(key_we), .key_slot_i(key_slot), .key_wipe_i(!take), .key_decrypt_i(!job_encap_i),
    .key_single_des_i(8'(job_cipher_i) == card_pkg::CipherDesCbc), .key_i(job_enc_key_i),
    .src_we_i(src_we), .src_addr_i(src_addr), .src_data_i(src_data),
    .open_i(open), .open_slot_i(open_slot), .open_ok_i(open_ok), .open_encap_i(open_encap),
    .open_blocks_i(open_blocks), .open_start_i(open_start), .open_len_i(open_len), .open_iv_i(open_iv),
    .open_v6_i(open_v6),
    .x_valid_o(x_valid), .x_slot_o(x_slot), .x_encap_o(x_encap), .x_index_o(x_index), .x_last_o(x_last),
    .x_cipher_o(x_cipher), .x_out_o(x_out)
  );

  logic                check_valid;
  logic [SlotBits-1:0] check_slot;
  logic [7:0]          check_status, check_next_header;
  logic [15:0]         check_len;
  logic [31:0]         check_cycle;
  lane_check #(.Slots(Slots), .SlotBytes(SlotBytes)) u_check (
    .clk_i(clk_i), .rst_ni(rst_n), .cycle_i(cycle_i),
    .take_i(take), .take_slot_i(take_slot), .take_inner_v4_i(job_inner_v4_i), .take_inner_v6_i(job_inner_v6_i),
    .x_valid_i(x_valid), .x_slot_i(x_slot), .x_encap_i(x_encap), .x_index_i(x_index), .x_last_i(x_last),
    .x_out_i(x_out),
    .done_valid_o(check_valid), .done_slot_o(check_slot), .done_status_o(check_status), .done_len_o(check_len),
    .done_next_header_o(check_next_header), .done_cycle_o(check_cycle)
  );

  logic                hash_valid, hash_ok;
  logic [SlotBits-1:0] hash_slot;
  logic [95:0]         hash_icv;
  logic [31:0]         hash_cycle;
  lane_hash #(.Slots(Slots), .SlotBytes(SlotBytes), .HashUnits(HashUnits)) u_hash (
    .clk_i(clk_i), .rst_ni(rst_n), .cycle_i(cycle_i),
    .key_we_i(key_we), .key_slot_i(key_slot), .key_wipe_i(!take), .key_istate_i(job_istate_i),
    .key_ostate_i(job_ostate_i), .spi_seq_i({job_spi_i, job_seq_i[31:0]}),
    .open_i(open), .open_slot_i(open_slot), .open_encap_i(open_encap), .open_blocks_i(open_blocks),
    .open_iv_i(open_iv), .open_icv_i(open_icv),
    .x_valid_i(x_valid), .x_slot_i(x_slot), .x_index_i(x_index), .x_last_i(x_last), .x_cipher_i(x_cipher),
    .done_valid_o(hash_valid), .done_slot_o(hash_slot), .done_ok_o(hash_ok), .done_icv_o(hash_icv),
    .done_cycle_o(hash_cycle)
  );

  lane_output #(.Slots(Slots), .SlotBytes(SlotBytes)) u_output (
    .clk_i(clk_i), .rst_ni(rst_n),
    .take_i(take), .take_slot_i(take_slot), .take_tag_i(job_tag_i), .take_encap_i(job_encap_i),
    .take_natt_i(job_natt_i), .take_spi_i(job_spi_i), .take_seq_i(job_seq_i[31:0]),
    .take_src_i(job_src_i[127:96]), .take_dst_i(job_dst_i[127:96]), .take_ttl_i(job_ttl_i),
    .take_ip_id_i(job_ip_id_i), .take_df_policy_i(job_df_policy_i), .take_dscp_set_i(job_dscp_set_i),
    .take_dscp_i(job_dscp_i), .take_ecn_clear_i(job_ecn_clear_i), .take_udp_src_i(job_udp_src_i),
    .take_udp_dst_i(job_udp_dst_i),
    .open_i(open), .open_slot_i(open_slot), .open_ok_i(open_ok), .open_status_i(open_status),
    .open_out_len_i(open_out_len), .open_iv_i(open_iv), .open_tos_i(open_tos), .open_df_i(open_df),
    .x_valid_i(x_valid), .x_slot_i(x_slot), .x_index_i(x_index), .x_out_i(x_out),
    .check_valid_i(check_valid), .check_slot_i(check_slot), .check_status_i(check_status),
    .check_len_i(check_len), .check_next_header_i(check_next_header), .check_cycle_i(check_cycle),
    .hash_valid_i(hash_valid), .hash_slot_i(hash_slot), .hash_ok_i(hash_ok), .hash_icv_i(hash_icv),
    .hash_cycle_i(hash_cycle),
    .res_valid_o(res_valid_o), .res_ready_i(res_ready_i), .res_discard_i(res_discard_i), .res_tag_o(res_tag_o),
    .res_status_o(res_status_o), .res_out_len_o(res_out_len_o), .res_next_header_o(res_next_header_o),
    .res_cycle_ciphered_o(res_cycle_ciphered_o), .res_cycle_hashed_o(res_cycle_hashed_o),
    .out_valid_o(out_valid_o), .out_ready_i(out_ready_i), .out_data_o(out_data_o), .out_last_o(out_last_o),
    .free_o(free), .free_slot_o(free_slot)
  );

  logic unused;
  assign unused = &{1'b0, in_last_i, job_seq_i[63:32], job_src_i[95:0], job_dst_i[95:0]};
endmodule
