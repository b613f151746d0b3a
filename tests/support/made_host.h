// SPDX-License-Identifier: Apache-2.0
//
// MadeHost: a host with any number of virtual machines that are all alike, as
// libvirt starts them, to measure on: files of /proc, of control groups
// (version 2, after the kernel's documentation), and what libvirt and a QEMU
// say. Nothing of it runs.
#pragma once

#include <memory>
#include <string>

#include "collectors/libvirt/monitor.h"
#include "collectors/libvirt/view.h"
#include "tests/support/proc_tree.h"

namespace vcpu {

class MadeHost {
 public:
  MadeHost(int vms, int vcpus);

  Roots roots() const { return tree_.roots(); }
  std::shared_ptr<const LibvirtView> libvirt() const { return libvirt_; }
  std::shared_ptr<MonitorSource> monitor() const { return monitor_; }
  // A file of /proc, of the first VM or of the host.
  std::string proc(const std::string& name) const { return tree_.proc(name); }

  static pid_t pid_of(int vm) { return 1000 * (vm + 1); }

 private:
  void make(int vm, int vcpus, LibvirtView& libvirt, MonitorView& monitor);

  ProcTree tree_;
  std::shared_ptr<const LibvirtView> libvirt_;
  std::shared_ptr<MonitorSource> monitor_;
};

}  // namespace vcpu
