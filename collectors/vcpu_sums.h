// SPDX-License-Identifier: Apache-2.0
//
// VcpuSums: what the vCPUs of each VM got together, for a host of which a
// series for each vCPU would be too many.
//
// A sum counts what the vCPUs got since the exporter first saw the VM, those
// included that were unplugged meanwhile, so it never decreases for the same
// run of a VM. What they got before is not counted: an exporter that is started
// again cannot know what unplugged ones had got, and a counter that falls, but
// not to zero, looks like a burst.
//
// Not thread-safe.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "collectors/snapshot.h"
#include "collectors/vm_id.h"

namespace vcpu {

class VcpuSums {
 public:
  // Takes in what the vCPUs of this snapshot have got by now, and forgets VMs
  // that are not in it.
  void see(const Snapshot& snapshot);

  // Of a VM of the last snapshot; empty where the kernel has told of none of
  // its vCPUs. Switches and migrations are empty where it does not tell those.
  std::optional<SchedStat> of(const Vm& vm) const;

 private:
  struct OfVm {
    std::map<int, SchedStat> last;  // By the vCPU's index.
    std::optional<SchedStat> sum;
  };
  static void take_in(const Vm& vm, OfVm& known);

  std::map<VmId, OfVm> vms_;
};

}  // namespace vcpu
