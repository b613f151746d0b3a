// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/temperature.h"

#include <gtest/gtest.h>

namespace vcpu {
namespace {

TEST(Temperature, IsInDegrees) {
  EXPECT_EQ(*parse_temperature("54250\n"), 54.25);
  EXPECT_EQ(*parse_temperature("0\n"), 0);
}

TEST(Temperature, MayBeBelowZero) {
  EXPECT_EQ(*parse_temperature("-5500\n"), -5.5);
}

TEST(Temperature, IsMalformedWhereItIsNoWholeNumber) {
  for (const char* text : {"", "\n", "warm\n", "54.25\n", "--5\n", "5 6\n",
                           "99999999999999999999\n", "-\n", "\xff\n"})
    EXPECT_FALSE(parse_temperature(text)) << text;
}

}  // namespace
}  // namespace vcpu
