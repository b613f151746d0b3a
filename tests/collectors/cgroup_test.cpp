// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "collectors/base/file.h"
#include "collectors/catalog.h"
#include "collectors/kernel/pressure.h"
#include "collectors/vm_quota.h"
#include "tests/support/cpu_group.h"
#include "tests/support/fake_vm.h"
#include "tests/support/host_under_test.h"
#include "tests/support/literal_snapshot.h"
#include "tests/support/proc_tree.h"
#include "tests/support/text_of.h"
#include "tests/support/waiting.h"

namespace vcpu {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;
using testing::StartsWith;

constexpr pid_t kPid = 100;
constexpr const char* kScope =
    "/machine.slice/machine-qemu\\x2d1\\x2dweb.scope";

std::string two_lines(const std::string& some, const std::string& full) {
  return "some avg10=0.00 avg60=0.00 avg300=0.00 total=" + some +
         "\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=" + full + "\n";
}

// One VM, web, with two vCPUs, in groups below `top()`.
class Cgroups : public testing::Test {
 protected:
  void SetUp() override {
    cgroup_ = make_cgroup({.roots = tree_.roots()});
    vcpus(2);
  }

  void vcpus(int count) {
    std::vector<Thread> threads;
    for (int i = 0; i < count; ++i)
      threads.push_back(vcpu_thread("web", i, {}, 0, {0}));
    vm_ = vm_of("web", std::move(threads));
    vm_.pid = kPid;
  }

  // The VM's process is in the groups that `text`, its /proc/PID/cgroup, says.
  void process(const std::string& text) {
    tree_.process_file(kPid, "cgroup", text);
  }

  std::string top() const { return tree_.roots().sys + "/fs/cgroup"; }

  void write(const std::string& path, const std::string& text) {
    tree_.group_file(path, text);
  }

  void remove(const std::string& path) {
    std::filesystem::remove_all(top() + path);
  }

  // A group of version 2. Times in microseconds.
  void v2(const std::string& path, const std::string& max, int periods = 0,
          int throttled_periods = 0, int throttled_us = 0) {
    write(path + "/cpu.max", max + "\n");
    write(path + "/cpu.weight", "100\n");
    write(path + "/cpu.stat",
          "usage_usec 7\nnr_periods " + std::to_string(periods) +
              "\nnr_throttled " + std::to_string(throttled_periods) +
              "\nthrottled_usec " + std::to_string(throttled_us) + "\n");
  }

  // A group of version 1. Times in nanoseconds.
  void v1(const std::string& path, const std::string& quota,
          long throttled_ns = 0) {
    write("/cpu" + path + "/cpu.cfs_quota_us", quota + "\n");
    write("/cpu" + path + "/cpu.cfs_period_us", "100000\n");
    write("/cpu" + path + "/cpu.shares", "2048\n");
    write("/cpu" + path + "/cpu.stat",
          "nr_periods 9\nnr_throttled 8\nthrottled_time " +
              std::to_string(throttled_ns) + "\n");
  }

  // As libvirt makes them below `scope`, nothing limited.
  void libvirt_v2(const std::string& groups, int vcpu_count) {
    v2(groups + "/emulator", "max 100000");
    v2(groups + "/iothread1", "max 100000");
    for (int i = 0; i < vcpu_count; ++i)
      v2(groups + "/vcpu" + std::to_string(i), "max 100000");
  }

  std::vector<std::string> collect() {
    said_ = Families();
    auto snapshot = snapshot_of({vm_});
    snapshot.cgroups = cgroups_of(snapshot, tree_.roots());
    EXPECT_TRUE(cgroup_->collect(snapshot, said_));
    return samples_of(said_);
  }

  // As often as it takes until all groups were looked at; some are each time.
  std::vector<std::string> collect_a_round() {
    for (unsigned i = 1; i < VmQuota::kLooksPerRound; ++i) collect();
    return collect();
  }

  ProcTree tree_;
  std::unique_ptr<Collector> cgroup_;
  Vm vm_;
  Families said_;
};

TEST_F(Cgroups, WithoutAQuotaSayOnlyTheWeight) {
  process("0::" + std::string(kScope) + "/libvirt/emulator\n");
  v2(kScope, "max 100000");
  write(kScope + std::string("/cpu.weight"), "250\n");
  libvirt_v2(kScope + std::string("/libvirt"), 2);
  EXPECT_THAT(collect(),
              ElementsAre(R"(vcpu_domain_cpu_weight{domain="web"} 250)"));
  EXPECT_EQ(reason_of(said_, "vm_cpu_cgroup"), "");
  EXPECT_THAT(said_.problems(), IsEmpty());
}

TEST_F(Cgroups, OfLibvirtTellEachVcpusQuota) {
  const std::string groups = kScope + std::string("/libvirt");
  process("0::" + groups + "/emulator\n");
  v2(kScope, "max 100000");
  libvirt_v2(groups, 2);
  v2(groups, "max 100000");
  v2(groups + "/vcpu0", "20000 100000", 10, 5, 1'500'000);
  v2(groups + "/vcpu1", "20000 100000", 10, 5, 500'000);
  EXPECT_THAT(
      collect(),
      ElementsAre(R"(vcpu_domain_cpu_weight{domain="web"} 100)",
                  R"(vcpu_domain_cpu_quota_cores{domain="web"} 0.4)",
                  R"(vcpu_throttled_seconds_total{domain="web",vcpu="0"} 1.5)",
                  R"(vcpu_throttled_seconds_total{domain="web",vcpu="1"} 0.5)",
                  R"(vcpu_domain_throttled_seconds_total{domain="web"} 0)",
                  R"(vcpu_domain_throttled_periods_total{domain="web"} 0)",
                  R"(vcpu_domain_periods_total{domain="web"} 0)"));
  v2(groups + "/vcpu0", "20000 100000", 14, 8, 2'500'000);
  v2(groups + "/vcpu1", "20000 100000", 14, 9, 1'250'000);
  EXPECT_THAT(
      collect(),
      IsSupersetOf(
          {R"(vcpu_throttled_seconds_total{domain="web",vcpu="0"} 2.5)",
           R"(vcpu_throttled_seconds_total{domain="web",vcpu="1"} 1.25)",
           R"(vcpu_domain_throttled_seconds_total{domain="web"} 1.75)",
           R"(vcpu_domain_throttled_periods_total{domain="web"} 7)",
           R"(vcpu_domain_periods_total{domain="web"} 8)"}));
}

TEST_F(Cgroups, OfVersionOneTellTheSame) {
  const std::string vm = "/machine/qemu-1-web.libvirt-qemu";
  process("4:cpu,cpuacct:" + vm + "/emulator\n0::/\n");
  v1(vm, "150000");
  v1(vm + "/emulator", "-1");
  v1(vm + "/vcpu0", "50000", 3'000'000'001);
  v1(vm + "/vcpu1", "-1");
  collect();
  v1(vm, "150000", 500'000'000);
  v1(vm + "/vcpu0", "50000", 3'250'000'001);
  EXPECT_THAT(
      collect(),
      ElementsAre(
          R"(vcpu_domain_cpu_weight{domain="web"} 200)",
          R"(vcpu_domain_cpu_quota_cores{domain="web"} 1.5)",
          R"(vcpu_throttled_seconds_total{domain="web",vcpu="0"} 3.250000001)",
          R"(vcpu_domain_throttled_seconds_total{domain="web"} 0.75)",
          R"(vcpu_domain_throttled_periods_total{domain="web"} 0)",
          R"(vcpu_domain_periods_total{domain="web"} 0)"));
  EXPECT_THAT(reason_of(said_, "vm_pressure"), HasSubstr("version 2"));
}

TEST_F(Cgroups, AllowWhatTheLeastOfTheQuotasAllows) {
  const auto cores = [&] {
    for (const auto& sample : collect_a_round())
      if (sample.starts_with("vcpu_domain_cpu_quota_cores"))
        return sample.substr(sample.rfind(' ') + 1);
    return std::string("none");
  };
  const std::string groups = kScope + std::string("/libvirt");
  process("0::" + groups + "/emulator\n");
  v2(kScope, "max 100000");
  v2(groups, "max 100000");
  libvirt_v2(groups, 2);
  EXPECT_EQ(cores(), "none");
  v2(groups + "/vcpu1", "50000 100000");
  EXPECT_EQ(cores(), "1.5");
  v2(groups + "/vcpu0", "300000 100000");
  EXPECT_EQ(cores(), "1.5");
  v2(groups, "120000 100000");
  EXPECT_EQ(cores(), "1.2");
  v2(kScope, "110000 100000");
  EXPECT_EQ(cores(), "1.1");
  v2(groups + "/vcpu0", "10000 100000");
  EXPECT_EQ(cores(), "0.6");
}

TEST_F(Cgroups, OfProxmoxHaveOneQuotaForTheVm) {
  process("0::/qemu.slice/100.scope\n");
  v2("/qemu.slice/100.scope", "150000 100000", 3, 2, 1);
  collect();
  v2("/qemu.slice/100.scope", "150000 100000", 10, 6, 2'000'001);
  const auto said = collect();
  EXPECT_THAT(
      said,
      IsSupersetOf({R"(vcpu_domain_cpu_quota_cores{domain="web"} 1.5)",
                    R"(vcpu_domain_throttled_seconds_total{domain="web"} 2)"}));
  EXPECT_THAT(said, Not(Contains(StartsWith("vcpu_throttled_"))));
}

TEST_F(Cgroups, OfAPlainVmAreItsOwnWhereItIsAlone) {
  process("0::/vms/web\n");
  v2("/vms/web", "150000 100000");
  write("/vms/web/cgroup.procs", "100\n");
  EXPECT_THAT(collect(), Contains(StartsWith("vcpu_domain_cpu_quota_cores")));
  EXPECT_EQ(reason_of(said_, "vm_cpu_cgroup"), "");

  write("/vms/web/cgroup.procs", "100\n101\n");
  EXPECT_THAT(collect(), IsEmpty());
  EXPECT_THAT(reason_of(said_, "vm_cpu_cgroup"),
              StartsWith("a VM shares its control group with other"));
  EXPECT_THAT(said_.problems(), IsEmpty());
}

TEST_F(Cgroups, OfAVmThatHasEndedAreNotMissed) {
  process("0::/\n");
  collect();
  EXPECT_NE(reason_of(said_, "vm_cpu_cgroup"), "");
  tree_.end_process(kPid);
  EXPECT_THAT(collect(), IsEmpty());
  EXPECT_EQ(reason_of(said_, "vm_cpu_cgroup"), "");
  EXPECT_EQ(reason_of(said_, "vm_pressure"), "");
}

TEST_F(Cgroups, WithoutTheControllerSaySo) {
  process("0::" + std::string(kScope) + "\n");
  write(kScope + std::string("/cpu.stat"), "usage_usec 7\n");
  EXPECT_THAT(collect(), IsEmpty());
  EXPECT_THAT(reason_of(said_, "vm_cpu_cgroup"),
              HasSubstr("cgroup.subtree_control"));
  EXPECT_THAT(said_.problems(), IsEmpty());
  // The group itself has gone: the VM ends.
  remove(kScope);
  EXPECT_THAT(collect(), IsEmpty());
  EXPECT_EQ(reason_of(said_, "vm_cpu_cgroup"), "");
  EXPECT_THAT(said_.problems(), IsEmpty());
}

TEST_F(Cgroups, AreAllLookedAtOnceTheFirstVcpuGetsAQuota) {
  const std::string groups = kScope + std::string("/libvirt");
  process("0::" + groups + "/emulator\n");
  v2(kScope, "max 100000");
  v2(groups, "max 100000");
  vcpus(20);
  libvirt_v2(groups, 20);
  collect();
  for (int i = 0; i < 20; ++i)
    v2(groups + "/vcpu" + std::to_string(i), "20000 100000", 2, 1, 250'000);
  const auto said = collect();
  for (int i = 0; i < 20; ++i)
    EXPECT_THAT(said, Contains("vcpu_throttled_seconds_total{domain=\"web\","
                               "vcpu=\"" +
                               std::to_string(i) + "\"} 0.25"));
  // What was stopped before the quota was seen was stopped nevertheless.
  EXPECT_THAT(
      said, Contains(R"(vcpu_domain_throttled_seconds_total{domain="web"} 5)"));
}

TEST_F(Cgroups, AreFoundWithAQuotaOfTheirOwnWithinARound) {
  const std::string groups = kScope + std::string("/libvirt");
  process("0::" + groups + "/emulator\n");
  v2(kScope, "max 100000");
  v2(groups, "max 100000");
  vcpus(100);
  libvirt_v2(groups, 100);
  collect();
  v2(groups + "/vcpu77", "50000 100000", 1, 1, 5'000'000);
  v2(groups + "/iothread1", "50000 100000", 1, 1, 2'000'000);
  EXPECT_THAT(
      collect_a_round(),
      IsSupersetOf({R"(vcpu_throttled_seconds_total{domain="web",vcpu="77"} 5)",
                    R"(vcpu_domain_throttled_seconds_total{domain="web"} 7)"}));
}

TEST_F(Cgroups, ThatAreAddedAreFoundAtTheNextLook) {
  const std::string groups = kScope + std::string("/libvirt");
  process("0::" + groups + "/emulator\n");
  v2(kScope, "max 100000");
  v2(groups, "max 100000");
  libvirt_v2(groups, 2);
  collect();
  v2(groups + "/iothread7", "50000 100000", 1, 1, 2'000'000);
  EXPECT_THAT(
      collect(),
      Contains(R"(vcpu_domain_throttled_seconds_total{domain="web"} 2)"));
}

// A group that has gone and one that came are as many as before.
TEST_F(Cgroups, ThatTookTheOthersPlaceAreFoundWithinARound) {
  const std::string groups = kScope + std::string("/libvirt");
  process("0::" + groups + "/emulator\n");
  v2(kScope, "max 100000");
  v2(groups, "max 100000");
  libvirt_v2(groups, 2);
  collect();
  remove(groups + "/iothread1");
  v2(groups + "/iothread2", "50000 100000", 1, 1, 2'000'000);
  collect_a_round();
  EXPECT_THAT(
      collect(),
      Contains(R"(vcpu_domain_throttled_seconds_total{domain="web"} 2)"));
}

TEST_F(Cgroups, OfManyVmsAreLookedAtInTurn) {
  constexpr int kVms = 100;
  std::vector<Vm> vms;
  for (int i = 0; i < kVms; ++i) {
    const auto number = std::to_string(i);
    vms.push_back(vm_of("vm" + number, {}));
    vms.back().pid = kPid + i;
    const auto scope = "/qemu.slice/" + number + ".scope";
    ProcTree::write(tree_.proc(std::to_string(kPid + i) + "/cgroup"),
                    "0::" + scope + "\n");
    v2(scope, "max 100000");
  }
  auto snapshot = snapshot_of(std::move(vms));
  snapshot.cgroups = cgroups_of(snapshot, tree_.roots());
  const auto limits_told = [&] {
    Families said;
    EXPECT_TRUE(cgroup_->collect(snapshot, said));
    const auto samples = samples_of(said);
    return std::count_if(samples.begin(), samples.end(), [](const auto& one) {
      return one.starts_with("vcpu_domain_cpu_quota_cores");
    });
  };
  EXPECT_EQ(limits_told(), 0);
  for (int i = 0; i < kVms; ++i)
    v2("/qemu.slice/" + std::to_string(i) + ".scope", "50000 100000");
  for (int scrape = 1; scrape < 16; ++scrape)
    EXPECT_THAT(limits_told(), AllOf(testing::Gt(6 * scrape - 1),
                                     testing::Lt(7 * scrape + 1)));
  EXPECT_EQ(limits_told(), kVms);
}

// What a scrape looks at cannot be understood here, and so is told.
TEST_F(Cgroups, OfManyVcpusAreFewOnesReadPerScrape) {
  const std::string groups = kScope + std::string("/libvirt");
  process("0::" + groups + "/emulator\n");
  v2(kScope, "max 100000");
  v2(groups, "max 100000");
  vcpus(20);
  libvirt_v2(groups, 20);
  collect();
  for (int i = 0; i < 20; ++i)
    v2(groups + "/vcpu" + std::to_string(i), "garbled");
  std::size_t looks = 0;
  for (unsigned i = 0; i < VmQuota::kLooksPerRound; ++i) {
    collect();
    // vCPU 0, and an eighth of all 24 groups.
    EXPECT_LE(said_.problems().size(), 5U);
    looks += said_.problems().size();
  }
  EXPECT_GE(looks, 20U);
  EXPECT_LE(looks, 40U);
}

TEST_F(Cgroups, WithoutAQuotaHaveTheTimeTheyWereStoppedNotRead) {
  constexpr int kVcpus = 12;
  vcpus(kVcpus);
  const std::string groups = kScope + std::string("/libvirt");
  process("0::" + groups + "/emulator\n");
  v2(kScope, "max 100000");
  v2(groups, "max 100000");
  libvirt_v2(groups, kVcpus);
  v2(groups + "/vcpu3", "20000 100000", 10, 5, 500'000);
  collect();
  for (int i = 0; i < kVcpus; ++i)
    if (i != 3) write(groups + "/vcpu" + std::to_string(i) + "/cpu.stat", "x");
  for (unsigned i = 0; i < VmQuota::kLooksPerRound; ++i) {
    EXPECT_THAT(
        collect(),
        Contains(R"(vcpu_throttled_seconds_total{domain="web",vcpu="3"} 0.5)"));
    EXPECT_THAT(said_.problems(), IsEmpty());
  }
}

TEST_F(Cgroups, GarbledHideNoOthers) {
  const std::string groups = kScope + std::string("/libvirt");
  process("0::" + groups + "/emulator\n");
  v2(kScope, "max 100000");
  v2(groups, "max 100000");
  libvirt_v2(groups, 2);
  v2(groups + "/vcpu0", "20000 100000", 1, 1, 1'000'000);
  v2(groups + "/vcpu1", "20000 100000", 1, 1, 1'000'000);
  write(groups + "/vcpu0/cpu.stat", "nr_periods many\n");
  write(kScope + std::string("/cpu.weight"), "heavy\n");
  EXPECT_THAT(
      collect(),
      AllOf(
          Contains(R"(vcpu_throttled_seconds_total{domain="web",vcpu="1"} 1)"),
          Not(Contains(StartsWith(
              R"(vcpu_throttled_seconds_total{domain="web",vcpu="0"})"))),
          Not(Contains(StartsWith("vcpu_domain_cpu_weight")))));
  EXPECT_THAT(
      said_.problems(),
      IsSupersetOf({top() + groups + "/vcpu0/cpu.stat: cannot be understood",
                    top() + kScope + "/cpu.weight: cannot be understood"}));
}

TEST_F(Cgroups, MadeAnewGoOnCounting) {
  const std::string groups = kScope + std::string("/libvirt");
  process("0::" + groups + "/emulator\n");
  v2(kScope, "max 100000");
  v2(groups, "max 100000");
  libvirt_v2(groups, 2);
  v2(groups + "/vcpu0", "20000 100000", 9, 9, 4'000'000);
  v2(groups + "/vcpu1", "20000 100000", 9, 9, 4'000'000);
  collect();
  v2(groups + "/vcpu1", "20000 100000", 9, 9, 5'000'000);
  collect();

  // Unplugged: its time stays in the VM's.
  remove(groups + "/vcpu1");
  vcpus(1);
  auto said = collect();
  EXPECT_THAT(
      said, Contains(R"(vcpu_domain_throttled_seconds_total{domain="web"} 1)"));
  EXPECT_THAT(said, Not(Contains(HasSubstr(R"(vcpu="1")"))));
  EXPECT_THAT(said_.problems(), IsEmpty());

  // Plugged again, and stopped at once.
  v2(groups + "/vcpu1", "20000 100000", 1, 1, 6'000'000);
  vcpus(2);
  EXPECT_THAT(
      collect(),
      IsSupersetOf({R"(vcpu_throttled_seconds_total{domain="web",vcpu="1"} 11)",
                    R"(vcpu_domain_throttled_seconds_total{domain="web"} 7)"}));

  // And again, between two scrapes.
  v2(groups + "/vcpu1", "20000 100000", 0, 0, 250'000);
  EXPECT_THAT(
      collect(),
      IsSupersetOf(
          {R"(vcpu_throttled_seconds_total{domain="web",vcpu="1"} 11.25)",
           R"(vcpu_domain_throttled_seconds_total{domain="web"} 7.25)"}));
}

TEST_F(Cgroups, ThatVanishWhileTheyAreReadAreSkipped) {
  const std::string groups = kScope + std::string("/libvirt");
  process("0::" + groups + "/emulator\n");
  v2(kScope, "max 100000");
  v2(groups, "max 100000");
  libvirt_v2(groups, 2);
  v2(groups + "/vcpu0", "20000 100000", 9, 9, 1'000'000);
  v2(groups + "/vcpu1", "20000 100000", 9, 9, 1'000'000);
  collect();
  // Still a vCPU of the snapshot.
  remove(groups + "/vcpu1");
  EXPECT_THAT(
      collect(),
      IsSupersetOf({R"(vcpu_throttled_seconds_total{domain="web",vcpu="0"} 1)",
                    R"(vcpu_domain_throttled_seconds_total{domain="web"} 0)"}));
  EXPECT_THAT(said_.problems(), IsEmpty());
  v2(groups + "/vcpu1", "20000 100000", 9, 9, 3'000'000);
  EXPECT_THAT(
      collect(),
      IsSupersetOf({R"(vcpu_throttled_seconds_total{domain="web",vcpu="1"} 4)",
                    R"(vcpu_domain_throttled_seconds_total{domain="web"} 3)"}));
}

TEST_F(Cgroups, ThatHadAQuotaGoOnBeingTold) {
  process("0::/qemu.slice/100.scope\n");
  v2("/qemu.slice/100.scope", "150000 100000");
  collect();
  v2("/qemu.slice/100.scope", "max 100000", 1, 1, 1'000'000);
  const auto said = collect();
  EXPECT_THAT(
      said, Contains(R"(vcpu_domain_throttled_seconds_total{domain="web"} 1)"));
  EXPECT_THAT(said, Not(Contains(StartsWith("vcpu_domain_cpu_quota_cores"))));
}

TEST_F(Cgroups, ThatTheVmIsMovedToBringNoHistory) {
  process("0::/qemu.slice/100.scope\n");
  v2("/qemu.slice/100.scope", "150000 100000", 1, 1, 1'000'000);
  write("/qemu.slice/100.scope/cpu.pressure", two_lines("5000000", "0"));
  collect();
  process("0::/qemu.slice/101.scope\n");
  v2("/qemu.slice/101.scope", "150000 100000", 7, 7, 9'000'000);
  write("/qemu.slice/101.scope/cpu.pressure", two_lines("1000000", "0"));
  EXPECT_THAT(
      collect(),
      IsSupersetOf(
          {R"(vcpu_domain_throttled_seconds_total{domain="web"} 0)",
           R"(vcpu_domain_pressure_seconds_total{domain="web",resource="cpu",kind="some"} 6)"}));
  v2("/qemu.slice/101.scope", "150000 100000", 7, 7, 9'500'000);
  EXPECT_THAT(
      collect(),
      Contains(R"(vcpu_domain_throttled_seconds_total{domain="web"} 0.5)"));
}

TEST_F(Cgroups, BelongToOneRunOfAVm) {
  process("0::/qemu.slice/100.scope\n");
  v2("/qemu.slice/100.scope", "150000 100000", 1, 1, 1'000'000);
  collect();
  v2("/qemu.slice/100.scope", "max 100000");
  vm_.start_ticks += 100;
  EXPECT_THAT(collect(),
              ElementsAre(R"(vcpu_domain_cpu_weight{domain="web"} 100)"));
}

TEST_F(Cgroups, TellTheVmsPressure) {
  process("0::/qemu.slice/100.scope\n");
  v2("/qemu.slice/100.scope", "max 100000");
  write("/qemu.slice/100.scope/cpu.pressure", two_lines("1500000", "1"));
  write("/qemu.slice/100.scope/memory.pressure", two_lines("2", "3"));
  write("/qemu.slice/100.scope/io.pressure", two_lines("4000000", "0"));
  EXPECT_THAT(
      collect(),
      IsSupersetOf({
          R"(vcpu_domain_pressure_seconds_total{domain="web",resource="cpu",kind="some"} 1.5)",
          R"(vcpu_domain_pressure_seconds_total{domain="web",resource="cpu",kind="full"} 1e-06)",
          R"(vcpu_domain_pressure_seconds_total{domain="web",resource="memory",kind="some"} 2e-06)",
          R"(vcpu_domain_pressure_seconds_total{domain="web",resource="memory",kind="full"} 3e-06)",
          R"(vcpu_domain_pressure_seconds_total{domain="web",resource="io",kind="some"} 4)",
          R"(vcpu_domain_pressure_seconds_total{domain="web",resource="io",kind="full"} 0)",
      }));
  EXPECT_EQ(reason_of(said_, "vm_pressure"), "");
}

TEST_F(Cgroups, TellThePressureUnderTheNameTheVmHasNow) {
  process("0::/qemu.slice/100.scope\n");
  write("/qemu.slice/100.scope/cpu.pressure", two_lines("5000000", "0"));
  collect();
  vm_.domain = "web-1";
  vm_.labels = {{"domain", "web-1"}};
  EXPECT_THAT(
      collect(),
      AllOf(
          Contains(
              R"(vcpu_domain_pressure_seconds_total{domain="web-1",resource="cpu",kind="some"} 5)"),
          Not(Contains(HasSubstr(R"("web")")))));
}

TEST_F(Cgroups, WithoutPressureSaySo) {
  process("0::/qemu.slice/100.scope\n");
  v2("/qemu.slice/100.scope", "max 100000");
  EXPECT_THAT(collect(), Not(Contains(HasSubstr("pressure"))));
  EXPECT_THAT(reason_of(said_, "vm_pressure"), HasSubstr("cgroup.pressure"));
  EXPECT_THAT(said_.problems(), IsEmpty());
}

TEST_F(Cgroups, WithGarbledPressureSayThePath) {
  process("0::/qemu.slice/100.scope\n");
  v2("/qemu.slice/100.scope", "max 100000");
  write("/qemu.slice/100.scope/cpu.pressure", "none\n");
  write("/qemu.slice/100.scope/io.pressure", two_lines("4", "0"));
  EXPECT_THAT(collect(), Contains(HasSubstr(R"(resource="io",kind="some")")));
  EXPECT_THAT(said_.problems(),
              ElementsAre(top() + "/qemu.slice/100.scope/cpu.pressure: "
                                  "cannot be understood"));
}

TEST_F(Cgroups, TellTheHostsPressureAndNoFullOfItsCpu) {
  ProcTree::write(tree_.proc("pressure/cpu"), two_lines("7000000", "0"));
  ProcTree::write(tree_.proc("pressure/memory"),
                  two_lines("2000000", "1000000"));
  ProcTree::write(tree_.proc("pressure/io"), two_lines("0", "0"));
  EXPECT_THAT(
      collect(),
      ElementsAre(
          R"(vcpu_host_pressure_seconds_total{resource="cpu",kind="some"} 7)",
          R"(vcpu_host_pressure_seconds_total{resource="memory",kind="some"} 2)",
          R"(vcpu_host_pressure_seconds_total{resource="memory",kind="full"} 1)",
          R"(vcpu_host_pressure_seconds_total{resource="io",kind="some"} 0)",
          R"(vcpu_host_pressure_seconds_total{resource="io",kind="full"} 0)"));
  EXPECT_EQ(reason_of(said_, "pressure"), "");
}

TEST_F(Cgroups, SayWhereTheKernelTellsNoPressure) {
  EXPECT_THAT(collect(), IsEmpty());
  EXPECT_THAT(reason_of(said_, "pressure"), HasSubstr("psi=1"));
  EXPECT_THAT(said_.problems(), IsEmpty());
}

// A VM of this machine, its vCPU in a group of its own as libvirt makes them.
class RealCgroups : public testing::Test {
 protected:
  void SetUp() override {
    const auto name = "vcpu_exporter_cgroup_" + std::to_string(::getpid());
    group_ = CpuGroup::make(name);
    if (group_) vcpu0_ = CpuGroup::make("vcpu0", group_.get());
    if (!vcpu0_) GTEST_SKIP() << "no CPU controller to make a group in";
  }

  void collect() {
    said_ = Families();
    const auto snapshot = inventory_.take(said_);
    ASSERT_TRUE(snapshot);
    ASSERT_TRUE(cgroup_->collect(*snapshot, said_));
  }

  // The value of the one sample that begins so; -1 where there is none.
  double value(const std::string& series) const {
    for (const auto& sample : samples_of(said_))
      if (sample.starts_with(series))
        return std::stod(sample.substr(sample.rfind(' ')));
    return -1;
  }

  Inventory inventory_ = inventory_on({});
  std::unique_ptr<Collector> cgroup_ = make_cgroup({});
  std::unique_ptr<CpuGroup> group_;
  std::unique_ptr<CpuGroup> vcpu0_;
  Families said_;
};

TEST_F(RealCgroups, TellWhatTheKernelStopped) {
  const std::string name = "quota-" + std::to_string(::getpid());
  const std::string domain = "{domain=\"" + name + "\"";
  FakeVm vm(qemu_argv(name, "cccccccc-0000-0000-0000-000000000021"),
            {"CPU 0/KVM"});
  group_->add_process(vm.pid());
  const auto threads =
      list_numbers("/proc/" + std::to_string(vm.pid()) + "/task");
  ASSERT_TRUE(threads);
  vcpu0_->add_thread(threads->at(1));
  collect();
  EXPECT_EQ(value("vcpu_domain_cpu_weight" + domain), 100);
  EXPECT_EQ(value("vcpu_domain_cpu_quota_cores" + domain), -1);
  EXPECT_EQ(value("vcpu_domain_throttled_seconds_total" + domain), -1);

  vcpu0_->set_quota_ms(5);
  // Where others have the CPU, a quota is used up slowly.
  ASSERT_TRUE(eventually([&] {
    vm.start_spin(500);
    vm.finish_spin();
    return seconds(vcpu0_->throttled_ns()) > 1;
  }));
  // It may be another VM's turn.
  ASSERT_TRUE(eventually([&] {
    collect();
    return value("vcpu_domain_cpu_quota_cores" + domain) > 0;
  }));
  const double truth = seconds(vcpu0_->throttled_ns());
  EXPECT_EQ(value("vcpu_domain_cpu_quota_cores" + domain), 0.05);
  EXPECT_NEAR(value("vcpu_throttled_seconds_total" + domain), truth,
              0.02 * truth);
  EXPECT_NEAR(value("vcpu_domain_throttled_seconds_total" + domain), truth,
              0.02 * truth);
  EXPECT_GT(value("vcpu_domain_throttled_periods_total" + domain), 5);
  EXPECT_GE(value("vcpu_domain_periods_total" + domain),
            value("vcpu_domain_throttled_periods_total" + domain));
}

TEST_F(RealCgroups, TellTheHostsPressureAsTheKernelDoes) {
  const auto some = [] {
    const auto text = read_file("/proc/pressure/cpu");
    const auto parsed = parse_pressure(text ? *text : "");
    return parsed ? static_cast<double>(parsed->some_us) / 1e6 : -1;
  };
  const double before = some();
  if (before < 0) GTEST_SKIP() << "this kernel tells no pressure";
  collect();
  const double told =
      value(R"(vcpu_host_pressure_seconds_total{resource="cpu")");
  EXPECT_GE(told, before);
  EXPECT_LE(told, some());
  EXPECT_EQ(reason_of(said_, "pressure"), "");
}

}  // namespace
}  // namespace vcpu
