// SPDX-License-Identifier: Apache-2.0
#include "collectors/hardware/packages.h"

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "collectors/base/file.h"
#include "collectors/base/scan.h"

namespace vcpu {
namespace {

using Package = std::optional<int>;  // Empty: the kernel does not know.

Result<Package> parse_package(std::string_view text) {
  text = trim(text);
  if (text == "-1") return Package{};
  const auto number = parse_number<int>(text);
  if (!number) return malformed("package");
  return Package{*number};
}

PackageOf all_in_one(const CpuSet& cpus) {
  PackageOf package_of;
  for (const int cpu : cpus) package_of[cpu] = 0;
  return package_of;
}

}  // namespace

Result<PackageOf> read_package_of(const Roots& roots, const CpuSet& online) {
  const auto tree = list_names(roots.sys + "/firmware/devicetree/base");
  if (!tree && !is_gone(tree.error())) return tree.error();
  if (tree) return all_in_one(online);
  PackageOf package_of;
  for (const int cpu : online) {
    const auto package =
        read_as(roots.sys + "/devices/system/cpu/cpu" + std::to_string(cpu) +
                    "/topology/physical_package_id",
                parse_package);
    if (!package && !is_gone(package.error())) return package.error();
    if (package && *package) package_of[cpu] = **package;
  }
  return package_of.empty() ? all_in_one(online) : package_of;
}

std::vector<int> packages(const PackageOf& package_of) {
  std::set<int> found;
  for (const auto& [cpu, package] : package_of) found.insert(package);
  return {found.begin(), found.end()};
}

}  // namespace vcpu
