// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "collectors/catalog.h"
#include "tests/support/literal_snapshot.h"
#include "tests/support/proc_tree.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsSupersetOf;

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

}  // namespace
}  // namespace vcpu
