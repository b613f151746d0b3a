// SPDX-License-Identifier: Apache-2.0
//
// In which package (socket) each CPU is.
//
// Source: /sys/devices/system/cpu/cpuN/topology/physical_package_id,
// https://docs.kernel.org/admin-guide/cputopology.html
#pragma once

#include <map>
#include <vector>

#include "collectors/base/result.h"
#include "collectors/base/roots.h"
#include "collectors/topology.h"

namespace vcpu {

using PackageOf = std::map<int, int>;  // Logical CPU -> package.

// All CPUs are in package 0 where nothing tells of any, and on a machine that
// is described by a device tree: kernels before 6.0 call its clusters packages,
// and the boards that have two sockets are described by ACPI. A CPU of which
// alone nothing tells has just gone offline, and is left out.
Result<PackageOf> read_package_of(const Roots& roots, const CpuSet& online);

std::vector<int> packages(const PackageOf& package_of);  // Ascending.

}  // namespace vcpu
