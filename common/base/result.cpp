#include "common/base/result.h"

namespace esplanade {

const char* errc_name(Errc code) {
  switch (code) {
    case Errc::kTruncated: return "truncated";
    case Errc::kMalformed: return "malformed";
    case Errc::kBadLength: return "bad-length";
    case Errc::kUnsupported: return "unsupported";
    case Errc::kBadConfig: return "bad-config";
    case Errc::kIo: return "io";
    case Errc::kPermission: return "permission";
    case Errc::kNoCard: return "no-card";
    case Errc::kDeviceLost: return "device-lost";
    case Errc::kTimeout: return "timeout";
    case Errc::kRingFull: return "ring-full";
    case Errc::kTableFull: return "table-full";
    case Errc::kUnknownSpi: return "unknown-spi";
    case Errc::kReplayed: return "replayed";
    case Errc::kBadIcv: return "bad-icv";
    case Errc::kBadPadding: return "bad-padding";
    case Errc::kSeqOverflow: return "seq-overflow";
    case Errc::kDummy: return "dummy";
    case Errc::kWeakKey: return "weak-key";
    case Errc::kExpired: return "expired";
    case Errc::kState: return "state";
    case Errc::kFragment: return "fragment";
    case Errc::kWrongProtocol: return "wrong-protocol";
    case Errc::kWrongAddress: return "wrong-address";
    case Errc::kWrongDirection: return "wrong-direction";
    case Errc::kBadNextHeader: return "bad-next-header";
    case Errc::kBadKe: return "bad-ke";
    case Errc::kBadId: return "bad-id";
    case Errc::kBadCertificate: return "bad-certificate";
    case Errc::kUnknownAuthority: return "unknown-authority";
    case Errc::kBadSignature: return "bad-signature";
    case Errc::kBadAuth: return "bad-auth";
    case Errc::kNoRoom: return "no-room";
    case Errc::kBadInner: return "bad-inner";
  }
  return "?";
}

}  // namespace esplanade
