// SPDX-License-Identifier: Apache-2.0
//
// VmQuota: what one run of one VM may have of the CPUs, and how long its quotas
// stopped it.
//
// Its groups are its own, libvirt's one named `libvirt` in that, and libvirt's
// groups of threads below: vcpuN, emulator, iothreadN. Each can have a quota,
// and counts only what its own quota stopped.
//
// Few files are read per scrape. The time stopped only of groups that have, or
// had, a quota. The quotas, and the weight, only when they are to be looked at:
// of the VM's own groups and its first vCPU's (libvirt sets those of all vCPUs
// alike, so that a change there has all looked at), and of a few others in
// turn, so that a quota on any of them is found within a round. Groups are
// listed anew where their number is another one: a directory has a link for
// each directory in it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "collectors/base/families.h"
#include "collectors/base/kept_files.h"
#include "collectors/inventory/vm_cgroups.h"
#include "collectors/kernel/cpu_max.h"
#include "collectors/kernel/cpu_stat.h"

namespace vcpu {

class VmQuota {
 public:
  static constexpr unsigned kLooksPerRound = 8;
  static constexpr const char* kSource = "vm_cpu_cgroup";

  // Once per scrape. `own`: the VM's own group with the CPU controller;
  // `vcpus`: how many it has; `look`: whether it is time to look for quotas,
  // which is done of other groups or vCPUs at once. What is read every time is
  // `kept` open. What cannot be read is a problem of `said`, what may not be
  // read the reason of kSource.
  void read(const Cgroup& own, std::size_t vcpus, bool look, KeptFiles& kept,
            Families& said);

  // False where the group is there and knows no quota.
  bool has_controller() const { return has_controller_; }

  // As parse_cpu_weight().
  std::optional<double> weight() const { return weight_; }

  // CPUs' worth of time that the VM may have; empty: no limit. The least of
  // its own groups' quotas and the sum over the vCPUs' groups, of which none
  // counts for more than one CPU.
  QuotaCores cores() const;

  // Sum over the groups since the first read(), those that have gone included.
  // Empty where none has had a quota.
  std::optional<CpuStat> throttled() const;

  // What the vCPU's group says, and those of its name before it. Empty where it
  // has had no quota.
  std::optional<std::uint64_t> throttled_ns(int vcpu) const;

 private:
  struct Group {
    std::string directory = {};
    bool own = false;                  // Not libvirt's for some of the threads.
    std::optional<int> vcpu = {};      // Whose it is.
    QuotaCores cores = {};             // As last looked at.
    bool limited = false;              // Has a quota, or had one.
    bool gone = false;                 // When last looked at.
    bool unread = false;               // Then it could not be read.
    std::optional<CpuStat> last = {};  // Empty: what is there is no news.
  };

  void list(const Cgroup& own, KeptFiles& kept, Families& said);
  void read_weight(Families& said);
  std::uintmax_t links() const;
  void look_where_due(Families& said);
  void look(Group& group, Families& said);
  void count(Group& group, KeptFiles& kept, Families& said);
  QuotaCores cores_of_vcpus() const;

  Cgroup own_;
  std::size_t vcpu_count_ = 0;
  std::size_t turn_ = 0;
  std::uintmax_t links_ = 0;  // When the groups were listed.
  bool has_controller_ = true;
  bool listed_ = false;  // All groups that there are, when last listed.
  bool weight_unread_ = false;
  std::optional<double> weight_;
  std::vector<Group> groups_;  // The own ones first.
  bool limited_ = false;       // Any of them, ever.
  CpuStat total_;
  std::map<int, std::uint64_t> vcpu_ns_;
};

}  // namespace vcpu
