// Global registers, 0x0000 to 0x03ff: identity, control, errors, interrupts, time, seed, windows.
// The other register blocks (SA table, event ring, queues, counters) sit with what they control.
module card_regs #(
  parameter int Lanes = 1,
  parameter int SlotsPerLane = 32,
  parameter int SaEntries = 1024,
  parameter int RingCount = 1,
  parameter int ReplayWindow = 64,
  parameter int ClockHz = 300000000,
  parameter int MaxPacketBytes = 2048,
  parameter int BuildId = 0,
  parameter int AllowTestMode = 1
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  // register bus
  input  logic [15:0]  reg_addr_i,
  input  logic         reg_wr_i,
  input  logic [31:0]  reg_wdata_i,
  output logic [31:0]  reg_rdata_o,
  output logic         reg_hit_o,
  // state to show
  input  logic         idle_i,
  input  logic         seeded_i,
  input  logic [63:0]  cycles_i,
  input  logic [63:0]  busy_cycles_i,
  input  logic [31:0]  seconds_i,
  input  logic         soft_reset_busy_i,
  // errors: one pulse a cause, in the order of ERROR_CAUSE
  input  logic [9:0]   error_set_i,
  input  logic         bus_error_i,       // pulse: bus_error_addr_i is a failed address
  input  logic [63:0]  bus_error_addr_i,
  output logic         error_new_o,       // pulse: ERROR_CAUSE gained a bit
  output logic [9:0]   error_cause_o,
  // interrupts
  input  logic         irq_completion_i,  // pulse
  input  logic         irq_event_i,       // pulse
  output logic         interrupt_o,       // level
  // control
  output logic         enable_o,
  output logic         test_mode_o,
  output logic         soft_reset_o,      // pulse
  output logic         seed_valid_o,      // pulse
  output logic [159:0] seed_o,
  output logic [255:0] window_base_o,     // 4 x 64
  output logic [259:0] window_end_o,      // 4 x 65: first address behind the window
  output logic [3:0]   window_enable_o
);
  // All that CAPS can name; TEST_MODE only where the build allows it.
  localparam logic [31:0] Caps =
      (32'd1 << card_pkg::CapsTripleDesLsb) | (32'd1 << card_pkg::CapsDesLsb) | (32'd1 << card_pkg::CapsNullCipherLsb) |
      (32'd1 << card_pkg::CapsHmacSha1Lsb) | (32'd1 << card_pkg::CapsHmacMd5Lsb) | (32'd1 << card_pkg::CapsAuthNoneLsb) |
      (32'd1 << card_pkg::CapsEspLsb) | (32'd1 << card_pkg::CapsAhLsb) |
      (32'd1 << card_pkg::CapsTunnelLsb) | (32'd1 << card_pkg::CapsTransportLsb) |
      (32'd1 << card_pkg::CapsOuterV4Lsb) | (32'd1 << card_pkg::CapsOuterV6Lsb) |
      (32'd1 << card_pkg::CapsInnerV4Lsb) | (32'd1 << card_pkg::CapsInnerV6Lsb) |
      (32'd1 << card_pkg::CapsNattLsb) | (32'd1 << card_pkg::CapsEsnLsb) | (32'd1 << card_pkg::CapsLifetimesLsb) |
      (32'd1 << card_pkg::CapsScatterGatherLsb) | (32'd1 << card_pkg::CapsSaUpdateLsb) |
      (32'(AllowTestMode != 0) << card_pkg::CapsTestModeLsb);

  logic         enable_q, test_mode_q, seed_valid_q, error_new_q;
  logic [9:0]   cause_q, cause_new;
  logic [2:0]   irq_enable_q, irq_status_q, irq_set;
  logic [63:0]  error_addr_q;
  logic         error_addr_valid_q;
  logic [159:0] seed_q;
  logic [255:0] base_q;
  logic [127:0] size_q;
  logic [3:0]   window_enable_q;
  logic [259:0] end_q;
  logic [1:0]   window;      // of the address
  logic [2:0]   seed_word;
  logic         wr_cause, wr_irq, wr_seed, wr_window, in_seed, in_window;

  assign window    = reg_addr_i[5:4];
  assign seed_word = reg_addr_i[4:2];
  assign in_seed   = reg_addr_i >= card_pkg::RegRngSeed &&
                     reg_addr_i < card_pkg::RegRngSeed + 16'(4 * card_pkg::RegRngSeedCount);
  assign in_window = reg_addr_i >= card_pkg::RegWindowBaseLo &&
                     reg_addr_i < card_pkg::RegWindowBaseLo + 16'(16 * card_pkg::NumWindows);
  // The address stands from the cycle before a write.
  logic at_control_q, at_cause_q, at_irq_enable_q, at_irq_status_q, in_seed_q, in_window_q;
  always_ff @(posedge clk_i) begin
    at_control_q    <= reg_addr_i == card_pkg::RegControl;
    at_cause_q      <= reg_addr_i == card_pkg::RegErrorCause;
    at_irq_enable_q <= reg_addr_i == card_pkg::RegIrqEnable;
    at_irq_status_q <= reg_addr_i == card_pkg::RegIrqStatus;
    in_seed_q       <= in_seed;
    in_window_q     <= in_window;
  end
  assign wr_cause  = reg_wr_i && at_cause_q;
  assign wr_irq    = reg_wr_i && at_irq_status_q;
  assign wr_seed   = reg_wr_i && in_seed_q;
  assign wr_window = reg_wr_i && in_window_q;

  assign cause_new = error_set_i & ~cause_q;
  assign irq_set   = {|cause_new, irq_event_i, irq_completion_i};

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      enable_q           <= 1'b0;
      test_mode_q        <= 1'b0;
      cause_q            <= '0;
      error_new_q        <= 1'b0;
      irq_enable_q       <= '0;
      irq_status_q       <= '0;
      error_addr_q       <= '0;
      error_addr_valid_q <= 1'b0;
      seed_valid_q       <= 1'b0;
      window_enable_q    <= '0;
    end else begin
      if (reg_wr_i && at_control_q) begin
        enable_q    <= reg_wdata_i[card_pkg::ControlEnableLsb];
        test_mode_q <= reg_wdata_i[card_pkg::ControlTestModeLsb] && AllowTestMode != 0;
      end
      if (reg_wr_i && at_irq_enable_q) irq_enable_q <= reg_wdata_i[2:0];
      // A cause that comes in the cycle that clears it stays set.
      cause_q      <= (wr_cause ? cause_q & ~reg_wdata_i[9:0] : cause_q) | error_set_i;
      irq_status_q <= (wr_irq ? irq_status_q & ~reg_wdata_i[2:0] : irq_status_q) | irq_set;
      error_new_q  <= |cause_new;
      if (bus_error_i && !error_addr_valid_q) begin
        error_addr_q       <= bus_error_addr_i;
        error_addr_valid_q <= 1'b1;
      end else if (cause_q == '0 && error_set_i == '0) error_addr_valid_q <= 1'b0;
      seed_valid_q <= wr_seed && seed_word == 3'd4;
      if (wr_window && reg_addr_i[3:2] == 2'd3) window_enable_q[window] <= reg_wdata_i[0];
    end
  end

  // The seed lives here for as long as the host writes it: it is wiped once the generator has it.
  always_ff @(posedge clk_i) begin
    if (!rst_ni || seed_valid_q) seed_q <= '0;
    else if (wr_seed) seed_q[32*seed_word +: 32] <= reg_wdata_i;
  end

  // A window's place is fixed while it is enabled.
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      base_q <= '0;
      size_q <= '0;
    end else if (wr_window && !window_enable_q[window]) begin
      case (reg_addr_i[3:2])
        2'd0:    base_q[64*window +: 32] <= reg_wdata_i;
        2'd1:    base_q[64*window + 32 +: 32] <= reg_wdata_i;
        2'd2:    size_q[32*window +: 32] <= reg_wdata_i;
        default: ;
      endcase
    end
  end
  for (genvar w = 0; w < card_pkg::NumWindows; w++) begin : gen_window
    always_ff @(posedge clk_i) end_q[65*w +: 65] <= {1'b0, base_q[64*w +: 64]} + {21'd0, size_q[32*w +: 32], 12'd0};
  end

  always_comb begin
    reg_hit_o   = 1'b1;
    reg_rdata_o = '0;
    case (reg_addr_i)
      card_pkg::RegId:           reg_rdata_o = 32'h43505345;
      card_pkg::RegVersion:      reg_rdata_o = 32'(card_pkg::FormatVersion);
      card_pkg::RegBuild:        reg_rdata_o = 32'(BuildId);
      card_pkg::RegCaps:         reg_rdata_o = Caps;
      card_pkg::RegSizes:        reg_rdata_o = {16'(SlotsPerLane), 8'(RingCount), 8'(Lanes)};
      card_pkg::RegSaEntries:    reg_rdata_o = 32'(SaEntries);
      card_pkg::RegMaxPacket:    reg_rdata_o = 32'(MaxPacketBytes);
      card_pkg::RegReplayMax:    reg_rdata_o = 32'(ReplayWindow);
      card_pkg::RegClockHz:      reg_rdata_o = 32'(ClockHz);
      card_pkg::RegControl:      reg_rdata_o = {29'd0, soft_reset_busy_i, test_mode_q, enable_q};
      card_pkg::RegStatus:       reg_rdata_o = {29'd0, |cause_q, seeded_i, idle_i};
      card_pkg::RegErrorCause:   reg_rdata_o = {22'd0, cause_q};
      card_pkg::RegIrqEnable:    reg_rdata_o = {29'd0, irq_enable_q};
      card_pkg::RegIrqStatus:    reg_rdata_o = {29'd0, irq_status_q};
      card_pkg::RegErrorAddrLo:  reg_rdata_o = error_addr_q[31:0];
      card_pkg::RegErrorAddrHi:  reg_rdata_o = error_addr_q[63:32];
      card_pkg::RegCyclesLo:     reg_rdata_o = cycles_i[31:0];
      card_pkg::RegCyclesHi:     reg_rdata_o = cycles_i[63:32];
      card_pkg::RegBusyCyclesLo: reg_rdata_o = busy_cycles_i[31:0];
      card_pkg::RegBusyCyclesHi: reg_rdata_o = busy_cycles_i[63:32];
      card_pkg::RegSeconds:      reg_rdata_o = seconds_i;
      default: begin
        reg_hit_o = in_seed || in_window;
        if (in_window) begin
          case (reg_addr_i[3:2])
            2'd0:    reg_rdata_o = base_q[64*window +: 32];
            2'd1:    reg_rdata_o = base_q[64*window + 32 +: 32];
            2'd2:    reg_rdata_o = size_q[32*window +: 32];
            default: reg_rdata_o = {31'd0, window_enable_q[window]};
          endcase
        end
      end
    endcase
  end

  assign soft_reset_o    = reg_wr_i && at_control_q && reg_wdata_i[card_pkg::ControlSoftResetLsb];
  assign error_new_o     = error_new_q;
  assign error_cause_o   = cause_q;
  assign interrupt_o     = |(irq_status_q & irq_enable_q);
  assign enable_o        = enable_q;
  assign test_mode_o     = test_mode_q;
  assign seed_valid_o    = seed_valid_q;
  assign seed_o          = seed_q;
  assign window_base_o   = base_q;
  assign window_end_o    = end_q;
  assign window_enable_o = window_enable_q;
endmodule
