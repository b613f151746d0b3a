// SPDX-License-Identifier: Apache-2.0
//
// TaskReader by an eBPF iterator: one pass of the kernel over its tasks, where
// /proc takes four files per thread. In a pass that it cannot make, /proc is
// read instead and a source says why.
//
// Besides what /proc tells, it sees waits that still go on.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "collectors/base/roots.h"
#include "collectors/bpf/tasks_program.h"
#include "collectors/inventory/procfs_task_reader.h"
#include "collectors/inventory/task_reader.h"
#include "collectors/inventory/tasks.h"

namespace vcpu {

class BpfTaskReader final : public TaskReader {
 public:
  using Program = std::shared_ptr<TasksProgram>;

  // The program, or the reason why there is none. To be called before rights
  // are given up.
  static Result<Program> open_program(const Roots& roots, bool ebpf);

  BpfTaskReader(Roots roots, Result<Program> program);

  void begin(std::shared_ptr<const Topology> host) override;
  Result<std::vector<Process>> processes(Families& said) override;
  void choose(const std::vector<pid_t>& pids, Families& said) override;
  std::vector<Task> threads(pid_t pid, Families& said) override;
  bool were_whole() const override {
    return missing_reason_.empty() || procfs_.were_whole();
  }
  std::optional<ProcessFacts> facts(pid_t pid) override;
  void report(Families& said) override;

 private:
  struct Record {         // Into what the program read last.
    std::uint64_t place;  // Process, then tid: to sort by without a look there.
    const task_record* task;
    std::string_view mask;  // Words of it, as the kernel has them.
  };

  // False where this pass has to be made by /proc.
  bool read_records();
  std::span<const Record> records_of(pid_t pid) const;
  Task make_task(const Record& record);
  std::shared_ptr<const CpuSet> allowed(std::string_view mask);

  Roots roots_;
  Result<Program> program_;
  ProcfsTaskReader procfs_;
  std::shared_ptr<const Topology> host_;

  // Of this pass.
  std::string missing_reason_;   // Empty: by the iterator.
  std::vector<Record> records_;  // By process, then by tid.
  std::map<std::string_view, std::shared_ptr<const CpuSet>> sets_;
};

}  // namespace vcpu
