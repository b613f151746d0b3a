// SPDX-License-Identifier: Apache-2.0
#include "collectors/vcpu_waits.h"

#include <array>

namespace vcpu {
namespace {

const char* kind_name(culprit_kind kind) {
  constexpr std::array<const char*, CULPRIT_KINDS> kNames{
      "unknown",      "idle",   "quota",    "irq", "self",
      "own_overhead", "domain", "overhead", "host"};
  return kNames.at(kind);
}

// The culprit where the kind alone says who it is.
std::string unnamed_culprit(culprit_kind kind, const std::string& victim) {
  if (kind == CULPRIT_SELF || kind == CULPRIT_OWN_OVERHEAD) return victim;
  return kind >= CULPRIT_DOMAIN ? StolenTime::kOther : kind_name(kind);
}

}  // namespace

void VcpuWaits::add(const Snapshot& snapshot, AccountRecords& records) {
  // Of a thread without news it is enough to know now and then that it lives.
  constexpr unsigned kLook = 8;
  static_assert(kLook < StolenTime::kPassesMissed);
  const bool look = ++pass_ % kLook == 0;
  const auto domains = name_domains(snapshot);
  for (auto& [id, vm] : vms_) ++vm.missed;
  for (const Vm& vm : snapshot.vms) {
    Victim& victim = vms_[vm.id()];
    victim.missed = 0;
    for (const Thread& vcpu : vm.vcpus()) {
      const account_record* const record = records.find(vcpu.tid);
      if (record != nullptr && record->head.tgid == static_cast<__u32>(vm.pid))
        victim.time.add(vcpu.vcpu, *record, domains);
      else if (look)
        victim.time.lives(vcpu.tid);
    }
    victim.time.finish_pass();
  }
  std::erase_if(vms_, [](const auto& one) {
    return one.second.missed > StolenTime::kPassesMissed;
  });
}

// One that has ended since the last pass still has its name in this one. Of a
// pid that another VM has got meanwhile nobody knows which of the two it was.
StolenTime::Domains VcpuWaits::name_domains(const Snapshot& snapshot) {
  StolenTime::Domains domains;
  std::map<VmId, std::string> now;
  for (const Vm& vm : snapshot.vms) {
    domains.emplace(vm.pid, vm.domain);
    now.emplace(vm.id(), vm.domain);
  }
  for (const auto& [id, domain] : domains_) {
    const auto [known, is_free] = domains.emplace(id.first, domain);
    if (!is_free && !now.contains(id)) known->second = StolenTime::kOther;
  }
  domains_ = std::move(now);
  return domains;
}

void VcpuWaits::say_waits(const Snapshot& snapshot, Families& families) const {
  auto& latency = families.histogram(
      "vcpu_runqueue_latency_seconds",
      "Waits of vCPUs for a physical CPU that have ended since the exporter "
      "first saw the vCPU, each one counted, and once however often it moved "
      "from CPU to CPU, time stopped by a CPU quota included; starts at 0 "
      "when the exporter starts; from eBPF, sched_switch.",
      bounds_);
  for (const Vm& vm : snapshot.vms) {
    const StolenTime& time = vms_.at(vm.id()).time;
    if (!options_.per_vcpu) {
      const auto& all = time.waits_of_all();
      latency.add_histogram(vm.labels, all.counts, seconds(all.ns));
      continue;
    }
    for (const auto& [vcpu, waits] : time.waits())
      latency.add_histogram(vm.labels.with("vcpu", std::to_string(vcpu)),
                            waits.counts, seconds(waits.ns));
  }
}

// A VM's is a label already; of other programs whoever runs them chose it.
std::string VcpuWaits::shown(const StolenTime::Culprit& culprit) const {
  return culprit.kind == CULPRIT_HOST ? as_shown(shown_name_, culprit.name)
                                      : culprit.name;
}

void VcpuWaits::say_culprits(const Snapshot& snapshot, bool quota,
                             Families& families) const {
  auto& stolen = families.counter(
      "vcpu_stolen_by_seconds_total",
      "Time that the VM's vCPUs waited for a physical CPU, by who had it "
      "meanwhile; the sum over the culprits is what they waited; a wait "
      "counts when it ends or moves to another CPU; starts at 0 when the "
      "exporter starts; from eBPF, sched_switch and sched_migrate_task.");
  for (const Vm& vm : snapshot.vms) {
    const StolenTime& time = vms_.at(vm.id()).time;
    const auto say = [&](culprit_kind kind, const std::string& culprit,
                         std::uint64_t ns) {
      stolen.add(vm.labels,
                 {{"culprit_kind", kind_name(kind)}, {"culprit", culprit}},
                 seconds(ns));
    };
    for (int i = 0; i < CULPRIT_KINDS; ++i) {
      const auto kind = static_cast<culprit_kind>(i);
      if (kind == CULPRIT_QUOTA && !quota) continue;
      say(kind, unnamed_culprit(kind, vm.domain), time.unnamed(kind));
    }
    for (const auto& [culprit, ns] : time.named())
      say(culprit.kind, shown(culprit), ns);
  }
}

void VcpuWaits::say(const Snapshot& snapshot, bool quota,
                    Families& families) const {
  say_waits(snapshot, families);
  if (options_.culprits) say_culprits(snapshot, quota, families);
}

void VcpuWaits::clear() {
  vms_.clear();
  domains_.clear();
}

}  // namespace vcpu
