#include "common/config/toml_reader.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <sstream>

#include "common/base/log.h"
#include "common/base/secret.h"

namespace esplanade {

const toml::node* TomlReader::get(std::string_view key, bool required) {
  asked_.emplace(key);
  const toml::node* node = table_.get(key);
  if (node == nullptr && required) fail(key, "is missing");
  return node;
}

void TomlReader::fail(std::string_view key, std::string_view why) {
  if (error_) return;
  const toml::node* node = table_.get(key);
  const auto line = (node != nullptr ? node->source() : table_.source()).begin.line;
  const std::string name = where_.empty() ? std::string(key) : fmt::format("{}.{}", where_, key);
  error_ = Error{Errc::kBadConfig, fmt::format("{}:{}: {}: {}", file_, line, printable(name), why)};
}

std::optional<std::string> TomlReader::text(std::string_view key, bool required) {
  const toml::node* node = get(key, required);
  if (node == nullptr) return std::nullopt;
  if (auto value = node->value_exact<std::string>()) return value;
  fail(key, "is not a string");
  return std::nullopt;
}

std::optional<std::int64_t> TomlReader::integer(std::string_view key, std::int64_t least, std::int64_t most) {
  const toml::node* node = get(key, false);
  if (node == nullptr) return std::nullopt;
  auto value = node->value_exact<std::int64_t>();
  if (value && *value >= least && *value <= most) return value;
  fail(key, fmt::format("is not an integer from {} to {}", least, most));
  return std::nullopt;
}

std::optional<std::int64_t> TomlReader::seconds(std::string_view key, std::int64_t least, std::int64_t most) {
  const toml::node* node = get(key, false);
  if (node == nullptr) return std::nullopt;
  auto value = node->value_exact<std::int64_t>();
  if (auto text = node->value_exact<std::string>()) {
    std::int64_t number = 0;
    auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), number);
    const std::string_view unit(end, static_cast<std::size_t>(text->data() + text->size() - end));
    const std::int64_t scale = unit == "s" || unit.empty() ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : unit == "d" ? 86400 : 0;
    if (ec == std::errc() && scale != 0 && number >= 0 && number <= most) value = number * scale;
  }
  if (value && *value >= least && *value <= most) return value;
  fail(key, fmt::format("is not a time from {} to {} seconds, like 3600, \"15m\" or \"8h\"", least, most));
  return std::nullopt;
}

std::vector<std::string> TomlReader::texts(std::string_view key, bool required) {
  const toml::node* node = get(key, required);
  if (node == nullptr) return {};
  if (auto value = node->value_exact<std::string>()) return {*value};
  std::vector<std::string> out;
  if (const toml::array* array = node->as_array()) {
    for (const toml::node& item : *array) {
      auto value = item.value_exact<std::string>();
      if (!value) break;
      out.push_back(*value);
    }
    if (!out.empty() && out.size() == array->size()) return out;
  }
  fail(key, "is not a string or an array of strings");
  return {};
}

std::optional<bool> TomlReader::boolean(std::string_view key) {
  const toml::node* node = get(key, false);
  if (node == nullptr) return std::nullopt;
  if (auto value = node->value_exact<bool>()) return value;
  fail(key, "is neither true nor false");
  return std::nullopt;
}

void TomlReader::array_of_tables(std::string_view key, const std::function<void(TomlReader&)>& each) {
  const toml::node* node = get(key, false);
  if (node == nullptr) return;
  const toml::array* array = node->as_array();
  if (array == nullptr || array->empty() || !array->is_homogeneous<toml::table>()) return fail(key, "is not an array of tables");
  for (std::size_t i = 0; i < array->size(); ++i) {
    TomlReader reader(*(*array)[i].as_table(), fmt::format("{}[{}]", key, i), file_, error_);
    each(reader);
    reader.done();
  }
}

void TomlReader::table(std::string_view key, const std::function<void(TomlReader&)>& each) {
  const toml::node* node = get(key, false);
  if (node == nullptr) return;
  const toml::table* inner = node->as_table();
  if (inner == nullptr) return fail(key, "is not a table");
  TomlReader reader(*inner, where_.empty() ? std::string(key) : fmt::format("{}.{}", where_, key), file_, error_);
  each(reader);
  reader.done();
}

void TomlReader::tables(std::string_view key, const std::function<void(const std::string&, TomlReader&)>& each) {
  table(key, [&](TomlReader& outer) {
    for (auto&& [name, node] : outer.table_) {
      const std::string text(name.str());
      outer.table(text, [&](TomlReader& inner) { each(text, inner); });
    }
  });
}

std::string TomlReader::canonical() const {
  std::ostringstream out;
  out << toml::json_formatter(table_);  // tables are sorted by key
  return out.str();
}

void TomlReader::done() {
  for (auto&& [name, node] : table_)
    if (!asked_.contains(name.str())) fail(name.str(), "is not a known key here");
}

namespace {
constexpr std::size_t kMaxFile = 1 << 20;

Result<std::string> read_text(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  if (!file) return Error{Errc::kIo, fmt::format("{}: {}", path, std::strerror(errno))};
  std::string text(kMaxFile + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) return Error{Errc::kIo, fmt::format("{}: {}", path, std::strerror(errno))};
  if (text.size() > kMaxFile) return Error{Errc::kBadConfig, fmt::format("{}: larger than 1 MiB", path)};
  return text;
}
}  // namespace

Status parse_toml(std::string_view text, std::string_view file, const std::function<void(TomlReader&)>& read) {
  std::optional<Error> error;
  try {
    const toml::table table = toml::parse(text, file);
    TomlReader reader(table, "", file, error);
    read(reader);
    reader.done();
  } catch (const toml::parse_error& wrong) {
    // The library's own words may repeat the text, which may be a key.
    const auto at = wrong.source().begin;
    error = Error{Errc::kBadConfig, fmt::format("{}:{}:{}: not TOML: a key, value or bracket is malformed here", file, at.line, at.column)};
  }
  if (error) return *error;
  return ok();
}

Status read_toml(const std::string& path, const std::function<void(TomlReader&)>& read) {
  ESPLANADE_TRY(text, read_text(path));
  const Status parsed = parse_toml(text, path, read);
  wipe(MutableBytes(reinterpret_cast<Byte*>(text.data()), text.size()));
  return parsed;
}

}  // namespace esplanade
