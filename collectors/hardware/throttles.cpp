// SPDX-License-Identifier: Apache-2.0
#include "collectors/hardware/throttles.h"

#include <set>
#include <string>

#include "collectors/base/file.h"
#include "collectors/base/scan.h"
#include "collectors/kernel/count.h"

namespace vcpu {
namespace {

CpuSet one_of_each_core(const Topology& host) {
  std::set<int> cpus;
  for (const auto& [cpu, core] : host.core_of) cpus.insert(core);
  return {cpus.begin(), cpus.end()};
}

CpuSet one_of_each_package(const PackageOf& package_of) {
  CpuSet cpus;
  std::set<int> seen;
  for (const auto& [cpu, package] : package_of)
    if (seen.insert(package).second) cpus.push_back(cpu);
  return cpus;
}

}  // namespace

// The file of a CPU that has just gone offline is missing, or empty.
Result<std::map<int, std::uint64_t>> Throttles::read_of(
    const CpuSet& cpus, const char* file) const {
  std::map<int, std::uint64_t> counts;
  Error missing{make_error_code(std::errc::no_such_file_or_directory), file};
  for (const int cpu : cpus) {
    const auto path = roots_.sys + "/devices/system/cpu/cpu" +
                      std::to_string(cpu) + "/thermal_throttle/" + file;
    const auto text = read_file(path);
    if (!text && !is_gone(text.error())) return text.error();
    if (!text) missing = text.error();
    if (!text || trim(*text).empty()) continue;
    const auto count = parse_count(*text);
    if (!count) return malformed(path);
    counts[cpu] = *count;
  }
  if (counts.empty()) return missing;
  return counts;
}

Result<Throttles::Counts> Throttles::read(const Topology& host,
                                          const PackageOf& package_of) {
  const auto core = read_of(one_of_each_core(host), "core_throttle_count");
  if (!core) return core.error();
  Counts counts{core_.see(*core), {}};
  const auto package =
      read_of(one_of_each_package(package_of), "package_throttle_count");
  if (package) {
    counts.package = package_.see(*package);
  } else if (!is_gone(package.error())) {
    return package.error();
  }
  return counts;
}

}  // namespace vcpu
