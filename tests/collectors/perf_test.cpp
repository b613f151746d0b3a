// SPDX-License-Identifier: Apache-2.0
//
// The kernel's software events, counted for real threads; what needs a PMU is
// tried on a fake source.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <map>
#include <string>

#include "collectors/catalog.h"
#include "collectors/perf/perf_on.h"
#include "tests/support/fake_event_source.h"
#include "tests/support/fake_vm.h"
#include "tests/support/host_under_test.h"
#include "tests/support/literal_snapshot.h"
#include "tests/support/text_of.h"
#include "tests/support/waiting.h"

namespace vcpu {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

constexpr int kSpinMs = 1000;

PerfOptions counting(std::vector<std::string> events) {
  PerfOptions options;
  options.events = std::move(events);
  return options;
}

class Perf : public testing::Test {
 protected:
  void use(const PerfOptions& perf, const Roots& roots = {}) {
    CollectorOptions options;
    options.roots = roots;
    options.perf = perf;
    collector_ = make_perf(options);
    collector_->open();
    scrape_of({});
  }

  void use_or_skip(const PerfOptions& perf) {
    use(perf);
    const auto reason = reason_of(families_, "perf");
    if (!reason.empty()) GTEST_SKIP() << reason;
  }

  void scrape_of(const Snapshot& snapshot) {
    families_ = Families();
    ASSERT_TRUE(collector_->collect(snapshot, families_));
  }

  // Of all that runs on this machine, what the test started.
  Snapshot snapshot_with(const FakeVm& vm) {
    Families said;
    auto snapshot = inventory_.take(said);
    EXPECT_TRUE(snapshot);
    std::erase_if(snapshot->vms,
                  [&](const Vm& one) { return one.pid != vm.pid(); });
    return *std::move(snapshot);
  }

  // When nothing moves: a vCPU that says that it is done may still be on its
  // way to sleep.
  void scrape(const FakeVm& vm) {
    auto snapshot = snapshot_with(vm);
    Counts before;
    do {
      scrape_of(snapshot);
      before = switches_of(snapshot);
      snapshot = snapshot_with(vm);
      switches_ = switches_of(snapshot);
    } while (switches_ != before);
  }

  // By the labels of the vCPU.
  using Counts = std::map<std::string, std::uint64_t>;
  static Counts switches_of(const Snapshot& snapshot) {
    Counts counts;
    for (const Vm& vm : snapshot.vms)
      for (const Thread& vcpu : vm.vcpus())
        counts[std::string(vcpu.labels.text())] =
            *vcpu.sched->voluntary + *vcpu.sched->involuntary;
    return counts;
  }

  std::optional<double> value(const std::string& name,
                              const std::string& labels) const {
    for (const Family& family : families_.families())
      for (std::size_t i = 0; family.name() == name && i < family.size(); ++i)
        if (family.sample(i).labels == labels) return family.sample(i).value;
    return std::nullopt;
  }
  double events(const std::string& vcpu, const std::string& event) const {
    const auto found =
        value("vcpu_perf_events_total", vcpu + ",event=\"" + event + "\"");
    return found.value_or(-1);
  }

  Inventory inventory_ = inventory_on({});
  std::unique_ptr<Collector> collector_;
  Families families_;
  Counts switches_;
};

class PerfCounts
    : public Perf,
      public testing::WithParamInterface<std::vector<std::string>> {};

TEST_P(PerfCounts, WhatTheKernelCountsAndTheTimeThatTheThreadsGot) {
  use_or_skip(counting(GetParam()));
  if (IsSkipped()) return;
  FakeVm vm(qemu_argv("counted", "dddddddd-0000-0000-0000-000000000001"),
            {"CPU 0/KVM", "CPU 1/KVM", "CPU 2/KVM"});
  scrape(vm);
  const auto before = switches_;
  EXPECT_THAT(samples_of(families_), IsEmpty());  // Nothing has run yet.
  vm.start_spin(kSpinMs);
  const auto truths = vm.finish_spin();
  scrape(vm);
  ASSERT_EQ(truths.size(), 3U);
  for (std::size_t i = 0; i < truths.size(); ++i) {
    const std::string vcpu =
        "domain=\"counted\",vcpu=\"" + std::to_string(i) + "\"";
    const auto switched = switches_.at(vcpu) - before.at(vcpu);
    EXPECT_GT(switched, 0U);
    EXPECT_EQ(events(vcpu, "context_switches"), static_cast<double>(switched));
    EXPECT_GE(events(vcpu, "page_faults"), 0);
    const double cpu = static_cast<double>(truths[i].cpu_ns) / kNsPerSecond;
    EXPECT_NEAR(value("vcpu_perf_observed_seconds_total", vcpu).value_or(0),
                cpu, 0.05 * cpu);
  }
}

// Each of them leads the group once.
INSTANTIATE_TEST_SUITE_P(
    , PerfCounts,
    testing::Values(std::vector<std::string>{"context_switches", "page_faults"},
                    std::vector<std::string>{"page_faults",
                                             "context_switches"}));

TEST_F(Perf, AVcpuWithAnotherThreadGoesOnCounting) {
  use_or_skip(counting({"context_switches"}));
  if (IsSkipped()) return;
  FakeVm vm(qemu_argv("replugged", "dddddddd-0000-0000-0000-000000000002"),
            {"CPU 0/KVM", "CPU 1/KVM"});
  const std::string vcpu = "domain=\"replugged\",vcpu=\"1\"";
  const auto spin = [&] {
    scrape(vm);
    vm.start_spin(200);
    vm.finish_spin();
    scrape(vm);
  };
  spin();
  const double first = events(vcpu, "context_switches");
  EXPECT_GT(first, 0);
  vm.remove("CPU 1/KVM");
  scrape(vm);
  vm.add("CPU 1/KVM");
  spin();
  EXPECT_GT(events(vcpu, "context_switches"), first);
}

TEST_F(Perf, AVmWithMoreVcpusThanDescriptorsIsSeenByTurns) {
  auto options = counting({"context_switches"});
  options.max_descriptors = 1;
  options.window = std::chrono::milliseconds(0);
  use_or_skip(options);
  if (IsSkipped()) return;
  FakeVm vm(qemu_argv("large", "dddddddd-0000-0000-0000-000000000003"),
            {"CPU 0/KVM", "CPU 1/KVM", "CPU 2/KVM"});
  std::size_t seen = 0;
  EXPECT_TRUE(eventually([&] {
    vm.start_spin(10);
    vm.finish_spin();
    scrape(vm);
    const auto samples = samples_of(families_);
    // Each has one event and its time.
    seen = std::max(seen, samples.size() / 2);
    return seen == 3;
  })) << seen;
}

TEST_F(Perf, EveryEventHasASourceThatSaysWhetherItIsOffered) {
  use_or_skip(counting({"cycles", "page-faults", "no such event"}));
  if (IsSkipped()) return;
  EXPECT_EQ(reason_of(families_, "perf_page_faults"), "");
  EXPECT_THAT(reason_of(families_, "perf_no such event"), Not(IsEmpty()));
  const auto cycles = reason_of(families_, "perf_cycles");
  if (cycles.empty()) GTEST_SKIP() << "this machine has a PMU";
  EXPECT_EQ(cycles,
            "not offered by this CPU, or hidden by the hypervisor (no PMU)");
  for (const auto& sample : samples_of(families_))
    EXPECT_THAT(sample, Not(HasSubstr("cycles")));
}

TEST_F(Perf, WithoutAnyEventItSaysSo) {
  use(counting({"no such event"}));
  if (reason_of(families_, "perf_no such event") == "-")
    GTEST_SKIP() << reason_of(families_, "perf");
  EXPECT_EQ(reason_of(families_, "perf"),
            "none of perf.events can be counted here");
}

TEST_F(Perf, SaysWhereAVcpuTakesMoreDescriptorsThanItMay) {
  auto options = counting({"context_switches", "page_faults"});
  options.max_descriptors = 1;
  use(options);
  if (reason_of(families_, "perf_page_faults") != "")
    GTEST_SKIP() << reason_of(families_, "perf");
  EXPECT_THAT(reason_of(families_, "perf"),
              StartsWith("a vCPU takes 2 descriptors, one for each event, and "
                         "only 1 may be taken; raise perf.max_descriptors"));
}

TEST_F(Perf, TakesNoMoreThanAQuarterOfTheDescriptors) {
  const auto all_software = counting(
      {"page_faults", "minor_faults", "major_faults", "context_switches",
       "cpu_migrations", "alignment_faults", "emulation_faults"});
  use_or_skip(all_software);
  if (IsSkipped()) return;
  collector_.reset();
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &usual), 0);
  const rlimit few{27, usual.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  use(all_software);
  ::setrlimit(RLIMIT_NOFILE, &usual);
  EXPECT_THAT(reason_of(families_, "perf"),
              StartsWith("a vCPU takes 7 descriptors, one for each event, and "
                         "only 6 may be taken; "));
}

TEST_F(Perf, WithoutADescriptorTheReasonSaysWhatToDo) {
  use_or_skip(counting({"page_faults"}));
  if (IsSkipped()) return;
  FakeVm vm(qemu_argv("refused", "dddddddd-0000-0000-0000-000000000004"),
            {"CPU 0/KVM"});
  const auto snapshot = snapshot_with(vm);
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &usual), 0);
  const rlimit none{0, usual.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  scrape_of(snapshot);
  ::setrlimit(RLIMIT_NOFILE, &usual);
  EXPECT_EQ(reason_of(families_, "perf"),
            "no file descriptor is left; lower perf.max_descriptors, or raise "
            "the limit of open files");
  scrape_of(snapshot);
  EXPECT_EQ(reason_of(families_, "perf"), "");
}

TEST_F(Perf, SwitchedOffAtTheStartItSaysThatItTakesARestart) {
  collector_ = make_perf({});
  scrape_of({});
  EXPECT_THAT(reason_of(families_, "perf"),
              StartsWith("has not been on since the start"));
  EXPECT_THAT(samples_of(families_), IsEmpty());
}

TEST_F(Perf, ClosedItLetsGoAndSaysThatItTakesARestart) {
  use_or_skip(counting({"page_faults"}));
  if (IsSkipped()) return;
  collector_->close();
  scrape_of({});
  EXPECT_THAT(reason_of(families_, "perf"),
              StartsWith("has not been on since the start"));
  EXPECT_EQ(reason_of(families_, "perf_page_faults"), "-");
}

// ---- As if there were a PMU.

class PerfWithPmu : public Perf {
 protected:
  void SetUp() override {
    collector_ = make_perf_on(
        [this] {
          auto made = std::make_unique<FakeEventSource>();
          source_ = made.get();
          return made;
        },
        [this] { return source_->now(); }, {});
    collector_->open();
    scrape_of(host_);
  }

  void run(double seconds_each) {
    for (const pid_t tid : {1000, 1001}) source_->run(tid, seconds_each);
    scrape_of(host_);
  }

  const Snapshot host_ = snapshot_of(
      {vm_of("web", {vcpu_thread("web", 0, std::nullopt, 0, {0}),
                     vcpu_thread("web", 1, std::nullopt, 0, {0})})});
  FakeEventSource* source_ = nullptr;
};

TEST_F(PerfWithPmu, SaysEveryEventOfEveryVcpu) {
  source_->hardware_share = 0.5;
  run(2);
  EXPECT_THAT(
      samples_of(families_),
      testing::IsSupersetOf(
          {"vcpu_perf_events_total{domain=\"web\",vcpu=\"0\",event=\"cycles\"} "
           "2000000",
           "vcpu_perf_events_total{domain=\"web\",vcpu=\"1\",event=\"cache_"
           "misses\"} 8000000",
           "vcpu_perf_events_total{domain=\"web\",vcpu=\"1\",event=\"context_"
           "switches\"} 8000000",
           "vcpu_perf_observed_seconds_total{domain=\"web\",vcpu=\"0\"} 2"}));
  EXPECT_THAT(samples_of(families_), testing::SizeIs(2 * (7 + 1)));
  EXPECT_EQ(reason_of(families_, "perf"), "");
  EXPECT_EQ(reason_of(families_, "perf_cycles"), "");
}

TEST_F(PerfWithPmu, WithoutCountersThereIsNoSeriesButAReason) {
  source_->hardware_share = 0;
  run(2);
  EXPECT_THAT(samples_of(families_), IsEmpty());
  EXPECT_THAT(reason_of(families_, "perf"),
              StartsWith("the hardware events get no counters"));
  source_->hardware_share = 1;
  run(1);
  EXPECT_THAT(samples_of(families_), Not(IsEmpty()));
  EXPECT_EQ(reason_of(families_, "perf"), "");
}

}  // namespace
}  // namespace vcpu
