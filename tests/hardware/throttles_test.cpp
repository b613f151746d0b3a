// SPDX-License-Identifier: Apache-2.0
#include "collectors/hardware/throttles.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "collectors/base/file.h"
#include "tests/support/machines.h"

namespace vcpu {
namespace {

class ThrottleCount : public testing::Test {
 protected:
  void SetUp() override {
    tree_.cpus("0-3").core({0, 2}).core({1, 3});
    for (const int cpu : {0, 1, 2, 3}) count(cpu, "5\n", "9\n");
  }

  void count(int cpu, const std::string& core, const std::string& package) {
    write_cpu_file(tree_, cpu, "thermal_throttle/core_throttle_count", core);
    write_cpu_file(tree_, cpu, "thermal_throttle/package_throttle_count",
                   package);
  }

  Result<Throttles::Counts> read() {
    const auto host = *read_topology(tree_.roots());
    return throttles_.read(host, *read_package_of(tree_.roots(), host.online));
  }

  ProcTree tree_;
  Throttles throttles_{tree_.roots()};
};

TEST_F(ThrottleCount, CountsEachCoreAndEachPackageOnce) {
  EXPECT_EQ(read()->core, 10U);
  EXPECT_EQ(read()->package, 9U);
  for (const int cpu : {0, 1, 2, 3})
    write_cpu_file(tree_, cpu, "topology/physical_package_id",
                   cpu % 2 == 0 ? "0\n" : "1\n");
  Throttles of_two_packages(tree_.roots());
  const auto host = *read_topology(tree_.roots());
  EXPECT_EQ(
      of_two_packages.read(host, *read_package_of(tree_.roots(), host.online))
          ->package,
      18U);
}

TEST_F(ThrottleCount, DoesNotChangeWhenTheSiblingCountsOn) {
  EXPECT_EQ(read()->core, 10U);
  tree_.cpus("1-3").core({2});
  EXPECT_EQ(read()->core, 10U);
  count(2, "6\n", "10\n");
  EXPECT_EQ(read()->core, 11U);
}

TEST_F(ThrottleCount, OfOthersStaysWhereACpuHasJustGoneOffline) {
  count(0, "", "");
  EXPECT_EQ(read()->core, 5U);
}

TEST_F(ThrottleCount, IsOfCoresOnlyWhereTheCpuTellsNoPackages) {
  for (const int cpu : {0, 1, 2, 3})
    std::filesystem::remove(tree_.roots().sys + "/devices/system/cpu/cpu" +
                            std::to_string(cpu) +
                            "/thermal_throttle/package_throttle_count");
  EXPECT_EQ(read()->core, 10U);
  EXPECT_FALSE(read()->package);
}

TEST_F(ThrottleCount, IsAnErrorWithThePathWhereItIsGarbled) {
  count(1, "hot\n", "9\n");
  const auto garbled = read();
  ASSERT_FALSE(garbled);
  EXPECT_FALSE(is_gone(garbled.error()));
  EXPECT_NE(garbled.error().context.find("cpu1/"), std::string::npos);
}

}  // namespace
}  // namespace vcpu
