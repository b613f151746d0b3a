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

// Path of the group that schedules the thread's CPU: version 1's `cpu`
// controller where that is mounted, else version 2's. Empty: none.
std::string_view cpu_cgroup(std::string_view text);

}  // namespace vcpu
