// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/task_stat.h"

#include <gtest/gtest.h>

#include <string>

namespace vcpu {
namespace {

// What follows the name, of a vCPU thread on Linux 6.1.
constexpr const char* kRest =
    " S 1 4240 4240 0 -1 4194624 51 0 0 0 1034 229 0 0 20 0 5 0 230665 "
    "3133440 388 18446744073709551615 1 1 0 0 0 0 268444224 4096 2147221247 0 "
    "0 0 -1 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

std::string line(const std::string& comm) {
  return "4242 (" + comm + ")" + kRest;
}

std::string with_field(int number, const std::string& value) {
  std::string text = "4242 (kvm)";
  for (int field = 3; field <= 52; ++field)
    text += " " + (field == number ? value : field == 3 ? "S" : "1");
  return text + "\n";
}

TEST(TaskStat, TellsWhatAVcpuThreadIs) {
  const auto stat = parse_task_stat(line("CPU 0/KVM"));
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->comm, "CPU 0/KVM");
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->ppid, 1);
  EXPECT_EQ(stat->flags, 4194624U);
  EXPECT_EQ(stat->num_threads, 5U);
  EXPECT_EQ(stat->start_ticks, 230665U);
  EXPECT_EQ(stat->cpu, 1);
  EXPECT_FALSE(stat->kernel_thread());
  EXPECT_FALSE(stat->ended());
}

TEST(TaskStat, TellsAKernelThread) {
  const auto stat = parse_task_stat(
      "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 23 0 0 "
      "18446744073709551615 0 0 0 0 0 0 0 2147483647 0 1 0 0 0 0 0 0 0 0 0 0 "
      "0 0 0 0 0 0 0\n");
  ASSERT_TRUE(stat);
  EXPECT_TRUE(stat->kernel_thread());
  EXPECT_EQ(stat->comm, "kthreadd");
  EXPECT_EQ(stat->start_ticks, 23U);
  EXPECT_EQ(stat->cpu, 0);
}

TEST(TaskStat, ReadsAProcessOfLinux618) {
  const auto stat = parse_task_stat(
      "12592 (cat) R 12590 12590 11963 0 -1 4194304 102 0 0 0 0 0 0 0 20 0 1 "
      "0 230665 3133440 388 18446744073709551615 94268895711232 "
      "94268895731113 140728726542928 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 "
      "94268895747120 94268895748736 94269434355712 140728726551141 "
      "140728726551200 140728726551200 140728726552555 0\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->state, 'R');
  EXPECT_EQ(stat->ppid, 12590);
  EXPECT_EQ(stat->num_threads, 1U);
  EXPECT_EQ(stat->cpu, 0);
}

TEST(TaskStat, TakesEachFieldFromItsPlace) {
  EXPECT_EQ(parse_task_stat(with_field(4, "7"))->ppid, 7);
  EXPECT_EQ(parse_task_stat(with_field(9, "7"))->flags, 7U);
  EXPECT_EQ(parse_task_stat(with_field(12, "7"))->major_faults, 7U);
  EXPECT_EQ(parse_task_stat(with_field(20, "7"))->num_threads, 7U);
  EXPECT_EQ(parse_task_stat(with_field(22, "7"))->start_ticks, 7U);
  EXPECT_EQ(parse_task_stat(with_field(39, "7"))->cpu, 7);
}

TEST(TaskStat, KeepsHostileNamesWhole) {
  for (const std::string comm : {")", "(", "a b", "a\nb", "(x) R 1",
                                 "a) R 1 2 3 (b", "", " ", "))))", "\t\r\n"}) {
    const auto stat = parse_task_stat(line(comm));
    ASSERT_TRUE(stat) << comm;
    EXPECT_EQ(stat->comm, comm);
    EXPECT_EQ(stat->state, 'S') << comm;
    EXPECT_EQ(stat->start_ticks, 230665U) << comm;
  }
}

TEST(TaskStat, KeepsNamesThatAreNoText) {
  const std::string comm(15, '\xff');
  const auto stat = parse_task_stat(line(comm));
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->comm, comm);
}

TEST(TaskStat, HasEndedAsAZombieOrDead) {
  EXPECT_TRUE(parse_task_stat(with_field(3, "Z"))->ended());
  EXPECT_TRUE(parse_task_stat(with_field(3, "X"))->ended());
}

TEST(TaskStat, LivesInAllOtherStates) {
  for (const auto* state : {"R", "S", "D", "T", "t", "I"}) {
    const auto stat = parse_task_stat(with_field(3, state));
    EXPECT_EQ(stat->state, state[0]);
    EXPECT_FALSE(stat->ended()) << state;
  }
}

TEST(TaskStat, IgnoresWhatANewerKernelAdds) {
  auto text = line("kvm");
  text.insert(text.size() - 1, " 7 more");
  EXPECT_EQ(parse_task_stat(text)->cpu, 1);
}

TEST(TaskStat, IgnoresACarriageReturn) {
  auto text = line("kvm");
  text.insert(text.size() - 1, "\r");
  EXPECT_EQ(parse_task_stat(text)->cpu, 1);
}

TEST(TaskStat, NeedsNoMoreThanTheLastFieldItKnows) {
  const auto text = with_field(39, "7");
  std::size_t end = 0;
  for (int blanks = 0; blanks < 39; ++blanks) end = text.find(' ', end + 1);
  ASSERT_TRUE(parse_task_stat(text.substr(0, end)));
  EXPECT_EQ(parse_task_stat(text.substr(0, end))->cpu, 7);
}

TEST(TaskStat, IsMalformedWhenShort) {
  for (const auto* text : {"", "\n", "4242", "4242 (kvm", "4242 (kvm)",
                           "4242 (kvm) S", "4242 (kvm) S 1 4240 4240 0 -1 4"}) {
    const auto stat = parse_task_stat(text);
    ASSERT_FALSE(stat) << text;
    EXPECT_EQ(stat.error().code, std::errc::bad_message);
    EXPECT_EQ(stat.error().context, "stat");
  }
}

TEST(TaskStat, IsMalformedWithoutAName) {
  EXPECT_FALSE(parse_task_stat(std::string("4242 kvm") + kRest));
  EXPECT_FALSE(parse_task_stat(std::string("4242 )kvm(") + kRest));
  EXPECT_FALSE(parse_task_stat(std::string("4242 )") + kRest));
}

TEST(TaskStat, IsMalformedWhereAFieldItNeedsIsNoNumber) {
  for (const int field : {4, 9, 12, 20, 22, 39}) {
    for (const auto* value :
         {"x", "1x", "-1", "+1", "1.0", "\xff", "99999999999999999999"}) {
      EXPECT_FALSE(parse_task_stat(with_field(field, value)))
          << field << " " << value;
    }
  }
}

TEST(TaskStat, IsMalformedWhereTheCpuDoesNotFit) {
  EXPECT_FALSE(parse_task_stat(with_field(39, "2147483648")));
}

TEST(TaskStat, IsMalformedWhereTheStateIsNoLetter) {
  EXPECT_FALSE(parse_task_stat(with_field(3, "SS")));
}

TEST(TaskStat, IsMalformedWhenGarbage) {
  EXPECT_FALSE(parse_task_stat("()()()()"));
  EXPECT_FALSE(parse_task_stat("(\xff\xfe) \x01 \x02"));
  EXPECT_FALSE(parse_task_stat(std::string(5000, ')')));
  EXPECT_FALSE(parse_task_stat(std::string(5000, '(')));
}

}  // namespace
}  // namespace vcpu
