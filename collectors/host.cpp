// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "collectors/base/file.h"
#include "collectors/base/ticks.h"
#include "collectors/catalog.h"
#include "collectors/kernel/proc_stat.h"

namespace vcpu {
namespace {

// Every mode once: the kernel counts a guest's time as user time as well.
CpuTicks disjoint(CpuTicks ticks) {
  ticks[kUser] -= std::min(ticks[kUser], ticks[kGuest]);
  ticks[kNice] -= std::min(ticks[kNice], ticks[kGuestNice]);
  return ticks;
}

std::uint64_t busy(const CpuTicks& ticks) {
  return ticks[kUser] + ticks[kNice] + ticks[kSystem] + ticks[kIrq] +
         ticks[kSoftirq] + ticks[kSteal];
}

class Host final : public Collector {
 public:
  explicit Host(Roots roots) : roots_(std::move(roots)) {}

  std::string_view name() const override { return "host"; }

  Result<void> collect(const Snapshot& /*snapshot*/,
                       Families& families) override {
    const auto stat = read_as(roots_.proc + "/stat", parse_proc_stat);
    if (!stat) return stat.error();
    add_modes(disjoint(stat->all), families);
    add_busy(*stat, families);
    return {};
  }

 private:
  void add_modes(const CpuTicks& ticks, Families& families) {
    auto& time = families.counter(
        "vcpu_host_cpu_seconds_total",
        "Time of all the host's CPUs by mode, every second in one mode only "
        "(guest is not in user); from /proc/stat.");
    for (std::size_t mode = 0; mode < kCpuModes.size(); ++mode) {
      // The kernel reads idle and iowait of a sleeping CPU inexactly, and a
      // difference of two counters may be caught between them.
      modes_.at(mode) = std::max(modes_.at(mode), ticks.at(mode));
      time.add({{"mode", kCpuModes.at(mode)}}, tick_seconds(modes_.at(mode)));
    }
  }

  void add_busy(const ProcStat& stat, Families& families) {
    auto& time = families.counter(
        "vcpu_host_cpu_busy_seconds_total",
        "Time the CPU was neither idle nor waiting for I/O; from /proc/stat.");
    for (const auto& [cpu, ticks] : stat.by_cpu) {
      auto& total = busy_[cpu];
      total = std::max(total, busy(ticks));
      time.add({{"cpu", std::to_string(cpu)}}, tick_seconds(total));
    }
  }

  Roots roots_;
  CpuTicks modes_{};
  std::map<int, std::uint64_t> busy_;
};

}  // namespace

std::unique_ptr<Collector> make_host(const CollectorOptions& options) {
  return std::make_unique<Host>(options.roots);
}

}  // namespace vcpu
