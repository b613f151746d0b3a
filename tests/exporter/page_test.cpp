// SPDX-License-Identifier: Apache-2.0
#include "exporter/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::ElementsAre;

std::shared_ptr<const Families> numbers(const char* name, int count) {
  auto families = std::make_shared<Families>();
  auto& family = families->gauge(name, "Numbers.");
  for (int i = 0; i < count; ++i) family.add({{"i", std::to_string(i)}}, i);
  return families;
}

// Histograms of four series each.
std::shared_ptr<const Families> histograms(const char* name, int count) {
  auto families = std::make_shared<Families>();
  auto& family = families->histogram(name, "Waits.", std::array{1.0});
  for (int i = 0; i < count; ++i)
    family.add_histogram({{"i", std::to_string(i)}}, std::array{2UL, 3UL}, 9);
  return families;
}

Part part(const std::string& name, bool success,
          std::shared_ptr<Families> families = std::make_shared<Families>()) {
  return {name, success, 0.25, {}, std::move(families)};
}

std::string text(const FamiliesPage& page) {
  return *page.body(TextFormat::kPrometheus, false);
}

TEST(Page, IsRenderedOncePerFormatAndEncoding) {
  const FamiliesPage page({numbers("a", 2)}, 10, {});
  for (const bool gzip : {false, true}) {
    const auto first = page.body(TextFormat::kOpenMetrics, gzip);
    EXPECT_EQ(first, page.body(TextFormat::kOpenMetrics, gzip));
    EXPECT_NE(first, page.body(TextFormat::kPrometheus, gzip));
  }
}

TEST(Page, CutsWhatIsOverTheLimitAndCountsIt) {
  const FamiliesPage page({numbers("a", 2), numbers("b", 3), numbers("c", 1)},
                          4, {});
  EXPECT_EQ(page.dropped(), 2);
  EXPECT_EQ(text(page),
            "# HELP a Numbers.\n# TYPE a gauge\na{i=\"0\"} 0\na{i=\"1\"} 1\n"
            "# HELP b Numbers.\n# TYPE b gauge\nb{i=\"0\"} 0\nb{i=\"1\"} 1\n");
}

TEST(Page, CutsNoHistogramInHalfAndCountsItsSeries) {
  const FamiliesPage page(
      {numbers("a", 1), histograms("h", 2), numbers("b", 1)}, 8, {});
  EXPECT_EQ(page.dropped(), 5);
  EXPECT_EQ(text(page),
            "# HELP a Numbers.\n# TYPE a gauge\na{i=\"0\"} 0\n"
            "# HELP h Waits.\n# TYPE h histogram\n"
            "h_bucket{i=\"0\",le=\"1\"} 2\nh_bucket{i=\"0\",le=\"+Inf\"} 5\n"
            "h_sum{i=\"0\"} 9\nh_count{i=\"0\"} 5\n");
}

TEST(Page, HasRoomForAsManySeriesAsItsHistogramsHave) {
  const FamiliesPage page({histograms("h", 2), numbers("b", 1)}, 9, {});
  EXPECT_EQ(page.dropped(), 0);
  EXPECT_THAT(text(page), testing::EndsWith("\nb{i=\"0\"} 0\n"));
}

TEST(Page, NeverCutsWhatItSaysAboutItself) {
  const FamiliesPage page({numbers("a", 5)}, 0, {numbers("self", 1)});
  EXPECT_EQ(page.dropped(), 5);
  EXPECT_EQ(text(page),
            "# HELP self Numbers.\n# TYPE self gauge\n"
            "self{i=\"0\"} 0\n");
}

TEST(ScrapeFamilies, SayHowEachPartFared) {
  const auto families =
      scrape_families({part("a", true), part("b", false)}, {"a", "b", "late"});
  EXPECT_THAT(
      samples_of(*families),
      ElementsAre(
          R"(vcpu_scrape_collector_duration_seconds{collector="a"} 0.25)",
          R"(vcpu_scrape_collector_duration_seconds{collector="b"} 0.25)",
          R"(vcpu_scrape_collector_success{collector="a"} 1)",
          R"(vcpu_scrape_collector_success{collector="b"} 0)",
          R"(vcpu_scrape_collector_success{collector="late"} 0)"));
}

TEST(ScrapeFamilies, SayASourceOnceAndMissingIfItIsToAnyPart) {
  auto one = std::make_shared<Families>();
  one->source("stat", "");
  one->source("sched", "refused");
  auto other = std::make_shared<Families>();
  other->source("stat", "");
  other->source("sched", "");
  const auto families =
      scrape_families({part("a", true, one), part("b", true, other)}, {});
  EXPECT_THAT(
      samples_of(*families),
      ElementsAre(R"(vcpu_source_available{source="sched",reason="refused"} 0)",
                  R"(vcpu_source_available{source="stat",reason=""} 1)"));
}

}  // namespace
}  // namespace vcpu
