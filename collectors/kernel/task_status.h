// SPDX-License-Identifier: Apache-2.0
//
// /proc/PID/task/TID/status: what of it concerns scheduling; /proc/PID/status:
// what of it concerns memory, and who runs it.
// https://docs.kernel.org/filesystems/proc.html, table 1-2
//
//   Cpus_allowed_list:	0-3,8
//   voluntary_ctxt_switches:	150
//   nonvoluntary_ctxt_switches:	545
//   Uid:	64055	64055	64055	64055
//   VmRSS:	 2120464 kB
//   VmPTE:	     416 kB
//   VmSwap:	  131072 kB
//   HugetlbPages:	    2048 kB
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "collectors/base/result.h"

namespace vcpu {

struct TaskStatus {
  std::string_view cpus_allowed_list;  // Into the text; see cpu_list.h.
  std::uint64_t voluntary = 0;         // Switches at which it gave the CPU up.
  std::uint64_t involuntary = 0;       // Switches at which it lost the CPU.
};

Result<TaskStatus> parse_task_status(std::string_view text);

// Empty: the kernel does not tell, or the process has given its memory up.
struct ProcessMemory {
  std::optional<std::uint64_t> page_table_bytes;  // Its own; not KVM's.
  std::optional<std::uint64_t> swap_bytes;  // Its anonymous memory in the swap.
  std::optional<std::uint64_t> resident_bytes;  // Without huge pages.
  std::optional<std::uint64_t> hugetlb_bytes;   // Its huge pages.
};

Result<ProcessMemory> parse_process_memory(std::string_view text);

// Who started the process: its real uid, the first of four, which a program
// that is set-uid leaves alone. Empty: not told.
std::optional<std::uint32_t> real_uid(std::string_view status);

}  // namespace vcpu
