// SPDX-License-Identifier: Apache-2.0
//
// An Inventory on a tree of a test, or on this machine.
#pragma once

#include <memory>
#include <utility>

#include "collectors/inventory/bpf_task_reader.h"
#include "collectors/inventory/inventory.h"

namespace vcpu {

inline Inventory inventory_with(std::unique_ptr<TaskReader> tasks,
                                const Roots& roots,
                                std::shared_ptr<const LibvirtView> libvirt =
                                    std::make_shared<const LibvirtView>(),
                                ShownName shown_name = {}) {
  // A test waits for every command line, however busy the machine is.
  return {roots,
          std::move(tasks),
          CommandLines(roots),
          [view = std::move(libvirt)] { return view; },
          std::chrono::seconds(10),
          {},
          std::move(shown_name)};
}

inline Inventory inventory_on(const Roots& roots,
                              std::shared_ptr<const LibvirtView> libvirt =
                                  std::make_shared<const LibvirtView>(),
                              ShownName shown_name = {}) {
  return inventory_with(std::make_unique<BpfTaskReader>(
                            roots, BpfTaskReader::open_program(roots, false)),
                        roots, std::move(libvirt), std::move(shown_name));
}

inline const Vm* find_vm(const Snapshot& snapshot, std::string_view domain) {
  for (const Vm& vm : snapshot.vms)
    if (vm.domain == domain) return &vm;
  return nullptr;
}

}  // namespace vcpu
