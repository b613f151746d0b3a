// SPDX-License-Identifier: Apache-2.0
#include "exporter/scrape_service.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "exporter/exposition/prometheus_cpp.h"

namespace vcpu {
namespace {

constexpr const char* kSeriesLimit = "series_limit";
constexpr std::chrono::milliseconds kGoodbye{500};

}  // namespace

// One pass over the collectors, and the clients that wait for it.
struct ScrapeService::Run {
  std::set<std::string> wanted;
  std::vector<Part> parts;
  std::shared_ptr<const Page> page;  // Null until the pass is finished.
  int waiting = 0;                   // Clients.
};

struct ScrapeService::Shared {
  Shared(Scrape a_scrape, Options some_options,
         std::shared_ptr<prometheus::Registry> a_registry)
      : scrape(std::move(a_scrape)),
        options(std::move(some_options)),
        registry(std::move(a_registry)),
        dropped(prometheus::BuildCounter()
                    .Name("vcpu_series_dropped_total")
                    .Help("Samples and objects left out of pages on purpose, "
                          "by reason; from our own count.")
                    .Register(*registry)),
        over_limit(dropped.Add({{"reason", kSeriesLimit}})) {}

  std::vector<std::string> expected(const Run& run) const;
  std::shared_ptr<Run> run_for(const std::set<std::string>& wanted);
  void leave(const std::shared_ptr<Run>& run);
  std::shared_ptr<const Page> compose(const Run& run);
  void execute(const std::shared_ptr<Run>& run);
  void note_changes(const std::vector<Part>& parts);
  void note(const std::string& key, const std::string& what, bool failure);

  Scrape scrape;  // The worker's alone.
  const Options options;
  const std::shared_ptr<prometheus::Registry> registry;
  prometheus::Family<prometheus::Counter>& dropped;
  prometheus::Counter& over_limit;
  std::map<std::string, std::string> noted;  // The worker's alone.

  std::mutex mutex;
  std::condition_variable changed;
  std::set<std::string> enabled;
  bool enabled_changed = false;
  std::deque<std::shared_ptr<Run>> queue;
  std::vector<std::shared_ptr<Run>> in_flight;
  std::vector<Part> last_parts;
  ScrapeTotals last_totals;
  std::uint64_t runs = 0;
  std::optional<std::chrono::steady_clock::time_point> busy_since;
  bool stop = false;
  bool stopped = false;
};

std::vector<std::string> ScrapeService::Shared::expected(const Run& run) const {
  std::vector<std::string> names{Scrape::kInventory};
  for (const std::string& name : options.known)
    if (run.wanted.contains(name)) names.push_back(name);
  return names;
}

// With the lock held. Null where there is no room for another.
std::shared_ptr<ScrapeService::Run> ScrapeService::Shared::run_for(
    const std::set<std::string>& wanted) {
  const auto shareable =
      std::find_if(in_flight.begin(), in_flight.end(),
                   [&](const auto& run) { return run->wanted == wanted; });
  if (shareable != in_flight.end()) return *shareable;
  if (queue.size() >= kMaxQueued && wanted != enabled) return nullptr;
  auto run = std::make_shared<Run>(Run{wanted, {}, nullptr});
  in_flight.push_back(run);
  queue.push_back(run);
  changed.notify_all();
  return run;
}

// With the lock held, by a client that waits no longer. Else whoever asks and
// leaves at once would have one run after the other made for nobody.
void ScrapeService::Shared::leave(const std::shared_ptr<Run>& run) {
  if (--run->waiting > 0 || std::erase(queue, run) == 0) return;
  std::erase(in_flight, run);
}

std::shared_ptr<const Page> ScrapeService::Shared::compose(const Run& run) {
  std::vector<std::shared_ptr<const Families>> measured;
  for (const Part& part : run.parts) measured.push_back(part.families);
  auto ourselves = std::make_shared<Families>();
  add_from_prometheus(registry->Collect(), *ourselves);
  if (options.about_ourselves) options.about_ourselves(*ourselves);
  auto page = std::make_shared<FamiliesPage>(
      std::move(measured), options.max_series,
      std::vector<std::shared_ptr<const Families>>{
          scrape_families(run.parts, expected(run)), std::move(ourselves)});
  over_limit.Increment(static_cast<double>(page->dropped()));
  return page;
}

void ScrapeService::Shared::execute(const std::shared_ptr<Run>& run) {
  const auto totals = scrape.run(run->wanted, [&](Part part) {
    for (const auto& reason : part.families->drops())
      dropped.Add({{"reason", reason}}).Increment();
    const std::lock_guard lock(mutex);
    run->parts.push_back(std::move(part));
  });
  note_changes(run->parts);
  auto page = compose(*run);
  const std::lock_guard lock(mutex);
  run->page = std::move(page);
  last_parts = run->parts;
  last_totals = totals;
  std::erase(in_flight, run);
}

void ScrapeService::Shared::note_changes(const std::vector<Part>& parts) {
  for (const Part& part : parts) {
    note("collector " + part.name,
         part.problems.empty() ? "" : part.problems.front(), !part.success);
    for (const auto& [source, reason] : part.families->sources())
      note("source " + source, reason, false);
  }
}

void ScrapeService::Shared::note(const std::string& key,
                                 const std::string& what, bool failure) {
  const auto [entry, first] = noted.try_emplace(key);
  auto& before = entry->second;
  if (before == what) return;
  const bool lost = !first && before.empty();
  before = what;
  if (!options.on_change) return;
  options.on_change(key + (what.empty() ? ": well again" : ": " + what),
                    failure || lost);
}

ScrapeService::ScrapeService(Scrape scrape, Options options,
                             std::shared_ptr<prometheus::Registry> registry)
    : shared_(std::make_shared<Shared>(std::move(scrape), std::move(options),
                                       std::move(registry))) {
  shared_->enabled = shared_->options.enabled;
  thread_ = std::thread(work, shared_);
}

ScrapeService::~ScrapeService() {
  stop();
  std::unique_lock lock(shared_->mutex);
  const bool done = shared_->changed.wait_for(
      lock, kGoodbye, [this] { return shared_->stopped; });
  lock.unlock();
  if (done) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

void ScrapeService::stop() {
  const std::lock_guard lock(shared_->mutex);
  shared_->stop = true;
  shared_->changed.notify_all();
}

void ScrapeService::work(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  while (true) {
    shared->changed.wait(lock, [&] {
      return shared->stop || shared->enabled_changed || !shared->queue.empty();
    });
    if (shared->stop) break;
    if (std::exchange(shared->enabled_changed, false)) {
      const auto enabled = shared->enabled;
      lock.unlock();
      shared->scrape.close_all_but(enabled);
      lock.lock();
      continue;
    }
    const auto run = shared->queue.front();
    shared->queue.pop_front();
    ++shared->runs;
    shared->busy_since = std::chrono::steady_clock::now();
    lock.unlock();
    try {
      shared->execute(run);
    } catch (...) {
      // Out of memory while a page was put together: who waits gets an error
      // at the deadline, and the next request a run of its own.
      const std::lock_guard again(shared->mutex);
      std::erase(shared->in_flight, run);
    }
    lock.lock();
    shared->busy_since.reset();
    shared->changed.notify_all();
  }
  shared->stopped = true;
  shared->changed.notify_all();
}

std::shared_ptr<const Page> ScrapeService::scrape(
    const ScrapeRequest& request) {
  const std::set<std::string> wanted(request.collectors.begin(),
                                     request.collectors.end());
  std::unique_lock lock(shared_->mutex);
  const auto run = shared_->run_for(wanted);
  if (!run) return nullptr;
  ++run->waiting;
  shared_->changed.wait_until(lock, request.deadline,
                              [&] { return run->page || shared_->stop; });
  shared_->leave(run);
  if (run->page) return run->page;
  const Run unfinished = *run;
  lock.unlock();
  return shared_->compose(unfinished);
}

std::vector<std::string> ScrapeService::enabled_collectors() const {
  const std::lock_guard lock(shared_->mutex);
  std::vector<std::string> names;
  for (const std::string& name : shared_->options.known)
    if (shared_->enabled.contains(name)) names.push_back(name);
  return names;
}

std::vector<std::string> ScrapeService::known_collectors() const {
  return shared_->options.known;
}

void ScrapeService::set_enabled(std::set<std::string> enabled) {
  const std::lock_guard lock(shared_->mutex);
  shared_->enabled = std::move(enabled);
  shared_->enabled_changed = true;
  shared_->changed.notify_all();
}

std::uint64_t ScrapeService::runs() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->runs;
}

std::chrono::steady_clock::duration ScrapeService::busy_for() const {
  const std::lock_guard lock(shared_->mutex);
  if (!shared_->busy_since) return {};
  return std::chrono::steady_clock::now() - *shared_->busy_since;
}

ScrapeStatus ScrapeService::status() {
  const std::lock_guard lock(shared_->mutex);
  ScrapeStatus status;
  status.domains = shared_->last_totals.domains;
  status.vcpus = shared_->last_totals.vcpus;
  const auto& parts = shared_->last_parts;
  std::vector<std::string> names{Scrape::kInventory};
  names.insert(names.end(), shared_->options.known.begin(),
               shared_->options.known.end());
  for (const std::string& name : names) {
    const bool enabled =
        name == Scrape::kInventory || shared_->enabled.contains(name);
    const auto part =
        std::find_if(parts.begin(), parts.end(),
                     [&](const Part& one) { return one.name == name; });
    ScrapeStatus::Collector row{name, enabled, false, ""};
    if (part != parts.end()) {
      row.success = part->success;
      if (!part->problems.empty()) row.problem = part->problems.front();
    }
    status.collectors.push_back(std::move(row));
  }
  for (const auto& [name, reason] : merged_sources(parts))
    status.sources.push_back({name, reason});
  return status;
}

}  // namespace vcpu
