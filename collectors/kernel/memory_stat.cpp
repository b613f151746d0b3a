// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/memory_stat.h"

#include "collectors/base/scan.h"

namespace vcpu {

Result<MemoryStat> parse_memory_stat(std::string_view text) {
  const auto line = find_line(text, "total_swap ");
  if (!line) return MemoryStat{};
  const auto bytes = parse_number<std::uint64_t>(trim(*line));
  if (!bytes) return malformed("memory.stat");
  return MemoryStat{*bytes};
}

}  // namespace vcpu
