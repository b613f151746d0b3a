// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/vm_totals.h"

#include <optional>

#include "collectors/base/growing.h"
#include "collectors/last_told.h"

namespace vcpu {
namespace {

// So many passes a thread may be missing, for want of a descriptor, say, and
// still not count as ended: it would be counted again in full when it is back.
constexpr std::uint64_t kPassesMissed = 10;

using Count = std::optional<std::uint64_t>;

// What the kernel does not tell now is not told, whatever it told before.
Count sum(const Count& ended, const Count& now) {
  if (!now) return std::nullopt;
  return ended.value_or(0) + *now;
}

SchedStat sum(const SchedStat& ended, const SchedStat& now) {
  return {ended.run_ns + now.run_ns,
          ended.wait_ns + now.wait_ns,
          ended.dispatches + now.dispatches,
          sum(ended.voluntary, now.voluntary),
          sum(ended.involuntary, now.involuntary),
          sum(ended.migrations, now.migrations)};
}

// A program that another one became (exec) goes on with less, under its name.
bool fell(const Count& before, const Count& now) {
  return before && now && *now < *before;
}

bool fell(const SchedStat& before, const SchedStat& now) {
  return now.run_ns < before.run_ns || now.wait_ns < before.wait_ns ||
         now.dispatches < before.dispatches ||
         fell(before.voluntary, now.voluntary) ||
         fell(before.involuntary, now.involuntary) ||
         fell(before.migrations, now.migrations);
}

}  // namespace

bool VmTotals::carries(int index, ThreadId thread) const {
  const Vcpu* const vcpu = vcpus_.find(index);
  return vcpu != nullptr && vcpu->thread == thread;
}

SchedStat VmTotals::vcpu(int index, ThreadId thread, const SchedStat& raw) {
  auto [vcpu, added] = vcpus_.insert(index);
  if (added) vcpu.thread = thread;
  if (vcpu.thread != thread || fell(vcpu.last, raw)) {
    vcpu.ended = last_told(vcpu.ended, sum(vcpu.ended, vcpu.last));
    vcpu.thread = thread;
    vcpu.last = {};
  }
  vcpu.last = last_told(vcpu.last, raw);
  return sum(vcpu.ended, raw);
}

void VmTotals::role(ThreadRole role, ThreadId thread, const SchedStat& raw) {
  Seen& seen = threads_[thread];
  RoleTime& total = roles_[role];
  total.role = role;
  if (pass_ > 0) {
    total.run_ns += grown(seen.last.run_ns, raw.run_ns);
    total.wait_ns += grown(seen.last.wait_ns, raw.wait_ns);
  }
  seen = {raw, pass_};
}

std::vector<RoleTime> VmTotals::finish_pass() {
  threads_.erase_if([this](const auto& item) {
    return pass_ - item.second.pass > kPassesMissed;
  });
  ++pass_;
  std::vector<RoleTime> times;
  for (const auto& [role, time] : roles_) times.push_back(time);
  return times;
}

}  // namespace vcpu
