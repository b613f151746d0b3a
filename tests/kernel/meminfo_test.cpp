// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/meminfo.h"

#include <gtest/gtest.h>

#include <string>

namespace vcpu {
namespace {

// Linux 6.1, the middle left out.
constexpr const char* kMeminfo =
    "MemTotal:       32798144 kB\n"
    "MemFree:         1040384 kB\n"
    "MemAvailable:   20971520 kB\n"
    "Buffers:          131072 kB\n"
    "SwapCached:          512 kB\n"
    "SwapTotal:       8388604 kB\n"
    "SwapFree:        8380000 kB\n"
    "PageTables:        62208 kB\n"
    "SecPageTables:     10240 kB\n"
    "HugePages_Total:     512\n"
    "Hugepagesize:       2048 kB\n";

TEST(Meminfo, TellsBytes) {
  const auto info = parse_meminfo(kMeminfo);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->total_bytes, 32798144UL * 1024);
  EXPECT_EQ(info->available_bytes, 20971520UL * 1024);
  EXPECT_EQ(info->swap_total_bytes, 8388604UL * 1024);
  EXPECT_EQ(info->swap_free_bytes, 8380000UL * 1024);
  EXPECT_EQ(info->page_tables_bytes, 62208UL * 1024);
}

TEST(Meminfo, IsEmptyWhereAKernelTellsNothing) {
  const auto info = parse_meminfo("MemTotal: 4 kB\n");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->total_bytes, 4096U);
  EXPECT_FALSE(info->available_bytes);
  EXPECT_FALSE(info->swap_total_bytes);
  EXPECT_FALSE(info->swap_free_bytes);
  EXPECT_FALSE(info->page_tables_bytes);
}

TEST(Meminfo, IsMalformedWithoutATotal) {
  for (const auto* text : {"", "\n", "SwapTotal: 4 kB\n", "MemTotal: 0 kB\n",
                           "XMemTotal: 4 kB\n", "\xff\xfe"}) {
    const auto info = parse_meminfo(text);
    ASSERT_FALSE(info) << text;
    EXPECT_EQ(info.error().code, std::errc::bad_message);
    EXPECT_EQ(info.error().context, "meminfo");
  }
}

TEST(Meminfo, IsMalformedWhereALineIsNoAmount) {
  for (const std::string line :
       {"SwapTotal:\n", "SwapFree: kB\n", "SwapFree: x kB\n",
        "PageTables: -4 kB\n", "PageTables: 4\n", "PageTables: 4 MB\n",
        "PageTables: 4 kB 4\n", "MemAvailable: 1.5 kB\n",
        "MemAvailable: 18014398509481984 kB\n"}) {
    EXPECT_FALSE(parse_meminfo("MemTotal: 4 kB\n" + line)) << line;
  }
  EXPECT_TRUE(parse_meminfo("MemTotal: 18014398509481983 kB\n"));
}

}  // namespace
}  // namespace vcpu
