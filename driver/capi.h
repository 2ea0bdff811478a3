// What the C API does once the card is open, apart from how it was opened: unit tests give it a card of their own.
#pragma once

#include "esplanade/device.h"
#include "esplanade/esplanade.h"

namespace esplanade {

/// The handle of an open card; clears its SA table. Errors as SaTable::create and EventQueue::create.
Result<esplanade_card*> make_c_card(std::unique_ptr<Device> device);

}  // namespace esplanade
