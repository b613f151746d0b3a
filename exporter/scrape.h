// SPDX-License-Identifier: Apache-2.0
//
// Scrape: the inventory and the collectors, run one after the other.
//
// The only catch boundary of a scrape: whatever a part throws or returns
// becomes that part's success 0, and the other parts are complete. Not
// thread-safe: ScrapeService gives it one thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "collectors/base/families.h"
#include "collectors/base/result.h"
#include "collectors/collector.h"
#include "collectors/snapshot.h"

namespace vcpu {

// What one part of a scrape, the inventory or a collector, came to.
struct Part {
  std::string name;
  bool success = false;
  double duration_seconds = 0;
  std::vector<std::string> problems;  // Not empty where success is false.
  std::shared_ptr<const Families> families;  // Never null.
};

struct ScrapeTotals {
  int domains = 0;
  int vcpus = 0;
};

class Scrape {
 public:
  using Clock = std::chrono::steady_clock;
  using Now = std::function<Clock::time_point()>;
  using TakeSnapshot = std::function<Result<Snapshot>(Families&)>;

  static constexpr const char* kInventory = "inventory";

  Scrape(TakeSnapshot take, std::vector<std::unique_ptr<Collector>> collectors,
         Now now = Clock::now);

  // Before any right is given up: opens the collectors that are enabled.
  void open(const std::set<std::string>& enabled);

  // Closes all others; from the thread that runs.
  void close_all_but(const std::set<std::string>& enabled);

  // Runs the inventory and those collectors whose names are wanted; hands each
  // part over as it is finished, in the order of the catalog.
  ScrapeTotals run(const std::set<std::string>& wanted,
                   const std::function<void(Part)>& finished);

 private:
  template <typename Step>
  Part run_part(std::string name, Step&& step);

  TakeSnapshot take_;
  std::vector<std::unique_ptr<Collector>> collectors_;
  Now now_;
};

}  // namespace vcpu
