// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/cpuinfo.h"

#include "collectors/base/scan.h"

namespace vcpu {

Cpuinfo parse_cpuinfo(std::string_view text) {
  Cpuinfo info;
  auto line = find_line(text, "flags");
  if (!line || take_word(*line) != ":") return info;
  info.x86 = true;
  for (auto flag = take_word(*line); !flag.empty(); flag = take_word(*line))
    info.flags.emplace(flag);
  return info;
}

}  // namespace vcpu
