// SPDX-License-Identifier: Apache-2.0
#include "collectors/base/flat_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::IsNull;
using testing::Pair;
using testing::Pointee;

TEST(FlatMap, IsSortedByKeyWhateverCameFirst) {
  FlatMap<int, std::string> map;
  map[3] = "c";
  map[1] = "a";
  map[2] = "b";
  EXPECT_THAT(map, ElementsAre(Pair(1, "a"), Pair(2, "b"), Pair(3, "c")));
}

TEST(FlatMap, FindsWhatItHasAndNothingElse) {
  FlatMap<int, std::string> map;
  map[1] = "a";
  map[3] = "c";
  EXPECT_THAT(map.find(1), Pointee(std::string("a")));
  EXPECT_THAT(map.find(3), Pointee(std::string("c")));
  EXPECT_THAT(map.find(0), IsNull());
  EXPECT_THAT(map.find(2), IsNull());
  EXPECT_THAT(map.find(4), IsNull());
}

TEST(FlatMap, SaysWhetherAValueIsNew) {
  FlatMap<int, int> map;
  auto [first, is_new] = map.insert(7);
  EXPECT_TRUE(is_new);
  EXPECT_EQ(first, 0);
  first = 5;
  const auto [second, is_new_again] = map.insert(7);
  EXPECT_FALSE(is_new_again);
  EXPECT_EQ(second, 5);
  EXPECT_EQ(map.size(), 1U);
}

TEST(FlatMap, ForgetsWhatHasEnded) {
  FlatMap<int, int> map;
  for (int i = 0; i < 6; ++i) map[i] = i;
  map.erase_if([](const auto& entry) { return entry.second % 2 == 0; });
  EXPECT_THAT(map, ElementsAre(Pair(1, 1), Pair(3, 3), Pair(5, 5)));
}

}  // namespace
}  // namespace vcpu
