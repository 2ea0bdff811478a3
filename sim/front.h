// The front's view of the model: the card behind XRT's protocol. It outlives the model process, for XRT spins
// for ever once its simulator is gone.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>

#include "sim/link.h"
#include "sim/xrt_server.h"

namespace esplanade::sim {

class ModelCard final : public CardPort {
 public:
  /// `link` leads to the process `model`, a child. A call that the model does not answer within `patience`
  /// counts as its death (zero: wait for ever, for debugging the model).
  ModelCard(std::unique_ptr<Link> link, pid_t model, std::chrono::seconds patience);
  /// A card that was never there; `why` is for people.
  explicit ModelCard(const std::string& why);
  ~ModelCard() override;

  /// The model's socket to poll on, or -1 when it is dead.
  int fd() const { return link_ ? link_->fd() : -1; }
  /// Serves what the model wants without being asked. Call when fd() is readable.
  void pump();
  /// Where the card reaches host memory from now on.
  void set_host_memory(std::unique_ptr<HostMemoryClient> host) { host_ = std::move(host); }

  Bytes read_registers(std::uint64_t address, std::uint32_t size) override;
  void write_registers(std::uint64_t address, ByteView data) override;
  Bytes read_memory(std::uint64_t address, std::uint64_t size) override;
  void write_memory(std::uint64_t address, ByteView data) override;
  std::uint64_t time_ns() override;
  /// Arms the faults of a plan; one line that says so, or why not.
  std::string inject(const std::string& plan);
  void close() override;
  std::string take_messages() override;

 private:
  bool call(LinkOp op, std::uint64_t address, std::uint64_t size, ByteView data, LinkFrame& answer);
  bool serve_model(const LinkFrame& frame);
  void lose(const std::string& why);
  void reap(bool may_still_run);

  std::unique_ptr<Link> link_;
  std::unique_ptr<HostMemoryClient> host_;
  pid_t model_ = -1;
  std::chrono::seconds patience_{0};
  std::string last_words_, messages_;
};

}  // namespace esplanade::sim
