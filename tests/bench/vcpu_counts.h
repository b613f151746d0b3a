// SPDX-License-Identifier: Apache-2.0
//
// Whether a program really did what its price was measured for: each task's
// account beside what the kernel itself counts.
//
// Times in nanoseconds. What fails throws std::runtime_error.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "collectors/bpf/runqueue_program.h"
#include "tests/bench/ping_pong.h"

namespace vcpu {

struct VcpuCounts {              // Of one task.
  std::uint64_t dispatches = 0;  // /proc/PID/task/TID/schedstat
  std::uint64_t waits = 0;       // The rest: its account.
  std::uint64_t waited_ns = 0;
  std::uint64_t charged_ns = 0;

  bool operator==(const VcpuCounts&) const = default;
};

// In the order of game.tasks(), as soon as none of them moves any more: one
// that is done may still be on its way to sleep. The program was told of them.
std::vector<VcpuCounts> counts_at_rest(const PingPong& game,
                                       RunqueueProgram& program);

// What is wrong with an account after a game; empty: nothing.
std::string complaint(const VcpuCounts& before, const VcpuCounts& after,
                      bool with_culprits);

}  // namespace vcpu
