// SPDX-License-Identifier: Apache-2.0
//
// /proc/meminfo: the host's memory.
// https://docs.kernel.org/filesystems/proc.html, section 1.9
//
//   MemTotal:       32798144 kB
//   SwapFree:        8388604 kB
//   PageTables:        62208 kB
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "collectors/base/result.h"

namespace vcpu {

struct Meminfo {
  std::uint64_t total_bytes = 0;  // What the kernel manages.
  // Of these an old kernel may lack some.
  std::optional<std::uint64_t> available_bytes;  // Without swapping.
  std::optional<std::uint64_t> swap_total_bytes;
  std::optional<std::uint64_t> swap_free_bytes;
  std::optional<std::uint64_t> page_tables_bytes;  // Processes'; not KVM's.
};

Result<Meminfo> parse_meminfo(std::string_view text);

}  // namespace vcpu
