// A part of a buffer that several have.
#pragma once

#include "esplanade/device.h"

namespace esplanade {

class Share final : public Device::Buffer {
 public:
  Share(std::shared_ptr<Device::Buffer> whole, std::size_t at, std::size_t size) : whole_(std::move(whole)), at_(at), size_(size) {}
  MutableBytes data() override { return whole_->data().subspan(at_, size_); }
  std::uint64_t address() const override { return whole_->address() + at_; }
  Status sync_to_card(std::size_t offset, std::size_t size) override { return whole_->sync_to_card(at_ + offset, size); }
  Status sync_from_card(std::size_t offset, std::size_t size) override { return whole_->sync_from_card(at_ + offset, size); }

 private:
  std::shared_ptr<Device::Buffer> whole_;
  std::size_t at_, size_;
};

}  // namespace esplanade
