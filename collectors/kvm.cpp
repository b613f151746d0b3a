// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "collectors/catalog.h"
#include "collectors/kvm_debugfs.h"
#include "collectors/monitored.h"

namespace vcpu {
namespace {

using Count = std::optional<std::uint64_t>;

constexpr const char* kNotTold =
    "nobody tells KVM's statistics of a VM: libvirt does from libvirt 8.9 and "
    "QEMU 7.1 on, debugfs where it is mounted and the exporter is started as "
    "root";

constexpr const char* kNoHaltTimes =
    "nobody tells how long a VM's vCPUs are halted: libvirt does from libvirt "
    "8.9 and QEMU 7.1 on, debugfs does not";

// Of an exit there is one reason: none of these is part of another.
constexpr std::array<std::pair<KvmStat, const char*>, 7> kReasons{
    {{KvmStat::kHaltExits, "halt"},
     {KvmStat::kIoExits, "io"},
     {KvmStat::kMmioExits, "mmio"},
     {KvmStat::kIrqExits, "irq"},
     {KvmStat::kIrqWindowExits, "irq_window"},
     {KvmStat::kNmiWindowExits, "nmi_window"},
     {KvmStat::kHypercalls, "hypercall"}}};

// The rest of `all`, which was read at another moment than its parts, so that
// it may seem to shrink.
class Rest {
 public:
  std::uint64_t of(std::uint64_t all, std::uint64_t parts) {
    highest_ = std::max(highest_, all - std::min(all, parts));
    return highest_;
  }

 private:
  std::uint64_t highest_ = 0;
};

// Of each of a VM's sums the highest: debugfs may have told it last, and what
// libvirt told of it is older.
void keep_highest(KvmStats& highest, KvmStats& sums) {
  for (std::size_t i = 0; i < sums.all().size(); ++i) {
    auto& sum = sums.all().at(i);
    if (sum) sum = std::max(*sum, highest.all().at(i).value_or(0));
    if (sum) highest.all().at(i) = sum;
  }
}

struct KvmFamilies {
  Family& exits;
  Family& halt_wait;
  Family& halt_poll;
  Family& preemptions;
  Family& yields;
};

KvmFamilies add_families(Families& families) {
  return {
      families.counter(
          "vcpu_kvm_exits_total",
          "Exits from the guest by reason, `other` being what is none of the "
          "rest; from KVM's statistics (debugfs, or QEMU's query-stats by "
          "libvirt)."),
      families.counter("vcpu_kvm_halt_wait_seconds_total",
                       "The vCPU was halted; from KVM's halt_wait_ns (QEMU's "
                       "query-stats by libvirt)."),
      families.counter(
          "vcpu_kvm_halt_poll_seconds_total",
          "KVM polled for the halted vCPU, in vain or not: host CPU time that "
          "the guest did not ask for; from KVM's halt_poll_success_ns and "
          "halt_poll_fail_ns (QEMU's query-stats by libvirt)."),
      families.counter("vcpu_kvm_preemptions_total",
                       "A vCPU lost its CPU while it ran the guest; from KVM's "
                       "preemption_reported and preemption_other (debugfs, or "
                       "QEMU's query-stats by libvirt)."),
      families.counter(
          "vcpu_kvm_directed_yields_total",
          "A vCPU that spun for a lock tried to let another of its VM run; "
          "from KVM's directed_yield_attempted and directed_yield_successful "
          "(debugfs, or QEMU's query-stats by libvirt).")};
}

void add(Family& family, const LabelSet& labels, const Count& count) {
  if (count) family.add(labels, static_cast<double>(*count));
}

void add_seconds(Family& family, const LabelSet& labels, const Count& ns) {
  if (ns) family.add(labels, seconds(*ns));
}

void add_vcpu(const LabelSet& labels, const KvmStats& stats,
              KvmFamilies& families) {
  add_seconds(families.halt_wait, labels, stats[KvmStat::kHaltWaitNs]);
  add_seconds(families.halt_poll, labels.with("result", "success"),
              stats[KvmStat::kHaltPollSuccessNs]);
  add_seconds(families.halt_poll, labels.with("result", "fail"),
              stats[KvmStat::kHaltPollFailNs]);
}

bool tells_halts(const MonitorFigures* figures) {
  return figures != nullptr &&
         std::any_of(figures->vcpus.begin(), figures->vcpus.end(),
                     [](const auto& vcpu) {
                       return vcpu.second[KvmStat::kHaltWaitNs].has_value();
                     });
}

void add_exits(const LabelSet& labels, const KvmStats& stats, Rest& rest,
               Family& exits) {
  std::uint64_t named = 0;
  for (const auto& [stat, reason] : kReasons) {
    add(exits, labels.with("reason", reason), stats[stat]);
    named += stats[stat].value_or(0);
  }
  if (const auto all = stats[KvmStat::kExits])
    add(exits, labels.with("reason", "other"), rest.of(*all, named));
}

class Kvm final : public Collector {
 public:
  explicit Kvm(const CollectorOptions& options)
      : per_vcpu_(options.kvm.per_vcpu),
        monitor_(options.monitor),
        debugfs_(options.roots.sys) {}

  std::string_view name() const override { return "kvm"; }
  void open() override { debugfs_.open(); }

  Result<void> collect(const Snapshot& snapshot, Families& families) override {
    const auto view =
        look(monitor_.get(), MonitorGroup::kKvm, snapshot, families);
    auto kvm = add_families(families);
    if (const auto listed = debugfs_.list(); !listed) return listed.error();
    bool told_all = true;
    bool told_all_halts = true;
    bool any = false;
    for (const Vm& vm : snapshot.vms) {
      const auto known = view.vms.find(vm.id());
      const auto figures =
          known == view.vms.end() ? nullptr : known->second.figures;
      const bool told = add_vm(vm, figures.get(), kvm, families);
      any = any || told || vm.accel == "kvm";
      told_all = told_all && (told || vm.accel != "kvm");
      const bool none_due = vm.accel != "kvm" && !told;
      told_all_halts =
          told_all_halts && (none_due || tells_halts(figures.get()));
    }
    if (any) {
      families.source("kvm_statistics", told_all ? "" : kNotTold);
      families.source("kvm_halt_times", told_all_halts ? "" : kNoHaltTimes);
    }
    forget_ended(snapshot);
    return {};
  }

 private:
  struct Told {
    KvmStats highest;
    Rest exits;
    std::map<int, Rest> exits_of_vcpu;
    Rest yields;
  };

  // The sums come from debugfs where it has them, as nobody has to be asked for
  // it. Those that it has and does not tell now are nobody else's either: each
  // has counted from another moment on.
  KvmStats sums_of(const Vm& vm, const MonitorFigures* figures,
                   Families& families) const {
    const auto shown = debugfs_.of(vm);
    if (!shown) {
      families.problem(shown.error().message());
      return {};
    }
    if (shown->empty() && figures != nullptr) return figures->kvm;
    return *shown;
  }

  // Whether there is anything to tell.
  bool add_vm(const Vm& vm, const MonitorFigures* figures,
              KvmFamilies& families, Families& said) {
    auto sums = sums_of(vm, figures, said);
    if (!sums.empty()) keep_highest(told_[vm.id()].highest, sums);
    if (!add_exits_of_vcpus(vm, figures, families.exits) && !sums.empty())
      add_exits(vm.labels, sums, told_[vm.id()].exits, families.exits);
    add_sums(vm, sums, families);
    if (figures == nullptr) return !sums.empty();
    for (const auto& [vcpu, stats] : figures->vcpus)
      add_vcpu(vm.labels.with("vcpu", std::to_string(vcpu)), stats, families);
    return !sums.empty();
  }

  // False: nobody tells them, or nobody wants them.
  bool add_exits_of_vcpus(const Vm& vm, const MonitorFigures* figures,
                          Family& exits) {
    if (!per_vcpu_ || figures == nullptr) return false;
    bool told = false;
    for (const auto& [vcpu, stats] : figures->vcpus) {
      if (!stats[KvmStat::kExits]) continue;
      add_exits(vm.labels.with("vcpu", std::to_string(vcpu)), stats,
                told_[vm.id()].exits_of_vcpu[vcpu], exits);
      told = true;
    }
    return told;
  }

  void add_sums(const Vm& vm, const KvmStats& sums, KvmFamilies& families) {
    if (sums.empty()) return;
    Told& known = told_[vm.id()];
    const LabelSet& labels = vm.labels;
    const auto reported = sums[KvmStat::kPreemptionReported];
    const auto other = sums[KvmStat::kPreemptionOther];
    if (reported && other)
      add(families.preemptions, labels, *reported + *other);
    const auto tried = sums[KvmStat::kDirectedYieldAttempted];
    const auto done = sums[KvmStat::kDirectedYieldSuccessful];
    if (!tried || !done) return;
    add(families.yields, labels.with("result", "success"), done);
    add(families.yields, labels.with("result", "fail"),
        known.yields.of(*tried, *done));
  }

  void forget_ended(const Snapshot& snapshot) {
    std::set<VmId> present;
    for (const Vm& vm : snapshot.vms) present.insert(vm.id());
    std::erase_if(
        told_, [&](const auto& item) { return !present.contains(item.first); });
  }

  const bool per_vcpu_;
  std::shared_ptr<MonitorSource> monitor_;
  KvmDebugfs debugfs_;
  std::map<VmId, Told> told_;
};

}  // namespace

std::unique_ptr<Collector> make_kvm(const CollectorOptions& options) {
  return std::make_unique<Kvm>(options);
}

}  // namespace vcpu
