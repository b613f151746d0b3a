// SPDX-License-Identifier: Apache-2.0
#include "collectors/base/families.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <stdexcept>

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

TEST(LabelSet, StandsAsBetweenTheBraces) {
  EXPECT_EQ(LabelSet().text(), "");
  EXPECT_EQ(LabelSet({{"domain", "web"}}).text(), "domain=\"web\"");
  EXPECT_EQ(LabelSet({{"domain", "web"}, {"vcpu", "0"}}).text(),
            "domain=\"web\",vcpu=\"0\"");
}

TEST(LabelSet, EscapesWhatWouldEndTheValue) {
  EXPECT_EQ(LabelSet({{"domain", R"(a"b)"}}).text(), R"(domain="a\"b")");
  EXPECT_EQ(LabelSet({{"domain", R"(a\b)"}}).text(), R"(domain="a\\b")");
  EXPECT_EQ(LabelSet({{"domain", "a\nb"}}).text(), R"(domain="a\nb")");
  EXPECT_EQ(LabelSet({{"domain", R"(\")"}}).text(), R"(domain="\\\"")");
}

TEST(LabelSet, LeavesAllOtherBytesAlone) {
  EXPECT_EQ(LabelSet({{"domain", "{käse},x=1"}}).text(),
            "domain=\"{käse},x=1\"");
}

TEST(LabelSet, KeepsAnEmptyValue) {
  EXPECT_EQ(LabelSet({{"uuid", ""}}).text(), "uuid=\"\"");
}

TEST(LabelSet, GrowsIntoANewOne) {
  const LabelSet domain{{"domain", "web"}};
  EXPECT_EQ(domain.with("vcpu", "1").text(), "domain=\"web\",vcpu=\"1\"");
  EXPECT_EQ(domain.text(), "domain=\"web\"");
  EXPECT_EQ(LabelSet().with("vcpu", "1").text(), "vcpu=\"1\"");
}

TEST(LabelTexts, MakeTheSameLabelsAsWith) {
  LabelTexts texts;
  const auto domain = texts.add({}, "domain", "a\"b");
  const auto vcpu = texts.add(domain, "vcpu", "0");
  EXPECT_EQ(domain.text(), R"(domain="a\"b")");
  EXPECT_EQ(vcpu.text(), R"(domain="a\"b",vcpu="0")");
}

TEST(LabelTexts, LiveAsLongAsASampleThatLooksIntoThem) {
  Family family("vcpu_up", "Whether.", MetricType::kGauge);
  std::optional<LabelTexts> first(std::in_place);
  std::optional<LabelTexts> second(std::in_place);
  for (int i = 0; i < 2; ++i) {
    family.add(first->add({}, "domain", "one"), 1);
    family.add(second->add({}, "domain", "two"), 2);
  }
  first.reset();
  second.reset();
  EXPECT_EQ(family.sample(0).labels, "domain=\"one\"");
  EXPECT_EQ(family.sample(1).labels, "domain=\"two\"");
  EXPECT_EQ(family.sample(3).labels, "domain=\"two\"");
}

TEST(Family, SaysWhatItWasMadeOf) {
  const Family family("vcpu_up", "Whether.", MetricType::kGauge);
  EXPECT_EQ(family.name(), "vcpu_up");
  EXPECT_EQ(family.help(), "Whether.");
  EXPECT_EQ(family.type(), MetricType::kGauge);
  EXPECT_EQ(family.size(), 0U);
}

TEST(Family, GivesSamplesBackInOrder) {
  Family family("vcpu_up", "Whether.", MetricType::kGauge);
  family.add({{"domain", "a"}}, 1);
  family.add({}, 2);
  family.add({{"domain", "longer"}}, 3);
  ASSERT_EQ(family.size(), 3U);
  EXPECT_EQ(family.sample(0).labels, "domain=\"a\"");
  EXPECT_EQ(family.sample(1).labels, "");
  EXPECT_EQ(family.sample(2).labels, "domain=\"longer\"");
  EXPECT_EQ(family.sample(0).value, 1);
  EXPECT_EQ(family.sample(2).value, 3);
}

TEST(Family, ItsFirstSamplesAreAFamilyOfTheirOwn) {
  std::optional<Family> family(std::in_place, "vcpu_up", "Whether.",
                               MetricType::kGauge);
  family->add({{"domain", "a"}}, 1);
  family->add({{"domain", "b"}}, 2);
  const Family first = family->first(1);
  EXPECT_EQ(family->size(), 2U);
  family.reset();
  EXPECT_EQ(first.name(), "vcpu_up");
  EXPECT_EQ(first.help(), "Whether.");
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first.sample(0).labels, "domain=\"a\"");
  EXPECT_EQ(first.sample(0).value, 1);
}

TEST(Family, HasNoMoreFirstSamplesThanItHas) {
  Family family("vcpu_up", "Whether.", MetricType::kGauge);
  family.add({{"domain", "a"}}, 1);
  EXPECT_EQ(family.first(0).size(), 0U);
  EXPECT_EQ(family.first(5).size(), 1U);
}

TEST(Family, AddsMoreLabels) {
  Family family("vcpu_up", "Whether.", MetricType::kGauge);
  const LabelSet labels{{"domain", "a"}};
  family.add(labels, {{"kind", "x\"y"}, {"n", "2"}}, 1);
  family.add({}, {{"kind", "z"}}, 2);
  EXPECT_EQ(family.sample(0).labels,
            labels.with("kind", "x\"y").with("n", "2").text());
  EXPECT_EQ(family.sample(1).labels, "kind=\"z\"");
}

// More text than a block of the store has room for, and one longer than any.
TEST(Family, KeepsManyAndLongLabels) {
  Family family("vcpu_up", "Whether.", MetricType::kGauge);
  const std::string longest(100'000, 'x');
  for (int i = 0; i < 5000; ++i) {
    family.add({{"i", std::to_string(i)}}, i);
    if (i == 2500) family.add({{"i", longest}}, -1);
  }
  ASSERT_EQ(family.size(), 5001U);
  EXPECT_EQ(family.sample(0).labels, "i=\"0\"");
  EXPECT_EQ(family.sample(2500).labels, "i=\"2500\"");
  EXPECT_EQ(family.sample(2501).labels, "i=\"" + longest + "\"");
  EXPECT_EQ(family.sample(5000).labels, "i=\"4999\"");
}

// Two buckets and +Inf's: five series for each.
Family histogram() {
  return {"wait_seconds", "Wait.", MetricType::kHistogram, {0.5, 1}};
}

TEST(Histogram, IsGivenBackAsItWasAdded) {
  Family family = histogram();
  family.add_histogram({{"domain", "a"}}, std::array{1UL, 2UL, 3UL}, 4.5);
  family.add_histogram({}, std::array{0UL, 0UL, 0UL}, 0);
  EXPECT_THAT(family.bounds(), ElementsAre(0.5, 1));
  ASSERT_EQ(family.size(), 2U);
  EXPECT_EQ(family.sample(0).labels, "domain=\"a\"");
  EXPECT_EQ(family.sample(0).value, 4.5);
  EXPECT_THAT(family.sample(0).counts, ElementsAre(1, 2, 3));
  EXPECT_EQ(family.sample(1).labels, "");
  EXPECT_EQ(family.sample(1).value, 0);
  EXPECT_THAT(family.sample(1).counts, ElementsAre(0, 0, 0));
}

TEST(Histogram, IsASeriesPerBucketAndTwo) {
  Family family = histogram();
  EXPECT_EQ(family.series(), 0U);
  family.add_histogram({{"domain", "a"}}, std::array{1UL, 2UL, 3UL}, 4);
  family.add_histogram({{"domain", "b"}}, std::array{0UL, 0UL, 0UL}, 0);
  EXPECT_EQ(family.series(), 10U);
}

TEST(Histogram, IsNeverCutInHalf) {
  Family family = histogram();
  family.add_histogram({{"domain", "a"}}, std::array{1UL, 2UL, 3UL}, 4);
  family.add_histogram({{"domain", "b"}}, std::array{5UL, 6UL, 7UL}, 8);
  EXPECT_EQ(family.first(10).series(), 10U);
  const Family first = family.first(9);
  EXPECT_EQ(first.series(), 5U);
  EXPECT_EQ(first.sample(0).labels, "domain=\"a\"");
  EXPECT_THAT(first.sample(0).counts, ElementsAre(1, 2, 3));
  EXPECT_THAT(first.bounds(), ElementsAre(0.5, 1));
  EXPECT_EQ(family.first(4).series(), 0U);
}

TEST(Histogram, NeedsACountForEachBucket) {
  Family family = histogram();
  EXPECT_THROW(family.add_histogram({}, std::array{1UL, 2UL}, 3),
               std::invalid_argument);
  EXPECT_THROW(family.add_histogram({}, std::array{1UL, 2UL, 3UL, 4UL}, 5),
               std::invalid_argument);
  EXPECT_THROW(family.add({}, 1), std::invalid_argument);
  Family gauge("vcpu_up", "Whether.", MetricType::kGauge);
  EXPECT_THROW(gauge.add_histogram({}, std::array{1UL}, 1),
               std::invalid_argument);
  EXPECT_EQ(family.size() + gauge.size(), 0U);
}

TEST(Families, KeepTheOrderOfTheCode) {
  Families said;
  said.counter("vcpu_b_total", "B.");
  said.gauge("vcpu_a", "A.");
  said.histogram("vcpu_c_seconds", "C.", std::array{0.5, 1.0});
  ASSERT_THAT(said.families(), SizeIs(3));
  EXPECT_EQ(said.families()[0].name(), "vcpu_b_total");
  EXPECT_EQ(said.families()[0].help(), "B.");
  EXPECT_EQ(said.families()[0].type(), MetricType::kCounter);
  EXPECT_EQ(said.families()[1].name(), "vcpu_a");
  EXPECT_EQ(said.families()[1].type(), MetricType::kGauge);
  EXPECT_EQ(said.families()[2].name(), "vcpu_c_seconds");
  EXPECT_EQ(said.families()[2].help(), "C.");
  EXPECT_EQ(said.families()[2].type(), MetricType::kHistogram);
  EXPECT_THAT(said.families()[2].bounds(), ElementsAre(0.5, 1));
}

TEST(Families, ReferencesStayGoodWhileMoreAreAdded) {
  Families said;
  Family& first = said.gauge("vcpu_first", "First.");
  for (int i = 0; i < 1000; ++i) said.gauge("vcpu_more", "More.");
  first.add({}, 7);
  ASSERT_EQ(said.families().front().size(), 1U);
  EXPECT_EQ(said.families().front().sample(0).value, 7);
}

TEST(Families, RememberSources) {
  Families said;
  said.source("schedstat", "");
  said.source("sched", "not in this kernel");
  ASSERT_THAT(said.sources(), SizeIs(2));
  EXPECT_EQ(said.sources()[0].name, "schedstat");
  EXPECT_EQ(said.sources()[0].missing_reason, "");
  EXPECT_EQ(said.sources()[1].name, "sched");
  EXPECT_EQ(said.sources()[1].missing_reason, "not in this kernel");
}

TEST(Families, MakeAReasonFitForALabel) {
  Families said;
  said.source("libvirt", "refused\n\xff");
  ASSERT_THAT(said.sources(), SizeIs(1));
  EXPECT_EQ(said.sources()[0].missing_reason, "refused\xEF\xBF\xBD");
}

TEST(Families, RememberProblemsAndDropsApart) {
  Families said;
  EXPECT_THAT(said.problems(), IsEmpty());
  EXPECT_THAT(said.drops(), IsEmpty());
  said.problem("stat: Bad message");
  said.dropped("limit");
  said.dropped("limit");
  EXPECT_THAT(said.problems(), ElementsAre("stat: Bad message"));
  EXPECT_THAT(said.drops(), ElementsAre("limit", "limit"));
}

TEST(Seconds, AreNanosecondsInTheBaseUnit) {
  EXPECT_DOUBLE_EQ(seconds(0), 0);
  EXPECT_DOUBLE_EQ(seconds(1), 1e-9);
  EXPECT_DOUBLE_EQ(seconds(2'500'000'000), 2.5);
}

}  // namespace
}  // namespace vcpu
