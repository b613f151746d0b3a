// SPDX-License-Identifier: Apache-2.0
//
// RunqueueProgram: collectors/runqueue.bpf.c in the kernel, for as long as this
// lives. The only caller of its skeleton.
//
// open() needs CAP_BPF and CAP_PERFMON, Linux 5.13 with BTF and
// CONFIG_FAIR_GROUP_SCHED; tell() and read() need no right since 5.19. One
// thread.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "collectors/base/result.h"
#include "collectors/bpf/tasks_program.h"
#include "collectors/runqueue.h"

namespace vcpu {

// By thread. Of a record only so many culprits are there as it says.
class AccountRecords {
 public:
  void add(__u32 tid, std::string_view record) {
    records_.push_back({tid, record});
  }
  void sort();
  // Null: there is none. Quickest for the thread next to the one asked before.
  const account_record* find(pid_t tid);
  std::size_t size() const { return records_.size(); }

 private:
  struct Record {
    __u32 tid;
    std::string_view bytes;
  };
  std::vector<Record> records_;
  std::size_t next_ = 0;  // To the one found last.
};

class RunqueueProgram {
 public:
  // An Error says why nothing can be measured here. `tasks`: whose pass over
  // the kernel's tasks this one's joins; null: it makes its own.
  static Result<RunqueueProgram> open(
      bool with_culprits, std::shared_ptr<TasksProgram> tasks = nullptr);

  ~RunqueueProgram();
  RunqueueProgram(RunqueueProgram&& other) noexcept;
  RunqueueProgram& operator=(RunqueueProgram&& other) noexcept;

  // Which pids are VMs' processes and vCPU threads, all of them.
  void tell(const std::vector<pid_t>& pids);

  // The next pass of `tasks` is to bring the accounts.
  void expect();

  // The accounts of the vCPU threads told that have changed since those that
  // were taken(), or all: as that pass brought them, where there was one and
  // all that are told now were told then. Good until the next pass.
  Result<AccountRecords> read();

  // What was read is known now, and need not be brought again.
  void taken();

  // Threads that have an account by their name alone, as of the last pass over
  // all accounts and with those since.
  std::size_t untold() const;

  // Why time stopped by a quota is not told apart; empty: it is.
  const std::string& quota_missing_reason() const { return quota_reason_; }

 private:
  struct State;
  explicit RunqueueProgram(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
  std::string quota_reason_;
};

}  // namespace vcpu
