// Trivium (ISO/IEC 29192-3) unrolled 64 steps: 64 keystream bits a cycle, a source of unpredictable CBC IVs.
// After a seed pulse it runs the 4 * 288 = 1,152 warm-up steps in 18 cycles; seeded_o and valid_o rise on the 19th
// cycle and stay. A word that is taken is never shown again. A new seed may come at any time.
// Octets are in the order of the eSTREAM test vectors: first octet of key, IV and keystream in the top bits.
// The state is secret: nothing but keystream leaves.
module trivium64 (
  input  logic        clk_i,
  input  logic        rst_ni,        // synchronous; forgets the seed
  input  logic        seed_valid_i,  // pulse
  input  logic [79:0] seed_key_i,
  input  logic [79:0] seed_iv_i,
  output logic        seeded_o,
  output logic        valid_o,
  input  logic        ready_i,
  output logic [63:0] data_o         // stable while valid_o && !ready_i
);
  localparam int WarmUpCycles = 4 * 288 / 64;

  // Bit i-1 of a part is s_i of the specification counted from the part's start: parts hold s1..s93, s94..s177
  // and s178..s288. A step shifts towards higher i, so 64 steps shift by 64; no tap is younger than 66 steps.
  logic [92:0]  a_q;
  logic [83:0]  b_q;
  logic [110:0] c_q;
  logic [4:0]   warm_up_q;  // warm-up cycles left
  logic         running_q;  // a seed was given
  logic         step;

  // Step k of a cycle (0 first) stands in bit 63-k: the step done last is the youngest, as in the parts.
  logic [63:0] t1, t2, t3, a_in, b_in, c_in, z;
  assign t1   = a_q[65:2] ^ a_q[92:29];
  assign t2   = b_q[68:5] ^ b_q[83:20];
  assign t3   = c_q[65:2] ^ c_q[110:47];
  assign z    = t1 ^ t2 ^ t3;
  assign b_in = t1 ^ (a_q[90:27] & a_q[91:28]) ^ b_q[77:14];
  assign c_in = t2 ^ (b_q[81:18] & b_q[82:19]) ^ c_q[86:23];
  assign a_in = t3 ^ (c_q[108:45] & c_q[109:46]) ^ a_q[68:5];

  // Keystream fills an octet from its low bit; the first octet is on top. So bits turn around within octets.
  logic [63:0] z1, z2;
  assign z1     = ((z & 64'h5555555555555555) << 1) | ((z >> 1) & 64'h5555555555555555);
  assign z2     = ((z1 & 64'h3333333333333333) << 2) | ((z1 >> 2) & 64'h3333333333333333);
  assign data_o = ((z2 & 64'h0f0f0f0f0f0f0f0f) << 4) | ((z2 >> 4) & 64'h0f0f0f0f0f0f0f0f);

  // Key and IV bits are numbered from the top bit of the last octet; the first octet is the youngest.
  logic [79:0] key_bits, iv_bits;
  for (genvar i = 0; i < 80; i++) begin : gen_seed_order
    assign key_bits[i] = seed_key_i[i - i % 8 + 7 - i % 8];
    assign iv_bits[i]  = seed_iv_i[i - i % 8 + 7 - i % 8];
  end

  assign seeded_o = running_q && warm_up_q == 5'd0;
  assign valid_o  = seeded_o;
  assign step     = running_q && (warm_up_q != 5'd0 || ready_i);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      running_q <= 1'b0;
      warm_up_q <= 5'd0;
    end else if (seed_valid_i) begin
      running_q <= 1'b1;
      warm_up_q <= 5'(WarmUpCycles);
    end else if (warm_up_q != 5'd0) begin
      warm_up_q <= warm_up_q - 5'd1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (seed_valid_i) begin
      a_q <= {13'b0, key_bits};
      b_q <= {4'b0, iv_bits};
      c_q <= {3'b111, 108'b0};
    end else if (step) begin
      a_q <= {a_q[28:0], a_in};
      b_q <= {b_q[19:0], b_in};
      c_q <= {c_q[46:0], c_in};
    end
  end
endmodule
