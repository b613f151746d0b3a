// SPDX-License-Identifier: Apache-2.0
//
// The tree of debugfs is built after virt/kvm/kvm_main.c of Linux 6.1
// (kvm_create_vm_debugfs); tests/lab reads a real one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "collectors/catalog.h"
#include "tests/support/fake_monitor.h"
#include "tests/support/literal_snapshot.h"
#include "tests/support/proc_tree.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class KvmTest : public testing::Test {
 protected:
  KvmTest() {
    vm_ = vm_of("web", {vcpu_thread("web", 0, {}, 0, {0})});
    vm_.pid = 7;
    vm_.start_ticks = 70;
    vm_.accel = "kvm";
    vm_.libvirt = &domain_;
    options_.roots = tree_.roots();
    options_.monitor = monitor_;
  }

  void debugfs(const std::string& vm, const std::string& name,
               std::uint64_t value) {
    ProcTree::write(tree_.roots().sys + "/kernel/debug/kvm/" + vm + "/" + name,
                    std::to_string(value) + "\n");
  }

  Collector& opened() {
    collector_ = make_kvm(options_);
    collector_->open();
    return *collector_;
  }

  Families collect(Collector& collector) {
    auto snapshot = snapshot_of({vm_});
    LibvirtView view;
    view.expected = true;
    snapshot.libvirt = std::make_shared<const LibvirtView>(view);
    Families families;
    EXPECT_TRUE(collector.collect(snapshot, families));
    return families;
  }

  const LibvirtDomain domain_{"u-1", "web", "running", {}, {}, {}};
  ProcTree tree_;
  CollectorOptions options_;
  Vm vm_;
  std::shared_ptr<FakeMonitor> monitor_ = std::make_shared<FakeMonitor>();
  std::unique_ptr<Collector> collector_;
};

TEST_F(KvmTest, SaysWhatLibvirtTells) {
  auto& figures = monitor_->told[7];
  figures.vcpus[0] = kvm_stats({{KvmStat::kExits, 90},
                                {KvmStat::kHaltWaitNs, 1'500'000'000},
                                {KvmStat::kHaltPollSuccessNs, 250'000'000},
                                {KvmStat::kHaltPollFailNs, 500'000'000}});
  figures.kvm = kvm_stats({{KvmStat::kExits, 100},
                           {KvmStat::kHaltExits, 10},
                           {KvmStat::kIoExits, 20},
                           {KvmStat::kIrqExits, 5},
                           {KvmStat::kPreemptionReported, 3},
                           {KvmStat::kPreemptionOther, 4},
                           {KvmStat::kDirectedYieldAttempted, 9},
                           {KvmStat::kDirectedYieldSuccessful, 2}});
  const auto said = collect(opened());
  EXPECT_THAT(
      samples_of(said),
      ElementsAre(
          R"(vcpu_kvm_exits_total{domain="web",reason="halt"} 10)",
          R"(vcpu_kvm_exits_total{domain="web",reason="io"} 20)",
          R"(vcpu_kvm_exits_total{domain="web",reason="irq"} 5)",
          R"(vcpu_kvm_exits_total{domain="web",reason="other"} 65)",
          R"(vcpu_kvm_halt_wait_seconds_total{domain="web",vcpu="0"} 1.5)",
          R"(vcpu_kvm_halt_poll_seconds_total{domain="web",vcpu="0",result="success"} 0.25)",
          R"(vcpu_kvm_halt_poll_seconds_total{domain="web",vcpu="0",result="fail"} 0.5)",
          R"(vcpu_kvm_preemptions_total{domain="web"} 7)",
          R"(vcpu_kvm_directed_yields_total{domain="web",result="success"} 2)",
          R"(vcpu_kvm_directed_yields_total{domain="web",result="fail"} 7)"));
  EXPECT_EQ(reason_of(said, "kvm_statistics"), "");
  EXPECT_EQ(reason_of(said, "kvm_halt_times"), "");
  EXPECT_THAT(monitor_->groups, ElementsAre(MonitorGroup::kKvm));
}

TEST_F(KvmTest, SaysTheExitsOfEachVcpuOnRequest) {
  debugfs("7-12", "exits", 130);
  auto& figures = monitor_->told[7];
  figures.vcpus[0] =
      kvm_stats({{KvmStat::kExits, 100}, {KvmStat::kIoExits, 20}});
  figures.vcpus[1] = kvm_stats({{KvmStat::kExits, 30}});
  options_.kvm.per_vcpu = true;
  auto& collector = opened();
  EXPECT_THAT(
      samples_of(collect(collector)),
      ElementsAre(
          R"(vcpu_kvm_exits_total{domain="web",vcpu="0",reason="io"} 20)",
          R"(vcpu_kvm_exits_total{domain="web",vcpu="0",reason="other"} 80)",
          R"(vcpu_kvm_exits_total{domain="web",vcpu="1",reason="other"} 30)"));
  // Read at another moment than the whole.
  figures.vcpus[0][KvmStat::kIoExits] = 25;
  EXPECT_THAT(
      samples_of(collect(collector)),
      Contains(
          R"(vcpu_kvm_exits_total{domain="web",vcpu="0",reason="other"} 80)"));
}

TEST_F(KvmTest, SaysTheSumOfTheExitsWhereNobodyTellsThemOfAVcpu) {
  debugfs("7-12", "exits", 50);
  // As of a QEMU before 7.1.
  monitor_->told[7].vcpus[0] = kvm_stats({{KvmStat::kHaltWaitNs, 0}});
  options_.kvm.per_vcpu = true;
  EXPECT_THAT(
      samples_of(collect(opened())),
      Contains(R"(vcpu_kvm_exits_total{domain="web",reason="other"} 50)"));
}

TEST_F(KvmTest, TheRestOfTheExitsNeverFalls) {
  auto& collector = opened();
  monitor_->told[7].kvm =
      kvm_stats({{KvmStat::kExits, 100}, {KvmStat::kIoExits, 20}});
  collect(collector);
  // Read at another moment than the whole.
  monitor_->told[7].kvm =
      kvm_stats({{KvmStat::kExits, 101}, {KvmStat::kIoExits, 25}});
  EXPECT_THAT(
      samples_of(collect(collector)),
      Contains(R"(vcpu_kvm_exits_total{domain="web",reason="other"} 80)"));
  // Of another run of the VM it begins anew.
  vm_.start_ticks = 71;
  EXPECT_THAT(
      samples_of(collect(collector)),
      Contains(R"(vcpu_kvm_exits_total{domain="web",reason="other"} 76)"));
}

TEST_F(KvmTest, SaysWhatDebugfsTellsOfAnyVm) {
  debugfs("7-12", "exits", 50);
  debugfs("7-12", "mmio_exits", 30);
  debugfs("7-12", "halt_wait_ns", 5);
  debugfs("8-12", "exits", 5000);
  vm_.libvirt = nullptr;
  const auto said = collect(opened());
  EXPECT_THAT(
      samples_of(said),
      ElementsAre(R"(vcpu_kvm_exits_total{domain="web",reason="mmio"} 30)",
                  R"(vcpu_kvm_exits_total{domain="web",reason="other"} 20)"));
  EXPECT_EQ(reason_of(said, "kvm_statistics"), "");
  // Only the VM's sum of them is in debugfs.
  EXPECT_THAT(reason_of(said, "kvm_halt_times"), HasSubstr("debugfs does not"));
}

TEST_F(KvmTest, SumsDoNotFallWhenTheyAreToldByAnother) {
  debugfs("7-12", "exits", 100);
  debugfs("7-12", "preemption_reported", 10);
  debugfs("7-12", "preemption_other", 0);
  debugfs("7-12", "directed_yield_attempted", 8);
  debugfs("7-12", "directed_yield_successful", 8);
  auto& collector = opened();
  collect(collector);
  std::filesystem::remove_all(tree_.roots().sys + "/kernel/debug/kvm/7-12");
  // libvirt heard that some seconds ago.
  monitor_->told[7].kvm = kvm_stats({{KvmStat::kExits, 90},
                                     {KvmStat::kPreemptionReported, 9},
                                     {KvmStat::kPreemptionOther, 0},
                                     {KvmStat::kDirectedYieldAttempted, 7},
                                     {KvmStat::kDirectedYieldSuccessful, 7}});
  EXPECT_THAT(
      samples_of(collect(collector)),
      ElementsAre(
          R"(vcpu_kvm_exits_total{domain="web",reason="other"} 100)",
          R"(vcpu_kvm_preemptions_total{domain="web"} 10)",
          R"(vcpu_kvm_directed_yields_total{domain="web",result="success"} 8)",
          R"(vcpu_kvm_directed_yields_total{domain="web",result="fail"} 0)"));
  monitor_->told[7].kvm[KvmStat::kExits] = 105;
  EXPECT_THAT(
      samples_of(collect(collector)),
      Contains(R"(vcpu_kvm_exits_total{domain="web",reason="other"} 105)"));
}

// Cloud Hypervisor makes its VM in a thread.
TEST_F(KvmTest, FindsAVmByTheThreadThatMadeIt) {
  debugfs("1000-31", "exits", 50);
  EXPECT_THAT(
      samples_of(collect(opened())),
      Contains(R"(vcpu_kvm_exits_total{domain="web",reason="other"} 50)"));
}

TEST_F(KvmTest, DebugfsIsReadThroughWhatWasOpenedAtTheStart) {
  debugfs("7-12", "exits", 50);
  auto& collector = opened();
  // As closed as it is to us without our rights.
  const auto debug = tree_.roots().sys + "/kernel/debug";
  std::filesystem::rename(debug, debug + ".away");
  EXPECT_THAT(
      samples_of(collect(collector)),
      Contains(R"(vcpu_kvm_exits_total{domain="web",reason="other"} 50)"));
}

TEST_F(KvmTest, SaysWhereNobodyTells) {
  EXPECT_THAT(reason_of(collect(opened()), "kvm_statistics"),
              HasSubstr("QEMU 7.1"));
  vm_.accel = "tcg";
  const auto said = collect(opened());
  EXPECT_EQ(reason_of(said, "kvm_statistics"), "-");
  EXPECT_EQ(reason_of(said, "kvm_halt_times"), "-");
  EXPECT_THAT(samples_of(said), IsEmpty());
}

}  // namespace
}  // namespace vcpu
