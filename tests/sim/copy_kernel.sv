// A kernel with the faces of esp_card that copies one burst of 1 to 64 beats, to test the platform around it, and that
// breaks AXI on request, to test the checker. Reads the source whole, then writes the destination.
//
// 0x00 SRC, 0x08 DST (64 bits each); 0x10 BEATS; 0x14 SKIP: bytes not written at the start of the first beat;
// 0x18 write: go; read: busy [0], read response [5:4], write response [9:8]; 0x1c FAULT; 0x20 no answer at all;
// 0x24 BUSY_CYCLES of the last copy.
// FAULT: 1 ARVALID falls before ARREADY; 2 WLAST on the first beat; 3 WDATA changes while it waits; 4 FIXED burst;
// 5 AWADDR changes while it waits; 6 beats of half the width; 7 strobes below a start address that is not aligned.
module copy_kernel #(
  parameter int BeatBytes = 64  // 4 to 128, a power of two
) (
  input  logic         ap_clk,
  input  logic         ap_rst_n,
  input  logic         s_axi_control_awvalid,
  output logic         s_axi_control_awready,
  input  logic [15:0]  s_axi_control_awaddr,
  input  logic         s_axi_control_wvalid,
  output logic         s_axi_control_wready,
  input  logic [31:0]  s_axi_control_wdata,
  input  logic [3:0]   s_axi_control_wstrb,
  output logic         s_axi_control_bvalid,
  input  logic         s_axi_control_bready,
  output logic [1:0]   s_axi_control_bresp,
  input  logic         s_axi_control_arvalid,
  output logic         s_axi_control_arready,
  input  logic [15:0]  s_axi_control_araddr,
  output logic         s_axi_control_rvalid,
  input  logic         s_axi_control_rready,
  output logic [31:0]  s_axi_control_rdata,
  output logic [1:0]   s_axi_control_rresp,
  output logic         m_axi_gmem_awvalid,
  input  logic         m_axi_gmem_awready,
  output logic [63:0]  m_axi_gmem_awaddr,
  output logic [0:0]   m_axi_gmem_awid,
  output logic [7:0]   m_axi_gmem_awlen,
  output logic [2:0]   m_axi_gmem_awsize,
  output logic [1:0]   m_axi_gmem_awburst,
  output logic         m_axi_gmem_wvalid,
  input  logic         m_axi_gmem_wready,
  output logic [8*BeatBytes-1:0] m_axi_gmem_wdata,
  output logic [BeatBytes-1:0] m_axi_gmem_wstrb,
  output logic         m_axi_gmem_wlast,
  input  logic         m_axi_gmem_bvalid,
  output logic         m_axi_gmem_bready,
  input  logic [1:0]   m_axi_gmem_bresp,
  input  logic [0:0]   m_axi_gmem_bid,
  output logic         m_axi_gmem_arvalid,
  input  logic         m_axi_gmem_arready,
  output logic [63:0]  m_axi_gmem_araddr,
  output logic [0:0]   m_axi_gmem_arid,
  output logic [7:0]   m_axi_gmem_arlen,
  output logic [2:0]   m_axi_gmem_arsize,
  output logic [1:0]   m_axi_gmem_arburst,
  input  logic         m_axi_gmem_rvalid,
  output logic         m_axi_gmem_rready,
  input  logic [8*BeatBytes-1:0] m_axi_gmem_rdata,
  input  logic         m_axi_gmem_rlast,
  input  logic [1:0]   m_axi_gmem_rresp,
  input  logic [0:0]   m_axi_gmem_rid
);
  localparam logic [2:0] BeatSize = 3'($clog2(BeatBytes));
  typedef enum logic [2:0] {StIdle, StReadAddress, StRead, StWriteAddress, StWrite, StResponse} state_e;
  state_e state_q;
  logic [31:0]  reg_q [0:7];
  logic [31:0]  busy_cycles_q;
  logic [8*BeatBytes-1:0] beat_q [0:63];
  logic [5:0]   index_q;
  logic [7:0]   waited_q;
  logic [1:0]   r_response_q, b_response_q;
  logic         idle /*verilator public_flat_rd*/;
  logic         last, write_taken;
  logic [31:0]  fault;
  assign idle  = state_q == StIdle;
  assign fault = reg_q[7];
  assign last  = {2'b00, index_q} + 8'd1 == reg_q[4][7:0];

  // Registers: address and data of a write are taken together; 0x20 takes a read and never answers.
  assign write_taken = s_axi_control_awvalid && s_axi_control_wvalid && !s_axi_control_bvalid;
  assign s_axi_control_awready = write_taken;
  assign s_axi_control_wready  = write_taken;
  assign s_axi_control_arready = !s_axi_control_rvalid;
  assign s_axi_control_bresp = 2'b00;
  assign s_axi_control_rresp = 2'b00;
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      s_axi_control_bvalid <= 1'b0;
      s_axi_control_rvalid <= 1'b0;
      reg_q[7] <= '0;
    end else begin
      if (s_axi_control_bready) s_axi_control_bvalid <= 1'b0;
      if (s_axi_control_rready) s_axi_control_rvalid <= 1'b0;
      if (write_taken) begin
        s_axi_control_bvalid <= 1'b1;
        reg_q[s_axi_control_awaddr[4:2]] <= s_axi_control_wdata;
      end
      if (s_axi_control_arvalid && s_axi_control_arready) begin
        s_axi_control_rvalid <= s_axi_control_araddr != 16'h20;
        case (s_axi_control_araddr)
          16'h18:  s_axi_control_rdata <= {22'd0, b_response_q, 2'd0, r_response_q, 3'd0, !idle};
          16'h24:  s_axi_control_rdata <= busy_cycles_q;
          default: s_axi_control_rdata <= reg_q[s_axi_control_araddr[4:2]];
        endcase
      end
    end
  end

  always_ff @(posedge ap_clk) begin
    waited_q <= waited_q + 8'd1;
    if (!idle) busy_cycles_q <= busy_cycles_q + 32'd1;
    case (state_q)
      StIdle: begin
        index_q  <= '0;
        waited_q <= '0;
        if (write_taken && s_axi_control_awaddr == 16'h18) begin
          state_q <= StReadAddress;
          busy_cycles_q <= '0;
        end
      end
      StReadAddress: if (m_axi_gmem_arready && m_axi_gmem_arvalid) state_q <= StRead;
      StRead: if (m_axi_gmem_rvalid) begin
        beat_q[index_q] <= m_axi_gmem_rdata;
        r_response_q    <= m_axi_gmem_rresp;
        index_q         <= m_axi_gmem_rlast ? '0 : index_q + 6'd1;
        if (m_axi_gmem_rlast) state_q <= StWriteAddress;
      end
      StWriteAddress: if (m_axi_gmem_awready) state_q <= StWrite;
      StWrite: if (m_axi_gmem_wready) begin
        index_q <= index_q + 6'd1;
        if (last) state_q <= StResponse;
      end
      default: if (m_axi_gmem_bvalid) begin
        b_response_q <= m_axi_gmem_bresp;
        state_q      <= StIdle;
      end
    endcase
    if (!ap_rst_n) state_q <= StIdle;
  end

  assign m_axi_gmem_arvalid = state_q == StReadAddress && !(fault == 1 && waited_q[0]);
  assign m_axi_gmem_araddr  = {reg_q[1], reg_q[0]};
  assign m_axi_gmem_arlen   = reg_q[4][7:0] - 8'd1;
  assign m_axi_gmem_arsize  = fault == 6 ? BeatSize - 3'd1 : BeatSize;
  assign m_axi_gmem_arburst = fault == 4 ? 2'd0 : 2'd1;
  assign m_axi_gmem_arid    = 1'b0;
  assign m_axi_gmem_rready  = state_q == StRead;
  assign m_axi_gmem_awvalid = state_q == StWriteAddress;
  assign m_axi_gmem_awaddr  = {reg_q[3], reg_q[2]} + (fault == 5 ? {50'd0, waited_q, 6'd0} : 64'd0);
  assign m_axi_gmem_awlen   = reg_q[4][7:0] - 8'd1;
  assign m_axi_gmem_awsize  = BeatSize;
  assign m_axi_gmem_awburst = 2'd1;
  assign m_axi_gmem_awid    = 1'b0;
  assign m_axi_gmem_wvalid  = state_q == StWrite;
  assign m_axi_gmem_wdata   = beat_q[index_q] ^ (fault == 3 ? (8 * BeatBytes)'(waited_q) : '0);
  assign m_axi_gmem_wstrb   = index_q == '0 && fault != 7 ? {BeatBytes{1'b1}} << reg_q[5][6:0] : '1;
  assign m_axi_gmem_wlast   = last || fault == 2;
  assign m_axi_gmem_bready  = state_q == StResponse;
  logic unused;
  assign unused = &{1'b0, s_axi_control_wstrb, m_axi_gmem_rid, m_axi_gmem_bid, 1'b0};
endmodule
