// The fixed wirings of DES (FIPS 46-3). FIPS counts bits from 1 at the top: bit n of a w-bit word is [w-n] here.
package des_pkg;
  // Initial permutation. Row r of its table starts at 58, 60, 62, 64, 57, 59, 61, 63 and goes down by 8.
  function automatic logic [63:0] ip(input logic [63:0] x);
    logic [63:0] y;
    y = '0;
    for (int r = 0; r < 8; r++)
      for (int c = 0; c < 8; c++) y[63 - 8*r - c] = x[64 - ((r < 4) ? 58 + 2*r : 49 + 2*r) + 8*c];
    ip = y;
  endfunction

  // Its inverse.
  function automatic logic [63:0] fp(input logic [63:0] x);
    logic [63:0] y;
    y = '0;
    for (int r = 0; r < 8; r++)
      for (int c = 0; c < 8; c++) y[64 - ((r < 4) ? 58 + 2*r : 49 + 2*r) + 8*c] = x[63 - 8*r - c];
    fp = y;
  endfunction

  // Permutation P of the S-box outputs.
  function automatic logic [31:0] p_perm(input logic [31:0] x);
    p_perm = {x[32-16], x[32-7],  x[32-20], x[32-21], x[32-29], x[32-12], x[32-28], x[32-17],
              x[32-1],  x[32-15], x[32-23], x[32-26], x[32-5],  x[32-18], x[32-31], x[32-10],
              x[32-2],  x[32-8],  x[32-24], x[32-14], x[32-32], x[32-27], x[32-3],  x[32-9],
              x[32-19], x[32-13], x[32-30], x[32-6],  x[32-22], x[32-11], x[32-4],  x[32-25]};
  endfunction

  // Permuted choice 1: drops the parity bits; C on top of D.
  // verilator lint_off UNUSEDSIGNAL
  function automatic logic [55:0] pc1(input logic [63:0] k);
    pc1 = {k[64-57], k[64-49], k[64-41], k[64-33], k[64-25], k[64-17], k[64-9],
           k[64-1],  k[64-58], k[64-50], k[64-42], k[64-34], k[64-26], k[64-18],
           k[64-10], k[64-2],  k[64-59], k[64-51], k[64-43], k[64-35], k[64-27],
           k[64-19], k[64-11], k[64-3],  k[64-60], k[64-52], k[64-44], k[64-36],
           k[64-63], k[64-55], k[64-47], k[64-39], k[64-31], k[64-23], k[64-15],
           k[64-7],  k[64-62], k[64-54], k[64-46], k[64-38], k[64-30], k[64-22],
           k[64-14], k[64-6],  k[64-61], k[64-53], k[64-45], k[64-37], k[64-29],
           k[64-21], k[64-13], k[64-5],  k[64-28], k[64-20], k[64-12], k[64-4]};
  endfunction

  // Permuted choice 2 of the rotated C and D: a round's subkey.
  function automatic logic [47:0] pc2(input logic [55:0] x);
    pc2 = {x[56-14], x[56-17], x[56-11], x[56-24], x[56-1],  x[56-5],
           x[56-3],  x[56-28], x[56-15], x[56-6],  x[56-21], x[56-10],
           x[56-23], x[56-19], x[56-12], x[56-4],  x[56-26], x[56-8],
           x[56-16], x[56-7],  x[56-27], x[56-20], x[56-13], x[56-2],
           x[56-41], x[56-52], x[56-31], x[56-37], x[56-47], x[56-55],
           x[56-30], x[56-40], x[56-51], x[56-45], x[56-33], x[56-48],
           x[56-44], x[56-49], x[56-39], x[56-56], x[56-34], x[56-53],
           x[56-46], x[56-42], x[56-50], x[56-36], x[56-29], x[56-32]};
  endfunction
  // verilator lint_on UNUSEDSIGNAL

  // Left rotations of C and D up to and including a round, 1 to 16.
  function automatic int key_shift(input int round);
    case (round)
      1: key_shift = 1;
      2: key_shift = 2;
      9: key_shift = 15;
      16: key_shift = 28;
      default: key_shift = (round < 9) ? 2 * round - 2 : 2 * round - 3;
    endcase
  endfunction

  // C and D after PC1, rotated left by n.
  function automatic logic [55:0] rotated(input logic [55:0] cd, input int n);
    rotated = {28'({cd[55:28], cd[55:28]} >> (28 - n)), 28'({cd[27:0], cd[27:0]} >> (28 - n))};
  endfunction
endpackage
