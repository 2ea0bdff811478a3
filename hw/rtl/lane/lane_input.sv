// Takes jobs and their payload: hands out slots in ring order, writes beats to the source buffer, picks out what
// later steps need (IV, received ICV, inner TOS and DF) and checks lengths. One cycle after the last beat it opens
// the slot: everything about the packet is then on the open_* ports, for one cycle.
// A packet whose status is not Ok is opened too, only to be reported.
module lane_input #(
  parameter int Slots     = 32,
  parameter int SlotBytes = 2048,
  localparam int SlotBits = $clog2(Slots),
  localparam int RowBits  = $clog2(SlotBytes / 64),  // a row is one beat
  localparam int IdxBits  = $clog2(SlotBytes / 8)    // index of a cipher block in a packet
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  input  logic                        job_valid_i,
  output logic                        job_ready_o,
  input  logic                        job_encap_i,
  input  logic                        job_natt_i,
  input  logic [3:0]                  job_cipher_i,
  input  logic [3:0]                  job_auth_i,
  input  logic [15:0]                 job_src_len_i,
  input  logic [7:0]                  job_esp_off_i,
  input  logic [63:0]                 job_iv_i,

  input  logic                        in_valid_i,
  output logic                        in_ready_o,
  input  logic [511:0]                in_data_i,
  input  logic                        in_err_i,

  output logic                        take_o,         // a job is taken into take_slot_o this cycle
  output logic [SlotBits-1:0]         take_slot_o,
  input  logic                        free_i,         // the oldest slot is done with
  input  logic                        hold_i,         // take no job

  output logic                        src_we_o,       // source buffer, beats as they came
  output logic [SlotBits+RowBits-1:0] src_addr_o,
  output logic [511:0]                src_data_o,

  output logic                        open_o,
  output logic [SlotBits-1:0]         open_slot_o,
  output logic                        open_ok_o,      // status is Ok
  output logic [7:0]                  open_status_o,
  output logic                        open_encap_o,
  output logic [IdxBits-1:0]          open_blocks_o,  // cipher blocks
  output logic [IdxBits:0]            open_start_o,   // first octet to cipher, in units of 4 from the buffer's start
  output logic [15:0]                 open_len_o,     // encap: octets to protect
  output logic [15:0]                 open_out_len_o, // encap: octets of the result
  output logic [63:0]                 open_iv_o,
  output logic [95:0]                 open_icv_o,     // decap: as received
  output logic [7:0]                  open_tos_o,     // encap: TOS or traffic class of the inner packet
  output logic                        open_df_o,      // encap: its DF bit, 0 for IPv6
  output logic                        open_v6_o,      // encap: the inner packet is IPv6

  output logic                        busy_o
);
  // Octets around the ciphertext.
  localparam int EspBytes   = 4 + 4 + 8;        // SPI, sequence number, IV
  localparam int IcvBytes   = 12;
  localparam int OuterBytes = 20;
  localparam int UdpBytes   = 8;

  // Slots.
  logic                full;
  logic [SlotBits:0]   used_q;
  logic [SlotBits-1:0] tail_q, slot_q;
  assign full   = used_q[SlotBits];
  assign busy_o = used_q != '0;

  // Job under way.
  logic               data_q;                  // taking beats
  logic               encap_q;
  logic [7:0]         status_q;
  logic [15:0]        len_q, out_len_q;
  logic [IdxBits-1:0] blocks_q;
  logic [IdxBits:0]   start_q;
  logic [13:0]        icv_pos_q;               // in units of 4 octets
  logic [7:0]         iv_pos_q;
  logic [9:0]         beat_q, last_beat_q;
  logic [63:0]        iv_q;
  logic [95:0]        icv_q;
  logic [7:0]         tos_q;
  logic               df_q, v6_q;
  logic               open_q;
  logic               beat;

  assign job_ready_o = !data_q && !full && !hold_i;
  assign take_o      = job_valid_i && job_ready_o;
  assign take_slot_o = tail_q;
  assign in_ready_o  = data_q;
  assign beat        = in_valid_i && data_q;

  // Lengths of the offered job.
  logic [15:0] esp_len, enc_out;
  logic [12:0] enc_blocks, dec_blocks;
  logic [7:0]  status;
  logic        too_short, ragged, unsupported;
  assign enc_blocks = 13'((17'(job_src_len_i) + 17'd2 + 17'd7) >> 3);  // pad length and next header, rounded up
  assign enc_out    = {enc_blocks, 3'b0} + 16'(OuterBytes + EspBytes + IcvBytes) + (job_natt_i ? 16'(UdpBytes) : 16'd0);
  assign esp_len    = job_src_len_i - 16'(job_esp_off_i);
  assign dec_blocks = 13'((esp_len - 16'(EspBytes + IcvBytes)) >> 3);
  assign too_short  = job_src_len_i < 16'(job_esp_off_i) + 16'(EspBytes + 8 + IcvBytes);
  assign ragged     = esp_len[2:0] != 3'((EspBytes + IcvBytes) % 8);
  assign unsupported = (8'(job_cipher_i) != card_pkg::CipherTripleDesCbc && 8'(job_cipher_i) != card_pkg::CipherDesCbc) ||
                       8'(job_auth_i) != card_pkg::AuthHmacSha1_96;
  always_comb begin
    status = card_pkg::StatusOk;
    if (unsupported) status = card_pkg::StatusUnsupported;
    else if (job_src_len_i > 16'(SlotBytes) || job_src_len_i == 16'd0) status = card_pkg::StatusBadLength;
    else if (job_encap_i && enc_out > 16'(SlotBytes)) status = card_pkg::StatusBadLength;
    else if (!job_encap_i && (too_short || ragged)) status = card_pkg::StatusBadEspLength;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      used_q <= '0;
      tail_q <= '0;
      data_q <= 1'b0;
      open_q <= 1'b0;
    end else begin
      used_q <= used_q + (SlotBits+1)'(take_o) - (SlotBits+1)'(free_i);
      open_q <= beat && beat_q == last_beat_q;
      if (take_o) begin
        tail_q <= tail_q + 1'b1;
        data_q <= 1'b1;
      end else if (beat && beat_q == last_beat_q) begin
        data_q <= 1'b0;
      end
    end
  end

  // Octets 4p .. 4p+3 of a beat, first octet on top.
  function automatic logic [31:0] word_at(input logic [511:0] data, input logic [3:0] p);
    logic [31:0] w;
    w = data[32*p +: 32];
    word_at = {w[7:0], w[15:8], w[23:16], w[31:24]};
  endfunction

  logic [7:0]  iv_pos1;
  logic [13:0] icv_pos1, icv_pos2;
  assign iv_pos1  = iv_pos_q + 8'd1;
  assign icv_pos1 = icv_pos_q + 14'd1;
  assign icv_pos2 = icv_pos_q + 14'd2;

  always_ff @(posedge clk_i) begin
    if (take_o) begin
      slot_q      <= tail_q;
      encap_q     <= job_encap_i;
      status_q    <= status;
      len_q       <= job_src_len_i;
      out_len_q   <= enc_out;
      blocks_q    <= IdxBits'(job_encap_i ? enc_blocks : dec_blocks);
      start_q     <= job_encap_i ? '0 : (IdxBits+1)'(job_esp_off_i[7:2]) + (IdxBits+1)'(EspBytes / 4);
      iv_pos_q    <= {2'b0, job_esp_off_i[7:2]} + 8'd2;
      icv_pos_q   <= job_src_len_i[15:2] - 14'(IcvBytes / 4);
      beat_q      <= '0;
      last_beat_q <= 10'((17'(job_src_len_i) + 17'd63) >> 6) - 10'd1;
      iv_q        <= job_iv_i;
    end else if (beat) begin
      beat_q <= beat_q + 10'd1;
      if (in_err_i) status_q <= card_pkg::StatusBusError;
      if (!encap_q) begin
        if (10'(iv_pos_q[7:4]) == beat_q) iv_q[63:32] <= word_at(in_data_i, iv_pos_q[3:0]);
        if (10'(iv_pos1[7:4]) == beat_q) iv_q[31:0] <= word_at(in_data_i, iv_pos1[3:0]);
        if (icv_pos_q[13:4] == beat_q) icv_q[95:64] <= word_at(in_data_i, icv_pos_q[3:0]);
        if (icv_pos1[13:4] == beat_q) icv_q[63:32] <= word_at(in_data_i, icv_pos1[3:0]);
        if (icv_pos2[13:4] == beat_q) icv_q[31:0] <= word_at(in_data_i, icv_pos2[3:0]);
      end
      if (beat_q == '0) begin
        v6_q  <= in_data_i[7:4] == 4'd6;
        tos_q <= in_data_i[7:4] == 4'd6 ? {in_data_i[3:0], in_data_i[15:12]} : in_data_i[15:8];
        df_q  <= in_data_i[7:4] != 4'd6 && in_data_i[8*6 + 6];  // RFC 791: bit 1 of the flags
      end
    end
  end

  assign src_we_o   = beat && (beat_q >> RowBits) == '0;
  assign src_addr_o = {slot_q, beat_q[RowBits-1:0]};
  assign src_data_o = in_data_i;

  assign open_o         = open_q;
  assign open_slot_o    = slot_q;
  assign open_ok_o      = status_q == card_pkg::StatusOk;
  assign open_status_o  = status_q;
  assign open_encap_o   = encap_q;
  assign open_blocks_o  = blocks_q;
  assign open_start_o   = start_q;
  assign open_len_o     = len_q;
  assign open_out_len_o = out_len_q;
  assign open_iv_o      = iv_q;
  assign open_icv_o     = icv_q;
  assign open_tos_o     = tos_q;
  assign open_df_o      = df_q;
  assign open_v6_o      = v6_q;
endmodule
