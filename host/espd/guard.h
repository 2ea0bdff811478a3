// The guard against clear traffic (RFC 4301 s5.1, s5.2): nftables rules that drop, in both directions, what goes past the TUN
// device in clear though the policies say that it is to be protected or discarded. It comes from the outside unprotected, or
// leaves by a socket that is bound to an interface and so never sees espd's routing table. The kernel looks at the same
// ordered selectors as espd does.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "host/espd/policy.h"

struct nft_ctx;

namespace esplanade::espd {

/// Whether the traffic of a policy passes in clear now: fallback.h.
using IsOpen = std::function<bool(const Policy&)>;

/// The commands that put the rules for these policies in force, as one transaction. Packets with the mark `mark` are espd's
/// own.
std::string guard_rules(const std::vector<Policy>& policies, const IsOpen& open, const std::string& tun_name, std::uint32_t mark);

class Guard {
 public:
  /// Puts the rules in force, at once in place of those that an espd left behind. kUnsupported: this kernel has no nftables;
  /// kPermission; kIo.
  static Result<Guard> create(std::string tun_name, std::uint32_t mark, const std::vector<Policy>& policies, const IsOpen& open);
  Guard(Guard&&) noexcept;
  /// Removes the rules, unless they are to be kept.
  ~Guard();
  /// Replaces the rules; what was counted stays. After an error the former rules stay. kIo.
  Status apply(const std::vector<Policy>& policies, const IsOpen& open);
  void keep(bool on) { keep_ = on; }

  struct Counts {
    std::uint64_t in = 0, out = 0;  // packets dropped in clear
  };
  Counts counts();

  /// Removes what an espd left behind.
  static Status remove_all();

 private:
  struct Free {
    void operator()(nft_ctx* context) const;
  };
  Guard(std::string tun_name, std::uint32_t mark);
  /// Runs them as one transaction. What nftables says against it; empty: nothing.
  std::string refusal(const std::string& commands);
  Status run(const std::string& commands);
  std::unique_ptr<nft_ctx, Free> context_;
  std::string tun_name_;
  std::uint32_t mark_;
  bool keep_ = false;
};

}  // namespace esplanade::espd
