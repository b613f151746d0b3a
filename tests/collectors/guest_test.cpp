// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <map>

#include "collectors/base/file.h"
#include "collectors/base/scan.h"
#include "collectors/base/ticks.h"
#include "collectors/catalog.h"
#include "collectors/hardware/hypervisor_clues.h"
#include "collectors/kernel/proc_stat.h"
#include "tests/support/literal_snapshot.h"
#include "tests/support/proc_tree.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

ProcStat stat_here() { return *read_as("/proc/stat", parse_proc_stat); }

class GuestView : public testing::Test {
 protected:
  Families collect() {
    Families families;
    EXPECT_TRUE(guest_->collect(snapshot_of({}), families));
    return families;
  }

  ProcTree tree_;
  std::unique_ptr<Collector> guest_ = make_guest({.roots = tree_.roots()});
};

TEST_F(GuestView, TellsTheHypervisorAndTheStealOfEachCpu) {
  if (::sysconf(_SC_CLK_TCK) != 100) GTEST_SKIP() << "USER_HZ is not 100";
  ProcTree::write(tree_.roots().sys + "/hypervisor/type", "xen\n");
  tree_.stat(
      "cpu 1 0 0 4 0 0 0 950 0 0\ncpu0 1 0 0 4 0 0 0 250 0 0\n"
      "cpu2 1 0 0 4 0 0 0 700 0 0\n");
  const auto said = collect();
  EXPECT_THAT(samples_of(said),
              ElementsAre(R"(vcpu_guest_info{hypervisor="xen"} 1)",
                          R"(vcpu_guest_steal_seconds_total{cpu="0"} 2.5)",
                          R"(vcpu_guest_steal_seconds_total{cpu="2"} 7)"));
  EXPECT_EQ(reason_of(said, "guest"), "");
}

TEST_F(GuestView, OfTheMachineThatProcShowsNotOfTheOneTheTestRunsOn) {
  ProcTree::write(tree_.proc("cpuinfo"), "flags\t\t: fpu vme lahf_lm\n");
  const auto said = collect();
  EXPECT_THAT(samples_of(said), IsEmpty());
  EXPECT_EQ(reason_of(said, "guest"), "this is no virtual machine");
}

TEST_F(GuestView, StealNeverCountsBackwards) {
  if (::sysconf(_SC_CLK_TCK) != 100) GTEST_SKIP() << "USER_HZ is not 100";
  ProcTree::write(tree_.roots().sys + "/hypervisor/type", "xen\n");
  const auto steal_at = [&](const std::string& ticks) {
    tree_.stat("cpu 1 0 0 4 0 0 0 " + ticks + " 0 0\ncpu0 1 0 0 4 0 0 0 " +
               ticks + " 0 0\n");
    return samples_of(collect()).back();
  };
  const std::string series = R"(vcpu_guest_steal_seconds_total{cpu="0"} )";
  EXPECT_EQ(steal_at("250"), series + "2.5");
  EXPECT_EQ(steal_at("240"), series + "2.5");
  EXPECT_EQ(steal_at("260"), series + "2.6");
}

TEST_F(GuestView, ThatCannotBeReadIsSaidAndLookedForAgain) {
  // To read a directory fails.
  const auto type = tree_.roots().sys + "/hypervisor/type";
  std::filesystem::create_directories(type);
  guest_->open();
  auto said = collect();
  EXPECT_THAT(said.problems(), ElementsAre(HasSubstr("/hypervisor/type: ")));
  EXPECT_THAT(samples_of(said), IsEmpty());
  EXPECT_EQ(reason_of(said, "guest"), "-");
  std::filesystem::remove(type);
  ProcTree::write(type, "xen\n");
  said = collect();
  EXPECT_THAT(said.problems(), IsEmpty());
  EXPECT_THAT(samples_of(said),
              Contains(R"(vcpu_guest_info{hypervisor="xen"} 1)"));
  // And then it is known.
  std::filesystem::remove(type);
  EXPECT_EQ(samples_of(collect()), samples_of(said));
}

TEST_F(GuestView, OfWhichTheNameCannotBeReadHasSteal) {
  if (read_hypervisor_clues({}, cpuid_here()).clues.cpuid.empty())
    GTEST_SKIP() << "no CPUID tells of a hypervisor here";
  ProcTree::write(tree_.proc("cpuinfo"), "flags\t\t: fpu hypervisor\n");
  std::filesystem::create_directories(tree_.roots().sys +
                                      "/class/dmi/id/sys_vendor");
  const auto said = collect();
  EXPECT_THAT(said.problems(), ElementsAre(HasSubstr("/sys_vendor: ")));
  EXPECT_THAT(samples_of(said),
              Each(StartsWith("vcpu_guest_steal_seconds_total")));
  EXPECT_THAT(samples_of(said), Not(IsEmpty()));
}

// This machine, whatever it is.
class GuestViewHere : public testing::Test {
 protected:
  void SetUp() override {
    if (!cpuid_here()) GTEST_SKIP() << "no x86";
    EXPECT_TRUE(make_guest({})->collect(snapshot_of({}), families_));
  }

  // Its hypervisor; empty: none.
  std::string told() const {
    constexpr std::string_view kBefore = "vcpu_guest_info{hypervisor=\"";
    for (const std::string_view sample : samples_of(families_))
      if (sample.starts_with(kBefore))
        return std::string(
            sample.substr(kBefore.size(), sample.rfind('"') - kBefore.size()));
    return "";
  }

  Families families_;
};

TEST_F(GuestViewHere, IsAGuestWhereTheKernelSeesAHypervisor) {
  const auto text = read_file("/proc/cpuinfo");
  EXPECT_EQ(told() != "", text->find(" hypervisor") != std::string::npos);
  EXPECT_THAT(families_.problems(), IsEmpty());
}

std::string word_of_systemd() {
  std::FILE* pipe = ::popen("systemd-detect-virt --vm 2>/dev/null", "r");
  std::array<char, 64> text{};
  const bool has_line = std::fgets(text.data(), text.size(), pipe) != nullptr;
  ::pclose(pipe);
  return has_line ? std::string(trim(text.data())) : "";
}

TEST_F(GuestViewHere, IsWhatSystemdSees) {
  const std::map<std::string, std::string> ours{
      {"none", ""},         {"kvm", "kvm"},       {"amazon", "nitro"},
      {"google", "google"}, {"vmware", "vmware"}, {"microsoft", "hyperv"},
      {"xen", "xen"},       {"qemu", "tcg"}};
  const auto theirs = ours.find(word_of_systemd());
  if (theirs == ours.end()) GTEST_SKIP() << "systemd-detect-virt knows nothing";
  // Which it knows as any KVM.
  const auto table = read_file("/sys/firmware/acpi/tables/DSDT");
  const bool firecracker = table && acpi_oem(*table) == "FIRECK";
  EXPECT_EQ(told(), firecracker ? "firecracker" : theirs->second);
}

TEST_F(GuestViewHere, HasTheStealOfEachCpuThatTheKernelCounts) {
  const auto steal = [] {
    std::map<std::string, double> by_series;
    for (const auto& [cpu, ticks] : stat_here().by_cpu)
      by_series["vcpu_guest_steal_seconds_total{cpu=\"" + std::to_string(cpu) +
                "\"}"] = tick_seconds(ticks[kSteal]);
    return by_series;
  };
  const auto collector = make_guest({});
  const auto before = steal();
  Families families;
  ASSERT_TRUE(collector->collect(snapshot_of({}), families));
  const auto after = steal();
  auto said = values_of(families);
  if (said.empty()) GTEST_SKIP() << "this is no virtual machine";
  EXPECT_EQ(std::erase_if(said,
                          [](const auto& sample) {
                            return sample.first.starts_with("vcpu_guest_info");
                          }),
            1U);
  EXPECT_EQ(said.size(), before.size());
  for (const auto& [series, value] : said) {
    EXPECT_GE(value, before.at(series)) << series;
    EXPECT_LE(value, after.at(series)) << series;
  }
}

}  // namespace
}  // namespace vcpu
