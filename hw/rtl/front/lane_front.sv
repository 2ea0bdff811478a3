// Front of a lane: takes checked descriptors with their packets, looks their SAs up and opens their slots, in order.
//   front_parse -> jobs and lookups -> front_prepare -> front_header, front_stream -> open
// Parsing, lookups (up to 8 out), preparation and streaming overlap. Latency of a plain 64-octet packet from its header
// beat to its opening: 28 cycles and the lookup. Rate: such a packet in 8 cycles (AH 9), long ones 32 octets a cycle.
// Not done: reassembly, and headers beyond the first 128 octets.
module lane_front #(
  parameter int JumboSlots = 16,
  parameter int SmallSlots = 48,
  localparam int SlotBits  = $clog2(JumboSlots + SmallSlots),
  localparam int RowBits   = $clog2(JumboSlots * slot_pkg::JumboRows + SmallSlots * slot_pkg::SmallRows)
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic [31:0]         cycle_i,
  output logic                idle_o,
  // descriptors
  input  logic                pd_valid_i,
  output logic                pd_ready_o,
  input  logic [7:0]          pd_status_i,
  input  logic [3:0]          pd_queue_i,
  input  logic                pd_in_order_i,
  input  logic [31:0]         pd_cycle_i,
  input  logic [7:0]          pd_op_i,
  input  logic                pd_host_iv_i,
  input  logic [31:0]         pd_sa_index_i,
  input  logic [63:0]         pd_cookie_i,
  input  logic [63:0]         pd_dst_addr_i,
  input  logic [31:0]         pd_dst_size_i,
  input  logic [7:0]          pd_dst_segments_i,
  input  logic [15:0]         pd_src_len_i,
  input  logic [63:0]         pd_iv_i,
  // their packets
  input  logic                hb_valid_i,
  output logic                hb_ready_o,
  input  logic [511:0]        hb_data_i,
  input  logic                hb_last_i,
  input  logic                hb_err_i,
  input  logic                db_valid_i,
  output logic                db_ready_o,
  input  logic [511:0]        db_data_i,
  input  logic                db_err_i,
  // their destination segments, where data follow
  input  logic                seg_valid_i,
  output logic                seg_ready_o,
  input  logic [63:0]         seg_addr_i,
  input  logic [15:0]         seg_len_i,
  // IV generator
  input  logic                seeded_i,
  input  logic                iv_valid_i,
  output logic                iv_ready_o,
  input  logic [63:0]         iv_data_i,
  // SA lookup
  output logic                lk_valid_o,
  input  logic                lk_ready_i,
  output logic                lk_encap_o,
  output logic [31:0]         lk_index_o,
  output logic [31:0]         lk_spi_o,
  output logic [31:0]         lk_seq_o,
  output logic                lk_ah_o,
  output logic                lk_udp_o,
  output logic                lk_v6_o,
  output logic [127:0]        lk_src_o,
  output logic [127:0]        lk_dst_o,
  output logic [15:0]         lk_len_o,
  output logic [7:0]          lk_hdr_len_o,
  output logic [15:0]         lk_dst_size_o,
  output logic                lk_fragment_o,
  // its answer
  input  logic                lr_valid_i,
  input  logic [7:0]          lr_status_i,
  input  logic                lr_found_i,
  input  logic                lr_epoch_i,
  input  logic [31:0]         lr_index_i,
  input  logic [31:0]         lr_spi_i,
  input  logic [63:0]         lr_seq_i,
  input  logic [15:0]         lr_ip_id_i,
  input  logic [15:0]         lr_out_len_i,
  input  logic                lr_transport_i,
  input  logic                lr_ah_i,
  input  logic                lr_outer_v6_i,
  input  logic                lr_natt_i,
  input  logic                lr_esn_i,
  input  logic                lr_inner_v4_i,
  input  logic                lr_inner_v6_i,
  input  logic [1:0]          lr_cipher_i,
  input  logic [1:0]          lr_auth_i,
  input  logic [1:0]          lr_df_policy_i,
  input  logic                lr_dscp_set_i,
  input  logic [5:0]          lr_dscp_i,
  input  logic                lr_ecn_clear_i,
  input  logic [7:0]          lr_ttl_i,
  input  logic [15:0]         lr_udp_src_i,
  input  logic [15:0]         lr_udp_dst_i,
  input  logic [127:0]        lr_src_i,
  input  logic [127:0]        lr_dst_i,
  input  logic [191:0]        lr_enc_key_i,
  input  logic [159:0]        lr_istate_i,
  input  logic [159:0]        lr_ostate_i,
  // slots
  output logic                alloc_jumbo_o,
  input  logic                alloc_ok_i,
  input  logic [SlotBits-1:0] alloc_slot_i,
  output logic                alloc_take_o,
  output logic [7:0]          in_we_o,          // bit j: word j of the row
  output logic [RowBits-1:0]  in_row_o,
  output logic [511:0]        in_data_o,
  output logic                open_valid_o,
  output logic [SlotBits-1:0] open_slot_o,
  output logic                open_run_o,
  output logic [7:0]          open_status_o,
  output logic                open_encap_o,
  output logic                open_esp_o,
  output logic                open_tunnel_o,
  output logic                open_inner_v4_o,
  output logic                open_inner_v6_o,
  output logic [1:0]          open_cipher_o,
  output logic [1:0]          open_auth_o,
  output logic [13:0]         open_len_o,
  output logic [63:0]         open_spi_seq_o,
  output logic [63:0]         open_iv_o,
  output logic                open_esn_o,
  output logic [31:0]         open_seq_hi_o,
  output logic [95:0]         open_icv_o,
  output logic [191:0]        open_key_o,
  output logic [159:0]        open_istate_o,
  output logic [159:0]        open_ostate_o,
  output logic                open_ordered_o,
  output logic [8:0]          open_order_o,
  // header words, destination segments, record for lane_back
  output logic                hdr_we_o,
  output logic [SlotBits-1:0] hdr_slot_o,
  output logic [3:0]          hdr_word_o,
  output logic [63:0]         hdr_data_o,
  output logic                dseg_we_o,
  output logic [SlotBits-1:0] dseg_slot_o,
  output logic [2:0]          dseg_index_o,
  output logic [63:0]         dseg_addr_o,
  output logic [15:0]         dseg_len_o,
  output logic                rec_valid_o,
  output logic [SlotBits-1:0] rec_slot_o,
  output logic [7:0]          rec_op_o,
  output logic [3:0]          rec_queue_o,
  output logic [63:0]         rec_cookie_o,
  output logic [63:0]         rec_dst_addr_o,
  output logic [15:0]         rec_dst_size_o,
  output logic [3:0]          rec_dst_segments_o,
  output logic [15:0]         rec_src_len_o,
  output logic [31:0]         rec_fetched_o,
  output logic [31:0]         rec_started_o,
  output logic                rec_found_o,
  output logic                rec_epoch_o,
  output logic [31:0]         rec_index_o,
  output logic [31:0]         rec_spi_o,
  output logic [63:0]         rec_seq_o,
  output logic                rec_encap_o,
  output logic [15:0]         rec_out_len_o,
  output logic [7:0]          rec_next_header_o,
  output logic [7:0]          rec_ah_status_o,  // decap of AH: verdict on what is inside, once the ICV has matched
  output logic                rec_esp_o,
  output logic                rec_tunnel_o,
  output logic [7:0]          rec_hdr_len_o,
  output logic [7:0]          rec_ip_len_o,
  output logic [7:0]          rec_skip_o,
  output logic                rec_v6_o,
  output logic [15:0]         rec_hsum_o,
  output logic                rec_natt_o,
  output logic                rec_patch_nh_o,
  output logic [7:0]          rec_nh_at_o,
  output logic [3:0]          rec_icv_len_o,
  output logic                rec_ce_o
);
  localparam int Jobs    = 8;           // parsed and not yet opened
  localparam int JobBits = $clog2(Jobs);

  // Parser
  logic        room, parse_idle, job_push, job_look, job_data, job_encap, job_v6, job_udp, job_ext, job_ah_len_ok, job_df;
  logic        job_number, job_host_iv, answer_room, accept;
  logic        word_we;
  logic [3:0]  word_at;
  logic [63:0] word_data;
  logic [7:0]  job_status, job_nh, job_in_first, job_tos;
  logic [5:0]  job_hdr_dw;
  logic [6:0]  job_nh_at;
  logic [15:0] job_end, job_in_len, job_src_len, dst_size;
  logic [31:0] job_spi, job_seq;
  assign dst_size = pd_dst_size_i[31:16] != '0 ? 16'hffff : pd_dst_size_i[15:0];
  front_parse u_parse (
    .clk_i(clk_i), .rst_ni(rst_ni), .seeded_i(seeded_i), .room_i(room), .ask_room_i(answer_room),
    .pd_valid_i(pd_valid_i), .pd_ready_o(pd_ready_o), .pd_status_i(pd_status_i), .pd_op_i(pd_op_i),
    .pd_host_iv_i(pd_host_iv_i), .pd_sa_index_i(pd_sa_index_i), .pd_dst_size_i(dst_size), .pd_src_len_i(pd_src_len_i),
    .hb_valid_i(hb_valid_i), .hb_ready_o(hb_ready_o), .hb_data_i(hb_data_i), .hb_last_i(hb_last_i), .hb_err_i(hb_err_i),
    .lk_valid_o(lk_valid_o), .lk_ready_i(lk_ready_i), .lk_encap_o(lk_encap_o), .lk_index_o(lk_index_o), .lk_spi_o(lk_spi_o),
    .lk_seq_o(lk_seq_o), .lk_ah_o(lk_ah_o), .lk_udp_o(lk_udp_o), .lk_v6_o(lk_v6_o), .lk_src_o(lk_src_o), .lk_dst_o(lk_dst_o),
    .lk_len_o(lk_len_o), .lk_hdr_len_o(lk_hdr_len_o), .lk_dst_size_o(lk_dst_size_o), .lk_fragment_o(lk_fragment_o),
    .word_we_o(word_we), .word_o(word_at), .word_data_o(word_data),
    .job_push_o(job_push), .job_status_o(job_status), .job_look_o(job_look), .job_data_o(job_data), .job_encap_o(job_encap),
    .job_v6_o(job_v6), .job_udp_o(job_udp), .job_hdr_dw_o(job_hdr_dw), .job_end_o(job_end), .job_nh_o(job_nh),
    .job_nh_at_o(job_nh_at), .job_ext_o(job_ext), .job_ah_len_ok_o(job_ah_len_ok), .job_in_first_o(job_in_first),
    .job_in_len_o(job_in_len), .job_tos_o(job_tos), .job_df_o(job_df), .job_number_o(job_number), .job_spi_o(job_spi),
    .job_seq_o(job_seq), .job_host_iv_o(job_host_iv), .job_src_len_o(job_src_len), .idle_o(parse_idle)
  );

  // Jobs: a ring of places, taken with the descriptor. Words of headers and what only start and end of the building need
  // in RAMs, the rest in a FIFO.
  logic [JobBits-1:0] take_job_q, read_job_q, push_job_q, prep_job_q, job_q;
  logic [JobBits:0]   jobs_q;
  logic               open_q, start, built;
  assign room   = !jobs_q[JobBits];
  assign accept = pd_valid_i && pd_ready_o;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      take_job_q <= '0;
      push_job_q <= '0;
      prep_job_q <= '0;
      jobs_q     <= '0;
    end else begin
      if (accept) take_job_q <= take_job_q + 1'b1;
      if (job_push) push_job_q <= push_job_q + 1'b1;
      if (start) prep_job_q <= prep_job_q + 1'b1;
      jobs_q <= jobs_q + (JobBits + 1)'(accept) - (JobBits + 1)'(open_q);
    end
  end
  always_ff @(posedge clk_i) if (accept) read_job_q <= take_job_q;
  localparam int EarlyBits = 8 + 7 + 6 + 16 + 8 + 7 + 8 + 16 + 1 + 16;
  logic                 early_valid, early_ready, early_room;
  logic [EarlyBits-1:0] early;
  logic [JobBits:0]     early_level;
  stream_fifo #(.Width(EarlyBits), .Depth(Jobs)) u_early (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(job_push), .ready_o(early_room),
    .data_i({job_status, job_look, job_data, job_encap, job_v6, job_udp, job_ext, job_ah_len_ok, job_hdr_dw, job_end, job_nh,
             job_nh_at, job_in_first, job_in_len, job_host_iv, job_src_len}),
    .valid_o(early_valid), .ready_i(early_ready), .data_o(early), .level_o(early_level)
  );
  logic [3:0]  queue, segments;
  logic        in_order, df, pkt_number;
  logic [31:0] fetched, pkt_spi, pkt_seq;
  logic [7:0]  op, tos;
  logic [63:0] cookie, dst_addr;
  logic [15:0] rec_dst_size, src_len;
  sdp_ram #(.Width(4), .Depth(Jobs)) u_start_pd (
    .clk_i(clk_i), .wr_en_i(accept), .wr_addr_i(take_job_q), .wr_data_i(pd_dst_segments_i[3:0]),
    .rd_en_i(start), .rd_addr_i(prep_job_q), .rd_data_o(segments)
  );
  logic [63:0] host_iv_mem [0:Jobs-1];
  always_ff @(posedge clk_i) if (accept) host_iv_mem[take_job_q] <= pd_iv_i;
  sdp_ram #(.Width(8 + 1), .Depth(Jobs)) u_start_job (
    .clk_i(clk_i), .wr_en_i(job_push), .wr_addr_i(push_job_q), .wr_data_i({job_tos, job_df}),
    .rd_en_i(start), .rd_addr_i(prep_job_q), .rd_data_o({tos, df})
  );
  sdp_ram #(.Width(4 + 1 + 32 + 8 + 64 + 64 + 16 + 16), .Depth(Jobs)) u_end_pd (
    .clk_i(clk_i), .wr_en_i(accept), .wr_addr_i(take_job_q),
    .wr_data_i({pd_queue_i, pd_in_order_i, pd_cycle_i, pd_op_i, pd_cookie_i, pd_dst_addr_i, dst_size, pd_src_len_i}),
    .rd_en_i(built), .rd_addr_i(job_q), .rd_data_o({queue, in_order, fetched, op, cookie, dst_addr, rec_dst_size, src_len})
  );
  sdp_ram #(.Width(1 + 32 + 32), .Depth(Jobs)) u_end_job (
    .clk_i(clk_i), .wr_en_i(job_push), .wr_addr_i(push_job_q), .wr_data_i({job_number, job_spi, job_seq}),
    .rd_en_i(built), .rd_addr_i(job_q), .rd_data_o({pkt_number, pkt_spi, pkt_seq})
  );
  logic        word_rd;
  logic [3:0]  word_rd_at;
  logic [63:0] word_rd_data;
  sdp_ram #(.Width(64), .Depth(16 * Jobs)) u_words (
    .clk_i(clk_i), .wr_en_i(word_we), .wr_addr_i({read_job_q, word_at}), .wr_data_i(word_data),
    .rd_en_i(word_rd), .rd_addr_i({start ? prep_job_q : job_q, word_rd_at}), .rd_data_o(word_rd_data)
  );

  // Answers
  localparam int SaEarlyBits = 8 + 16 + 8;
  localparam int SaWideBits  = 32 + 64 + 16 + 2 + 1 + 6 + 1 + 8 + 32 + 256;
  localparam int SaLastBits  = 1 + 1 + 1 + 32 + 3 + 2 + 2 + 192 + 320;
  logic                   answer_idle, sa_valid, sa_ready;
  logic [SaEarlyBits-1:0] sa_early;
  logic                   read_answer, last_answer;
  logic [7:0]   sa_ttl;
  logic         sa_good, sa_found, sa_epoch, sa_esn, sa_in4, sa_in6, sa_dscp_set, sa_ecn_clear;  // good: status Ok
  logic [31:0]  sa_index, sa_spi;
  logic [63:0]  sa_seq;
  logic [15:0]  sa_ip_id, sa_udp_src, sa_udp_dst;
  logic [1:0]   sa_cipher, sa_auth, sa_df_policy;
  logic [5:0]   sa_dscp;
  logic [127:0] sa_src, sa_dst;
  logic [191:0] sa_key;
  logic [159:0] sa_istate, sa_ostate;
  front_answers #(.EarlyBits(SaEarlyBits), .WideBits(SaWideBits), .LastBits(SaLastBits), .Depth(Jobs)) u_answers (
    .clk_i(clk_i), .rst_ni(rst_ni), .room_o(answer_room), .ask_i(job_push && job_look),
    .valid_i(lr_valid_i),
    .early_i({lr_status_i, lr_out_len_i, lr_transport_i, lr_ah_i, lr_outer_v6_i, lr_natt_i, lr_inner_v4_i, lr_inner_v6_i,
              8'(lr_cipher_i) != card_pkg::CipherNull, 8'(lr_auth_i) != card_pkg::AuthNone}),
    .wide_i({lr_spi_i, lr_seq_i, lr_ip_id_i, lr_df_policy_i, lr_dscp_set_i, lr_dscp_i, lr_ecn_clear_i, lr_ttl_i,
             lr_udp_src_i, lr_udp_dst_i, lr_src_i, lr_dst_i}),
    .last_i({lr_status_i == card_pkg::StatusOk, lr_found_i, lr_epoch_i, lr_index_i, lr_esn_i, lr_inner_v4_i, lr_inner_v6_i,
             lr_cipher_i, lr_auth_i, lr_enc_key_i, lr_istate_i, lr_ostate_i}),
    .early_valid_o(sa_valid), .early_ready_i(sa_ready), .early_o(sa_early),
    .read_i(read_answer), .wide_o({sa_spi, sa_seq, sa_ip_id, sa_df_policy, sa_dscp_set, sa_dscp, sa_ecn_clear, sa_ttl,
                                   sa_udp_src, sa_udp_dst, sa_src, sa_dst}),
    .last_read_i(last_answer), .last_o({sa_good, sa_found, sa_epoch, sa_index, sa_esn, sa_in4, sa_in6, sa_cipher, sa_auth,
                                        sa_key, sa_istate, sa_ostate}),
    .idle_o(answer_idle)
  );

  // Preparation of the next packet
  logic                p_valid, p_look, p_run, p_data, p_encap, p_esp, p_tunnel, p_host_iv, p_iv, p_natt, p_in6, p_v6, p_slow, p_icv;
  logic                prep_busy;
  logic [7:0]          p_status, p_hdr_len, p_skip, p_nh, p_rec_nh, p_ah_status;
  logic [5:0]          p_ip_dw, p_d0_dw, p_src_dw;
  logic [3:0]          p_last_w;
  logic                p_words;
  logic [13:0]         p_len, p_keep;
  logic [8:0]          p_rows, p_steps;
  logic [9:0]          p_halves, p_beats;
  logic [15:0]         p_plen, p_out_len;
  logic [6:0]          p_nh_at;
  logic [SlotBits-1:0] p_slot_q;
  logic [RowBits-1:0]  p_base_q;
  logic [63:0]         p_iv_q;
  front_prepare u_prepare (
    .clk_i(clk_i), .rst_ni(rst_ni), .job_valid_i(early_valid), .job_ready_o(early_ready),
    .job_status_i(early[EarlyBits-1 -: 8]), .job_look_i(early[EarlyBits-9]), .job_data_i(early[EarlyBits-10]),
    .job_encap_i(early[EarlyBits-11]), .job_v6_i(early[EarlyBits-12]), .job_udp_i(early[EarlyBits-13]),
    .job_ext_i(early[EarlyBits-14]), .job_ah_len_ok_i(early[EarlyBits-15]), .job_hdr_dw_i(early[EarlyBits-16 -: 6]),
    .job_end_i(early[EarlyBits-22 -: 16]), .job_nh_i(early[EarlyBits-38 -: 8]), .job_nh_at_i(early[EarlyBits-46 -: 7]),
    .job_in_first_i(early[40:33]), .job_in_len_i(early[32:17]), .job_host_iv_i(early[16]), .job_src_len_i(early[15:0]),
    .sa_valid_i(sa_valid), .sa_ready_o(sa_ready), .sa_status_i(sa_early[31:24]), .sa_out_len_i(sa_early[23:8]),
    .sa_transport_i(sa_early[7]), .sa_ah_i(sa_early[6]), .sa_outer_v6_i(sa_early[5]), .sa_natt_i(sa_early[4]),
    .sa_inner_v4_i(sa_early[3]), .sa_inner_v6_i(sa_early[2]), .sa_cipher_i(sa_early[1]), .sa_auth_i(sa_early[0]),
    .iv_valid_i(iv_valid_i), .iv_ready_o(iv_ready_o), .alloc_jumbo_o(alloc_jumbo_o), .alloc_ok_i(alloc_ok_i),
    .alloc_take_o(alloc_take_o), .p_valid_o(p_valid), .p_ready_i(start), .p_look_o(p_look), .p_run_o(p_run),
    .p_status_o(p_status), .p_data_o(p_data), .p_encap_o(p_encap), .p_esp_o(p_esp), .p_tunnel_o(p_tunnel),
    .p_host_iv_o(p_host_iv), .p_iv_o(p_iv), .p_natt_o(p_natt), .p_in6_o(p_in6), .p_v6_o(p_v6), .p_slow_o(p_slow),
    .p_ip_dw_o(p_ip_dw), .p_hdr_len_o(p_hdr_len), .p_skip_o(p_skip),
    .p_last_w_o(p_last_w), .p_words_o(p_words), .p_d0_dw_o(p_d0_dw), .p_src_dw_o(p_src_dw),
    .p_len_o(p_len), .p_keep_o(p_keep), .p_rows_o(p_rows), .p_steps_o(p_steps), .p_src_halves_o(p_halves),
    .p_beats_o(p_beats), .p_plen_o(p_plen), .p_nh_o(p_nh), .p_nh_at_o(p_nh_at), .p_out_len_o(p_out_len),
    .p_rec_nh_o(p_rec_nh), .p_ah_status_o(p_ah_status), .p_icv_o(p_icv), .p_busy_o(prep_busy)
  );
  logic [15:0] first_row;
  assign first_row = slot_pkg::base(16'(alloc_slot_i), 16'(JumboSlots));
  always_ff @(posedge clk_i) if (alloc_take_o) begin
    p_slot_q <= alloc_slot_i;
    p_base_q <= first_row[RowBits-1:0];
    p_iv_q   <= iv_data_i;
  end

  // The packet that is built. What is read at its start is its own from the cycle after start on. When it is built, the
  // next one may start: what the opening tells is kept beside, or read then.
  logic                build_q;
  logic                look_q, run_q, data_q, encap_q, esp_q, tunnel_q, iv_q, natt_q, in6_q, v6_q, slow_q, icv_q;
  logic [7:0]          status_q, hdr_len_q, skip_q, nh_q, rec_nh_q, ah_status_q;
  logic [5:0]          ip_dw_q;
  logic [3:0]          last_w_q;
  logic [13:0]         len_q;
  logic [15:0]         plen_q, out_len_q;
  logic [6:0]          nh_at_q;
  logic [SlotBits-1:0] slot_q;
  logic [63:0]         gen_iv_q, host_iv_q;
  logic                stream_done, stream_err, header_done, segs_done;
  logic [7:0]          header_status;
  logic [95:0]         stream_icv0, stream_icv1;
  logic [127:0]        header_tail;
  logic [63:0]         stream_word1, stream_made1;
  assign start = p_valid && (!build_q || built);
  assign built = build_q && !open_q && stream_done && header_done && segs_done;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      build_q <= 1'b0;
      open_q  <= 1'b0;
    end else begin
      build_q <= start || (build_q && !built);
      open_q  <= built;
    end
  end
  // Of the two IVs one is 0.
  always_ff @(posedge clk_i) if (start) begin
    if (!p_host_iv) host_iv_q <= '0;
    else host_iv_q <= host_iv_mem[prep_job_q];
    job_q       <= prep_job_q;
    look_q      <= p_look;
    run_q       <= p_run;
    status_q    <= p_status;
    data_q      <= p_data;
    encap_q     <= p_encap;
    esp_q       <= p_esp;
    tunnel_q    <= p_tunnel;
    iv_q        <= p_iv;
    natt_q      <= p_natt;
    in6_q       <= p_in6;
    v6_q        <= p_v6;
    slow_q      <= p_slow;
    icv_q       <= p_icv;
    hdr_len_q   <= p_hdr_len;
    last_w_q    <= p_last_w;
    skip_q      <= p_skip;
    nh_q        <= p_nh;
    rec_nh_q    <= p_rec_nh;
    ah_status_q <= p_ah_status;
    ip_dw_q     <= p_ip_dw;
    len_q       <= p_len;
    plen_q      <= p_plen;
    out_len_q   <= p_out_len;
    nh_at_q     <= p_nh_at;
    slot_q      <= p_slot_q;
    gen_iv_q    <= p_host_iv ? '0 : p_iv_q;
  end
  assign read_answer = start && p_look;
  assign last_answer = built && look_q;

  logic        fr_valid, fr_last, fr_stop;
  logic [3:0]  fr_word;
  logic [63:0] fr_data;
  front_stream #(.RowBits(RowBits)) u_stream (
    .clk_i(clk_i), .rst_ni(rst_ni), .start_i(start), .run_i(p_run), .encap_i(p_encap), .esp_i(p_esp), .iv_i(p_iv),
    .d0_dw_i(p_d0_dw), .src_dw_i(p_src_dw), .len_i(p_len), .keep_i(p_keep), .rows_i(p_rows), .steps_i(p_steps),
    .src_halves_i(p_halves), .beats_i(p_beats), .nh_i(p_nh), .base_i(p_base_q),
    .spi_seq_i({sa_spi, sa_seq[31:0]}), .host_iv_i(host_iv_q), .gen_iv_i(gen_iv_q),
    .db_valid_i(db_valid_i), .db_ready_o(db_ready_o), .db_data_i(db_data_i), .db_err_i(db_err_i),
    .fr_valid_i(fr_valid), .fr_last_i(fr_last), .fr_word_i(fr_word), .fr_data_i(fr_data), .fr_stop_i(fr_stop),
    .in_we_o(in_we_o), .in_row_o(in_row_o), .in_data_o(in_data_o),
    .done_o(stream_done), .err_o(stream_err), .made1_o(stream_made1), .word1_o(stream_word1), .icv0_o(stream_icv0),
    .icv1_o(stream_icv1)
  );
  front_header u_header (
    .clk_i(clk_i), .rst_ni(rst_ni), .start_i(start), .run_i(p_words), .made_i(p_encap && p_tunnel), .last_i(last_w_q),
    .encap_i(encap_q), .esp_i(esp_q), .tunnel_i(tunnel_q), .iv_i(iv_q), .natt_i(natt_q), .v6_i(v6_q), .slow_i(slow_q),
    .ip_dw_i(ip_dw_q), .plen_i(plen_q), .nh_i(nh_q), .nh_at_i(nh_at_q), .tos_i(tos), .df_i(df),
    .spi_seq_i({sa_spi, sa_seq[31:0]}), .host_iv_i(host_iv_q), .gen_iv_i(gen_iv_q), .ip_id_i(sa_ip_id), .df_policy_i(sa_df_policy),
    .dscp_set_i(sa_dscp_set), .dscp_i(sa_dscp), .ecn_clear_i(sa_ecn_clear), .ttl_i(sa_ttl), .udp_src_i(sa_udp_src),
    .udp_dst_i(sa_udp_dst), .src_i(sa_src), .dst_i(sa_dst),
    .rd_en_o(word_rd), .rd_word_o(word_rd_at), .rd_data_i(word_rd_data),
    .hdr_we_o(hdr_we_o), .hdr_word_o(hdr_word_o), .hdr_data_o(hdr_data_o),
    .fr_valid_o(fr_valid), .fr_last_o(fr_last), .fr_word_o(fr_word), .fr_data_o(fr_data), .fr_stop_o(fr_stop),
    .done_o(header_done), .status_o(header_status), .hsum_o(rec_hsum_o), .tail_o(header_tail)
  );
  // The last header word may leave with the opening.
  logic [SlotBits-1:0] hdr_slot_q;
  always_ff @(posedge clk_i) hdr_slot_q <= slot_q;
  assign hdr_slot_o = hdr_slot_q;

  // Destination segments
  logic [3:0] seg_q, seg_next;
  logic       seg_end;
  logic       seg_more_q, segs_done_q;     // from the second cycle after start on
  assign seg_next     = seg_q + 4'd1;
  assign seg_end      = dseg_we_o ? seg_next == segments : seg_q == segments;
  assign dseg_we_o    = seg_valid_i && seg_ready_o;
  assign seg_ready_o  = seg_more_q;
  assign segs_done    = segs_done_q;
  assign dseg_slot_o  = slot_q;
  assign dseg_index_o = seg_q[2:0];
  assign dseg_addr_o  = seg_addr_i;
  assign dseg_len_o   = seg_len_i;
  always_ff @(posedge clk_i) begin
    if (start) seg_q <= '0;
    else if (dseg_we_o) seg_q <= seg_next;
    seg_more_q  <= rst_ni && build_q && !start && data_q && !seg_end;
    segs_done_q <= rst_ni && build_q && !start && (!data_q || seg_end);
  end

  // Opening: decided with built, told in the next cycle
  logic                ok, o_look_q, o_run_q, o_encap_q, o_esp_q, o_tunnel_q, o_v6_q, o_natt_q, o_icv_q, o_ce_q, o_patch_q, o_odd_q;
  logic [SlotBits-1:0] o_slot_q;
  logic [7:0]          o_status_q, o_hdr_len_q, o_ip_len_q, o_skip_q, o_nh_q, o_ah_status_q;
  logic [6:0]          o_nh_at_q;
  logic [3:0]          o_segments_q;
  logic [13:0]         o_len_q;
  logic [15:0]         o_out_len_q;
  logic [31:0]         o_spi_q;
  logic [63:0]         o_seq_q;
  assign ok = run_q && !stream_err && header_status == card_pkg::StatusOk;
  always_ff @(posedge clk_i) if (built) begin
    o_slot_q      <= slot_q;
    o_look_q      <= look_q;
    o_run_q       <= ok;
    o_status_q    <= !run_q ? status_q : stream_err ? card_pkg::StatusBusError : header_status;
    o_encap_q     <= encap_q;
    o_esp_q       <= esp_q;
    o_tunnel_q    <= tunnel_q;
    o_len_q       <= len_q;
    o_spi_q       <= sa_spi;
    o_seq_q       <= sa_seq;
    o_odd_q       <= ip_dw_q[0];
    o_segments_q  <= segments;
    o_out_len_q   <= out_len_q;
    o_nh_q        <= rec_nh_q;
    o_ah_status_q <= ah_status_q;
    o_hdr_len_q   <= ok ? hdr_len_q : 8'd0;
    o_ip_len_q    <= ok && hdr_len_q != '0 ? {ip_dw_q, 2'b00} : 8'd0;
    o_skip_q      <= skip_q;
    o_v6_q        <= v6_q;
    o_natt_q      <= natt_q;
    o_patch_q     <= run_q && !encap_q && !tunnel_q;
    o_nh_at_q     <= nh_at_q;
    o_icv_q       <= icv_q;
    o_ce_q        <= run_q && !encap_q && tunnel_q && tos[1:0] == 2'b11;
  end
  assign open_valid_o   = open_q;
  assign open_slot_o    = o_slot_q;
  assign open_run_o     = o_run_q;
  assign open_status_o  = o_status_q;
  assign open_encap_o   = o_encap_q;
  assign open_esp_o     = o_esp_q;
  assign open_tunnel_o  = o_tunnel_q;
  assign open_inner_v4_o = sa_in4;
  assign open_inner_v6_o = sa_in6;
  assign open_cipher_o  = sa_cipher;
  assign open_auth_o    = sa_auth;
  assign open_len_o     = o_len_q;
  assign open_spi_seq_o = {o_spi_q, o_encap_q ? o_seq_q[31:0] : pkt_seq};
  assign open_iv_o      = o_encap_q ? stream_made1 : stream_word1;
  assign open_esn_o     = sa_esn;
  assign open_seq_hi_o  = o_seq_q[63:32];
  assign open_icv_o     = o_esp_q ? stream_icv0 | stream_icv1 : o_odd_q ? header_tail[127:32] : header_tail[95:0];
  assign open_key_o     = sa_key;
  assign open_istate_o  = sa_istate;
  assign open_ostate_o  = sa_ostate;
  assign open_ordered_o = in_order || rec_found_o;
  assign open_order_o   = in_order ? {1'b1, 4'd0, queue} : {1'b0, sa_index[7:0]};

  assign rec_valid_o        = open_q;
  assign rec_slot_o         = o_slot_q;
  assign rec_op_o           = op;
  assign rec_queue_o        = queue;
  assign rec_cookie_o       = cookie;
  assign rec_dst_addr_o     = dst_addr;
  assign rec_dst_size_o     = rec_dst_size;
  assign rec_dst_segments_o = o_segments_q;
  assign rec_src_len_o      = src_len;
  assign rec_fetched_o      = fetched;
  assign rec_started_o      = o_run_q ? cycle_i : 32'd0;
  assign rec_found_o        = o_look_q && sa_found;
  assign rec_epoch_o        = rec_found_o && sa_epoch;
  assign rec_index_o        = rec_found_o ? sa_index : 32'hffffffff;
  assign rec_spi_o          = rec_found_o ? o_spi_q : pkt_number ? pkt_spi : 32'd0;
  assign rec_seq_o          = rec_found_o && sa_good ? o_seq_q : {32'd0, pkt_number ? pkt_seq : 32'd0};
  assign rec_encap_o        = o_encap_q;
  assign rec_out_len_o      = o_out_len_q;
  assign rec_next_header_o  = o_nh_q;
  assign rec_ah_status_o    = o_ah_status_q;
  assign rec_esp_o          = o_esp_q;
  assign rec_tunnel_o       = o_tunnel_q;
  assign rec_hdr_len_o      = o_hdr_len_q;
  assign rec_ip_len_o       = o_ip_len_q;
  assign rec_skip_o         = o_skip_q;
  assign rec_v6_o           = o_v6_q;
  assign rec_natt_o         = o_natt_q;
  assign rec_patch_nh_o     = o_patch_q;
  assign rec_nh_at_o        = {1'b0, o_nh_at_q};
  assign rec_icv_len_o      = o_icv_q ? 4'd12 : 4'd0;
  assign rec_ce_o           = o_ce_q;

  assign idle_o = parse_idle && jobs_q == '0 && answer_idle;
  logic unused;
  assign unused = ^{early_room, early_level, prep_busy, in6_q, pd_dst_segments_i[7:4], first_row[15:RowBits]};
endmodule
