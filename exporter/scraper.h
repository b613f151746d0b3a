// SPDX-License-Identifier: Apache-2.0
//
// Scraper: what the HTTP side asks of the measuring side, and nothing more.
//
// All calls are thread-safe and none throws.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "exporter/exposition/format.h"

namespace vcpu {

// One finished scrape. Rendered at most once per format and encoding, however
// many clients it is sent to.
class Page {
 public:
  virtual ~Page() = default;
  virtual std::shared_ptr<const std::string> body(TextFormat format,
                                                  bool gzip) const = 0;
};

struct ScrapeRequest {
  std::vector<std::string> collectors;  // In no order; all of them enabled.
  std::chrono::steady_clock::time_point deadline;
};

// How the last scrape went, for a person to read.
struct ScrapeStatus {
  struct Collector {
    std::string name;
    bool enabled = false;
    bool success = false;
    std::string problem;  // Empty where success.
  };
  struct Source {
    std::string name;
    std::string missing_reason;  // Empty: available.
  };
  std::vector<Collector> collectors;
  std::vector<Source> sources;
  int domains = 0;
  int vcpus = 0;
};

class Scraper {
 public:
  virtual ~Scraper() = default;

  // Returns by the deadline with what is there: a collector that has not
  // answered has success 0. Requests for the same collectors that overlap in
  // time share one page. Null where too many others wait; never where all
  // enabled collectors are asked.
  virtual std::shared_ptr<const Page> scrape(const ScrapeRequest& request) = 0;

  virtual std::vector<std::string> enabled_collectors() const = 0;
  virtual std::vector<std::string> known_collectors() const = 0;
  virtual ScrapeStatus status() = 0;
};

}  // namespace vcpu
