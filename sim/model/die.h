// The end of a model that cannot go on: a broken protocol rule or a kernel that does not answer. The reason
// goes to the log and, as its last words, to the front, which keeps answering the host as a lost card.
#pragma once

#include <string>

namespace esplanade::sim {
[[noreturn]] void die(const std::string& why);
}
