// Answers as tables for people: espd's, and what other tables are made with.
#pragma once

#include <string>
#include <vector>

#include "host/espctl/client.h"

namespace esplanade::espctl {

/// Members that are missing or of another type read as 0, "-" or an empty object: a daemon of another version
/// must not stop us. Text is made printable.
std::uint64_t number(const Json& object, const char* key);
std::string text(const Json& object, const char* key);
std::string yes_no(const Json& object, const char* key);
const Json& part(const Json& object, const char* key);

using Row = std::vector<std::string>;
/// Columns as wide as their widest cell, two spaces between.
std::string columns(const std::vector<Row>& rows);
/// One name and its value.
std::string line(std::string_view name, std::string_view value);
/// The numbers among the members, a line each.
std::string counters(const Json& object, const char* prefix);

std::string status_table(const Json& status);
std::string sa_table(const Json& sas);
std::string stats_table(const Json& stats);
std::string policy_table(const Json& policies);
std::string card_table(const Json& card);
std::string cards_table(const Json& card);  // a line for each of several
std::string health_table(const Json& health);
/// The log's newest lines.
std::string event_lines(const Json& events);
/// A screen of `top`: rates between two answers of `stats` that are `seconds` apart.
std::string top_screen(const Json& before, const Json& now, double seconds);

}  // namespace esplanade::espctl
