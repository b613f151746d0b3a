// SPDX-License-Identifier: Apache-2.0
#include "collectors/hardware/packages.h"

#include <set>
#include <string>

#include "collectors/base/file.h"
#include "collectors/kernel/count.h"

namespace vcpu {
namespace {

// The kernel writes -1 where it does not know.
int package(const Roots& roots, int cpu) {
  const auto id =
      read_as(roots.sys + "/devices/system/cpu/cpu" + std::to_string(cpu) +
                  "/topology/physical_package_id",
              parse_count);
  return id ? static_cast<int>(*id) : 0;
}

}  // namespace

PackageOf read_package_of(const Roots& roots, const CpuSet& online) {
  const bool one = exists(roots.sys + "/firmware/devicetree/base");
  PackageOf package_of;
  for (const int cpu : online) package_of[cpu] = one ? 0 : package(roots, cpu);
  return package_of;
}

std::vector<int> packages(const PackageOf& package_of) {
  std::set<int> found;
  for (const auto& [cpu, package] : package_of) found.insert(package);
  return {found.begin(), found.end()};
}

}  // namespace vcpu
