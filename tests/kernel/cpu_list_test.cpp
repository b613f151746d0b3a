// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/cpu_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(CpuList, IsEmptyWhereTheKernelHasNoList) {
  EXPECT_EQ(*parse_cpu_list("(null)\n"), std::vector<int>{});
}

TEST(CpuList, ReadsRangesAndSingles) {
  EXPECT_THAT(*parse_cpu_list("0-3,8,10-11\n"),
              ElementsAre(0, 1, 2, 3, 8, 10, 11));
  EXPECT_THAT(*parse_cpu_list("0-1\n"), ElementsAre(0, 1));
  EXPECT_THAT(*parse_cpu_list("0\n"), ElementsAre(0));
  EXPECT_THAT(*parse_cpu_list("5-5"), ElementsAre(5));
}

TEST(CpuList, IsEmptyForANodeWithoutCpus) {
  for (const auto* text : {"", "\n", " \n"}) {
    const auto cpus = parse_cpu_list(text);
    ASSERT_TRUE(cpus);
    EXPECT_THAT(*cpus, IsEmpty());
  }
}

TEST(CpuList, IsAscendingWithoutRepeats) {
  EXPECT_THAT(*parse_cpu_list("8,0-2,1-3,8"), ElementsAre(0, 1, 2, 3, 8));
}

TEST(CpuList, TakesCarriageReturnsForBlanks) {
  EXPECT_THAT(*parse_cpu_list("0-1\r\n"), ElementsAre(0, 1));
}

TEST(CpuList, ReadsTheLargestHost) {
  EXPECT_EQ(parse_cpu_list("0-65535")->size(), 65536U);
}

TEST(CpuList, RefusesMoreCpusThanThereCanBe) {
  for (const auto* text : {"65536", "0-65536", "0-2147483647", "2147483648",
                           "0-99999999999999999999"}) {
    const auto cpus = parse_cpu_list(text);
    ASSERT_FALSE(cpus) << text;
    EXPECT_EQ(cpus.error().code, std::errc::bad_message);
    EXPECT_EQ(cpus.error().context, "CPU list");
  }
}

TEST(CpuList, RefusesGarbage) {
  for (const auto* text :
       {",", "1,", ",1", "1,,2", "-", "1-", "-1", "-1-2", "3-1", "a", "0-a",
        "0x1", "1-2-3", "0 1", "0, 1", "0-7:2/4", "\xff", "ff,ffffffff"}) {
    EXPECT_FALSE(parse_cpu_list(text)) << text;
  }
}

TEST(CpuList, IsMalformedWhereItRepeatsItselfWithoutEnd) {
  std::string text = "0-65535";
  for (int i = 0; i < 1000; ++i) text += ",0-65535";
  EXPECT_FALSE(parse_cpu_list(text));
}

}  // namespace
}  // namespace vcpu
