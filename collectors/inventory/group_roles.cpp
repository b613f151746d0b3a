// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/group_roles.h"

#include "collectors/base/file.h"
#include "collectors/kernel/task_cgroup.h"

namespace vcpu {
namespace {

RoleOfThread look(const std::string& directory) {
  const auto groups = read_file(directory + "/cgroup");
  if (!groups) return {};
  return role_by_cgroup(cpu_cgroup(*groups)).value_or(RoleOfThread{});
}

}  // namespace

RoleOfThread GroupRoles::of(ThreadId thread, const std::string& directory) {
  Known& known = threads_[thread];
  known.seen = true;
  // Not all of them at once.
  const auto turn = known.passes + static_cast<unsigned>(thread.first);
  if (known.passes < kAtFirst || turn % kEvery == 0)
    known.role = look(directory);
  ++known.passes;
  return known.role;
}

void GroupRoles::finish_pass() {
  threads_.erase_if([](const auto& one) { return !one.second.seen; });
  for (auto& [thread, known] : threads_) known.seen = false;
}

}  // namespace vcpu
