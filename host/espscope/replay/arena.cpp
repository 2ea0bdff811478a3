#include "host/espscope/replay/arena.h"

#include <algorithm>

#include "driver/share.h"

namespace esplanade::replay {

namespace {

constexpr std::size_t kChunk = 64 << 20, kAlign = 4096;

}  // namespace

Result<std::unique_ptr<Device::Buffer>> Arena::allocate(std::size_t bytes) {
  const std::size_t size = (bytes + kAlign - 1) / kAlign * kAlign;
  if (chunk_ == nullptr || chunk_->data().size() - used_ < size) {
    ESPLANADE_TRY(chunk, below_.allocate(std::max(size, kChunk)));
    chunk_ = std::move(chunk);
    used_ = 0;
  }
  auto out = std::make_unique<Share>(chunk_, used_, bytes);
  used_ += size;
  return std::unique_ptr<Buffer>(std::move(out));
}

}  // namespace esplanade::replay
