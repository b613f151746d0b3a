// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/cpu_stat.h"

#include <gtest/gtest.h>

#include <string>

namespace vcpu {
namespace {

TEST(CpuStat, IsInMicrosecondsOnVersionTwo) {
  // Linux 6.1.
  const auto stat = parse_cpu_stat(
      "usage_usec 5120338\nuser_usec 5000000\nsystem_usec 120338\n"
      "nr_periods 812\nnr_throttled 640\nthrottled_usec 44812345\n"
      "nr_bursts 3\nburst_usec 4\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(*stat, (CpuStat{812, 640, 44'812'345'000}));
}

TEST(CpuStat, IsInNanosecondsOnVersionOne) {
  // Linux 6.18.
  const auto stat = parse_cpu_stat(
      "nr_periods 66\nnr_throttled 60\nthrottled_time 4186745678\n"
      "nr_bursts 0\nburst_time 0\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(*stat, (CpuStat{66, 60, 4'186'745'678}));
}

TEST(CpuStat, MayBeZeroAndInAnyOrder) {
  const auto stat =
      parse_cpu_stat("throttled_time 0\nnr_throttled 0\nnr_periods 0");
  ASSERT_TRUE(stat);
  EXPECT_EQ(*stat, CpuStat{});
}

TEST(CpuStat, IsMalformedWithoutTheController) {
  const auto stat = parse_cpu_stat("usage_usec 5\nuser_usec 3\n");
  ASSERT_FALSE(stat);
  EXPECT_EQ(stat.error().code, std::errc::bad_message);
  EXPECT_EQ(stat.error().context, "cpu.stat");
}

TEST(CpuStat, IsMalformedWhereOneIsMissingOrNoNumber) {
  EXPECT_FALSE(parse_cpu_stat(""));
  EXPECT_FALSE(parse_cpu_stat("nr_periods 1\nnr_throttled 1\n"));
  EXPECT_FALSE(parse_cpu_stat("nr_periods 1\nthrottled_usec 1\n"));
  EXPECT_FALSE(parse_cpu_stat("nr_throttled 1\nthrottled_usec 1\n"));
  for (const auto* bad :
       {"", "-1", "x", "1.5", "1 2", "18446744073709551616"}) {
    EXPECT_FALSE(parse_cpu_stat("nr_periods " + std::string(bad) +
                                "\nnr_throttled 1\nthrottled_usec 1\n"))
        << bad;
    EXPECT_FALSE(
        parse_cpu_stat("nr_periods 1\nnr_throttled 1\nthrottled_time " +
                       std::string(bad) + "\n"))
        << bad;
  }
}

TEST(CpuStat, TakesNoTimeThatNanosecondsCannotHold) {
  EXPECT_FALSE(parse_cpu_stat(
      "nr_periods 1\nnr_throttled 1\nthrottled_usec 18446744073709552\n"));
  EXPECT_TRUE(parse_cpu_stat(
      "nr_periods 1\nnr_throttled 1\nthrottled_usec 18446744073709551\n"));
}

}  // namespace
}  // namespace vcpu
