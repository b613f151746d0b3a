// SPDX-License-Identifier: Apache-2.0
#include "collectors/vcpu_sums.h"

#include <cstdint>
#include <utility>

#include "collectors/base/growing.h"
#include "collectors/last_told.h"

namespace vcpu {
namespace {

using Count = std::optional<std::uint64_t>;

// What is told for the first time may have been counted for long.
Count added(const Count& sum, const Count& before, const Count& now) {
  if (!now) return sum;
  return sum.value_or(0) + (before ? grown(*before, *now) : 0);
}

SchedStat added(const SchedStat& sum, const SchedStat& before,
                const SchedStat& now) {
  return {sum.run_ns + grown(before.run_ns, now.run_ns),
          sum.wait_ns + grown(before.wait_ns, now.wait_ns),
          sum.dispatches + grown(before.dispatches, now.dispatches),
          added(sum.voluntary, before.voluntary, now.voluntary),
          added(sum.involuntary, before.involuntary, now.involuntary),
          added(sum.migrations, before.migrations, now.migrations)};
}

}  // namespace

void VcpuSums::take_in(const Vm& vm, OfVm& known) {
  const bool first = !known.sum;
  for (const Thread& vcpu : vm.vcpus()) {
    if (!vcpu.sched) continue;
    const SchedStat& now = *vcpu.sched;
    // One that is plugged in while we look begins at zero.
    const SchedStat begin = first ? now : SchedStat{0, 0, 0, 0, 0, 0};
    SchedStat& last = known.last.try_emplace(vcpu.vcpu, begin).first->second;
    known.sum = added(known.sum.value_or(SchedStat{}), last, now);
    last = last_told(last, now);
  }
}

void VcpuSums::see(const Snapshot& snapshot) {
  std::map<VmId, OfVm> seen;
  for (const Vm& vm : snapshot.vms) {
    const auto known = vms_.find(vm.id());
    OfVm& now = seen[vm.id()];
    if (known != vms_.end()) now = std::move(known->second);
    take_in(vm, now);
  }
  vms_ = std::move(seen);
}

std::optional<SchedStat> VcpuSums::of(const Vm& vm) const {
  const auto known = vms_.find(vm.id());
  return known == vms_.end() ? std::nullopt : known->second.sum;
}

}  // namespace vcpu
