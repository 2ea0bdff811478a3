// Looks at the start of a packet: what RFC 791, RFC 3948 and RFC 4303 s2 say in front of the encrypted part.
// Give header_i and start_i (one cycle); done_o comes 5 to 12 cycles later with the verdict, which stays.
//   encap  inner IPv4: version, header length, total length equal to the source's, checksum. Fragments pass: a tunnel
//          may carry them (RFC 4303 s3.3.4).
//   decap  outer IPv4: version, options, total length within the source (octets behind it are ignored), checksum,
//          fragments, ESP or ESP in UDP; SPI and sequence number.
module ip_parse (
  input  logic          clk_i,
  input  logic          rst_ni,
  input  logic          start_i,
  input  logic          encap_i,
  input  logic [1023:0] header_i,      // first 128 bytes, byte 0 in bits 7:0; what lies past src_len is ignored
  input  logic [15:0]   src_len_i,     // bytes, at least 20
  output logic          done_o,        // one cycle
  output logic [7:0]    status_o,      // Ok, Unsupported, BadHeader, Fragment, WrongProtocol, BadEspLength
  output logic          esp_found_o,   // decap: spi_o and seq_o are the packet's
  output logic [15:0]   total_len_o,   // bytes of the IP packet
  output logic [7:0]    esp_off_o,     // decap: bytes before the ESP header
  output logic          natt_o,
  output logic [31:0]   src_o,
  output logic [31:0]   dst_o,
  output logic [31:0]   spi_o,
  output logic [31:0]   seq_o
);
  typedef enum logic [1:0] {StIdle, StSum, StHeader, StEsp} state_e;
  state_e       state_q;
  logic [2:0]   chunk_q;               // 8 bytes of header under the sum
  logic [20:0]  sum_q;
  logic [7:0]   status_q;
  logic         natt_q, found_q, done_q;
  logic [7:0]   esp_off_q;
  logic [15:0]  total_q;
  logic [31:0]  spi_q, seq_q;

  // Header fields, network order put right
  logic [3:0]   version, ihl;
  logic [15:0]  total, fragment;
  logic [7:0]   protocol;
  logic [5:0]   header_len;
  assign version    = header_i[7:4];
  assign ihl        = header_i[3:0];
  assign total      = {header_i[23:16], header_i[31:24]};
  assign fragment   = {header_i[55:48], header_i[63:56]};
  assign protocol   = header_i[79:72];
  assign header_len = {ihl, 2'b00};
  assign src_o      = {header_i[103:96], header_i[111:104], header_i[119:112], header_i[127:120]};
  assign dst_o      = {header_i[135:128], header_i[143:136], header_i[151:144], header_i[159:152]};

  // Header checksum: 8 bytes a cycle, the words past the header masked
  logic [63:0]  chunk;
  logic [17:0]  chunk_sum;
  logic         high_in;               // the chunk's second half belongs to the header
  logic [16:0]  fold1;
  logic [15:0]  fold2;
  assign chunk     = header_i[64*chunk_q +: 64];
  assign high_in   = {chunk_q, 1'b1} < ihl;
  assign chunk_sum = 18'({chunk[7:0], chunk[15:8]}) + 18'({chunk[23:16], chunk[31:24]}) +
                     (high_in ? 18'({chunk[39:32], chunk[47:40]}) + 18'({chunk[55:48], chunk[63:56]}) : 18'd0);
  assign fold1     = 17'(sum_q[15:0]) + 17'(sum_q[20:16]);
  assign fold2     = fold1[15:0] + 16'(fold1[16]);

  // UDP header behind the IP header, and the two words at the ESP header
  logic [15:0]  udp_len, payload;
  logic         udp;
  function automatic logic [31:0] word(input logic [1023:0] bytes, input logic [4:0] n);
    logic [31:0] w;
    w    = bytes[32*n +: 32];
    word = {w[7:0], w[15:8], w[23:16], w[31:24]};
  endfunction
  logic [31:0]  udp_word, spi, seq;
  assign udp      = protocol == 8'd17;
  assign udp_word = word(header_i, 5'(ihl) + 5'd1);
  assign udp_len  = udp_word[31:16];
  assign payload  = total - 16'(header_len);
  assign spi      = word(header_i, esp_off_q[6:2]);
  assign seq      = word(header_i, esp_off_q[6:2] + 5'd1);

  logic [7:0]   status;
  always_comb begin
    status = card_pkg::StatusOk;
    if (encap_i && version == 4'd6) status = card_pkg::StatusUnsupported;
    else if (version != 4'd4 || ihl < 4'd5 || total < 16'(header_len)) status = card_pkg::StatusBadHeader;
    else if (encap_i) begin
      if (total != src_len_i || fold2 != 16'hffff) status = card_pkg::StatusBadHeader;
    end else begin
      if (total > src_len_i || fold2 != 16'hffff) status = card_pkg::StatusBadHeader;
      else if (fragment[13:0] != '0) status = card_pkg::StatusFragment;  // MF or an offset
      else if (udp) begin
        if (payload < 16'd8 || udp_len != payload) status = card_pkg::StatusBadHeader;
        else if (payload < 16'd8 + 16'd4) status = card_pkg::StatusWrongProtocol;  // keepalive, RFC 3948 s2.3
        else if (payload < 16'd8 + 16'd8) status = card_pkg::StatusBadEspLength;
      end else if (protocol != 8'd50) status = card_pkg::StatusWrongProtocol;
      else if (payload < 16'd8) status = card_pkg::StatusBadEspLength;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= StIdle;
      done_q  <= 1'b0;
    end else begin
      done_q <= 1'b0;
      case (state_q)
        StIdle:   if (start_i) state_q <= StSum;
        StSum:    if ({1'b0, chunk_q, 1'b0} + 5'd2 >= {1'b0, ihl}) state_q <= StHeader;
        StHeader: state_q <= StEsp;
        default: begin
          state_q <= StIdle;
          done_q  <= 1'b1;
        end
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    case (state_q)
      StIdle: begin
        chunk_q <= '0;
        sum_q   <= '0;
      end
      StSum: begin
        chunk_q <= chunk_q + 3'd1;
        sum_q   <= sum_q + 21'(chunk_sum);
      end
      StHeader: begin
        status_q  <= status;
        natt_q    <= udp;
        total_q   <= total;
        esp_off_q <= {2'b00, header_len} + (udp ? 8'd8 : 8'd0);
      end
      default: begin
        spi_q   <= spi;
        seq_q   <= seq;
        found_q <= !encap_i && status_q == card_pkg::StatusOk && !(natt_q && spi == '0);
        // RFC 3948 s2.2: four zero octets mark IKE
        if (!encap_i && status_q == card_pkg::StatusOk && natt_q && spi == '0)
          status_q <= card_pkg::StatusWrongProtocol;
      end
    endcase
  end
  assign done_o      = done_q;
  assign status_o    = status_q;
  assign esp_found_o = found_q;
  assign total_len_o = total_q;
  assign esp_off_o   = esp_off_q;
  assign natt_o      = natt_q;
  assign spi_o       = spi_q;
  assign seq_o       = seq_q;
  logic unused;
  assign unused = ^{fragment[15:14], udp_word[15:0]};
endmodule
