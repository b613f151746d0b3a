// SPDX-License-Identifier: Apache-2.0
//
// The CPU quota and the CPU weight of a control group, both versions.
// https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
// https://docs.kernel.org/scheduler/sched-bwc.html#management
//
//   version 2               version 1
//   cpu.max: 20000 100000   cpu.cfs_quota_us: 20000, cpu.cfs_period_us: 100000
//   cpu.max: max 100000     cpu.cfs_quota_us: -1
//   cpu.weight: 100         cpu.shares: 1024
#pragma once

#include <optional>
#include <string_view>

#include "collectors/base/result.h"

namespace vcpu {

// CPUs' worth of time in each period; empty: no limit.
using QuotaCores = std::optional<double>;

Result<QuotaCores> parse_cpu_max(std::string_view text);

// `period` is not looked at where `quota` is no limit.
Result<QuotaCores> parse_cfs_quota(std::string_view quota,
                                   std::string_view period);

// Whether a cpu.cfs_quota_us is a limit, so that its period is of interest.
bool is_cfs_limit(std::string_view quota);

// In version 2's measure, in which every group starts with 100.
Result<double> parse_cpu_weight(std::string_view text);

// In the same measure, by the kernel's own rule: 1024 shares are 100.
Result<double> parse_cpu_shares(std::string_view text);

}  // namespace vcpu
