// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/task_status.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace vcpu {
namespace {

// Linux 6.18, the middle left out.
constexpr const char* kStatus =
    "Name:\tCPU 0/KVM\n"
    "Umask:\t0022\n"
    "State:\tR (running)\n"
    "Tgid:\t12594\n"
    "Groups:\t \n"
    "Seccomp_filters:\t0\n"
    "Speculation_Store_Bypass:\tvulnerable\n"
    "SpeculationIndirectBranch:\talways enabled\n"
    "Cpus_allowed:\t10f\n"
    "Cpus_allowed_list:\t0-3,8\n"
    "Mems_allowed:\t00000000,00000001\n"
    "Mems_allowed_list:\t0\n"
    "voluntary_ctxt_switches:\t150\n"
    "nonvoluntary_ctxt_switches:\t545\n";

std::string status(const std::string& allowed, const std::string& voluntary,
                   const std::string& involuntary) {
  return "Name:\tkvm\nCpus_allowed_list:\t" + allowed +
         "\nvoluntary_ctxt_switches:\t" + voluntary +
         "\nnonvoluntary_ctxt_switches:\t" + involuntary + "\n";
}

TEST(TaskStatus, TellsWhereItMayRunAndHowItLeft) {
  const auto parsed = parse_task_status(kStatus);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->cpus_allowed_list, "0-3,8");
  EXPECT_EQ(parsed->voluntary, 150U);
  EXPECT_EQ(parsed->involuntary, 545U);
}

TEST(TaskStatus, HoldsTheLargestNumbers) {
  const auto text = status("0", "18446744073709551615", "0");
  const auto parsed = parse_task_status(text);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->voluntary, std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(parsed->involuntary, 0U);
}

TEST(TaskStatus, IgnoresLinesItDoesNotKnow) {
  const auto text = status("0", "1", "2") + "x86_Thread_features:\tshstk\n";
  const auto parsed = parse_task_status(text);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->involuntary, 2U);
}

TEST(TaskStatus, TakesCarriageReturnsForBlanks) {
  const auto text = status("0-1\r", "1\r", "2\r");
  const auto parsed = parse_task_status(text);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->cpus_allowed_list, "0-1");
  EXPECT_EQ(parsed->involuntary, 2U);
}

TEST(TaskStatus, NeedsNoLastNewline) {
  auto text = status("0-1", "1", "2");
  text.pop_back();
  const auto parsed = parse_task_status(text);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->involuntary, 2U);
}

// The kernel writes a newline in a name as "\n", two characters.
TEST(TaskStatus, IsNotFooledByAName) {
  const auto text =
      "Name:\tvoluntary_ctxt_switches:\t9\\nCpus_allowed_list:\n" +
      status("0-1", "1", "2");
  const auto parsed = parse_task_status(text);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->cpus_allowed_list, "0-1");
  EXPECT_EQ(parsed->voluntary, 1U);
}

TEST(TaskStatus, IsMalformedWithoutOneOfItsLines) {
  for (const auto* text :
       {"", "\n", "Name:\tkvm\n",
        "voluntary_ctxt_switches:\t1\nnonvoluntary_ctxt_switches:\t2\n",
        "Cpus_allowed_list:\t0\nnonvoluntary_ctxt_switches:\t2\n",
        "Cpus_allowed_list:\t0\nvoluntary_ctxt_switches:\t1\n"}) {
    const auto parsed = parse_task_status(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, std::errc::bad_message);
    EXPECT_EQ(parsed.error().context, "status");
  }
}

TEST(TaskStatus, IsMalformedWhereACountIsNoNumber) {
  for (const auto* count :
       {"", "x", "-1", "1 2", "1.5", "\xff", "18446744073709551616"}) {
    EXPECT_FALSE(parse_task_status(status("0", count, "1"))) << count;
    EXPECT_FALSE(parse_task_status(status("0", "1", count))) << count;
  }
}

// Linux 6.1, the middle left out.
constexpr const char* kProcessStatus =
    "Name:\tqemu-system-x86\nVmPeak:\t 5351292 kB\nVmRSS:\t 2120464 kB\n"
    "RssShmem:\t       0 kB\nVmLib:\t   70232 kB\nVmPTE:\t    4744 kB\n"
    "VmSwap:\t  131072 kB\nHugetlbPages:\t    2048 kB\nThreads:\t5\n";

TEST(ProcessMemory, IsInBytes) {
  const auto memory = parse_process_memory(kProcessStatus);
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->page_table_bytes, 4744UL * 1024);
  EXPECT_EQ(memory->swap_bytes, 131072UL * 1024);
  EXPECT_EQ(memory->resident_bytes, 2120464UL * 1024);
  EXPECT_EQ(memory->hugetlb_bytes, 2048UL * 1024);
}

TEST(ProcessMemory, IsEmptyWhereItHasGivenItUp) {
  const auto memory = parse_process_memory("Name:\tqemu\nState:\tZ (zombie)\n");
  ASSERT_TRUE(memory);
  EXPECT_FALSE(memory->page_table_bytes);
  EXPECT_FALSE(memory->swap_bytes);
  EXPECT_FALSE(memory->resident_bytes);
  EXPECT_FALSE(memory->hugetlb_bytes);
}

TEST(ProcessMemory, IsMalformedWhereALineIsNoAmount) {
  for (const auto* text :
       {"VmPTE:\n", "VmPTE:\tx kB\n", "VmPTE:\t4\n", "VmSwap:\t-4 kB\n",
        "VmSwap:\t4 kB 4\n", "VmRSS:\tx kB\n", "HugetlbPages:\t4\n"}) {
    const auto memory = parse_process_memory(text);
    ASSERT_FALSE(memory) << text;
    EXPECT_EQ(memory.error().context, "status");
  }
}

TEST(RealUid, IsTheFirstOfFour) {
  EXPECT_EQ(real_uid("Name:\tkvm\nUid:\t1000\t0\t0\t0\nGid:\t7\n"), 1000U);
  EXPECT_EQ(real_uid("Uid:\t4294967294\t1\t1\t1\n"), 4294967294U);
}

TEST(RealUid, IsEmptyWhereItIsNotTold) {
  for (const auto* text :
       {"", "Uid:\n", "Uid:\tx\n", "Gid:\t5\n", "Uid:\t4294967296\n"})
    EXPECT_FALSE(real_uid(text)) << text;
}

}  // namespace
}  // namespace vcpu
