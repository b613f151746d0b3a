// SPDX-License-Identifier: Apache-2.0
//
// Topology: the host's online CPUs, cores and NUMA nodes.
//
// Source: /sys/devices/system/cpu and /sys/devices/system/node,
// https://docs.kernel.org/admin-guide/cputopology.html
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "collectors/base/result.h"
#include "collectors/base/roots.h"

namespace vcpu {

using CpuSet = std::vector<int>;  // Logical CPUs, ascending, without repeats.

struct Topology {
  CpuSet online;
  std::map<int, int> core_of;  // Logical CPU -> lowest CPU of its core.
  std::map<int, int> node_of;  // Logical CPU -> NUMA node; empty: no NUMA.
  // From one online node to another, those without CPUs or memory included: the
  // firmware's distance, at least 1, 10 being local. Empty: it tells none.
  std::map<std::pair<int, int>, int> distance;

  int cores() const;  // Physical cores with a CPU online.
  int cores_of_node(int node) const;
  std::vector<int> nodes() const;  // With a CPU online, ascending.
  std::optional<int> node(int cpu) const;
};

Result<Topology> read_topology(const Roots& roots);

// The same from scrape to scrape, where it costs a file for each CPU. All of it
// changes only when a CPU or node goes online or offline, so it is kept while
// those that are online stay the same; for so many calls at most, as one may
// have come in the midst of a change.
class TopologyReader {
 public:
  static constexpr unsigned kCallsKept = 64;

  explicit TopologyReader(Roots roots) : roots_(std::move(roots)) {}
  Result<std::shared_ptr<const Topology>> read();

 private:
  Roots roots_;
  std::string online_;  // As the kernel prints them.
  std::shared_ptr<const Topology> known_;
  unsigned calls_left_ = 0;
};

}  // namespace vcpu
