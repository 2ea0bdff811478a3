// RSA signatures of IKEv1: PKCS #1 v1.5 block type 1 around the hash itself, without DigestInfo and without any
// further hashing (RFC 2409 s5.1, RFC 2313 s8.1):  00 01 FF..FF 00 HASH
#pragma once

#include "common/base/bytes.h"
#include "common/base/result.h"

struct evp_pkey_st;  // OpenSSL's EVP_PKEY

namespace esplanade::crypto {

inline constexpr unsigned kRsaBitsMin = 1024;
inline constexpr unsigned kRsaBitsMax = 8192;  // a larger key is there to burn the verifier's time

namespace detail {
/// Checks that `signature` is the block above around `hash`, made with the private half of `key`. The block is rebuilt
/// whole and compared whole, in constant time: other padding, a DigestInfo or octets after the hash have no place in
/// it. Errors: kUnsupported (not RSA, or a length outside kRsaBitsMin..Max), kBadLength (signature not as long as the
/// modulus), kMalformed.
Status rsa_verify_raw(evp_pkey_st* key, ByteView hash, ByteView signature);
}  // namespace detail

}  // namespace esplanade::crypto
