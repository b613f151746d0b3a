// SPDX-License-Identifier: Apache-2.0
//
// VmTotals: figures of one run of one VM that never decrease, whatever its
// threads do.
//
// A vCPU that is unplugged and plugged again gets a new thread, whose kernel
// counters start at zero: the vCPU's own go on from where they were. Threads of
// a pool come and go: their role's time is a sum of deltas, so that the ended
// ones stay counted.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "collectors/base/flat_map.h"
#include "collectors/snapshot.h"

namespace vcpu {

class VmTotals {
 public:
  using ThreadId = std::pair<pid_t, std::uint64_t>;  // tid, start time.

  // Whether this thread carried the vCPU when it was last seen.
  bool carries(int index, ThreadId thread) const;

  // The vCPU's figures, given those of the thread that carries it now.
  SchedStat vcpu(int index, ThreadId thread, const SchedStat& raw);

  // Counts a thread that is not a vCPU to its role. What it got before the
  // first pass is not counted: an exporter that is started again cannot know
  // what the threads had got that ended before, and a counter that falls, but
  // not to zero, looks like a burst.
  void role(ThreadRole role, ThreadId thread, const SchedStat& raw);

  // Ends a pass: what was not seen in the last few has ended. Returns all
  // roles' times.
  std::vector<RoleTime> finish_pass();

 private:
  struct Vcpu {
    ThreadId thread;
    SchedStat ended;  // Sum over the threads that carried it before.
    SchedStat last;
  };
  struct Seen {
    SchedStat last;
    std::uint64_t pass = 0;
  };
  FlatMap<int, Vcpu> vcpus_;
  FlatMap<ThreadId, Seen> threads_;
  FlatMap<ThreadRole, RoleTime> roles_;
  std::uint64_t pass_ = 0;
};

}  // namespace vcpu
