// SPDX-License-Identifier: Apache-2.0
//
// memory.stat of a control group of version 1, in bytes.
// https://docs.kernel.org/admin-guide/cgroup-v1/memory.html, section 5.2
//
//   swap 4096
//   total_swap 135168
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "collectors/base/result.h"

namespace vcpu {

struct MemoryStat {
  // Of the group and those below it. Empty: the kernel does not account swap.
  std::optional<std::uint64_t> swap_bytes;
};

Result<MemoryStat> parse_memory_stat(std::string_view text);

}  // namespace vcpu
