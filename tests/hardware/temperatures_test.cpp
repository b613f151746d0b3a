// SPDX-License-Identifier: Apache-2.0
#include "collectors/hardware/temperatures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "collectors/base/file.h"
#include "tests/support/machines.h"

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::Pair;

class PackageTemperature : public testing::Test {
 protected:
  void hwmon(int number, const std::string& driver, const std::string& label,
             const std::string& input) {
    const auto device = "class/hwmon/hwmon" + std::to_string(number);
    write_sys(tree_, device + "/name", driver + "\n");
    write_sys(tree_, device + "/temp1_label", label + "\n");
    write_sys(tree_, device + "/temp1_input", input + "\n");
  }

  ProcTree tree_;
  Temperatures temperatures_{tree_.roots()};
};

TEST_F(PackageTemperature, IsThatOfTheHottestDie) {
  hwmon(0, "coretemp", "Package id 0", "40000");
  hwmon(1, "coretemp", "Package id 1", "50000");
  hwmon(2, "coretemp", "Package id 2", "45000");
  hwmon(3, "coretemp", "Package id 3", "41000");
  EXPECT_THAT(temperatures_.read({0, 1})->of_package,
              ElementsAre(Pair(0, 50), Pair(1, 45)));
}

TEST_F(PackageTemperature, IsNotWhatAmdsFansAreControlledBy) {
  hwmon(0, "k10temp", "Tctl", "87000");
  write_sys(tree_, "class/hwmon/hwmon0/temp2_label", "Tdie\n");
  write_sys(tree_, "class/hwmon/hwmon0/temp2_input", "60000\n");
  EXPECT_THAT(temperatures_.read({0})->of_package, ElementsAre(Pair(0, 60)));
}

TEST_F(PackageTemperature, IsUnknownWhereSensorsCannotBeSharedOut) {
  hwmon(0, "k10temp", "Tctl", "40000");
  hwmon(1, "k10temp", "Tctl", "40000");
  hwmon(2, "k10temp", "Tctl", "40000");
  const auto read = temperatures_.read({0, 1});
  ASSERT_FALSE(read);
  EXPECT_FALSE(is_gone(read.error()));
}

TEST_F(PackageTemperature, OfOtherPackagesStaysWhenASensorIsSilent) {
  hwmon(0, "k10temp", "Tctl", "40000");
  hwmon(1, "k10temp", "Tctl", "41000");
  // To read a directory fails, as a sensor without a value does.
  const auto input = tree_.roots().sys + "/class/hwmon/hwmon0/temp1_input";
  std::filesystem::remove(input);
  std::filesystem::create_directory(input);
  const auto read = temperatures_.read({0, 1});
  EXPECT_THAT(read->of_package, ElementsAre(Pair(1, 41)));
  EXPECT_FALSE(read->all_answer);
}

TEST_F(PackageTemperature, IsFoundAgainWhereTheDriverWasLoadedAnew) {
  hwmon(0, "coretemp", "Package id 0", "40000");
  EXPECT_THAT(temperatures_.read({0})->of_package, ElementsAre(Pair(0, 40)));
  std::filesystem::rename(tree_.roots().sys + "/class/hwmon/hwmon0",
                          tree_.roots().sys + "/class/hwmon/hwmon5");
  EXPECT_FALSE(temperatures_.read({0})->all_answer);
  EXPECT_THAT(temperatures_.read({0})->of_package, ElementsAre(Pair(0, 40)));
}

TEST_F(PackageTemperature, IsFoundWhereASensorCameLate) {
  hwmon(0, "coretemp", "Package id 0", "40000");
  EXPECT_FALSE(temperatures_.read({0, 1}));
  hwmon(1, "coretemp", "Package id 1", "50000");
  EXPECT_THAT(temperatures_.read({0, 1})->of_package,
              ElementsAre(Pair(0, 40), Pair(1, 50)));
}

TEST_F(PackageTemperature, IsGoneWhereNoSensorIsACpus) {
  hwmon(0, "nvme", "Composite", "40000");
  write_sys(tree_, "class/thermal/thermal_zone0/type", "acpitz\n");
  const auto read = temperatures_.read({0});
  ASSERT_FALSE(read);
  EXPECT_TRUE(is_gone(read.error()));
}

TEST_F(PackageTemperature, IsAnErrorWithThePathWhereItIsGarbled) {
  hwmon(0, "coretemp", "Package id 0", "warm");
  const auto read = temperatures_.read({0});
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().context, testing::EndsWith("temp1_input"));
}

TEST_F(PackageTemperature, IsAnErrorWithThePathWhereAZoneIsGarbled) {
  write_sys(tree_, "class/thermal/thermal_zone4/type", "x86_pkg_temp\n");
  write_sys(tree_, "class/thermal/thermal_zone4/temp", "49 degrees\n");
  const auto read = temperatures_.read({0});
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().context, testing::EndsWith("thermal_zone4/temp"));
}

}  // namespace
}  // namespace vcpu
