// 3DES (ANSI X9.52 EDE) as a pipeline of 48 stages, one round each: one 64-bit block a cycle, of any slot, in
// either direction. Single DES is three equal keys. No chaining mode and no backpressure: what goes in comes out
// 49 cycles later.
// A key given with key_we_i serves blocks that enter from the next cycle on; it must stay while blocks of its slot
// are under way. Keys cannot be read back. Where the keys are does not show outside:
// KeyCarry 0: each stage holds its own subkey of every slot. No key schedule is worked out in every cycle, which makes
//   the simulated model several times faster; LUTs grow with Slots.
// KeyCarry 1: one RAM holds the keys; a key travels with its block and each stage picks its subkey by wiring. For
//   hardware: LUTs hardly depend on Slots. Behind a block without a key travel zeros, so that 48 cycles after a wipe
//   nothing is left of the key.
module tdes_pipe #(
  parameter int Slots     = 32,               // a power of two, 2 to 256
  parameter int KeyCarry  = 0,
  localparam int SlotBits = $clog2(Slots)
) (
  input  logic                clk_i,
  input  logic                rst_ni,         // synchronous; drops all blocks
  input  logic                key_we_i,
  input  logic [SlotBits-1:0] key_slot_i,
  input  logic                key_decrypt_i,  // direction of all blocks of this slot
  input  logic                key_wipe_i,     // with key_we_i: forget the slot's key
  input  logic [191:0]        key_i,          // K1, K2, K3; first octet on top
  input  logic                valid_i,
  input  logic [SlotBits-1:0] slot_i,
  input  logic [63:0]         data_i,         // first octet on top
  output logic                valid_o,
  output logic [63:0]         data_o
);
  localparam int Stages = 48;

  // S-boxes of FIPS 46-3: rows 0 to 3, columns 0 to 15, first entry on top.
  localparam logic [255:0] S1 = 256'he4d12fb83a6c5907_0f74e2d1a6cb9538_41e8d62bfc973a50_fc8249175b3ea06d;
  localparam logic [255:0] S2 = 256'hf18e6b34972dc05a_3d47f28ec01a69b5_0e7ba4d158c6932f_d8a13f42b67c05e9;
  localparam logic [255:0] S3 = 256'ha09e63f51dc7b428_d709346a285ecbf1_d6498f30b12c5ae7_1ad069874fe3b52c;
  localparam logic [255:0] S4 = 256'h7de3069a1285bc4f_d8b56f03472c1ae9_a690cb7df13e5284_3f06a1d8945bc72e;
  localparam logic [255:0] S5 = 256'h2c417ab6853fd0e9_eb2c47d150fa3986_421bad78f9c5630e_b8c71e2d6f09a453;
  localparam logic [255:0] S6 = 256'hc1af92680d34e75b_af427c9561de0b38_9ef528c3704a1db6_432c95fabe17608d;
  localparam logic [255:0] S7 = 256'h4b2ef08d3c975a61_d0b7491ae35c2f86_14bdc37eaf680592_6bd814a7950fe23c;
  localparam logic [255:0] S8 = 256'hd2846fb1a93e50c7_1fd8a374c56b0e92_7b419ce206adf358_21e74a8dfc90356b;

  // One entry of an S-box, at the place of box `box` (1 to 8), after P. The row is bits 5 and 0, the column 4:1.
  function automatic logic [31:0] sp(input logic [255:0] table_bits, input int box, input logic [5:0] x);
    logic [5:0]  entry;
    logic [31:0] s;
    entry = {x[5], x[0], x[4:1]};
    s = {28'b0, 4'(table_bits >> (4 * (63 - 32'(entry))))};
    sp = des_pkg::p_perm(s << (32 - 4 * box));
  endfunction

  // S-box and P merged into ROMs that all stages share: eight look-ups a round, an OR joins them.
  logic [31:0] sp1 [0:63];
  logic [31:0] sp2 [0:63];
  logic [31:0] sp3 [0:63];
  logic [31:0] sp4 [0:63];
  logic [31:0] sp5 [0:63];
  logic [31:0] sp6 [0:63];
  logic [31:0] sp7 [0:63];
  logic [31:0] sp8 [0:63];
  initial begin
    for (int i = 0; i < 64; i++) begin
      sp1[i] = sp(S1, 1, 6'(i));
      sp2[i] = sp(S2, 2, 6'(i));
      sp3[i] = sp(S3, 3, 6'(i));
      sp4[i] = sp(S4, 4, 6'(i));
      sp5[i] = sp(S5, 5, 6'(i));
      sp6[i] = sp(S6, 6, 6'(i));
      sp7[i] = sp(S7, 7, 6'(i));
      sp8[i] = sp(S8, 8, 6'(i));
    end
  end

  // Bit s: stage s has a block to work on. The halves {L, R} of stage s stand in field s; field 48 is the result.
  logic [Stages:0]          valid_q;
  logic [64*(Stages+1)-1:0] lr_q  /*verilator split_var*/;
  logic [48*Stages-1:0]     key   /*verilator split_var*/;  // subkey of the block in a stage

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[Stages-1:0], valid_i};
  end
  always_ff @(posedge clk_i) if (valid_i) lr_q[63:0] <= des_pkg::ip(data_i);

  for (genvar s = 0; s < Stages; s++) begin : gen_stage
    logic [47:0] k;
    logic [31:0] l, r, mixed;
    logic [33:0] e;                     // R with a neighbour bit on either side: box b sees e[37-4*b -: 6]
    assign k = key[48*s +: 48];
    assign l = lr_q[64*s+32 +: 32];
    assign r = lr_q[64*s +: 32];
    assign e = {r[0], r, r[31]};
    assign mixed = l ^ (sp1[e[33:28] ^ k[47:42]] | sp2[e[29:24] ^ k[41:36]] | sp3[e[25:20] ^ k[35:30]] |
                        sp4[e[21:16] ^ k[29:24]] | sp5[e[17:12] ^ k[23:18]] | sp6[e[13:8] ^ k[17:12]] |
                        sp7[e[9:4] ^ k[11:6]] | sp8[e[5:0] ^ k[5:0]]);
    // The last round of each DES does not swap; its FP and the next one's IP cancel.
    always_ff @(posedge clk_i)
      if (valid_q[s]) lr_q[64*(s+1) +: 64] <= (s % 16 == 15) ? {mixed, r} : {r, mixed};
  end

  // The key after PC1, in the order in which the three DES use it: decryption takes the last first.
  logic [3*56-1:0] key_d;
  assign key_d = {des_pkg::pc1(key_decrypt_i ? key_i[63:0] : key_i[191:128]), des_pkg::pc1(key_i[127:64]),
                  des_pkg::pc1(key_decrypt_i ? key_i[191:128] : key_i[63:0])};

  // EDE: the middle DES runs the other way. Decrypting takes the subkeys from the last to the first.
  if (KeyCarry == 0) begin : gen_by_slot
    logic                       key_we_q, key_wipe_q, key_decrypt_q;
    logic [SlotBits-1:0]        key_slot_q;
    logic [3*56-1:0]            key_q;
    logic [SlotBits*Stages-1:0] slot_q;   // field s: slot of the block in stage s
    always_ff @(posedge clk_i) slot_q <= {slot_q[SlotBits*(Stages-1)-1:0], slot_i};
    always_ff @(posedge clk_i) begin
      key_we_q <= rst_ni && key_we_i;
      if (key_we_i) begin
        key_slot_q    <= key_slot_i;
        key_wipe_q    <= key_wipe_i;
        key_decrypt_q <= key_decrypt_i;
        key_q         <= key_d;
      end
    end
    for (genvar s = 0; s < Stages; s++) begin : gen_key
      localparam int Des   = s / 16;      // 0 to 2
      localparam int Round = s % 16 + 1;
      logic [47:0] key_mem [0:Slots-1];
      always_ff @(posedge clk_i) begin
        if (key_we_q) begin
          if (key_wipe_q) key_mem[key_slot_q] <= '0;
          else
            key_mem[key_slot_q] <= des_pkg::pc2((key_decrypt_q == (Des != 1))
                                                ? des_pkg::rotated(key_q[56*(2-Des) +: 56], des_pkg::key_shift(17 - Round))
                                                : des_pkg::rotated(key_q[56*(2-Des) +: 56], des_pkg::key_shift(Round)));
        end
      end
      assign key[48*s +: 48] = key_mem[slot_q[SlotBits*s +: SlotBits]];
    end
  end else begin : gen_carried
    localparam int KeyWidth = 1 + 3 * 56;
    logic [KeyWidth-1:0] key_mem [0:Slots-1];         // direction and key, of block RAM
    logic [KeyWidth-1:0] key_q;                       // of the block in stage 0
    always_ff @(posedge clk_i)
      if (key_we_i && rst_ni) key_mem[key_slot_i] <= key_wipe_i ? '0 : {key_decrypt_i, key_d};
    always_ff @(posedge clk_i) begin
      if (!valid_i) key_q <= '0;
      else key_q <= key_mem[slot_i];
    end

    // Field s: C, D and direction of the block in stage s; at the ends of a DES the next key takes over. That one
    // waits in a shift register, 16 or 32 cycles long, whose end is a flip-flop (fast).
    (* srl_style = "srl_reg" *) logic [56*16-1:0] wait2_q;
    (* srl_style = "srl_reg" *) logic [56*32-1:0] wait3_q;
    logic [Stages-1:0]    decrypt;
    logic [Stages-2:0]    decrypt_q;
    logic [56*Stages-1:0] cd  /*verilator split_var*/;
    always_ff @(posedge clk_i) begin
      wait2_q   <= {wait2_q[56*15-1:0], key_q[111:56]};
      wait3_q   <= {wait3_q[56*31-1:0], key_q[55:0]};
      decrypt_q <= decrypt[Stages-2:0];
    end
    assign decrypt = {decrypt_q, key_q[KeyWidth-1]};
    for (genvar s = 0; s < Stages; s++) begin : gen_key
      localparam int Round = s % 16 + 1;
      if (s == 0) begin : gen_first
        assign cd[55:0] = key_q[167:112];
      end else if (s == 16) begin : gen_second
        assign cd[56*s +: 56] = wait2_q[56*15 +: 56];
      end else if (s == 32) begin : gen_third
        assign cd[56*s +: 56] = wait3_q[56*31 +: 56];
      end else begin : gen_same
        logic [55:0] cd_q;
        always_ff @(posedge clk_i) cd_q <= cd[56*(s-1) +: 56];
        assign cd[56*s +: 56] = cd_q;
      end
      assign key[48*s +: 48] = (decrypt[s] == (s / 16 != 1))
                               ? des_pkg::pc2(des_pkg::rotated(cd[56*s +: 56], des_pkg::key_shift(17 - Round)))
                               : des_pkg::pc2(des_pkg::rotated(cd[56*s +: 56], des_pkg::key_shift(Round)));
    end
  end

  assign valid_o = valid_q[Stages];
  assign data_o  = des_pkg::fp(lr_q[64*Stages +: 64]);
endmodule
