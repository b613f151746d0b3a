// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/cpu_max.h"

#include <gtest/gtest.h>

#include <string>

namespace vcpu {
namespace {

TEST(CpuMax, IsQuotaByPeriod) {
  const auto one_fifth = parse_cpu_max("20000 100000\n");
  ASSERT_TRUE(one_fifth);
  EXPECT_EQ(*one_fifth, 0.2);
  const auto four = parse_cpu_max("200000 50000");
  ASSERT_TRUE(four);
  EXPECT_EQ(*four, 4.0);
}

TEST(CpuMax, IsNothingWhereItIsMax) {
  const auto none = parse_cpu_max("max 100000\n");
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
}

TEST(CpuMax, IsMalformedElse) {
  for (const auto* text : {"", "20000", "20000 0", "-1 100000", "x 100000",
                           "20000 x", "1 2 3", "maximum 1"}) {
    const auto quota = parse_cpu_max(text);
    ASSERT_FALSE(quota) << text;
    EXPECT_EQ(quota.error().context, "cpu.max");
  }
}

TEST(CfsQuota, IsQuotaByPeriod) {
  const auto quota = parse_cfs_quota("150000\n", "100000\n");
  ASSERT_TRUE(quota);
  EXPECT_EQ(*quota, 1.5);
}

TEST(CfsQuota, IsNothingWhereItIsMinusOneWhateverThePeriod) {
  for (const auto* period : {"100000\n", "", "x"}) {
    const auto quota = parse_cfs_quota("-1\n", period);
    ASSERT_TRUE(quota) << period;
    EXPECT_FALSE(*quota);
  }
  EXPECT_FALSE(is_cfs_limit("-1\n"));
  EXPECT_TRUE(is_cfs_limit("20000\n"));
}

TEST(CfsQuota, IsMalformedElse) {
  for (const auto* bad : {"", "x", "-2", "1 2"}) {
    EXPECT_FALSE(parse_cfs_quota(bad, "100000\n")) << bad;
    EXPECT_FALSE(parse_cfs_quota("20000\n", bad)) << bad;
  }
  EXPECT_FALSE(parse_cfs_quota("20000\n", "0\n"));
}

TEST(CpuWeight, IsItsNumber) {
  const auto weight = parse_cpu_weight("250\n");
  ASSERT_TRUE(weight);
  EXPECT_EQ(*weight, 250.0);
  EXPECT_FALSE(parse_cpu_weight(""));
  EXPECT_FALSE(parse_cpu_weight("default 100\n"));
}

TEST(CpuShares, AreInTheMeasureOfWeights) {
  const auto usual = parse_cpu_shares("1024\n");
  const auto twice = parse_cpu_shares("2048\n");
  ASSERT_TRUE(usual);
  ASSERT_TRUE(twice);
  EXPECT_EQ(*usual, 100.0);
  EXPECT_EQ(*twice, 200.0);
  EXPECT_FALSE(parse_cpu_shares("\n"));
  EXPECT_FALSE(parse_cpu_shares("-1024\n"));
}

}  // namespace
}  // namespace vcpu
