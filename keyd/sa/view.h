// What an operator may see of the engine: plain values without keys.
#pragma once

#include <optional>
#include <string>

#include "keyd/sa/io.h"
#include "keyd/wire/isakmp_header.h"

namespace esplanade::ike {

struct MainModeView {
  std::uint64_t number = 0;  // never used again
  std::string connection;
  Path path;
  Cookie cky_i{};
  Cookie cky_r{};
  bool initiator = true;
  bool established = false;
  bool nat = false;
  std::string suite;      // "-" before it is agreed
  std::string peer_id;    // "-" before it is proved
  std::optional<Time> expires_in;
};

struct ChildView {
  std::string connection;
  std::string child;
  esp::Protocol protocol = esp::Protocol::kEsp;
  std::uint32_t spi_in = 0;
  std::uint32_t spi_out = 0;
  esp::IpAddress local;
  esp::IpAddress remote;
  std::string peer_id;
  bool initiator = true;
  bool rekeying = false;
  std::uint32_t ah_spi_in = 0;  // of the AH around the ESP of a bundle; 0: none
  std::uint32_t ah_spi_out = 0;
};

}  // namespace esplanade::ike
