// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/switch.h"

#include <gtest/gtest.h>

namespace vcpu {
namespace {

TEST(Switch, IsOnOrOff) {
  EXPECT_TRUE(*parse_switch("Y\n"));
  EXPECT_TRUE(*parse_switch("1\n"));
  EXPECT_FALSE(*parse_switch("N\n"));
  EXPECT_FALSE(*parse_switch("0"));
}

TEST(Switch, IsMalformedWhereItIsNeither) {
  for (const char* text : {"", "\n", "-1\n", "2\n", "YES\n", "auto\n", "\xff"})
    EXPECT_FALSE(parse_switch(text)) << text;
}

}  // namespace
}  // namespace vcpu
