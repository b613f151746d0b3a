// SPDX-License-Identifier: Apache-2.0
//
// KvmDebugfs: KVM's statistics of each VM, whatever its VMM, by debugfs.
//
// debugfs is mounted for root alone, but what lies in it is not closed further:
// who has opened its directory of KVM while he was root reads on without any
// right. So open() comes before rights are given up. The kernel sums the files
// over the VM's vCPUs, those that are unplugged included; it takes no lock of a
// guest for that. One thread.
//
// Source: /sys/kernel/debug/kvm/PID-FD/, PID being the thread that made the VM.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "collectors/base/file.h"
#include "collectors/kernel/kvm_stats.h"
#include "collectors/snapshot.h"

namespace vcpu {

class KvmDebugfs {
 public:
  explicit KvmDebugfs(std::string sys) : sys_(std::move(sys)) {}

  void open();
  bool is_open() const { return directory_.has_value(); }

  // Which VMs there are now; before the of() of a scrape.
  Result<void> list();
  // Empty where the kernel shows nothing of that VM. An Error: one that it
  // shows could not be read, and what is left would not add up.
  Result<KvmStats> of(const Vm& vm) const;

 private:
  std::string sys_;
  std::optional<Directory> directory_;
  std::map<pid_t, std::string> names_;  // Of the VMs' directories.
};

}  // namespace vcpu
