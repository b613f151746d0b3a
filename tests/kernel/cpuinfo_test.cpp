// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/cpuinfo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Cpuinfo, HasTheFlagsOfTheFirstCpu) {
  const auto info = parse_cpuinfo(
      "processor\t: 0\nflags\t\t: fpu smep vmx\nvmx flags\t: ept\nbugs\t\t: "
      "mds\n\nprocessor\t: 1\nflags\t\t: fpu svm\n");
  EXPECT_TRUE(info.x86);
  EXPECT_THAT(info.flags, ElementsAre("fpu", "smep", "vmx"));
}

TEST(Cpuinfo, IsNoX86WhereItHasNoFlags) {
  for (const char* text :
       {"processor\t: 0\nFeatures\t: fp asimd\n", "", "flags\n", "\xff\n"}) {
    EXPECT_FALSE(parse_cpuinfo(text).x86) << text;
    EXPECT_THAT(parse_cpuinfo(text).flags, IsEmpty()) << text;
  }
}

}  // namespace
}  // namespace vcpu
