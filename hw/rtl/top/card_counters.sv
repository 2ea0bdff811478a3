// Counter registers, 0x2000 to 0x21ff: completions by status; packets and bytes each way.
module card_counters (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [15:0] reg_addr_i,
  output logic [31:0] reg_rdata_o,
  output logic        reg_hit_o,
  input  logic        count_i,          // one cycle a completion
  input  logic [7:0]  count_op_i,
  input  logic [7:0]  count_status_i,
  input  logic [15:0] count_src_len_i,
  input  logic [15:0] count_out_len_i
);
  logic [1023:0] by_status_q;
  logic [31:0]   encap_packets_q, decap_packets_q;
  logic [63:0]   encap_bytes_q, decap_bytes_q;
  logic          in_status, ok;
  logic [4:0]    n;
  assign ok        = count_i && count_status_i == card_pkg::StatusOk;
  assign n         = reg_addr_i[6:2];
  assign in_status = reg_addr_i[15:7] == card_pkg::RegPacketsByStatus[15:7];
  for (genvar s = 0; s < card_pkg::RegPacketsByStatusCount; s++) begin : gen_status
    always_ff @(posedge clk_i) begin
      if (!rst_ni) by_status_q[32*s +: 32] <= '0;
      else if (count_i && count_status_i == 8'(s)) by_status_q[32*s +: 32] <= by_status_q[32*s +: 32] + 32'd1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      encap_packets_q <= '0;
      encap_bytes_q   <= '0;
      decap_packets_q <= '0;
      decap_bytes_q   <= '0;
    end else begin
      if (ok && count_op_i == card_pkg::OpEncap) begin
        encap_packets_q <= encap_packets_q + 32'd1;
        encap_bytes_q   <= encap_bytes_q + 64'(count_src_len_i);
      end
      if (ok && count_op_i == card_pkg::OpDecap) begin
        decap_packets_q <= decap_packets_q + 32'd1;
        decap_bytes_q   <= decap_bytes_q + 64'(count_out_len_i);
      end
    end
  end
  always_comb begin
    reg_hit_o   = 1'b1;
    reg_rdata_o = '0;
    case (reg_addr_i)
      card_pkg::RegEncapPackets: reg_rdata_o = encap_packets_q;
      card_pkg::RegEncapBytesLo: reg_rdata_o = encap_bytes_q[31:0];
      card_pkg::RegEncapBytesHi: reg_rdata_o = encap_bytes_q[63:32];
      card_pkg::RegDecapPackets: reg_rdata_o = decap_packets_q;
      card_pkg::RegDecapBytesLo: reg_rdata_o = decap_bytes_q[31:0];
      card_pkg::RegDecapBytesHi: reg_rdata_o = decap_bytes_q[63:32];
      default: begin
        reg_hit_o = in_status;
        if (in_status) reg_rdata_o = by_status_q[32*n +: 32];
      end
    endcase
  end
endmodule
