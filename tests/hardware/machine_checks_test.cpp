// SPDX-License-Identifier: Apache-2.0
#include "collectors/hardware/machine_checks.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "collectors/base/file.h"
#include "tests/support/proc_tree.h"

namespace vcpu {
namespace {

class MachineCheckCount : public testing::Test {
 protected:
  void interrupts(const std::string& text) {
    ProcTree::write(tree_.proc("interrupts"), text);
  }

  std::uint64_t later(const CpuSet& online = {0, 1}) {
    now_ += MachineChecks::kPeriod;
    return *checks_.read(online);
  }

  ProcTree tree_;
  MachineChecks::Clock::time_point now_{};
  MachineChecks checks_{tree_.roots(), [this] { return now_; }};
};

TEST_F(MachineCheckCount, IsReadOnceAMinute) {
  interrupts("MCE: 1 0 Machine check exceptions\n");
  EXPECT_EQ(*checks_.read({0, 1}), 1U);
  interrupts("MCE: 1 2 Machine check exceptions\n");
  now_ += MachineChecks::kPeriod - std::chrono::seconds(1);
  EXPECT_EQ(*checks_.read({0, 1}), 1U);
  now_ += std::chrono::seconds(1);
  EXPECT_EQ(*checks_.read({0, 1}), 3U);
}

TEST_F(MachineCheckCount, DoesNotChangeAsCpusComeAndGo) {
  interrupts("MCE: 1 4 Machine check exceptions\n");
  EXPECT_EQ(later(), 5U);
  interrupts("MCE: 1 Machine check exceptions\n");
  EXPECT_EQ(later({0}), 5U);
  interrupts("MCE: 2 Machine check exceptions\n");
  EXPECT_EQ(later({0}), 6U);
  interrupts("MCE: 2 4 Machine check exceptions\n");
  EXPECT_EQ(later(), 6U);
}

// The end of a long file, with the lines that follow the devices' interrupts.
TEST_F(MachineCheckCount, IsFoundBehindMoreInterruptsThanWeKeep) {
  std::string text;
  const std::string row = "  1: " + std::string(1000, '7') + " PCI-MSI nvme\n";
  while (text.size() < std::size_t{5} << 20) text += row;
  interrupts(text + "MCE: 1 2 Machine check exceptions\nMCP: 7 7 polls\n");
  EXPECT_EQ(later(), 3U);
}

TEST_F(MachineCheckCount, IsGoneWhereTheKernelHasNone) {
  interrupts("IPI0: 1 2 Rescheduling interrupts\n");
  const auto none = checks_.read({0, 1});
  ASSERT_FALSE(none);
  EXPECT_TRUE(is_gone(none.error()));
}

TEST_F(MachineCheckCount, IsAnErrorWithThePathWhereItIsGarbledOrMissing) {
  interrupts("MCE: none\n");
  const auto garbled = checks_.read({0});
  ASSERT_FALSE(garbled);
  EXPECT_EQ(garbled.error().context, tree_.proc("interrupts"));
  std::filesystem::remove(tree_.proc("interrupts"));
  EXPECT_FALSE(checks_.read({0}));
}

}  // namespace
}  // namespace vcpu
