// SPDX-License-Identifier: Apache-2.0
#include "exporter/scrape_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "tests/support/literal_snapshot.h"

namespace vcpu {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// Holds up whoever passes until it is opened. The test waits for somebody to
// stand before it, and so needs no sleep.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  void await_arrivals(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return arrived_ >= count; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int arrived_ = 0;
  bool open_ = false;
};

class Gated final : public Collector {
 public:
  Gated(std::string name, std::shared_ptr<Gate> gate)
      : name_(std::move(name)), gate_(std::move(gate)) {}
  std::string_view name() const override { return name_; }
  Result<void> collect(const Snapshot&, Families& families) override {
    if (gate_) gate_->pass();
    families.gauge(name_ + "_sample", "One.").add({}, 1);
    return {};
  }

 private:
  std::string name_;
  std::shared_ptr<Gate> gate_;
};

class Service : public testing::Test {
 protected:
  ~Service() override { gate_->open(); }

  void start(ScrapeService::Options options = {}) {
    std::vector<std::unique_ptr<Collector>> collectors;
    collectors.push_back(std::make_unique<Gated>("quick", nullptr));
    collectors.push_back(std::make_unique<Gated>("slow", gate_));
    options.known = {"quick", "slow"};
    options.enabled = {"quick", "slow"};
    service_ = std::make_unique<ScrapeService>(
        Scrape([](Families&) { return Result<Snapshot>(snapshot_of({})); },
               std::move(collectors)),
        std::move(options), registry_);
  }

  std::shared_ptr<const Page> scrape(std::vector<std::string> names,
                                     steady_clock::duration patience) {
    return service_->scrape({std::move(names), steady_clock::now() + patience});
  }

  static std::string text(const std::shared_ptr<const Page>& page) {
    return *page->body(TextFormat::kPrometheus, false);
  }

  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  std::shared_ptr<prometheus::Registry> registry_ =
      std::make_shared<prometheus::Registry>();
  std::unique_ptr<ScrapeService> service_;
};

TEST_F(Service, AnswersByTheDeadlineWithWhatIsFinished) {
  start();
  const auto page =
      text(scrape({"quick", "slow"}, std::chrono::milliseconds(50)));
  EXPECT_THAT(page, HasSubstr("\nquick_sample 1\n"));
  EXPECT_THAT(page, Not(HasSubstr("slow_sample")));
  EXPECT_THAT(page, HasSubstr("success{collector=\"quick\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("success{collector=\"slow\"} 0\n"));
}

TEST_F(Service, ServesOverlappingRequestsFromOneRun) {
  start();
  std::vector<std::future<std::shared_ptr<const Page>>> pages;
  for (int i = 0; i < 50; ++i) {
    pages.push_back(std::async(std::launch::async, [this] {
      return scrape({"quick", "slow"}, seconds(60));
    }));
  }
  gate_->await_arrivals(1);
  gate_->open();
  const auto first = pages[0].get();
  for (std::size_t i = 1; i < pages.size(); ++i) pages[i].get();
  EXPECT_THAT(text(first), HasSubstr("slow_sample 1"));
  // All that came while the first run was held up share it; stragglers at most
  // begin a few more.
  EXPECT_LT(service_->runs(), 10U);
}

TEST_F(Service, GivesOverlappingRequestsTheSamePage) {
  start();
  auto one = std::async(std::launch::async,
                        [this] { return scrape({"slow"}, seconds(60)); });
  gate_->await_arrivals(1);
  // Joins the run that is held up: returns the page of that run.
  auto two = std::async(std::launch::async,
                        [this] { return scrape({"slow"}, seconds(60)); });
  const auto late = scrape({"slow"}, std::chrono::milliseconds(20));
  EXPECT_THAT(text(late), HasSubstr("success{collector=\"slow\"} 0"));
  gate_->open();
  EXPECT_EQ(one.get(), two.get());
  EXPECT_EQ(service_->runs(), 1U);
}

TEST_F(Service, DoesNotShareBetweenDifferentCollectors) {
  start();
  gate_->open();
  EXPECT_THAT(text(scrape({"quick"}, seconds(60))), Not(HasSubstr("slow")));
  EXPECT_THAT(text(scrape({"slow"}, seconds(60))), Not(HasSubstr("quick")));
}

TEST_F(Service, BeginsNoRunThatNobodyWaitsForAnyMore) {
  start();
  scrape({"slow"}, std::chrono::milliseconds(1));
  gate_->await_arrivals(1);
  scrape({}, std::chrono::milliseconds(1));
  auto patient = std::async(std::launch::async,
                            [this] { return scrape({"quick"}, seconds(60)); });
  scrape({"quick"}, std::chrono::milliseconds(20));
  gate_->open();
  EXPECT_THAT(text(patient.get()), HasSubstr("\nquick_sample 1\n"));
  EXPECT_EQ(service_->runs(), 2U);
}

TEST_F(Service, LetsSoManyRunsWaitAndAlwaysOneOfEverything) {
  start();
  auto held = std::async(std::launch::async,
                         [this] { return scrape({"slow"}, seconds(60)); });
  gate_->await_arrivals(1);
  std::vector<std::future<std::shared_ptr<const Page>>> waiting;
  for (std::size_t i = 0; i < ScrapeService::kMaxQueued; ++i) {
    waiting.push_back(std::async(std::launch::async, [this, i] {
      std::shared_ptr<const Page> page;
      while (!page) page = scrape({"other" + std::to_string(i)}, seconds(60));
      return page;
    }));
  }
  // Each of these begins a run of its own only where there is room.
  const auto begin = steady_clock::now();
  while (scrape({"quick"}, std::chrono::milliseconds(1)) != nullptr)
    ASSERT_LT(steady_clock::now() - begin, seconds(20));
  auto everything = std::async(std::launch::async, [this] {
    return scrape({"quick", "slow"}, seconds(60));
  });
  gate_->open();
  EXPECT_THAT(text(everything.get()), HasSubstr("slow_sample 1"));
  for (auto& page : waiting) EXPECT_NE(page.get(), nullptr);
  EXPECT_NE(scrape({"quick"}, seconds(60)), nullptr);
}

TEST_F(Service, ComesBackAfterACollectorThatHung) {
  start();
  scrape({"slow"}, std::chrono::milliseconds(20));
  EXPECT_GT(service_->busy_for(), steady_clock::duration::zero());
  gate_->open();
  EXPECT_THAT(text(scrape({"quick", "slow"}, seconds(60))),
              HasSubstr("success{collector=\"slow\"} 1"));
}

TEST_F(Service, EndsWithoutWaitingForACollectorThatHangs) {
  start();
  scrape({"slow"}, std::chrono::milliseconds(20));
  const auto begin = steady_clock::now();
  service_.reset();
  EXPECT_LT(steady_clock::now() - begin, seconds(20));
}

TEST_F(Service, LetsNobodyWaitOnceItStops) {
  start();
  auto waiting = std::async(std::launch::async,
                            [this] { return scrape({"slow"}, seconds(600)); });
  gate_->await_arrivals(1);
  service_->stop();
  EXPECT_THAT(text(waiting.get()), HasSubstr("success{collector=\"slow\"} 0"));
}

TEST_F(Service, CountsWhatTheLimitCuts) {
  ScrapeService::Options options;
  options.max_series = 1;
  start(options);
  gate_->open();
  const auto first = text(scrape({"quick", "slow"}, seconds(60)));
  EXPECT_THAT(first, Not(HasSubstr("slow_sample")));
  EXPECT_THAT(
      text(scrape({"quick", "slow"}, seconds(60))),
      HasSubstr("vcpu_series_dropped_total{reason=\"series_limit\"} 1"));
}

TEST_F(Service, AddsWhatItIsToldAboutOurselves) {
  ScrapeService::Options options;
  options.about_ourselves = [](Families& families) {
    families.gauge("process_things", "Things.").add({}, 7);
  };
  start(options);
  EXPECT_THAT(text(scrape({"quick"}, seconds(60))),
              HasSubstr("\nprocess_things 7\n"));
}

TEST_F(Service, KnowsHowTheLastScrapeWent) {
  start();
  service_->set_enabled({"quick"});
  EXPECT_THAT(service_->enabled_collectors(), ElementsAre("quick"));
  scrape({"quick"}, seconds(60));
  const auto status = service_->status();
  ASSERT_EQ(status.collectors.size(), 3U);
  EXPECT_EQ(status.collectors[0].name, "inventory");
  EXPECT_TRUE(status.collectors[1].enabled && status.collectors[1].success);
  EXPECT_FALSE(status.collectors[2].enabled);
}

// Fails, or is well, as the test says.
class Moody final : public Collector {
 public:
  explicit Moody(std::shared_ptr<std::atomic<bool>> well)
      : well_(std::move(well)) {}
  std::string_view name() const override { return "moody"; }
  Result<void> collect(const Snapshot&, Families& families) override {
    families.source("thing", *well_ ? "" : "broken");
    if (!*well_) families.problem("out of order");
    return {};
  }

 private:
  std::shared_ptr<std::atomic<bool>> well_;
};

TEST(ServiceLog, TellsOfAChangeOnce) {
  const auto well = std::make_shared<std::atomic<bool>>(false);
  std::vector<std::unique_ptr<Collector>> collectors;
  collectors.push_back(std::make_unique<Moody>(well));
  std::vector<std::string> lines;
  ScrapeService::Options options;
  options.known = {"moody"};
  options.on_change = [&](const std::string& line, bool failure) {
    lines.push_back((failure ? "warn " : "info ") + line);
  };
  ScrapeService service(
      Scrape([](Families&) { return Result<Snapshot>(snapshot_of({})); },
             std::move(collectors)),
      options, std::make_shared<prometheus::Registry>());
  const auto scrape = [&] {
    service.scrape({{"moody"}, steady_clock::now() + seconds(60)});
  };
  scrape();
  scrape();
  EXPECT_THAT(lines, ElementsAre("warn collector moody: out of order",
                                 "info source thing: broken"));
  lines.clear();
  *well = true;
  scrape();
  EXPECT_THAT(lines, ElementsAre("info collector moody: well again",
                                 "info source thing: well again"));
}

}  // namespace
}  // namespace vcpu
