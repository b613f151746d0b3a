// SPDX-License-Identifier: Apache-2.0
#include "exporter/exposition/prometheus_cpp.h"

#include <string_view>
#include <utility>

namespace vcpu {
namespace {

using prometheus::ClientMetric;

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

prometheus::MetricFamily convert(const Family& family) {
  const bool counter = family.type() == MetricType::kCounter;
  prometheus::MetricFamily converted{
      family.name(),
      family.help(),
      counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge,
      {}};
  for (std::size_t i = 0; i < family.size(); ++i) {
    const auto [labels, value] = family.sample(i);
    auto& metric = converted.metric.emplace_back();
    metric.label = split_labels(labels);
    (counter ? metric.counter.value : metric.gauge.value) = value;
  }
  return converted;
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
    const bool counter = family.type == prometheus::MetricType::Counter;
    if (!counter && family.type != prometheus::MetricType::Gauge) continue;
    auto& added = counter ? families.counter(family.name, family.help)
                          : families.gauge(family.name, family.help);
    for (const auto& metric : family.metric) {
      LabelSet labels;
      for (const auto& label : metric.label)
        labels = labels.with(label.name, label.value);
      added.add(labels, counter ? metric.counter.value : metric.gauge.value);
    }
  }
}

}  // namespace vcpu
