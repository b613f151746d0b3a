// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/vmstat.h"

#include "collectors/base/scan.h"

namespace vcpu {

Result<Vmstat> parse_vmstat(std::string_view text) {
  Vmstat stat;
  while (!text.empty()) {
    auto line = take_line(text);
    const auto key = take_word(line);
    if (key != "pswpin" && key != "pswpout") continue;
    auto& pages = key == "pswpin" ? stat.swapped_in : stat.swapped_out;
    pages = parse_number<std::uint64_t>(trim(line));
    if (!pages) return malformed("vmstat");
  }
  return stat;
}

}  // namespace vcpu
