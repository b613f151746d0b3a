// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/inventory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_vm.h"
#include "tests/support/host_under_test.h"
#include "tests/support/proc_tree.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* kQemu = "qemu-system-x86";
constexpr const char* kUuid = "12345678-1234-1234-1234-123456789abc";
constexpr const char* kOther = "87654321-1234-1234-1234-123456789abc";

constexpr const char* kImpostor = "99999999-1234-1234-1234-123456789abc";

class InventoryOnATree : public testing::Test {
 protected:
  InventoryOnATree() : inventory_(inventory_on(tree_.roots())) {}

  Snapshot take() {
    said_ = {};
    return *inventory_.take(said_);
  }

  std::vector<std::string> domains() {
    std::vector<std::string> names;
    for (const Vm& vm : take().vms) names.push_back(vm.domain);
    return names;
  }

  ProcTree::Process qemu(pid_t pid, const std::string& name,
                         const std::string& uuid, std::uint64_t start = 1000) {
    return tree_.process(pid, kQemu, qemu_argv(name, uuid), {.start = start})
        .thread(pid + 1, "CPU 0/KVM", {.start = start});
  }

  ProcTree tree_;
  Inventory inventory_;
  Families said_;
};

TEST_F(InventoryOnATree, IsEmptyOnAHostWithoutVms) {
  EXPECT_THAT(take().vms, IsEmpty());
  EXPECT_THAT(said_.problems(), IsEmpty());
}

// Reads a tree, and is told what an eBPF pass would tell besides.
class ReaderWithFacts final : public TaskReader {
 public:
  ReaderWithFacts(const Roots& roots, std::optional<ProcessFacts>& facts)
      : procfs_(roots), facts_(facts) {}
  void begin(std::shared_ptr<const Topology> host) override {
    procfs_.begin(std::move(host));
  }
  Result<std::vector<Process>> processes(Families& said) override {
    return procfs_.processes(said);
  }
  void choose(const std::vector<pid_t>& pids, Families& said) override {
    procfs_.choose(pids, said);
  }
  std::vector<Task> threads(pid_t pid, Families& said) override {
    return procfs_.threads(pid, said);
  }
  std::optional<ProcessFacts> facts(pid_t /*pid*/) override { return facts_; }
  void report(Families& said) override { procfs_.report(said); }

 private:
  ProcfsTaskReader procfs_;
  std::optional<ProcessFacts>& facts_;
};

// A thread that ends is counted nowhere for a moment.
TEST_F(InventoryOnATree, MajorFaultsNeverDecrease) {
  qemu(100, "web", kUuid);
  std::optional<ProcessFacts> facts;
  auto inventory = inventory_with(
      std::make_unique<ReaderWithFacts>(tree_.roots(), facts), tree_.roots());
  const auto use = [&] { return inventory.take(said_)->vms.at(0).memory_use; };
  EXPECT_FALSE(use());
  facts = ProcessFacts{{4096, 8192, 10}, 7};
  EXPECT_EQ(use()->major_faults, 10U);
  EXPECT_EQ(use()->page_table_bytes, 4096U);
  EXPECT_EQ(use()->hugetlb_bytes, 8192U);
  facts->memory = {2048, 0, 9};
  EXPECT_EQ(use()->major_faults, 10U);
  EXPECT_EQ(use()->page_table_bytes, 2048U);
  EXPECT_EQ(use()->hugetlb_bytes, 0U);
}

TEST_F(InventoryOnATree, KnowsAVmByItsCommandLine) {
  qemu(100, "web", kUuid, 250);
  const auto snapshot = take();
  ASSERT_THAT(snapshot.vms, SizeIs(1));
  const Vm& vm = snapshot.vms[0];
  EXPECT_EQ(vm.domain, "web");
  EXPECT_EQ(vm.uuid, kUuid);
  EXPECT_EQ(vm.vmm, "qemu");
  EXPECT_EQ(vm.accel, "kvm");
  EXPECT_EQ(vm.machine, "pc-q35-7.2");
  EXPECT_EQ(vm.pid, 100);
  EXPECT_DOUBLE_EQ(vm.start_time_seconds, 1700000000 + 2.5);
}

TEST_F(InventoryOnATree, PutsVcpusFirstByIndex) {
  qemu(100, "web", kUuid)
      .thread(110, "CPU 10/KVM", {})
      .thread(103, "IO iothread1", {})
      .thread(109, "CPU 2/KVM", {});
  const auto snapshot = take();
  const Vm& vm = snapshot.vms.at(0);
  std::vector<int> indices;
  for (const Thread& vcpu : vm.vcpus()) indices.push_back(vcpu.vcpu);
  EXPECT_THAT(indices, ElementsAre(0, 2, 10));
  EXPECT_EQ(vm.threads.at(3).role, ThreadRole::kEmulator);
  EXPECT_EQ(vm.threads.at(4).role, ThreadRole::kIothread);
  EXPECT_EQ(vm.threads.at(1).labels.text(), R"(domain="web",vcpu="2")");
}

TEST_F(InventoryOnATree, TellsUnnamedThreadsByLibvirtsCgroups) {
  const std::string scope = "/machine.slice/machine-qemu\\x2d1.scope/libvirt/";
  tree_
      .process(100, kQemu, qemu_argv("old", kUuid),
               {.cgroup = scope + "emulator"})
      .thread(101, kQemu, {.cgroup = scope + "vcpu1"})
      .thread(102, kQemu, {.cgroup = scope + "iothread1"})
      .thread(103, kQemu, {.cgroup = "/user.slice"});
  const auto snapshot = take();
  const auto& threads = snapshot.vms.at(0).threads;
  ASSERT_THAT(threads, SizeIs(4));
  EXPECT_EQ(threads[0].role, ThreadRole::kVcpu);
  EXPECT_EQ(threads[0].vcpu, 1);
  EXPECT_EQ(threads[1].role, ThreadRole::kEmulator);
  EXPECT_EQ(threads[2].role, ThreadRole::kIothread);
  EXPECT_EQ(threads[3].role, ThreadRole::kOther);
}

TEST_F(InventoryOnATree, TakesTheAcceleratorFromTheThreadsNames) {
  tree_.process(100, "kvm", {"/usr/bin/kvm", "-name", "a,debug-threads=on"})
      .thread(101, "CPU 0/TCG", {});
  EXPECT_EQ(take().vms.at(0).accel, "tcg");
}

TEST_F(InventoryOnATree, AddsTheKernelsVhostThreads) {
  qemu(100, "web", kUuid);
  tree_.kernel_thread(300, "vhost-100", {.run = 30, .wait = 3});
  tree_.kernel_thread(301, "vhost-999", {});
  take();
  tree_.kernel_thread(300, "vhost-100", {.run = 100, .wait = 10});
  const auto snapshot = take();
  const auto& times = snapshot.vms.at(0).role_times;
  ASSERT_THAT(times, SizeIs(2));
  EXPECT_EQ(times[1].role, ThreadRole::kVhost);
  EXPECT_EQ(times[1].run_ns, 70U);
  EXPECT_EQ(times[1].wait_ns, 7U);
}

TEST_F(InventoryOnATree, KeepsRoleTimesOfThreadsThatEnded) {
  auto vm = qemu(100, "web", kUuid);
  take();
  vm.thread(120, "worker", {.run = 30}).thread(121, "worker", {.run = 12});
  EXPECT_EQ(take().vms.at(0).role_times.at(1).run_ns, 42U);
  vm.end_thread(120).thread(121, "worker", {.run = 13});
  EXPECT_EQ(take().vms.at(0).role_times.at(1).run_ns, 43U);
}

TEST_F(InventoryOnATree, GoesOnCountingAVcpuThatIsPluggedAgain) {
  auto vm = qemu(100, "web", kUuid);
  vm.thread(105, "CPU 1/KVM", {.run = 100, .wait = 10, .start = 5});
  ASSERT_EQ(take().vms.at(0).threads.at(1).sched->run_ns, 100U);
  vm.end_thread(105);
  EXPECT_EQ(take().vms.at(0).vcpu_count, 1U);
  vm.thread(108, "CPU 1/KVM", {.run = 1, .wait = 2, .start = 9});
  const auto sched = take().vms.at(0).threads.at(1).sched;
  EXPECT_EQ(sched->run_ns, 101U);
  EXPECT_EQ(sched->wait_ns, 12U);
}

TEST_F(InventoryOnATree, StartsANewVmOfTheSameNameAtZero) {
  qemu(100, "web", kUuid).thread(101, "CPU 0/KVM", {.run = 100});
  ASSERT_EQ(take().vms.at(0).threads.at(0).sched->run_ns, 100U);
  tree_.end_process(100);
  EXPECT_THAT(take().vms, IsEmpty());
  qemu(100, "web", kUuid, 2000).thread(101, "CPU 0/KVM", {.run = 3});
  EXPECT_EQ(take().vms.at(0).threads.at(0).sched->run_ns, 3U);
}

TEST_F(InventoryOnATree, SeesAReusedPidAsAnotherVm) {
  qemu(100, "web", kUuid, 1000);
  ASSERT_THAT(domains(), ElementsAre("web"));
  qemu(100, "db", kOther, 2000);
  EXPECT_THAT(domains(), ElementsAre("db"));
}

TEST_F(InventoryOnATree, SeesALauncherTurnIntoItsVm) {
  tree_.process(100, "launcher", {"launcher"}).thread(101, "helper", {});
  ASSERT_THAT(domains(), IsEmpty());
  qemu(100, "web", kUuid);
  EXPECT_THAT(domains(), ElementsAre("web"));
}

TEST_F(InventoryOnATree, KeepsTwoVmsOfOneNameApartForGood) {
  qemu(100, "web", kUuid);
  ASSERT_THAT(domains(), ElementsAre("web"));
  qemu(200, "web", kOther);
  EXPECT_THAT(domains(), ElementsAre("web@12345678", "web@87654321"));
  tree_.end_process(100);
  EXPECT_THAT(domains(), ElementsAre("web@87654321"));
}

TEST_F(InventoryOnATree, ShowsOneProcessOfAVmThatMigratesWithinTheHost) {
  qemu(100, "web", kUuid, 1000);
  qemu(200, "web", kUuid, 2000);
  const auto snapshot = take();
  ASSERT_THAT(snapshot.vms, SizeIs(1));
  EXPECT_EQ(snapshot.vms[0].pid, 100);
  EXPECT_THAT(said_.drops(), ElementsAre("second_process_of_a_vm"));
}

TEST_F(InventoryOnATree, NamesTheNamelessByTheirProcess) {
  tree_.process(100, kQemu, {"qemu-system-x86_64", "-m", "512"})
      .thread(101, kQemu, {});
  EXPECT_THAT(domains(), ElementsAre("qemu-100"));
}

TEST_F(InventoryOnATree, MakesHostileNamesFitForALabel) {
  qemu(100, "a\"b\\c\nd\xff", kUuid);
  EXPECT_THAT(domains(), ElementsAre("a\"b\\cd\xEF\xBF\xBD"));
}

TEST_F(InventoryOnATree, DoesNotTakeAManyThreadedProgramForAVm) {
  tree_.process(100, "mysqld", {"/usr/sbin/mysqld", "-name", "x"})
      .thread(101, "CPU 0/KVM", {});
  EXPECT_THAT(domains(), IsEmpty());
}

TEST_F(InventoryOnATree, LeavesOutAVmWhoseLastThreadEnded) {
  qemu(100, "web", kUuid).remove_file(100, "stat").end_thread(101);
  qemu(200, "db", kOther);
  EXPECT_THAT(domains(), ElementsAre("db"));
  EXPECT_THAT(said_.problems(), IsEmpty());
}

TEST_F(InventoryOnATree, DoesNotNameAVmAfterOneThatHasJustEnded) {
  qemu(100, "web", "").remove_file(100, "stat").end_thread(101);
  qemu(200, "web", "");
  EXPECT_THAT(domains(), ElementsAre("web"));
}

TEST_F(InventoryOnATree, SaysGarbageAndKeepsTheRest) {
  qemu(100, "web", kUuid).file(101, "status", "\x01\x02");
  qemu(200, "db", kOther);
  const auto snapshot = take();
  ASSERT_THAT(snapshot.vms, SizeIs(2));
  EXPECT_FALSE(snapshot.vms[1].threads.at(0).sched->voluntary);
  EXPECT_TRUE(snapshot.vms[0].threads.at(0).sched->voluntary);
  EXPECT_THAT(said_.problems(), ElementsAre(HasSubstr("101/status")));
}

TEST_F(InventoryOnATree, AddsWhatLibvirtKnowsByUuid) {
  LibvirtView view;
  view.domains = {{kOther, "web", "running", 1, 1, {}},
                  {kImpostor, "bank", "running", 1, 1, {}},
                  {kUuid, "web", "paused", 2, 4, {}}};
  auto inventory = inventory_on(
      tree_.roots(), std::make_shared<const LibvirtView>(std::move(view)));
  qemu(100, "web", kUuid);
  qemu(200, "plain", "");
  qemu(300, "not the bank", kImpostor);
  const auto snapshot = *inventory.take(said_);
  ASSERT_NE(find_vm(snapshot, "web")->libvirt, nullptr);
  EXPECT_EQ(find_vm(snapshot, "web")->libvirt->state, "paused");
  EXPECT_EQ(find_vm(snapshot, "plain")->libvirt, nullptr);
  EXPECT_EQ(find_vm(snapshot, "not the bank")->libvirt, nullptr);
}

// Whoever began first, and whatever he says of himself.
TEST_F(InventoryOnATree, AddsWhatLibvirtKnowsToASystemUsersVmAlone) {
  constexpr uid_t kNobody = 65534;
  LibvirtView view;
  view.domains = {{kUuid, "bank", "paused", 2, 4, {}}};
  auto inventory = inventory_on(
      tree_.roots(), std::make_shared<const LibvirtView>(std::move(view)));
  const auto start = [&](pid_t pid, uid_t uid) {
    const ThreadFigures figures{.uid = uid};
    tree_.process(pid, "qemu-system-x86", qemu_argv("bank", kUuid), figures)
        .thread(pid + 1, "CPU 0/KVM", figures);
  };
  start(100, kNobody);
  start(200, 64055);
  start(300, kNobody);
  const auto snapshot = *inventory.take(said_);
  ASSERT_THAT(snapshot.vms, SizeIs(2));
  ASSERT_NE(find_vm(snapshot, "bank"), nullptr);
  EXPECT_EQ(find_vm(snapshot, "bank")->pid, 200);
  EXPECT_NE(find_vm(snapshot, "bank")->libvirt, nullptr);
  for (const auto& vm : snapshot.vms)
    EXPECT_EQ(vm.libvirt != nullptr, vm.pid == 200) << vm.domain;
}

TEST_F(InventoryOnATree, TellsMemoryAndStartOfAProcess) {
  auto argv = qemu_argv("web", kUuid);
  argv.insert(argv.end(), {"-m", "512"});
  tree_.process(100, "qemu-system-x86", argv, {.start = 4321})
      .thread(101, "CPU 0/KVM", {.start = 4321});
  const auto snapshot = take();
  ASSERT_THAT(snapshot.vms, SizeIs(1));
  EXPECT_EQ(snapshot.vms[0].memory_bytes, 512U << 20U);
  EXPECT_EQ(snapshot.vms[0].start_ticks, 4321U);
}

TEST_F(InventoryOnATree, KeepsTheTotalsOfAVmThatRenamesItself) {
  auto vm = qemu(100, "web", kUuid);
  vm.thread(120, "worker", {.run = 10});
  take();
  vm.thread(120, "worker", {.run = 15});
  ASSERT_EQ(take().vms.at(0).role_times.at(1).run_ns, 5U);
  tree_.process(100, "renamed", qemu_argv("web", kUuid));
  EXPECT_EQ(take().vms.at(0).role_times.at(1).run_ns, 5U);
}

TEST_F(InventoryOnATree, KeepsTheTotalsOfAVmThatCouldNotBeReadOnce) {
  auto vm = qemu(100, "web", kUuid);
  vm.thread(105, "CPU 1/KVM", {.run = 100, .start = 5});
  take();
  vm.thread(105, "CPU 1/KVM", {.run = 50, .start = 9});  // Plugged again.
  ASSERT_EQ(take().vms.at(0).threads.at(1).sched->run_ns, 150U);
  const auto stat = *read_file(tree_.proc("100/stat"));
  ProcTree::write(tree_.proc("100/stat"), "garbage");
  take();
  ProcTree::write(tree_.proc("100/stat"), stat);
  EXPECT_EQ(take().vms.at(0).threads.at(1).sched->run_ns, 150U);
}

TEST_F(InventoryOnATree, TakesTheOlderOfTwoThreadsOfOneNameForTheVcpu) {
  auto vm = qemu(100, "web", kUuid);
  vm.thread(150, "CPU 1/KVM", {.run = 70, .start = 20});
  ASSERT_EQ(take().vms.at(0).threads.at(1).tid, 150);
  // Made by it, not yet named, with a tid that came round.
  vm.thread(120, "CPU 1/KVM", {.run = 1, .start = 30});
  const auto snapshot = take();
  EXPECT_EQ(snapshot.vms.at(0).vcpu_count, 2U);
  EXPECT_EQ(snapshot.vms.at(0).threads.at(1).tid, 150);
  EXPECT_EQ(snapshot.vms.at(0).threads.at(1).sched->run_ns, 70U);
}

TEST_F(InventoryOnATree, HoldsNoDescriptorPerVm) {
  take();
  const auto before = list_numbers("/proc/self/fd")->size();
  for (pid_t pid = 100; pid < 200; pid += 10)
    qemu(pid, "vm" + std::to_string(pid), "");
  ASSERT_THAT(take().vms, SizeIs(10));
  EXPECT_EQ(list_numbers("/proc/self/fd")->size(), before);
}

TEST_F(InventoryOnATree, FailsOnlyWithoutTopologyOrProc) {
  Inventory nowhere = inventory_on({"/nonexistent/proc", "/nonexistent/sys"});
  const auto taken = nowhere.take(said_);
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().message(), HasSubstr("/nonexistent/sys"));
}

// --- Anybody may start what looks like a VM ---------------------------------

TEST_F(InventoryOnATree, SaysWhoRunsAVm) {
  tree_.process(100, kQemu, qemu_argv("web", kUuid), {.uid = 1000})
      .thread(101, "CPU 0/KVM", {});
  EXPECT_EQ(take().vms.at(0).uid, 1000U);
}

TEST_F(InventoryOnATree, LooksNowAndThenWhoRunsAVm) {
  tree_.process(100, kQemu, qemu_argv("web", kUuid), {.uid = 0})
      .thread(101, "CPU 0/KVM", {});
  EXPECT_EQ(take().vms.at(0).uid, 0U);
  tree_.process(100, kQemu, qemu_argv("web", kUuid), {.uid = 107});
  for (int pass = 0; pass < 15; ++pass) (void)take();
  EXPECT_EQ(take().vms.at(0).uid, 107U);
}

TEST_F(InventoryOnATree, LeavesOutWhatIsBeyondALimitAndSaysSo) {
  const Roots roots = tree_.roots();
  Inventory limited(roots,
                    std::make_unique<BpfTaskReader>(
                        roots, BpfTaskReader::open_program(roots, false)),
                    CommandLines(roots),
                    [] { return std::make_shared<const LibvirtView>(); },
                    std::chrono::seconds(10), {.vms = 3, .user_vms = 1});
  qemu(500, "bank", kOther, 9000);
  for (const pid_t pid : {100, 200, 300}) {
    tree_
        .process(pid, kQemu, qemu_argv("fake" + std::to_string(pid), ""),
                 {.start = 1000, .uid = 1000})
        .thread(pid + 1, "CPU 0/KVM", {});
  }
  const auto shown = [&] {
    said_ = {};
    std::vector<std::string> names;
    const auto snapshot = *limited.take(said_);
    for (const Vm& vm : snapshot.vms) names.push_back(vm.domain);
    return names;
  };
  EXPECT_THAT(shown(), ElementsAre("bank", "fake100"));
  EXPECT_THAT(said_.drops(), ElementsAre("user_vm_limit", "user_vm_limit"));
  EXPECT_THAT(reason_of(said_, "all_vms"), HasSubstr("--limit"));
  tree_.end_process(200);
  tree_.end_process(300);
  EXPECT_THAT(shown(), ElementsAre("bank", "fake100"));
  EXPECT_EQ(reason_of(said_, "all_vms"), "");
}

// --- Real processes, real threads, the real /proc -------------------------

TEST(InventoryOnThisMachine, SeesARealProcessThatLooksLikeAVm) {
  FakeVm vm(qemu_argv("real-one", "aaaaaaaa-0000-0000-0000-000000000001"),
            {"CPU 0/KVM", "CPU 1/KVM", "IO iothread1", "worker"});
  auto inventory = inventory_on({});
  Families said;
  const auto snapshot = *inventory.take(said);
  const Vm* const found = find_vm(snapshot, "real-one");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->pid, vm.pid());
  EXPECT_EQ(found->vcpu_count, 2U);
  EXPECT_TRUE(found->threads[0].sched->migrations);
  EXPECT_TRUE(found->threads[0].cpu);
  EXPECT_FALSE(found->threads[0].allowed->empty());
}

TEST(InventoryOnThisMachine, FollowsHotPlugAndUnplug) {
  FakeVm vm(qemu_argv("hotplug", "aaaaaaaa-0000-0000-0000-000000000002"),
            {"CPU 0/KVM"});
  auto inventory = inventory_on({});
  Families said;
  const auto vcpus = [&] {
    const auto snapshot = *inventory.take(said);
    return find_vm(snapshot, "hotplug")->vcpu_count;
  };
  EXPECT_EQ(vcpus(), 1U);
  vm.add("CPU 1/KVM");
  EXPECT_EQ(vcpus(), 2U);
  vm.remove("CPU 1/KVM");
  EXPECT_EQ(vcpus(), 1U);
}

TEST(InventoryOnThisMachine, ForgetsAVmThatWasKilled) {
  FakeVm vm(qemu_argv("killed", "aaaaaaaa-0000-0000-0000-000000000003"),
            {"CPU 0/KVM"});
  auto inventory = inventory_on({});
  Families said;
  ASSERT_NE(find_vm(*inventory.take(said), "killed"), nullptr);
  vm.kill();
  EXPECT_EQ(find_vm(*inventory.take(said), "killed"), nullptr);
}

TEST(InventoryOnThisMachine, KeepsItsFileDescriptorsConstant) {
  FakeVm vm(qemu_argv("descriptors", "aaaaaaaa-0000-0000-0000-000000000004"),
            {"CPU 0/KVM"});
  auto inventory = inventory_on({});
  Families said;
  (void)inventory.take(said);
  const auto before = list_numbers("/proc/self/fd")->size();
  for (int i = 0; i < 50; ++i) (void)inventory.take(said);
  EXPECT_EQ(list_numbers("/proc/self/fd")->size(), before);
}

}  // namespace
}  // namespace vcpu
