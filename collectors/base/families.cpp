// SPDX-License-Identifier: Apache-2.0
#include "collectors/base/families.h"

#include <stdexcept>

#include "collectors/base/label_text.h"

namespace vcpu {

LabelSet::LabelSet(std::initializer_list<Label> labels) {
  for (const auto& [name, value] : labels) append(name, value);
}

LabelSet LabelSet::with(std::string_view name, std::string_view value) const {
  LabelSet more = *this;
  more.append(name, value);
  return more;
}

void LabelSet::append(std::string_view name, std::string_view value) {
  if (!text_.empty()) text_ += ',';
  text_ += name;
  text_ += "=\"";
  for (const char c : value) {
    if (c == '\\' || c == '"') text_ += '\\';
    if (c == '\n') {
      text_ += "\\n";
    } else {
      text_ += c;
    }
  }
  text_ += '"';
}

Family::Family(std::string name, std::string help, MetricType type,
               std::vector<double> bounds)
    : name_(std::move(name)),
      help_(std::move(help)),
      type_(type),
      bounds_(std::move(bounds)) {}

void Family::add(const LabelSet& labels, double value) {
  append(labels, {}, value);
}

void Family::add_histogram(const LabelSet& labels,
                           std::span<const std::uint64_t> counts, double sum) {
  append(labels, counts, sum);
}

void Family::append(const LabelSet& labels,
                    std::span<const std::uint64_t> counts, double value) {
  if (counts.size() != counts_per_sample())
    throw std::invalid_argument(
        name_ + ": " + std::to_string(counts.size()) + " counts for " +
        std::to_string(counts_per_sample()) + " buckets");
  counts_.insert(counts_.end(), counts.begin(), counts.end());
  labels_ += labels.text();
  samples_.push_back({labels_.size(), value});
}

Family::Sample Family::sample(std::size_t index) const {
  const std::size_t begin = index == 0 ? 0 : samples_[index - 1].labels_end;
  const auto& stored = samples_[index];
  const std::size_t counts = counts_per_sample();
  return {std::string_view(labels_).substr(begin, stored.labels_end - begin),
          stored.value, std::span(counts_).subspan(index * counts, counts)};
}

std::size_t Family::counts_per_sample() const {
  return type_ == MetricType::kHistogram ? bounds_.size() + 1 : 0;
}

std::size_t Family::series_per_sample() const {
  return type_ == MetricType::kHistogram ? counts_per_sample() + 2 : 1;
}

void Family::truncate(std::size_t series) {
  const std::size_t size = series / series_per_sample();
  if (size >= samples_.size()) return;
  samples_.resize(size);
  labels_.resize(size == 0 ? 0 : samples_.back().labels_end);
  counts_.resize(size * counts_per_sample());
}

Family& Families::counter(std::string_view name, std::string_view help) {
  return families_.emplace_back(std::string(name), std::string(help),
                                MetricType::kCounter);
}

Family& Families::gauge(std::string_view name, std::string_view help) {
  return families_.emplace_back(std::string(name), std::string(help),
                                MetricType::kGauge);
}

Family& Families::histogram(std::string_view name, std::string_view help,
                            std::span<const double> bounds) {
  return families_.emplace_back(
      std::string(name), std::string(help), MetricType::kHistogram,
      std::vector<double>(bounds.begin(), bounds.end()));
}

void Families::source(std::string_view name, std::string_view missing_reason) {
  sources_.push_back({std::string(name), label_text(missing_reason)});
}

void Families::problem(std::string message) {
  problems_.push_back(std::move(message));
}

void Families::dropped(std::string_view reason) { drops_.emplace_back(reason); }

}  // namespace vcpu
