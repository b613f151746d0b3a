// SPDX-License-Identifier: Apache-2.0
#include "exporter/exposition/prometheus_cpp.h"

#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>

namespace vcpu {
namespace {

using prometheus::ClientMetric;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Undoes LabelSet: `a="x\"y",b="z"`.
std::vector<ClientMetric::Label> split_labels(std::string_view text) {
  std::vector<ClientMetric::Label> labels;
  while (!text.empty()) {
    const auto quote = text.find("=\"");
    ClientMetric::Label label{std::string(text.substr(0, quote)), {}};
    text.remove_prefix(quote + 2);
    std::size_t i = 0;
    for (; text[i] != '"'; ++i) {
      if (text[i] != '\\') {
        label.value += text[i];
      } else {
        ++i;
        label.value += text[i] == 'n' ? '\n' : text[i];
      }
    }
    text.remove_prefix(i + 1);
    if (!text.empty()) text.remove_prefix(1);  // The comma.
    labels.push_back(std::move(label));
  }
  return labels;
}

// Cumulative, +Inf's bucket included, as a registry's own histograms are.
ClientMetric::Histogram convert_histogram(const std::vector<double>& bounds,
                                          const Family::Sample& sample) {
  ClientMetric::Histogram histogram;
  histogram.sample_sum = sample.value;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    histogram.sample_count += sample.counts[i];
    histogram.bucket.push_back({histogram.sample_count, bounds[i]});
  }
  histogram.sample_count += sample.counts.back();
  histogram.bucket.push_back({histogram.sample_count, kInfinity});
  return histogram;
}

prometheus::MetricType convert_type(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return prometheus::MetricType::Counter;
    case MetricType::kGauge:
      return prometheus::MetricType::Gauge;
    case MetricType::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

ClientMetric convert_sample(const Family& family,
                            const Family::Sample& sample) {
  ClientMetric metric;
  metric.label = split_labels(sample.labels);
  switch (family.type()) {
    case MetricType::kCounter:
      metric.counter.value = sample.value;
      break;
    case MetricType::kGauge:
      metric.gauge.value = sample.value;
      break;
    case MetricType::kHistogram:
      metric.histogram = convert_histogram(family.bounds(), sample);
      break;
  }
  return metric;
}

prometheus::MetricFamily convert(const Family& family) {
  prometheus::MetricFamily converted{
      family.name(), family.help(), convert_type(family.type()), {}};
  for (std::size_t i = 0; i < family.size(); ++i)
    converted.metric.push_back(convert_sample(family, family.sample(i)));
  return converted;
}

LabelSet join_labels(const std::vector<ClientMetric::Label>& from) {
  LabelSet labels;
  for (const auto& label : from) labels = labels.with(label.name, label.value);
  return labels;
}

std::vector<double> finite_bounds(const ClientMetric::Histogram& histogram) {
  std::vector<double> bounds;
  for (const auto& bucket : histogram.bucket)
    if (bucket.upper_bound < kInfinity) bounds.push_back(bucket.upper_bound);
  return bounds;
}

// Undoes convert_histogram(): the count of each bucket alone, +Inf's last.
std::vector<std::uint64_t> bucket_counts(
    const ClientMetric::Histogram& histogram) {
  std::vector<std::uint64_t> counts;
  std::uint64_t below = 0;
  for (const auto& bucket : histogram.bucket) {
    if (bucket.upper_bound == kInfinity) break;
    counts.push_back(bucket.cumulative_count - below);
    below = bucket.cumulative_count;
  }
  counts.push_back(histogram.sample_count - below);
  return counts;
}

void add_values(const prometheus::MetricFamily& from, Family& family) {
  const bool counter = family.type() == MetricType::kCounter;
  for (const auto& metric : from.metric)
    family.add(join_labels(metric.label),
               counter ? metric.counter.value : metric.gauge.value);
}

void add_histograms(const prometheus::MetricFamily& from, Families& families) {
  if (from.metric.empty()) return;
  const auto bounds = finite_bounds(from.metric.front().histogram);
  auto& added = families.histogram(from.name, from.help, bounds);
  for (const auto& metric : from.metric) {
    if (finite_bounds(metric.histogram) != bounds) continue;
    added.add_histogram(join_labels(metric.label),
                        bucket_counts(metric.histogram),
                        metric.histogram.sample_sum);
  }
}

}  // namespace

std::vector<prometheus::MetricFamily> to_prometheus(
    const std::deque<Family>& families) {
  std::vector<prometheus::MetricFamily> converted;
  for (const Family& family : families)
    if (family.size() > 0) converted.push_back(convert(family));
  return converted;
}

void add_from_prometheus(const std::vector<prometheus::MetricFamily>& from,
                         Families& families) {
  for (const auto& family : from) {
    switch (family.type) {
      case prometheus::MetricType::Counter:
        add_values(family, families.counter(family.name, family.help));
        break;
      case prometheus::MetricType::Gauge:
        add_values(family, families.gauge(family.name, family.help));
        break;
      case prometheus::MetricType::Histogram:
        add_histograms(family, families);
        break;
      default:
        break;
    }
  }
}

}  // namespace vcpu
