// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
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

// In which all VMs have their quotas looked at, each in its turn; where there
// are fewer VMs, one in each scrape.
constexpr std::size_t kScrapesPerLook = 16;

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
  return is_gone(error) || is_refused(error) ||
         error.code == std::errc::operation_not_supported;
}

double seconds_of_us(std::uint64_t us) {
  constexpr double kUsPerSecond = 1e6;
  return static_cast<double>(us) / kUsPerSecond;
}

// The pressures that three files of a directory tell, of a VM or of the host.
class Pressures {
 public:
  // The files are named `resource` + `suffix`. Of the host's CPU the kernel
  // prints a full pressure that means nothing.
  Pressures(const char* suffix, bool cpu_full)
      : suffix_(suffix), cpu_full_(cpu_full) {
    be_of({});
  }

  void be_of(const LabelSet& whose) {
    for (std::size_t i = 0; i < kResources.size(); ++i) {
      const auto labels = whose.with("resource", kResources.at(i));
      of_.at(i).some_labels = labels.with("kind", "some");
      of_.at(i).full_labels = labels.with("kind", "full");
    }
  }

  // False where none of the files is offered.
  bool say(const std::string& directory, KeptFiles& kept, Family& family,
           Families& families) {
    if (directory != directory_) look_into(directory);
    bool offered = false;
    for (OfResource& of : of_) {
      const auto pressure = kept.read_as(of.path, parse_pressure);
      if (!pressure && is_not_offered(pressure.error())) continue;
      offered = true;
      if (pressure) {
        of.say(*pressure, cpu_full_ || &of != &of_[kCpu], family);
      } else {
        families.problem(pressure.error().message());
      }
    }
    return offered;
  }

 private:
  struct OfResource {
    void say(const Pressure& now, bool has_full, Family& family) {
      family.add(some_labels, seconds_of_us(some.see(now.some_us)));
      if (now.full_us && has_full)
        family.add(full_labels, seconds_of_us(full.see(*now.full_us)));
    }

    std::string path;
    LabelSet some_labels;
    LabelSet full_labels;
    Growing some;  // The kernel's begins anew where a VM is moved to another
    Growing full;  // group.
  };

  void look_into(const std::string& directory) {
    directory_ = directory;
    for (std::size_t i = 0; i < kResources.size(); ++i)
      of_.at(i).path = directory + "/" + kResources.at(i) + suffix_;
  }

  const char* suffix_;
  bool cpu_full_;
  std::string directory_;
  std::array<OfResource, kResources.size()> of_;
};

// Of one VM, from its first scrape to its last.
struct VmState {
  // A VM's name may be told later than the VM.
  void be_of(const Vm& vm) {
    if (std::exchange(domain, vm.domain) != vm.domain)
      pressures.be_of(vm.labels);
  }

  std::string domain;
  VmQuota quota;
  bool has_quota = false;  // Whether `quota` was read in this scrape.
  Pressures pressures{".pressure", true};
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
    kept_quotas_.close_unread();
    return {};
  }

 private:
  VmState& state_of(const Vm& vm) { return vms_.at(vm.id()); }

  void keep_living(const Snapshot& snapshot) {
    std::map<VmId, VmState> living;
    for (const Vm& vm : snapshot.vms) {
      auto known = vms_.extract(vm.id());
      const auto state = known.empty()
                             ? living.try_emplace(vm.id()).first
                             : living.insert(std::move(known)).position;
      state->second.be_of(vm);
    }
    // Who could not be seen has not ended for that.
    if (!snapshot.whole) living.merge(vms_);
    vms_ = std::move(living);
  }

  void read_quotas(const Snapshot& snapshot, Families& families) {
    std::string missing;
    const auto turns = std::min(kScrapesPerLook, snapshot.vms.size());
    std::size_t turn = ++scrape_;
    for (const Vm& vm : snapshot.vms) {
      VmState& state = state_of(vm);
      const bool look = turn++ % turns == 0;
      const VmCgroup& groups = snapshot.cgroups->of(vm.id());
      const Cgroup& group = groups.cpu;
      state.has_quota = static_cast<bool>(group);
      if (state.has_quota)
        state.quota.read(group, vm.vcpu_count, look, kept_quotas_, families);
      if (!groups.problem.empty()) {
        families.problem(groups.problem);
      } else if (!group && is_running(vm)) {
        missing = group.missing_reason;
      }
      if (group && !state.quota.has_controller() && missing.empty())
        missing = kNoController;
    }
    families.source(VmQuota::kSource, missing);
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
      if (const auto told = state.quota.weight()) weight.add(vm.labels, *told);
      if (const auto cores = state.quota.cores()) quota.add(vm.labels, *cores);
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
      time.add(vm.labels, seconds(throttled->throttled_ns));
      throttled_periods.add(vm.labels,
                            static_cast<double>(throttled->throttled_periods));
      periods.add(vm.labels, static_cast<double>(throttled->periods));
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
      const auto& groups = snapshot.cgroups->of(vm.id());
      const auto& directory = groups.unified.directory;
      if (!groups.problem.empty()) continue;  // Has been said.
      if (directory.empty()) {
        const bool refused = groups.unified.missing_reason == kGroupRefused;
        if (missing.empty() && is_running(vm))
          missing = refused ? kGroupRefused : kNoGroupOfVersion2;
      } else if (!state_of(vm).pressures.say(directory, kept_, pressure,
                                             families) &&
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
    const bool told =
        host_.say(roots_.proc + "/pressure", kept_, pressure, families);
    families.source("pressure", told ? "" : kNoPressure);
  }

  Roots roots_;
  std::map<VmId, VmState> vms_;
  std::size_t scrape_ = 0;
  Pressures host_{"", false};
  KeptFiles kept_{kKeptFiles};
  KeptFiles kept_quotas_{kKeptFiles};  // Not to take the others' place.
};

}  // namespace

std::unique_ptr<Collector> make_cgroup(const CollectorOptions& options) {
  return std::make_unique<CgroupCollector>(options.roots);
}

}  // namespace vcpu
