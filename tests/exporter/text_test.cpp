// SPDX-License-Identifier: Apache-2.0
#include "exporter/exposition/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <clocale>
#include <limits>

namespace vcpu {
namespace {

std::string number(double value) {
  std::string text;
  append_number(text, value);
  return text;
}

std::string text_of(const Families& families, TextFormat format) {
  std::vector<const Family*> all;
  for (const Family& family : families.families()) all.push_back(&family);
  return render(all, format);
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

TEST(Text, KnowsNoLocale) {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  if (std::setlocale(LC_ALL, "de_DE.UTF-8") == nullptr)
    std::setlocale(LC_ALL, "C.UTF-8");
  EXPECT_EQ(number(0.5), "0.5");
  std::setlocale(LC_ALL, before.c_str());
}

}  // namespace
}  // namespace vcpu
