// SPDX-License-Identifier: Apache-2.0
#include "exporter/slots.h"

#include <gtest/gtest.h>

#include <future>
#include <optional>

namespace vcpu {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Slots, AreFreeAgainWhenTheLastCopyIsGone) {
  Slots slots(1);
  auto slot = slots.take(milliseconds(0));
  ASSERT_TRUE(slot);
  auto copy = slot;
  slot.reset();
  EXPECT_FALSE(slots.take(milliseconds(1)));
  copy.reset();
  EXPECT_TRUE(slots.take(milliseconds(0)));
}

TEST(Slots, AreWaitedFor) {
  Slots slots(1);
  auto slot = slots.take(milliseconds(0));
  auto next =
      std::async(std::launch::async, [&] { return slots.take(seconds(60)); });
  slot.reset();
  EXPECT_TRUE(next.get());
}

TEST(Slots, OutliveWhoeverGaveThem) {
  std::optional<Slots> slots(std::in_place, 1);
  const auto slot = slots->take(milliseconds(0));
  slots.reset();
  EXPECT_TRUE(slot);
}

}  // namespace
}  // namespace vcpu
