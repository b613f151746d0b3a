// SPDX-License-Identifier: Apache-2.0
#include "collectors/numa_placement.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace vcpu {
namespace {

using Shares = std::map<int, double>;  // Node -> share of the accesses to it.
using Nodes = std::vector<int>;

struct PlacedVcpu {
  const Thread* vcpu;
  int node;  // That it runs on.
  double weight = 1;
};

std::vector<PlacedVcpu> placed_vcpus(const Vm& vm, const Topology& host) {
  std::vector<PlacedVcpu> placed;
  for (const Thread& vcpu : vm.vcpus()) {
    const auto node = vcpu.cpu ? host.node(*vcpu.cpu) : std::nullopt;
    if (node) placed.push_back({&vcpu, *node});
  }
  return placed;
}

// Where the kernel tells of some how long they ran. False: not of all, and by
// those alone that it is told of it would be wrong.
bool weigh_by_run_time(const Vm& vm, std::vector<PlacedVcpu>& placed) {
  const auto told =
      std::count_if(vm.vcpus().begin(), vm.vcpus().end(),
                    [](const Thread& vcpu) { return vcpu.sched.has_value(); });
  if (told == 0) return true;
  if (std::cmp_less(told, vm.vcpu_count)) return false;
  const bool ran = std::any_of(
      placed.begin(), placed.end(),
      [](const PlacedVcpu& each) { return each.vcpu->sched->run_ns > 0; });
  if (!ran) return true;
  for (PlacedVcpu& each : placed)
    each.weight = static_cast<double>(each.vcpu->sched->run_ns);
  return true;
}

const Nodes* bound_nodes(const LibvirtDomain& domain, int vcpu) {
  for (const LibvirtCell& cell : domain.cells) {
    const bool its =
        std::binary_search(cell.vcpus.begin(), cell.vcpus.end(), vcpu);
    if (its) return cell.nodes.empty() ? nullptr : &cell.nodes;
  }
  return nullptr;
}

bool all_bound(const Vm& vm, const std::vector<PlacedVcpu>& vcpus) {
  if (vm.libvirt == nullptr) return false;
  return std::all_of(vcpus.begin(), vcpus.end(), [&](const PlacedVcpu& each) {
    return bound_nodes(*vm.libvirt, each.vcpu->vcpu) != nullptr;
  });
}

Shares shares_of_cell(const Nodes& nodes, int running_on) {
  if (std::find(nodes.begin(), nodes.end(), running_on) != nodes.end())
    return {{running_on, 1}};
  Shares shares;
  for (const int node : nodes)
    shares[node] = 1 / static_cast<double>(nodes.size());
  return shares;
}

Shares shares_of(const NodeBytes& memory) {
  Shares shares;
  const auto all = static_cast<double>(total(memory));
  if (all == 0) return shares;
  for (const auto& [node, bytes] : memory)
    if (bytes > 0) shares[node] = static_cast<double>(bytes) / all;
  return shares;
}

// Of accesses from that node, over the distance within it.
std::optional<double> distance(const Topology& host, int from,
                               const Shares& shares) {
  const auto& distances = host.distance;
  const auto local = distances.find({from, from});
  if (local == distances.end()) return std::nullopt;
  double sum = 0;
  for (const auto& [node, share] : shares) {
    const auto found = distances.find({from, node});
    if (found == distances.end()) return std::nullopt;
    sum += share * found->second / local->second;
  }
  return sum;
}

double share_elsewhere(const Shares& shares, int node) {
  const auto here = shares.find(node);
  return here == shares.end() ? 1 : 1 - here->second;
}

}  // namespace

std::optional<NumaPlacement> placement_of(const Vm& vm, const Topology& host,
                                          const NodeBytes* memory) {
  auto vcpus = placed_vcpus(vm, host);
  const bool bound = all_bound(vm, vcpus);
  if (!bound && !weigh_by_run_time(vm, vcpus)) return std::nullopt;
  const auto of_vm = memory == nullptr ? Shares{} : shares_of(*memory);
  if (vcpus.empty() || (!bound && of_vm.empty())) return std::nullopt;
  // Divided at the end, as parts of 1 need not add up to it.
  double weights = 0;
  double elsewhere = 0;
  double distances = 0;
  bool all_told = true;
  for (const auto& [vcpu, node, weight] : vcpus) {
    const auto shares =
        bound ? shares_of_cell(*bound_nodes(*vm.libvirt, vcpu->vcpu), node)
              : of_vm;
    weights += weight;
    elsewhere += weight * share_elsewhere(shares, node);
    const auto far = distance(host, node, shares);
    all_told = all_told && far;
    distances += weight * far.value_or(0);
  }
  NumaPlacement placement{elsewhere / weights, std::nullopt};
  if (all_told) placement.distance = distances / weights;
  return placement;
}

}  // namespace vcpu
