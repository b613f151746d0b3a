// SPDX-License-Identifier: Apache-2.0
//
// GroupRoles: the roles of a VM's threads whose names tell none, by their
// cgroups (role_by_cgroup() in thread_role.h), which one file each must be read
// for.
//
// A thread is moved into its group when it has begun, hardly ever later: it is
// looked at in its first passes, and then now and then, so that a VMM with a
// hundred nameless threads does not cost a hundred files a scrape. Source:
// /proc/PID/task/TID/cgroup; cgroups(7). One scrape, one thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>

#include "collectors/base/flat_map.h"
#include "collectors/inventory/thread_role.h"

namespace vcpu {

class GroupRoles {
 public:
  using ThreadId = std::pair<pid_t, std::uint64_t>;  // tid, start time.

  static constexpr unsigned kAtFirst = 4;  // Passes in which it is looked at,
  static constexpr unsigned kEvery = 16;   // then every so many.

  // `directory`: the thread's, /proc/PID/task/TID.
  RoleOfThread of(ThreadId thread, const std::string& directory);

  // Ends a pass: who was not asked for has ended.
  void finish_pass();

 private:
  struct Known {
    RoleOfThread role;
    unsigned passes = 0;
    bool seen = false;  // In this pass.
  };
  FlatMap<ThreadId, Known> threads_;
};

}  // namespace vcpu
