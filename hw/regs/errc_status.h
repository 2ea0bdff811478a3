// The card's word for an error of the reference engine.
#pragma once

#include "common/base/result.h"
#include "hw/regs/card_regs.h"

namespace esplanade::card {

constexpr Status to_status(Errc code) {
  switch (code) {
    case Errc::kTruncated:
    case Errc::kMalformed: return Status::kBadHeader;
    case Errc::kBadLength: return Status::kBadEspLength;
    case Errc::kFragment: return Status::kFragment;
    case Errc::kWrongProtocol: return Status::kWrongProtocol;
    case Errc::kWrongAddress: return Status::kWrongAddress;
    case Errc::kWrongDirection: return Status::kWrongDirection;
    case Errc::kUnknownSpi: return Status::kNoSa;
    case Errc::kReplayed: return Status::kReplay;
    case Errc::kBadIcv: return Status::kBadIcv;
    case Errc::kBadPadding: return Status::kBadPadding;
    case Errc::kBadNextHeader: return Status::kBadNextHeader;
    case Errc::kBadInner: return Status::kBadInner;
    case Errc::kNoRoom: return Status::kDstTooSmall;
    case Errc::kDummy: return Status::kDummy;
    case Errc::kSeqOverflow: return Status::kSeqOverflow;
    case Errc::kExpired: return Status::kExpired;
    case Errc::kDeviceLost: return Status::kBusError;
    default: return Status::kUnsupported;
  }
}

}  // namespace esplanade::card
