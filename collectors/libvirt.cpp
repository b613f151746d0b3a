// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "collectors/base/label_text.h"
#include "collectors/catalog.h"
#include "collectors/libvirt/monitor.h"

namespace vcpu {
namespace {

void add_health(const LibvirtView& libvirt, Families& families) {
  auto& up = families.gauge(
      "vcpu_libvirt_up",
      "Whether libvirt answers (1) or not (0); absent on a host that never had "
      "one. From a read-only connection.");
  auto& age = families.gauge(
      "vcpu_libvirt_cache_age_seconds",
      "How long ago libvirt last gave figures; those older than 30 s are not "
      "shown. From our own clock.");
  families.source("libvirt", libvirt.up ? "" : libvirt.reason);
  if (libvirt.expected) up.add({}, libvirt.up ? 1 : 0);
  if (libvirt.age_seconds) age.add({}, *libvirt.age_seconds);
}

void add_state(const Vm& vm, Family& state) {
  for (const char* const name : kLibvirtStates)
    state.add(vm.labels, {{"state", name}}, vm.libvirt->state == name ? 1 : 0);
}

void add_reason(const Vm& vm, Family& reasons) {
  if (vm.libvirt->state_reason.empty()) return;
  reasons.add(vm.labels,
              {{"state", vm.libvirt->state},
               {"reason", label_text(vm.libvirt->state_reason)}},
              1);
}

void add_counts(const Vm& vm, Family& counts) {
  if (const auto current = vm.libvirt->vcpus_current)
    counts.add(vm.labels, {{"kind", "current"}}, *current);
  if (const auto maximum = vm.libvirt->vcpus_maximum)
    counts.add(vm.labels, {{"kind", "maximum"}}, *maximum);
}

void add_pins(const Vm& vm, Family& pins) {
  // libvirt tells it of vCPUs that are not plugged in, too.
  const auto& pinned = vm.libvirt->pinned_cpus;
  for (const Thread& vcpu : vm.vcpus()) {
    const auto index = static_cast<std::size_t>(vcpu.vcpu);
    if (index < pinned.size()) pins.add(vcpu.labels, pinned[index]);
  }
}

void add_ages(MonitorSource& monitor, const Snapshot& snapshot,
              Families& families) {
  auto& ages = families.gauge("vcpu_libvirt_monitor_age_seconds",
                              "How long ago the VM's QEMU last told libvirt "
                              "its statistics; those older "
                              "than 60 s are not shown. From our own clock.");
  const auto view = monitor.view();
  for (const Vm& vm : snapshot.vms) {
    const auto known = view.vms.find(vm.id());
    if (known != view.vms.end() && known->second.age_seconds)
      ages.add(vm.labels, *known->second.age_seconds);
  }
}

class Libvirt final : public Collector {
 public:
  explicit Libvirt(std::shared_ptr<MonitorSource> monitor)
      : monitor_(std::move(monitor)) {}

  std::string_view name() const override { return "libvirt"; }

  Result<void> collect(const Snapshot& snapshot, Families& families) override {
    add_health(*snapshot.libvirt, families);
    auto& state = families.gauge(
        "vcpu_domain_state",
        "The VM's state as libvirt knows it: 1 for the state it is in, 0 for "
        "the others; from virConnectGetAllDomainStats.");
    auto& reasons = families.gauge("vcpu_domain_state_reason_info",
                                   "Why the VM is in its state, always 1; from "
                                   "virConnectGetAllDomainStats.");
    auto& counts =
        families.gauge("vcpu_domain_vcpus",
                       "vCPUs the VM has now and may have at most; from "
                       "virDomainGetVcpusFlags.");
    auto& pins = families.gauge(
        "vcpu_configured_cpus",
        "Number of CPUs that libvirt's configuration lets the vCPU use; other "
        "than vcpu_allowed_cpus where something else moved it. From "
        "virDomainGetVcpuPinInfo.");
    for (const Vm& vm : snapshot.vms) {
      if (vm.libvirt == nullptr) continue;
      add_state(vm, state);
      add_reason(vm, reasons);
      add_counts(vm, counts);
      add_pins(vm, pins);
    }
    if (monitor_) add_ages(*monitor_, snapshot, families);
    return {};
  }

 private:
  std::shared_ptr<MonitorSource> monitor_;
};

}  // namespace

std::unique_ptr<Collector> make_libvirt(const CollectorOptions& options) {
  return std::make_unique<Libvirt>(options.monitor);
}

}  // namespace vcpu
