// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "collectors/base/file.h"
#include "collectors/base/ticks.h"
#include "collectors/catalog.h"
#include "collectors/kernel/proc_stat.h"
#include "tests/support/literal_snapshot.h"
#include "tests/support/machines.h"
#include "tests/support/proc_tree.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::StartsWith;

// The figures below are in hundredths of a second.
class Host : public testing::Test {
 protected:
  void SetUp() override {
    if (::sysconf(_SC_CLK_TCK) != 100) GTEST_SKIP() << "USER_HZ is not 100";
    host_ = make_host({.roots = tree_.roots()});
  }

  std::vector<std::string> collect(const std::string& stat) {
    tree_.stat(stat);
    Families families;
    EXPECT_TRUE(host_->collect(snapshot_of({}), families));
    return samples_of(families);
  }

  ProcTree tree_;
  std::unique_ptr<Collector> host_;
};

TEST_F(Host, CountsEverySecondInOneModeOnly) {
  EXPECT_THAT(
      collect("cpu 1000 50 30 4000 20 7 8 9 600 40\n"
              "cpu0 1000 50 30 4000 20 7 8 9 600 40\n"),
      IsSupersetOf({R"(vcpu_host_cpu_seconds_total{mode="user"} 4)",
                    R"(vcpu_host_cpu_seconds_total{mode="guest"} 6)",
                    R"(vcpu_host_cpu_seconds_total{mode="nice"} 0.1)",
                    R"(vcpu_host_cpu_seconds_total{mode="idle"} 40)",
                    R"(vcpu_host_cpu_seconds_total{mode="steal"} 0.09)"}));
}

TEST_F(Host, IsBusyWhereItIsNeitherIdleNorWaitingForIo) {
  EXPECT_THAT(
      collect("cpu 1000 50 30 4000 20 7 8 9 600 40\n"
              "cpu0 1000 50 30 4000 20 7 8 9 600 40\n"
              "cpu3 1 0 0 9 9 0 0 0 0 0\n"),
      IsSupersetOf({R"(vcpu_host_cpu_busy_seconds_total{cpu="0"} 11.04)",
                    R"(vcpu_host_cpu_busy_seconds_total{cpu="3"} 0.01)"}));
}

TEST_F(Host, NeverCountsBackwards) {
  collect("cpu 100 0 0 1000 50 0 0 0 0 0\ncpu0 100 0 0 1000 50 0 0 0 0 0\n");
  EXPECT_THAT(
      collect("cpu 90 0 0 999 49 0 0 0 0 0\ncpu0 90 0 0 999 49 0 0 0 0 0\n"),
      IsSupersetOf({R"(vcpu_host_cpu_seconds_total{mode="user"} 1)",
                    R"(vcpu_host_cpu_seconds_total{mode="idle"} 10)",
                    R"(vcpu_host_cpu_seconds_total{mode="iowait"} 0.5)",
                    R"(vcpu_host_cpu_busy_seconds_total{cpu="0"} 1)"}));
}

TEST_F(Host, FailsWithThePathWhereTheTextIsGarbledOrMissing) {
  Families families;
  tree_.stat("cpu one two\n");
  const auto garbled = host_->collect(snapshot_of({}), families);
  ASSERT_FALSE(garbled);
  EXPECT_THAT(garbled.error().message(), HasSubstr(tree_.proc("stat")));
  std::filesystem::remove(tree_.proc("stat"));
  EXPECT_FALSE(host_->collect(snapshot_of({}), families));
}

// What the host says of its hardware, on a machine that was built.
class HostHardware : public testing::Test {
 protected:
  void collect() {
    Families families;
    const auto topology =
        std::make_shared<const Topology>(*read_topology(tree_.roots()));
    EXPECT_TRUE(host_->collect(snapshot_of({}, topology), families));
    said_ = samples_of(families);
    std::erase_if(said_, [](const std::string& sample) {
      return sample.starts_with("vcpu_host_cpu_seconds_total") ||
             sample.starts_with("vcpu_host_cpu_busy_seconds_total");
    });
    families_ = std::move(families);
  }

  std::string reason(const std::string& source) const {
    return reason_of(families_, source);
  }

  ProcTree tree_;
  std::unique_ptr<Collector> host_ = make_host({.roots = tree_.roots()});
  std::vector<std::string> said_;
  Families families_;
};

TEST_F(HostHardware, OfADualSocketXeon) {
  build_xeon(tree_);
  collect();
  EXPECT_THAT(
      said_,
      ElementsAre("vcpu_host_packages 2", "vcpu_host_isolated_cpus 4",
                  "vcpu_host_nohz_full_cpus 4",
                  R"(vcpu_host_cpu_temperature_celsius{package="0"} 61)",
                  R"(vcpu_host_cpu_temperature_celsius{package="1"} 58.5)",
                  R"(vcpu_host_cpu_throttles_total{scope="core"} 38)",
                  R"(vcpu_host_cpu_throttles_total{scope="package"} 25)",
                  R"(vcpu_host_cpu_frequency_hertz{stat="min"} 2400000000)",
                  R"(vcpu_host_cpu_frequency_hertz{stat="mean"} 2555000000)",
                  R"(vcpu_host_cpu_frequency_hertz{stat="max"} 2710000000)",
                  "vcpu_host_machine_checks_total 1"));
  EXPECT_THAT(families_.problems(), IsEmpty());
  for (const auto& source : families_.sources())
    EXPECT_EQ(source.missing_reason, "") << source.name;
}

TEST_F(HostHardware, OfADualSocketXeonStaysWhenSmtIsSwitchedOff) {
  build_xeon(tree_);
  collect();
  auto before = said_;
  switch_smt_off(tree_);
  collect();
  EXPECT_EQ(said_, before);
}

TEST_F(HostHardware, OfADualSocketEpyc) {
  build_epyc(tree_);
  collect();
  EXPECT_THAT(
      said_,
      ElementsAre("vcpu_host_packages 2", "vcpu_host_isolated_cpus 0",
                  "vcpu_host_nohz_full_cpus 0",
                  R"(vcpu_host_cpu_temperature_celsius{package="0"} 48.25)",
                  R"(vcpu_host_cpu_temperature_celsius{package="1"} 51.375)",
                  R"(vcpu_host_cpu_frequency_hertz{stat="min"} 2400000000)",
                  R"(vcpu_host_cpu_frequency_hertz{stat="mean"} 2715000000)",
                  R"(vcpu_host_cpu_frequency_hertz{stat="max"} 3030000000)",
                  "vcpu_host_machine_checks_total 1"));
  EXPECT_THAT(reason("cpu_throttles"), HasSubstr("only Intel's"));
}

TEST_F(HostHardware, OfAHybridDesktop) {
  build_hybrid_desktop(tree_);
  collect();
  EXPECT_THAT(
      said_,
      ElementsAre("vcpu_host_packages 1",
                  R"(vcpu_host_class_cores{class="efficiency"} 8)",
                  R"(vcpu_host_class_cores{class="performance"} 8)",
                  "vcpu_host_isolated_cpus 0", "vcpu_host_nohz_full_cpus 0",
                  R"(vcpu_host_cpu_temperature_celsius{package="0"} 71)",
                  R"(vcpu_host_cpu_throttles_total{scope="core"} 32)",
                  R"(vcpu_host_cpu_throttles_total{scope="package"} 3)",
                  R"(vcpu_host_cpu_frequency_hertz{stat="min"} 3000000000)",
                  R"(vcpu_host_cpu_frequency_hertz{stat="mean"} 4000000000)",
                  R"(vcpu_host_cpu_frequency_hertz{stat="max"} 5000000000)",
                  "vcpu_host_machine_checks_total 1"));
}

TEST_F(HostHardware, OfAJetsonOrinWhoseClustersAreNoPackages) {
  build_orin(tree_);
  collect();
  EXPECT_THAT(
      said_,
      ElementsAre("vcpu_host_packages 1", "vcpu_host_isolated_cpus 0",
                  "vcpu_host_nohz_full_cpus 0",
                  R"(vcpu_host_cpu_temperature_celsius{package="0"} 49.593)",
                  R"(vcpu_host_cpu_frequency_hertz{stat="min"} 729600000)",
                  AllOf(StartsWith("vcpu_host_cpu_frequency_hertz"),
                        HasSubstr(R"({stat="mean"} 1373866666.6666)")),
                  R"(vcpu_host_cpu_frequency_hertz{stat="max"} 2201600000)"));
  EXPECT_THAT(reason("machine_checks"), HasSubstr("CONFIG_X86_MCE"));
}

TEST_F(HostHardware, OfAGuestIsMostlyAbsentAndEachSourceSaysSo) {
  build_kvm_guest(tree_);
  collect();
  EXPECT_THAT(said_,
              ElementsAre("vcpu_host_packages 4", "vcpu_host_isolated_cpus 0",
                          "vcpu_host_nohz_full_cpus 0",
                          "vcpu_host_machine_checks_total 0"));
  for (const char* source :
       {"cpu_temperature", "cpu_throttles", "cpu_frequency"})
    EXPECT_NE(reason(source), "") << source;
  EXPECT_THAT(families_.problems(), IsEmpty());
}

TEST_F(HostHardware, IsNotAskedForFrequenciesByAnOldKernel) {
  build_xeon(tree_);
  ProcTree::write(tree_.proc("sys/kernel/osrelease"), "5.10.0-28-amd64\n");
  collect();
  EXPECT_THAT(said_, Not(Contains(HasSubstr("frequency"))));
  EXPECT_THAT(reason("cpu_frequency"), HasSubstr("before 5.19"));
}

TEST_F(HostHardware, ThatIsGarbledHidesNothingElse) {
  build_xeon(tree_);
  write_cpu_file(tree_, 0, "thermal_throttle/core_throttle_count", "hot\n");
  write_sys(tree_, "devices/test/hwmon3/temp1_input", "warm\n");
  write_sys(tree_, "devices/system/cpu/isolated", "none\n");
  ProcTree::write(tree_.proc("interrupts"), "MCE: many\n");
  collect();
  EXPECT_THAT(families_.problems(),
              ElementsAre(HasSubstr("/isolated: cannot be understood"),
                          HasSubstr("/temp1_input: cannot be understood"),
                          HasSubstr("_throttle_count: cannot be understood"),
                          HasSubstr("/interrupts: cannot be understood")));
  EXPECT_THAT(said_,
              ElementsAre("vcpu_host_packages 2", "vcpu_host_nohz_full_cpus 4",
                          StartsWith("vcpu_host_cpu_frequency_hertz"),
                          StartsWith("vcpu_host_cpu_frequency_hertz"),
                          StartsWith("vcpu_host_cpu_frequency_hertz")));
}

// No sensor names its package, so without packages there are no temperatures.
TEST_F(HostHardware, IsWithoutWhatNeedsPackagesWhereOneCannotBeUnderstood) {
  build_xeon(tree_);
  write_cpu_file(tree_, 16, "topology/physical_package_id", "second\n");
  collect();
  EXPECT_THAT(families_.problems(),
              ElementsAre(HasSubstr("/cpu16/topology/physical_package_id: "
                                    "cannot be understood")));
  EXPECT_THAT(
      said_,
      ElementsAre("vcpu_host_isolated_cpus 4", "vcpu_host_nohz_full_cpus 4",
                  R"(vcpu_host_cpu_throttles_total{scope="core"} 38)",
                  StartsWith("vcpu_host_cpu_frequency_hertz"),
                  StartsWith("vcpu_host_cpu_frequency_hertz"),
                  StartsWith("vcpu_host_cpu_frequency_hertz"),
                  "vcpu_host_machine_checks_total 1"));
}

TEST_F(HostHardware, SaysAGarbledZoneAndAGarbledPolicy) {
  build_hybrid_desktop(tree_);
  write_sys(tree_, "devices/test/thermal_zone1/temp", "warm\n");
  write_sys(tree_, "devices/system/cpu/cpufreq/policy3/affected_cpus",
            "three\n");
  collect();
  EXPECT_THAT(families_.problems(),
              ElementsAre(HasSubstr("/temp: cannot be understood"),
                          HasSubstr("/policy3/affected_cpus: cannot be")));
  EXPECT_THAT(said_, Not(Contains(HasSubstr("temperature"))));
  EXPECT_THAT(said_, Not(Contains(HasSubstr("frequency"))));
  EXPECT_THAT(said_, Contains("vcpu_host_machine_checks_total 1"));
  // Not that there is no such thing here.
  EXPECT_EQ(reason("cpu_frequency"), "");
}

// Of this machine, whatever it is: every mode once, all their sum.
std::map<std::string, double> modes_here() {
  const auto ticks = read_as("/proc/stat", parse_proc_stat)->all;
  std::map<std::string, double> by_series;
  for (std::size_t mode = 0; mode < kCpuModes.size(); ++mode) {
    auto alone = ticks.at(mode);
    if (mode == kUser) alone -= ticks[kGuest];
    if (mode == kNice) alone -= ticks[kGuestNice];
    by_series["vcpu_host_cpu_seconds_total{mode=\"" +
              std::string(kCpuModes.at(mode)) + "\"}"] = tick_seconds(alone);
  }
  return by_series;
}

TEST(HostHere, HasTheTimeOfEachModeThatTheKernelCounts) {
  const auto host = make_host({});
  const auto before = modes_here();
  Families families;
  ASSERT_TRUE(host->collect(snapshot_of({}), families));
  const auto after = modes_here();
  const auto said = values_of(families);
  for (const auto& [series, least] : before) {
    // What the kernel reads of a sleeping CPU may fall a little.
    const bool sleeping = series.find("\"i") != std::string::npos;
    const double slack = sleeping ? 0.1 : 0;
    ASSERT_TRUE(said.contains(series)) << series;
    EXPECT_GE(said.at(series), least - slack) << series;
    EXPECT_LE(said.at(series), after.at(series) + slack) << series;
  }
}

// This machine, whatever it is.
TEST(HostHardwareHere, IsToldWithoutProblems) {
  Families families;
  const auto topology =
      std::make_shared<const Topology>(*read_topology(Roots{}));
  EXPECT_TRUE(make_host({})->collect(snapshot_of({}, topology), families));
  EXPECT_THAT(families.problems(), IsEmpty());
  EXPECT_THAT(samples_of(families),
              Contains(StartsWith("vcpu_host_packages ")));
  for (const char* source :
       {"cpu_temperature", "cpu_throttles", "cpu_frequency", "machine_checks"})
    EXPECT_NE(reason_of(families, source), "-") << source;
}

}  // namespace
}  // namespace vcpu
