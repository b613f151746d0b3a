// SPDX-License-Identifier: Apache-2.0
#include "collectors/hardware/rarely.h"

#include <gtest/gtest.h>

namespace vcpu {
namespace {

TEST(Rarely, ReadsWhenItIsDueOrACpuCameOrWent) {
  Rarely<int>::Clock::time_point now{};
  Rarely<int> rarely([&] { return now; });
  int reads = 0;
  const auto read = [&] { return ++reads; };
  EXPECT_EQ(rarely.get({0, 1}, read), 1);
  now += Rarely<int>::kPeriod - std::chrono::seconds(1);
  EXPECT_EQ(rarely.get({0, 1}, read), 1);
  now += std::chrono::seconds(1);
  EXPECT_EQ(rarely.get({0, 1}, read), 2);
  EXPECT_EQ(rarely.get({0}, read), 3);
  EXPECT_EQ(rarely.get({0}, read), 3);
}

}  // namespace
}  // namespace vcpu
