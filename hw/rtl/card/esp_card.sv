// Made by hw/pack/gen_top.py; do not edit.
// XRT RTL kernel `esp_card`: card_core with 1 lane and XRT's port names. Nothing but wires: no latency.
// Faces: s_axi_control (AXI4-Lite registers), m_axi_gmem (AXI4, 512 bits), interrupt.
module esp_card #(
  parameter int JumboSlots = 64,      // packet slots a lane of up to 9,216 octets
  parameter int SmallSlots = 192,     // packet slots a lane of up to 2,048 octets
  parameter int SaEntries = 4096,     // a power of two
  parameter int RingCount = 4,        // queues, a multiple of the lanes, up to card_pkg::MaxQueues; queue n belongs to lane n modulo Lanes
  parameter int ReplayWindow = 1024,  // largest window
  parameter int ClockHz = 300000000,
  parameter int BuildId = 0,          // first 32 bits of the source revision
  parameter int AllowTestMode = 1,    // CONTROL.TEST_MODE may be set
  parameter int WatchdogLog2 = 23,    // a packet is reported late after two to four times 2^WatchdogLog2 cycles in its slot
  parameter int KeyCarry = 0          // 1: keys travel along the 3DES pipeline (smaller); 0: subkeys by slot (quick in simulation)
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
  output logic [1:0]   m_axi_gmem_awlock,
  output logic [3:0]   m_axi_gmem_awcache,
  output logic [2:0]   m_axi_gmem_awprot,
  output logic [3:0]   m_axi_gmem_awqos,
  output logic [3:0]   m_axi_gmem_awregion,
  output logic         m_axi_gmem_wvalid,
  input  logic         m_axi_gmem_wready,
  output logic [511:0] m_axi_gmem_wdata,
  output logic [63:0]  m_axi_gmem_wstrb,
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
  output logic [1:0]   m_axi_gmem_arlock,
  output logic [3:0]   m_axi_gmem_arcache,
  output logic [2:0]   m_axi_gmem_arprot,
  output logic [3:0]   m_axi_gmem_arqos,
  output logic [3:0]   m_axi_gmem_arregion,
  input  logic         m_axi_gmem_rvalid,
  output logic         m_axi_gmem_rready,
  input  logic [511:0] m_axi_gmem_rdata,
  input  logic         m_axi_gmem_rlast,
  input  logic [1:0]   m_axi_gmem_rresp,
  input  logic [0:0]   m_axi_gmem_rid,
  // XRT gives the interrupt of a kernel this name.
  // verilator lint_off SYMRSVDWORD
  output logic         interrupt
  // verilator lint_on SYMRSVDWORD
);
  card_core #(
    .Lanes(1), .JumboSlots(JumboSlots), .SmallSlots(SmallSlots), .SaEntries(SaEntries), .RingCount(RingCount),
    .ReplayWindow(ReplayWindow), .ClockHz(ClockHz), .BuildId(BuildId), .AllowTestMode(AllowTestMode),
    .WatchdogLog2(WatchdogLog2), .KeyCarry(KeyCarry)
  ) u_core (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .s_axi_control_awvalid(s_axi_control_awvalid), .s_axi_control_awready(s_axi_control_awready),
    .s_axi_control_awaddr(s_axi_control_awaddr), .s_axi_control_wvalid(s_axi_control_wvalid),
    .s_axi_control_wready(s_axi_control_wready), .s_axi_control_wdata(s_axi_control_wdata),
    .s_axi_control_wstrb(s_axi_control_wstrb), .s_axi_control_bvalid(s_axi_control_bvalid),
    .s_axi_control_bready(s_axi_control_bready), .s_axi_control_bresp(s_axi_control_bresp),
    .s_axi_control_arvalid(s_axi_control_arvalid), .s_axi_control_arready(s_axi_control_arready),
    .s_axi_control_araddr(s_axi_control_araddr), .s_axi_control_rvalid(s_axi_control_rvalid),
    .s_axi_control_rready(s_axi_control_rready), .s_axi_control_rdata(s_axi_control_rdata),
    .s_axi_control_rresp(s_axi_control_rresp),
    .m_axi_awvalid_o(m_axi_gmem_awvalid), .m_axi_awready_i(m_axi_gmem_awready), .m_axi_awaddr_o(m_axi_gmem_awaddr),
    .m_axi_awlen_o(m_axi_gmem_awlen), .m_axi_wvalid_o(m_axi_gmem_wvalid), .m_axi_wready_i(m_axi_gmem_wready),
    .m_axi_wdata_o(m_axi_gmem_wdata), .m_axi_wstrb_o(m_axi_gmem_wstrb), .m_axi_wlast_o(m_axi_gmem_wlast),
    .m_axi_bvalid_i(m_axi_gmem_bvalid), .m_axi_bready_o(m_axi_gmem_bready), .m_axi_bresp_i(m_axi_gmem_bresp),
    .m_axi_arvalid_o(m_axi_gmem_arvalid), .m_axi_arready_i(m_axi_gmem_arready), .m_axi_araddr_o(m_axi_gmem_araddr),
    .m_axi_arlen_o(m_axi_gmem_arlen), .m_axi_rvalid_i(m_axi_gmem_rvalid), .m_axi_rready_o(m_axi_gmem_rready),
    .m_axi_rdata_i(m_axi_gmem_rdata), .m_axi_rlast_i(m_axi_gmem_rlast), .m_axi_rresp_i(m_axi_gmem_rresp),
    .interrupt_o(interrupt)
  );

  // Always: 64-byte beats, incrementing, one ID, normal memory that may be buffered
  assign m_axi_gmem_awid     = '0;
  assign m_axi_gmem_awsize   = 3'd6;
  assign m_axi_gmem_awburst  = 2'b01;
  assign m_axi_gmem_awlock   = '0;
  assign m_axi_gmem_awcache  = 4'b0011;
  assign m_axi_gmem_awprot   = '0;
  assign m_axi_gmem_awqos    = '0;
  assign m_axi_gmem_awregion = '0;
  assign m_axi_gmem_arid     = '0;
  assign m_axi_gmem_arsize   = 3'd6;
  assign m_axi_gmem_arburst  = 2'b01;
  assign m_axi_gmem_arlock   = '0;
  assign m_axi_gmem_arcache  = 4'b0011;
  assign m_axi_gmem_arprot   = '0;
  assign m_axi_gmem_arqos    = '0;
  assign m_axi_gmem_arregion = '0;

  logic unused;
  assign unused = ^{
    m_axi_gmem_bid, m_axi_gmem_rid
  };
endmodule
