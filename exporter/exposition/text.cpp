// SPDX-License-Identifier: Apache-2.0
#include "exporter/exposition/text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace vcpu {
namespace {

constexpr std::string_view kTotal = "_total";

// OpenMetrics names a counter's family without the suffix of its samples.
std::string_view family_name(const Family& family, TextFormat format) {
  const std::string_view name = family.name();
  const bool suffixed = family.type() == MetricType::kCounter &&
                        name.size() > kTotal.size() &&
                        name.substr(name.size() - kTotal.size()) == kTotal;
  if (format == TextFormat::kOpenMetrics && suffixed)
    return name.substr(0, name.size() - kTotal.size());
  return name;
}

void append_help(std::string& text, std::string_view help, TextFormat format) {
  for (const char c : help) {
    const bool quote = c == '"' && format == TextFormat::kOpenMetrics;
    if (c == '\\' || quote) text += '\\';
    if (c == '\n') {
      text += "\\n";
    } else {
      text += c;
    }
  }
}

void append_head(std::string& text, const Family& family, TextFormat format) {
  const auto name = family_name(family, format);
  text.append("# HELP ").append(name).append(" ");
  append_help(text, family.help(), format);
  text.append("\n# TYPE ").append(name);
  text += family.type() == MetricType::kCounter ? " counter\n" : " gauge\n";
}

template <typename Number>
void append_digits(std::string& text, Number value) {
  std::array<char, 32> digits;
  const auto [end, error] =
      std::to_chars(digits.data(), digits.data() + digits.size(), value);
  text.append(digits.data(), end);
}

}  // namespace

void append_number(std::string& text, double value) {
  constexpr double kExact = 9007199254740992;  // 2^53
  if (std::isnan(value)) {
    text += "NaN";
  } else if (std::isinf(value)) {
    text += value > 0 ? "+Inf" : "-Inf";
  } else if (std::abs(value) < kExact && value == std::trunc(value)) {
    append_digits(text, static_cast<std::int64_t>(value));
  } else {
    append_digits(text, value);
  }
}

std::string render(const std::vector<const Family*>& families,
                   TextFormat format) {
  std::string text;
  for (const Family* const family : families) {
    if (family->size() == 0) continue;
    append_head(text, *family, format);
    for (std::size_t i = 0; i < family->size(); ++i) {
      const auto [labels, value] = family->sample(i);
      text += family->name();
      if (!labels.empty()) text.append("{").append(labels).append("}");
      text += ' ';
      append_number(text, value);
      text += '\n';
    }
  }
  if (format == TextFormat::kOpenMetrics) text += "# EOF\n";
  return text;
}

}  // namespace vcpu
