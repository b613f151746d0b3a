// SPDX-License-Identifier: Apache-2.0
//
// How often a scrape that is like the one before takes memory: for each VM and
// each vCPU no more than what is said here, whoever makes it less lowers it.
#include "tests/support/allocations.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "collectors/catalog.h"
#include "exporter/page.h"
#include "tests/support/host_under_test.h"
#include "tests/support/made_host.h"

namespace vcpu {
namespace {

struct Taken {
  std::uint64_t inventory = 0;
  std::uint64_t collectors = 0;
  std::uint64_t page = 0;
  std::int64_t samples = 0;
};

// All collectors on a made host, scraped as often as one likes.
class Host {
 public:
  Host(int vms, int vcpus)
      : made_(vms, vcpus),
        inventory_(inventory_on(made_.roots(), made_.libvirt())) {
    CollectorOptions options{made_.roots(), false};
    options.monitor = made_.monitor();
    for (const CatalogEntry& entry : catalog())
      if (entry.enabled_by_default) collectors_.push_back(entry.make(options));
  }

  Taken scrape() {
    Taken taken;
    Families inventory_said;
    auto before = allocations();
    const auto snapshot = inventory_.take(inventory_said);
    taken.inventory = allocations() - before;
    if (!snapshot) throw std::runtime_error(snapshot.error().message());

    before = allocations();
    std::vector<std::shared_ptr<const Families>> said;
    for (const auto& collector : collectors_) {
      auto families = std::make_shared<Families>();
      (void)collector->collect(*snapshot, *families);
      said.push_back(std::move(families));
    }
    taken.collectors = allocations() - before;
    for (const auto& families : said)
      for (const Family& family : families->families())
        taken.samples += static_cast<std::int64_t>(family.series());

    before = allocations();
    const FamiliesPage page(std::move(said), 1'000'000, {});
    (void)page.body(TextFormat::kPrometheus, true);
    taken.page = allocations() - before;
    return taken;
  }

 private:
  MadeHost made_;
  Inventory inventory_;
  std::vector<std::unique_ptr<Collector>> collectors_;
};

// The last of a few: the first ones find what the later ones know. Quotas are
// looked for in a part of the VMs only each time; that of all is the mean.
Taken in_steady_state(int vms, int vcpus) {
  constexpr int kWarmUps = 3;
  constexpr int kScrapes = 4;
  Host host(vms, vcpus);
  for (int i = 0; i < kWarmUps; ++i) (void)host.scrape();
  Taken sum;
  for (int i = 0; i < kScrapes; ++i) {
    const Taken one = host.scrape();
    sum.inventory += one.inventory;
    sum.collectors += one.collectors;
    sum.page += one.page;
    sum.samples = one.samples;
  }
  return {sum.inventory / kScrapes, sum.collectors / kScrapes,
          sum.page / kScrapes, sum.samples};
}

// What a part may take: so much for the host, each VM and each vCPU. That is
// what it takes today and 3 % more.
struct Budget {
  double host;
  double vm;
  double vcpu;
  double of(int vms, int vcpus) const {
    return host + vm * vms + vcpu * vms * vcpus;
  }
};
constexpr Budget kInventory{90, 31, 0.21};
constexpr Budget kCollectors{740, 82, 9.5};
constexpr double kPage = 14;
constexpr double kPerSample = 1.7;

TEST(Allocations, OfAScrapeGrowNoFasterThanVmsAndVcpus) {
  if (!allocations_are_counted()) GTEST_SKIP() << "not with AddressSanitizer";
  for (const auto& [vms, vcpus] :
       std::vector<std::pair<int, int>>{{10, 10}, {10, 20}, {40, 10}}) {
    const Taken taken = in_steady_state(vms, vcpus);
    SCOPED_TRACE(std::to_string(vms) + " VMs of " + std::to_string(vcpus));
    // All that there is to be said was said.
    EXPECT_GE(taken.samples, vms * (35 + 12 * vcpus));
    EXPECT_LE(static_cast<double>(taken.inventory), kInventory.of(vms, vcpus));
    EXPECT_LE(static_cast<double>(taken.collectors),
              kCollectors.of(vms, vcpus));
    EXPECT_LE(static_cast<double>(taken.page), kPage);
    EXPECT_LE(
        static_cast<double>(taken.inventory + taken.collectors + taken.page),
        kPerSample * static_cast<double>(taken.samples));
  }
}

TEST(Allocations, AreCounted) {
  if (!allocations_are_counted()) GTEST_SKIP() << "not with AddressSanitizer";
  const auto before = allocations();
  const auto one = std::make_unique<int>(1);
  const std::vector<int> another(100);
  EXPECT_EQ(allocations() - before, 2U);
}

}  // namespace
}  // namespace vcpu
