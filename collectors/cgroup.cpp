// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <map>
#include <string>
#include <utility>

#include "collectors/base/file.h"
#include "collectors/base/growing.h"
#include "collectors/base/kept_files.h"
#include "collectors/catalog.h"
#include "collectors/kernel/pressure.h"
#include "collectors/vm_quota.h"

namespace vcpu {
namespace {

constexpr std::array<const char*, 3> kResources{"cpu", "memory", "io"};
constexpr std::size_t kCpu = 0;

constexpr std::size_t kKeptFiles = 2048;

constexpr const char* kSharedGroup =
    "a VM shares its CPU group with other processes; start it in one of its "
    "own";
constexpr const char* kNoController =
    "a VM's group is without the cpu controller; enable it in "
    "cgroup.subtree_control of the group above";
constexpr const char* kNoPressure =
    "this kernel tells no pressure; start it with psi=1, if it is built with "
    "CONFIG_PSI";
constexpr const char* kNoGroupOfVersion2 =
    "a VM has no group of its own in cgroup version 2, which alone tells the "
    "pressure of groups";
constexpr const char* kNoPressureOfGroup =
    "no pressure is told of a VM's group; write 1 to its cgroup.pressure, or "
    "start the kernel with psi=1, if it is built with CONFIG_PSI";

bool is_not_offered(const Error& error) {
  return is_gone(error) || error.code == std::errc::operation_not_supported;
}

// Where three files tell pressures.
struct PressureFiles {
  std::string prefix;
  const char* suffix;
  bool cpu_full;  // Of the host the kernel prints a zero that means nothing.
};

// The kernel's begins anew where a VM is moved to another group.
struct GrowingPressure {
  Growing some;
  Growing full;
};
using Pressures = std::array<GrowingPressure, kResources.size()>;

double seconds_of_us(std::uint64_t us) {
  constexpr double kUsPerSecond = 1e6;
  return static_cast<double>(us) / kUsPerSecond;
}

void add_pressure(const LabelSet& labels, const Pressure& pressure,
                  GrowingPressure& total, Family& family) {
  family.add(labels.with("kind", "some"),
             seconds_of_us(total.some.see(pressure.some_us)));
  if (pressure.full_us)
    family.add(labels.with("kind", "full"),
               seconds_of_us(total.full.see(*pressure.full_us)));
}

// False where none of the files is offered.
bool say_pressures(const PressureFiles& files, KeptFiles& kept,
                   const LabelSet& labels, Pressures& totals, Family& family,
                   Families& families) {
  bool offered = false;
  for (std::size_t i = 0; i < kResources.size(); ++i) {
    const char* const resource = kResources.at(i);
    auto pressure =
        kept.read_as(files.prefix + resource + files.suffix, parse_pressure);
    if (!pressure && is_not_offered(pressure.error())) continue;
    offered = true;
    if (!pressure) {
      families.problem(pressure.error().message());
      continue;
    }
    if (i == kCpu && !files.cpu_full) pressure->full_us.reset();
    add_pressure(labels.with("resource", resource), *pressure, totals.at(i),
                 family);
  }
  return offered;
}

// Of one VM, from its first scrape to its last.
struct VmState {
  explicit VmState(const Vm& vm) : quota(static_cast<unsigned>(vm.pid)) {}
  VmQuota quota;
  bool has_quota = false;  // Whether `quota` was read in this scrape.
  Pressures pressures;
};

class CgroupCollector final : public Collector {
 public:
  explicit CgroupCollector(Roots roots) : roots_(std::move(roots)) {}

  std::string_view name() const override { return "cgroup"; }

  Result<void> collect(const Snapshot& snapshot, Families& families) override {
    keep_living(snapshot);
    read_quotas(snapshot, families);
    say_limits(snapshot, families);
    say_throttled(snapshot, families);
    say_vms_pressures(snapshot, families);
    say_hosts_pressures(families);
    kept_.close_unread();
    return {};
  }

 private:
  VmState& state_of(const Vm& vm) { return vms_.at(vm.id()); }

  void keep_living(const Snapshot& snapshot) {
    std::map<VmId, VmState> living;
    for (const Vm& vm : snapshot.vms) {
      auto known = vms_.extract(vm.id());
      if (known.empty()) {
        living.try_emplace(vm.id(), vm);
      } else {
        living.insert(std::move(known));
      }
    }
    vms_ = std::move(living);
  }

  void read_quotas(const Snapshot& snapshot, Families& families) {
    std::string missing;
    for (const Vm& vm : snapshot.vms) {
      VmState& state = state_of(vm);
      const Cgroup& group = snapshot.cgroups->of(vm.id()).cpu;
      state.has_quota = static_cast<bool>(group);
      if (state.has_quota) state.quota.read(group, vm.vcpu_count, families);
      if (!group && is_running(vm)) missing = kSharedGroup;
      if (group && !state.quota.has_controller() && missing.empty())
        missing = kNoController;
    }
    families.source("vm_cpu_cgroup", missing);
  }

  bool is_running(const Vm& vm) const {
    return exists(roots_.proc + "/" + std::to_string(vm.pid));
  }

  void say_limits(const Snapshot& snapshot, Families& families) {
    auto& weight = families.gauge(
        "vcpu_domain_cpu_weight",
        "The VM's share of contended CPU time against its neighbours', who "
        "have 100 unless set otherwise; from cpu.weight of its control group, "
        "of cgroup version 1 from cpu.shares * 100 / 1024.");
    auto& quota = families.gauge(
        "vcpu_domain_cpu_quota_cores",
        "CPUs' worth of time that the VM's quotas allow it, the least of its "
        "own and the sum of its vCPUs'; absent where there is none; from "
        "cpu.max of its control groups, of cgroup version 1 from "
        "cpu.cfs_quota_us / cpu.cfs_period_us.");
    for (const Vm& vm : snapshot.vms) {
      const VmState& state = state_of(vm);
      if (!state.has_quota) continue;
      const LabelSet domain{{"domain", vm.domain}};
      if (const auto told = state.quota.weight()) weight.add(domain, *told);
      if (const auto cores = state.quota.cores()) quota.add(domain, *cores);
    }
  }

  void say_throttled(const Snapshot& snapshot, Families& families) {
    auto& vcpu_time = families.counter(
        "vcpu_throttled_seconds_total",
        "Time the vCPU was stopped by the CPU quota of its own control group; "
        "it is part of vcpu_steal_seconds_total; from cpu.stat.");
    auto& time = families.counter(
        "vcpu_domain_throttled_seconds_total",
        "Time the VM's control groups were stopped by their CPU quotas since "
        "the exporter first saw the VM: its own, its vCPUs', emulator's and "
        "I/O threads' added up; from cpu.stat.");
    auto& throttled_periods = families.counter(
        "vcpu_domain_throttled_periods_total",
        "Periods in which a control group of the VM used its CPU quota up, "
        "added up as vcpu_domain_throttled_seconds_total; from cpu.stat.");
    auto& periods = families.counter(
        "vcpu_domain_periods_total",
        "Periods in which a control group of the VM with a CPU quota had work, "
        "added up as vcpu_domain_throttled_seconds_total; from cpu.stat.");
    for (const Vm& vm : snapshot.vms) {
      const VmState& state = state_of(vm);
      if (!state.has_quota) continue;
      for (const Thread& vcpu : vm.vcpus())
        if (const auto ns = state.quota.throttled_ns(vcpu.vcpu))
          vcpu_time.add(vcpu.labels, seconds(*ns));
      const auto throttled = state.quota.throttled();
      if (!throttled) continue;
      const LabelSet domain{{"domain", vm.domain}};
      time.add(domain, seconds(throttled->throttled_ns));
      throttled_periods.add(domain,
                            static_cast<double>(throttled->throttled_periods));
      periods.add(domain, static_cast<double>(throttled->periods));
    }
  }

  void say_vms_pressures(const Snapshot& snapshot, Families& families) {
    auto& pressure = families.counter(
        "vcpu_domain_pressure_seconds_total",
        "Time some of the VM's threads that had work stood still for want of "
        "the resource, or all of them at once (full); from cpu.pressure, "
        "memory.pressure and io.pressure of its control group.");
    std::string missing;
    for (const Vm& vm : snapshot.vms) {
      const auto& directory = snapshot.cgroups->of(vm.id()).unified.directory;
      if (directory.empty()) {
        if (missing.empty() && is_running(vm)) missing = kNoGroupOfVersion2;
      } else if (!say_pressures({directory + "/", ".pressure", true}, kept_,
                                {{"domain", vm.domain}}, state_of(vm).pressures,
                                pressure, families) &&
                 exists(directory)) {
        missing = kNoPressureOfGroup;
      }
    }
    families.source("vm_pressure", missing);
  }

  void say_hosts_pressures(Families& families) {
    auto& pressure = families.counter(
        "vcpu_host_pressure_seconds_total",
        "Time some of the host's tasks that had work stood still for want of "
        "the resource, or all of them at once (full, which the kernel does "
        "not know of the CPU); from /proc/pressure.");
    const bool told = say_pressures({roots_.proc + "/pressure/", "", false},
                                    kept_, {}, host_, pressure, families);
    families.source("pressure", told ? "" : kNoPressure);
  }

  Roots roots_;
  std::map<VmId, VmState> vms_;
  Pressures host_;
  KeptFiles kept_{kKeptFiles};
};

}  // namespace

std::unique_ptr<Collector> make_cgroup(const CollectorOptions& options) {
  return std::make_unique<CgroupCollector>(options.roots);
}

}  // namespace vcpu
