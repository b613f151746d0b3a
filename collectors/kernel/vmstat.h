// SPDX-License-Identifier: Apache-2.0
//
// /proc/vmstat: the kernel's counters of its memory management, since boot.
//
//   pswpin 5321
//   pswpout 18734
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "collectors/base/result.h"

namespace vcpu {

// In pages. Empty: a kernel without these counters.
struct Vmstat {
  std::optional<std::uint64_t> swapped_in;
  std::optional<std::uint64_t> swapped_out;
};

Result<Vmstat> parse_vmstat(std::string_view text);

}  // namespace vcpu
