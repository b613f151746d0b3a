// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/numa_stat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

// Linux 6.1, two nodes, shortened at the end.
constexpr const char* kV2 =
    "anon N0=134328320 N1=67108864\n"
    "file N0=4096 N1=8192\n"
    "kernel_stack N0=49152 N1=16384\n"
    "pagetables N0=327680 N1=0\n"
    "sec_pagetables N0=0 N1=0\n"
    "shmem N0=0 N1=1048576\n"
    "file_mapped N0=0 N1=0\n"
    "anon_thp N0=132120576 N1=67108864\n"
    "inactive_anon N0=134299648 N1=67108864\n"
    "unevictable N0=4096 N1=0\n";

// Linux 6.18.
constexpr const char* kV1 =
    "total=4334 N0=4334\n"
    "file=115 N0=115\n"
    "anon=374 N0=374\n"
    "unevictable=3845 N0=3845\n"
    "hierarchical_total=300035 N0=300035\n"
    "hierarchical_file=143776 N0=143776\n"
    "hierarchical_anon=152414 N0=152414\n"
    "hierarchical_unevictable=3845 N0=3845\n";

TEST(MemoryNumaStat, IsAnonymousAndSharedMemoryInVersionTwo) {
  const auto stat = parse_memory_numa_stat(kV2, 2, 4096);
  ASSERT_TRUE(stat);
  EXPECT_THAT(stat->anon_and_shmem,
              ElementsAre(Pair(0, 134328320), Pair(1, 68157440)));
  EXPECT_THAT(stat->hugetlb, IsEmpty());
}

TEST(MemoryNumaStat, HasHugePagesWhereTheyAreCountedAsMemory) {
  const auto stat = parse_memory_numa_stat(
      std::string(kV2) + "hugetlb N0=2097152 N1=0\n", 2, 4096);
  ASSERT_TRUE(stat);
  EXPECT_THAT(stat->hugetlb, ElementsAre(Pair(0, 2097152), Pair(1, 0)));
}

TEST(MemoryNumaStat, IsPagesOfAllGroupsBelowInVersionOneLockedOnesToo) {
  const auto stat = parse_memory_numa_stat(kV1, 1, 4096);
  ASSERT_TRUE(stat);
  EXPECT_THAT(stat->anon_and_shmem,
              ElementsAre(Pair(0, (152414U + 3845U) * 4096U)));
}

TEST(MemoryNumaStat, RefusesGarbage) {
  for (const std::string text :
       {"", "anon\n", "anon N0=1\n", "shmem N0=1\n", "anon N0=x\nshmem N0=1\n",
        "anon N=1\nshmem N0=1\n", "anon N0\nshmem N0=1\n",
        "anon 0=1\nshmem N0=1\n", "anon N0=-1\nshmem N0=1\n",
        "anonymous N0=1\nshmem N0=1\n", "anon N0=1 N1\nshmem N0=1\n"})
    EXPECT_FALSE(parse_memory_numa_stat(text, 2, 4096)) << text;
  EXPECT_FALSE(parse_memory_numa_stat(kV2, 1, 4096));
  EXPECT_FALSE(parse_memory_numa_stat(kV1, 2, 4096));
}

TEST(MemoryNumaStat, RandomTextNeverHurts) {
  std::mt19937 random(7);
  const std::string whole = kV2;
  for (int round = 0; round < 2000; ++round) {
    std::string damaged = whole.substr(0, random() % whole.size());
    for (int edits = 0; edits < 3 && !damaged.empty(); ++edits)
      damaged[random() % damaged.size()] = "N=0 \n-x"[random() % 7];
    (void)parse_memory_numa_stat(damaged, 2, 4096);
  }
}

TEST(HugetlbNumaStat, IsWithAllGroupsBelow) {
  EXPECT_THAT(*parse_hugetlb_numa_stat("total=4194304 N0=2097152 N1=2097152\n"),
              ElementsAre(Pair(0, 2097152), Pair(1, 2097152)));
  EXPECT_THAT(*parse_hugetlb_numa_stat("total=0 N0=0\n"
                                       "hierarchical_total=4096 N0=4096\n"),
              ElementsAre(Pair(0, 4096)));
}

TEST(HugetlbNumaStat, RefusesGarbage) {
  for (const auto* text : {"", "total", "total=1 N0", "0\n"})
    EXPECT_EQ(parse_hugetlb_numa_stat(text).has_value(),
              std::string(text) == "total")
        << text;
}

TEST(NodeBytes, AddUp) {
  NodeBytes sum{{0, 1}};
  add_to(sum, {{0, 2}, {3, 4}});
  EXPECT_THAT(sum, ElementsAre(Pair(0, 3), Pair(3, 4)));
  EXPECT_EQ(total(sum), 7U);
}

}  // namespace
}  // namespace vcpu
