// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/pressure.h"

#include <gtest/gtest.h>

#include <string>

namespace vcpu {
namespace {

TEST(Pressure, IsTwoTotals) {
  // Linux 6.18.
  const auto pressure = parse_pressure(
      "some avg10=96.24 avg60=76.78 avg300=53.78 total=7417973710\n"
      "full avg10=0.00 avg60=0.00 avg300=0.00 total=37315914\n");
  ASSERT_TRUE(pressure);
  EXPECT_EQ(pressure->some_us, 7'417'973'710U);
  EXPECT_EQ(pressure->full_us, 37'315'914U);
}

TEST(Pressure, HasNoFullOfTheCpuBeforeLinux513) {
  const auto pressure =
      parse_pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n");
  ASSERT_TRUE(pressure);
  EXPECT_EQ(pressure->some_us, 5U);
  EXPECT_FALSE(pressure->full_us);
}

TEST(Pressure, IgnoresWhatANewerKernelAdds) {
  const auto pressure =
      parse_pressure("none total=1\nsome avg900=1 total=2 more=3\n");
  ASSERT_TRUE(pressure);
  EXPECT_EQ(pressure->some_us, 2U);
}

TEST(Pressure, IsMalformedWithoutATotal) {
  for (const std::string text :
       {"", "full total=1\n", "some avg10=0.00\n", "some total=\n",
        "some total=-1\n", "some total=1.5\n", "some 5\n",
        "some total=18446744073709551616\n", "some total=1\nfull avg10=0\n",
        "some total=1\nfull total=x\n", "something total=1\n"}) {
    const auto pressure = parse_pressure(text);
    ASSERT_FALSE(pressure) << text;
    EXPECT_EQ(pressure.error().context, "pressure");
  }
}

}  // namespace
}  // namespace vcpu
