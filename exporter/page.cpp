// SPDX-License-Identifier: Apache-2.0
#include "exporter/page.h"

#include <algorithm>
#include <map>
#include <utility>

#include "exporter/exposition/gzip.h"
#include "exporter/exposition/text.h"

namespace vcpu {
std::map<std::string, std::string> merged_sources(
    const std::vector<Part>& parts) {
  std::map<std::string, std::string> sources;
  for (const Part& part : parts) {
    for (const auto& [name, reason] : part.families->sources()) {
      auto& merged = sources[name];
      if (merged.empty()) merged = reason;
    }
  }
  return sources;
}

namespace {

const Part* find_part(const std::vector<Part>& parts, const std::string& name) {
  const auto found =
      std::find_if(parts.begin(), parts.end(),
                   [&](const Part& part) { return part.name == name; });
  return found == parts.end() ? nullptr : &*found;
}

}  // namespace

std::shared_ptr<const Families> scrape_families(
    const std::vector<Part>& parts, const std::vector<std::string>& expected) {
  auto families = std::make_shared<Families>();
  auto& available = families->gauge(
      "vcpu_source_available",
      "Whether a source of figures can be read (1) or not (0), and the reason; "
      "from the attempt.");
  for (const auto& [name, reason] : merged_sources(parts))
    available.add({{"source", name}, {"reason", reason}},
                  reason.empty() ? 1 : 0);

  auto& duration =
      families->gauge("vcpu_scrape_collector_duration_seconds",
                      "Time a collector took; from our own clock.");
  auto& success =
      families->gauge("vcpu_scrape_collector_success",
                      "Whether a collector did all it should (1) or not (0); "
                      "the log says why. From the attempt.");
  for (const std::string& name : expected) {
    const LabelSet labels{{"collector", name}};
    const Part* const part = find_part(parts, name);
    if (part != nullptr) duration.add(labels, part->duration_seconds);
    success.add(labels, part != nullptr && part->success ? 1 : 0);
  }
  return families;
}

FamiliesPage::FamiliesPage(
    std::vector<std::shared_ptr<const Families>> measured,
    std::int64_t max_series, std::vector<std::shared_ptr<const Families>> about)
    : kept_(std::move(measured)) {
  std::int64_t left = max_series;
  for (const auto& some : kept_)
    for (const Family& family : some->families()) show(family, left);
  for (auto& some : about) {
    for (const Family& family : some->families()) shown_.push_back(&family);
    kept_.push_back(std::move(some));
  }
}

void FamiliesPage::show(const Family& family, std::int64_t& left) {
  const auto series = static_cast<std::int64_t>(family.series());
  if (series <= left) {
    shown_.push_back(&family);
    left -= series;
    return;
  }
  auto shortened =
      std::make_unique<Family>(family.first(static_cast<std::size_t>(left)));
  dropped_ += series - static_cast<std::int64_t>(shortened->series());
  left = 0;
  shown_.push_back(shortened.get());
  cut_.push_back(std::move(shortened));
}

std::shared_ptr<const std::string> FamiliesPage::body(TextFormat format,
                                                      bool gzip) const {
  const std::lock_guard lock(mutex_);
  Rendered& rendered =
      format == TextFormat::kOpenMetrics ? openmetrics_ : prometheus_;
  if (!rendered.plain) {
    rendered.plain =
        std::make_shared<const std::string>(render(shown_, format));
  }
  if (!gzip) return rendered.plain;
  if (!rendered.gzip)
    rendered.gzip =
        std::make_shared<const std::string>(vcpu::gzip(*rendered.plain));
  return rendered.gzip;
}

}  // namespace vcpu
