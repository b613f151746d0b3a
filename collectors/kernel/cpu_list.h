// SPDX-License-Identifier: Apache-2.0
//
// The kernel's list format for CPUs and NUMA nodes, as in
// /sys/devices/system/cpu/online and Cpus_allowed_list.
// https://docs.kernel.org/core-api/kernel-api.html, bitmap_parselist()
//
//   0-3,8,10-11
#pragma once

#include <string_view>
#include <vector>

#include "collectors/base/result.h"

namespace vcpu {

// Ascending, without repeats; empty for an empty text (a node without CPUs) and
// for "(null)" (nohz_full, where it was not asked for).
Result<std::vector<int>> parse_cpu_list(std::string_view text);

}  // namespace vcpu
