// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/inventory.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "collectors/base/file.h"
#include "collectors/base/label_text.h"
#include "collectors/base/ticks.h"
#include "collectors/inventory/thread_role.h"
#include "collectors/kernel/proc_stat.h"
#include "collectors/kernel/task_cgroup.h"
#include "collectors/kernel/task_status.h"

namespace vcpu {
namespace {

constexpr auto kUnknownUser = static_cast<uid_t>(-1);

// A VMM has a thread besides its vCPU's; a kernel thread never becomes one.
bool may_be_vmm(const Process& process) {
  return !process.kernel_thread && process.num_threads >= 2;
}

Inventory::VhostThreads vhost_threads(const std::vector<Process>& processes) {
  Inventory::VhostThreads of_owner;
  for (const Process& process : processes) {
    if (!process.kernel_thread) continue;
    if (const auto owner = vhost_owner(process.comm))
      of_owner[*owner].push_back(process.pid);
  }
  return of_owner;
}

std::string default_name(const VmIdentity& identity, pid_t pid) {
  return std::string(to_string(identity.vmm)) + "-" + std::to_string(pid);
}

VmIdentity named(VmIdentity identity, pid_t pid) {
  if (identity.name.empty()) identity.name = default_name(identity, pid);
  return identity;
}

// Whether these are the threads of a process that got the pid later.
bool of_another(const std::vector<Task>& tasks,
                const CommandLines::Key& process) {
  return std::any_of(tasks.begin(), tasks.end(), [&](const Task& task) {
    return task.tid == process.pid && task.start_ticks != process.start_ticks;
  });
}

struct DomainOfVm {
  const LibvirtDomain* domain;
  Vm* vm = nullptr;
};

bool comes_before(const Vm& one, const Vm& other) {
  const auto rank = [](const Vm& vm) {
    return std::tuple(!is_system_user(vm.uid.value_or(kUnknownUser)),
                      vm.start_ticks, vm.pid);
  };
  return rank(one) < rank(other);
}

// By name and uuid, and each domain to one VM: anybody can start a process with
// those of another's.
void add_libvirt(const LibvirtView& libvirt, std::vector<Vm>& vms) {
  std::map<std::string_view, DomainOfVm> domains;
  for (const auto& domain : libvirt.domains)
    domains.emplace(domain.uuid, DomainOfVm{&domain});
  for (Vm& vm : vms) {
    const auto known = domains.find(vm.uuid);
    if (known == domains.end()) continue;
    auto& [domain, taken] = known->second;
    if (label_text(domain->name) != vm.name) continue;
    if (taken == nullptr || comes_before(vm, *taken)) taken = &vm;
  }
  for (const auto& [uuid, one] : domains)
    if (one.vm != nullptr) one.vm->libvirt = one.domain;
}

}  // namespace

Inventory::Inventory(Roots roots, std::unique_ptr<TaskReader> tasks,
                     CommandLines command_lines, LibvirtSource libvirt,
                     std::chrono::milliseconds patience, VmLimits limits,
                     ShownName shown_name)
    : roots_(std::move(roots)),
      tasks_(std::move(tasks)),
      command_lines_(std::move(command_lines)),
      libvirt_(std::move(libvirt)),
      patience_(patience),
      topology_(roots_),
      limits_(limits),
      shown_name_(std::move(shown_name)),
      cgroups_(std::make_shared<VmCgroups>(roots_)) {}

Result<Snapshot> Inventory::take(Families& said) {
  const auto topology = topology_.read();
  if (!topology) return topology.error();
  Snapshot snapshot;
  snapshot.host = *topology;
  snapshot.libvirt = libvirt_();

  tasks_->begin(snapshot.host);
  const auto processes = tasks_->processes(said);
  if (!processes) return processes.error();
  ++pass_;
  find_instances(*processes, said);
  leave_out(*processes, said);
  choose_tasks(said);

  snapshot.whole = said.problems().empty();
  // All threads are read before anybody is named: a VM that has just ended must
  // not share its name with the one that was started in its place.
  std::vector<Alive> alive;
  const auto vhosts = vhost_threads(*processes);
  for (auto& [pid, instance] : instances_) {
    if (!instance.shown) continue;
    auto tasks = read_tasks(instance, vhosts, said);
    snapshot.whole = snapshot.whole && instance.whole;
    if (!tasks.empty())
      alive.push_back({&instance, std::move(tasks), tasks_->facts(pid)});
  }
  const auto labels = name(alive);
  std::vector<VmCgroups::Member> members;
  for (std::size_t i = 0; i < alive.size(); ++i) {
    if (labels[i].empty()) {
      said.dropped("second_process_of_a_vm");
      continue;
    }
    const auto& facts = alive[i].facts;
    Vm vm = make_vm(*alive[i].instance, labels[i], alive[i].tasks);
    if (facts) vm.memory_use = alive[i].instance->raise(facts->memory);
    members.push_back({vm.id(), facts ? facts->groups : 0});
    snapshot.vms.push_back(std::move(vm));
  }
  std::sort(snapshot.vms.begin(), snapshot.vms.end(),
            [](const Vm& a, const Vm& b) { return a.domain < b.domain; });
  add_libvirt(*snapshot.libvirt, snapshot.vms);
  tasks_->report(said);
  cgroups_->begin(members);
  snapshot.cgroups = cgroups_;
  return snapshot;
}

void Inventory::identify(Instance& instance, VmIdentity identity,
                         pid_t pid) const {
  instance.identity = named(std::move(identity), pid);
  instance.shown_name = as_shown(shown_name_, instance.identity.name);
  instance.shown_uuid = as_shown(shown_name_, instance.identity.uuid);
}

void Inventory::find_instances(const std::vector<Process>& processes,
                               Families& said) {
  std::vector<CommandLines::Key> keys;
  for (const Process& process : processes)
    if (may_be_vmm(process))
      keys.push_back({process.pid, process.start_ticks, process.comm});
  command_lines_.request(keys, patience_);
  const std::size_t pending = command_lines_.pending();
  said.source(
      "command_lines",
      pending == 0 ? "" : "a process does not let its command line be read");
  if (auto problem = command_lines_.problem(); !problem.empty())
    said.problem(std::move(problem));

  boot_time_.reset();
  std::map<pid_t, Instance> alive;
  for (const auto& key : keys) {
    const auto known = instances_.find(key.pid);
    const bool same = known != instances_.end() &&
                      known->second.key.start_ticks == key.start_ticks;
    if (same && known->second.key.comm == key.comm) {
      alive.insert(instances_.extract(known));
      continue;
    }
    auto [read, identity] = command_lines_.find(key);
    if (same && identity) {
      // It has another name of its own now, and is the VM it was.
      identify(known->second, *std::move(identity), key.pid);
      known->second.key = key;
      alive.insert(instances_.extract(known));
    } else if (identity) {
      if (auto instance = make_instance(key, *std::move(identity), said))
        alive.emplace(key.pid, *std::move(instance));
    }
    // What was read is another process, or has become another program.
    if (read) instances_.erase(key.pid);
  }
  keep_unseen(alive);
  instances_ = std::move(alive);
}

void Inventory::leave_out(const std::vector<Process>& processes,
                          Families& said) {
  // A VMM may be started by root and become another user: now and then one
  // looks again.
  constexpr unsigned kRecheck = 16;
  for (const Process& process : processes) {
    const auto found = instances_.find(process.pid);
    if (found == instances_.end()) continue;
    found->second.num_threads = process.num_threads;
    if (static_cast<unsigned>(process.pid) % kRecheck == pass_ % kRecheck)
      if (const auto owner = owner_of(process.pid); owner && *owner)
        found->second.owner = *owner;
  }
  std::vector<VmClaim> claims;
  std::vector<Instance*> claimants;
  for (auto& [pid, instance] : instances_) {
    if (instance.missed > 0) continue;
    claims.push_back(
        {pid, instance.key.start_ticks, instance.owner, instance.num_threads});
    claimants.push_back(&instance);
  }
  const auto beyond = beyond_limits(claims, limits_);
  bool all_shown = true;
  for (std::size_t i = 0; i < beyond.size(); ++i) {
    claimants[i]->shown = beyond[i].empty();
    if (claimants[i]->shown) continue;
    all_shown = false;
    said.dropped(beyond[i]);
  }
  said.source("all_vms",
              all_shown ? ""
                        : "more processes look like VMs than are shown: "
                          "vcpu_series_dropped_total says beyond which limit, "
                          "--limit.NAME sets it");
}

void Inventory::choose_tasks(Families& said) {
  std::vector<pid_t> pids;
  pids.reserve(instances_.size());
  for (const auto& [pid, instance] : instances_)
    if (instance.shown) pids.push_back(pid);
  tasks_->choose(pids, said);
}

MemoryUse Inventory::Instance::raise(MemoryUse now) {
  // A thread that ends is counted nowhere for a moment.
  major_faults = std::max(major_faults, now.major_faults);
  now.major_faults = major_faults;
  return now;
}

// A process that could not be read once has not ended for that: its totals wait
// for it.
void Inventory::keep_unseen(std::map<pid_t, Instance>& alive) {
  constexpr int kPassesMissed = 10;
  for (auto& [pid, instance] : alive) instance.missed = 0;
  for (auto& [pid, instance] : instances_) {
    if (++instance.missed <= kPassesMissed)
      alive.emplace(pid, std::move(instance));
  }
}

std::string Inventory::path_of(pid_t pid) const {
  return roots_.proc + "/" + std::to_string(pid);
}

// Not whom the directory belongs to: that is the effective user, and anybody
// may start a program that is set-uid under a name of his choice.
Result<std::optional<uid_t>> Inventory::owner_of(pid_t pid) const {
  const auto text = read_file(path_of(pid) + "/status");
  if (text) return std::optional<uid_t>(real_uid(*text));
  if (is_gone(text.error())) return std::optional<uid_t>();
  return text.error();
}

// For all VMs that are new in a pass, however many.
Result<std::optional<std::uint64_t>> Inventory::boot_time() {
  if (boot_time_) return boot_time_;
  const auto stat = read_as(roots_.proc + "/stat", parse_proc_stat);
  if (!stat && !is_gone(stat.error())) return stat.error();
  if (stat) boot_time_ = stat->boot_time;
  return boot_time_;
}

// What cannot be read now is asked again in the next pass: who begins with a
// wrong owner or start time keeps it.
std::optional<Inventory::Instance> Inventory::make_instance(
    const CommandLines::Key& key, VmIdentity identity, Families& said) {
  const auto lives = Directory::open(path_of(key.pid));
  const auto owner = owner_of(key.pid);
  const auto boot = boot_time();
  if (!lives && is_gone(lives.error())) return std::nullopt;
  for (const Error* error :
       {lives ? nullptr : &lives.error(), owner ? nullptr : &owner.error(),
        boot ? nullptr : &boot.error()}) {
    if (error == nullptr) continue;
    said.problem(error->message());
    return std::nullopt;
  }
  Instance instance;
  identify(instance, std::move(identity), key.pid);
  instance.key = key;
  instance.owner = *owner;
  // Once: the boot time is a difference of clocks, and moves when one is set.
  if (*boot)
    instance.start_time_seconds =
        static_cast<double>(**boot) + tick_seconds(key.start_ticks);
  return instance;
}

RoleOfThread Inventory::role_of(Instance& instance, const Task& task) const {
  const auto by_name =
      role_by_name(instance.identity.vmm, task.comm, instance.key.comm,
                   task.tid == instance.key.pid);
  if (by_name) return *by_name;
  return instance.group_roles.of(
      {task.tid, task.start_ticks},
      path_of(instance.key.pid) + "/task/" + std::to_string(task.tid));
}

std::vector<Task> Inventory::read_tasks(Instance& instance,
                                        const VhostThreads& vhosts,
                                        Families& said) {
  auto tasks = tasks_->threads(instance.key.pid, said);
  instance.whole = tasks_->were_whole();
  if (of_another(tasks, instance.key)) return {};
  const auto own = vhosts.find(instance.key.pid);
  if (tasks.empty() || own == vhosts.end()) return tasks;
  for (const pid_t pid : own->second) {
    for (auto& task : tasks_->threads(pid, said))
      tasks.push_back(std::move(task));
  }
  return tasks;
}

std::vector<std::string> Inventory::name(const std::vector<Alive>& alive) {
  std::vector<DomainNames::Process> named;
  named.reserve(alive.size());
  for (const auto& [instance, tasks, facts] : alive) {
    named.push_back({instance->shown_name, instance->shown_uuid,
                     instance->key.pid, instance->key.start_ticks,
                     instance->owner.value_or(kUnknownUser)});
  }
  return names_.assign(named);
}

// Two threads may bear the name of one vCPU, as a new thread has the name of
// the one that made it until it takes its own: the one that carried it before
// is it, else the older one. The other is left out until it is named.
void Inventory::leave_out_namesakes(const VmTotals& totals,
                                    std::vector<TaskWithRole>& tasks) {
  const auto place = [](const TaskWithRole& one) {
    return std::tuple(one.role.role != ThreadRole::kVcpu, one.role.vcpu);
  };
  const auto rank = [&](const TaskWithRole& one) {
    const auto& [task, role] = one;
    const bool known =
        totals.carries(role.vcpu, {task->tid, task->start_ticks});
    return std::tuple(!known, task->start_ticks, task->tid);
  };
  std::sort(tasks.begin(), tasks.end(), [&](const auto& a, const auto& b) {
    return place(a) != place(b) ? place(a) < place(b) : rank(a) < rank(b);
  });
  const auto same = [](const TaskWithRole& a, const TaskWithRole& b) {
    return a.role.role == ThreadRole::kVcpu &&
           b.role.role == ThreadRole::kVcpu && a.role.vcpu == b.role.vcpu;
  };
  tasks.erase(std::unique(tasks.begin(), tasks.end(), same), tasks.end());
}

Vm Inventory::make_vm(Instance& instance, const std::string& domain,
                      const std::vector<Task>& tasks) {
  Vm vm;
  vm.domain = domain;
  vm.name = instance.identity.name;
  vm.uuid = instance.identity.uuid;
  vm.uuid_label = instance.shown_uuid;
  vm.vmm = to_string(instance.identity.vmm);
  vm.accel = instance.identity.accel;
  vm.machine = instance.identity.machine;
  vm.memory_bytes = instance.identity.memory_bytes;
  vm.proxmox_vmid = instance.identity.proxmox_vmid;
  vm.uid = instance.owner;
  vm.kubevirt = instance.identity.kubevirt;
  vm.pid = instance.key.pid;
  vm.whole = instance.whole;
  vm.start_ticks = instance.key.start_ticks;
  vm.start_time_seconds = instance.start_time_seconds;
  std::vector<TaskWithRole> known;
  known.reserve(tasks.size());
  for (const Task& task : tasks)
    known.push_back({&task, role_of(instance, task)});
  instance.group_roles.finish_pass();
  leave_out_namesakes(instance.totals, known);
  if (instance.domain != domain) instance.be_called(domain);
  vm.labels = instance.labels;
  vm.threads.reserve(known.size());
  for (const TaskWithRole& one : known) {
    if (one.role.role == ThreadRole::kVcpu) {
      ++vm.vcpu_count;
      if (auto accel = accel_by_name(one.task->comm); !accel.empty())
        vm.accel = std::move(accel);
    }
    vm.threads.push_back(make_thread(instance, one));
  }
  vm.role_times = instance.totals.finish_pass();
  return vm;
}

void Inventory::Instance::be_called(const std::string& name) {
  domain = name;
  texts = LabelTexts();
  labels = texts.add({}, "domain", name);
  vcpu_labels.clear();
}

const LabelSet& Inventory::Instance::labels_of(int vcpu) {
  const auto [known, added] = vcpu_labels.insert(vcpu);
  if (added) known = texts.add(labels, "vcpu", std::to_string(vcpu));
  return known;
}

Thread Inventory::make_thread(Instance& instance, const TaskWithRole& known) {
  const Task& task = *known.task;
  const RoleOfThread& role = known.role;
  Thread thread;
  thread.tid = task.tid;
  thread.role = role.role;
  thread.vcpu = role.vcpu;
  thread.cpu = task.cpu;
  thread.waiting_ns = task.waiting_ns;
  thread.allowed = task.allowed;
  thread.core_scheduled = task.core_scheduled;
  thread.sched = task.sched;
  const VmTotals::ThreadId id{task.tid, task.start_ticks};
  if (role.role == ThreadRole::kVcpu) {
    thread.labels = instance.labels_of(role.vcpu);
    if (task.sched)
      thread.sched = instance.totals.vcpu(role.vcpu, id, *task.sched);
  } else if (task.sched) {
    instance.totals.role(role.role, id, *task.sched);
  }
  return thread;
}

}  // namespace vcpu
