// SPDX-License-Identifier: Apache-2.0
//
// Whether a VM's vCPUs run where its memory lies. Pure.
//
// Expected of one access to memory, over the VM's vCPUs by the time they ran
// (by heads where none ran): each is taken to use all of the VM's memory alike.
// Where libvirt has bound every guest NUMA cell of the VM to host nodes, a vCPU
// uses its own cell's memory alone: all of it is near while the vCPU runs on
// one of these nodes, and none of it otherwise. There vCPUs count by heads: one
// that has run little so far is bound no less.
#pragma once

#include <optional>

#include "collectors/kernel/numa_stat.h"
#include "collectors/snapshot.h"
#include "collectors/topology.h"

namespace vcpu {

struct NumaPlacement {
  double misplacement = 0;  // Share of accesses that cross nodes, 0 to 1.
  std::optional<double> distance;  // Mean distance / local distance. Empty: the
                                   // firmware does not tell.
};

// `memory` is null where it is not known. Empty where nothing can be said: no
// node of a vCPU is known, or the memory is neither known nor bound.
std::optional<NumaPlacement> placement_of(const Vm& vm, const Topology& host,
                                          const NodeBytes* memory);

}  // namespace vcpu
