// SPDX-License-Identifier: Apache-2.0
#include "collectors/base/families.h"

#include <algorithm>
#include <stdexcept>

#include "collectors/base/label_text.h"

namespace vcpu {

namespace {

// `name="value"`, escaped.
void append(std::string& text, const Label& label) {
  if (!text.empty()) text += ',';
  text += label.first;
  text += "=\"";
  for (const char c : label.second) {
    if (c == '\\' || c == '"') text += '\\';
    if (c == '\n') {
      text += "\\n";
    } else {
      text += c;
    }
  }
  text += '"';
}

}  // namespace

LabelSet::LabelSet(std::string text) {
  const auto owned = std::make_shared<const std::string>(std::move(text));
  text_ = *owned;
  owner_ = owned;
}

LabelSet::LabelSet(std::initializer_list<Label> labels) {
  std::string text;
  for (const Label& label : labels) append(text, label);
  *this = LabelSet(std::move(text));
}

LabelSet LabelSet::with(std::string_view name, std::string_view value) const {
  std::string text(text_);
  append(text, {name, value});
  return LabelSet(std::move(text));
}

LabelTexts::LabelTexts() {
  constexpr std::size_t kBlock = 1024;  // Of a VM with 30 vCPUs.
  texts_ = std::make_shared<TextStore>(kBlock);
}

LabelSet LabelTexts::add(const LabelSet& labels, std::string_view name,
                         std::string_view value) {
  std::string text(labels.text());
  append(text, {name, value});
  LabelSet kept;
  kept.text_ = texts_->add(text);
  kept.owner_ = texts_;
  kept.kept_ = true;
  return kept;
}

Family::Family(std::string name, std::string help, MetricType type,
               std::vector<double> bounds)
    : name_(std::move(name)),
      help_(std::move(help)),
      type_(type),
      bounds_(std::move(bounds)) {}

void Family::add(const LabelSet& labels, double value) {
  expect(0);
  samples_.push_back({keep(labels), value});
}

void Family::add(const LabelSet& labels, std::initializer_list<Label> more,
                 double value) {
  expect(0);
  more_.assign(labels.text());
  for (const Label& label : more) append(more_, label);
  samples_.push_back({labels_.add(more_), value});
}

void Family::add_joined(const LabelSet& labels, const LabelSet& more,
                        double value) {
  expect(0);
  const std::string_view comma =
      labels.text().empty() || more.text().empty() ? "" : ",";
  samples_.push_back({labels_.add(labels.text(), comma, more.text()), value});
}

void Family::add_histogram(const LabelSet& labels,
                           std::span<const std::uint64_t> counts, double sum) {
  expect(counts.size());
  counts_.insert(counts_.end(), counts.begin(), counts.end());
  samples_.push_back({keep(labels), sum});
}

std::string_view Family::keep(const LabelSet& labels) {
  if (!labels.kept_) return labels_.add(labels.text());
  // Of one VM one after the other.
  if (owners_.empty() || owners_.back() != labels.owner_)
    owners_.push_back(labels.owner_);
  return labels.text();
}

void Family::expect(std::size_t counts) const {
  if (counts != counts_per_sample())
    throw std::invalid_argument(
        name_ + ": " + std::to_string(counts) + " counts for " +
        std::to_string(counts_per_sample()) + " buckets");
}

Family::Sample Family::sample(std::size_t index) const {
  const auto& stored = samples_[index];
  const std::size_t counts = counts_per_sample();
  return {stored.labels, stored.value,
          std::span(counts_).subspan(index * counts, counts)};
}

std::size_t Family::counts_per_sample() const {
  return type_ == MetricType::kHistogram ? bounds_.size() + 1 : 0;
}

std::size_t Family::series_per_sample() const {
  return type_ == MetricType::kHistogram ? counts_per_sample() + 2 : 1;
}

Family Family::first(std::size_t series) const {
  Family some(name_, help_, type_, bounds_);
  const std::size_t size = std::min(series / series_per_sample(), this->size());
  for (std::size_t i = 0; i < size; ++i)
    some.samples_.push_back(
        {some.labels_.add(samples_[i].labels), samples_[i].value});
  const auto counts = size * counts_per_sample();
  some.counts_.assign(counts_.begin(),
                      counts_.begin() + static_cast<std::ptrdiff_t>(counts));
  return some;
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
