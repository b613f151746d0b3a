// SPDX-License-Identifier: Apache-2.0
//
// An Inventory on a tree of a test, or on this machine.
#pragma once

#include <memory>
#include <utility>

#include "collectors/inventory/inventory.h"
#include "collectors/inventory/procfs_task_reader.h"

namespace vcpu {

inline Inventory inventory_on(const Roots& roots,
                              std::shared_ptr<const LibvirtView> libvirt =
                                  std::make_shared<const LibvirtView>()) {
  // A test waits for every command line, however busy the machine is.
  return {roots, std::make_unique<ProcfsTaskReader>(roots), CommandLines(roots),
          [view = std::move(libvirt)] { return view; },
          std::chrono::seconds(10)};
}

inline const Vm* find_vm(const Snapshot& snapshot, std::string_view domain) {
  for (const Vm& vm : snapshot.vms)
    if (vm.domain == domain) return &vm;
  return nullptr;
}

}  // namespace vcpu
