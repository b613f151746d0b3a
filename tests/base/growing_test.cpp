// SPDX-License-Identifier: Apache-2.0
#include "collectors/base/growing.h"

#include <gtest/gtest.h>

namespace vcpu {
namespace {

TEST(Growing, HasGrownByTheDifference) {
  EXPECT_EQ(grown(0, 7), 7U);
  EXPECT_EQ(grown(3, 7), 4U);
  EXPECT_EQ(grown(7, 7), 0U);
}

TEST(Growing, HasGrownByAllOfACounterThatBeganAnew) {
  EXPECT_EQ(grown(7, 3), 3U);
  EXPECT_EQ(grown(7, 0), 0U);
}

TEST(Growing, BeginsWithAllThatWasCounted) {
  Growing counter;
  EXPECT_EQ(counter.total(), 0U);
  EXPECT_EQ(counter.see(7), 7U);
  EXPECT_EQ(counter.see(9), 9U);
  EXPECT_EQ(counter.total(), 9U);
}

TEST(Growing, GoesOnWhereTheOtherBeginsAnew) {
  Growing counter;
  counter.see(7);
  EXPECT_EQ(counter.see(2), 9U);
  EXPECT_EQ(counter.see(3), 10U);
  EXPECT_EQ(counter.see(0), 10U);
}

}  // namespace
}  // namespace vcpu
