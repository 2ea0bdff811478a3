// SA command registers, 0x0400 to 0x06ff, and the commands on sad: checks of a new entry, HMAC states from its key,
// removal that waits for packets in flight, update, view, clear. After reset it wipes the table, for a RAM keeps its
// keys through a reset; BUSY shows that, and a command given meanwhile is kept.
// The entry window is write-only, wiped when Install or Update has ended and by reset. While a command runs, the
// window and SA_INDEX do not take writes. Weak keys are the host's to refuse.
// Install takes about 200 cycles (two hash blocks; 300 with MD5), the others about 25 and what they wait for.
module sad_command #(
  parameter int SaEntries = 1024,
  parameter int ReplayWindow = 1024,
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
  // sad
  output logic             cmd_valid_o,
  output logic [2:0]       cmd_op_o,
  output logic [Index-1:0] cmd_index_o,
  output logic [2047:0]    cmd_entry_o,
  output logic [159:0]     cmd_istate_o,
  output logic [159:0]     cmd_ostate_o,
  input  logic             cmd_done_i,
  input  logic             cmd_was_valid_i,
  input  logic             cmd_match_i,
  input  logic [639:0]     cmd_view_i,
  input  logic             drained_i
);
  localparam logic [2:0] OpInstall = 3'd0, OpClose = 3'd1, OpWipe = 3'd2, OpView = 3'd3, OpUpdate = 3'd4,
                         OpCloseAll = 3'd5, OpWipeAll = 3'd6;
  localparam logic [127:0] Md5Initial  = 128'h67452301_efcdab89_98badcfe_10325476;  // RFC 1321 s3.3
  localparam logic [159:0] Sha1Initial = {Md5Initial, 32'hc3d2e1f0};                // FIPS 180-4 s5.3.1

  typedef enum logic [3:0] {
    StWipeAll, StIdle, StStart, StCheck, StJudge, StVerdict, StInner, StOuter, StInstall, StUpdate, StClose, StDrain, StWipe, StView
  } state_e;
  state_e        state_q;
  logic          active_q;        // a command is under way or waits for the first wipe
  logic          clear_q;         // the command is Clear
  logic          sent_q;          // the hash has the block
  logic [31:0]   index_q;
  logic [7:0]    command_q, result_q;
  logic [31:0]   valid_count_q;
  logic [2047:0] entry_q;
  logic [159:0]  istate_q, ostate_q;

  logic          finish;          // the command ends in this cycle
  logic [7:0]    finish_result;
  // What command_q asks for, and whether index_q has an entry: known a cycle after them, when StStart comes.
  logic          install_q, update_q, remove_q, view_q, clear_all_q, bad_index_q;

  // Registers
  logic in_entry, in_view, wr_command;
  logic [4:0] view_word;
  assign in_entry   = reg_addr_i[15:8] == card_pkg::RegSaEntry[15:8];
  assign in_view    = reg_addr_i[15:7] == card_pkg::RegSaView[15:7];
  assign view_word  = reg_addr_i[6:2];
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
        if (in_view && view_word < 5'd20) reg_rdata_o = cmd_view_i[32*view_word +: 32];
      end
    endcase
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) index_q <= '0;
    else if (reg_wr_i && reg_addr_i == card_pkg::RegSaIndex && !active_q) index_q <= reg_wdata_i;
  end
  always_ff @(posedge clk_i) begin
    install_q   <= command_q == card_pkg::SaCommandInstall;
    update_q    <= command_q == card_pkg::SaCommandUpdate;
    remove_q    <= command_q == card_pkg::SaCommandRemove;
    view_q      <= command_q == card_pkg::SaCommandView;
    clear_all_q <= command_q == card_pkg::SaCommandClear;
    bad_index_q <= (index_q >> Index) != '0;
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni || (active_q && (install_q || update_q) && finish)) entry_q <= '0;
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
  logic        outbound, ah, natt, esn, v6;
  logic [3:0]  cipher, auth;
  logic [15:0] window;
  logic [31:0] spi;
  assign outbound = entry_q[card_pkg::SaEntryOutboundLsb];
  assign ah       = entry_q[card_pkg::SaEntryAhLsb];
  assign v6       = entry_q[card_pkg::SaEntryOuterV6Lsb];
  assign natt     = entry_q[card_pkg::SaEntryNattLsb];
  assign esn      = entry_q[card_pkg::SaEntryEsnLsb];
  assign cipher   = entry_q[card_pkg::SaEntryCipherLsb +: 4];
  assign auth     = entry_q[card_pkg::SaEntryAuthLsb +: 4];
  assign window   = entry_q[card_pkg::SaEntryReplayWindowLsb +: 16];
  assign spi      = entry_q[card_pkg::SaEntrySpiLsb +: 32];
  logic [63:0] reserved;           // a bit a word of the window
  logic        bad_policy, bad_suite, bad_number, bad_window;
  logic [63:0] reserved_q;
  logic        bad_policy_q, bad_new_q, bad_entry_q;
  for (genvar w = 0; w < 64; w++) begin : gen_reserved
    assign reserved[w] = (entry_q[32*w +: 32] & ~Fields[32*w +: 32]) != '0;
  end
  assign bad_policy = entry_q[card_pkg::SaEntryDfPolicyLsb +: 2] == 2'd3;
  assign bad_suite  = cipher > 4'd2 || auth > 4'd2 ||
                      // RFC 4302: AH does not encrypt and always authenticates; RFC 3948 s1: nor does it pass NAT
                      (ah ? cipher != '0 || auth == '0 || natt : cipher == '0 && auth == '0) ||
                      (natt && v6);
  // RFC 4303 s2.1 reserves SPIs 1 to 255, 0 is local use.
  assign bad_number = spi < 32'd256 || (!outbound && spi[Index-1:0] != index_q[Index-1:0]) ||
                      (!esn && entry_q[card_pkg::SaEntrySeqLsb + 32 +: 32] != '0);
  // RFC 4303 s2.2.1: ESN needs a window
  assign bad_window = window[4:0] != '0 || window > 16'(ReplayWindow) || (esn && !outbound && window == '0);
  always_ff @(posedge clk_i) begin
    reserved_q   <= reserved;
    bad_policy_q <= bad_policy;
    bad_new_q    <= bad_suite || bad_number || bad_window;
    bad_entry_q  <= reserved_q != '0 || bad_policy_q || (bad_new_q && install_q);
  end

  // HMAC (RFC 2104): states after key XOR ipad and key XOR opad
  logic         md5, hash_valid, hash_ready, hash_done, sha_ready, sha_done, md5_ready, md5_done;
  logic [159:0] sha_state, auth_key, hash_state;
  logic [127:0] md5_state;
  logic [511:0] block;
  for (genvar i = 0; i < 20; i++) begin : gen_auth_key
    assign auth_key[8*(19-i) +: 8] = entry_q[card_pkg::SaEntryAuthKeyLsb + 8*i +: 8];
  end
  assign md5        = auth == card_pkg::AuthHmacMd5_96[3:0];
  assign block      = {auth_key[159:32], md5 ? 32'd0 : auth_key[31:0], 352'd0} ^ {64{state_q == StInner ? 8'h36 : 8'h5c}};
  assign hash_valid = (state_q == StInner || state_q == StOuter) && !sent_q;
  sha1_core u_sha1 (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(hash_valid && !md5), .ready_o(sha_ready), .state_i(Sha1Initial),
    .block_i(block), .valid_o(sha_done), .state_o(sha_state)
  );
  md5_core u_md5 (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(hash_valid && md5), .ready_o(md5_ready), .state_i(Md5Initial),
    .block_i(block), .valid_o(md5_done), .state_o(md5_state)
  );
  assign hash_ready = md5 ? md5_ready : sha_ready;
  assign hash_done  = md5 ? md5_done : sha_done;
  assign hash_state = md5 ? {md5_state, 32'd0} : sha_state;

  always_comb begin
    finish        = 1'b0;
    finish_result = card_pkg::SaResultOk;
    case (state_q)
      StStart: begin
        if (install_q || update_q || remove_q || view_q) begin
          finish        = bad_index_q;
          finish_result = card_pkg::SaResultBadIndex;
        end else if (!clear_all_q) begin
          finish        = 1'b1;
          finish_result = card_pkg::SaResultBadCommand;
        end
      end
      StVerdict: begin
        finish        = bad_entry_q;
        finish_result = card_pkg::SaResultBadEntry;
      end
      StInstall: begin
        finish        = cmd_done_i;
        finish_result = cmd_was_valid_i ? card_pkg::SaResultOccupied : card_pkg::SaResultOk;
      end
      StUpdate: begin
        finish        = cmd_done_i;
        finish_result = !cmd_was_valid_i ? card_pkg::SaResultEmpty :
                        cmd_match_i ? card_pkg::SaResultOk : card_pkg::SaResultBadEntry;
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
      StWipeAll: finish = clear_q && cmd_done_i;
      default: ;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q       <= StWipeAll;
      active_q      <= 1'b0;
      clear_q       <= 1'b0;
      sent_q        <= 1'b0;
      command_q     <= '0;
      result_q      <= '0;
      valid_count_q <= '0;
    end else begin
      if (wr_command) begin
        active_q  <= 1'b1;
        command_q <= reg_wdata_i[31:8] != '0 ? 8'd0 : reg_wdata_i[7:0];
      end
      case (state_q)
        StWipeAll: if (cmd_done_i) begin
          state_q       <= StIdle;
          valid_count_q <= '0;
        end
        StIdle:  if (active_q) state_q <= StStart;
        StStart: begin
          clear_q <= clear_all_q;
          sent_q  <= 1'b0;
          if (install_q || update_q) state_q <= StCheck;
          else state_q <= view_q ? StView : StClose;      // Remove and Clear close first
        end
        StCheck: state_q <= StJudge;                      // the checks are registered, twice
        StJudge: state_q <= StVerdict;
        StVerdict:
          if (update_q) state_q <= StUpdate;
          else state_q <= auth == '0 ? StInstall : StInner;
        StInner, StOuter: begin
          if (hash_valid && hash_ready) sent_q <= 1'b1;
          if (hash_done) begin
            sent_q  <= 1'b0;
            state_q <= state_q == StInner ? StOuter : StInstall;
          end
        end
        StInstall: if (cmd_done_i && !cmd_was_valid_i) valid_count_q <= valid_count_q + 32'd1;
        StUpdate:  ;
        StClose:   if (cmd_done_i) state_q <= StDrain;
        StDrain:   if (drained_i) state_q <= clear_q ? StWipeAll : StWipe;
        StWipe:    if (cmd_done_i) valid_count_q <= valid_count_q - 32'd1;
        StView:    ;
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
  // Key material: gone as soon as the command is
  always_ff @(posedge clk_i) begin
    if (!rst_ni || state_q == StIdle) begin
      istate_q <= '0;
      ostate_q <= '0;
    end else if (hash_done) begin
      if (state_q == StInner) istate_q <= hash_state;
      else ostate_q <= hash_state;
    end
  end

  always_comb begin
    case (state_q)
      StInstall: cmd_op_o = OpInstall;
      StUpdate:  cmd_op_o = OpUpdate;
      StClose:   cmd_op_o = clear_q ? OpCloseAll : OpClose;
      StView:    cmd_op_o = OpView;
      StWipe:    cmd_op_o = OpWipe;
      default:   cmd_op_o = OpWipeAll;
    endcase
  end
  assign cmd_valid_o  = (state_q == StInstall || state_q == StUpdate || state_q == StClose || state_q == StWipe ||
                         state_q == StView || state_q == StWipeAll) && !cmd_done_i;
  assign cmd_index_o  = index_q[Index-1:0];
  assign cmd_entry_o  = entry_q;
  assign cmd_istate_o = istate_q;
  assign cmd_ostate_o = ostate_q;
  assign busy_o       = active_q || state_q != StIdle;
endmodule
