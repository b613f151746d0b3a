// SPDX-License-Identifier: Apache-2.0
#include "exporter/scrape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/support/literal_snapshot.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A collector that says one sample and then does as it is told.
class Scripted final : public Collector {
 public:
  using Then = std::function<Result<void>(Families&)>;
  Scripted(std::string name, Then then)
      : name_(std::move(name)), then_(std::move(then)) {}
  std::string_view name() const override { return name_; }
  Result<void> collect(const Snapshot&, Families& families) override {
    families.gauge(name_ + "_sample", "One.").add({}, 1);
    return then_(families);
  }

 private:
  std::string name_;
  Then then_;
};

Result<void> well(Families&) { return {}; }

Scrape::Clock::time_point frozen() { return {}; }

class ScrapeTest : public testing::Test {
 protected:
  void add(const std::string& name, Scripted::Then then) {
    collectors_.push_back(std::make_unique<Scripted>(name, std::move(then)));
    wanted_.insert(name);
  }

  std::vector<Part> run(const Scrape::TakeSnapshot& take = [](Families&) {
    return Result<Snapshot>(snapshot_of({}));
  }) {
    std::vector<Part> parts;
    Scrape scrape(take, std::move(collectors_), frozen);
    totals_ = scrape.run(wanted_,
                         [&](Part part) { parts.push_back(std::move(part)); });
    return parts;
  }

  std::vector<std::unique_ptr<Collector>> collectors_;
  std::set<std::string> wanted_;
  ScrapeTotals totals_;
};

TEST_F(ScrapeTest, RunsTheInventoryThenTheCollectorsInOrder) {
  add("b", well);
  add("a", well);
  const auto parts = run();
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(parts[0].name, "inventory");
  EXPECT_EQ(parts[1].name, "b");
  EXPECT_EQ(parts[2].name, "a");
  for (const Part& part : parts) EXPECT_TRUE(part.success);
}

TEST_F(ScrapeTest, RunsOnlyWhatIsWanted) {
  add("a", well);
  add("b", well);
  wanted_ = {"b"};
  const auto parts = run();
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[1].name, "b");
}

TEST_F(ScrapeTest, TurnsAThrowIntoOneFailedPart) {
  add("bad",
      [](Families&) -> Result<void> { throw std::runtime_error("boom"); });
  add("good", well);
  const auto parts = run();
  EXPECT_FALSE(parts[1].success);
  EXPECT_THAT(parts[1].problems, ElementsAre(HasSubstr("boom")));
  EXPECT_THAT(samples_of(*parts[1].families), IsEmpty());
  EXPECT_TRUE(parts[2].success);
}

TEST_F(ScrapeTest, SurvivesAThrowOfAnything) {
  add("bad", [](Families&) -> Result<void> { throw 42; });
  EXPECT_FALSE(run()[1].success);
}

TEST_F(ScrapeTest, DropsWhatACollectorThatFailedHadSaid) {
  add("bad", [](Families&) -> Result<void> { return malformed("/proc/x"); });
  const auto parts = run();
  EXPECT_THAT(parts[1].problems, ElementsAre(HasSubstr("/proc/x")));
  EXPECT_THAT(samples_of(*parts[1].families), IsEmpty());
}

TEST_F(ScrapeTest, KeepsTheRestOfACollectorWithAProblem) {
  add("part", [](Families& families) -> Result<void> {
    families.problem("one of many");
    return {};
  });
  const auto parts = run();
  EXPECT_FALSE(parts[1].success);
  EXPECT_THAT(parts[1].problems, ElementsAre("one of many"));
  EXPECT_THAT(samples_of(*parts[1].families), ElementsAre("part_sample 1"));
}

TEST_F(ScrapeTest, SaysOfEveryCollectorThatTheInventoryFailed) {
  add("a", well);
  const auto parts = run([](Families&) -> Result<Snapshot> {
    return malformed("/sys/devices/system/cpu/online");
  });
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_THAT(parts[0].problems, ElementsAre(HasSubstr("cpu/online")));
  EXPECT_FALSE(parts[1].success);
  EXPECT_THAT(samples_of(*parts[1].families), IsEmpty());
}

TEST_F(ScrapeTest, CountsVmsAndVcpus) {
  run([](Families&) {
    return Result<Snapshot>(
        snapshot_of({vm_of("a", {vcpu_thread("a", 0, {}, 0, {0})}),
                     vm_of("b", {vcpu_thread("b", 0, {}, 0, {0}),
                                 vcpu_thread("b", 1, {}, 0, {0})})}));
  });
  EXPECT_EQ(totals_.domains, 2);
  EXPECT_EQ(totals_.vcpus, 3);
}

}  // namespace
}  // namespace vcpu
