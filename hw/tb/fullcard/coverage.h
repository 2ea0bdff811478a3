// Functional coverage of whole-card traffic: which combinations were seen, and which that the build offers were not.
// Printed as a table and written as JSON to the file in ESPLANADE_COVERAGE.
#pragma once

#include <map>
#include <string>

#include "hw/tb/fullcard/generator.h"

namespace esplanade::fullcard {

class Coverage {
 public:
  /// One completed packet. `bytes`: source octets.
  void packet(const esp::SaParams& sa, bool encap, unsigned inner_version, std::size_t bytes, card::Status status, const char* kind);
  void status(card::Status status) { ++cells_["status"][card::name_of(status)]; }
  void event(card::EventType type) { ++cells_["event"][card::name_of(type)]; }
  void count(const std::string& group, const std::string& cell) { ++cells_[group][cell]; }

  /// Cells of the build that stayed empty, as "group: cell".
  std::vector<std::string> holes(const Card& card) const;
  void report(const Card& card, std::uint64_t packets) const;

 private:
  std::map<std::string, std::map<std::string, std::uint64_t>> cells_;
};

}  // namespace esplanade::fullcard
