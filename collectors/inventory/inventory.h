// SPDX-License-Identifier: Apache-2.0
//
// Inventory: finds the VMs of this host and takes the Snapshot of a scrape.
//
//   processes --> those with two threads or more --> command line --> a VMM?
//             --> as many as are believed --> its threads, with roles
//             --> totals that never decrease
//
// Everything comes from the kernel; libvirt, where there is one, adds what it
// knows about a VM that the kernel showed. Nothing here waits for a VM or for
// libvirt. One scrape, one thread.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collectors/base/families.h"
#include "collectors/base/flat_map.h"
#include "collectors/base/result.h"
#include "collectors/base/roots.h"
#include "collectors/base/shown_name.h"
#include "collectors/inventory/command_lines.h"
#include "collectors/inventory/domain_names.h"
#include "collectors/inventory/group_roles.h"
#include "collectors/inventory/task_reader.h"
#include "collectors/inventory/thread_role.h"
#include "collectors/inventory/vm_limits.h"
#include "collectors/inventory/vm_totals.h"
#include "collectors/inventory/vmm.h"
#include "collectors/snapshot.h"

namespace vcpu {

class Inventory {
 public:
  // A VM's pid -> the kernel threads that work for it (before Linux 6.4).
  using VhostThreads = std::map<pid_t, std::vector<pid_t>>;
  using LibvirtSource = std::function<std::shared_ptr<const LibvirtView>()>;

  // How long a scrape waits for the command lines of new processes.
  static constexpr std::chrono::milliseconds kPatience{20};

  Inventory(Roots roots, std::unique_ptr<TaskReader> tasks,
            CommandLines command_lines, LibvirtSource libvirt,
            std::chrono::milliseconds patience = kPatience,
            VmLimits limits = {}, ShownName shown_name = {});

  // An Error only where there is no telling what runs (no /proc, no topology).
  // Sources and problems of parts are said to `said`.
  Result<Snapshot> take(Families& said);

 private:
  struct Instance {  // One run of one VM: a process.
    VmIdentity identity;
    std::string shown_name;  // The identity's name and uuid, as they are
    std::string shown_uuid;  // shown.
    CommandLines::Key key;
    std::optional<uid_t> owner;
    std::uint64_t num_threads = 0;
    bool shown = true;  // Not beyond a limit.
    bool whole = true;  // All its threads could be read in this pass.
    double start_time_seconds = 0;
    VmTotals totals;
    GroupRoles group_roles;
    int missed = 0;  // Passes in which it was not to be seen.
    std::uint64_t major_faults = 0;
    std::string domain;                  // What it was called last,
    LabelTexts texts;                    // and of that name:
    LabelSet labels;                     // its labels,
    FlatMap<int, LabelSet> vcpu_labels;  // and its vCPUs'.

    void be_called(const std::string& name);
    const LabelSet& labels_of(int vcpu);
    MemoryUse raise(MemoryUse now);  // To what was seen before.
  };

  struct TaskWithRole {
    const Task* task;
    RoleOfThread role;
  };

  struct Alive {  // An instance at this scrape.
    Instance* instance;
    std::vector<Task> tasks;
    std::optional<ProcessFacts> facts;
  };

  void identify(Instance& instance, VmIdentity identity, pid_t pid) const;
  void find_instances(const std::vector<Process>& processes, Families& said);
  void leave_out(const std::vector<Process>& processes, Families& said);
  void choose_tasks(Families& said);
  std::optional<Instance> make_instance(const CommandLines::Key& key,
                                        VmIdentity identity, Families& said);
  void keep_unseen(std::map<pid_t, Instance>& alive);
  std::string path_of(pid_t pid) const;
  Result<std::optional<uid_t>> owner_of(pid_t pid) const;
  Result<std::optional<std::uint64_t>> boot_time();
  std::vector<Task> read_tasks(Instance& instance, const VhostThreads& vhosts,
                               Families& said);
  std::vector<std::string> name(const std::vector<Alive>& alive);
  static void leave_out_namesakes(const VmTotals& totals,
                                  std::vector<TaskWithRole>& tasks);
  Vm make_vm(Instance& instance, const std::string& domain,
             const std::vector<Task>& tasks);
  static Thread make_thread(Instance& instance, const TaskWithRole& known);
  RoleOfThread role_of(Instance& instance, const Task& task) const;

  Roots roots_;
  std::unique_ptr<TaskReader> tasks_;
  CommandLines command_lines_;
  LibvirtSource libvirt_;
  std::chrono::milliseconds patience_;
  TopologyReader topology_;
  VmLimits limits_;
  ShownName shown_name_;

  unsigned pass_ = 0;
  std::optional<std::uint64_t> boot_time_;  // Of this pass, once it is asked.
  std::shared_ptr<VmCgroups> cgroups_;      // Each snapshot's.
  DomainNames names_;
  std::map<pid_t, Instance> instances_;
};

}  // namespace vcpu
