// SPDX-License-Identifier: Apache-2.0
//
// Families: what a collector says. The only way to emit a sample.
//
// A family is one metric name with its HELP and TYPE; a sample is a set of
// labels and a value or, in a family of histograms, a count for each bucket.
// Values are raw: counters as the kernel counts them, base units (seconds,
// bytes, ratios), no rates and no timestamps.
//
// They are built afresh on every scrape, in the order of the code, so a VM that
// is gone leaves nothing behind. Not thread-safe: one scrape, one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "collectors/base/text_store.h"

namespace vcpu {

using Label = std::pair<std::string_view, std::string_view>;

// Labels as they stand between the braces: `domain="web",vcpu="0"`. Rendered
// and escaped once, then used for as many samples as share them; a copy shares
// the text.
class LabelSet {
 public:
  LabelSet() = default;
  LabelSet(std::initializer_list<Label> labels);

  // These labels and one more.
  LabelSet with(std::string_view name, std::string_view value) const;

  std::string_view text() const { return text_; }

 private:
  friend class Family;
  friend class LabelTexts;
  explicit LabelSet(std::string text);

  std::string_view text_;
  std::shared_ptr<const void> owner_;  // Of the text; null where it is empty.
  bool kept_ = false;  // In LabelTexts: samples look into it, without a copy.
};

// The labels of one thing that is there for many scrapes, a VM: what is made
// here lies together, for as long as anything that bears it. It is made by one
// thread, and read by any.
class LabelTexts {
 public:
  LabelTexts();
  // These labels and one more.
  LabelSet add(const LabelSet& labels, std::string_view name,
               std::string_view value);

 private:
  std::shared_ptr<TextStore> texts_;
};

enum class MetricType : std::uint8_t { kCounter, kGauge, kHistogram };

class Family {
 public:
  // Looks into the family: good until something is added.
  struct Sample {
    std::string_view labels;                // As LabelSet::text().
    double value;                           // Of a histogram: the sum.
    std::span<const std::uint64_t> counts;  // As add_histogram(), else empty.
  };

  // `bounds`: as Families::histogram(); none for the other types.
  Family(std::string name, std::string help, MetricType type,
         std::vector<double> bounds = {});

  // Makes room at once for so many samples.
  void reserve(std::size_t samples) { samples_.reserve(samples); }

  void add(const LabelSet& labels, double value);
  // The same as labels.with() one after the other, but cheaper.
  void add(const LabelSet& labels, std::initializer_list<Label> more,
           double value);
  // The same with labels that are rendered once for many samples.
  void add_joined(const LabelSet& labels, const LabelSet& more, double value);

  // How many observations fell into each bucket (NOT cumulative), one count
  // more than there are bounds, the last for what is above them all; and the
  // sum of what was observed, in the base unit. Throws std::invalid_argument
  // for another number of counts.
  void add_histogram(const LabelSet& labels,
                     std::span<const std::uint64_t> counts, double sum);

  const std::string& name() const { return name_; }
  const std::string& help() const { return help_; }
  MetricType type() const { return type_; }
  const std::vector<double>& bounds() const { return bounds_; }
  std::size_t size() const { return samples_.size(); }
  Sample sample(std::size_t index) const;

  // What the samples are to Prometheus: of a histogram, each bucket, the sum
  // and the count is a series.
  std::size_t series() const { return size() * series_per_sample(); }
  // The first samples alone, as many as make up at most so many series.
  Family first(std::size_t series) const;

 private:
  struct Stored {
    std::string_view labels;
    double value;
  };
  void expect(std::size_t counts) const;  // Else throws.
  std::string_view keep(const LabelSet& labels);
  std::size_t counts_per_sample() const;
  std::size_t series_per_sample() const;

  std::string name_;
  std::string help_;
  MetricType type_;
  std::vector<double> bounds_;
  TextStore labels_;
  std::vector<std::shared_ptr<const void>> owners_;  // Of labels kept outside.
  std::string more_;  // Room to put labels together in.
  std::vector<Stored> samples_;
  std::vector<std::uint64_t> counts_;  // All samples' counts, likewise.
};

class Families {
 public:
  // A new family at the end. The reference stays good. A family without samples
  // is not printed.
  Family& counter(std::string_view name, std::string_view help);
  Family& gauge(std::string_view name, std::string_view help);
  // `bounds` are the buckets' inclusive upper bounds: ascending, none negative,
  // without +Inf, whose bucket every histogram has.
  Family& histogram(std::string_view name, std::string_view help,
                    std::span<const double> bounds);

  // Says of a source (a kernel file, libvirt) that it can be read, or why not:
  // an empty reason means available. Becomes vcpu_source_available; the reason
  // may be any text, and is made fit for a label.
  void source(std::string_view name, std::string_view missing_reason);

  // A part of this collector that failed while the rest is good: its success
  // becomes 0, what it emitted stays.
  void problem(std::string message);

  // Counts an object that is left out on purpose: vcpu_series_dropped_total.
  void dropped(std::string_view reason);

  struct Source {
    std::string name;
    std::string missing_reason;
  };
  const std::deque<Family>& families() const { return families_; }
  std::deque<Family>& families() { return families_; }
  const std::vector<Source>& sources() const { return sources_; }
  const std::vector<std::string>& problems() const { return problems_; }
  const std::vector<std::string>& drops() const { return drops_; }

 private:
  std::deque<Family> families_;
  std::vector<Source> sources_;
  std::vector<std::string> problems_;
  std::vector<std::string> drops_;
};

constexpr double kNsPerSecond = 1e9;
inline double seconds(std::uint64_t ns) {
  return static_cast<double>(ns) / kNsPerSecond;
}

}  // namespace vcpu
