// SPDX-License-Identifier: Apache-2.0
#include "collectors/catalog.h"

namespace vcpu {
namespace {

class Threads final : public Collector {
 public:
  std::string_view name() const override { return "threads"; }

  Result<void> collect(const Snapshot& snapshot, Families& families) override {
    auto& run = families.counter(
        "vcpu_domain_thread_run_seconds_total",
        "Time the VM's threads other than vCPUs ran on a physical CPU since "
        "the exporter first saw the VM, those that have ended included; from "
        "/proc/PID/task/TID/schedstat.");
    auto& steal = families.counter(
        "vcpu_domain_thread_steal_seconds_total",
        "Time the VM's threads other than vCPUs waited for a physical CPU "
        "since the exporter first saw the VM, those that have ended included; "
        "from /proc/PID/task/TID/schedstat.");
    for (const Vm& vm : snapshot.vms) {
      for (const RoleTime& time : vm.role_times) {
        const auto labels = vm.labels.with("role", to_string(time.role));
        run.add(labels, seconds(time.run_ns));
        steal.add(labels, seconds(time.wait_ns));
      }
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<Collector> make_threads(const CollectorOptions& /*options*/) {
  return std::make_unique<Threads>();
}

}  // namespace vcpu
