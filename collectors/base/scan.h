// SPDX-License-Identifier: Apache-2.0
//
// Taking numbers, words and lines off the front of a text. Never throws, knows
// no locale.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace vcpu {

// The next line without its newline; the text shrinks by both.
inline std::string_view take_line(std::string_view& text) {
  const auto end = text.find('\n');
  const auto line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

inline std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\n\r";
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// The next run of non-blank characters; empty at the end of the text.
inline std::string_view take_word(std::string_view& text) {
  constexpr std::string_view kBlank = " \t\n";
  const auto start = text.find_first_not_of(kBlank);
  if (start == std::string_view::npos) return {};
  text.remove_prefix(start);
  const auto word = text.substr(0, text.find_first_of(kBlank));
  text.remove_prefix(word.size());
  return word;
}

// A whole text that is a number: no sign, no blank, nothing behind it.
template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  if (text.starts_with('-')) return std::nullopt;
  Number value{};
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

// Takes the next blank-separated unsigned number off the front of `text`.
inline std::optional<std::uint64_t> take_u64(std::string_view& text) {
  return parse_number<std::uint64_t>(take_word(text));
}

// The rest of the first line that starts with `key`, e.g. "Cpus_allowed:".
inline std::optional<std::string_view> find_line(std::string_view text,
                                                 std::string_view key) {
  while (!text.empty()) {
    const auto line = take_line(text);
    if (line.substr(0, key.size()) == key) return line.substr(key.size());
  }
  return std::nullopt;
}

}  // namespace vcpu
