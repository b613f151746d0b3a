// SPDX-License-Identifier: Apache-2.0
#include "collectors/base/label_text.h"

#include <array>
#include <cstdint>

namespace vcpu {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

struct Sequence {
  std::size_t length = 0;  // Bytes; 0: not valid UTF-8.
  char32_t code = 0;
};

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

// The character at the front of `text`, by table 3-7 of the Unicode Standard:
// no overlong form, no surrogate, nothing above U+10FFFF.
Sequence first_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {1, lead};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return {};
  constexpr std::array<unsigned, 5> kLeadMask{0, 0, 0x1F, 0x0F, 0x07};
  char32_t code = lead & kLeadMask.at(length);
  for (std::size_t i = 1; i < length; ++i) {
    if (!is_continuation(text[i])) return {};
    code = (code << 6U) | (static_cast<unsigned char>(text[i]) & 0x3FU);
  }
  constexpr std::array<char32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < kLeast.at(length) || surrogate || code > 0x10FFFF) return {};
  return {length, code};
}

bool is_control(char32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F);
}

// FNV-1a, 32 bit: not against an adversary, only to keep long names apart.
std::uint32_t hash(std::string_view text) {
  std::uint32_t value = 2166136261U;
  for (const char c : text)
    value = (value ^ static_cast<unsigned char>(c)) * 16777619U;
  return value;
}

std::string cut(std::string text) {
  constexpr std::size_t kDigits = 8;
  constexpr std::string_view kHex = "0123456789abcdef";
  const std::uint32_t digest = hash(text);
  std::size_t end = kMaxLabelBytes - kDigits - 1;
  while (is_continuation(text[end])) --end;
  text.resize(end);
  text += '~';
  for (std::size_t i = 0; i < kDigits; ++i)
    text += kHex[(digest >> (28U - 4U * static_cast<unsigned>(i))) & 0xFU];
  return text;
}

}  // namespace

std::string label_text(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    const auto [length, code] = first_character(text);
    if (length == 0) {
      clean += kReplacement;
    } else if (!is_control(code)) {
      clean += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return clean.size() > kMaxLabelBytes ? cut(std::move(clean)) : clean;
}

}  // namespace vcpu
