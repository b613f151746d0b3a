// SPDX-License-Identifier: Apache-2.0
//
// The kernel's files that hold one number and a newline.
#pragma once

#include <cstdint>
#include <string_view>

#include "collectors/base/result.h"
#include "collectors/base/scan.h"

namespace vcpu {

inline Result<std::uint64_t> parse_count(std::string_view text) {
  const auto count = parse_number<std::uint64_t>(trim(text));
  if (!count) return malformed("count");
  return *count;
}

}  // namespace vcpu
