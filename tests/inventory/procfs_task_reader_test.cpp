// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/procfs_task_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/proc_tree.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ProcfsReader : public testing::Test {
 protected:
  ProcfsReader() : reader_(tree_.roots()) {}

  std::vector<Task> read(pid_t pid) {
    said_ = {};
    reader_.begin(
        std::make_shared<const Topology>(*read_topology(tree_.roots())));
    auto tasks = reader_.threads(pid, said_);
    reader_.report(said_);
    return tasks;
  }

  std::vector<Process> processes() {
    said_ = {};
    reader_.begin(
        std::make_shared<const Topology>(*read_topology(tree_.roots())));
    return *reader_.processes(said_);
  }

  // Of threads 100, 101 and 102, the last of which ran for 9 ns.
  void expect_only_schedstat_of_101_lost() {
    const auto tasks = read(100);
    ASSERT_EQ(tasks.size(), 3U);
    EXPECT_FALSE(tasks[1].sched);
    EXPECT_EQ(tasks[2].sched->run_ns, 9U);
    EXPECT_THAT(said_.problems(),
                ElementsAre(HasSubstr("/100/task/101/schedstat")));
  }

  ProcTree tree_;
  ProcfsTaskReader reader_;
  Families said_;
};

TEST_F(ProcfsReader, ReadsEveryFigureOfAThread) {
  tree_.process(100, "qemu", {"qemu"})
      .thread(101, "CPU 0/KVM",
              {.run = 11,
               .wait = 22,
               .dispatches = 33,
               .voluntary = 44,
               .involuntary = 55,
               .migrations = 66,
               .cpu = 1,
               .allowed = "1",
               .start = 77});
  const auto tasks = read(100);
  ASSERT_EQ(tasks.size(), 2U);
  const Task& task = tasks[1];
  EXPECT_EQ(task.tid, 101);
  EXPECT_EQ(task.comm, "CPU 0/KVM");
  EXPECT_EQ(task.start_ticks, 77U);
  EXPECT_EQ(task.cpu, 1);
  EXPECT_EQ(task.sched->run_ns, 11U);
  EXPECT_EQ(task.sched->wait_ns, 22U);
  EXPECT_EQ(task.sched->dispatches, 33U);
  EXPECT_EQ(task.sched->voluntary, 44U);
  EXPECT_EQ(task.sched->involuntary, 55U);
  EXPECT_EQ(task.sched->migrations, 66U);
  EXPECT_THAT(*task.allowed, ElementsAre(1));
  EXPECT_THAT(said_.problems(), IsEmpty());
}

TEST_F(ProcfsReader, CountsOnlyOnlineCpusAsAllowed) {
  tree_.cpus("0,2").process(100, "qemu", {"qemu"}, {.allowed = "0-1023"});
  EXPECT_THAT(*read(100).at(0).allowed, ElementsAre(0, 2));
}

TEST_F(ProcfsReader, SharesEqualMasksWithinAPass) {
  tree_.process(100, "qemu", {"qemu"}).thread(101, "a", {});
  const auto before = read(100);
  EXPECT_EQ(before[0].allowed, before[1].allowed);
  tree_.cpus("0");
  EXPECT_THAT(*read(100).at(0).allowed, ElementsAre(0));
}

TEST_F(ProcfsReader, LeavesOutWhatIsNotOfferedAndSaysWhy) {
  tree_.process(100, "qemu", {"qemu"}).remove_file(100, "sched");
  const auto tasks = read(100);
  ASSERT_EQ(tasks.size(), 1U);
  EXPECT_FALSE(tasks[0].sched->migrations);
  EXPECT_TRUE(tasks[0].sched->voluntary);
  EXPECT_EQ(reason_of(said_, "task_sched"), "not offered by this kernel");
  EXPECT_EQ(reason_of(said_, "task_schedstat"), "");
  EXPECT_THAT(said_.problems(), IsEmpty());
}

TEST_F(ProcfsReader, KeepsPlacementWithoutSchedstat) {
  tree_.process(100, "qemu", {"qemu"}, {.cpu = 1})
      .remove_file(100, "schedstat");
  const auto tasks = read(100);
  ASSERT_EQ(tasks.size(), 1U);
  EXPECT_FALSE(tasks[0].sched);
  EXPECT_EQ(tasks[0].cpu, 1);
  EXPECT_EQ(reason_of(said_, "task_schedstat"), "not offered by this kernel");
}

TEST_F(ProcfsReader, SkipsAThreadThatEndedInSilence) {
  tree_.process(100, "qemu", {"qemu"})
      .thread(101, "a", {})
      .thread(102, "b", {})
      .remove_file(101, "stat");
  EXPECT_EQ(read(100).size(), 2U);
  EXPECT_THAT(said_.problems(), IsEmpty());
}

TEST_F(ProcfsReader, SaysGarbageAndGoesOn) {
  tree_.process(100, "qemu", {"qemu"})
      .thread(101, "a", {})
      .thread(102, "b", {.run = 9})
      .file(101, "schedstat", "no numbers here");
  expect_only_schedstat_of_101_lost();
}

TEST_F(ProcfsReader, TakesAnEmptyTextForAThreadThatJustEnded) {
  tree_.process(100, "qemu", {"qemu"})
      .thread(101, "a", {})
      .file(101, "schedstat", "");
  EXPECT_FALSE(read(100).at(1).sched);
  EXPECT_THAT(said_.problems(), IsEmpty());
}

TEST_F(ProcfsReader, SaysABadCpuListAndKeepsTheRest) {
  tree_.process(100, "qemu", {"qemu"}, {.allowed = "0-x"});
  const auto tasks = read(100);
  EXPECT_EQ(tasks.at(0).allowed, nullptr);
  EXPECT_TRUE(tasks.at(0).sched->voluntary);
  EXPECT_EQ(said_.problems().size(), 1U);
}

TEST_F(ProcfsReader, ListsProcessesWithoutZombies) {
  tree_.process(100, "qemu", {"qemu"}, {.start = 5});
  tree_.process(200, "dead", {"dead"});
  ProcTree::write(tree_.proc("200/stat"),
                  "200 (dead) Z 1 1 1 0 -1 4194624 1 0 0 0 5 6 0 0 20 0 3 0 9 "
                  "1 5 1 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0\n");
  const auto found = processes();
  ASSERT_EQ(found.size(), 2U);  // And pid 1.
  EXPECT_EQ(found[1].pid, 100);
  EXPECT_EQ(found[1].comm, "qemu");
  EXPECT_EQ(found[1].start_ticks, 5U);
  EXPECT_EQ(found[1].num_threads, 3U);
  EXPECT_FALSE(found[1].kernel_thread);
}

TEST_F(ProcfsReader, KnowsKernelThreads) {
  tree_.kernel_thread(300, "vhost-100", {});
  EXPECT_TRUE(processes().at(1).kernel_thread);
}

TEST_F(ProcfsReader, NoticesAKernelThreadsPidGoneToAnotherInTime) {
  tree_.kernel_thread(300, "kworker/1", {});
  ASSERT_TRUE(processes().at(1).kernel_thread);
  tree_.end_process(300);
  tree_.process(300, "qemu", {"qemu"});
  bool noticed = false;
  for (int pass = 0; pass < 16 && !noticed; ++pass)
    noticed = !processes().at(1).kernel_thread;
  EXPECT_TRUE(noticed);
}

TEST_F(ProcfsReader, SaysWhenProcessesAreHidden) {
  processes();
  EXPECT_EQ(reason_of(said_, "procfs"), "");
  tree_.end_process(1);
  processes();
  EXPECT_THAT(reason_of(said_, "procfs"), HasSubstr("hidden"));
}

TEST_F(ProcfsReader, SaysAnUnreadableThreadAndGoesOn) {
  auto process = tree_.process(100, "qemu", {"qemu"});
  process.thread(101, "a", {}).thread(102, "b", {.run = 9});
  process.remove_file(101, "schedstat");
  // Neither gone nor refused, and true for root as well.
  std::filesystem::create_symlink("schedstat",
                                  tree_.proc("100/task/101/schedstat"));
  expect_only_schedstat_of_101_lost();
}

TEST_F(ProcfsReader, SaysWhenTheFirstProcessIsListedButRefused) {
  if (::geteuid() == 0) GTEST_SKIP() << "root is refused nothing";
  std::filesystem::permissions(tree_.proc("1/stat"),
                               std::filesystem::perms::none);
  processes();
  EXPECT_THAT(reason_of(said_, "procfs"), HasSubstr("hidden"));
  EXPECT_THAT(said_.problems(), IsEmpty());
}

TEST_F(ProcfsReader, TakesTheOnlyThreadsEndForNoLackOfTheKernel) {
  tree_.process(100, "qemu", {"qemu"}).remove_file(100, "stat");
  EXPECT_THAT(read(100), IsEmpty());
  EXPECT_EQ(reason_of(said_, "task_stat"), "-");
}

TEST_F(ProcfsReader, SaysAGarbledProcessAndGoesOn) {
  tree_.process(100, "qemu", {"qemu"});
  tree_.process(200, "other", {"other"});
  ProcTree::write(tree_.proc("100/stat"), "100 (qemu S");
  EXPECT_EQ(processes().size(), 2U);
  EXPECT_THAT(said_.problems(), ElementsAre(HasSubstr("/100/stat")));
}

TEST(ProcfsReaderWithoutProc, IsAnError) {
  ProcfsTaskReader reader(Roots{"/nonexistent/proc", "/sys"});
  Families said;
  const auto found = reader.processes(said);
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message(), HasSubstr("/nonexistent/proc"));
}

}  // namespace
}  // namespace vcpu
