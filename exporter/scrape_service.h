// SPDX-License-Identifier: Apache-2.0
//
// ScrapeService: scrapes on a thread of its own, for any number of clients.
//
// The clients wait for the thread, but no longer than their deadline: then they
// get what is finished, and success 0 for what is not. So no client ever hangs
// on what a collector reads. Requests for the same collectors that overlap are
// served from one run; one that nobody waits for any more is not begun.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/registry.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "exporter/page.h"
#include "exporter/scrape.h"
#include "exporter/scraper.h"

namespace vcpu {

class ScrapeService final : public Scraper {
 public:
  struct Options {
    std::vector<std::string> known;  // All collectors, in catalog order.
    std::set<std::string> enabled;
    std::int64_t max_series = 1'000'000;
    // Adds families about this process (process_*); may be empty.
    std::function<void(Families&)> about_ourselves;
    // Told when a collector begins or ceases to fail, or a source to be there.
    std::function<void(const std::string& line, bool failure)> on_change;
  };

  // Runs that wait for the one before. Beyond them one of all enabled
  // collectors has room yet, any other has none.
  static constexpr std::size_t kMaxQueued = 16;

  // `registry` holds our own counters; it and `scrape` outlive nothing here.
  ScrapeService(Scrape scrape, Options options,
                std::shared_ptr<prometheus::Registry> registry);
  // Does not wait for a collector that hangs.
  ~ScrapeService() override;

  ScrapeService(const ScrapeService&) = delete;
  ScrapeService& operator=(const ScrapeService&) = delete;

  // From now on nobody waits: whoever does gets what is finished. Thread-safe.
  void stop();

  std::shared_ptr<const Page> scrape(const ScrapeRequest& request) override;
  std::vector<std::string> enabled_collectors() const override;
  std::vector<std::string> known_collectors() const override;
  ScrapeStatus status() override;

  // After a reload.
  void set_enabled(std::set<std::string> enabled);

  // Scrapes begun; those that were shared count once.
  std::uint64_t runs() const;

  // How long the scrape that runs now has been running; 0 where none does.
  std::chrono::steady_clock::duration busy_for() const;

 private:
  struct Run;
  struct Shared;
  static void work(const std::shared_ptr<Shared>& shared);
  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace vcpu
