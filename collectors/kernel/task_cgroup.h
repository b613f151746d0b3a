// SPDX-License-Identifier: Apache-2.0
//
// /proc/PID/cgroup and /proc/PID/task/TID/cgroup: the groups of a thread.
// https://docs.kernel.org/admin-guide/cgroup-v2.html#processes
//
//   4:cpu,cpuacct:/machine.slice/machine-qemu\x2d1\x2dweb.scope/libvirt/vcpu0
//   0::/machine.slice/machine-qemu\x2d1\x2dweb.scope/libvirt/vcpu0
#pragma once

#include <string_view>

namespace vcpu {

// A group, by its path below the root of its hierarchy. Empty: none.
struct CgroupPath {
  std::string_view path;
  int version = 2;
};

// The group that a controller (cpu, memory, hugetlb) has the thread in: version
// 1's where that controller is mounted so, else version 2's.
CgroupPath controller_cgroup(std::string_view text,
                             std::string_view controller);

inline std::string_view cpu_cgroup(std::string_view text) {
  return controller_cgroup(text, "cpu").path;
}

}  // namespace vcpu
