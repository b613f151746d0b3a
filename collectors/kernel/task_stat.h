// SPDX-License-Identifier: Apache-2.0
//
// /proc/PID/stat and /proc/PID/task/TID/stat: one line about a process or a
// thread. https://docs.kernel.org/filesystems/proc.html, table 1-4
//
//   4242 (CPU 0/KVM) S 1 4240 4240 0 -1 4194624 ... 17 1 0 0 0 0 0 ...
//
// The name may hold blanks, parentheses and newlines: it ends at the last ")".
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "collectors/base/result.h"

namespace vcpu {

struct TaskStat {
  std::string comm;  // Name of the thread, at most 15 bytes, any bytes.
  char state = '?';  // R, S, D, T, t, Z, X, I.
  pid_t ppid = 0;
  std::uint64_t flags = 0;         // PF_* of include/linux/sched.h.
  std::uint64_t num_threads = 0;   // Of the process.
  std::uint64_t start_ticks = 0;   // After boot, in USER_HZ ticks.
  int cpu = 0;                     // Logical CPU it last ran on.
  std::uint64_t major_faults = 0;  // Page faults that waited for a disk.

  bool ended() const { return state == 'Z' || state == 'X'; }
  bool kernel_thread() const;  // PF_KTHREAD.
};

Result<TaskStat> parse_task_stat(std::string_view text);

}  // namespace vcpu
