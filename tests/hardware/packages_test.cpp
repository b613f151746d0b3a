// SPDX-License-Identifier: Apache-2.0
#include "collectors/hardware/packages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/machines.h"

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::Pair;

class PackagesOfCpus : public testing::Test {
 protected:
  void told(int cpu, const std::string& package) {
    write_cpu_file(tree_, cpu, "topology/physical_package_id", package);
  }
  Result<PackageOf> read() { return read_package_of(tree_.roots(), {0, 1}); }

  ProcTree tree_;
};

TEST_F(PackagesOfCpus, AreThoseThatTheKernelTells) {
  told(0, "0\n");
  told(1, "36\n");
  EXPECT_THAT(*read(), ElementsAre(Pair(0, 0), Pair(1, 36)));
}

TEST_F(PackagesOfCpus, AreOneWhereNothingTells) {
  EXPECT_THAT(*read(), ElementsAre(Pair(0, 0), Pair(1, 0)));
  told(0, "-1\n");
  told(1, "-1\n");
  EXPECT_THAT(*read(), ElementsAre(Pair(0, 0), Pair(1, 0)));
}

TEST_F(PackagesOfCpus, LeaveOutACpuThatHasJustGoneOffline) {
  told(1, "1\n");
  EXPECT_THAT(*read(), ElementsAre(Pair(1, 1)));
}

TEST_F(PackagesOfCpus, AreAnErrorWithThePathWhereOneIsGarbledOrCannotBeRead) {
  told(0, "0\n");
  for (const std::string garbled : {"", "one\n", "-2\n", "1"}) {
    told(1, garbled);
    ASSERT_FALSE(read()) << garbled;
    EXPECT_THAT(read().error().context, EndsWith("/physical_package_id"));
  }
  // To read a directory fails.
  const auto file = tree_.roots().sys +
                    "/devices/system/cpu/cpu1/topology/physical_package_id";
  std::filesystem::remove(file);
  std::filesystem::create_directory(file);
  ASSERT_FALSE(read());
  EXPECT_THAT(read().error().context, EndsWith("/physical_package_id"));
}

}  // namespace
}  // namespace vcpu
