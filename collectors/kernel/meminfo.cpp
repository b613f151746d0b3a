// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/meminfo.h"

#include "collectors/kernel/kib_lines.h"

namespace vcpu {

Result<Meminfo> parse_meminfo(std::string_view text) {
  Meminfo info;
  std::optional<std::uint64_t> total;
  const bool good =
      read_kib_lines(text, {{"MemTotal:", &total},
                            {"MemAvailable:", &info.available_bytes},
                            {"SwapTotal:", &info.swap_total_bytes},
                            {"SwapFree:", &info.swap_free_bytes},
                            {"PageTables:", &info.page_tables_bytes}});
  if (!good || !total || *total == 0) return malformed("meminfo");
  info.total_bytes = *total;
  return info;
}

}  // namespace vcpu
