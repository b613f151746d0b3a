// SPDX-License-Identifier: Apache-2.0
//
// VcpuWaits: from the accounts that the kernel keeps of vCPU threads
// (collectors/runqueue.h) to the families of collector runqueue. Pure; one
// thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "collectors/base/families.h"
#include "collectors/base/shown_name.h"
#include "collectors/bpf/runqueue_program.h"
#include "collectors/options.h"
#include "collectors/snapshot.h"
#include "collectors/stolen_time.h"
#include "collectors/vm_id.h"

namespace vcpu {

class VcpuWaits {
 public:
  VcpuWaits(const RunqueueOptions& options, ShownName shown_name)
      : options_(options), shown_name_(std::move(shown_name)) {}

  // What a pass brought of the snapshot's vCPUs.
  void add(const Snapshot& snapshot, AccountRecords& records);

  // Of the snapshot that was added last. `quota`: whether what a CPU quota
  // stopped is told apart.
  void say(const Snapshot& snapshot, bool quota, Families& families) const;

  void clear();

 private:
  struct Victim {
    StolenTime time;
    std::uint64_t missed = 0;  // Passes in which it was not to be seen.
  };
  StolenTime::Domains name_domains(const Snapshot& snapshot);
  void say_waits(const Snapshot& snapshot, Families& families) const;
  void say_culprits(const Snapshot& snapshot, bool quota,
                    Families& families) const;
  std::string shown(const StolenTime::Culprit& culprit) const;

  const RunqueueOptions options_;
  const ShownName shown_name_;
  const std::vector<double> bounds_ = StolenTime::bounds();
  std::map<VmId, Victim> vms_;
  std::map<VmId, std::string> domains_;  // Of the last pass.
  unsigned pass_ = 0;
};

}  // namespace vcpu
