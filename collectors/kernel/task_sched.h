// SPDX-License-Identifier: Apache-2.0
//
// /proc/PID/task/TID/sched: the scheduler's debugging view of a thread. Exists
// only on kernels built with CONFIG_SCHED_DEBUG (before 6.15) or CONFIG_PROC_FS
// (since). kernel/sched/debug.c, proc_sched_show_task()
//
//   se.nr_migrations                             :                    7
#pragma once

#include <cstdint>
#include <string_view>

#include "collectors/base/result.h"

namespace vcpu {

struct TaskSched {
  std::uint64_t nr_migrations = 0;  // Moves from one CPU to another.
};

Result<TaskSched> parse_task_sched(std::string_view text);

}  // namespace vcpu
