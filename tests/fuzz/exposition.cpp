// SPDX-License-Identifier: Apache-2.0
//
// What is written: whatever a label or a number is, a strict reader gets it
// back.
#include <libdeflate.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>

#include "collectors/base/families.h"
#include "collectors/base/label_text.h"
#include "collectors/base/scan.h"
#include "collectors/base/utf8.h"
#include "exporter/exposition/gzip.h"
#include "exporter/exposition/text.h"
#include "exporter/landing_page.h"
#include "exporter/wording.h"
#include "tests/fuzz/common/fuzz.h"
#include "tests/fuzz/common/strict_page.h"

namespace vcpu::fuzz {
namespace {

bool is_shown(std::string_view text) {  // UTF-8 without control characters.
  while (!text.empty()) {
    const auto next = first_utf8(text);
    if (!next.valid || is_control(next.code)) return false;
    text.remove_prefix(next.bytes);
  }
  return true;
}

void look_label_text(std::string_view text) {
  const auto label = label_text(text);
  expect(label.size() <= kMaxLabelBytes, "a label has an end");
  expect(is_shown(label), "a label is UTF-8 without control characters");
  expect(label_text(label) == label, "a label stays what it is");
}

void look_utf8(std::string_view text) {
  while (!text.empty()) {
    const auto next = first_utf8(text);
    expect(next.bytes >= 1 && next.bytes <= 4 && next.bytes <= text.size(),
           "a character is some of the text");
    expect(next.valid || (next.bytes == 1 && next.code == 0xfffd),
           "what is no character is one byte");
    text.remove_prefix(next.bytes);
  }
}

// Values: the lines of the text. Numbers: their bytes.
void look_page(std::string_view text) {
  Families families;
  auto& gauge = families.gauge("vcpu_gauge", std::string(text));
  auto& counter = families.counter("vcpu_counter_total", "A \\ and a \".");
  const std::array<double, 2> bounds{0.001, 1e6};
  auto& histogram = families.histogram("vcpu_seconds", "", bounds);
  std::vector<std::pair<std::string, double>> written;
  while (!text.empty()) {
    const auto line = take_line(text);
    std::uint64_t bits = 0;
    std::memcpy(&bits, line.data(), std::min(line.size(), sizeof bits));
    written.emplace_back(
        std::string(line) + "\n" + std::to_string(written.size()),
        std::bit_cast<double>(bits));
    const auto& [label, number] = written.back();
    const LabelSet labels{{"domain", label}};
    gauge.add(labels, {{"more", label}}, number);
    counter.add(labels.with("vcpu", label), number);
    const std::array<std::uint64_t, 3> counts{bits & 0xff, 0, 7};
    histogram.add_histogram(labels, counts, number);
  }
  std::vector<const Family*> all;
  for (const Family& family : families.families()) all.push_back(&family);
  for (const auto format :
       {TextFormat::kPrometheus, TextFormat::kOpenMetrics}) {
    const auto samples = read_page(render(all, format), format);
    expect(samples.size() == 7 * written.size(), "every sample is there");
    for (std::size_t i = 0; i < 2 * written.size(); ++i) {
      const auto& [label, number] = written[i % written.size()];
      const auto& sample = samples[i];
      expect(sample.value == number ||
                 (std::isnan(sample.value) && std::isnan(number)),
             "a number reads as it was");
      expect(sample.labels.at("domain") == label, "a label reads as it was");
      expect(sample.labels.size() == 2, "no label becomes two");
    }
  }
}

void look_html(std::string_view text) {
  const auto html = html_escape(text);
  expect(html.find_first_of("<>\"'") == std::string::npos,
         "nothing in it is HTML");
}

void look_wording(std::string_view text) {
  const auto quoted = in_quotes(text);
  expect(is_shown(quoted), "what is quoted is shown");
  expect(quoted.size() <= 4 * kMaxQuotedBytes + 8, "and has an end");
  const auto line = one_line(std::string(text));
  expect(line.find_first_of(std::string_view("\n\r\0", 3)) == std::string::npos,
         "one line is one line");
  did_you_mean(text.substr(0, 100), {"collector", "web.listen-address"});
}

void look_gzip(std::string_view text) {
  const auto packed = gzip(text);
  std::string back(text.size() + 1, '\0');
  const std::unique_ptr<libdeflate_decompressor,
                        decltype(&libdeflate_free_decompressor)>
      decompressor(libdeflate_alloc_decompressor(),
                   libdeflate_free_decompressor);
  std::size_t size = 0;
  const auto done = libdeflate_gzip_decompress(decompressor.get(),
                                               packed.data(), packed.size(),
                                               back.data(), back.size(), &size);
  expect(done == LIBDEFLATE_SUCCESS && back.substr(0, size) == text,
         "what is packed unpacks");
}

constexpr std::array kLooks{
    Look{"label_text", look_label_text},
    Look{"utf8", look_utf8},
    Look{"page", look_page},
    Look{"html", look_html},
    Look{"wording", look_wording},
    Look{"gzip", look_gzip},
};

}  // namespace

std::span<const Look> looks() { return kLooks; }

}  // namespace vcpu::fuzz
