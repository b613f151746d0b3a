// SPDX-License-Identifier: Apache-2.0
//
// NumaMapsReader: where the huge pages of processes lie, by
// /proc/PID/numa_maps.
//
// The kernel walks a process's page tables for it and holds the lock of its
// memory meanwhile, which the guest may have to wait for. So a thread of ours
// reads it, never a scrape: one process after the other, each at most once in
// `period`, and none of whose size (/proc/PID/status) more than `longest` is to
// be expected: 7 ms per GiB of small pages, 0.06 ms per GiB of huge ones. None
// again, for as long as it lives, whose walk took more CPU time all the same,
// twice in a row (once may be the doing of a hypervisor below us). Needs
// CAP_SYS_PTRACE for processes of other users.
// Thread-safe; a read that hangs holds up no scrape and no destructor.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string_view>

#include "collectors/base/roots.h"
#include "collectors/kernel/numa_stat.h"
#include "collectors/vm_id.h"

namespace vcpu {

struct NumaMapsOptions {
  using Clock = std::chrono::steady_clock;

  std::chrono::nanoseconds period = std::chrono::minutes(5);
  std::chrono::nanoseconds longest = std::chrono::milliseconds(50);
  std::function<Clock::time_point()> now = Clock::now;
};

class NumaMapsReader {
 public:
  explicit NumaMapsReader(Roots roots, NumaMapsOptions options = {});
  NumaMapsReader(const NumaMapsReader&) = delete;
  NumaMapsReader& operator=(const NumaMapsReader&) = delete;
  ~NumaMapsReader();

  struct Answer {
    NodeBytes huge;                   // As it was read last.
    std::string_view missing_reason;  // Empty where `huge` is there.
  };
  // What is known now; has it read, again where it is old. Never waits. A later
  // process of that pid is another one.
  Answer of(const VmId& process);

  // Forgets processes that nobody has asked for since the last call.
  void forget_unasked();

 private:
  struct State;
  static void read_due(const std::shared_ptr<State>& state);
  const std::shared_ptr<State> state_;
};

}  // namespace vcpu
