// SPDX-License-Identifier: Apache-2.0
#include "collectors/hardware/growing_sum.h"

#include <gtest/gtest.h>

namespace vcpu {
namespace {

TEST(GrowingSum, BeginsWithAllThatWasCounted) {
  GrowingSum sum;
  EXPECT_EQ(sum.see({}), 0U);
  EXPECT_EQ(sum.see({{0, 7}, {1, 3}}), 10U);
  EXPECT_EQ(sum.see({{0, 8}, {1, 5}}), 13U);
}

TEST(GrowingSum, KeepsWhatHasGone) {
  GrowingSum sum;
  sum.see({{0, 7}, {1, 3}});
  EXPECT_EQ(sum.see({{1, 4}}), 11U);
  EXPECT_EQ(sum.see({{0, 9}, {1, 4}}), 13U);
}

TEST(GrowingSum, CountsWhatAppearsLaterFromThenOn) {
  GrowingSum sum;
  sum.see({{0, 7}});
  EXPECT_EQ(sum.see({{4, 7}}), 7U);
  EXPECT_EQ(sum.see({{4, 9}}), 9U);
}

TEST(GrowingSum, NeverDecreases) {
  GrowingSum sum;
  sum.see({{0, 7}});
  EXPECT_EQ(sum.see({{0, 2}}), 7U);
  EXPECT_EQ(sum.see({{0, 3}}), 8U);
}

}  // namespace
}  // namespace vcpu
