// SPDX-License-Identifier: Apache-2.0
//
// What a thread of a VMM does, from its name or its cgroup. Pure.
//
// QEMU names its threads only with `-name ...,debug-threads=on`, which libvirt
// and Proxmox set; without, all threads bear the name of the process, and only
// libvirt's cgroups (`vcpu0`, `emulator`, `iothread1`) tell them apart.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "collectors/inventory/vmm.h"
#include "collectors/snapshot.h"

namespace vcpu {

struct RoleOfThread {
  ThreadRole role = ThreadRole::kOther;
  int vcpu = -1;  // Only where role is kVcpu.
};

// By name. Nothing where the name does not tell: a thread that is not the main
// one and still bears the process's name.
std::optional<RoleOfThread> role_by_name(Vmm vmm, std::string_view thread,
                                         std::string_view process,
                                         bool main_thread);

// By the cgroup that schedules it. Nothing where libvirt did not make it.
std::optional<RoleOfThread> role_by_cgroup(std::string_view cgroup);

// The accelerator in the name of a QEMU vCPU thread: "CPU 0/KVM" -> kvm.
std::string accel_by_name(std::string_view thread);

// The process that a kernel thread named vhost-PID works for (before Linux 6.4;
// since, vhost workers are threads of the process itself).
std::optional<pid_t> vhost_owner(std::string_view thread);

}  // namespace vcpu
