// SPDX-License-Identifier: Apache-2.0
//
// How often the host's CPUs were slowed down because they were too hot.
//
// Each logical CPU counts the events of its core and those of its package, so
// one CPU is read of each core, and one of each package: 5 us each, and no CPU
// is interrupted for it. Intel only.
//
// Source: /sys/devices/system/cpu/cpuN/thermal_throttle,
// Documentation/ABI/testing/sysfs-devices-system-cpu
#pragma once

#include <cstdint>
#include <optional>

#include "collectors/base/result.h"
#include "collectors/base/roots.h"
#include "collectors/hardware/growing_sum.h"
#include "collectors/hardware/packages.h"
#include "collectors/topology.h"

namespace vcpu {

class Throttles {
 public:
  explicit Throttles(Roots roots) : roots_(std::move(roots)) {}

  struct Counts {  // Since boot; never decrease.
    std::uint64_t core = 0;
    std::optional<std::uint64_t>
        package;  // Empty: the CPUs tell of cores only.
  };
  // An error that is_gone(): this kernel or CPU counts none.
  Result<Counts> read(const Topology& host, const PackageOf& package_of);

 private:
  Result<std::map<int, std::uint64_t>> read_of(const CpuSet& cpus,
                                               const char* file) const;

  Roots roots_;
  GrowingSum core_;
  GrowingSum package_;
};

}  // namespace vcpu
