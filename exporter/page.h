// SPDX-License-Identifier: Apache-2.0
//
// The parts of a scrape put together: their families in the catalog's order,
// then how the scrape itself went.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "collectors/base/families.h"
#include "exporter/scrape.h"
#include "exporter/scraper.h"

namespace vcpu {

// Source -> why it is missing, empty where it is not. Two parts may speak of
// one source: it is missing if it is to either.
std::map<std::string, std::string> merged_sources(
    const std::vector<Part>& parts);

// The families about the scrape: vcpu_source_available,
// vcpu_scrape_collector_duration_seconds and _success. A name of `expected`
// without a part has not answered in time: success 0, no duration.
std::shared_ptr<const Families> scrape_families(
    const std::vector<Part>& parts, const std::vector<std::string>& expected);

// A Page of what was measured, at most `max_series` series, the rest being cut
// off and counted; and of `about`, which is never cut. A histogram is there as
// a whole or not at all.
class FamiliesPage final : public Page {
 public:
  FamiliesPage(std::vector<std::shared_ptr<const Families>> measured,
               std::int64_t max_series,
               std::vector<std::shared_ptr<const Families>> about);

  std::shared_ptr<const std::string> body(TextFormat format,
                                          bool gzip) const override;
  std::int64_t dropped() const { return dropped_; }

 private:
  struct Rendered {
    std::shared_ptr<const std::string> plain;
    std::shared_ptr<const std::string> gzip;
  };

  void show(const Family& family, std::int64_t& left);

  std::vector<std::shared_ptr<const Families>> kept_;  // Owns what is shown.
  std::vector<const Family*> shown_;
  std::vector<std::unique_ptr<const Family>> cut_;
  std::int64_t dropped_ = 0;
  mutable std::mutex mutex_;
  mutable Rendered prometheus_;
  mutable Rendered openmetrics_;
};

}  // namespace vcpu
