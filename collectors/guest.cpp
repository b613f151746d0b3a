// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "collectors/base/file.h"
#include "collectors/base/ticks.h"
#include "collectors/catalog.h"
#include "collectors/hardware/hypervisor_clues.h"
#include "collectors/kernel/hypervisor.h"
#include "collectors/kernel/proc_stat.h"

namespace vcpu {
namespace {

class Guest final : public Collector {
 public:
  explicit Guest(Roots roots) : roots_(std::move(roots)) {}

  std::string_view name() const override { return "guest"; }

  // ACPI's tables are root's, and the rest does not change either. What could
  // not be read is looked for again.
  void open() override {
    if (!read_ || read_->problem)
      read_ = read_hypervisor_clues(roots_, cpuid_here());
  }

  Result<void> collect(const Snapshot& /*snapshot*/,
                       Families& families) override {
    open();
    const auto name = hypervisor(read_->clues);
    if (read_->problem) {
      families.problem(read_->problem->message());
      // A CPU that tells of one is a guest's, be it whose it may.
      return read_->clues.cpuid.empty() ? Result<void>{} : say_steal(families);
    }
    families.source("guest", name.empty() ? "this is no virtual machine" : "");
    if (name.empty()) return {};
    families
        .gauge("vcpu_guest_info",
               "The hypervisor that this machine runs under, always 1; from "
               "CPUID, DMI, ACPI or the device tree.")
        .add({{"hypervisor", name}}, 1);
    return say_steal(families);
  }

 private:
  Result<void> say_steal(Families& families) {
    const auto stat = read_as(roots_.proc + "/stat", parse_proc_stat);
    if (!stat) return stat.error();
    auto& steal = families.counter(
        "vcpu_guest_steal_seconds_total",
        "Time that this machine's CPU was ready to run but its hypervisor had "
        "no physical CPU for it; from /proc/stat.");
    for (const auto& [cpu, ticks] : stat->by_cpu) {
      // A hypervisor's steal clock may jump back, as when the machine moves.
      auto& most = steal_[cpu];
      most = std::max(most, ticks[kSteal]);
      steal.add({{"cpu", std::to_string(cpu)}}, tick_seconds(most));
    }
    return {};
  }

  const Roots roots_;
  std::optional<ReadClues> read_;  // Once, unless that failed.
  std::map<int, std::uint64_t> steal_;
};

}  // namespace

std::unique_ptr<Collector> make_guest(const CollectorOptions& options) {
  return std::make_unique<Guest>(options.roots);
}

}  // namespace vcpu
