// A strict view of one TOML table: every key is asked for by name and type; what was not asked for is an
// error. The first error is kept with file and line, so that a caller reads all keys and checks once.
#pragma once

#include <toml++/toml.h>

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace esplanade {

class TomlReader {
 public:
  /// `file` and `error` outlive the reader; nested readers share them.
  TomlReader(const toml::table& table, std::string where, std::string_view file, std::optional<Error>& error)
      : table_(table), where_(std::move(where)), file_(file), error_(error) {}

  bool has(std::string_view key) const { return table_.contains(key); }
  std::optional<std::string> text(std::string_view key, bool required = false);
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t least, std::int64_t most);
  /// Seconds from an integer or from text like "90s", "15m", "8h", "1d".
  std::optional<std::int64_t> seconds(std::string_view key, std::int64_t least, std::int64_t most);
  /// A string, or an array of strings.
  std::vector<std::string> texts(std::string_view key, bool required = false);
  std::optional<bool> boolean(std::string_view key);
  /// Calls `each` for every table of the array `[[key]]`.
  void array_of_tables(std::string_view key, const std::function<void(TomlReader&)>& each);
  /// Calls `each` for the table `key`, or not at all when it is absent.
  void table(std::string_view key, const std::function<void(TomlReader&)>& each);
  /// Calls `each` for every table inside the table `key`, with its name.
  void tables(std::string_view key, const std::function<void(const std::string&, TomlReader&)>& each);
  /// Keeps the first error; the line is that of `key`, or of the table when the key is absent.
  void fail(std::string_view key, std::string_view why);
  /// Refuses the keys that nobody asked for.
  void done();
  const std::string& where() const { return where_; }
  /// The whole table as one text that does not depend on comments, order or spacing.
  std::string canonical() const;

 private:
  const toml::node* get(std::string_view key, bool required);

  const toml::table& table_;
  std::string where_;
  std::string_view file_;
  std::optional<Error>& error_;
  std::set<std::string, std::less<>> asked_;
};

/// Reads `text`, which the errors call `file`, with `read`: kBadConfig for syntax, wrong types and values, unknown keys.
Status parse_toml(std::string_view text, std::string_view file, const std::function<void(TomlReader&)>& read);

/// The same for the TOML file `path` (at most 1 MiB) with `read`, which asks for every key that it knows. Errors name file and
/// line: kIo, kBadConfig (syntax, wrong types and values, unknown keys).
Status read_toml(const std::string& path, const std::function<void(TomlReader&)>& read);

}  // namespace esplanade
