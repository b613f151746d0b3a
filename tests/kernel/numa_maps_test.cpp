// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/numa_maps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr const char* kText =
    "55d0c1e00000 default file=/usr/bin/qemu mapped=12 N0=12 "
    "kernelpagesize_kB=4\n"
    "7f0000000000 default anon=513 dirty=513 N1=513 kernelpagesize_kB=4\n"
    "7f2a00000000 bind:0 file=/anon_hugepage\\040(deleted) huge anon=8 dirty=8 "
    "N0=6 N1=2 kernelpagesize_kB=2048\n"
    "7f3a00000000 bind:1 file=/dev/hugepages1G/x huge dirty=1 N1=1 "
    "kernelpagesize_kB=1048576\n"
    "7f4a00000000 default file=/dev/hugepages/untouched huge\n"
    "7ffc00000000 default stack anon=3 dirty=3 N0=3 kernelpagesize_kB=4\n";

TEST(NumaMaps, AddsUpHugePagesOfAllSizesAndNothingElse) {
  constexpr std::uint64_t kMebi = 1U << 20;
  EXPECT_THAT(*parse_huge_numa_maps(kText),
              ElementsAre(Pair(0, 12 * kMebi), Pair(1, (4 + 1024) * kMebi)));
}

TEST(NumaMaps, IsEmptyWithoutHugePages) {
  EXPECT_THAT(*parse_huge_numa_maps(""), IsEmpty());
  EXPECT_THAT(*parse_huge_numa_maps("7f00 default anon=1 N0=1\n"), IsEmpty());
}

TEST(NumaMaps, ANameIsNotTakenForAWord) {
  EXPECT_THAT(*parse_huge_numa_maps("7f00 default file=/huge N0=1 "
                                    "kernelpagesize_kB=4\n"),
              IsEmpty());
}

TEST(NumaMaps, RefusesHugePagesOfUnknownSize) {
  EXPECT_FALSE(parse_huge_numa_maps("7f00 default huge N0=1\n"));
  EXPECT_FALSE(
      parse_huge_numa_maps("7f00 default huge N0=1 kernelpagesize_kB=x\n"));
}

}  // namespace
}  // namespace vcpu
