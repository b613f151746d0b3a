// SPDX-License-Identifier: Apache-2.0
//
// A Snapshot written down in a test, without any /proc.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "collectors/snapshot.h"

namespace vcpu {

// `cores` lists the logical CPUs of each core, `nodes` those of each node.
inline std::shared_ptr<const Topology> host_with(
    const std::vector<std::vector<int>>& cores,
    const std::vector<std::vector<int>>& nodes) {
  Topology host;
  for (const auto& core : cores) {
    for (const int cpu : core) host.core_of[cpu] = core.front();
  }
  for (const auto& [cpu, core] : host.core_of) host.online.push_back(cpu);
  for (std::size_t node = 0; node < nodes.size(); ++node)
    for (const int cpu : nodes[node])
      host.node_of[cpu] = static_cast<int>(node);
  return std::make_shared<const Topology>(std::move(host));
}

inline Thread vcpu_thread(const std::string& domain, int index,
                          std::optional<SchedStat> sched, int cpu,
                          const CpuSet& allowed) {
  Thread thread;
  thread.tid = 1000 + index;
  thread.role = ThreadRole::kVcpu;
  thread.vcpu = index;
  thread.sched = std::move(sched);
  thread.cpu = cpu;
  thread.allowed = std::make_shared<const CpuSet>(allowed);
  thread.labels = LabelSet{{"domain", domain}, {"vcpu", std::to_string(index)}};
  return thread;
}

inline Vm vm_of(const std::string& domain, std::vector<Thread> vcpus) {
  Vm vm;
  vm.domain = domain;
  vm.labels = {{"domain", domain}};
  vm.vmm = "qemu";
  vm.vcpu_count = vcpus.size();
  vm.threads = std::move(vcpus);
  return vm;
}

inline Snapshot snapshot_of(
    std::vector<Vm> vms,
    std::shared_ptr<const Topology> host = host_with({{0}, {1}}, {{0, 1}})) {
  return {std::move(host), std::move(vms),
          std::make_shared<const LibvirtView>(),
          std::make_shared<VmCgroups>(Roots{})};
}

// Those of the snapshot's VMs, by what is below `roots`.
inline std::shared_ptr<VmCgroups> cgroups_of(const Snapshot& snapshot,
                                             const Roots& roots) {
  std::vector<VmCgroups::Member> members;
  for (const Vm& vm : snapshot.vms) members.push_back({vm.id(), 0});
  auto groups = std::make_shared<VmCgroups>(roots);
  groups->begin(members);
  return groups;
}

}  // namespace vcpu
