// SPDX-License-Identifier: Apache-2.0
//
// TaskReader: where the scheduler's figures of processes and threads come from.
//
// One pass per scrape: begin(), processes(), threads() of those that matter,
// then report(). What has ended meanwhile is left out in silence; what cannot
// be read or understood is said as a problem, and the rest is complete.
// One scrape, one thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collectors/base/families.h"
#include "collectors/base/file.h"
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
  std::shared_ptr<const CpuSet> allowed;  // Online CPUs only; null: unknown.
};

class TaskReader {
 public:
  virtual ~TaskReader() = default;
  virtual std::string_view name() const = 0;

  virtual void begin(std::shared_ptr<const Topology> host) = 0;

  // Processes that live: no zombies.
  virtual Result<std::vector<Process>> processes(Families& said) = 0;

  // The threads of the process that `directory`, a /proc/PID, was opened for.
  virtual std::vector<Task> threads(const Directory& directory,
                                    Families& said) = 0;

  // Says which of its sources this pass could read, and why not the others.
  virtual void report(Families& said) = 0;
};

}  // namespace vcpu
