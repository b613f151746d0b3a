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

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "collectors/base/result.h"
#include "collectors/runqueue.h"

namespace vcpu {

class RunqueueProgram {
 public:
  // An Error says why nothing can be measured here.
  static Result<RunqueueProgram> open(bool with_culprits);

  ~RunqueueProgram();
  RunqueueProgram(RunqueueProgram&& other) noexcept;
  RunqueueProgram& operator=(RunqueueProgram&& other) noexcept;

  // Which pids are VMs' processes and vCPU threads, all of them.
  void tell(const std::vector<pid_t>& pids);

  // The accounts of the vCPU threads told, by tid.
  Result<std::map<pid_t, account_record>> read();

  // Why time stopped by a quota is not told apart; empty: it is.
  const std::string& quota_missing_reason() const { return quota_reason_; }

 private:
  struct State;
  explicit RunqueueProgram(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
  std::string quota_reason_;
};

}  // namespace vcpu
