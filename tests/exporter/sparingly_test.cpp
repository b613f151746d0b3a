// SPDX-License-Identifier: Apache-2.0
#include "exporter/sparingly.h"

#include <gtest/gtest.h>

namespace vcpu {
namespace {

using std::chrono::seconds;

TEST(Sparingly, SaysSoManyAMinuteAndHowManyItLeftOut) {
  Sparingly sparingly(2);
  const Sparingly::Clock::time_point start{};
  EXPECT_EQ(sparingly.next(start), 0);
  EXPECT_EQ(sparingly.next(start + seconds(1)), 0);
  EXPECT_EQ(sparingly.next(start + seconds(2)), std::nullopt);
  EXPECT_EQ(sparingly.next(start + seconds(59)), std::nullopt);
  EXPECT_EQ(sparingly.next(start + seconds(60)), 2);
  EXPECT_EQ(sparingly.next(start + seconds(61)), 0);
  EXPECT_EQ(sparingly.next(start + seconds(62)), std::nullopt);
}

}  // namespace
}  // namespace vcpu
