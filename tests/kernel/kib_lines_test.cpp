// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/kib_lines.h"

#include <gtest/gtest.h>

namespace vcpu {
namespace {

TEST(KibLines, AreBytes) {
  std::optional<std::uint64_t> one;
  std::optional<std::uint64_t> two;
  EXPECT_TRUE(
      read_kib_lines("A: 1 kB\nB:\t\t2 kB\r\n", {{"A:", &one}, {"B:", &two}}));
  EXPECT_EQ(one, 1024U);
  EXPECT_EQ(two, 2048U);
}

TEST(KibLines, AreKnownByTheirWholeKey) {
  std::optional<std::uint64_t> bytes;
  EXPECT_TRUE(read_kib_lines("SwapA: 1 kB\nAB: 2 kB\n A: 3 kB\nA : 4 kB\n",
                             {{"A:", &bytes}}));
  EXPECT_FALSE(bytes);
}

TEST(KibLines, ThatNobodyWantsMayHoldAnything) {
  std::optional<std::uint64_t> bytes;
  EXPECT_TRUE(read_kib_lines("B: x\n\xff\n\nA: 1 kB", {{"A:", &bytes}}));
  EXPECT_EQ(bytes, 1024U);
}

}  // namespace
}  // namespace vcpu
