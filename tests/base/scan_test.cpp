// SPDX-License-Identifier: Apache-2.0
#include "collectors/base/scan.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace vcpu {
namespace {

constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();

TEST(TakeLine, TakesOneLineAfterTheOther) {
  std::string_view text = "one\n\nthree";
  EXPECT_EQ(take_line(text), "one");
  EXPECT_EQ(take_line(text), "");
  EXPECT_EQ(take_line(text), "three");
  EXPECT_EQ(text, "");
}

TEST(TakeLine, TakesNothingFromNothing) {
  std::string_view text;
  EXPECT_EQ(take_line(text), "");
  EXPECT_EQ(text, "");
}

TEST(TakeLine, LeavesNothingBehindTheLastNewline) {
  std::string_view text = "only\n";
  EXPECT_EQ(take_line(text), "only");
  EXPECT_TRUE(text.empty());
}

TEST(Trim, TakesBlanksOffBothEndsOnly) {
  EXPECT_EQ(trim("\t 0-3, 8 \r\n"), "0-3, 8");
  EXPECT_EQ(trim("plain"), "plain");
}

TEST(Trim, LeavesNothingOfBlanks) {
  EXPECT_EQ(trim(" \t\r\n"), "");
  EXPECT_EQ(trim(""), "");
}

TEST(TakeWord, SkipsBlanksBetweenWords) {
  std::string_view text = "  cpu0\t12 \n 7";
  EXPECT_EQ(take_word(text), "cpu0");
  EXPECT_EQ(take_word(text), "12");
  EXPECT_EQ(take_word(text), "7");
  EXPECT_EQ(take_word(text), "");
}

TEST(TakeWord, FindsNoneInBlanks) {
  std::string_view text = " \t\n ";
  EXPECT_EQ(take_word(text), "");
}

TEST(ParseNumber, ReadsTheWholeRange) {
  EXPECT_EQ(parse_number<std::uint64_t>("0"), 0U);
  EXPECT_EQ(parse_number<std::uint64_t>("18446744073709551615"), kMost);
  EXPECT_EQ(parse_number<int>("2147483647"), 2147483647);
}

TEST(ParseNumber, RefusesWhatDoesNotFit) {
  EXPECT_FALSE(parse_number<std::uint64_t>("18446744073709551616"));
  EXPECT_FALSE(parse_number<int>("2147483648"));
  EXPECT_FALSE(parse_number<std::uint64_t>(std::string(400, '9')));
}

TEST(ParseNumber, RefusesSigns) {
  EXPECT_FALSE(parse_number<std::uint64_t>("-1"));
  EXPECT_FALSE(parse_number<std::uint64_t>("+1"));
  EXPECT_FALSE(parse_number<int>("-1"));
  EXPECT_FALSE(parse_number<int>("+1"));
}

TEST(ParseNumber, RefusesAnythingAroundTheNumber) {
  for (const auto* text : {"", " 1", "1 ", "1\r", "1x", "0x1", "1.5", "1e3",
                           "one", "--1", "\xff"}) {
    EXPECT_FALSE(parse_number<std::uint64_t>(text)) << text;
  }
}

TEST(TakeU64, TakesNumbersUntilTheyEnd) {
  std::string_view text = "2499012345 2504001122 812\n";
  EXPECT_EQ(take_u64(text), 2499012345U);
  EXPECT_EQ(take_u64(text), 2504001122U);
  EXPECT_EQ(take_u64(text), 812U);
  EXPECT_FALSE(take_u64(text));
}

TEST(TakeU64, RefusesAWordButTakesItOff) {
  std::string_view text = "nan 3";
  EXPECT_FALSE(take_u64(text));
  EXPECT_EQ(take_u64(text), 3U);
}

TEST(FindLine, GivesTheRestOfTheFirstMatch) {
  EXPECT_EQ(find_line("a: 1\nb: 2\nb: 3\n", "b:"), " 2");
}

TEST(FindLine, MatchesAtTheBeginningOfALineOnly) {
  EXPECT_EQ(find_line("nonvoluntary: 5\nvoluntary: 7\n", "voluntary:"), " 7");
  EXPECT_FALSE(find_line("nonvoluntary: 5\n", "voluntary:"));
}

TEST(FindLine, FindsALastLineWithoutNewline) {
  EXPECT_EQ(find_line("a: 1\nb: 2", "b:"), " 2");
  EXPECT_EQ(find_line("a: 1\nb:", "b:"), "");
}

TEST(FindLine, FindsNothingInAnEmptyText) { EXPECT_FALSE(find_line("", "b:")); }

}  // namespace
}  // namespace vcpu
