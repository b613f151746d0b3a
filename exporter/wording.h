// SPDX-License-Identifier: Apache-2.0
//
// How our messages repeat what a person wrote. Pure; thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace vcpu {

inline constexpr std::size_t kMaxQuotedBytes = 80;

// `text` in double quotes, on one line and printable: control characters and
// invalid UTF-8 as \xNN, cut after kMaxQuotedBytes of it.
std::string in_quotes(std::string_view text);

// ` (did you mean "x"?)` with the one of `known` that is nearest to `wrong`;
// empty where none is near.
std::string did_you_mean(std::string_view wrong,
                         const std::vector<std::string>& known);

// "a, b, c"; "none" where there is none.
std::string joined(const std::vector<std::string>& names);

// What would end a line, or a C string, as a blank.
std::string one_line(std::string text);

}  // namespace vcpu
