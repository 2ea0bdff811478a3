// SA command registers, 0x0400 to 0x06ff, and the commands on the table: checks of a new entry, HMAC states from
// its key, removal that waits for packets in flight, view, clear. After reset it wipes the table, for a RAM keeps
// its keys through a reset; BUSY shows that, and a command given meanwhile is kept.
// The entry window is write-only, wiped when Install has taken it and by reset. While a command runs, the window
// and SA_INDEX do not take writes.
module sa_command #(
  parameter int SaEntries = 1024,
  parameter int ReplayWindow = 64,
  localparam int Index = $clog2(SaEntries)
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  output logic             busy_o,
  // register bus
  input  logic [15:0]      reg_addr_i,
  input  logic             reg_wr_i,
  input  logic [31:0]      reg_wdata_i,
  output logic [31:0]      reg_rdata_o,
  output logic             reg_hit_o,
  // table
  output logic             cmd_valid_o,
  output logic [1:0]       cmd_op_o,
  output logic [Index-1:0] cmd_index_o,
  output logic [2047:0]    cmd_entry_o,
  output logic [159:0]     cmd_istate_o,
  output logic [159:0]     cmd_ostate_o,
  output logic             closed_o,
  input  logic             cmd_done_i,
  input  logic             cmd_was_valid_i,
  input  logic [383:0]     cmd_view_i,
  input  logic             drained_i
);
  localparam logic [1:0] OpInstall = 2'd0, OpClose = 2'd1, OpWipe = 2'd2, OpView = 2'd3;
  localparam logic [159:0] Sha1Initial = 160'h67452301_efcdab89_98badcfe_10325476_c3d2e1f0;  // FIPS 180-4 s5.3.1

  typedef enum logic [3:0] {
    StSweep, StIdle, StStart, StCheck, StInner, StOuter, StInstall, StClose, StDrain, StWipe, StView
  } state_e;
  state_e        state_q;
  logic          active_q;        // a command is under way or waits for the sweep
  logic          clear_q;         // the sweep is a Clear
  logic          sent_q;          // the hash has the block
  logic [31:0]   index_q;
  logic [7:0]    command_q, result_q;
  logic [31:0]   valid_count_q;
  logic [Index:0] sweep_q;
  logic [2047:0] entry_q;
  logic [159:0]  istate_q, ostate_q;
  logic [383:0]  view_q;

  logic          finish;          // the command ends in this cycle
  logic [7:0]    finish_result;

  // Registers
  logic in_entry, in_view, wr_command;
  assign in_entry   = reg_addr_i[15:8] == card_pkg::RegSaEntry[15:8];
  assign in_view    = reg_addr_i[15:7] == card_pkg::RegSaView[15:7];
  assign wr_command = reg_wr_i && reg_addr_i == card_pkg::RegSaCommand && !active_q;
  always_comb begin
    reg_hit_o   = 1'b1;
    reg_rdata_o = '0;
    case (reg_addr_i)
      card_pkg::RegSaIndex:      reg_rdata_o = index_q;
      card_pkg::RegSaCommand:    reg_rdata_o = '0;
      card_pkg::RegSaStatus:     reg_rdata_o = {16'd0, result_q, 7'd0, busy_o};
      card_pkg::RegSaValidCount: reg_rdata_o = valid_count_q;
      default: begin
        reg_hit_o = in_entry || in_view;
        if (in_view && reg_addr_i[6:2] < 5'd12) reg_rdata_o = view_q[32*reg_addr_i[5:2] +: 32];
      end
    endcase
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) index_q <= '0;
    else if (reg_wr_i && reg_addr_i == card_pkg::RegSaIndex && !active_q) index_q <= reg_wdata_i;
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni || (active_q && command_q == card_pkg::SaCommandInstall && finish)) entry_q <= '0;
    else if (reg_wr_i && in_entry && !active_q) entry_q[32*reg_addr_i[7:2] +: 32] <= reg_wdata_i;
  end

  // What an entry may ask for. Reserved bits: all that no field of SaEntry covers.
  localparam logic [2047:0] Fields =
      (2048'h3f_ff_f1_ff) |                                          // word 0: up to Dscp
      (2048'hffffffff << card_pkg::SaEntrySpiLsb) | (2048'hffffff << card_pkg::SaEntryReplayWindowLsb) |
      (2048'hffff << card_pkg::SaEntryIpIdLsb) | (2048'hffffffff_ffffffff << card_pkg::SaEntrySeqLsb) |
      (2048'hffffffff << card_pkg::SaEntryUdpSrcLsb) |
      (2048'hffffffff_ffffffff << card_pkg::SaEntrySoftSecondsLsb) |
      (((2048'd1 << 256) - 2048'd1) << card_pkg::SaEntrySoftBytesLsb) |
      (((2048'd1 << 256) - 2048'd1) << card_pkg::SaEntrySrcLsb) |
      (((2048'd1 << 192) - 2048'd1) << card_pkg::SaEntryEncKeyLsb) |
      (((2048'd1 << 160) - 2048'd1) << card_pkg::SaEntryAuthKeyLsb);
  logic        unsupported, bad_entry, outbound, lifetimes;
  logic [15:0] window;
  logic [31:0] spi;
  assign outbound    = entry_q[card_pkg::SaEntryOutboundLsb];
  assign window      = entry_q[card_pkg::SaEntryReplayWindowLsb +: 16];
  assign spi         = entry_q[card_pkg::SaEntrySpiLsb +: 32];
  assign lifetimes   = entry_q[card_pkg::SaEntrySoftSecondsLsb +: 64] != '0 ||
                       entry_q[card_pkg::SaEntrySoftBytesLsb +: 256] != '0;
  assign unsupported = entry_q[card_pkg::SaEntryTransportLsb] || entry_q[card_pkg::SaEntryAhLsb] ||
                       entry_q[card_pkg::SaEntryOuterV6Lsb] || entry_q[card_pkg::SaEntryEsnLsb] ||
                       (!outbound && entry_q[card_pkg::SaEntryInnerV6Lsb]) ||
                       entry_q[card_pkg::SaEntryCipherLsb +: 4] != card_pkg::CipherTripleDesCbc[3:0] ||
                       entry_q[card_pkg::SaEntryAuthLsb +: 4] != card_pkg::AuthHmacSha1_96[3:0] ||
                       (!outbound && window > 16'(ReplayWindow)) || lifetimes;
  // RFC 4303 s2.1 reserves SPIs 1 to 255, 0 is local use.
  assign bad_entry   = (entry_q & ~Fields) != '0 || spi < 32'd256 ||
                       (!outbound && spi[Index-1:0] != index_q[Index-1:0]) ||
                       entry_q[card_pkg::SaEntrySeqLsb + 32 +: 32] != '0 || window[4:0] != '0 ||
                       entry_q[card_pkg::SaEntryDfPolicyLsb +: 2] == 2'd3;

  // HMAC (RFC 2104): states after key XOR ipad and key XOR opad
  logic         sha_valid, sha_ready, sha_done;
  logic [159:0] sha_state, auth_key;
  logic [511:0] sha_block;
  for (genvar i = 0; i < 20; i++) begin : gen_auth_key
    assign auth_key[8*(19-i) +: 8] = entry_q[card_pkg::SaEntryAuthKeyLsb + 8*i +: 8];
  end
  assign sha_block = {auth_key, 352'd0} ^ {64{state_q == StInner ? 8'h36 : 8'h5c}};
  assign sha_valid = (state_q == StInner || state_q == StOuter) && !sent_q;
  sha1_core u_sha1 (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(sha_valid), .ready_o(sha_ready), .state_i(Sha1Initial),
    .block_i(sha_block), .valid_o(sha_done), .state_o(sha_state)
  );

  logic bad_index;
  assign bad_index = (index_q >> Index) != '0;
  always_comb begin
    finish        = 1'b0;
    finish_result = card_pkg::SaResultOk;
    case (state_q)
      StStart: begin
        case (command_q)
          card_pkg::SaCommandInstall, card_pkg::SaCommandRemove, card_pkg::SaCommandView: begin
            finish        = bad_index;
            finish_result = card_pkg::SaResultBadIndex;
          end
          card_pkg::SaCommandClear: ;
          default: begin
            finish        = 1'b1;
            finish_result = card_pkg::SaResultBadCommand;
          end
        endcase
      end
      StCheck: begin
        finish        = unsupported || bad_entry;
        finish_result = bad_entry ? card_pkg::SaResultBadEntry : card_pkg::SaResultUnsupported;
      end
      StInstall: begin
        finish        = cmd_done_i;
        finish_result = cmd_was_valid_i ? card_pkg::SaResultOccupied : card_pkg::SaResultOk;
      end
      StClose: begin
        finish        = cmd_done_i && !cmd_was_valid_i && !clear_q;
        finish_result = card_pkg::SaResultEmpty;
      end
      StWipe: finish = cmd_done_i;
      StView: begin
        finish        = cmd_done_i;
        finish_result = cmd_was_valid_i ? card_pkg::SaResultOk : card_pkg::SaResultEmpty;
      end
      StSweep: finish = clear_q && cmd_done_i && sweep_q[Index];
      default: ;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q       <= StSweep;
      active_q      <= 1'b0;
      clear_q       <= 1'b0;
      sent_q        <= 1'b0;
      command_q     <= '0;
      result_q      <= '0;
      valid_count_q <= '0;
      sweep_q       <= '0;
      view_q        <= '0;
    end else begin
      if (wr_command) begin
        active_q  <= 1'b1;
        command_q <= reg_wdata_i[31:8] != '0 ? 8'd0 : reg_wdata_i[7:0];
      end
      case (state_q)
        StSweep: if (cmd_done_i) begin
          sweep_q <= sweep_q + 1'b1;
          if (sweep_q[Index]) begin
            state_q       <= StIdle;
            valid_count_q <= '0;
          end
        end
        StIdle:  if (active_q) state_q <= StStart;
        StStart: begin
          clear_q <= command_q == card_pkg::SaCommandClear;
          sent_q  <= 1'b0;
          case (command_q)
            card_pkg::SaCommandInstall: state_q <= StCheck;
            card_pkg::SaCommandView:    state_q <= StView;
            default:                    state_q <= StClose;  // Remove and Clear
          endcase
        end
        StCheck: state_q <= StInner;
        StInner, StOuter: begin
          if (sha_valid && sha_ready) sent_q <= 1'b1;
          if (sha_done) begin
            sent_q  <= 1'b0;
            state_q <= state_q == StInner ? StOuter : StInstall;
          end
        end
        StInstall: if (cmd_done_i && !cmd_was_valid_i) valid_count_q <= valid_count_q + 32'd1;
        StClose:   if (cmd_done_i) state_q <= StDrain;
        StDrain: begin
          sweep_q <= '0;
          if (drained_i) state_q <= clear_q ? StSweep : StWipe;
        end
        StWipe:    if (cmd_done_i) valid_count_q <= valid_count_q - 32'd1;
        StView:    if (cmd_done_i) view_q <= cmd_view_i;
        default:   state_q <= StIdle;
      endcase
      if (finish) begin
        state_q  <= StIdle;
        active_q <= 1'b0;
        clear_q  <= 1'b0;
        result_q <= finish_result;
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni || state_q == StIdle) begin
      istate_q <= '0;
      ostate_q <= '0;
    end else if (sha_done) begin
      if (state_q == StInner) istate_q <= sha_state;
      else ostate_q <= sha_state;
    end
  end

  always_comb begin
    case (state_q)
      StInstall: cmd_op_o = OpInstall;
      StClose:   cmd_op_o = OpClose;
      StView:    cmd_op_o = OpView;
      default:   cmd_op_o = OpWipe;
    endcase
  end
  assign cmd_valid_o  = (state_q == StInstall || state_q == StClose || state_q == StWipe || state_q == StView ||
                         state_q == StSweep) && !cmd_done_i;
  assign cmd_index_o  = state_q == StSweep ? sweep_q[Index-1:0] : index_q[Index-1:0];
  assign cmd_entry_o  = entry_q;
  assign cmd_istate_o = istate_q;
  assign cmd_ostate_o = ostate_q;
  assign closed_o     = clear_q || state_q == StSweep;
  assign busy_o       = active_q || state_q != StIdle;
endmodule
