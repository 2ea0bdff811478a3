// A kernel as unlike esp_card as XRT allows: signals in capitals, ap_ctrl_chain, one port that only writes, with IDs. Fills
// COUNT (up to 32) beats of 64 bits from TO with SEED, SEED + 1, ...: one burst, which must not cross 4 KiB.
// 0x00 control: start, done (until continue, bit 4, is written), idle, ready; 0x10 TO (64 bits); 0x1c SEED; 0x24 COUNT.
module fill_kernel (
  input  logic        ap_clk,
  input  logic        ap_rst_n,
  input  logic        s_axi_control_AWVALID,
  output logic        s_axi_control_AWREADY,
  input  logic [5:0]  s_axi_control_AWADDR,
  input  logic        s_axi_control_WVALID,
  output logic        s_axi_control_WREADY,
  input  logic [31:0] s_axi_control_WDATA,
  output logic        s_axi_control_BVALID,
  input  logic        s_axi_control_BREADY,
  input  logic        s_axi_control_ARVALID,
  output logic        s_axi_control_ARREADY,
  input  logic [5:0]  s_axi_control_ARADDR,
  output logic        s_axi_control_RVALID,
  input  logic        s_axi_control_RREADY,
  output logic [31:0] s_axi_control_RDATA,
  output logic        m_axi_out_AWVALID,
  input  logic        m_axi_out_AWREADY,
  output logic [63:0] m_axi_out_AWADDR,
  output logic [3:0]  m_axi_out_AWID,
  output logic [7:0]  m_axi_out_AWLEN,
  output logic        m_axi_out_WVALID,
  input  logic        m_axi_out_WREADY,
  output logic [63:0] m_axi_out_WDATA,
  output logic [7:0]  m_axi_out_WSTRB,
  output logic        m_axi_out_WLAST,
  input  logic        m_axi_out_BVALID,
  output logic        m_axi_out_BREADY,
  input  logic [3:0]  m_axi_out_BID
);
  typedef enum logic [2:0] {StIdle, StAddress, StData, StResponse, StDone} state_e;
  state_e      state_q;
  logic [63:0] to_q;
  logic [31:0] seed_q;
  logic [5:0]  count_q, beat_q;
  logic        write, start, continued;
  assign write     = s_axi_control_AWVALID && s_axi_control_WVALID && !s_axi_control_BVALID;
  assign start     = write && s_axi_control_AWADDR == 6'h00 && s_axi_control_WDATA[0];
  assign continued = write && s_axi_control_AWADDR == 6'h00 && s_axi_control_WDATA[4];
  assign s_axi_control_AWREADY = write;
  assign s_axi_control_WREADY  = write;
  assign s_axi_control_ARREADY = !s_axi_control_RVALID;

  always_ff @(posedge ap_clk) begin
    if (s_axi_control_BREADY) s_axi_control_BVALID <= 1'b0;
    if (s_axi_control_RREADY) s_axi_control_RVALID <= 1'b0;
    if (s_axi_control_ARVALID && s_axi_control_ARREADY) begin
      s_axi_control_RVALID <= 1'b1;
      s_axi_control_RDATA  <= s_axi_control_ARADDR != 6'h00 ? 32'd0 :
                              {28'd0, state_q == StDone, state_q == StIdle || state_q == StDone, state_q == StDone,
                               state_q != StIdle && state_q != StDone};
    end
    if (write) begin
      s_axi_control_BVALID <= 1'b1;
      case (s_axi_control_AWADDR)
        6'h10:   to_q[31:0]  <= s_axi_control_WDATA;
        6'h14:   to_q[63:32] <= s_axi_control_WDATA;
        6'h1c:   seed_q      <= s_axi_control_WDATA;
        6'h24:   count_q     <= s_axi_control_WDATA[5:0];
        default: ;
      endcase
    end
    case (state_q)
      StIdle: begin
        beat_q <= 6'd0;
        if (start) state_q <= StAddress;
      end
      StAddress: if (m_axi_out_AWREADY) state_q <= StData;
      StData: if (m_axi_out_WREADY) begin
        beat_q <= beat_q + 6'd1;
        if (m_axi_out_WLAST) state_q <= StResponse;
      end
      // A response with another ID never comes to an end.
      StResponse: if (m_axi_out_BVALID && m_axi_out_BID == m_axi_out_AWID) state_q <= StDone;
      default: if (continued) state_q <= StIdle;
    endcase
    if (!ap_rst_n) begin
      s_axi_control_BVALID <= 1'b0;
      s_axi_control_RVALID <= 1'b0;
      state_q <= StIdle;
    end
  end

  assign m_axi_out_AWVALID = state_q == StAddress;
  assign m_axi_out_AWADDR  = to_q;
  assign m_axi_out_AWID    = 4'd11;
  assign m_axi_out_AWLEN   = {2'b00, count_q} - 8'd1;
  assign m_axi_out_WVALID  = state_q == StData;
  assign m_axi_out_WDATA   = {26'd0, beat_q, 32'd0} + {32'd0, seed_q} + {58'd0, beat_q};
  assign m_axi_out_WSTRB   = 8'hff;
  assign m_axi_out_WLAST   = beat_q + 6'd1 == count_q;
  assign m_axi_out_BREADY  = state_q == StResponse;
endmodule
