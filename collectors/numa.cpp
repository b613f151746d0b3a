// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "collectors/base/file.h"
#include "collectors/base/kept_files.h"
#include "collectors/catalog.h"
#include "collectors/huge_pages.h"
#include "collectors/kernel/numa_stat.h"
#include "collectors/kernel/task_status.h"
#include "collectors/numa_maps_reader.h"
#include "collectors/numa_placement.h"

namespace vcpu {
namespace {

constexpr std::size_t kKeptFiles = 1024;
constexpr const char* kGroupSource = "vm_memory_cgroup";
constexpr const char* kHugeSource = "vm_hugepages";

const char* why_no_distance(const Topology& host) {
  const auto nodes = host.nodes();
  if (nodes.empty()) return "this kernel knows no NUMA nodes";
  if (host.distance.empty()) return "the firmware tells no node distances";
  const bool all = std::all_of(nodes.begin(), nodes.end(), [&](int node) {
    return host.distance.contains({node, node});
  });
  return all ? ""
             : "a node's distances are not those to the nodes that are online";
}

void add_distances(const Topology& host, Families& families) {
  families.source("numa_distance", why_no_distance(host));
  auto& distance = families.gauge(
      "vcpu_host_numa_distance",
      "How far the memory of node `to` is from the CPUs of node `from`, 10 "
      "being local, as the firmware says; from "
      "/sys/devices/system/node/nodeN/distance.");
  for (const auto& [nodes, value] : host.distance) {
    distance.add({{"from", std::to_string(nodes.first)},
                  {"to", std::to_string(nodes.second)}},
                 value);
  }
}

// As the hugetlb controller calls pages: "64KB", "2MB", "1GB".
std::string size_name(std::uint64_t bytes) {
  constexpr std::uint64_t kStep = 1024;
  std::uint64_t count = bytes / kStep;
  const char* unit = "KB";
  for (const char* const larger : {"MB", "GB"}) {
    if (count < kStep) break;
    count /= kStep;
    unit = larger;
  }
  return std::to_string(count) + unit;
}

class Numa final : public Collector {
 public:
  explicit Numa(const CollectorOptions& options) : roots_(options.roots) {
    if (options.numa.maps) maps_ = std::make_unique<NumaMapsReader>(roots_);
  }

  std::string_view name() const override { return "numa"; }

  Result<void> collect(const Snapshot& snapshot, Families& families) override {
    add_distances(*snapshot.host, families);
    auto& memory = families.gauge(
        "vcpu_domain_memory_bytes",
        "The VM's memory on a NUMA node: anonymous and shared, without page "
        "cache, with those huge pages whose place is known; from "
        "memory.numa_stat and hugetlb.SIZE.numa_stat of its control group.");
    auto& misplacement = families.gauge(
        "vcpu_domain_numa_misplacement_ratio",
        "Expected share of the VM's memory accesses that cross NUMA nodes, its "
        "vCPUs weighted by their run time, or the share of its vCPUs off the "
        "nodes that their guest cells are bound to; from memory.numa_stat and "
        "/proc/PID/task/TID/stat, and libvirt's guest cells.");
    auto& distance = families.gauge(
        "vcpu_domain_numa_distance_ratio",
        "The same accesses' mean distance, over that of local memory; from "
        "/sys/devices/system/node/nodeN/distance.");
    families.source(kGroupSource, "");
    families.source(kHugeSource, "");
    auto sizes = huge_sizes_in_use();
    if (!sizes) return sizes.error();
    huge_sizes_ = *std::move(sizes);
    for (const Vm& vm : snapshot.vms) {
      const auto lies = memory_of(vm, snapshot.cgroups->of(vm.id()), families);
      for (const auto& [node, bytes] : lies.bytes) {
        memory.add(vm.labels, {{"numa_node", std::to_string(node)}},
                   static_cast<double>(bytes));
      }
      if (!vm.whole) continue;
      const auto placement =
          placement_of(vm, *snapshot.host, lies.whole ? &lies.bytes : nullptr);
      if (!placement) continue;
      misplacement.add(vm.labels, placement->misplacement);
      if (placement->distance) distance.add(vm.labels, *placement->distance);
    }
    if (maps_) maps_->forget_unasked();
    kept_.close_unread();
    return {};
  }

 private:
  struct Memory {
    NodeBytes bytes;
    bool whole = false;  // No part of it is missing.
  };

  Memory memory_of(const Vm& vm, const VmCgroup& group, Families& families) {
    if (!group.problem.empty()) {
      families.problem(group.problem);
      return {};
    }
    if (!group.memory) {
      if (exists(path_of(vm)))
        families.source(kGroupSource, group.memory.missing_reason);
      return {};
    }
    const auto stat = memory_stat(group.memory, families);
    if (!stat) return {};
    Memory memory{stat->anon_and_shmem, true};
    const auto huge = huge_pages(vm, group.hugetlb, stat->hugetlb, families);
    // Without them it would seem to have given them back.
    if (!huge) {
      say_unread(huge.error(), kHugeSource, families);
      return {};
    }
    if (*huge) add_to(memory.bytes, **huge);
    memory.whole = huge->has_value();
    return memory;
  }

  std::optional<MemoryNumaStat> memory_stat(const Cgroup& group,
                                            Families& families) {
    static const auto page_bytes =
        static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    const auto text = kept_.read(group.directory + "/memory.numa_stat");
    if (!text) {
      // The group of a VM that has ended is gone as a whole.
      if (!is_gone(text.error())) {
        say_unread(text.error(), kGroupSource, families);
      } else if (exists(group.directory)) {
        families.source(kGroupSource,
                        "a VM's group has no memory.numa_stat; give it the "
                        "memory controller (version 2: from Linux 5.10)");
      }
      return std::nullopt;
    }
    const auto stat = parse_memory_numa_stat(*text, group.version, page_bytes);
    if (!stat) {
      families.problem(group.directory + "/" + stat.error().message());
      return std::nullopt;
    }
    return *stat;
  }

  // Empty where it has some whose place nobody tells.
  Result<std::optional<NodeBytes>> huge_pages(const Vm& vm, const Cgroup& group,
                                              const NodeBytes& in_memory_stat,
                                              Families& families) {
    using Known = std::optional<NodeBytes>;
    if (huge_sizes_.empty()) return Known(NodeBytes());
    const auto all = huge_bytes(vm);
    if (!all) return all.error();
    if (*all == 0) return Known(NodeBytes());
    auto counted = in_hugetlb_group(group);
    if (!counted) return counted.error();
    if (total(*counted) == 0) counted = in_memory_stat;
    // A group's counts and the process's differ where pages are shared.
    if (total(*counted) >= *all / 2) return Known(*std::move(counted));
    if (!maps_) {
      families.source(kHugeSource,
                      "a VM's huge pages are counted by no hugetlb group; "
                      "--collector.numa.maps finds out where they lie");
      return Known();
    }
    const auto read = maps_->of(vm.id());
    if (read.missing_reason.empty()) return Known(read.huge);
    families.source(kHugeSource, read.missing_reason);
    return Known();
  }

  Result<std::uint64_t> huge_bytes(const Vm& vm) const {
    if (vm.memory_use) return vm.memory_use->hugetlb_bytes;
    const auto memory = read_as(path_of(vm) + "/status", parse_process_memory);
    if (memory) return memory->hugetlb_bytes.value_or(0);
    if (is_gone(memory.error())) return std::uint64_t{0};
    return memory.error();
  }

  Result<NodeBytes> in_hugetlb_group(const Cgroup& group) const {
    NodeBytes sum;
    if (!group) return sum;
    for (const auto& size : huge_sizes_) {
      const auto nodes =
          read_as(group.directory + "/hugetlb." + size + ".numa_stat",
                  parse_hugetlb_numa_stat);
      if (!nodes && is_gone(nodes.error())) continue;
      if (!nodes) return nodes.error();
      add_to(sum, *nodes);
    }
    return sum;
  }

  // Those of which a page is in use: on most hosts none, and then no VM has to
  // be asked whether it has any.
  Result<std::vector<std::string>> huge_sizes_in_use() const {
    std::vector<std::string> sizes;
    const auto pools = read_huge_pages(roots_);
    if (!pools && is_gone(pools.error())) return sizes;
    if (!pools) return pools.error();
    for (const auto& pool : *pools)
      if (pool.pages != pool.free_pages)
        sizes.push_back(size_name(pool.page_bytes));
    return sizes;
  }

  std::string path_of(const Vm& vm) const {
    return roots_.proc + "/" + std::to_string(vm.pid);
  }

  Roots roots_;
  std::unique_ptr<NumaMapsReader> maps_;  // Null: not to be read.
  std::vector<std::string> huge_sizes_;   // Empty: not known.
  KeptFiles kept_{kKeptFiles};
};

}  // namespace

std::unique_ptr<Collector> make_numa(const CollectorOptions& options) {
  return std::make_unique<Numa>(options);
}

}  // namespace vcpu
