// SPDX-License-Identifier: Apache-2.0
//
// VmLimits: how many processes are believed to be VMs. Pure.
//
// Anybody may start processes that look like VMs, as many as the kernel lets
// him. What he cannot choose is the user he does it as. So each ordinary user
// has so many, with so many threads, and the VMs of the system's users, as
// which libvirt, Proxmox and the like run theirs, come before all others where
// the host has more than can be shown.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace vcpu {

struct VmLimits {
  int vms = 4096;           // Of the host.
  int user_vms = 256;       // Of each ordinary user;
  int user_threads = 4096;  // all threads of these.
};

// Root, packages' own users (below 1000, as /etc/login.defs has it; 60000 to
// 64999, as Debian's libvirt-qemu), and those that systemd makes (to 65519).
// No user of a person, of a container that has its own users, nor `nobody`.
bool is_system_user(uid_t uid);

struct VmClaim {  // A process that looks like a VM.
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;
  std::optional<uid_t> owner;  // Empty counts as a user of its own.
  std::uint64_t threads = 0;
};

// In the order of `claims`: empty for a VM that is shown, else the limit that
// it is beyond, as vcpu_series_dropped_total has it. Who came first stays.
std::vector<std::string_view> beyond_limits(const std::vector<VmClaim>& claims,
                                            const VmLimits& limits);

}  // namespace vcpu
