// SPDX-License-Identifier: Apache-2.0
#include "collectors/monitored.h"

namespace vcpu {
namespace {

std::vector<MonitoredVm> vms_of(const Snapshot& snapshot) {
  std::vector<MonitoredVm> vms;
  for (const Vm& vm : snapshot.vms) {
    const bool known = vm.libvirt != nullptr;
    vms.push_back({vm.id(), vm.domain, known ? vm.libvirt->uuid : ""});
  }
  return vms;
}

}  // namespace

MonitorView look(MonitorSource* source, MonitorGroup group,
                 const Snapshot& snapshot, Families& families) {
  MonitorView view;
  if (source == nullptr || !snapshot.libvirt->expected) {
    view.missing_reason = snapshot.libvirt->reason;
  } else {
    view = source->look(group, vms_of(snapshot));
  }
  families.source("libvirt_monitor", view.missing_reason);
  return view;
}

}  // namespace vcpu
