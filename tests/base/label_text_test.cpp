// SPDX-License-Identifier: Apache-2.0
#include "collectors/base/label_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>

namespace vcpu {
namespace {

using testing::EndsWith;
using testing::MatchesRegex;
using testing::StartsWith;

const std::string kBad = "\xEF\xBF\xBD";  // U+FFFD

// One character as UTF-8, also where Unicode forbids it.
std::string utf8(char32_t code) {
  const auto byte = [](char32_t value) { return static_cast<char>(value); };
  const auto tail = [&](unsigned shift) {
    return byte(0x80U | ((code >> shift) & 0x3FU));
  };
  if (code < 0x80) return {byte(code)};
  if (code < 0x800) return {byte(0xC0U | (code >> 6U)), tail(0)};
  if (code < 0x10000) return {byte(0xE0U | (code >> 12U)), tail(6), tail(0)};
  return {byte(0xF0U | (code >> 18U)), tail(12), tail(6), tail(0)};
}

// An oracle that shares nothing with the code: decodes by the lead byte, then
// asks whether encoding the result again gives the same bytes.
bool is_clean_utf8(std::string_view text) {
  while (!text.empty()) {
    const auto lead = static_cast<unsigned char>(text[0]);
    const std::size_t length = lead < 0x80   ? 1
                               : lead < 0xE0 ? 2
                               : lead < 0xF0 ? 3
                                             : 4;
    if (text.size() < length) return false;
    char32_t code = length == 1 ? lead : lead & (0xFFU >> (length + 1));
    for (std::size_t i = 1; i < length; ++i)
      code = code * 64 + (static_cast<unsigned char>(text[i]) % 64U);
    const bool forbidden = (code >= 0xD800 && code < 0xE000) ||
                           code > 0x10FFFF || code < 0x20 ||
                           (code >= 0x7F && code < 0xA0);
    if (forbidden || utf8(code) != text.substr(0, length)) return false;
    text.remove_prefix(length);
  }
  return true;
}

TEST(LabelText, LeavesOrdinaryNamesAlone) {
  for (const std::string name :
       {"", "web", "default_testvm", "a \"b\" \\ {c}=,;~", "käse", "仮想機械",
        "🐧", "instance-0000001a"}) {
    EXPECT_EQ(label_text(name), name);
  }
}

TEST(LabelText, KeepsThePrintableHalfOfAscii) {
  for (char c = 0x20; c < 0x7F; ++c)
    EXPECT_EQ(label_text(std::string(1, c)), std::string(1, c));
}

TEST(LabelText, DropsTheControlsOfAscii) {
  for (char c = 0; c < 0x20; ++c)
    EXPECT_EQ(label_text(std::string{'a', c, 'b'}), "ab") << int{c};
  EXPECT_EQ(label_text("a\x7F"), "a");
}

TEST(LabelText, ReplacesEveryLoneByteBeyondAscii) {
  for (int byte = 0x80; byte <= 0xFF; ++byte) {
    const std::string text{'a', static_cast<char>(byte), 'b'};
    EXPECT_EQ(label_text(text), "a" + kBad + "b") << byte;
  }
}

TEST(LabelText, DropsTheControlsBeyondAscii) {
  EXPECT_EQ(label_text("a\xC2\x80\xC2\x9B\xC2\x9F z"), "a z");
  EXPECT_EQ(label_text("\xC2\xA0"), "\xC2\xA0");  // The first that is none.
}

TEST(LabelText, KeepsTheFirstAndLastOfEveryLength) {
  for (const char32_t code : {0xA0U, 0x7FFU, 0x800U, 0xFFFFU, 0xD7FFU, 0xE000U,
                              0x10000U, 0x10FFFFU}) {
    EXPECT_EQ(label_text(utf8(code)), utf8(code))
        << static_cast<unsigned>(code);
  }
}

TEST(LabelText, ReplacesOverlongForms) {
  EXPECT_EQ(label_text("\xC0\x80"), kBad + kBad);
  EXPECT_EQ(label_text("\xC1\xBF"), kBad + kBad);
  EXPECT_EQ(label_text("\xE0\x9F\xBF"), kBad + kBad + kBad);
  EXPECT_EQ(label_text("\xF0\x8F\xBF\xBF"), kBad + kBad + kBad + kBad);
}

TEST(LabelText, ReplacesSurrogates) {
  EXPECT_EQ(label_text(utf8(0xD800)), kBad + kBad + kBad);
  EXPECT_EQ(label_text(utf8(0xDFFF)), kBad + kBad + kBad);
}

TEST(LabelText, ReplacesWhatLiesBeyondUnicode) {
  EXPECT_EQ(label_text(utf8(0x110000)), kBad + kBad + kBad + kBad);
  EXPECT_EQ(label_text("\xF5\x80\x80\x80"), kBad + kBad + kBad + kBad);
  EXPECT_EQ(label_text("\xFE\xFF"), kBad + kBad);
}

TEST(LabelText, ReplacesTruncatedSequences) {
  EXPECT_EQ(label_text("\xE2\x82"), kBad + kBad);
  EXPECT_EQ(label_text("\xF0\x9F\x90"), kBad + kBad + kBad);
  EXPECT_EQ(label_text("\xC3"), kBad);
}

TEST(LabelText, FindsTheNextCharacterAfterABrokenOne) {
  EXPECT_EQ(label_text("\xE2\x82x"), kBad + kBad + "x");
  EXPECT_EQ(label_text("\xE2\xC3\xA4"), kBad + "ä");
}

TEST(LabelText, KeepsNamesOfTheGreatestLengthWhole) {
  const std::string longest(kMaxLabelBytes, 'a');
  EXPECT_EQ(label_text(longest), longest);
}

TEST(LabelText, CutsLongerNamesAndMarksThem) {
  const auto cut = label_text(std::string(kMaxLabelBytes + 1, 'a'));
  EXPECT_EQ(cut.size(), kMaxLabelBytes);
  EXPECT_THAT(cut, MatchesRegex("a+~[0-9a-f]+"));
  EXPECT_EQ(cut.find('~'), kMaxLabelBytes - 9);
}

TEST(LabelText, CutsTenKilobytes) {
  const auto cut = label_text("name" + std::string(10240, '"'));
  EXPECT_EQ(cut.size(), kMaxLabelBytes);
  EXPECT_THAT(cut, StartsWith("name\"\"\""));
}

TEST(LabelText, KeepsLongNamesOfOnePrefixApart) {
  const std::string prefix(10240, 'a');
  EXPECT_NE(label_text(prefix + "1"), label_text(prefix + "2"));
  EXPECT_NE(label_text(prefix), label_text(prefix + "a"));
}

TEST(LabelText, GivesTheSameNameTheSameLabel) {
  const std::string name(10240, 'a');
  // FNV-1a of those bytes: it must not change with the exporter's version.
  EXPECT_THAT(label_text(name), EndsWith("~51d765c5"));
}

TEST(LabelText, CutsBetweenCharacters) {
  for (std::size_t shift = 0; shift < 4; ++shift) {
    std::string name(shift, 'a');
    for (int i = 0; i < 200; ++i) name += "🐧";
    const auto cut = label_text(name);
    EXPECT_TRUE(is_clean_utf8(cut)) << shift;
    EXPECT_LE(cut.size(), kMaxLabelBytes);
    EXPECT_GT(cut.size(), kMaxLabelBytes - 4);
  }
}

TEST(LabelText, IsAlwaysFitToPrint) {
  std::mt19937 random(20240229);  // NOLINT: the same bytes on every run.
  for (int round = 0; round < 20000; ++round) {
    std::string bytes(random() % (round % 10 == 0 ? 600 : 24), '\0');
    // Half of the texts mostly from the bytes that UTF-8 is picky about.
    for (char& c : bytes) {
      const auto any = static_cast<unsigned char>(random());
      c = static_cast<char>(round % 2 == 0 ? any : (any | 0x80U));
    }
    const auto label = label_text(bytes);
    ASSERT_TRUE(is_clean_utf8(label)) << testing::PrintToString(bytes);
    ASSERT_LE(label.size(), kMaxLabelBytes);
    ASSERT_EQ(label_text(label), label);
  }
}

TEST(LabelText, IsIdempotentOnShortValidText) {
  std::mt19937 random(20240301);  // NOLINT: the same text on every run.
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    while (text.size() < kMaxLabelBytes / 4) {
      const auto code = static_cast<char32_t>(0xA0 + random() % 0x10FF00);
      if (code < 0xD800 || (code > 0xDFFF && code <= 0x10FFFF))
        text += utf8(code);
    }
    ASSERT_EQ(label_text(text), text);
  }
}

}  // namespace
}  // namespace vcpu
