// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <memory>
#include <string>

#include "collectors/catalog.h"

namespace vcpu {
namespace {

struct Load {
  double vcpus = 0;
  std::map<int, double> assigned;  // Logical CPU -> sum of 1/allowed CPUs.
  std::map<int, int> pinned;  // Logical CPU -> vCPUs that may use no other.
};

Load load_of(const Snapshot& snapshot) {
  Load load;
  for (const int cpu : snapshot.host->online) {
    load.assigned[cpu] = 0;
    load.pinned[cpu] = 0;
  }
  // Equal masks are one object, so a mask is spread once, not once per vCPU.
  std::map<const CpuSet*, int> by_mask;
  for (const Vm& vm : snapshot.vms) {
    for (const Thread& vcpu : vm.vcpus()) {
      ++load.vcpus;
      if (vcpu.allowed) ++by_mask[vcpu.allowed.get()];
    }
  }
  for (const auto& [mask, vcpus] : by_mask) {
    for (const int cpu : *mask)
      load.assigned[cpu] += vcpus / static_cast<double>(mask->size());
    if (mask->size() == 1) load.pinned[mask->front()] += vcpus;
  }
  return load;
}

void add_topology(const Topology& host, Families& families) {
  families
      .gauge("vcpu_host_logical_cpus",
             "Online logical CPUs; from /sys/devices/system/cpu/online.")
      .add({}, static_cast<double>(host.online.size()));
  families
      .gauge("vcpu_host_cores",
             "Physical cores with a CPU online; from "
             "/sys/devices/system/cpu/cpuN/topology/core_cpus_list.")
      .add({}, host.cores());
  if (const auto nodes = host.nodes(); !nodes.empty()) {
    families
        .gauge("vcpu_host_numa_nodes",
               "NUMA nodes with a CPU online; from /sys/devices/system/node.")
        .add({}, static_cast<double>(nodes.size()));
  }
}

void add_host(const Topology& host, const Load& load, Families& families) {
  families
      .gauge("vcpu_host_vcpus",
             "vCPU threads of all virtual machines; from /proc.")
      .add({}, load.vcpus);
  families
      .gauge("vcpu_host_thread_density_ratio",
             "vCPUs per physical core; from /proc and /sys/devices/system/cpu.")
      .add({}, load.vcpus / host.cores());
}

void add_nodes(const Topology& host, const Load& load, Families& families) {
  auto& density = families.gauge(
      "vcpu_node_thread_density_ratio",
      "vCPUs per physical core of a NUMA node, each vCPU shared out over the "
      "CPUs it may use; from /proc/PID/task/TID/status.");
  for (const int node : host.nodes()) {
    double vcpus = 0;
    for (const auto& [cpu, share] : load.assigned)
      if (host.node(cpu) == node) vcpus += share;
    density.add({{"numa_node", std::to_string(node)}},
                vcpus / host.cores_of_node(node));
  }
}

void add_cpus(const Load& load, Families& families) {
  auto& assigned = families.gauge(
      "vcpu_cpu_assigned_vcpus",
      "vCPUs that this CPU has to carry, each vCPU shared out over the CPUs it "
      "may use; from /proc/PID/task/TID/status.");
  auto& pinned = families.gauge(
      "vcpu_cpu_pinned_vcpus",
      "vCPUs that may use this CPU alone, more than 1 being an overlap of "
      "pins; from /proc/PID/task/TID/status.");
  for (const auto& [cpu, share] : load.assigned)
    assigned.add({{"cpu", std::to_string(cpu)}}, share);
  for (const auto& [cpu, vcpus] : load.pinned)
    pinned.add({{"cpu", std::to_string(cpu)}}, vcpus);
}

class Density final : public Collector {
 public:
  std::string_view name() const override { return "density"; }

  Result<void> collect(const Snapshot& snapshot, Families& families) override {
    families.source("numa_nodes", snapshot.host->nodes().empty()
                                      ? "this kernel knows no NUMA nodes"
                                      : "");
    add_topology(*snapshot.host, families);
    // The inventory says what could not be read.
    if (!snapshot.whole) return {};
    const Load load = load_of(snapshot);
    add_host(*snapshot.host, load, families);
    add_nodes(*snapshot.host, load, families);
    add_cpus(load, families);
    return {};
  }
};

}  // namespace

std::unique_ptr<Collector> make_density(const CollectorOptions& /*options*/) {
  return std::make_unique<Density>();
}

}  // namespace vcpu
