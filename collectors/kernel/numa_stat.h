// SPDX-License-Identifier: Apache-2.0
//
// memory.numa_stat and hugetlb.SIZE.numa_stat of a control group: on which
// nodes the memory of its processes lies.
// https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
// https://docs.kernel.org/admin-guide/cgroup-v1/memory.html#numa-stat
//
// Version 2, in bytes:
//   anon N0=268435456 N1=0
//   file N0=4096 N1=0
//   shmem N0=0 N1=1048576
// Version 1, in pages, without and with the groups below; its lists of
// anonymous memory hold shared memory too, and locked memory is on none of them
// but `unevictable`:
//   anon=374 N0=374 N1=0
//   unevictable=0 N0=0 N1=0
//   hierarchical_anon=374 N0=374 N1=0
// hugetlb.2MB.numa_stat, in bytes; version 1 has a line hierarchical_total:
//   total=2097152 N0=2097152 N1=0
#pragma once

#include <cstdint>
#include <map>
#include <string_view>

#include "collectors/base/result.h"

namespace vcpu {

using NodeBytes = std::map<int, std::uint64_t>;  // By host NUMA node.

struct MemoryNumaStat {
  NodeBytes anon_and_shmem;  // With the groups below; without page cache.
  NodeBytes hugetlb;  // Where the kernel counts it as memory of the group; else
                      // empty.
};

Result<MemoryNumaStat> parse_memory_numa_stat(std::string_view text,
                                              int version,
                                              std::uint64_t page_bytes);

// With the groups below.
Result<NodeBytes> parse_hugetlb_numa_stat(std::string_view text);

void add_to(NodeBytes& sum, const NodeBytes& more);
std::uint64_t total(const NodeBytes& bytes);

}  // namespace vcpu
