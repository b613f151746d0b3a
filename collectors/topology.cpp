// SPDX-License-Identifier: Apache-2.0
#include "collectors/topology.h"

#include <algorithm>
#include <set>

#include "collectors/base/file.h"
#include "collectors/kernel/cpu_list.h"
#include "collectors/kernel/node_distance.h"

namespace vcpu {
namespace {

Result<CpuSet> read_cpu_list(const std::string& path) {
  const auto text = read_file(path);
  if (!text) return text.error();
  auto cpus = parse_cpu_list(*text);
  if (!cpus) return Error{cpus.error().code, path};
  return cpus;
}

// The lowest online CPU of the core that `cpu` is part of. A kernel that does
// not tell (some ARM boards, small VMs) leaves every CPU a core of its own.
Result<int> core_of(const std::string& cpu_root, int cpu,
                    const CpuSet& online) {
  const auto path = cpu_root + "/cpu" + std::to_string(cpu) + "/topology/";
  auto siblings = read_cpu_list(path + "core_cpus_list");
  // The name before Linux 5.3.
  if (!siblings && is_gone(siblings.error()))
    siblings = read_cpu_list(path + "thread_siblings_list");
  if (!siblings && is_gone(siblings.error())) return cpu;
  if (!siblings) return siblings.error();
  for (const int sibling : *siblings) {
    if (std::binary_search(online.begin(), online.end(), sibling))
      return sibling;
  }
  return cpu;
}

std::string node_path(const std::string& node_root, int node) {
  return node_root + "/node" + std::to_string(node);
}

Result<std::map<int, int>> read_node_of(const std::string& node_root,
                                        const std::vector<int>& nodes) {
  std::map<int, int> node_of;
  for (const int node : nodes) {
    const auto cpus = read_cpu_list(node_path(node_root, node) + "/cpulist");
    if (!cpus && is_gone(cpus.error())) continue;
    if (!cpus) return cpus.error();
    for (const int cpu : *cpus) node_of[cpu] = node;
  }
  return node_of;
}

// A row that does not fit the nodes is left out: a node came or went meanwhile.
Result<std::map<std::pair<int, int>, int>> read_distances(
    const std::string& node_root, const std::vector<int>& nodes) {
  std::map<std::pair<int, int>, int> distance;
  for (const int from : nodes) {
    const auto text = read_file(node_path(node_root, from) + "/distance");
    if (!text && is_gone(text.error())) continue;
    if (!text) return text.error();
    const auto row = parse_node_distances(*text);
    if (!row || row->size() != nodes.size()) continue;
    for (std::size_t to = 0; to < nodes.size(); ++to)
      distance[{from, nodes[to]}] = (*row)[to];
  }
  return distance;
}

Result<void> read_nodes(const std::string& node_root, Topology& topology) {
  const auto nodes = read_cpu_list(node_root + "/online");
  if (!nodes && is_gone(nodes.error())) return {};  // No NUMA.
  if (!nodes) return nodes.error();
  auto node_of = read_node_of(node_root, *nodes);
  if (!node_of) return node_of.error();
  topology.node_of = *std::move(node_of);
  auto distance = read_distances(node_root, *nodes);
  if (!distance) return distance.error();
  topology.distance = *std::move(distance);
  return {};
}

}  // namespace

int Topology::cores() const {
  std::set<int> cores;
  for (const auto& [cpu, core] : core_of) cores.insert(core);
  return static_cast<int>(cores.size());
}

int Topology::cores_of_node(int node) const {
  std::set<int> cores;
  for (const auto& [cpu, core] : core_of)
    if (this->node(cpu) == node) cores.insert(core);
  return static_cast<int>(cores.size());
}

std::vector<int> Topology::nodes() const {
  std::set<int> nodes;
  for (const int cpu : online)
    if (const auto found = node(cpu)) nodes.insert(*found);
  return {nodes.begin(), nodes.end()};
}

std::optional<int> Topology::node(int cpu) const {
  const auto found = node_of.find(cpu);
  if (found == node_of.end()) return std::nullopt;
  return found->second;
}

Result<Topology> read_topology(const Roots& roots) {
  const std::string cpu_root = roots.sys + "/devices/system/cpu";
  auto online = read_cpu_list(cpu_root + "/online");
  if (!online) return online.error();
  Topology topology;
  topology.online = *std::move(online);
  const auto nodes = read_nodes(roots.sys + "/devices/system/node", topology);
  if (!nodes) return nodes.error();
  for (const int cpu : topology.online) {
    const auto core = core_of(cpu_root, cpu, topology.online);
    if (!core) return core.error();
    topology.core_of[cpu] = *core;
  }
  return topology;
}

Result<std::shared_ptr<const Topology>> TopologyReader::read() {
  std::string online;
  for (const char* const what : {"cpu", "node"}) {
    const auto text =
        read_file(roots_.sys + "/devices/system/" + what + "/online");
    // It has not changed because it cannot be read.
    if (!text && !is_gone(text.error())) {
      if (known_) return known_;
      return text.error();
    }
    online += text ? *text : "none";
  }
  if (calls_left_ > 0 && online == online_) {
    --calls_left_;
    return known_;
  }
  auto topology = read_topology(roots_);
  if (!topology && online == online_) return known_;
  if (!topology) return topology.error();
  known_ = std::make_shared<const Topology>(*std::move(topology));
  online_ = std::move(online);
  calls_left_ = kCallsKept;
  return known_;
}

}  // namespace vcpu
