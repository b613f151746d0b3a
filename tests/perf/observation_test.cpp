// SPDX-License-Identifier: Apache-2.0
#include "collectors/perf/observation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_event_source.h"

namespace vcpu {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

constexpr pid_t kTid = 7;

class ObservationTest : public testing::Test {
 protected:
  Observation open(const std::vector<std::string>& names) {
    groups_ = *find_event_groups(source_, names);
    return *Observation::open(source_, kTid, groups_);
  }

  void read(Observation& observation) {
    ASSERT_TRUE(observation.read(totals_));
  }

  static double per_second(const std::string& name) {
    return FakeEventSource::rate(*encode_event(name));
  }

  FakeEventSource source_;
  EventGroups groups_;
  PerfTotals totals_;
};

TEST_F(ObservationTest, CountsWhileTheThreadRuns) {
  auto observation = open({"cycles", "instructions", "context_switches"});
  source_.run(kTid, 0.5);
  read(observation);
  read(observation);  // Nothing has come since.
  source_.run(kTid, 1.5);
  read(observation);
  EXPECT_EQ(totals_.observed_ns, 2'000'000'000U);
  EXPECT_THAT(totals_.software,
              ElementsAre(2 * per_second("context_switches")));
  EXPECT_THAT(totals_.hardware, ElementsAre(2 * per_second("cycles"),
                                            2 * per_second("instructions")));
}

TEST_F(ObservationTest, WhatSharedItsCountersIsScaledByTheShareOfEachStretch) {
  auto observation = open({"cycles", "context_switches"});
  source_.hardware_share = 0.25;
  source_.run(kTid, 1);
  read(observation);
  source_.hardware_share = 0.5;
  source_.run(kTid, 2);
  read(observation);
  EXPECT_EQ(totals_.observed_ns, 3'000'000'000U);
  EXPECT_THAT(totals_.hardware,
              ElementsAre(DoubleNear(3 * per_second("cycles"), 1)));
  EXPECT_THAT(totals_.software,
              ElementsAre(3 * per_second("context_switches")));
}

TEST_F(ObservationTest, TimeWithoutCountersIsKeptBackForTheNextThatHasSome) {
  auto observation = open({"cycles", "context_switches"});
  source_.run(kTid, 1);
  read(observation);
  source_.hardware_share = 0;
  source_.run(kTid, 2);
  read(observation);
  EXPECT_EQ(totals_.observed_ns, 1'000'000'000U);
  EXPECT_THAT(totals_.software, ElementsAre(per_second("context_switches")));
  EXPECT_EQ(observation.kept_back_ns(), 2'000'000'000U);

  source_.hardware_share = 1;
  source_.run(kTid, 1);
  read(observation);
  EXPECT_EQ(totals_.observed_ns, 4'000'000'000U);
  EXPECT_THAT(totals_.hardware, ElementsAre(4 * per_second("cycles")));
  EXPECT_THAT(totals_.software,
              ElementsAre(4 * per_second("context_switches")));
  EXPECT_EQ(observation.kept_back_ns(), 0U);
}

TEST_F(ObservationTest, AGroupThatNeverHasCountersInventsNoZeros) {
  source_.hardware_share = 0;
  auto observation = open({"cycles", "context_switches"});
  source_.run(kTid, 5);
  read(observation);
  EXPECT_EQ(totals_.observed_ns, 0U);
  EXPECT_EQ(observation.kept_back_ns(), 5'000'000'000U);
}

TEST_F(ObservationTest, HardwareAloneHasItsOwnTime) {
  auto observation = open({"cycles"});
  source_.hardware_share = 0.5;
  for (int i = 0; i < 2; ++i) {
    source_.run(kTid, 1);
    read(observation);
  }
  EXPECT_EQ(totals_.observed_ns, 2'000'000'000U);
  EXPECT_THAT(totals_.hardware, ElementsAre(2 * per_second("cycles")));
}

TEST_F(ObservationTest, SoftwareAloneNeedsNoCounters) {
  source_.hardware_share = 0;
  auto observation = open({"page_faults"});
  source_.run(kTid, 2);
  read(observation);
  EXPECT_EQ(totals_.observed_ns, 2'000'000'000U);
  EXPECT_THAT(totals_.software, ElementsAre(2 * per_second("page_faults")));
}

TEST_F(ObservationTest, TheNextOneGoesOnFromTheTotals) {
  {
    auto first = open({"page_faults"});
    source_.run(kTid, 1);
    read(first);
  }
  auto second = open({"page_faults"});
  source_.run(kTid, 1);
  read(second);
  EXPECT_EQ(totals_.observed_ns, 2'000'000'000U);
  EXPECT_THAT(totals_.software, ElementsAre(2 * per_second("page_faults")));
}

TEST_F(ObservationTest, AThreadOfWhichOneGroupIsRefusedHasNothingOpen) {
  groups_ = *find_event_groups(source_, {"page_faults", "cycles"});
  source_.refuse("cycles", EACCES);
  EXPECT_FALSE(Observation::open(source_, kTid, groups_));
  EXPECT_EQ(source_.open_events(), 0U);
}

}  // namespace
}  // namespace vcpu
