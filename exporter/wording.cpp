// SPDX-License-Identifier: Apache-2.0
#include "exporter/wording.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "collectors/base/utf8.h"

namespace vcpu {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::size_t kMaxCompared = 64;

void append_bytes_in_hex(std::string& out, std::string_view bytes) {
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += "\\x";
    out += kHexDigits[byte >> 4U];
    out += kHexDigits[byte & 0x0FU];
  }
}

// Levenshtein's distance, by rows.
std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0U : 1U);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  std::size_t used = 0;
  while (used < text.size() && used < kMaxQuotedBytes) {
    const Utf8Char next = first_utf8(text.substr(used));
    const std::string_view bytes = text.substr(used, next.bytes);
    if (next.valid && !is_control(next.code)) {
      out += bytes;
    } else {
      append_bytes_in_hex(out, bytes);
    }
    used += next.bytes;
  }
  return out + (used < text.size() ? "...\"" : "\"");
}

std::string did_you_mean(std::string_view wrong,
                         const std::vector<std::string>& known) {
  if (wrong.size() > kMaxCompared) return "";
  std::size_t nearest = std::max<std::size_t>(1, wrong.size() / 3) + 1;
  std::string_view suggestion;
  for (const std::string& candidate : known) {
    const std::size_t distance = edits(wrong, candidate);
    if (distance >= nearest) continue;
    nearest = distance;
    suggestion = candidate;
  }
  if (suggestion.empty()) return "";
  return " (did you mean " + in_quotes(suggestion) + "?)";
}

std::string joined(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return all.empty() ? "none" : all;
}

std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, ' ');
  return text;
}

}  // namespace vcpu
