// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/task_schedstat.h"

#include <gtest/gtest.h>

#include <limits>

namespace vcpu {
namespace {

TEST(TaskSchedstat, IsThreeNumbers) {
  const auto stat = parse_task_schedstat("2499012345 2504001122 812\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->run_ns, 2499012345U);
  EXPECT_EQ(stat->wait_ns, 2504001122U);
  EXPECT_EQ(stat->timeslices, 812U);
}

TEST(TaskSchedstat, MayBeZero) {
  const auto stat = parse_task_schedstat("0 57022 1\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->run_ns, 0U);
  EXPECT_EQ(stat->wait_ns, 57022U);
}

TEST(TaskSchedstat, HoldsTheLargestNumbers) {
  const auto stat = parse_task_schedstat(
      "18446744073709551615 18446744073709551615 18446744073709551615\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->run_ns, std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(stat->timeslices, std::numeric_limits<std::uint64_t>::max());
}

TEST(TaskSchedstat, IgnoresWhatANewerKernelAdds) {
  const auto stat = parse_task_schedstat("1 2 3 4 more\n5\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->timeslices, 3U);
}

TEST(TaskSchedstat, NeedsNoNewline) {
  const auto stat = parse_task_schedstat("1 2 3");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->timeslices, 3U);
}

TEST(TaskSchedstat, IsMalformedWhenShort) {
  for (const auto* text : {"", "\n", "1", "1 2", "1 2\n", "1 2 \n"}) {
    const auto stat = parse_task_schedstat(text);
    ASSERT_FALSE(stat) << text;
    EXPECT_EQ(stat.error().code, std::errc::bad_message);
    EXPECT_EQ(stat.error().context, "schedstat");
  }
}

TEST(TaskSchedstat, IsMalformedWhereANumberIsNone) {
  for (const auto* text :
       {"a b c\n", "1 2 x\n", "1 x 3\n", "x 2 3\n", "-1 2 3\n", "1 -2 3\n",
        "1 2 -3\n", "1.5 2 3\n", "18446744073709551616 2 3\n", "1 2 3\r\n",
        "1,2,3\n", "\xff\xfe\xfd"}) {
    EXPECT_FALSE(parse_task_schedstat(text)) << text;
  }
}

}  // namespace
}  // namespace vcpu
