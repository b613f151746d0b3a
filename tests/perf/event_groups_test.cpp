// SPDX-License-Identifier: Apache-2.0
#include "collectors/perf/event_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_event_source.h"

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

const std::vector<std::string> kNames{"cycles", "page_faults", "instructions",
                                      "cache_misses"};

std::vector<std::string> names_of(const std::vector<NamedEvent>& group) {
  std::vector<std::string> names;
  for (const NamedEvent& event : group) names.push_back(event.name);
  return names;
}

EventGroups groups_of(EventSource& source,
                      const std::vector<std::string>& names = kNames) {
  auto groups = find_event_groups(source, names);
  EXPECT_TRUE(groups) << groups.error().message();
  return *std::move(groups);
}

TEST(EventGroups, WhatTheKernelCountsAndWhatTheCpuCounts) {
  FakeEventSource source;
  const auto groups = groups_of(source);
  EXPECT_THAT(names_of(groups.software), ElementsAre("page_faults"));
  EXPECT_THAT(names_of(groups.hardware),
              ElementsAre("cycles", "instructions", "cache_misses"));
  EXPECT_THAT(groups.missing, IsEmpty());
  EXPECT_EQ(groups.descriptors(), 4U);
  EXPECT_EQ(source.open_events(), 0U);
}

TEST(EventGroups, WithoutAPmuTheSoftwareEventsAreLeft) {
  for (const int error : {ENOENT, EOPNOTSUPP, ENODEV, ENXIO}) {
    FakeEventSource source;
    for (const auto& name : kNames)
      if (name != "page_faults") source.refuse(name, error);
    const auto groups = groups_of(source);
    EXPECT_THAT(names_of(groups.software), ElementsAre("page_faults"));
    EXPECT_THAT(groups.hardware, IsEmpty());
    const std::string reason =
        "not offered by this CPU, or hidden by the hypervisor (no PMU)";
    EXPECT_THAT(groups.missing, ElementsAre(Pair("cycles", reason),
                                            Pair("instructions", reason),
                                            Pair("cache_misses", reason)));
  }
}

TEST(EventGroups, WhatDoesNotFitBesideTheOthersIsLeftOutAndSaid) {
  FakeEventSource source;
  source.counters = 2;
  const auto groups = groups_of(source);
  EXPECT_THAT(names_of(groups.hardware), ElementsAre("cycles", "instructions"));
  EXPECT_THAT(groups.missing,
              ElementsAre(Pair("cache_misses",
                               HasSubstr("together with the events before"))));
}

TEST(EventGroups, EachReasonIsTheEventsOwn) {
  FakeEventSource source;
  source.refuse("page_faults", ENOENT);
  source.refuse("instructions", EINVAL);
  const auto groups = groups_of(source);
  EXPECT_THAT(groups.missing,
              ElementsAre(Pair("page_faults", "not offered by this kernel"),
                          Pair("instructions",
                               "the kernel refuses to count it for a thread")));
}

TEST(EventGroups, ANameThatCannotBeEncodedIsMissingToo) {
  FakeEventSource source;
  const auto groups = groups_of(source, {"no such event", "page-faults"});
  EXPECT_THAT(names_of(groups.software), ElementsAre("page_faults"));
  ASSERT_EQ(groups.missing.size(), 1U);
  EXPECT_EQ(groups.missing.front().first, "no such event");
  EXPECT_NE(groups.missing.front().second, "");
}

TEST(EventGroups, WhatIsNotTheEventsFaultEndsIt) {
  for (const int error : {EACCES, EPERM, EMFILE, ENOSYS}) {
    FakeEventSource source;
    source.refuse("cycles", error);
    const auto groups = find_event_groups(source, kNames);
    ASSERT_FALSE(groups);
    EXPECT_EQ(groups.error().code.value(), error);
  }
}

}  // namespace
}  // namespace vcpu
