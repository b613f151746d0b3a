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

std::string_view type_name(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return "counter";
    case MetricType::kGauge:
      return "gauge";
    case MetricType::kHistogram:
      return "histogram";
  }
  return "";
}

void append_head(std::string& text, const Family& family, TextFormat format) {
  const auto name = family_name(family, format);
  text.append("# HELP ").append(name).append(" ");
  append_help(text, family.help(), format);
  text.append("\n# TYPE ").append(name).append(" ");
  text.append(type_name(family.type())).append("\n");
}

// As std::to_chars writes a number, given a format or none.
template <typename Number, typename... Format>
void append_digits(std::string& text, Number value, Format... format) {
  std::array<char, 32> digits;
  const auto [end, error] = std::to_chars(
      digits.data(), digits.data() + digits.size(), value, format...);
  text.append(digits.data(), end);
}

// OpenMetrics, "Canonical Numbers": a label's number is text to most of its
// readers, so it is to be the same everywhere, as Go's %g and never an integer.
void append_canonical(std::string& text, double value) {
  const bool plain = value == 0 || (value >= 1e-4 && value < 1e6);
  append_digits(
      text, value,
      plain ? std::chars_format::fixed : std::chars_format::scientific);
  if (plain && value == std::trunc(value)) text += ".0";
}

// The label by which the buckets of a histogram differ, one text per bucket.
std::vector<std::string> bucket_labels(const std::vector<double>& bounds,
                                       TextFormat format) {
  std::vector<std::string> labels;
  for (const double bound : bounds) {
    auto& label = labels.emplace_back("le=\"");
    if (format == TextFormat::kOpenMetrics) {
      append_canonical(label, bound);
    } else {
      append_number(label, bound);
    }
    label += '"';
  }
  labels.emplace_back("le=\"+Inf\"");
  return labels;
}

// `name_suffix{labels,le} `, what a line has before its value.
void append_series(std::string& text, std::string_view name,
                   std::string_view suffix, std::string_view labels,
                   std::string_view le = {}) {
  text.append(name).append(suffix);
  if (!labels.empty() || !le.empty()) {
    text.append("{").append(labels);
    if (!labels.empty() && !le.empty()) text += ',';
    text.append(le).append("}");
  }
  text += ' ';
}

// What the lines of its samples come to, about.
std::size_t expected_size(const Family& family) {
  constexpr std::size_t kNumberAndSigns = 24;
  if (family.size() == 0) return 0;
  const auto labels = family.sample(family.size() / 2).labels.size();
  return family.series() * (family.name().size() + labels + kNumberAndSigns);
}

// Most of a page is lines of these.
void append_values(std::string& text, const Family& family) {
  for (std::size_t i = 0; i < family.size(); ++i) {
    const auto sample = family.sample(i);
    text += family.name();
    if (!sample.labels.empty())
      (text += '{').append(sample.labels).push_back('}');
    text += ' ';
    append_number(text, sample.value);
    text += '\n';
  }
}

void append_histogram(std::string& text, std::string_view name,
                      const Family::Sample& sample,
                      const std::vector<std::string>& bucket_labels) {
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < bucket_labels.size(); ++i) {
    count += sample.counts[i];
    append_series(text, name, "_bucket", sample.labels, bucket_labels[i]);
    append_digits(text, count);
    text += '\n';
  }
  append_series(text, name, "_sum", sample.labels);
  append_number(text, sample.value);
  text += '\n';
  append_series(text, name, "_count", sample.labels);
  append_digits(text, count);
  text += '\n';
}

void append_histograms(std::string& text, const Family& family,
                       TextFormat format) {
  const auto labels = bucket_labels(family.bounds(), format);
  for (std::size_t i = 0; i < family.size(); ++i)
    append_histogram(text, family.name(), family.sample(i), labels);
}

// Seconds of the kernel's are whole nanoseconds, and such a number is written
// without a search for its shortest digits: up to 15 of them, no other decimal
// reads back as the same double; and from a millisecond on, none with an
// exponent is shorter. False where it is none.
bool append_nanoseconds(std::string& text, double value) {
  constexpr double kPerSecond = 1e9;
  constexpr double kLeast = 1e6;
  constexpr double kMost = 1e15;
  constexpr int kDigits = 9;
  const double rounded = std::nearbyint(value * kPerSecond);
  if (!(rounded >= kLeast && rounded < kMost) || rounded / kPerSecond != value)
    return false;
  const auto ns = static_cast<std::uint64_t>(rounded);
  const auto unit = static_cast<std::uint64_t>(kPerSecond);
  append_digits(text, ns / unit);
  std::array<char, kDigits + 1> fraction{'.'};
  auto rest = ns % unit;
  for (std::size_t i = kDigits; i > 0; --i, rest /= 10)
    fraction.at(i) = static_cast<char>('0' + rest % 10);
  std::string_view digits(fraction.data(), fraction.size());
  digits.remove_suffix(digits.size() - 1 - digits.find_last_not_of('0'));
  text += digits;
  return true;
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
  } else if (!append_nanoseconds(text, value)) {
    append_digits(text, value);
  }
}

std::string render(const std::vector<const Family*>& families,
                   TextFormat format) {
  std::string text;
  std::size_t expected = 0;
  for (const Family* const family : families)
    expected += expected_size(*family);
  text.reserve(expected);
  for (const Family* const family : families) {
    if (family->size() == 0) continue;
    append_head(text, *family, format);
    if (family->type() == MetricType::kHistogram) {
      append_histograms(text, *family, format);
    } else {
      append_values(text, *family);
    }
  }
  if (format == TextFormat::kOpenMetrics) text += "# EOF\n";
  return text;
}

}  // namespace vcpu
