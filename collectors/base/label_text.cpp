// SPDX-License-Identifier: Apache-2.0
#include "collectors/base/label_text.h"

#include <cstdint>

#include "collectors/base/utf8.h"

namespace vcpu {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

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
  while ((static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
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
    const auto [code, bytes, valid] = first_utf8(text);
    if (!valid) {
      clean += kReplacement;
    } else if (!is_control(code)) {
      clean += text.substr(0, bytes);
    }
    text.remove_prefix(bytes);
  }
  return clean.size() > kMaxLabelBytes ? cut(std::move(clean)) : clean;
}

}  // namespace vcpu
