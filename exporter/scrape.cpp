// SPDX-License-Identifier: Apache-2.0
#include "exporter/scrape.h"

#include <exception>
#include <optional>
#include <utility>

namespace vcpu {
namespace {

template <typename Step>
Result<void> guarded(Step&& step, Families& families) {
  try {
    return std::forward<Step>(step)(families);
  } catch (const std::exception& e) {
    return failed(std::string("a bug, please report it: ") + e.what());
  } catch (...) {
    return failed("a bug, please report it: unknown exception");
  }
}

}  // namespace

Scrape::Scrape(TakeSnapshot take,
               std::vector<std::unique_ptr<Collector>> collectors, Now now)
    : take_(std::move(take)),
      collectors_(std::move(collectors)),
      now_(std::move(now)) {}

void Scrape::open(const std::set<std::string>& enabled) {
  for (const auto& collector : collectors_)
    if (enabled.contains(std::string(collector->name()))) collector->open();
}

void Scrape::close_all_but(const std::set<std::string>& enabled) {
  for (const auto& collector : collectors_)
    if (!enabled.contains(std::string(collector->name()))) collector->close();
}

template <typename Step>
Part Scrape::run_part(std::string name, Step&& step) {
  const auto begin = now_();
  auto families = std::make_shared<Families>();
  const auto result = guarded(std::forward<Step>(step), *families);
  // What was emitted before the failure is a half-truth.
  if (!result) families = std::make_shared<Families>();
  const std::chrono::duration<double> took = now_() - begin;
  Part part{std::move(name), false, took.count(), families->problems(),
            families};
  if (!result) part.problems.push_back(result.error().message());
  part.success = part.problems.empty();
  return part;
}

ScrapeTotals Scrape::run(const std::set<std::string>& wanted,
                         const std::function<void(Part)>& finished) {
  const auto for_each_wanted = [&](const auto& call) {
    for (const auto& collector : collectors_)
      if (wanted.contains(std::string(collector->name()))) call(*collector);
  };
  for_each_wanted([](Collector& collector) { collector.expect(); });
  std::optional<Snapshot> snapshot;
  finished(run_part(kInventory, [&](Families& families) -> Result<void> {
    auto taken = take_(families);
    if (!taken) return taken.error();
    snapshot = *std::move(taken);
    return {};
  }));
  for_each_wanted([&](Collector& collector) {
    finished(run_part(std::string(collector.name()),
                      [&](Families& families) -> Result<void> {
                        if (!snapshot)
                          return failed("not asked, as the inventory failed");
                        return collector.collect(*snapshot, families);
                      }));
  });
  ScrapeTotals totals;
  if (!snapshot) return totals;
  totals.domains = static_cast<int>(snapshot->vms.size());
  for (const Vm& vm : snapshot->vms)
    totals.vcpus += static_cast<int>(vm.vcpu_count);
  return totals;
}

}  // namespace vcpu
