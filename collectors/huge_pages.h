// SPDX-License-Identifier: Apache-2.0
//
// The host's huge pages, by size, from /sys/kernel/mm/hugepages
// (Documentation/admin-guide/mm/hugetlbpage.rst).
#pragma once

#include <cstdint>
#include <vector>

#include "collectors/base/result.h"
#include "collectors/base/roots.h"

namespace vcpu {

struct HugePagePool {
  std::uint64_t page_bytes = 0;
  std::uint64_t pages = 0;
  std::uint64_t free_pages = 0;
};

// In no order. An error that is_gone(): the kernel is built without them.
// Another: a pool could not be read, and a sum over the rest would be wrong.
Result<std::vector<HugePagePool>> read_huge_pages(const Roots& roots);

}  // namespace vcpu
