// Reads vector files as NIST's CAVP writes them: "NAME = hex", cases apart by blank lines, [SECTION] heads, #
// comments.
#pragma once

#include <cstdint>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace esplanade::tb {

struct Response {
  std::string section;                        // ENCRYPT, DECRYPT or what else stood in brackets
  std::map<std::string, std::string> values;  // as written

  bool has(const std::string& name) const { return values.contains(name); }
  const std::string& text(const std::string& name) const {
    const auto it = values.find(name);
    if (it == values.end()) throw std::runtime_error("a case without " + name);
    return it->second;
  }
  std::vector<std::uint8_t> octets(const std::string& name) const {
    const std::string& hex = text(name);
    if (hex.size() % 2 != 0 || hex.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) {
      throw std::runtime_error(name + " is not hexadecimal: " + hex);
    }
    std::vector<std::uint8_t> out;
    for (std::size_t i = 0; i < hex.size(); i += 2) {
      out.push_back(static_cast<std::uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    }
    return out;
  }
};

/// All cases of a file. Throws when there is no such file, no case in it, or a line that it does not know.
inline std::vector<Response> read_responses(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot open " + path + " (package python3-cryptography-vectors)");
  std::vector<Response> out;
  Response now;
  const auto finish = [&] {
    if (!now.values.empty()) out.push_back(now);
    now.values.clear();
  };
  for (std::string line; std::getline(file, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line.empty()) {
      finish();
    } else if (line.front() == '[') {
      finish();
      now.section = line.substr(1, line.find(']') - 1);
    } else if (line.front() != '#') {
      const auto equals = line.find(" =");
      if (equals == std::string::npos) throw std::runtime_error(path + ": " + line);
      const auto value = line.find_first_not_of(' ', equals + 2);
      std::string name = line.substr(0, equals);
      for (char& c : name) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
      if (!now.values.emplace(name, value == std::string::npos ? "" : line.substr(value)).second) {
        throw std::runtime_error(path + ": twice in one case: " + line);
      }
    }
  }
  finish();
  if (out.empty()) throw std::runtime_error("no case in " + path);
  return out;
}

}  // namespace esplanade::tb
