// The whole card in Icarus: out of reset, until its registers say that it is itself and at rest (its tables are wiped by then), and then Cycles clock
// cycles at rest. How fast an event simulator clocks the same RTL.
`timescale 1ns/1ps
module icarus_clock;
  parameter int Cycles = 1000;
  logic clk = 1'b0;
  logic rst_n = 1'b0;
  logic arvalid = 1'b0;
  logic arready, rvalid;
  logic [15:0] araddr = '0;
  logic [31:0] rdata;
  always #1.667 clk = !clk;
  esp_card dut (
    .ap_clk(clk), .ap_rst_n(rst_n),
    .s_axi_control_awvalid(1'b0), .s_axi_control_awaddr(16'd0), .s_axi_control_wvalid(1'b0), .s_axi_control_wdata(32'd0),
    .s_axi_control_wstrb(4'd0), .s_axi_control_bready(1'b1), .s_axi_control_arvalid(arvalid), .s_axi_control_arready(arready),
    .s_axi_control_araddr(araddr), .s_axi_control_rready(1'b1), .s_axi_control_rvalid(rvalid), .s_axi_control_rdata(rdata),
    .m_axi_gmem_awready(1'b1), .m_axi_gmem_wready(1'b1), .m_axi_gmem_bvalid(1'b0),
    .m_axi_gmem_bresp(2'd0), .m_axi_gmem_bid(1'd0), .m_axi_gmem_arready(1'b1), .m_axi_gmem_rvalid(1'b0),
    .m_axi_gmem_rdata(512'd0), .m_axi_gmem_rlast(1'b0), .m_axi_gmem_rresp(2'd0), .m_axi_gmem_rid(1'd0)
  );
  logic [31:0] got;
  task read;  // the register at araddr
    begin
      @(negedge clk);
      arvalid = 1'b1;
      @(posedge clk);
      while (!arready) @(posedge clk);
      @(negedge clk);
      arvalid = 1'b0;
      while (!rvalid) @(negedge clk);
      got = rdata;
    end
  endtask
  initial begin
    repeat (10) @(posedge clk);
    rst_n = 1'b1;
    araddr = card_pkg::RegId;
    read;
    if (got != 32'h43505345) $fatal(1, "ID reads %h", got);
    araddr = card_pkg::RegSaStatus;
    read;
    while (got[card_pkg::SaStatusBusyLsb]) begin
      repeat (1000) @(posedge clk);
      araddr = card_pkg::RegSaStatus;
    read;
    end
    araddr = card_pkg::RegStatus;
    read;
    if (!got[card_pkg::StatusIdleLsb]) $fatal(1, "STATUS reads %h: not at rest", got);
    repeat (Cycles) @(posedge clk);
    $display("CLOCKED %0d", Cycles);
    $finish;
  end
endmodule
