// SPDX-License-Identifier: Apache-2.0
//
// TaskReader: where the scheduler's figures of processes and threads come from.
//
// One pass per scrape: begin(), processes(), choose() those that matter,
// threads() of each of them, then report(). What has ended meanwhile is left
// out in silence; what cannot be read or understood is said as a problem, and
// the rest is complete. One scrape, one thread.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collectors/base/families.h"
#include "collectors/base/result.h"
#include "collectors/snapshot.h"
#include "collectors/topology.h"

namespace vcpu {

struct Process {
  pid_t pid = 0;
  std::string comm;
  std::uint64_t start_ticks = 0;  // With pid: who it is. USER_HZ after boot.
  std::uint64_t num_threads = 0;
  bool kernel_thread = false;
};

// One thread, raw: its figures are the kernel's, and begin with the thread.
struct Task {
  pid_t tid = 0;
  std::string comm;
  std::uint64_t start_ticks = 0;
  std::optional<int> cpu;
  std::optional<SchedStat> sched;
  std::optional<std::uint64_t> waiting_ns;  // The wait that goes on; 0: none.
  std::shared_ptr<const CpuSet> allowed;    // Online CPUs only; null: unknown.
  std::optional<bool> core_scheduled;       // As Thread's.
};

// Of one process, as a pass over its threads tells it.
struct ProcessFacts {
  MemoryUse memory;
  std::uint64_t groups = 0;  // As VmCgroups::Member::groups.
};

// Of one process; one that has more is no VM, or not worth a scrape.
inline constexpr std::size_t kMaxThreads = 8192;

class TaskReader {
 public:
  virtual ~TaskReader() = default;
  virtual void begin(std::shared_ptr<const Topology> host) = 0;

  // Processes that live: no zombies. A reader may leave out those that have one
  // thread only, unless they are the kernel's and work for a VM.
  virtual Result<std::vector<Process>> processes(Families& said) = 0;

  // Of these the threads will be asked for.
  virtual void choose(const std::vector<pid_t>& pids, Families& said) = 0;

  // By ascending tid; empty where the process has ended.
  virtual std::vector<Task> threads(pid_t pid, Families& said) = 0;

  // Whether the last threads() has all that live, each with its CPUs.
  virtual bool were_whole() const { return true; }

  // Empty where the pass does not tell, or the process has ended.
  virtual std::optional<ProcessFacts> facts(pid_t pid) = 0;

  // Says which of its sources this pass could read, and why not the others.
  virtual void report(Families& said) = 0;
};

}  // namespace vcpu
