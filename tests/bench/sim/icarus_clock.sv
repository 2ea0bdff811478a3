// The whole card in Icarus: out of reset, then Cycles clock cycles at rest. How fast an event simulator clocks the same RTL.
`timescale 1ns/1ps
module icarus_clock;
  parameter int Cycles = 1000;
  logic clk = 1'b0;
  logic rst_n = 1'b0;
  always #1.667 clk = !clk;
  esp_card #(.SaEntries(256)) dut (
    .ap_clk(clk), .ap_rst_n(rst_n),
    .s_axi_control_awvalid(1'b0), .s_axi_control_awaddr(16'd0), .s_axi_control_wvalid(1'b0), .s_axi_control_wdata(32'd0),
    .s_axi_control_wstrb(4'd0), .s_axi_control_bready(1'b1), .s_axi_control_arvalid(1'b0), .s_axi_control_araddr(16'd0),
    .s_axi_control_rready(1'b1), .m_axi_gmem_awready(1'b1), .m_axi_gmem_wready(1'b1), .m_axi_gmem_bvalid(1'b0),
    .m_axi_gmem_bresp(2'd0), .m_axi_gmem_bid(1'd0), .m_axi_gmem_arready(1'b1), .m_axi_gmem_rvalid(1'b0),
    .m_axi_gmem_rdata(512'd0), .m_axi_gmem_rlast(1'b0), .m_axi_gmem_rresp(2'd0), .m_axi_gmem_rid(1'd0)
  );
  initial begin
    repeat (10) @(posedge clk);
    rst_n = 1'b1;
    repeat (Cycles) @(posedge clk);
    $display("CLOCKED %0d", Cycles);
    $finish;
  end
endmodule
