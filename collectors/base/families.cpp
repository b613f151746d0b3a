// SPDX-License-Identifier: Apache-2.0
#include "collectors/base/families.h"

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

Family::Family(std::string name, std::string help, MetricType type)
    : name_(std::move(name)), help_(std::move(help)), type_(type) {}

void Family::add(const LabelSet& labels, double value) {
  labels_ += labels.text();
  samples_.push_back({labels_.size(), value});
}

Family::Sample Family::sample(std::size_t index) const {
  const std::size_t begin = index == 0 ? 0 : samples_[index - 1].labels_end;
  const auto& stored = samples_[index];
  return {std::string_view(labels_).substr(begin, stored.labels_end - begin),
          stored.value};
}

void Family::truncate(std::size_t size) {
  if (size >= samples_.size()) return;
  samples_.resize(size);
  labels_.resize(size == 0 ? 0 : samples_.back().labels_end);
}

Family& Families::counter(std::string_view name, std::string_view help) {
  return families_.emplace_back(std::string(name), std::string(help),
                                MetricType::kCounter);
}

Family& Families::gauge(std::string_view name, std::string_view help) {
  return families_.emplace_back(std::string(name), std::string(help),
                                MetricType::kGauge);
}

void Families::source(std::string_view name, std::string_view missing_reason) {
  sources_.push_back({std::string(name), label_text(missing_reason)});
}

void Families::problem(std::string message) {
  problems_.push_back(std::move(message));
}

void Families::dropped(std::string_view reason) { drops_.emplace_back(reason); }

}  // namespace vcpu
