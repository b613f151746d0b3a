// SPDX-License-Identifier: Apache-2.0
//
// Reading UTF-8 that may be anything: names, files and messages from outside.
// Pure; thread-safe.
#pragma once

#include <cstddef>
#include <string_view>

namespace vcpu {

struct Utf8Char {
  char32_t code;      // U+FFFD where not valid.
  std::size_t bytes;  // How much of the text it is; 1 where not valid.
  bool valid;
};

// The first character of `text`, which must not be empty. Overlong forms,
// surrogates and what lies beyond U+10FFFF are not valid.
Utf8Char first_utf8(std::string_view text);

// What a terminal or a reader of lines may act upon instead of showing it: C0,
// DEL, C1 (U+009B starts an escape sequence), the separators U+2028 and U+2029.
bool is_control(char32_t code);

}  // namespace vcpu
