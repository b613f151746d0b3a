// SPDX-License-Identifier: Apache-2.0
//
// TaskReader by /proc: four files per thread, opened and closed on each pass.
//
//   stat       name, CPU it last ran on, start time
//   schedstat  run time, wait time, dispatches
//   status     voluntary and involuntary switches, allowed CPUs
//   sched      migrations
//
// None of them takes the process's mmap_lock, so none can wait for a guest.
#pragma once

#include <map>
#include <set>

#include "collectors/base/file.h"
#include "collectors/base/roots.h"
#include "collectors/inventory/task_reader.h"

namespace vcpu {

// Why not all processes are to be seen there; empty: they are.
std::string hidden_processes_reason(const Roots& roots);

class ProcfsTaskReader final : public TaskReader {
 public:
  explicit ProcfsTaskReader(Roots roots);

  void begin(std::shared_ptr<const Topology> host) override;
  Result<std::vector<Process>> processes(Families& said) override;
  void choose(const std::vector<pid_t>& /*pids*/, Families& /*said*/) override {
  }
  std::vector<Task> threads(pid_t pid, Families& said) override;
  bool were_whole() const override {
    return listed_ && !stat_.failed && !status_.failed;
  }
  std::optional<ProcessFacts> facts(pid_t /*pid*/) override {
    return std::nullopt;
  }
  void report(Families& said) override;

 private:
  // How one of the per-thread files fared in this pass.
  struct Source {
    explicit Source(const char* name) : file(name) {}

    const char* file;
    bool read = false;
    bool refused = false;  // For some thread, whatever others answered.
    bool failed = false;   // For some thread of the process that is read.
    std::string missing_reason;
  };

  static std::string reason_of(const Source& source);
  std::optional<Process> process(pid_t pid, Families& said);
  bool lives(const Directory& directory, pid_t tid);
  std::optional<Task> task(const Directory& directory, pid_t tid,
                           Families& said);
  template <typename Parsed>
  std::optional<Parsed> read(const Directory& directory, pid_t tid,
                             Source& source,
                             Result<Parsed> (*parse)(std::string_view),
                             Families& said);
  std::shared_ptr<const CpuSet> allowed(std::string_view cpu_list);

  Roots roots_;
  std::shared_ptr<const Topology> host_;
  std::string buffer_;
  Source stat_{"stat"};
  Source schedstat_{"schedstat"};
  Source status_{"status"};
  Source sched_{"sched"};

  unsigned pass_ = 0;
  bool listed_ = true;   // Which threads the process has.
  bool hidden_ = false;  // Some process was not ours to see in this pass.
  std::map<pid_t, Process> kernel_threads_;
  // Of this pass. Equal masks share one set: thousands of vCPUs have few.
  std::map<std::string, std::shared_ptr<const CpuSet>, std::less<>> sets_;
};

}  // namespace vcpu
