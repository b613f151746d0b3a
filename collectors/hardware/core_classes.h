// SPDX-License-Identifier: Apache-2.0
//
// How many of the host's cores are fast and how many slow, where they differ:
// Intel's hybrid CPUs, ARM's big.LITTLE.
//
//   performance  the fastest (Intel: P-cores, "cpu_core")
//   middle       neither
//   efficiency   the slowest (Intel: E-cores, "cpu_atom")
//
// Source: /sys/devices/cpu_core/cpus and /sys/devices/cpu_atom/cpus where the
// kernel has them; else /sys/devices/system/cpu/cpuN/cpu_capacity,
// Documentation/ABI/testing/sysfs-devices-system-cpu
#pragma once

#include <map>
#include <string_view>

#include "collectors/base/result.h"
#include "collectors/base/roots.h"
#include "collectors/topology.h"

namespace vcpu {

using CoreClasses = std::map<std::string_view, int>;  // Class -> cores.

// Empty: all cores are alike, or the kernel does not tell.
Result<CoreClasses> read_core_classes(const Roots& roots, const Topology& host);

}  // namespace vcpu
