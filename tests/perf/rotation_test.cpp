// SPDX-License-Identifier: Apache-2.0
#include "collectors/perf/rotation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <random>

#include "tests/support/fake_event_source.h"

namespace vcpu {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// The threads of VM 3 are 300, 301 ...
Rotation::Vcpu vcpu_of(pid_t vm, int index) {
  return {{{vm, 1.0}, index}, vm * 100 + index};
}

std::vector<Rotation::Vcpu> vms(const std::vector<pid_t>& ids, int vcpus) {
  std::vector<Rotation::Vcpu> all;
  for (const pid_t id : ids)
    for (int i = 0; i < vcpus; ++i) all.push_back(vcpu_of(id, i));
  return all;
}

class RotationTest : public testing::Test {
 protected:
  static constexpr seconds kWindow{10};

  void use(Rotation::Limits limits,
           const std::vector<std::string>& events = {"context_switches"}) {
    groups_ = *find_event_groups(source_, events);
    rotation_.emplace(source_, groups_, limits,
                      [this] { return source_.now(); });
    source_.opens = 0;
  }

  // With time for everything.
  void use(std::size_t descriptors,
           const std::vector<std::string>& events = {"context_switches"}) {
    use({descriptors, kWindow, seconds(1)}, events);
  }

  // A scrape a window later, while all threads run for a second.
  void next(const std::vector<Rotation::Vcpu>& present) {
    for (const auto& vcpu : present) source_.run(vcpu.tid, 1);
    source_.pass_time(kWindow);
    rotation_->pass(present);
  }

  double observed(const Rotation::Vcpu& vcpu) const {
    const PerfTotals* const totals = rotation_->totals(vcpu.id);
    return totals == nullptr ? 0
                             : static_cast<double>(totals->observed_ns) / 1e9;
  }

  double switches(const Rotation::Vcpu& vcpu) const {
    const PerfTotals* const totals = rotation_->totals(vcpu.id);
    return totals == nullptr ? 0 : totals->software.at(0);
  }

  FakeEventSource source_;
  EventGroups groups_;
  std::optional<Rotation> rotation_;
};

TEST_F(RotationTest, WhereThereIsRoomForAllNothingIsEverClosed) {
  use(6);
  const auto present = vms({1, 2, 3}, 2);
  rotation_->pass(present);
  for (int i = 0; i < 5; ++i) next(present);
  EXPECT_EQ(source_.opens, 6U);
  for (const auto& vcpu : present) EXPECT_EQ(observed(vcpu), 5) << vcpu.tid;
}

TEST_F(RotationTest, VmsTakeTurnsOfAWindow) {
  use(2);
  const auto present = vms({1, 2, 3}, 2);
  rotation_->pass(present);
  EXPECT_THAT(source_.observed(), ElementsAre(100, 101));
  source_.pass_time(kWindow - milliseconds(1));
  rotation_->pass(present);
  EXPECT_THAT(source_.observed(), ElementsAre(100, 101));
  source_.pass_time(milliseconds(1));
  rotation_->pass(present);
  EXPECT_THAT(source_.observed(), ElementsAre(200, 201));
  next(present);
  EXPECT_THAT(source_.observed(), ElementsAre(300, 301));
  next(present);
  EXPECT_THAT(source_.observed(), ElementsAre(100, 101));
}

TEST_F(RotationTest, WhatIsOpenIsReadBeforeItIsClosed) {
  use(1);
  const auto present = vms({1, 2}, 1);
  const auto& first = present.front();
  rotation_->pass(present);
  source_.run(first.tid, 3);
  source_.pass_time(kWindow);
  rotation_->pass(present);
  EXPECT_THAT(source_.observed(), ElementsAre(200));
  EXPECT_EQ(observed(first), 3);
  EXPECT_EQ(switches(first),
            3 * FakeEventSource::rate(groups_.software.front().event));
}

TEST_F(RotationTest, OnlyAsManyAreClosedAsOthersWait) {
  use(3);
  rotation_->pass(vms({1}, 3));
  source_.pass_time(kWindow);
  auto present = vms({1}, 3);
  present.push_back(vcpu_of(2, 0));
  rotation_->pass(present);
  EXPECT_THAT(source_.observed(), ElementsAre(101, 102, 200));
  EXPECT_EQ(source_.opens, 4U);
}

TEST_F(RotationTest, AVmWithMoreVcpusThanDescriptorsIsSeenByTurns) {
  use(6, {"context_switches", "page_faults"});  // Room for three vCPUs.
  const auto present = vms({1}, 10);
  rotation_->pass(present);
  EXPECT_THAT(source_.observed(), ElementsAre(100, 101, 102));
  for (int i = 0; i < 40; ++i) next(present);
  for (const auto& vcpu : present) {
    EXPECT_GE(observed(vcpu), 12) << vcpu.tid;
    EXPECT_LE(observed(vcpu), 13) << vcpu.tid;
  }
}

// Each pass brings a VM that lives for one pass: they cannot keep it out.
TEST_F(RotationTest, VmsThatComeAndGoStarveNobody) {
  use(1);
  for (pid_t visitor = 2; visitor < 102; ++visitor)
    next({vcpu_of(1, 0), vcpu_of(visitor, 0)});
  EXPECT_GE(observed(vcpu_of(1, 0)), 30);
}

TEST_F(RotationTest, WhatOneVcpuNeedsAndNoDescriptorLessIsTaken) {
  use(7, {"context_switches", "cycles"});
  rotation_->pass(vms({1}, 5));
  EXPECT_EQ(source_.open_events(), 6U);
  EXPECT_EQ(rotation_->open_descriptors(), 6U);
  use(1, {"context_switches", "cycles"});
  rotation_->pass(vms({1}, 5));
  EXPECT_EQ(source_.open_events(), 0U);
}

// ---- The budget.

TEST_F(RotationTest, WhatDoesNotFitIntoTheBudgetGoesOnInTheNextPass) {
  source_.cost = milliseconds(1);
  use({100, kWindow, milliseconds(8)});
  const auto present = vms({1}, 20);
  std::vector<std::size_t> open;
  for (int i = 0; i < 6; ++i) {
    const auto before = source_.now();
    rotation_->pass(present);
    EXPECT_LE(source_.now() - before, milliseconds(8));
    open.push_back(source_.observed().size());
  }
  // Half of the time goes into reading, as soon as there is enough to read.
  EXPECT_THAT(open, ElementsAre(8, 12, 16, 20, 20, 20));
}

TEST_F(RotationTest, WhatIsReadByTurnsIsAllReadInTheEnd) {
  use({100, kWindow, milliseconds(8)});
  const auto present = vms({1}, 20);
  rotation_->pass(present);
  for (const auto& vcpu : present) source_.run(vcpu.tid, 1);
  source_.cost = milliseconds(1);
  const auto read = [&] {
    return std::count_if(present.begin(), present.end(),
                         [&](const auto& vcpu) { return observed(vcpu) == 1; });
  };
  for (const int all : {4, 8, 12, 16, 20}) {
    rotation_->pass(present);
    EXPECT_EQ(read(), all);
  }
}

TEST_F(RotationTest, ABudgetThatIsTooSmallStillMovesOn) {
  source_.cost = milliseconds(100);
  use({3, kWindow, milliseconds(1)});
  const auto present = vms({1}, 9);
  for (int i = 0; i < 60; ++i) next(present);
  for (const auto& vcpu : present) EXPECT_GT(observed(vcpu), 0) << vcpu.tid;
}

// ---- Threads that come, go, and are replaced.

TEST_F(RotationTest, AThreadThatHasJustEndedIsPassedOverInSilence) {
  use(10);
  source_.gone = {100};
  rotation_->pass(vms({1}, 2));
  EXPECT_THAT(source_.observed(), ElementsAre(101));
  EXPECT_FALSE(rotation_->refusal());
  source_.gone.clear();  // Another one took the vCPU over.
  rotation_->pass(vms({1}, 2));
  EXPECT_THAT(source_.observed(), ElementsAre(100, 101));
}

TEST_F(RotationTest, AVcpuGoesOnCountingWithAnotherThread) {
  use(10);
  auto vcpu = vcpu_of(1, 0);
  rotation_->pass({vcpu});
  source_.run(vcpu.tid, 2);
  vcpu.tid = 555;
  rotation_->pass({vcpu});
  EXPECT_THAT(source_.observed(), ElementsAre(555));
  EXPECT_EQ(observed(vcpu), 2);
  source_.run(vcpu.tid, 3);
  rotation_->pass({vcpu});
  EXPECT_EQ(observed(vcpu), 5);
}

TEST_F(RotationTest, AnUnpluggedVcpuGoesOnWhenItIsBack) {
  use(10);
  const auto both = vms({1}, 2);
  rotation_->pass(both);
  source_.run(both[1].tid, 2);
  for (int i = 0; i < 50; ++i) rotation_->pass({both[0]});
  EXPECT_THAT(source_.observed(), ElementsAre(100));
  rotation_->pass(both);
  EXPECT_EQ(observed(both[1]), 2);
  source_.run(both[1].tid, 1);
  rotation_->pass(both);
  EXPECT_EQ(observed(both[1]), 3);
}

TEST_F(RotationTest, AVmThatIsMissedForSomePassesGoesOn) {
  use(10);
  const auto vcpu = vcpu_of(1, 0);
  rotation_->pass({vcpu});
  source_.run(vcpu.tid, 2);
  for (int i = 0; i < 10; ++i) rotation_->pass({});
  EXPECT_THAT(source_.observed(), IsEmpty());
  rotation_->pass({vcpu});
  EXPECT_EQ(observed(vcpu), 2);
}

TEST_F(RotationTest, AVmThatHasEndedIsForgotten) {
  use(10);
  const auto vcpu = vcpu_of(1, 0);
  rotation_->pass({vcpu});
  source_.run(vcpu.tid, 2);
  rotation_->pass({vcpu});
  for (int i = 0; i < 12; ++i) rotation_->pass({});
  EXPECT_EQ(rotation_->totals(vcpu.id), nullptr);
}

TEST_F(RotationTest, AnotherVmWithTheSamePidIsAnother) {
  use(10);
  auto vcpu = vcpu_of(1, 0);
  rotation_->pass({vcpu});
  source_.run(vcpu.tid, 2);
  rotation_->pass({vcpu});
  vcpu.id.vm.second = 2.0;
  rotation_->pass({vcpu});
  EXPECT_EQ(rotation_->totals(vcpu.id), nullptr);
}

// ---- What keeps it from observing.

TEST_F(RotationTest, WhoMayNotBeObservedIsToldAndTheOthersAre) {
  use(10);
  source_.forbidden = {100};
  for (int i = 0; i < 3; ++i) {
    next(vms({1, 2}, 1));
    ASSERT_TRUE(rotation_->refusal());
    EXPECT_EQ(rotation_->refusal()->code, std::errc::permission_denied);
  }
  EXPECT_THAT(source_.observed(), ElementsAre(200));
  rotation_->pass(vms({2}, 1));
  EXPECT_FALSE(rotation_->refusal());
}

TEST_F(RotationTest, WhoIsGoneIsNotToldAnyMore) {
  use(1);
  source_.forbidden = {100};
  rotation_->pass(vms({1, 2}, 1));
  EXPECT_TRUE(rotation_->refusal());
  rotation_->pass(vms({2}, 1));  // Nobody has a turn.
  EXPECT_FALSE(rotation_->refusal());
}

TEST_F(RotationTest, WithoutADescriptorItTriesNoFurtherAndGoesOnLater) {
  use(10);
  source_.descriptors = 2;
  const auto present = vms({1}, 5);
  rotation_->pass(present);
  EXPECT_THAT(source_.observed(), SizeIs(2));
  EXPECT_EQ(source_.opens, 3U);
  ASSERT_TRUE(rotation_->refusal());
  EXPECT_EQ(rotation_->refusal()->code, std::errc::too_many_files_open);
  source_.descriptors = 10;
  rotation_->pass(present);
  EXPECT_THAT(source_.observed(), SizeIs(5));
  EXPECT_FALSE(rotation_->refusal());
}

// ENOMEM, EIO, or less than a group has.
TEST_F(RotationTest, AReadThatFailsIsToldOnceAndLosesNothing) {
  const auto present = vms({1, 2}, 2);
  constexpr std::size_t kPasses = 4;
  constexpr std::size_t kReads = 2 * 4;  // Two groups of each vCPU.
  for (const int error : {ENOMEM, EIO, 0}) {
    for (std::size_t failing = 0; failing < kPasses * kReads; ++failing) {
      use(100, {"context_switches", "cycles"});
      source_.reads = 0;
      source_.failing_reads = {{failing, error}};
      rotation_->pass(present);
      std::map<pid_t, double> before;
      for (std::size_t pass = 0; pass <= kPasses; ++pass) {
        const auto reads = source_.reads;
        next(present);
        EXPECT_EQ(rotation_->refusal().has_value(),
                  reads <= failing && failing < source_.reads);
        for (const auto& vcpu : present) {
          EXPECT_GE(switches(vcpu), before[vcpu.tid]);
          before[vcpu.tid] = switches(vcpu);
          EXPECT_EQ(switches(vcpu),
                    observed(vcpu) *
                        FakeEventSource::rate(groups_.software.front().event));
        }
      }
      for (const auto& vcpu : present)
        EXPECT_EQ(observed(vcpu), kPasses + 1) << failing;
    }
  }
}

TEST_F(RotationTest, AnOpenThatFailsIsToldAndTriedAgain) {
  const auto present = vms({1}, 3);
  for (const int error : {ENOMEM, EIO, EINTR}) {
    for (std::size_t failing = 0; failing < 2 * present.size(); ++failing) {
      use(100, {"context_switches", "cycles"});
      source_.failing_opens = {{failing, error}};
      rotation_->pass(present);
      ASSERT_TRUE(rotation_->refusal());
      EXPECT_EQ(rotation_->refusal()->code.value(), error);
      EXPECT_THAT(source_.observed(), SizeIs(present.size() - 1));
      next(present);
      EXPECT_FALSE(rotation_->refusal());
      EXPECT_THAT(source_.observed(), SizeIs(present.size()));
      next(present);
      for (const auto& vcpu : present) EXPECT_GE(observed(vcpu), 1) << failing;
    }
  }
}

TEST_F(RotationTest, EventsThatNeverGetCountersAreTold) {
  use(1, {"cycles"});
  source_.hardware_share = 0;
  const auto vcpu = vcpu_of(1, 0);
  rotation_->pass({vcpu});
  source_.run(vcpu.tid, 0.6);
  rotation_->pass({vcpu});
  EXPECT_FALSE(rotation_->starved());
  source_.run(vcpu.tid, 0.6);
  rotation_->pass({vcpu});
  EXPECT_TRUE(rotation_->starved());
  EXPECT_EQ(rotation_->totals(vcpu.id), nullptr);
  source_.hardware_share = 0.5;
  source_.run(vcpu.tid, 0.6);
  rotation_->pass({vcpu});
  EXPECT_FALSE(rotation_->starved());
  EXPECT_DOUBLE_EQ(observed(vcpu), 1.8);
}

// A VM that runs for less than a second in each of its turns.
TEST_F(RotationTest, EventsThatNeverGetCountersAreToldOverManyTurns) {
  use(1, {"cycles"});
  source_.hardware_share = 0;
  const auto present = vms({1, 2}, 1);
  const auto turns = [&](int count) {
    for (int i = 0; i < count; ++i) {
      for (const auto& vcpu : present) source_.run(vcpu.tid, 0.6);
      source_.pass_time(kWindow);
      rotation_->pass(present);
    }
  };
  turns(5);
  EXPECT_TRUE(rotation_->starved());
  source_.hardware_share = 1;
  turns(2);
  EXPECT_FALSE(rotation_->starved());
}

// ---- All of it at once.

// A host where everything happens that can: the seed is fixed.
class RandomHost {
 public:
  explicit RandomHost(FakeEventSource& source) : source_(source) {}

  std::vector<Rotation::Vcpu> step() {
    if (chance(10)) start_vm();
    if (chance(20) && !vms_.empty()) vms_.erase(any_vm());
    source_.hardware_share = static_cast<double>(random_() % 5) / 4;
    source_.forbidden.clear();
    std::vector<Rotation::Vcpu> present;
    for (auto& [id, tids] : vms_) {
      const bool missed = chance(30);
      for (int i = 0; i < static_cast<int>(tids.size()); ++i) {
        pid_t& tid = tids[static_cast<std::size_t>(i)];
        source_.run(tid, static_cast<double>(random_() % 1000) / 1000);
        if (chance(50)) tid = next_tid_++;
        if (chance(50)) source_.forbidden.insert(tid);
        if (!missed && !chance(30)) present.push_back({{id, i}, tid});
      }
    }
    source_.pass_time(milliseconds(random_() % 15'000));
    return present;
  }

 private:
  bool chance(unsigned one_in) { return random_() % one_in == 0; }
  void start_vm() {
    auto& tids = vms_[{next_tid_, 1.0}];
    for (auto vcpus = random_() % 12 + 1; vcpus > 0; --vcpus)
      tids.push_back(next_tid_++);
  }
  std::map<VmId, std::vector<pid_t>>::iterator any_vm() {
    return std::next(vms_.begin(),
                     static_cast<std::ptrdiff_t>(random_() % vms_.size()));
  }

  FakeEventSource& source_;
  std::mt19937 random_{20260404};
  std::map<VmId, std::vector<pid_t>> vms_;
  pid_t next_tid_ = 1000;
};

TEST_F(RotationTest, NothingEverFallsAndNoLimitIsPassedWhateverHappens) {
  source_.cost = std::chrono::microseconds(50);
  use({20, kWindow, milliseconds(2)}, {"cycles", "page_faults"});
  RandomHost host(source_);
  std::map<Rotation::VcpuId, PerfTotals> before;
  int grown = 0;
  for (int i = 0; i < 3000; ++i) {
    const auto present = host.step();
    rotation_->pass(present);
    ASSERT_LE(source_.open_events(), 20U);
    ASSERT_EQ(source_.open_events(), rotation_->open_descriptors());
    for (const auto& vcpu : present) {
      const PerfTotals* const now = rotation_->totals(vcpu.id);
      PerfTotals& last = before[vcpu.id];
      if (now == nullptr) {
        ASSERT_EQ(last.observed_ns, 0U);
        continue;
      }
      if (now->observed_ns > last.observed_ns) ++grown;
      ASSERT_GE(now->observed_ns, last.observed_ns);
      const double observed = static_cast<double>(now->observed_ns) / 1e9;
      for (const auto& [counted, event] :
           {std::pair(now->software, groups_.software.front()),
            std::pair(now->hardware, groups_.hardware.front())}) {
        // Every event is of the time that is said to have been observed.
        ASSERT_NEAR(counted.at(0),
                    observed * FakeEventSource::rate(event.event),
                    1e-4 * counted.at(0) + 10)
            << event.name;
      }
      last = *now;
    }
  }
  EXPECT_GT(grown, 1000);
}

}  // namespace
}  // namespace vcpu
