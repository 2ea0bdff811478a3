// AXI4-Lite slave to the card's register bus. One access at a time; writes and reads take turns.
// Every access is answered OKAY: an address that no block claims reads 0 and raises unmapped_o for one cycle.
// Only writes of whole words (wstrb = 1111) reach the blocks; narrower ones are answered and ignored.
// Latency: 6 cycles from the address to the response.
module axil_slave (
  input  logic        clk_i,
  input  logic        rst_ni,
  // AXI4-Lite
  input  logic        awvalid_i,
  output logic        awready_o,
  input  logic [15:0] awaddr_i,
  input  logic        wvalid_i,
  output logic        wready_o,
  input  logic [31:0] wdata_i,
  input  logic [3:0]  wstrb_i,
  output logic        bvalid_o,
  input  logic        bready_i,
  output logic [1:0]  bresp_o,
  input  logic        arvalid_i,
  output logic        arready_o,
  input  logic [15:0] araddr_i,
  output logic        rvalid_o,
  input  logic        rready_i,
  output logic [31:0] rdata_o,
  output logic [1:0]  rresp_o,
  // register bus: address is held from the cycle before reg_wr_o to the answer
  output logic [15:0] reg_addr_o,   // multiple of 4
  output logic        reg_wr_o,     // one cycle
  output logic [31:0] reg_wdata_o,
  input  logic [31:0] reg_rdata_i,  // of reg_addr_o, up to 4 cycles after it
  input  logic        reg_hit_i,    // some block knows reg_addr_o, with reg_rdata_i
  output logic        unmapped_o    // one cycle
);
  typedef enum logic [2:0] {StIdle, StWrite, StWriteResp, StRead, StReadResp} state_e;
  state_e      state_d, state_q;
  logic        write_turn_q;  // the last access was a read
  logic [2:0]  wait_q;        // cycles since the address was taken
  logic        settled;
  logic        whole_q, wr_q;
  logic [13:0] addr_q;  // of the word
  logic [31:0] wdata_q, rdata_q;
  logic        unused;
  assign unused = ^{awaddr_i[1:0], araddr_i[1:0]};
  logic        take_write, take_read;

  assign take_write = state_q == StIdle && awvalid_i && wvalid_i && (write_turn_q || !arvalid_i);
  assign take_read  = state_q == StIdle && arvalid_i && !take_write;
  assign awready_o  = take_write;
  assign wready_o   = take_write;
  assign arready_o  = take_read;

  always_comb begin
    state_d = state_q;
    case (state_q)
      StIdle:      if (take_write) state_d = StWrite;
                   else if (take_read) state_d = StRead;
      StWrite:     state_d = StWriteResp;
      StWriteResp: if (bready_i && settled) state_d = StIdle;
      StRead:      if (settled) state_d = StReadResp;
      StReadResp:  if (rready_i) state_d = StIdle;
      default:     state_d = StIdle;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q      <= StIdle;
      wr_q         <= 1'b0;
      write_turn_q <= 1'b1;
    end else begin
      state_q <= state_d;
      wr_q    <= state_q == StWrite && whole_q;
      if (take_write) write_turn_q <= 1'b0;
      else if (take_read) write_turn_q <= 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (state_q == StIdle) wait_q <= '0;
    else if (!settled) wait_q <= wait_q + 3'd1;
  end
  assign settled = wait_q[2];
  always_ff @(posedge clk_i) begin
    if (take_write) begin
      addr_q  <= awaddr_i[15:2];
      wdata_q <= wdata_i;
      whole_q <= wstrb_i == 4'hf;
    end else if (take_read) addr_q <= araddr_i[15:2];
    if (state_q == StRead && settled) rdata_q <= reg_hit_i ? reg_rdata_i : 32'h0;
  end

  assign reg_addr_o  = {addr_q, 2'b00};
  assign reg_wr_o    = wr_q;
  assign reg_wdata_o = wdata_q;
  assign unmapped_o  = ((state_q == StWriteResp && bready_i) || state_q == StRead) && settled && !reg_hit_i;
  assign bvalid_o    = state_q == StWriteResp && settled;
  assign bresp_o     = 2'b00;
  assign rvalid_o    = state_q == StReadResp;
  assign rdata_o     = rdata_q;
  assign rresp_o     = 2'b00;
endmodule
