// SPDX-License-Identifier: Apache-2.0
//
// cpu.stat of a control group: what its CPU quota did to it, both versions.
// Neither counts what the groups below it, or above it, were stopped.
// https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
// https://docs.kernel.org/scheduler/sched-bwc.html#statistics
//
//   version 2                 version 1
//   usage_usec 5120338        nr_periods 812
//   nr_periods 812            nr_throttled 640
//   nr_throttled 640          throttled_time 44812345678
//   throttled_usec 44812345
#pragma once

#include <cstdint>
#include <string_view>

#include "collectors/base/result.h"

namespace vcpu {

struct CpuStat {
  std::uint64_t periods = 0;            // That passed while it had work.
  std::uint64_t throttled_periods = 0;  // In which it used its quota up.
  std::uint64_t throttled_ns = 0;       // Stopped until the period's end.

  bool operator==(const CpuStat&) const = default;
};

// Malformed where one of the three is missing: a group without the controller
// has a cpu.stat as well, in version 2.
Result<CpuStat> parse_cpu_stat(std::string_view text);

}  // namespace vcpu
