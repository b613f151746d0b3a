// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/memory_stat.h"

#include <gtest/gtest.h>

#include <string>

namespace vcpu {
namespace {

// Linux 5.10, the middle left out.
constexpr const char* kMemoryStat =
    "cache 1703936\nrss 1073741824\nswap 4096\npgfault 330\n"
    "hierarchical_memory_limit 9223372036854771712\n"
    "total_cache 1703936\ntotal_rss 1073741824\ntotal_swap 135168\n";

TEST(MemoryStat, CountsTheGroupsBelowToo) {
  const auto stat = parse_memory_stat(kMemoryStat);
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->swap_bytes, 135168U);
}

TEST(MemoryStat, IsEmptyWhereSwapIsNotAccounted) {
  const auto stat = parse_memory_stat("cache 1703936\ntotal_cache 1703936\n");
  ASSERT_TRUE(stat);
  EXPECT_FALSE(stat->swap_bytes);
}

TEST(MemoryStat, IsMalformedWhereItIsNoNumber) {
  for (const std::string bytes :
       {"", "x", "-1", "1 2", "18446744073709551616", "\xff"}) {
    const auto stat = parse_memory_stat("total_swap " + bytes + "\n");
    ASSERT_FALSE(stat) << bytes;
    EXPECT_EQ(stat.error().context, "memory.stat");
  }
}

}  // namespace
}  // namespace vcpu
