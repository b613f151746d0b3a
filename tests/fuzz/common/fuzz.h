// SPDX-License-Identifier: Apache-2.0
//
// What the fuzz targets have in common. A target is one program, fuzz_NAME from
// NAME.cpp, and a table of looks: what to do with a text, and what must hold
// whatever the text is. The first line of an input names the look, so that an
// input can be read:
//
//   task_schedstat
//   2499012345 2504001122 812
//
// libFuzzer keeps an input that ends the program: by a sanitizer, by an
// exception, by a hang, or by expect(). https://llvm.org/docs/LibFuzzer.html
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

namespace vcpu::fuzz {

struct Look {
  std::string_view name;
  void (*at)(std::string_view text);
};

// A target's own.
std::span<const Look> looks();

inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

// Whether the number stands in the text: what was parsed is what was written.
inline bool stands_in(std::uint64_t number, std::string_view text) {
  return text.find(std::to_string(number)) != std::string_view::npos;
}

// Whether `part` looks into `whole`, and not beside it.
inline bool lies_in(std::string_view part, std::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() &&
          part.data() + part.size() <= whole.data() + whole.size());
}

// One line that a terminal shows as it is: what our messages have to be.
inline bool is_one_line(std::string_view text) {
  return text.find_first_of(std::string_view("\n\r\0\x1b", 4)) ==
         std::string_view::npos;
}

}  // namespace vcpu::fuzz
