// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/common/strict_page.h"

#include <cstdlib>
#include <set>
#include <tuple>
#include <utility>

#include "collectors/base/scan.h"
#include "tests/fuzz/common/fuzz.h"

namespace vcpu::fuzz {
namespace {

bool is_name(std::string_view text) {
  constexpr std::string_view kSigns =
      "0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  return !text.empty() && !(text[0] >= '0' && text[0] <= '9') &&
         text.find_first_not_of(kSigns) == std::string_view::npos;
}

std::string_view take_until(std::string_view& text, char end) {
  const auto at = text.find(end);
  expect(at != std::string_view::npos, "a line has all its signs");
  const auto front = text.substr(0, at);
  text.remove_prefix(at + 1);
  return front;
}

// What stands before the next quote that is none of its own.
std::string take_value(std::string_view& text) {
  std::string value;
  while (true) {
    expect(!text.empty(), "a label's value ends");
    const char c = text.front();
    text.remove_prefix(1);
    if (c == '"') return value;
    if (c != '\\') {
      value += c;
      continue;
    }
    expect(!text.empty(), "an escape has a letter");
    const char letter = text.front();
    text.remove_prefix(1);
    expect(letter == '\\' || letter == '"' || letter == 'n',
           "an escape is one of three");
    value += letter == 'n' ? '\n' : letter;
  }
}

std::map<std::string, std::string> take_labels(std::string_view& text) {
  std::map<std::string, std::string> labels;
  while (true) {
    const auto name = take_until(text, '=');
    expect(is_name(name), "a label has a name");
    expect(text.starts_with('"'), "a value is quoted");
    text.remove_prefix(1);
    const auto value = take_value(text);
    expect(labels.emplace(name, value).second, "a label is there once");
    expect(!text.empty() && (text[0] == ',' || text[0] == '}'),
           "labels are parted by commas");
    const bool last = text[0] == '}';
    text.remove_prefix(1);
    if (last) return labels;
  }
}

double read_number(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  const bool word = text == "NaN" || text == "+Inf" || text == "-Inf";
  expect(word || (text.find_first_not_of("0123456789+-.e") ==
                      std::string_view::npos &&
                  !text.empty()),
         "a value is a number");
  expect(end == copy.c_str() + copy.size(), "a value is a number as a whole");
  return value;
}

Sample read_sample(std::string_view line) {
  Sample sample;
  const auto end = line.find_first_of("{ ");
  expect(end != std::string_view::npos, "a sample has a value");
  sample.name = line.substr(0, end);
  expect(is_name(sample.name), "a sample has a name");
  const bool labelled = line[end] == '{';
  line.remove_prefix(end + 1);
  if (labelled) {
    sample.labels = take_labels(line);
    expect(line.starts_with(' '), "a value stands apart");
    line.remove_prefix(1);
  }
  sample.value = read_number(line);
  return sample;
}

// "# HELP name text" or "# TYPE name type": its word and the family's name.
std::pair<std::string, std::string> read_head(std::string_view line) {
  line.remove_prefix(2);
  const auto word = take_until(line, ' ');
  const auto name = take_until(line, ' ');
  expect(word == "HELP" || word == "TYPE", "a head is HELP or TYPE");
  expect(is_name(name), "a family has a name");
  if (word == "TYPE")
    expect(line == "counter" || line == "gauge" || line == "histogram",
           "a type is one of ours");
  return {std::string(word), std::string(name)};
}

bool is_of_family(std::string_view sample, std::string_view family) {
  if (!sample.starts_with(family)) return false;
  const auto suffix = sample.substr(family.size());
  return suffix.empty() || suffix == "_total" || suffix == "_bucket" ||
         suffix == "_sum" || suffix == "_count";
}

}  // namespace

std::vector<Sample> read_page(std::string_view page, TextFormat format) {
  std::vector<Sample> samples;
  std::set<std::pair<std::string, std::string>> heads;
  std::set<std::tuple<std::string, std::map<std::string, std::string>>> series;
  std::string family;
  if (format == TextFormat::kOpenMetrics) {
    constexpr std::string_view kEnd = "# EOF\n";
    expect(page.ends_with(kEnd), "OpenMetrics ends with its end");
    page.remove_suffix(kEnd.size());
  }
  expect(page.empty() || page.ends_with('\n'), "the last line ends");
  while (!page.empty()) {
    const auto line = take_line(page);
    if (line.starts_with("# ")) {
      auto head = read_head(line);
      family = head.second;
      expect(heads.insert(std::move(head)).second, "a family comes once");
      continue;
    }
    samples.push_back(read_sample(line));
    const Sample& sample = samples.back();
    expect(is_of_family(sample.name, family), "a sample is of its family");
    expect(series.emplace(sample.name, sample.labels).second,
           "a series is there once");
  }
  return samples;
}

}  // namespace vcpu::fuzz
