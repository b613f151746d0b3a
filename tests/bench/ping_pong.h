// SPDX-License-Identifier: Apache-2.0
//
// PingPong: pairs of tasks on one CPU, each task in a process of its own, that
// hand a token to and fro through pipes and do nothing else. Every hand-over is
// a context switch. At any time one task of each pair is runnable: with one
// pair a task waits only for its partner to fall asleep, with more of them also
// while the others run.
//
// Not thread-safe; what fails throws std::runtime_error.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/bench/token_pipe.h"

namespace vcpu {

// What tasks took: of their own clocks, so that others that get the CPU
// meanwhile are not in it. The time of a switch always belongs to a task.
struct SwitchCost {
  std::uint64_t cpu_ns = 0;
  std::uint64_t switches = 0;  // Away from one of the tasks.
};

class PingPong {
 public:
  static constexpr std::size_t kMostTasks = 16;

  // Returns when all tasks are there, bound to `cpu` and asleep; `vcpus`: named
  // as QEMU names its vCPU threads.
  PingPong(std::size_t pairs, bool vcpus, int cpu);
  ~PingPong();
  PingPong(const PingPong&) = delete;
  PingPong& operator=(const PingPong&) = delete;

  // Each task takes the token and hands it on `times` times; the sum of all.
  SwitchCost play(std::uint64_t times);

  struct Task {
    pid_t pid = 0;
    pid_t tid = 0;  // The thread that plays, not the first of its process.
  };
  const std::vector<Task>& tasks() const { return tasks_; }

 private:
  struct Shared;  // With the tasks.

  pid_t start_task(std::size_t place, bool vcpu, int cpu) const;
  void play_on(std::size_t place) const;
  void wait_for_all() const;

  Shared* shared_;
  TokenPipe done_;
  std::vector<TokenPipe>
      tokens_;  // By the place of the task that takes from it.
  std::vector<TokenPipe> starts_;
  std::vector<Task> tasks_;
};

}  // namespace vcpu
