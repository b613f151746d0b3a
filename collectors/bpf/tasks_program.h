// SPDX-License-Identifier: Apache-2.0
//
// TasksProgram: collectors/inventory/tasks.bpf.c in the kernel, for as long as
// this lives. The only caller of its skeleton.
//
// open() needs CAP_BPF and CAP_PERFMON and Linux 5.8 with BTF; choose() and
// read() need no right since 5.19. Never waits. One thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "collectors/base/result.h"
#include "collectors/bpf/iterator.h"

namespace vcpu {

class TasksProgram {
 public:
  // An Error says why tasks cannot be read this way here.
  static Result<TasksProgram> open();

  ~TasksProgram();
  TasksProgram(TasksProgram&& other) noexcept;
  TasksProgram& operator=(TasksProgram&& other) noexcept;

  // Whose threads read() gives besides their first.
  void choose(const std::vector<pid_t>& pids);
  bool is_chosen(pid_t pid) const;

  // One pass: records (records.h) of collectors/inventory/tasks.h, by ascending
  // tid, and those of the program that has joined.
  Result<void> read();

  // What the last read() gave, and how many have been good.
  const IteratorPass& last() const { return last_; }
  std::uint64_t passes() const { return passes_; }

  // Another iterator over tasks that looks at each task in the same pass, by
  // its descriptor; false where the kernel has none of it. Needs CAP_BPF before
  // Linux 5.19.
  bool join(int program_fd);
  void leave();

 private:
  struct State;
  explicit TasksProgram(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
  IteratorPass last_;
  std::uint64_t passes_ = 0;
};

}  // namespace vcpu
