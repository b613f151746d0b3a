// SPDX-License-Identifier: Apache-2.0
//
// /proc/PID/task/TID/schedstat: three counters of one thread.
// https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat
//
//   2499012345 2504001122 812
#pragma once

#include <cstdint>
#include <string_view>

#include "collectors/base/result.h"

namespace vcpu {

struct TaskSchedstat {
  std::uint64_t run_ns = 0;   // Time on a CPU.
  std::uint64_t wait_ns = 0;  // Time runnable, waiting for a CPU (run_delay).
  std::uint64_t timeslices = 0;  // Times put on a CPU.
};

// What may follow the third number on a newer kernel is ignored.
Result<TaskSchedstat> parse_task_schedstat(std::string_view text);

}  // namespace vcpu
