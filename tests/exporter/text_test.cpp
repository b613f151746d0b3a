// SPDX-License-Identifier: Apache-2.0
#include "exporter/exposition/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <clocale>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <random>
#include <string>

#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::Contains;
using testing::ElementsAre;

std::string number(double value) {
  std::string text;
  append_number(text, value);
  return text;
}

TEST(Number, IsTheShortestTextThatReadsBackTheSame) {
  EXPECT_EQ(number(0), "0");
  EXPECT_EQ(number(42), "42");
  EXPECT_EQ(number(-700000), "-700000");
  EXPECT_EQ(number(9007199254740991), "9007199254740991");
  EXPECT_EQ(std::stod(number(1e300)), 1e300);
  EXPECT_EQ(number(0.1), "0.1");
  EXPECT_EQ(number(2.799123456), "2.799123456");
  EXPECT_EQ(number(1e-9), "1e-09");
  EXPECT_EQ(std::stod(number(123456789.123456789)), 123456789.123456789);
}

// What the standard library finds by looking for it.
std::string shortest(double value) {
  std::array<char, 64> digits{};
  const auto [end, error] =
      std::to_chars(digits.data(), digits.data() + digits.size(), value);
  EXPECT_EQ(error, std::errc{});
  return {digits.data(), end};
}

TEST(Number, OfNanosecondsIsTheShortestAsWell) {
  std::mt19937_64 random(1);
  for (int bits = 1; bits < 60; ++bits) {
    for (int i = 0; i < 2000; ++i) {
      const auto ns = random() >> (64 - bits);
      const double value = static_cast<double>(ns) / 1e9;
      if (value == std::trunc(value)) continue;  // Written as an integer.
      ASSERT_EQ(number(value), shortest(value));
      const double next = std::nextafter(value, 1e9);
      ASSERT_EQ(number(next), shortest(next));
      ASSERT_EQ(number(-value), shortest(-value));
    }
  }
}

TEST(Number, HasTheFormatsWordsForWhatIsNone) {
  EXPECT_EQ(number(std::numeric_limits<double>::quiet_NaN()), "NaN");
  EXPECT_EQ(number(std::numeric_limits<double>::infinity()), "+Inf");
  EXPECT_EQ(number(-std::numeric_limits<double>::infinity()), "-Inf");
}

TEST(Text, IsAFamilyPerBlockWithHelpAndType) {
  Families families;
  auto& run = families.counter("a_seconds_total", "Time.");
  run.add({{"domain", "x"}}, 1.5);
  run.add({{"domain", "y"}}, 2);
  families.gauge("b_ratio", "Share.").add({}, 0.5);
  EXPECT_EQ(text_of(families, TextFormat::kPrometheus),
            "# HELP a_seconds_total Time.\n"
            "# TYPE a_seconds_total counter\n"
            "a_seconds_total{domain=\"x\"} 1.5\n"
            "a_seconds_total{domain=\"y\"} 2\n"
            "# HELP b_ratio Share.\n"
            "# TYPE b_ratio gauge\n"
            "b_ratio 0.5\n");
}

TEST(Text, NamesACounterWithoutItsSuffixInOpenMetrics) {
  Families families;
  families.counter("a_total", "Time.").add({}, 1);
  EXPECT_EQ(text_of(families, TextFormat::kOpenMetrics),
            "# HELP a Time.\n# TYPE a counter\na_total 1\n# EOF\n");
}

TEST(Text, LeavesOutAFamilyWithoutSamples) {
  Families families;
  families.gauge("empty", "Nothing.");
  EXPECT_EQ(text_of(families, TextFormat::kPrometheus), "");
  EXPECT_EQ(text_of(families, TextFormat::kOpenMetrics), "# EOF\n");
}

TEST(Text, EscapesHelpAsEachFormatWants) {
  Families families;
  families.gauge("a", "one\ntwo \\ \"three\"").add({}, 1);
  EXPECT_EQ(text_of(families, TextFormat::kPrometheus),
            "# HELP a one\\ntwo \\\\ \"three\"\n# TYPE a gauge\na 1\n");
  EXPECT_EQ(
      text_of(families, TextFormat::kOpenMetrics),
      "# HELP a one\\ntwo \\\\ \\\"three\\\"\n# TYPE a gauge\na 1\n# EOF\n");
}

TEST(Text, EscapesLabels) {
  Families families;
  families.gauge("a", "h").add({{"domain", "q\"b\\n\n"}}, 1);
  EXPECT_THAT(text_of(families, TextFormat::kPrometheus),
              testing::HasSubstr("a{domain=\"q\\\"b\\\\n\\n\"} 1\n"));
}

TEST(HistogramText, IsCumulativeBucketsSumAndCount) {
  Families families;
  families.histogram("h_seconds", "Wait.", std::array{0.001, 0.25, 1.0})
      .add_histogram({{"domain", "x"}}, std::array{1UL, 0UL, 3UL, 2UL}, 7.5);
  EXPECT_EQ(text_of(families, TextFormat::kPrometheus),
            "# HELP h_seconds Wait.\n"
            "# TYPE h_seconds histogram\n"
            "h_seconds_bucket{domain=\"x\",le=\"0.001\"} 1\n"
            "h_seconds_bucket{domain=\"x\",le=\"0.25\"} 1\n"
            "h_seconds_bucket{domain=\"x\",le=\"1\"} 4\n"
            "h_seconds_bucket{domain=\"x\",le=\"+Inf\"} 6\n"
            "h_seconds_sum{domain=\"x\"} 7.5\n"
            "h_seconds_count{domain=\"x\"} 6\n");
}

TEST(HistogramText, WithoutLabelsHasOnlyItsOwn) {
  Families families;
  families.histogram("h", "Wait.", std::array{1.0})
      .add_histogram({}, std::array{1UL, 0UL}, 0.5);
  EXPECT_THAT(samples_of(families),
              ElementsAre("h_bucket{le=\"1\"} 1", "h_bucket{le=\"+Inf\"} 1",
                          "h_sum 0.5", "h_count 1"));
}

TEST(HistogramText, WithoutBoundsIsInfinitysBucket) {
  Families families;
  families.histogram("h", "Wait.", {}).add_histogram({}, std::array{3UL}, 0.5);
  EXPECT_THAT(samples_of(families),
              ElementsAre("h_bucket{le=\"+Inf\"} 3", "h_sum 0.5", "h_count 3"));
}

TEST(HistogramText, OfNothingIsAllZeroes) {
  Families families;
  families.histogram("h", "Wait.", std::array{0.5})
      .add_histogram({}, std::array{0UL, 0UL}, 0);
  EXPECT_THAT(samples_of(families),
              ElementsAre("h_bucket{le=\"0.5\"} 0", "h_bucket{le=\"+Inf\"} 0",
                          "h_sum 0", "h_count 0"));
}

TEST(HistogramText, IsLeftOutWithoutSamples) {
  Families families;
  families.histogram("h", "Wait.", std::array{0.5});
  EXPECT_EQ(text_of(families, TextFormat::kPrometheus), "");
}

TEST(HistogramText, CountsBeyondWhatADoubleHolds) {
  Families families;
  families.histogram("h", "Wait.", {})
      .add_histogram({}, std::array{9007199254740993UL}, 0);
  EXPECT_THAT(samples_of(families), Contains("h_count 9007199254740993"));
}

std::string le_in_openmetrics(double bound) {
  Families families;
  families.histogram("h", "Wait.", std::array{bound})
      .add_histogram({}, std::array{0UL, 0UL}, 0);
  const auto text = text_of(families, TextFormat::kOpenMetrics);
  const auto begin = text.find("le=\"") + 4;
  return text.substr(begin, text.find('"', begin) - begin);
}

// The values are those the specification lists under "Canonical Numbers".
TEST(HistogramText, HasCanonicalBoundsInOpenMetrics) {
  for (const char* le :
       {"0.0",   "0.001",    "0.002", "0.01",   "0.1",    "0.9",
        "0.95",  "0.99",     "0.999", "1.0",    "1.7",    "10.0",
        "1e-10", "1e-09",    "1e-05", "1e-06",  "0.0001", "1e+06",
        "1e+10", "100000.0", "1e+23", "1.1e+23"}) {
    EXPECT_EQ(le_in_openmetrics(std::stod(le)), le);
  }
  EXPECT_EQ(le_in_openmetrics(0.00011), "0.00011");
  EXPECT_EQ(le_in_openmetrics(999999.5), "999999.5");
  EXPECT_EQ(le_in_openmetrics(1234567), "1.234567e+06");
}

// Histograms with whatever is difficult in them.
Families difficult_histograms() {
  Families families;
  auto& waits = families.histogram("h_seconds", "Wait, \"in\" seconds.",
                                   std::array{0.0, 1e-06, 1.28e-4, 0.25, 1.0,
                                              8.388608, 1e5, 1e6, 1234567.5});
  const std::array counts{1UL, 0UL, 2UL, 0UL, 3UL, 0UL, 4UL, 0UL, 5UL, 6UL};
  waits.add_histogram({{"domain", "q\"b\\n\n},x=\"1\""}}, counts, 1e7 / 3);
  waits.add_histogram({{"domain", "idle"}}, std::array<std::uint64_t, 10>{}, 0);
  families.histogram("plain_seconds", "Wait.", std::array{1.0})
      .add_histogram({}, std::array{1UL, 2UL}, 12);
  families.gauge("last", "What follows.").add({}, 1);
  return families;
}

bool works(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

void expect_accepted(const std::string& command, const std::string& text) {
  const std::string path =
      testing::TempDir() + "text_test." + std::to_string(::getpid());
  std::ofstream(path) << text;
  EXPECT_EQ(std::system((command + " <'" + path + "'").c_str()), 0) << text;
  std::remove(path.c_str());
}

TEST(HistogramText, IsGoodToPromtool) {
  if (!works("promtool --version")) {
    GTEST_SKIP() << "promtool is not installed";
  }
  expect_accepted("promtool check metrics",
                  text_of(difficult_histograms(), TextFormat::kPrometheus));
}

// The parser takes any number for a bound, so what it writes itself is compared
// as well.
TEST(HistogramText, IsGoodToPrometheusClientsOpenMetricsParser) {
  const std::string python = "/usr/bin/python3 -c ";
  if (!works(python + "'import prometheus_client.openmetrics.parser'")) {
    GTEST_SKIP() << "python3-prometheus-client is not installed";
  }
  const auto text = text_of(difficult_histograms(), TextFormat::kOpenMetrics);
  expect_accepted(python + R"('
import sys
from prometheus_client.openmetrics.parser import text_fd_to_metric_families
from prometheus_client.utils import floatToGoString
families = list(text_fd_to_metric_families(sys.stdin))
types = [family.type for family in families]
assert types == ["histogram", "histogram", "gauge"], types
samples = [sample for family in families for sample in family.samples]
assert len(samples) == 12 * 2 + 4 + 1, samples
assert samples[0].labels["domain"] == "q\"b\\n\n},x=\"1\"", samples[0]
for sample in samples:
    le = sample.labels.get("le", "+Inf")
    assert le == floatToGoString(le), sample
')",
                  text);
}

TEST(Text, KnowsNoLocale) {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  if (std::setlocale(LC_ALL, "de_DE.UTF-8") == nullptr)
    std::setlocale(LC_ALL, "C.UTF-8");
  EXPECT_EQ(number(0.5), "0.5");
  std::setlocale(LC_ALL, before.c_str());
}

}  // namespace
}  // namespace vcpu
