// SPDX-License-Identifier: Apache-2.0
#include "exporter/exposition/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

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

// As std::to_chars writes a number, given a format or none; what it writes is
// no longer than this.
constexpr std::size_t kLongestNumber = 32;

template <typename Number, typename... Format>
char* write_digits(char* at, Number value, Format... format) {
  return std::to_chars(at, at + kLongestNumber, value, format...).ptr;
}

template <typename Number, typename... Format>
void append_digits(std::string& text, Number value, Format... format) {
  std::array<char, kLongestNumber> digits;
  text.append(digits.data(), write_digits(digits.data(), value, format...));
}

// Seconds of the kernel's are whole nanoseconds, and such a number is written
// without a search for its shortest digits: up to 15 of them, no other decimal
// reads back as the same double; and from a millisecond on, none with an
// exponent is shorter. Null where it is none.
char* write_nanoseconds(char* at, double value) {
  constexpr double kPerSecond = 1e9;
  constexpr double kLeast = 1e6;
  constexpr double kMost = 1e15;
  constexpr int kDigits = 9;
  const double rounded = std::nearbyint(value * kPerSecond);
  if (!(rounded >= kLeast && rounded < kMost) || rounded / kPerSecond != value)
    return nullptr;
  const auto ns = static_cast<std::uint64_t>(rounded);
  const auto unit = static_cast<std::uint64_t>(kPerSecond);
  at = write_digits(at, ns / unit);
  *at = '.';
  auto rest = ns % unit;
  for (int i = kDigits; i > 0; --i, rest /= 10)
    at[i] = static_cast<char>('0' + rest % 10);
  at += kDigits;
  while (*at == '0') --at;
  return at + 1;
}

char* write_text(char* at, std::string_view text) {
  return std::copy(text.begin(), text.end(), at);
}

// As append_number(); returns how long it is.
std::size_t write_number(char* at, double value) {
  constexpr double kExact = 9007199254740992;  // 2^53
  char* end = nullptr;
  if (std::isnan(value)) {
    end = write_text(at, "NaN");
  } else if (std::isinf(value)) {
    end = write_text(at, value > 0 ? "+Inf" : "-Inf");
  } else if (std::abs(value) < kExact && value == std::trunc(value)) {
    end = write_digits(at, static_cast<std::int64_t>(value));
  } else {
    end = write_nanoseconds(at, value);
    if (end == nullptr) end = write_digits(at, value);
  }
  return static_cast<std::size_t>(end - at);
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

// Puts many short pieces together where the caches are, and adds them to a text
// in few: a string asks at each whether it has room.
class Pieces {
 public:
  explicit Pieces(std::string& text) : text_(text) {}

  void add(std::string_view piece) {
    if (piece.size() > room_.size() - used_) flush();
    if (piece.size() > room_.size()) {
      text_ += piece;
    } else {
      std::memcpy(room_.data() + used_, piece.data(), piece.size());
      used_ += piece.size();
    }
  }

  void add_number(double value) {
    if (kLongestNumber > room_.size() - used_) flush();
    used_ += write_number(room_.data() + used_, value);
  }

  // At the end.
  void flush() { text_.append(room_.data(), std::exchange(used_, 0)); }

 private:
  std::string& text_;
  std::array<char, 4096> room_{};
  std::size_t used_ = 0;
};

// Most of a page is lines of these.
void append_values(std::string& text, const Family& family) {
  Pieces pieces(text);
  for (std::size_t i = 0; i < family.size(); ++i) {
    const auto sample = family.sample(i);
    pieces.add(family.name());
    if (!sample.labels.empty()) {
      pieces.add("{");
      pieces.add(sample.labels);
      pieces.add("}");
    }
    pieces.add(" ");
    pieces.add_number(sample.value);
    pieces.add("\n");
  }
  pieces.flush();
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

}  // namespace

void append_number(std::string& text, double value) {
  std::array<char, kLongestNumber> digits;
  text.append(digits.data(), write_number(digits.data(), value));
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
