// SPDX-License-Identifier: Apache-2.0
//
// VmCgroups: the control groups that are a VM's own, as directories to read.
//
// A group is a VM's own by its name (libvirt's scope or directory, Proxmox's
// qemu.slice/ID.scope, a KubeVirt pod's container), or else because the VM is
// the only process in it. What a VM shares with others says nothing about it.
//
// Below --path.sysfs/fs/cgroup: version 1's controllers by name, version 2 at
// the top or in `unified`. Read at the first question of a scrape, so a scrape
// that asks nothing pays nothing. One scrape, one thread.
// https://docs.kernel.org/admin-guide/cgroup-v2.html
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "collectors/base/roots.h"

namespace vcpu {

struct Cgroup {
  std::string directory;  // Empty: the VM has none of its own.
  int version = 2;

  explicit operator bool() const { return !directory.empty(); }
};

struct VmCgroup {
  Cgroup cpu;
  Cgroup memory;
  Cgroup hugetlb;
  Cgroup unified;  // Version 2 whatever its controllers: has the pressures.
};

class VmCgroups {
 public:
  // `vms`: the processes of all VMs of a snapshot.
  VmCgroups(Roots roots, std::vector<pid_t> vms);

  // Empty groups where it is none of `vms` or has ended.
  const VmCgroup& of(pid_t vm);

 private:
  void read();
  VmCgroup read(pid_t vm) const;
  Cgroup own(pid_t vm, std::string_view text,
             std::string_view controller) const;

  Roots roots_;
  std::vector<pid_t> vms_;
  bool read_ = false;
  std::map<pid_t, VmCgroup> groups_;
};

// The group that a VM's group of threads (emulator, vcpu0) belongs to.
std::string_view vm_group(std::string_view path);

// Whether a group of that name is a VM's by those who made it.
bool is_named_as_vm(std::string_view path);

}  // namespace vcpu
