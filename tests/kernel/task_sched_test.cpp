// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/task_sched.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace vcpu {
namespace {

std::string sched(const std::string& comm, const std::string& migrations) {
  return comm +
         " (12597, #threads: 1)\n"
         "-------------------------------------------------------------------\n"
         "se.exec_start                                :       2305744.994530\n"
         "se.vruntime                                  :           141.140640\n"
         "se.sum_exec_runtime                          :             0.101080\n"
         "se.nr_migrations                             :" +
         migrations +
         "\n"
         "nr_switches                                  :                    1\n"
         "se.load.weight                               :              1048576\n"
         "policy                                       :                    0\n"
         "current_node=0, numa_group_id=0\n";
}

constexpr const char* kSeven = "                    7";

TEST(TaskSched, CountsMigrations) {
  const auto parsed = parse_task_sched(sched("cat", kSeven));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->nr_migrations, 7U);
}

TEST(TaskSched, HoldsTheLargestNumber) {
  const auto parsed = parse_task_sched(sched("cat", " 18446744073709551615"));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->nr_migrations, std::numeric_limits<std::uint64_t>::max());
}

TEST(TaskSched, IsNotFooledByAName) {
  const auto parsed = parse_task_sched(sched("se.nr_migrations : 99", kSeven));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->nr_migrations, 7U);
}

TEST(TaskSched, TakesACarriageReturnForABlank) {
  const auto parsed = parse_task_sched(sched("cat", " 7\r"));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->nr_migrations, 7U);
}

TEST(TaskSched, MayEndWithItsLine) {
  const auto parsed = parse_task_sched("cat (1)\nse.nr_migrations : 7");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->nr_migrations, 7U);
}

TEST(TaskSched, IsMalformedWithoutItsLine) {
  for (const auto* text :
       {"", "\n", "cat (1)\n", "se.nr_migrations : 7\n",
        "cat (1)\nnr_switches : 7\n", "cat (1)\n se.nr_migrations : 7\n"}) {
    const auto parsed = parse_task_sched(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, std::errc::bad_message);
    EXPECT_EQ(parsed.error().context, "sched");
  }
}

TEST(TaskSched, IsMalformedWhereTheCountIsNoNumber) {
  for (const auto* count : {"", " ", " x", " -7", " 7 8", " 7.5", " \xff",
                            " 18446744073709551616"}) {
    EXPECT_FALSE(parse_task_sched(sched("cat", count))) << count;
  }
}

TEST(TaskSched, IsMalformedWithoutAColon) {
  EXPECT_FALSE(parse_task_sched("cat (1)\nse.nr_migrations 7\n"));
}

}  // namespace
}  // namespace vcpu
