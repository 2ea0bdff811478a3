// The S-boxes of DES (FIPS 46-3, appendix 1) as Boolean circuits over vectors V: what a box gives is added (exclusive or)
// to its outputs. Made by common/crypto/generate/sbox_circuits.cpp; do not edit.
#pragma once

namespace {

template <unsigned kBox>
void sbox(V a1, V a2, V a3, V a4, V a5, V a6, V& o1, V& o2, V& o3, V& o4);

#ifdef __AVX512F__

/// S1: 28 instructions.
template <>
[[gnu::always_inline]] inline void sbox<1>(V a1, V a2, V a3, V a4, V a5, V a6, V& o1, V& o2, V& o3, V& o4) {
  const V n1 = lut<0x13>(a3, a5, a6);
  const V n2 = lut<0x97>(n1, a1, a2);
  const V n3 = lut<0x13>(a3, a6, a1);
  const V n4 = lut<0xa9>(n3, n2, a2);
  const V n5 = lut<0xca>(a4, n2, n4);
  const V n6 = lut<0x79>(a2, a4, a6);
  const V n7 = lut<0x25>(n6, n5, a1);
  const V n8 = lut<0x18>(a3, n7, n7);
  const V n9 = lut<0xac>(a5, n5, n8);
  const V n10 = lut<0x1d>(a6, a5, n3);
  const V n11 = lut<0x68>(n10, n2, a1);
  const V n12 = lut<0x39>(a5, n6, n11);
  const V n13 = lut<0xac>(a4, n11, n12);
  const V n14 = lut<0x71>(n5, n9, n2);
  const V n15 = lut<0xd3>(n14, n10, n6);
  const V n16 = lut<0xca>(a3, n13, n15);
  const V n17 = lut<0x1d>(n6, a1, n8);
  const V n18 = lut<0x79>(a3, n7, n16);
  const V n19 = lut<0x68>(n18, a2, a1);
  const V n20 = lut<0xac>(a5, n17, n19);
  const V n21 = lut<0x36>(n8, n19, n12);
  const V n22 = lut<0xe5>(n21, a3, n18);
  const V n23 = lut<0xca>(a4, n20, n22);
  const V n24 = lut<0x17>(n10, n16, n3);
  const V n25 = lut<0x69>(n24, n9, n23);
  const V n26 = lut<0x43>(a6, n1, n18);
  const V n27 = lut<0x43>(n26, n25, a4);
  const V n28 = lut<0xca>(a2, n25, n27);
  o1 ^= n16;
  o2 ^= n28;
  o3 ^= n23;
  o4 ^= n9;
}

/// S2: 26 instructions.
template <>
[[gnu::always_inline]] inline void sbox<2>(V a1, V a2, V a3, V a4, V a5, V a6, V& o1, V& o2, V& o3, V& o4) {
  const V n1 = lut<0x26>(a4, a6, a5);
  const V n2 = lut<0x87>(a5, a4, a6);
  const V n3 = lut<0xac>(a3, n1, n2);
  const V n4 = lut<0xd1>(a4, n1, n3);
  const V n5 = lut<0xac>(a1, n3, n4);
  const V n6 = lut<0x69>(a1, a3, n3);
  const V n7 = lut<0xd2>(n6, a6, a4);
  const V n8 = lut<0xca>(a2, n5, n7);
  const V n9 = lut<0x6d>(n6, a3, a5);
  const V n10 = lut<0x1e>(n9, n7, n1);
  const V n11 = lut<0x39>(a6, a4, n9);
  const V n12 = lut<0xa9>(n6, n2, n4);
  const V n13 = lut<0xac>(a5, n11, n12);
  const V n14 = lut<0xca>(a2, n10, n13);
  const V n15 = lut<0x3d>(a2, n6, n12);
  const V n16 = lut<0x96>(n15, n11, n8);
  const V n17 = lut<0x63>(a3, n11, a1);
  const V n18 = lut<0x47>(n17, n1, n16);
  const V n19 = lut<0xca>(a2, n17, n18);
  const V n20 = lut<0xac>(a5, n16, n19);
  const V n21 = lut<0x16>(a2, n4, n9);
  const V n22 = lut<0x87>(n16, a2, n10);
  const V n23 = lut<0xac>(a4, n21, n22);
  const V n24 = lut<0x3a>(n14, n8, n9);
  const V n25 = lut<0x69>(n24, n19, n10);
  const V n26 = lut<0xac>(a6, n23, n25);
  o1 ^= n20;
  o2 ^= n8;
  o3 ^= n26;
  o4 ^= n14;
}

/// S3: 26 instructions.
template <>
[[gnu::always_inline]] inline void sbox<3>(V a1, V a2, V a3, V a4, V a5, V a6, V& o1, V& o2, V& o3, V& o4) {
  const V n1 = lut<0xc3>(a3, a2, a6);
  const V n2 = lut<0x85>(n1, a6, a3);
  const V n3 = lut<0xac>(a5, n1, n2);
  const V n4 = lut<0x1c>(a5, a6, n1);
  const V n5 = lut<0x87>(n4, a3, n3);
  const V n6 = lut<0xac>(a4, n3, n5);
  const V n7 = lut<0x02>(a2, a6, a5);
  const V n8 = lut<0x96>(n7, a4, n5);
  const V n9 = lut<0xac>(a1, n6, n8);
  const V n10 = lut<0x06>(a5, a3, a4);
  const V n11 = lut<0x69>(n10, n1, a6);
  const V n12 = lut<0x96>(a3, n4, n9);
  const V n13 = lut<0x4b>(n11, n12, n5);
  const V n14 = lut<0xac>(a6, n12, n13);
  const V n15 = lut<0xac>(a1, n11, n14);
  const V n16 = lut<0x70>(a4, n8, a6);
  const V n17 = lut<0x69>(n16, n11, a1);
  const V n18 = lut<0x49>(n6, a5, n12);
  const V n19 = lut<0x35>(n18, n5, n17);
  const V n20 = lut<0xca>(a3, n17, n19);
  const V n21 = lut<0x9a>(n9, n15, a3);
  const V n22 = lut<0x6e>(n14, n3, n17);
  const V n23 = lut<0xac>(a2, n21, n22);
  const V n24 = lut<0x2f>(n22, n4, n21);
  const V n25 = lut<0x94>(n24, n14, n16);
  const V n26 = lut<0xac>(a5, n23, n25);
  o1 ^= n9;
  o2 ^= n20;
  o3 ^= n26;
  o4 ^= n15;
}

/// S4: 29 instructions.
template <>
[[gnu::always_inline]] inline void sbox<4>(V a1, V a2, V a3, V a4, V a5, V a6, V& o1, V& o2, V& o3, V& o4) {
  const V n1 = lut<0x67>(a6, a2, a4);
  const V n2 = lut<0xe2>(a2, a6, a4);
  const V n3 = lut<0xac>(a5, n1, n2);
  const V n4 = lut<0x17>(n3, a6, n1);
  const V n5 = lut<0xca>(a1, n3, n4);
  const V n6 = lut<0x1a>(a5, n1, n5);
  const V n7 = lut<0x69>(n6, a6, a2);
  const V n8 = lut<0x46>(n5, a5, n7);
  const V n9 = lut<0xac>(a4, n7, n8);
  const V n10 = lut<0xca>(a3, n5, n9);
  const V n11 = lut<0x39>(a1, n5, a4);
  const V n12 = lut<0x49>(n11, n9, n6);
  const V n13 = lut<0x61>(a6, n12, n11);
  const V n14 = lut<0xca>(a3, n12, n13);
  const V n15 = lut<0x25>(n10, a4, a3);
  const V n16 = lut<0x96>(n15, n11, n7);
  const V n17 = lut<0xca>(a5, n14, n16);
  const V n18 = lut<0x1c>(n8, a1, n14);
  const V n19 = lut<0x16>(n18, n16, n15);
  const V n20 = lut<0x4b>(n1, a5, n16);
  const V n21 = lut<0xac>(a6, n19, n20);
  const V n22 = lut<0x4d>(n16, n18, n12);
  const V n23 = lut<0x96>(n22, a4, a2);
  const V n24 = lut<0xca>(a3, n21, n23);
  const V n25 = lut<0x74>(n17, n1, n24);
  const V n26 = lut<0x69>(n25, a2, n10);
  const V n27 = lut<0x19>(n15, n16, n10);
  const V n28 = lut<0xe1>(n27, n4, n26);
  const V n29 = lut<0xca>(a6, n26, n28);
  o1 ^= n17;
  o2 ^= n10;
  o3 ^= n24;
  o4 ^= n29;
}

/// S5: 28 instructions.
template <>
[[gnu::always_inline]] inline void sbox<5>(V a1, V a2, V a3, V a4, V a5, V a6, V& o1, V& o2, V& o3, V& o4) {
  const V n1 = lut<0x25>(a3, a2, a1);
  const V n2 = lut<0x21>(n1, a6, a5);
  const V n3 = lut<0x2e>(a1, a5, a3);
  const V n4 = lut<0x1e>(n3, a2, n1);
  const V n5 = lut<0x2c>(a6, n2, n4);
  const V n6 = lut<0x29>(a5, a1, a3);
  const V n7 = lut<0x96>(n6, a2, a6);
  const V n8 = lut<0xac>(a4, n5, n7);
  const V n9 = lut<0x18>(a5, n3, a3);
  const V n10 = lut<0x3e>(n9, a6, n6);
  const V n11 = lut<0x71>(a1, n10, a5);
  const V n12 = lut<0xac>(a2, n10, n11);
  const V n13 = lut<0x96>(a2, n10, a6);
  const V n14 = lut<0x39>(n5, n11, n13);
  const V n15 = lut<0xca>(a5, n13, n14);
  const V n16 = lut<0xac>(a4, n12, n15);
  const V n17 = lut<0x34>(a3, n7, n13);
  const V n18 = lut<0x5c>(n9, n7, n6);
  const V n19 = lut<0xac>(a2, n17, n18);
  const V n20 = lut<0x65>(a5, n14, n12);
  const V n21 = lut<0x59>(n17, n3, n11);
  const V n22 = lut<0xac>(a3, n20, n21);
  const V n23 = lut<0xac>(a4, n19, n22);
  const V n24 = lut<0x1b>(a2, a1, n23);
  const V n25 = lut<0x69>(n24, n16, n8);
  const V n26 = lut<0x01>(n24, n4, n12);
  const V n27 = lut<0x29>(n26, n25, n23);
  const V n28 = lut<0xca>(a5, n25, n27);
  o1 ^= n28;
  o2 ^= n8;
  o3 ^= n16;
  o4 ^= n23;
}

/// S6: 26 instructions.
template <>
[[gnu::always_inline]] inline void sbox<6>(V a1, V a2, V a3, V a4, V a5, V a6, V& o1, V& o2, V& o3, V& o4) {
  const V n1 = lut<0x69>(a5, a1, a4);
  const V n2 = lut<0x4b>(a2, a5, n1);
  const V n3 = lut<0xca>(a3, n1, n2);
  const V n4 = lut<0x19>(a1, n3, n1);
  const V n5 = lut<0x72>(n4, n2, a5);
  const V n6 = lut<0x18>(a2, n1, a5);
  const V n7 = lut<0x0d>(n6, a4, n3);
  const V n8 = lut<0xac>(a3, n5, n7);
  const V n9 = lut<0xac>(a6, n3, n8);
  const V n10 = lut<0x56>(a1, a4, n2);
  const V n11 = lut<0xf4>(n2, a4, n8);
  const V n12 = lut<0xac>(a6, n10, n11);
  const V n13 = lut<0x92>(a1, n12, a5);
  const V n14 = lut<0x8e>(n1, a6, n12);
  const V n15 = lut<0xac>(a2, n13, n14);
  const V n16 = lut<0xca>(a3, n12, n15);
  const V n17 = lut<0x3a>(n8, n13, n11);
  const V n18 = lut<0x96>(n17, n3, a6);
  const V n19 = lut<0x2e>(n17, a4, a2);
  const V n20 = lut<0x96>(n19, a6, n1);
  const V n21 = lut<0xca>(a3, n18, n20);
  const V n22 = lut<0x19>(n19, n16, a6);
  const V n23 = lut<0x9e>(n22, n1, n6);
  const V n24 = lut<0x29>(n23, n11, n17);
  const V n25 = lut<0xe1>(n24, n1, n16);
  const V n26 = lut<0xac>(a3, n23, n25);
  o1 ^= n9;
  o2 ^= n21;
  o3 ^= n26;
  o4 ^= n16;
}

/// S7: 27 instructions.
template <>
[[gnu::always_inline]] inline void sbox<7>(V a1, V a2, V a3, V a4, V a5, V a6, V& o1, V& o2, V& o3, V& o4) {
  const V n1 = lut<0x2c>(a4, a5, a3);
  const V n2 = lut<0x41>(n1, a1, a6);
  const V n3 = lut<0x63>(a4, a1, a5);
  const V n4 = lut<0xa3>(n3, a3, n1);
  const V n5 = lut<0x2c>(a6, n2, n4);
  const V n6 = lut<0x69>(a1, a6, n1);
  const V n7 = lut<0xd3>(n6, a3, n5);
  const V n8 = lut<0xca>(a2, n5, n7);
  const V n9 = lut<0x7a>(a4, n3, n7);
  const V n10 = lut<0xd2>(n9, n4, n6);
  const V n11 = lut<0xcb>(n1, n10, a5);
  const V n12 = lut<0xca>(a6, n10, n11);
  const V n13 = lut<0x63>(n3, n6, a3);
  const V n14 = lut<0x2e>(n13, a6, n4);
  const V n15 = lut<0xac>(a2, n12, n14);
  const V n16 = lut<0x68>(a4, n11, n4);
  const V n17 = lut<0x6a>(a5, n16, n5);
  const V n18 = lut<0xac>(a3, n16, n17);
  const V n19 = lut<0x2a>(n10, n7, n12);
  const V n20 = lut<0xc1>(n19, a4, n18);
  const V n21 = lut<0xac>(a2, n18, n20);
  const V n22 = lut<0x15>(n18, n10, n1);
  const V n23 = lut<0x2d>(n20, n22, a5);
  const V n24 = lut<0xac>(a1, n22, n23);
  const V n25 = lut<0x27>(n13, n23, a4);
  const V n26 = lut<0x78>(n25, n18, a6);
  const V n27 = lut<0xac>(a2, n24, n26);
  o1 ^= n15;
  o2 ^= n27;
  o3 ^= n21;
  o4 ^= n8;
}

/// S8: 26 instructions.
template <>
[[gnu::always_inline]] inline void sbox<8>(V a1, V a2, V a3, V a4, V a5, V a6, V& o1, V& o2, V& o3, V& o4) {
  const V n1 = lut<0x27>(a5, a2, a3);
  const V n2 = lut<0x2d>(a2, a5, a3);
  const V n3 = lut<0xac>(a1, n1, n2);
  const V n4 = lut<0x47>(n3, a2, n2);
  const V n5 = lut<0xca>(a4, n3, n4);
  const V n6 = lut<0x61>(a4, n1, a3);
  const V n7 = lut<0x95>(n6, a1, n5);
  const V n8 = lut<0xca>(a6, n5, n7);
  const V n9 = lut<0x1d>(a1, a5, n5);
  const V n10 = lut<0x86>(n9, n2, n1);
  const V n11 = lut<0x96>(n9, a5, n6);
  const V n12 = lut<0xac>(a2, n10, n11);
  const V n13 = lut<0x69>(a1, n6, n2);
  const V n14 = lut<0x69>(n4, a2, n13);
  const V n15 = lut<0xca>(a4, n13, n14);
  const V n16 = lut<0xac>(a6, n12, n15);
  const V n17 = lut<0x69>(n13, n3, n7);
  const V n18 = lut<0x87>(n5, n1, n12);
  const V n19 = lut<0xac>(a1, n17, n18);
  const V n20 = lut<0x5c>(a6, n19, n12);
  const V n21 = lut<0x69>(n20, n8, n16);
  const V n22 = lut<0x1e>(a3, n5, n21);
  const V n23 = lut<0xca>(a4, n21, n22);
  const V n24 = lut<0x71>(n22, n20, n18);
  const V n25 = lut<0x59>(n24, a5, n21);
  const V n26 = lut<0xac>(a2, n23, n25);
  o1 ^= n20;
  o2 ^= n8;
  o3 ^= n26;
  o4 ^= n16;
}

#else

/// S1: 56 instructions.
template <>
[[gnu::always_inline]] inline void sbox<1>(V a1, V a2, V a3, V a4, V a5, V a6, V& o1, V& o2, V& o3, V& o4) {
  const V n1 = a2 ^ a5;
  const V n2 = a4 & a5;
  const V n3 = ~n2 & a6;
  const V n4 = n3 ^ n1;
  const V n5 = a4 | n4;
  const V n6 = a6 ^ a5;
  const V n7 = n6 ^ n5;
  const V n8 = ~n7 & a3;
  const V n9 = n8 ^ n4;
  const V n10 = n2 | a2;
  const V n11 = ~n3 & n7;
  const V n12 = a2 & n6;
  const V n13 = a5 | n12;
  const V n14 = n13 ^ n11;
  const V n15 = ~a3 & n14;
  const V n16 = n15 ^ n10;
  const V n17 = ~n16 & a1;
  const V n18 = n17 ^ n9;
  const V n19 = n13 & a3;
  const V n20 = ~n6 & n1;
  const V n21 = n20 ^ n19;
  const V n22 = ~n12 & a4;
  const V n23 = n22 ^ n21;
  const V n24 = ~n14 & n18;
  const V n25 = ~n19 & n11;
  const V n26 = ~a4 & n25;
  const V n27 = n26 ^ n24;
  const V n28 = ~n27 & a1;
  const V n29 = n28 ^ n23;
  const V n30 = n9 ^ n28;
  const V n31 = a3 ^ a4;
  const V n32 = n31 | n24;
  const V n33 = ~n32 & a6;
  const V n34 = n33 ^ n30;
  const V n35 = a4 & n9;
  const V n36 = n35 ^ n1;
  const V n37 = ~n21 & n1;
  const V n38 = n37 ^ n31;
  const V n39 = ~a6 & n38;
  const V n40 = n39 ^ n36;
  const V n41 = a1 | n40;
  const V n42 = n41 ^ n34;
  const V n43 = n34 ^ n16;
  const V n44 = ~n38 & n13;
  const V n45 = n44 ^ n34;
  const V n46 = a1 & n45;
  const V n47 = n46 ^ n43;
  const V n48 = n11 ^ n29;
  const V n49 = n48 ^ n18;
  const V n50 = a5 & n49;
  const V n51 = n50 ^ n13;
  const V n52 = ~n51 & a4;
  const V n53 = n52 ^ n47;
  o1 ^= ~n18;
  o2 ^= ~n53;
  o3 ^= ~n42;
  o4 ^= n29;
}

/// S2: 52 instructions.
template <>
[[gnu::always_inline]] inline void sbox<2>(V a1, V a2, V a3, V a4, V a5, V a6, V& o1, V& o2, V& o3, V& o4) {
  const V n1 = a1 ^ a6;
  const V n2 = n1 ^ a5;
  const V n3 = a5 & a6;
  const V n4 = ~n3 & a1;
  const V n5 = ~n4 & a2;
  const V n6 = n5 ^ n2;
  const V n7 = n3 | n5;
  const V n8 = ~n1 & n7;
  const V n9 = a3 | n8;
  const V n10 = n9 ^ n6;
  const V n11 = ~n4 & a5;
  const V n12 = n11 | a2;
  const V n13 = a4 & n12;
  const V n14 = n13 ^ n10;
  const V n15 = n2 ^ a2;
  const V n16 = a5 & n4;
  const V n17 = ~n16 & a2;
  const V n18 = n17 ^ a6;
  const V n19 = a3 & n18;
  const V n20 = n19 ^ n15;
  const V n21 = n18 & n17;
  const V n22 = ~a3 & n3;
  const V n23 = n22 ^ n21;
  const V n24 = ~n23 & a4;
  const V n25 = n24 ^ n20;
  const V n26 = ~n6 & n14;
  const V n27 = n26 ^ a4;
  const V n28 = ~n18 & n14;
  const V n29 = n28 ^ n20;
  const V n30 = ~n29 & a2;
  const V n31 = n30 ^ n27;
  const V n32 = n22 ^ n26;
  const V n33 = ~n19 & n1;
  const V n34 = n33 ^ n32;
  const V n35 = a1 & n34;
  const V n36 = n35 ^ n31;
  const V n37 = n14 ^ n2;
  const V n38 = n25 | n36;
  const V n39 = n38 ^ n37;
  const V n40 = ~n15 & a1;
  const V n41 = n40 ^ n39;
  const V n42 = a4 & n2;
  const V n43 = n42 | n40;
  const V n44 = n25 ^ n30;
  const V n45 = a3 & n44;
  const V n46 = n45 ^ n43;
  const V n47 = ~n46 & a6;
  const V n48 = n47 ^ n41;
  o1 ^= ~n14;
  o2 ^= ~n25;
  o3 ^= ~n48;
  o4 ^= ~n36;
}

/// S3: 50 instructions.
template <>
[[gnu::always_inline]] inline void sbox<3>(V a1, V a2, V a3, V a4, V a5, V a6, V& o1, V& o2, V& o3, V& o4) {
  const V n1 = a6 ^ a3;
  const V n2 = ~a2 & n1;
  const V n3 = ~n1 & a2;
  const V n4 = ~n3 & a5;
  const V n5 = n4 ^ n2;
  const V n6 = ~n3 & a6;
  const V n7 = a4 | n6;
  const V n8 = n7 ^ n5;
  const V n9 = n3 ^ a4;
  const V n10 = n9 ^ a3;
  const V n11 = a5 | n10;
  const V n12 = n11 ^ n7;
  const V n13 = a1 | n12;
  const V n14 = n13 ^ n8;
  const V n15 = n9 ^ a5;
  const V n16 = n14 ^ n10;
  const V n17 = n16 | a4;
  const V n18 = ~a1 & n17;
  const V n19 = n18 ^ n15;
  const V n20 = ~n16 & n1;
  const V n21 = n20 | a2;
  const V n22 = ~n8 & n10;
  const V n23 = ~a1 & n22;
  const V n24 = n23 ^ n21;
  const V n25 = a6 | n24;
  const V n26 = n25 ^ n19;
  const V n27 = a1 ^ n12;
  const V n28 = n23 | a3;
  const V n29 = n28 | n20;
  const V n30 = a2 & n29;
  const V n31 = n30 ^ n27;
  const V n32 = a6 & n9;
  const V n33 = ~n29 & n25;
  const V n34 = a1 & n33;
  const V n35 = n34 ^ n32;
  const V n36 = ~n35 & a5;
  const V n37 = n36 ^ n31;
  const V n38 = n26 | n37;
  const V n39 = n8 ^ n36;
  const V n40 = n39 ^ n38;
  const V n41 = ~n8 & n16;
  const V n42 = ~a2 & n41;
  const V n43 = n42 ^ n40;
  const V n44 = n16 | n37;
  const V n45 = n27 & n32;
  const V n46 = n45 ^ n44;
  const V n47 = ~a3 & n46;
  const V n48 = n47 ^ n43;
  o1 ^= ~n26;
  o2 ^= n37;
  o3 ^= ~n48;
  o4 ^= n14;
}

/// S4: 41 instructions.
template <>
[[gnu::always_inline]] inline void sbox<4>(V a1, V a2, V a3, V a4, V a5, V a6, V& o1, V& o2, V& o3, V& o4) {
  const V n1 = ~a3 & a5;
  const V n2 = n1 ^ a4;
  const V n3 = ~a5 & a3;
  const V n4 = ~n3 & a4;
  const V n5 = ~n4 & a1;
  const V n6 = n5 ^ n2;
  const V n7 = a4 | a3;
  const V n8 = n1 | n4;
  const V n9 = ~a1 & n8;
  const V n10 = n9 ^ n7;
  const V n11 = a2 & n10;
  const V n12 = n11 ^ n6;
  const V n13 = ~n12 & n4;
  const V n14 = ~a5 & n7;
  const V n15 = n14 ^ n13;
  const V n16 = n10 & n2;
  const V n17 = a2 | n16;
  const V n18 = n17 ^ n15;
  const V n19 = ~n18 & a6;
  const V n20 = n19 ^ n12;
  const V n21 = a6 ^ n20;
  const V n22 = n21 ^ n18;
  const V n23 = n8 ^ a1;
  const V n24 = n23 ^ n22;
  const V n25 = n5 | n3;
  const V n26 = n17 ^ a3;
  const V n27 = n26 ^ n25;
  const V n28 = a2 | n27;
  const V n29 = n28 ^ n24;
  const V n30 = a2 & n23;
  const V n31 = n30 ^ n21;
  const V n32 = n28 ^ n23;
  const V n33 = ~a4 & n32;
  const V n34 = n33 ^ n31;
  const V n35 = a6 & n34;
  const V n36 = n35 ^ n29;
  const V n37 = n19 ^ n36;
  const V n38 = n37 ^ n34;
  o1 ^= n20;
  o2 ^= ~n22;
  o3 ^= ~n38;
  o4 ^= ~n36;
}

/// S5: 53 instructions.
template <>
[[gnu::always_inline]] inline void sbox<5>(V a1, V a2, V a3, V a4, V a5, V a6, V& o1, V& o2, V& o3, V& o4) {
  const V n1 = ~a4 & a6;
  const V n2 = a2 ^ a3;
  const V n3 = n2 ^ n1;
  const V n4 = n3 ^ a4;
  const V n5 = ~n4 & a2;
  const V n6 = a5 | n5;
  const V n7 = n6 ^ n3;
  const V n8 = ~n6 & n7;
  const V n9 = a2 | n8;
  const V n10 = n9 ^ n2;
  const V n11 = ~n7 & n4;
  const V n12 = n11 | a3;
  const V n13 = ~a6 & n12;
  const V n14 = n13 ^ n10;
  const V n15 = a1 | n14;
  const V n16 = n15 ^ n7;
  const V n17 = n4 ^ n13;
  const V n18 = n16 & n12;
  const V n19 = n18 ^ n17;
  const V n20 = a5 ^ n12;
  const V n21 = a2 & n20;
  const V n22 = n21 ^ n19;
  const V n23 = n3 & n12;
  const V n24 = ~a2 & n23;
  const V n25 = n22 | n16;
  const V n26 = n25 ^ n6;
  const V n27 = a6 | n26;
  const V n28 = n27 ^ n24;
  const V n29 = ~a1 & n28;
  const V n30 = n29 ^ n22;
  const V n31 = ~n7 & n25;
  const V n32 = a1 & n12;
  const V n33 = n32 ^ n31;
  const V n34 = a6 ^ n33;
  const V n35 = n17 ^ a5;
  const V n36 = n35 ^ n28;
  const V n37 = ~n36 & a1;
  const V n38 = n37 ^ n20;
  const V n39 = ~a4 & n38;
  const V n40 = n39 ^ n34;
  const V n41 = n16 ^ n40;
  const V n42 = a1 | n30;
  const V n43 = n42 ^ n41;
  const V n44 = ~a2 & n30;
  const V n45 = n44 ^ n43;
  const V n46 = ~n30 & n28;
  const V n47 = ~n16 & n36;
  const V n48 = n47 | n19;
  const V n49 = a6 | n48;
  const V n50 = n49 ^ n46;
  const V n51 = a5 | n50;
  const V n52 = n51 ^ n45;
  o1 ^= n52;
  o2 ^= n40;
  o3 ^= ~n16;
  o4 ^= n30;
}

/// S6: 50 instructions.
template <>
[[gnu::always_inline]] inline void sbox<6>(V a1, V a2, V a3, V a4, V a5, V a6, V& o1, V& o2, V& o3, V& o4) {
  const V n1 = ~a2 & a6;
  const V n2 = ~n1 & a1;
  const V n3 = n2 ^ a5;
  const V n4 = n3 ^ a6;
  const V n5 = ~n4 & a1;
  const V n6 = n5 ^ a2;
  const V n7 = ~n6 & a3;
  const V n8 = n7 ^ n3;
  const V n9 = n1 & n3;
  const V n10 = n9 | n6;
  const V n11 = ~a6 & n8;
  const V n12 = a3 & n11;
  const V n13 = n12 ^ n10;
  const V n14 = a4 & n13;
  const V n15 = n14 ^ n8;
  const V n16 = a4 ^ a3;
  const V n17 = n10 | n12;
  const V n18 = n17 ^ n16;
  const V n19 = ~n9 & n15;
  const V n20 = a6 & n19;
  const V n21 = n20 ^ n18;
  const V n22 = ~a5 & n19;
  const V n23 = n22 | a6;
  const V n24 = ~a4 & n17;
  const V n25 = n24 ^ n23;
  const V n26 = ~a1 & n25;
  const V n27 = n26 ^ n21;
  const V n28 = ~n19 & n8;
  const V n29 = n28 | n4;
  const V n30 = n3 ^ n18;
  const V n31 = ~n22 & n30;
  const V n32 = ~n31 & a3;
  const V n33 = n32 ^ n29;
  const V n34 = n32 ^ n19;
  const V n35 = ~n34 & a1;
  const V n36 = n35 ^ n21;
  const V n37 = a2 | n36;
  const V n38 = n37 ^ n33;
  const V n39 = a5 | a3;
  const V n40 = ~a4 & n39;
  const V n41 = n40 ^ n13;
  const V n42 = n38 & n21;
  const V n43 = ~n27 & n29;
  const V n44 = n43 ^ n42;
  const V n45 = a2 & n8;
  const V n46 = n45 ^ n44;
  const V n47 = a6 & n46;
  const V n48 = n47 ^ n41;
  o1 ^= ~n48;
  o2 ^= ~n38;
  o3 ^= n27;
  o4 ^= n15;
}

/// S7: 50 instructions.
template <>
[[gnu::always_inline]] inline void sbox<7>(V a1, V a2, V a3, V a4, V a5, V a6, V& o1, V& o2, V& o3, V& o4) {
  const V n1 = a4 ^ a1;
  const V n2 = n1 ^ a5;
  const V n3 = ~a5 & a4;
  const V n4 = n3 ^ a2;
  const V n5 = a3 | n4;
  const V n6 = n5 ^ n2;
  const V n7 = ~n4 & n3;
  const V n8 = a3 ^ n6;
  const V n9 = n8 & n4;
  const V n10 = a1 & n9;
  const V n11 = n10 ^ n7;
  const V n12 = ~n11 & a6;
  const V n13 = n12 ^ n6;
  const V n14 = ~a2 & n1;
  const V n15 = n2 ^ a3;
  const V n16 = n15 ^ n14;
  const V n17 = n14 ^ n4;
  const V n18 = n17 & a3;
  const V n19 = a6 | n18;
  const V n20 = n19 ^ n16;
  const V n21 = ~n8 & n16;
  const V n22 = n21 ^ n5;
  const V n23 = n18 ^ n3;
  const V n24 = n23 ^ n15;
  const V n25 = a6 & n24;
  const V n26 = n25 ^ n22;
  const V n27 = a1 & n26;
  const V n28 = n27 ^ n20;
  const V n29 = ~n20 & a4;
  const V n30 = n29 ^ n8;
  const V n31 = n14 | n4;
  const V n32 = a6 & n31;
  const V n33 = n32 ^ n30;
  const V n34 = n19 & n5;
  const V n35 = ~a3 & a4;
  const V n36 = a2 | n35;
  const V n37 = n36 ^ n34;
  const V n38 = a1 & n37;
  const V n39 = n38 ^ n33;
  const V n40 = n39 ^ n28;
  const V n41 = n40 ^ n2;
  const V n42 = n7 ^ n5;
  const V n43 = a4 & n42;
  const V n44 = n43 ^ n41;
  const V n45 = n21 ^ n39;
  const V n46 = a1 & n45;
  const V n47 = n46 ^ n6;
  const V n48 = ~n47 & a6;
  const V n49 = n48 ^ n44;
  o1 ^= n28;
  o2 ^= ~n39;
  o3 ^= n49;
  o4 ^= n13;
}

/// S8: 53 instructions.
template <>
[[gnu::always_inline]] inline void sbox<8>(V a1, V a2, V a3, V a4, V a5, V a6, V& o1, V& o2, V& o3, V& o4) {
  const V n1 = a6 ^ a4;
  const V n2 = ~a3 & a5;
  const V n3 = n2 ^ n1;
  const V n4 = ~a6 & n3;
  const V n5 = a3 | n4;
  const V n6 = n5 ^ a5;
  const V n7 = a1 & n6;
  const V n8 = n7 ^ n3;
  const V n9 = a5 | a4;
  const V n10 = n9 ^ a3;
  const V n11 = n10 | n4;
  const V n12 = a1 & n11;
  const V n13 = n12 ^ n10;
  const V n14 = ~n13 & a2;
  const V n15 = n14 ^ n8;
  const V n16 = ~n15 & n8;
  const V n17 = n16 | a4;
  const V n18 = a5 & n17;
  const V n19 = n18 ^ a2;
  const V n20 = n3 ^ n18;
  const V n21 = n20 & n9;
  const V n22 = ~n21 & a1;
  const V n23 = n22 ^ n19;
  const V n24 = a5 ^ n16;
  const V n25 = a3 | n24;
  const V n26 = n25 ^ n23;
  const V n27 = a5 | n26;
  const V n28 = a1 ^ n4;
  const V n29 = n28 ^ n27;
  const V n30 = n6 & n9;
  const V n31 = n30 ^ n27;
  const V n32 = ~n31 & a6;
  const V n33 = n32 ^ n29;
  const V n34 = n13 | n17;
  const V n35 = ~n28 & n31;
  const V n36 = n35 ^ n1;
  const V n37 = a3 | n36;
  const V n38 = n37 ^ n34;
  const V n39 = ~a2 & n38;
  const V n40 = n39 ^ n33;
  const V n41 = n15 ^ n26;
  const V n42 = n41 ^ n40;
  const V n43 = ~a6 & a1;
  const V n44 = n43 ^ n26;
  const V n45 = a5 & n44;
  const V n46 = n45 ^ n42;
  const V n47 = a1 ^ n40;
  const V n48 = n47 & n44;
  const V n49 = a2 | n48;
  const V n50 = n49 ^ n46;
  o1 ^= ~n50;
  o2 ^= ~n15;
  o3 ^= n26;
  o4 ^= ~n40;
}

#endif

}  // namespace
