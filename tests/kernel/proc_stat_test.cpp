// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/proc_stat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace vcpu {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

// Linux 6.18, most of the interrupts left out.
constexpr const char* kStat =
    "cpu  151892 0 15986 291375 747 0 198 218 0 0\n"
    "cpu0 75524 0 7821 146637 53 0 63 95 0 0\n"
    "cpu1 76367 0 8164 144738 693 0 134 122 0 0\n"
    "intr 1446762 0 0 0 0 0 0 0 461 205 0 50 1 85332\n"
    "ctxt 4053955\n"
    "btime 1795415326\n"
    "processes 45056\n"
    "procs_running 13\n"
    "procs_blocked 0\n"
    "softirq 619945 0 84469 4 127201 85331 0 5 106137 3105 213693\n";

TEST(ProcStat, TellsHowTheCpusSpentTheirTime) {
  const auto stat = parse_proc_stat(kStat);
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->all,
            (CpuTicks{151892, 0, 15986, 291375, 747, 0, 198, 218, 0, 0}));
  ASSERT_THAT(stat->by_cpu, SizeIs(2));
  EXPECT_EQ(stat->by_cpu[0].first, 0);
  EXPECT_EQ(stat->by_cpu[0].second[kUser], 75524U);
  EXPECT_EQ(stat->by_cpu[1].first, 1);
  EXPECT_EQ(stat->by_cpu[1].second[kSteal], 122U);
  EXPECT_EQ(stat->boot_time, 1795415326U);
}

TEST(ProcStat, NamesTheColumnsInTheKernelsOrder) {
  const auto stat = parse_proc_stat("cpu 1 2 3 4 5 6 7 8 9 10\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->all[kUser], 1U);
  EXPECT_EQ(stat->all[kIdle], 4U);
  EXPECT_EQ(stat->all[kSoftirq], 7U);
  EXPECT_EQ(stat->all[kSteal], 8U);
  EXPECT_EQ(stat->all[kGuestNice], 10U);
  EXPECT_EQ(kCpuModes[kIowait], "iowait");
  EXPECT_EQ(kCpuModes[kGuest], "guest");
}

TEST(ProcStat, KeepsTheNumbersOfCpusWithGapsBetween) {
  const auto stat =
      parse_proc_stat("cpu 1 2 3 4\ncpu0 1 2 3 4\ncpu129 5 6 7 8\n");
  ASSERT_TRUE(stat);
  ASSERT_THAT(stat->by_cpu, SizeIs(2));
  EXPECT_EQ(stat->by_cpu[1].first, 129);
}

TEST(ProcStat, TakesColumnsThatAnOldKernelLacksForZero) {
  const auto stat = parse_proc_stat("cpu  10 20 30 40\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->all, (CpuTicks{10, 20, 30, 40, 0, 0, 0, 0, 0, 0}));
  EXPECT_THAT(stat->by_cpu, IsEmpty());
  EXPECT_FALSE(stat->boot_time);
}

TEST(ProcStat, IgnoresColumnsThatANewKernelAdds) {
  const auto stat = parse_proc_stat("cpu 1 2 3 4 5 6 7 8 9 10 11 twelve\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->all[kGuestNice], 10U);
}

TEST(ProcStat, HoldsTheLargestNumbers) {
  const auto stat = parse_proc_stat("cpu 18446744073709551615 0 0 0\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->all[kUser], std::numeric_limits<std::uint64_t>::max());
}

TEST(ProcStat, DoesWithoutABootTimeThatIsNoNumber) {
  const auto stat = parse_proc_stat("cpu 1 2 3 4\nbtime never\n");
  ASSERT_TRUE(stat);
  EXPECT_FALSE(stat->boot_time);
}

TEST(ProcStat, IsMalformedWithoutTheSum) {
  for (const auto* text : {"", "\n", "btime 1\n", "cpu0 1 2 3 4\n"}) {
    const auto stat = parse_proc_stat(text);
    ASSERT_FALSE(stat) << text;
    EXPECT_EQ(stat.error().code, std::errc::bad_message);
    EXPECT_EQ(stat.error().context, "stat");
  }
}

TEST(ProcStat, IsMalformedWhereALineIsShort) {
  EXPECT_FALSE(parse_proc_stat("cpu\n"));
  EXPECT_FALSE(parse_proc_stat("cpu 1 2 3\n"));
  EXPECT_FALSE(parse_proc_stat("cpu 1 2 3 4\ncpu0 1 2 3\n"));
}

TEST(ProcStat, IsMalformedWhereATickIsNoNumber) {
  for (const auto* tick : {"x", "-1", "1.5", "18446744073709551616", "\xff"}) {
    EXPECT_FALSE(parse_proc_stat(std::string("cpu 1 2 3 ") + tick)) << tick;
    EXPECT_FALSE(parse_proc_stat(std::string("cpu 1 2 3 4 ") + tick)) << tick;
  }
  EXPECT_FALSE(parse_proc_stat("cpu 1 2 3 4\r\n"));
}

TEST(ProcStat, IsMalformedWhereACpuStandsTwice) {
  EXPECT_FALSE(parse_proc_stat("cpu 1 2 3 4\ncpu0 1 2 3 4\ncpu0 1 2 3 4\n"));
  EXPECT_FALSE(parse_proc_stat("cpu 1 2 3 4\ncpu1 1 2 3 4\ncpu0 1 2 3 4\n"));
}

TEST(ProcStat, IsMalformedWhereACpuHasNoNumber) {
  for (const auto* key : {"cpux", "cpu-1", "cpu0x", "cpu2147483648"}) {
    const auto text = "cpu 1 2 3 4\n" + std::string(key) + " 1 2 3 4\n";
    EXPECT_FALSE(parse_proc_stat(text)) << key;
  }
}

}  // namespace
}  // namespace vcpu
