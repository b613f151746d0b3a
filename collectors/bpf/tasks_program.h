// SPDX-License-Identifier: Apache-2.0
//
// TasksProgram: collectors/inventory/tasks.bpf.c in the kernel, for as long as
// this lives. The only caller of its skeleton.
//
// open() needs CAP_BPF and CAP_PERFMON and Linux 5.8 with BTF; choose() and
// read() need no right since 5.19. Never waits. One thread.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string_view>
#include <vector>

#include "collectors/base/result.h"

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

  // One pass: records of collectors/inventory/tasks.h, back to back, by
  // ascending tid. Valid until the next read().
  Result<std::string_view> read();

 private:
  struct State;
  explicit TasksProgram(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace vcpu
