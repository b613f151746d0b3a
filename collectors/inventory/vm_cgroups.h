// SPDX-License-Identifier: Apache-2.0
//
// VmCgroups: the control groups that are a VM's own, as directories to read.
//
// A group is a VM's own by its name (libvirt's scope or directory, Proxmox's
// qemu.slice/ID.scope, a KubeVirt pod's container), or else because the VM is
// the only process in it. What a VM shares with others, another VM among them,
// says nothing about it. Whoever makes groups may make some that nobody else
// can read: such a VM has none, or not all of its figures, and no problem.
//
// Below --path.sysfs/fs/cgroup: version 1's controllers by name, version 2 at
// the top or in `unified`. Read when one is asked for, so a scrape that asks
// nothing pays nothing; and no more than needed, where it is known that a VM is
// still in the groups it was in. One scrape, one thread.
// https://docs.kernel.org/admin-guide/cgroup-v2.html
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "collectors/base/families.h"
#include "collectors/base/result.h"
#include "collectors/base/roots.h"
#include "collectors/vm_id.h"

namespace vcpu {

// Of a group that its owner keeps from us.
inline constexpr std::string_view kGroupRefused =
    "a VM's control group may not be read by the user that the exporter is";

// Says that something of a VM's group cannot be read: why `source` is missing
// where we may not, else a problem.
void say_unread(const Error& error, std::string_view source, Families& said);

struct Cgroup {
  std::string directory;  // Empty: the VM has none of its own.
  int version = 2;
  std::string_view missing_reason = {};  // Of a VM that lives and has none.
  std::string path = {};                 // Within its hierarchy.

  explicit operator bool() const { return !directory.empty(); }
};

struct VmCgroup {
  Cgroup cpu;
  Cgroup memory;
  Cgroup hugetlb;
  Cgroup unified;  // Version 2 whatever its controllers: has the pressures.
  std::string problem;  // Why they are not known, though the VM lives.
};

class VmCgroups {
 public:
  // A group may get another path while its VM stays in it: what is known is
  // read again after so many scrapes.
  static constexpr unsigned kScrapesKnown = 64;

  struct Member {
    VmId vm;
    std::uint64_t groups = 0;  // Is another one after it was moved to other
                               // groups. 0: that is not known.
  };

  explicit VmCgroups(Roots roots) : roots_(std::move(roots)) {}

  // Once per scrape, with all VMs of its snapshot.
  void begin(const std::vector<Member>& vms);

  // Empty groups where there is no such VM or it has ended.
  const VmCgroup& of(const VmId& vm);

 private:
  struct Known {
    std::uint64_t groups = 0;
    bool read = false;
    unsigned scrapes_left = 0;  // In which it need not be read again.
    VmCgroup cgroup;
  };
  struct Own {
    Cgroup group;
    bool by_name = true;  // Which processes are in it did not matter.
  };

  void read_unknown();
  void read(pid_t vm, Known& known);
  void disown_shared();
  Own own(pid_t vm, std::string_view text, std::string_view controller,
          std::string& problem);
  const std::string& unified_top(std::string& problem);

  Roots roots_;
  std::map<VmId, Known> known_;
  bool all_read_ = false;    // In this scrape.
  std::string unified_top_;  // Of this scrape; empty: not looked for.
};

// The group that a VM's group of threads (emulator, vcpu0) belongs to, or the
// one that crun makes in a container's (container).
std::string_view vm_group(std::string_view path);

// Whether a group of that name is a VM's by those who made it.
bool is_named_as_vm(std::string_view path);

// The uid of the Kubernetes pod that a group is in, as kube_pod_info has it;
// empty: in none. Pods are where only root makes groups, at the top of the
// hierarchy: whoever has been given a group may call those below it kubepods,
// so that the pods of a kubelet that begins further down (--cgroup-root) are
// not told either.
std::string pod_uid(std::string_view path);

}  // namespace vcpu
