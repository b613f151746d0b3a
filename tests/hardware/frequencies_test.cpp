// SPDX-License-Identifier: Apache-2.0
#include "collectors/hardware/frequencies.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "collectors/base/file.h"
#include "tests/support/machines.h"

namespace vcpu {
namespace {

class CoreFrequency : public testing::Test {
 protected:
  Result<Frequencies::Range> read() {
    return frequencies_.read(*read_topology(tree_.roots()));
  }
  void policy(int number, const std::string& cpus, const std::string& khz) {
    const auto path =
        "devices/system/cpu/cpufreq/policy" + std::to_string(number);
    write_sys(tree_, path + "/affected_cpus", cpus + "\n");
    write_sys(tree_, path + "/scaling_cur_freq", khz + "\n");
  }

  ProcTree tree_;
  Frequencies frequencies_{tree_.roots()};
};

TEST_F(CoreFrequency, CountsEachCoreOnceWhateverThePolicies) {
  tree_.cpus("0-5").core({0, 3}).core({1, 4}).core({2, 5});
  policy(0, "0 1", "1000000");
  policy(2, "2", "4000000");
  policy(3, "3 4 5", "9000000");
  EXPECT_EQ(read()->min, 1e9);
  EXPECT_EQ(read()->mean, 2e9);
  EXPECT_EQ(read()->max, 4e9);
}

TEST_F(CoreFrequency, FollowsCpusThatGoOffline) {
  policy(0, "0", "1000000");
  policy(1, "1", "3000000");
  EXPECT_EQ(read()->mean, 2e9);
  tree_.cpus("1");
  policy(0, "", "1000000");
  EXPECT_EQ(read()->mean, 3e9);
}

TEST_F(CoreFrequency, OfOthersStaysWhereAPolicyHasGone) {
  policy(0, "0", "1000000");
  policy(1, "1", "3000000");
  EXPECT_EQ(read()->mean, 2e9);
  std::filesystem::remove_all(tree_.roots().sys +
                              "/devices/system/cpu/cpufreq/policy0");
  EXPECT_EQ(read()->mean, 3e9);
}

TEST_F(CoreFrequency, IsGoneWithoutPolicies) {
  const auto none = read();
  ASSERT_FALSE(none);
  EXPECT_TRUE(is_gone(none.error()));
}

TEST_F(CoreFrequency, IsFoundWhereItsDriverIsLoadedLater) {
  EXPECT_FALSE(read());
  policy(0, "0 1", "1000000");
  EXPECT_EQ(read()->mean, 1e9);
}

TEST_F(CoreFrequency, IsAnErrorWithThePathWhereAPolicysCpusAreGarbled) {
  for (const char* cpus : {"none", "0 -1", "0,1", "0 99999999999"}) {
    policy(0, cpus, "1000000");
    const auto garbled = read();
    ASSERT_FALSE(garbled) << cpus;
    EXPECT_FALSE(is_gone(garbled.error())) << cpus;
    EXPECT_EQ(garbled.error().context,
              tree_.roots().sys +
                  "/devices/system/cpu/cpufreq/policy0/affected_cpus");
  }
}

TEST_F(CoreFrequency, IsAnErrorWithThePathWhereItIsGarbled) {
  policy(0, "0", "<unknown>");
  const auto garbled = read();
  ASSERT_FALSE(garbled);
  EXPECT_EQ(garbled.error().message(),
            tree_.roots().sys +
                "/devices/system/cpu/cpufreq/policy0/scaling_cur_freq: cannot "
                "be understood");
}

TEST_F(CoreFrequency, DisturbsGuestsOnX86BeforeLinux519) {
  const auto disturbs = [&](const char* release, const char* cpuinfo) {
    ProcTree::write(tree_.proc("sys/kernel/osrelease"), release);
    ProcTree::write(tree_.proc("cpuinfo"), cpuinfo);
    return Frequencies::disturbs(tree_.roots());
  };
  EXPECT_TRUE(disturbs("5.18.19\n", "flags\t\t: fpu vmx\n"));
  EXPECT_FALSE(disturbs("5.19.0\n", "flags\t\t: fpu vmx\n"));
  EXPECT_FALSE(disturbs("5.10.120-tegra\n", "Features\t: fp\n"));
  EXPECT_TRUE(disturbs("unheard of\n", "flags\t\t: fpu\n"));
}

}  // namespace
}  // namespace vcpu
