// SPDX-License-Identifier: Apache-2.0
#include "collectors/hardware/core_classes.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>

#include "collectors/base/file.h"
#include "collectors/kernel/count.h"
#include "collectors/kernel/cpu_list.h"

namespace vcpu {
namespace {

constexpr std::string_view kPerformance = "performance";
constexpr std::string_view kMiddle = "middle";
constexpr std::string_view kEfficiency = "efficiency";

// Online cores with one of the CPUs of a file.
Result<int> cores_listed(const std::string& path, const Topology& host) {
  std::set<int> cores;
  const auto cpus = read_as(path, parse_cpu_list);
  if (!cpus && !is_gone(cpus.error())) return cpus.error();
  if (!cpus) return 0;
  for (const int cpu : *cpus) {
    const auto core = host.core_of.find(cpu);
    if (core != host.core_of.end()) cores.insert(core->second);
  }
  return static_cast<int>(cores.size());
}

// How much work each core can do, the most capable being 1024.
Result<std::map<int, std::uint64_t>> capacities(const Roots& roots,
                                                const Topology& host) {
  std::map<int, std::uint64_t> of_core;
  for (const auto& [cpu, core] : host.core_of) {
    if (cpu != core) continue;
    const auto capacity = read_as(roots.sys + "/devices/system/cpu/cpu" +
                                      std::to_string(cpu) + "/cpu_capacity",
                                  parse_count);
    if (!capacity && !is_gone(capacity.error())) return capacity.error();
    if (!capacity) return std::map<int, std::uint64_t>{};
    of_core[core] = *capacity;
  }
  return of_core;
}

CoreClasses by_capacity(const std::map<int, std::uint64_t>& capacities) {
  std::set<std::uint64_t> steps;
  for (const auto& [core, capacity] : capacities) steps.insert(capacity);
  CoreClasses classes;
  if (steps.size() < 2) return classes;
  for (const auto& [core, capacity] : capacities) {
    if (capacity == *steps.rbegin()) {
      ++classes[kPerformance];
    } else if (capacity == *steps.begin()) {
      ++classes[kEfficiency];
    } else {
      ++classes[kMiddle];
    }
  }
  return classes;
}

}  // namespace

Result<CoreClasses> read_core_classes(const Roots& roots,
                                      const Topology& host) {
  const auto fast = cores_listed(roots.sys + "/devices/cpu_core/cpus", host);
  if (!fast) return fast.error();
  const auto slow = cores_listed(roots.sys + "/devices/cpu_atom/cpus", host);
  if (!slow) return slow.error();
  if (*fast > 0 && *slow > 0)
    return CoreClasses{{kPerformance, *fast}, {kEfficiency, *slow}};
  const auto told = capacities(roots, host);
  if (!told) return told.error();
  return by_capacity(*told);
}

}  // namespace vcpu
