// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/node_distance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vcpu {
namespace {

using testing::ElementsAre;

TEST(NodeDistance, IsARowOfTheTable) {
  EXPECT_THAT(*parse_node_distances("10\n"), ElementsAre(10));
  EXPECT_THAT(*parse_node_distances("10 21 31 21\n"),
              ElementsAre(10, 21, 31, 21));
}

TEST(NodeDistance, RefusesGarbage) {
  for (const auto* text : {"", "\n", "10 x", "10 0", "-10", "10,20", "1e9",
                           "99999999999999999999"})
    EXPECT_FALSE(parse_node_distances(text)) << text;
}

}  // namespace
}  // namespace vcpu
