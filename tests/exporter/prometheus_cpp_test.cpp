// SPDX-License-Identifier: Apache-2.0
//
// Our text against prometheus-cpp's serializer: tests/golden/golden_test.cpp.
#include "exporter/exposition/prometheus_cpp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/summary.h>

#include <array>
#include <limits>

#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using prometheus::ClientMetric;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Families of_every_type() {
  Families families;
  families.counter("a_total", "A.").add({{"x", "q\"b\\n\n"}, {"y", ""}}, 1.5);
  families.gauge("b", "B.").add({}, -2);
  auto& waits = families.histogram("c_seconds", "C.", std::array{0.5, 1.0});
  waits.add_histogram({{"x", "1"}}, std::array{1UL, 0UL, 3UL}, 7.5);
  waits.add_histogram({}, std::array{0UL, 0UL, 0UL}, 0);
  return families;
}

// A family of histograms as a registry gives it.
prometheus::MetricFamily histograms(
    const std::vector<ClientMetric::Histogram>& values) {
  prometheus::MetricFamily family{
      "h", "H.", prometheus::MetricType::Histogram, {}};
  for (const auto& value : values)
    family.metric.emplace_back().histogram = value;
  return family;
}

std::vector<std::string> taken_up(const prometheus::MetricFamily& family) {
  Families families;
  add_from_prometheus({family}, families);
  return samples_of(families);
}

TEST(ToPrometheus, MakesHistogramsCumulative) {
  const auto converted = to_prometheus(of_every_type().families());
  ASSERT_EQ(converted.size(), 3U);
  EXPECT_EQ(converted[2].type, prometheus::MetricType::Histogram);
  ASSERT_EQ(converted[2].metric.size(), 2U);
  const auto& histogram = converted[2].metric[0].histogram;
  EXPECT_EQ(histogram.sample_count, 4U);
  EXPECT_EQ(histogram.sample_sum, 7.5);
  std::vector<std::pair<double, std::uint64_t>> buckets;
  for (const auto& bucket : histogram.bucket)
    buckets.emplace_back(bucket.upper_bound, bucket.cumulative_count);
  EXPECT_THAT(buckets, ElementsAre(std::pair(0.5, 1U), std::pair(1.0, 1U),
                                   std::pair(kInfinity, 4U)));
}

TEST(FromPrometheus, GivesBackWhatWentTo) {
  const Families families = of_every_type();
  Families back;
  add_from_prometheus(to_prometheus(families.families()), back);
  for (const auto format : {TextFormat::kPrometheus, TextFormat::kOpenMetrics})
    EXPECT_EQ(text_of(back, format), text_of(families, format));
}

TEST(FromPrometheus, TakesUpARegistrysHistogram) {
  prometheus::Registry registry;
  auto& histogram =
      prometheus::BuildHistogram().Name("h").Help("H.").Register(registry).Add(
          {{"x", "1"}}, prometheus::Histogram::BucketBoundaries{0.5, 1});
  for (const double value : {0.25, 0.5, 0.75, 2.0}) histogram.Observe(value);
  Families families;
  add_from_prometheus(registry.Collect(), families);
  EXPECT_THAT(samples_of(families),
              ElementsAre(R"(h_bucket{x="1",le="0.5"} 2)",
                          R"(h_bucket{x="1",le="1"} 3)",
                          R"(h_bucket{x="1",le="+Inf"} 4)",
                          R"(h_sum{x="1"} 3.5)", R"(h_count{x="1"} 4)"));
}

TEST(FromPrometheus, NeedsNoBucketOfInfinity) {
  EXPECT_THAT(taken_up(histograms({{5, 9, {{2, 0.5}}}})),
              ElementsAre(R"(h_bucket{le="0.5"} 2)", R"(h_bucket{le="+Inf"} 5)",
                          "h_sum 9", "h_count 5"));
}

TEST(FromPrometheus, LeavesOutHistogramsOfOtherBounds) {
  EXPECT_THAT(taken_up(histograms({{1, 1, {{1, 0.5}}}, {2, 2, {{2, 0.75}}}})),
              ElementsAre(R"(h_bucket{le="0.5"} 1)", R"(h_bucket{le="+Inf"} 1)",
                          "h_sum 1", "h_count 1"));
}

TEST(FromPrometheus, LeavesOutOtherTypesAndWhatIsEmpty) {
  EXPECT_THAT(taken_up({"s", "S.", prometheus::MetricType::Summary, {{}}}),
              IsEmpty());
  EXPECT_THAT(taken_up(histograms({})), IsEmpty());
}

}  // namespace
}  // namespace vcpu
