// SPDX-License-Identifier: Apache-2.0
//
// The iterator on this kernel, beside /proc, on real threads.
#include "collectors/inventory/bpf_task_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <chrono>

#include "collectors/base/file.h"
#include "collectors/catalog.h"
#include "collectors/kernel/task_stat.h"
#include "collectors/kernel/task_status.h"
#include "tests/support/cpu_group.h"
#include "tests/support/fake_vm.h"
#include "tests/support/host_under_test.h"
#include "tests/support/proc_tree.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// One pass of a reader over one process.
std::vector<Task> tasks_of(TaskReader& reader, pid_t pid, Families& said) {
  reader.begin(std::make_shared<const Topology>(*read_topology({})));
  EXPECT_TRUE(reader.processes(said));
  reader.choose({pid}, said);
  auto tasks = reader.threads(pid, said);
  reader.report(said);
  return tasks;
}

std::optional<Process> process_of(TaskReader& reader, pid_t pid) {
  Families said;
  reader.begin(std::make_shared<const Topology>(*read_topology({})));
  const auto processes = reader.processes(said);
  EXPECT_TRUE(processes);
  for (const Process& process : *processes)
    if (process.pid == pid) return process;
  return std::nullopt;
}

void pin(pid_t tid, int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  ASSERT_EQ(::sched_setaffinity(tid, sizeof one, &one), 0);
}

std::unique_ptr<TaskReader> opened(const Roots& roots, bool ebpf) {
  return std::make_unique<BpfTaskReader>(
      roots, BpfTaskReader::open_program(roots, ebpf));
}

class BpfReader : public testing::Test {
 protected:
  void SetUp() override {
    reader_ = opened({}, true);
    Families said;
    tasks_of(*reader_, 1, said);
    const auto reason = reason_of(said, "task_iterator");
    if (!reason.empty()) GTEST_SKIP() << reason;
  }

  std::vector<Task> read(pid_t pid) {
    said_ = {};
    return tasks_of(*reader_, pid, said_);
  }

  // Both readers' words on threads that did not move in between.
  void read_at_rest(pid_t pid, std::vector<Task>& by_iterator,
                    std::vector<Task>& by_procfs) {
    ProcfsTaskReader procfs({});
    // None of them ever falls: an equal sum is equal figures.
    const auto run = [](const std::vector<Task>& tasks) {
      std::uint64_t sum = 0;
      for (const Task& task : tasks)
        sum += task.sched->run_ns + task.sched->wait_ns +
               task.sched->dispatches + *task.sched->voluntary +
               *task.sched->involuntary + *task.sched->migrations;
      return sum;
    };
    std::uint64_t before = 0;
    do {
      before = run(tasks_of(procfs, pid, said_));
      by_iterator = read(pid);
      by_procfs = tasks_of(procfs, pid, said_);
    } while (
        run(by_procfs) != before ||
        std::any_of(by_iterator.begin(), by_iterator.end(),
                    [](const Task& task) { return task.waiting_ns != 0; }));
  }

  std::unique_ptr<TaskReader> reader_;
  Families said_;
};

TEST_F(BpfReader, TellsWhatProcTellsToTheNanosecond) {
  FakeVm vm(qemu_argv("same", "dddddddd-0000-0000-0000-000000000001"),
            {"CPU 0/KVM", "CPU 1/KVM", "IO mon_iothread", "worker"});
  vm.start_spin(50);
  pin(vm.finish_spin().front().tid, 1);
  std::vector<Task> by_iterator;
  std::vector<Task> by_procfs;
  read_at_rest(vm.pid(), by_iterator, by_procfs);
  ASSERT_EQ(by_iterator.size(), 5U);
  ASSERT_EQ(by_procfs.size(), 5U);
  for (std::size_t i = 0; i < by_iterator.size(); ++i) {
    const Task& ours = by_iterator[i];
    const Task& theirs = by_procfs[i];
    EXPECT_EQ(ours.tid, theirs.tid);
    EXPECT_EQ(ours.comm, theirs.comm);
    EXPECT_EQ(ours.start_ticks, theirs.start_ticks);
    EXPECT_EQ(ours.cpu, theirs.cpu);
    EXPECT_EQ(*ours.allowed, *theirs.allowed);
    EXPECT_EQ(ours.sched->run_ns, theirs.sched->run_ns);
    EXPECT_EQ(ours.sched->wait_ns, theirs.sched->wait_ns);
    EXPECT_EQ(ours.sched->dispatches, theirs.sched->dispatches);
    EXPECT_EQ(ours.sched->voluntary, theirs.sched->voluntary);
    EXPECT_EQ(ours.sched->involuntary, theirs.sched->involuntary);
    EXPECT_EQ(ours.sched->migrations, theirs.sched->migrations);
    EXPECT_EQ(ours.waiting_ns, 0U);
  }
  EXPECT_THAT(by_iterator, Contains(Field(&Task::allowed,
                                          testing::Pointee(ElementsAre(1)))));
  const auto ours = process_of(*reader_, vm.pid());
  ProcfsTaskReader procfs({});
  const auto theirs = process_of(procfs, vm.pid());
  ASSERT_TRUE(ours && theirs);
  EXPECT_EQ(ours->comm, theirs->comm);
  EXPECT_EQ(ours->start_ticks, theirs->start_ticks);
  EXPECT_EQ(ours->num_threads, theirs->num_threads);
  EXPECT_FALSE(ours->kernel_thread);
}

TEST_F(BpfReader, TellsOfMemoryWhatProcTells) {
  FakeVm vm(qemu_argv("memory", "dddddddd-0000-0000-0000-000000000009"),
            {"CPU 0/KVM", "CPU 1/KVM"});
  vm.allocate("anon", 0, 64);  // Page tables of two pages and more.
  read(vm.pid());
  const auto facts = reader_->facts(vm.pid());
  ASSERT_TRUE(facts);
  const auto path = "/proc/" + std::to_string(vm.pid());
  const auto memory = read_as(path + "/status", parse_process_memory);
  const auto stat = read_as(path + "/stat", parse_task_stat);
  ASSERT_TRUE(memory && stat);
  EXPECT_EQ(facts->memory.page_table_bytes, memory->page_table_bytes);
  EXPECT_GT(facts->memory.page_table_bytes, 4096U);
  EXPECT_EQ(facts->memory.major_faults, stat->major_faults);
  EXPECT_EQ(facts->memory.hugetlb_bytes, 0U);
  EXPECT_FALSE(reader_->facts(1));  // Not chosen.
}

TEST_F(BpfReader, TellsThatAProcessIsInOtherGroups) {
  FakeVm vm(qemu_argv("moved", "dddddddd-0000-0000-0000-00000000000a"),
            {"CPU 0/KVM"});
  const auto groups = [&] {
    read(vm.pid());
    const auto facts = reader_->facts(vm.pid());
    return facts ? facts->groups : 0;
  };
  const auto before = groups();
  EXPECT_NE(before, 0U);
  EXPECT_EQ(groups(), before);
  const auto group = CpuGroup::make("vcpu_task_reader_test");
  if (!group) GTEST_SKIP() << "no CPU group can be made here";
  group->add_process(vm.pid());
  EXPECT_NE(groups(), before);
}

// What every collector of VMs with the snapshot as its only source says of the
// VMs of this test; others may come and go.
std::vector<std::string> page_of(const Snapshot& snapshot) {
  Families families;
  for (const auto make : {make_domain, make_sched, make_threads})
    EXPECT_TRUE(make({})->collect(snapshot, families));
  auto lines = samples_of(families);
  std::erase_if(lines, [](const std::string& line) {
    return line.find("{domain=\"first\"") == std::string::npos &&
           line.find("{domain=\"second\"") == std::string::npos;
  });
  return lines;
}

TEST_F(BpfReader, MakesTheSamePageAsProcBesidesOpenWaits) {
  FakeVm first(qemu_argv("first", "dddddddd-0000-0000-0000-000000000002"),
               {"CPU 0/KVM", "CPU 1/KVM", "worker"});
  FakeVm second(qemu_argv("second", "dddddddd-0000-0000-0000-000000000003"),
                {"CPU 0/KVM", "IO iothread1"});
  std::vector<std::string> ours;
  std::vector<std::string> before;
  std::vector<std::string> after;
  // Until nothing moves: each counts from its own first look.
  do {
    auto by_iterator = inventory_with(opened({}, true), {});
    auto by_procfs = inventory_on({});
    before = page_of(*by_procfs.take(said_));
    ours = page_of(*by_iterator.take(said_));
    after = page_of(*by_procfs.take(said_));
  } while (before != after);
  std::erase_if(ours, [](const std::string& line) {
    return line.find("vcpu_waiting_seconds") != std::string::npos;
  });
  EXPECT_THAT(ours, testing::ElementsAreArray(after));
  EXPECT_THAT(ours, Contains(HasSubstr("domain=\"second\",role=\"iothread\"")));
}

TEST_F(BpfReader, FindsTheThreadsOfAVmInThePassThatFindsTheVm) {
  FakeVm vm(qemu_argv("new", "dddddddd-0000-0000-0000-000000000004"),
            {"CPU 0/KVM"});
  auto inventory = inventory_with(std::move(reader_), {});
  const auto snapshot = inventory.take(said_);
  ASSERT_TRUE(snapshot);
  const Vm* const found = find_vm(*snapshot, "new");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->vcpu_count, 1U);
}

TEST_F(BpfReader, LeavesOutWhoWasNotChosenAndWhoHasEnded) {
  FakeVm chosen(qemu_argv("chosen", "dddddddd-0000-0000-0000-000000000005"),
                {"CPU 0/KVM"});
  FakeVm other(qemu_argv("other", "dddddddd-0000-0000-0000-000000000006"),
               {"CPU 0/KVM"});
  EXPECT_EQ(read(chosen.pid()).size(), 2U);
  EXPECT_EQ(reader_->threads(other.pid(), said_).size(), 1U);
  chosen.add("CPU 1/KVM");
  EXPECT_EQ(read(chosen.pid()).size(), 3U);
  chosen.remove("CPU 1/KVM");
  EXPECT_EQ(read(chosen.pid()).size(), 2U);
  chosen.kill();
  EXPECT_THAT(read(chosen.pid()), IsEmpty());
  EXPECT_EQ(process_of(*reader_, chosen.pid()), std::nullopt);
  EXPECT_THAT(said_.problems(), IsEmpty());
}

TEST_F(BpfReader, SeesAWaitThatGoesOn) {
  const auto before = std::chrono::steady_clock::now();
  FakeVm vm(qemu_argv("waits", "dddddddd-0000-0000-0000-000000000007"),
            {"CPU 0/KVM", "CPU 1/KVM"});
  for (const Task& task : read(vm.pid())) pin(task.tid, 1);
  const auto start = std::chrono::steady_clock::now();
  vm.start_spin(1000);
  std::uint64_t longest = 0;
  // Two that never sleep on one CPU: one of them waits at any time, and each
  // wait is seen growing until the other's slice ends.
  while (longest < 1'000'000 &&
         std::chrono::steady_clock::now() - start < std::chrono::seconds(1)) {
    for (const Task& task : read(vm.pid()))
      longest = std::max(longest, *task.waiting_ns);
  }
  const auto most = std::chrono::steady_clock::now() - before;
  vm.finish_spin();
  EXPECT_GE(longest, 1'000'000U);
  EXPECT_LE(longest, static_cast<std::uint64_t>(most.count()));
  EXPECT_EQ(reason_of(said_, "open_waits"), "");
}

TEST(BpfReaderWithoutProgram, ReadsProcAndSaysWhy) {
  BpfTaskReader reader({}, failed("no iterator here"));
  FakeVm vm(qemu_argv("plain", "dddddddd-0000-0000-0000-000000000008"),
            {"CPU 0/KVM"});
  Families said;
  const auto tasks = tasks_of(reader, vm.pid(), said);
  ASSERT_EQ(tasks.size(), 2U);
  EXPECT_TRUE(tasks[1].sched);
  EXPECT_FALSE(tasks[1].waiting_ns);
  EXPECT_EQ(reason_of(said, "task_iterator"), "no iterator here");
  EXPECT_EQ(reason_of(said, "open_waits"), "not told by /proc");
  EXPECT_EQ(reason_of(said, "task_schedstat"), "");
}

TEST(BpfReaderWithoutProgram, IsNotOpenedForAnotherTreeThanThisMachines) {
  ProcTree tree;
  const auto reader = opened(tree.roots(), true);
  Families said;
  tasks_of(*reader, 1, said);
  EXPECT_THAT(reason_of(said, "task_iterator"),
              HasSubstr("is not this machine's"));
}

TEST(BpfReaderWithoutProgram, IsNotOpenedWhereEbpfIsSwitchedOff) {
  const auto reader = opened({}, false);
  Families said;
  tasks_of(*reader, 1, said);
  EXPECT_THAT(reason_of(said, "task_iterator"), HasSubstr("--no-ebpf"));
}

}  // namespace
}  // namespace vcpu
