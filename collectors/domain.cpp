// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>

#include "collectors/catalog.h"

namespace vcpu {
namespace {

class Domain final : public Collector {
 public:
  std::string_view name() const override { return "domain"; }

  Result<void> collect(const Snapshot& snapshot, Families& families) override {
    auto& info = families.gauge(
        "vcpu_domain_info",
        "A virtual machine that runs here, or what looks like one, and the "
        "user who runs it, always 1; from the command line of its VMM, "
        "/proc/PID/{cmdline,status}.");
    auto& start = families.gauge(
        "vcpu_domain_start_time_seconds",
        "When the virtual machine's process started, since the epoch; from "
        "/proc/PID/stat.");
    for (const Vm& vm : snapshot.vms) {
      info.add(vm.labels,
               {{"uuid", vm.uuid_label},
                {"vmm", vm.vmm},
                {"accel", vm.accel},
                {"machine", vm.machine},
                {"uid", vm.uid ? std::to_string(*vm.uid) : ""}},
               1);
      if (vm.start_time_seconds > 0)
        start.add(vm.labels, vm.start_time_seconds);
    }
    say_vcpu_threads(snapshot, families);
    return {};
  }

 private:
  // QEMU without debug-threads and outside libvirt: a VM whose vCPUs cannot be
  // told from its other threads has no series of its vCPUs.
  static void say_vcpu_threads(const Snapshot& snapshot, Families& families) {
    if (snapshot.vms.empty()) return;
    const bool told =
        std::all_of(snapshot.vms.begin(), snapshot.vms.end(),
                    [](const Vm& vm) { return vm.vcpu_count > 0; });
    families.source("vcpu_threads",
                    told ? ""
                         : "a VM has no thread named as a vCPU: start QEMU "
                           "with -name NAME,debug-threads=on");
  }
};

}  // namespace

std::unique_ptr<Collector> make_domain(const CollectorOptions& /*options*/) {
  return std::make_unique<Domain>();
}

}  // namespace vcpu
