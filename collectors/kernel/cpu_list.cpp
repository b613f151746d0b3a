// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/cpu_list.h"

#include <algorithm>

#include "collectors/base/scan.h"

namespace vcpu {
namespace {

// No kernel has more; a larger number is garbage and must not eat our memory.
constexpr int kMaxCpus = 65536;

}  // namespace

Result<std::vector<int>> parse_cpu_list(std::string_view text) {
  text = trim(text);
  std::vector<int> cpus;
  if (text == "(null)") return cpus;
  while (!text.empty()) {
    const auto comma = text.find(',');
    const auto range = text.substr(0, comma);
    const auto dash = range.find('-');
    const auto first = parse_number<int>(range.substr(0, dash));
    const auto last = dash == std::string_view::npos
                          ? first
                          : parse_number<int>(range.substr(dash + 1));
    if (!first || !last || *first < 0 || *last < *first || *last >= kMaxCpus)
      return malformed("CPU list");
    for (int cpu = *first; cpu <= *last; ++cpu) cpus.push_back(cpu);
    if (cpus.size() > kMaxCpus) return malformed("CPU list");
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) return malformed("CPU list");
  }
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  return cpus;
}

}  // namespace vcpu
