// Result<T>: a value or an Error. Operating errors (bad packets, full rings, a lost device) travel as
// Result; broken invariants abort. Nothing here allocates except Error::detail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace esplanade {

/// What went wrong, by kind. Tools map kinds to exit codes and counters; people read Error::detail.
enum class Errc : std::uint8_t {
  kTruncated,     // input ends before the field that was being read
  kMalformed,     // input has an impossible value
  kBadLength,     // a length field disagrees with what is there
  kUnsupported,   // well formed, but not done by this engine or build
  kBadConfig,     // configuration file or command line
  kIo,            // the operating system said no
  kPermission,    // privilege is missing
  kNoCard,        // no such card, or XRT is not installed
  kDeviceLost,    // the card or its simulator stopped answering
  kTimeout,       // no answer in the time given
  kRingFull,      // back-pressure: try again after reaping
  kTableFull,     // no free SA entry
  kUnknownSpi,    // no SA with this SPI: RFC 4303 s3.4.2
  kReplayed,      // outside or already seen in the replay window: RFC 4303 s3.4.3
  kBadIcv,        // integrity check failed: RFC 4303 s3.4.4
  kBadPadding,    // pad octets or pad length wrong: RFC 4303 s2.4
  kSeqOverflow,   // sequence number would wrap: RFC 4303 s3.3.3
  kDummy,         // next header 59, discard silently: RFC 4303 s2.6
  kWeakKey,       // weak, semi-weak or degenerate DES key: RFC 2405, RFC 2451
  kExpired,       // hard lifetime reached
  kState,         // the call does not fit the object's state
  kFragment,      // a fragment where a whole packet is needed: RFC 4303 s3.3.4, s3.4.1
  kWrongProtocol,  // not the protocol of the SA
  kWrongAddress,  // outer addresses are not those of the SA
  kWrongDirection,  // an inbound SA asked to protect, or the reverse
  kBadNextHeader,  // next header does not fit the SA's mode
  kBadKe,         // Diffie-Hellman public value of a wrong length or range: RFC 2409 s5
  kBadId,         // an identity that is malformed, not proved or not the one wanted
  kBadCertificate,    // a certificate that is malformed, out of date, revoked or of a wrong use
  kUnknownAuthority,  // no chain to a configured authority
  kBadSignature,  // a signature that does not fit
  kBadAuth,       // a hash or token that proves no secret
  kNoRoom,        // the result does not fit where it shall go
  kBadInner,      // packet inside a tunnel is not whole, or not of the stated family
};

/// Short stable name of an Errc, e.g. "bad-icv".
const char* errc_name(Errc code);

/// An operating error. `detail` is one sentence for a person: what, where, why, and what to do. It never
/// holds key material. `at` is the input offset in octets where that makes sense.
struct Error {
  Errc code;
  std::string detail;
  std::size_t at = 0;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : v_(std::in_place_index<1>, std::move(error)) {}
  explicit operator bool() const { return v_.index() == 0; }
  T& value() & { return std::get<0>(v_); }
  const T& value() const& { return std::get<0>(v_); }
  T&& value() && { return std::get<0>(std::move(v_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const { return std::get<1>(v_); }

 private:
  std::variant<T, Error> v_;
};

/// Result of a call that yields nothing but success or an Error.
struct Unit {};
using Status = Result<Unit>;
inline Status ok() { return Unit{}; }

}  // namespace esplanade

#define ESPLANADE_CAT2(a, b) a##b
#define ESPLANADE_CAT(a, b) ESPLANADE_CAT2(a, b)
/// Evaluates `expr` (a Result); returns its error from the enclosing function, or binds its value to `name`.
#define ESPLANADE_TRY(name, expr)                         \
  auto name##_result = (expr);                            \
  if (!name##_result) return name##_result.error();       \
  auto name = std::move(name##_result).value()
/// The same where the value is not wanted.
#define ESPLANADE_CHECK(expr)                                                              \
  if (auto ESPLANADE_CAT(check_, __LINE__) = (expr); !ESPLANADE_CAT(check_, __LINE__))     \
  return ESPLANADE_CAT(check_, __LINE__).error()
