// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/vm_totals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <vector>

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using ThreadId = VmTotals::ThreadId;

constexpr ThreadId kFirst{101, 1000};
constexpr ThreadId kSecond{102, 2000};
constexpr ThreadId kThird{103, 3000};
constexpr auto kWorker = ThreadRole::kWorker;
constexpr auto kEmulator = ThreadRole::kEmulator;

// A thread all of whose figures are the same.
SchedStat figures(std::uint64_t n) { return {n, n, n, n, n, n}; }

SchedStat without_switches(std::uint64_t n) {
  auto stat = figures(n);
  stat.voluntary.reset();
  stat.involuntary.reset();
  return stat;
}

MATCHER_P(AreAll, n, "") {
  return arg.run_ns == n && arg.wait_ns == n && arg.dispatches == n &&
         arg.voluntary == n && arg.involuntary == n && arg.migrations == n;
}

MATCHER_P3(Time, role, run_ns, wait_ns, "") {
  return arg.role == role && arg.run_ns == std::uint64_t(run_ns) &&
         arg.wait_ns == std::uint64_t(wait_ns);
}

// What threads got before that pass is not counted to their roles.
VmTotals after_the_first_pass() {
  VmTotals totals;
  totals.finish_pass();
  return totals;
}

TEST(VmTotals, OfAVcpuAreThoseOfItsThread) {
  VmTotals totals;
  EXPECT_THAT(totals.vcpu(0, kFirst, figures(5)), AreAll(5U));
  EXPECT_THAT(totals.vcpu(0, kFirst, figures(7)), AreAll(7U));
}

TEST(VmTotals, KeepEachFigureInItsPlace) {
  VmTotals totals;
  totals.vcpu(0, kFirst, {1, 2, 3, 4, 5, 6});
  const auto stat = totals.vcpu(0, kSecond, {10, 20, 30, 40, 50, 60});
  EXPECT_EQ(stat.run_ns, 11U);
  EXPECT_EQ(stat.wait_ns, 22U);
  EXPECT_EQ(stat.dispatches, 33U);
  EXPECT_EQ(stat.voluntary, 44U);
  EXPECT_EQ(stat.involuntary, 55U);
  EXPECT_EQ(stat.migrations, 66U);
}

TEST(VmTotals, GoOnWhenAVcpuIsPluggedAgain) {
  VmTotals totals;
  totals.vcpu(0, kFirst, figures(100));
  EXPECT_THAT(totals.vcpu(0, kSecond, figures(0)), AreAll(100U));
  EXPECT_THAT(totals.vcpu(0, kSecond, figures(3)), AreAll(103U));
  EXPECT_THAT(totals.vcpu(0, kThird, figures(1)), AreAll(104U));
}

TEST(VmTotals, GoOnWhenAVcpuWasAwayForAWhile) {
  VmTotals totals;
  totals.vcpu(1, kFirst, figures(100));
  totals.finish_pass();
  totals.finish_pass();
  EXPECT_THAT(totals.vcpu(1, kSecond, figures(1)), AreAll(101U));
}

TEST(VmTotals, TellThreadsOfOneTidApartByTheirStart) {
  VmTotals totals;
  totals.vcpu(0, {101, 1000}, figures(100));
  EXPECT_THAT(totals.vcpu(0, {101, 1001}, figures(1)), AreAll(101U));
}

TEST(VmTotals, KeepVcpusApart) {
  VmTotals totals;
  totals.vcpu(0, kFirst, figures(100));
  EXPECT_THAT(totals.vcpu(1, kSecond, figures(5)), AreAll(5U));
}

TEST(VmTotals, DoNotTellWhatTheKernelDoesNot) {
  VmTotals totals;
  totals.vcpu(0, kFirst, figures(100));
  const auto stat = totals.vcpu(0, kFirst, without_switches(101));
  EXPECT_FALSE(stat.voluntary);
  EXPECT_FALSE(stat.involuntary);
  EXPECT_EQ(stat.migrations, 101U);
}

// A thread that ends while it is read may still tell the half of it.
TEST(VmTotals, KeepWhatAThreadToldBeforeItsLastHalfPass) {
  VmTotals totals;
  totals.vcpu(0, kFirst, figures(100));
  totals.vcpu(0, kFirst, without_switches(101));
  const auto stat = totals.vcpu(0, kSecond, figures(1));
  EXPECT_EQ(stat.run_ns, 102U);
  EXPECT_EQ(stat.voluntary, 101U);
  EXPECT_EQ(stat.involuntary, 101U);
}

TEST(VmTotals, KeepWhatEarlierThreadsToldOverOneThatToldNothing) {
  VmTotals totals;
  totals.vcpu(0, kFirst, figures(100));
  totals.vcpu(0, kSecond, without_switches(1));
  const auto stat = totals.vcpu(0, kThird, figures(1));
  EXPECT_EQ(stat.run_ns, 102U);
  EXPECT_EQ(stat.voluntary, 101U);
}

// An exporter that is started again must not show less than before, but zero.
TEST(VmTotals, OfARoleBeginAtZeroWhateverItsThreadsGotBefore) {
  VmTotals totals;
  totals.role(kWorker, kFirst, figures(1000));
  EXPECT_THAT(totals.finish_pass(), ElementsAre(Time(kWorker, 0, 0)));
  totals.role(kWorker, kFirst, figures(1003));
  totals.role(kWorker, kSecond, figures(4));
  EXPECT_THAT(totals.finish_pass(), ElementsAre(Time(kWorker, 7, 7)));
}

// The thread that a new program runs on keeps number and start, not figures.
TEST(VmTotals, DoNotFallWhereTheKernelsFiguresDo) {
  VmTotals totals = after_the_first_pass();
  totals.vcpu(0, kFirst, figures(100));
  EXPECT_EQ(totals.vcpu(0, kFirst, figures(3)).run_ns, 103U);
  EXPECT_EQ(totals.vcpu(0, kFirst, figures(5)).run_ns, 105U);
  totals.role(kWorker, kSecond, figures(100));
  totals.role(kWorker, kSecond, figures(3));
  EXPECT_THAT(totals.finish_pass(), ElementsAre(Time(kWorker, 103, 103)));
}

TEST(VmTotals, KnowWhoCarriesAVcpu) {
  VmTotals totals;
  EXPECT_FALSE(totals.carries(0, kFirst));
  totals.vcpu(0, kFirst, figures(1));
  EXPECT_TRUE(totals.carries(0, kFirst));
  totals.vcpu(0, kSecond, figures(1));
  EXPECT_FALSE(totals.carries(0, kFirst));
}

TEST(VmTotals, OfARoleAreTheSumOfItsThreads) {
  VmTotals totals = after_the_first_pass();
  totals.role(kWorker, kFirst, {5, 1, 0, {}, {}, {}});
  totals.role(kWorker, kSecond, {7, 2, 0, {}, {}, {}});
  totals.role(kEmulator, kThird, {9, 3, 0, {}, {}, {}});
  EXPECT_THAT(totals.finish_pass(),
              ElementsAre(Time(kEmulator, 9, 3), Time(kWorker, 12, 3)));
}

TEST(VmTotals, OfARoleGrowByWhatItsThreadsDid) {
  VmTotals totals = after_the_first_pass();
  totals.role(kWorker, kFirst, figures(5));
  totals.finish_pass();
  totals.role(kWorker, kFirst, figures(8));
  EXPECT_THAT(totals.finish_pass(), ElementsAre(Time(kWorker, 8, 8)));
}

TEST(VmTotals, OfARoleCountThreadsThatHaveEnded) {
  VmTotals totals = after_the_first_pass();
  totals.role(kWorker, kFirst, figures(5));
  totals.finish_pass();
  totals.role(kWorker, kSecond, figures(1));
  EXPECT_THAT(totals.finish_pass(), ElementsAre(Time(kWorker, 6, 6)));
  EXPECT_THAT(totals.finish_pass(), ElementsAre(Time(kWorker, 6, 6)));
}

// A pass may miss a thread that lives: no descriptor was to be had.
TEST(VmTotals, OfARoleCountAThreadOnceThatWasMissedForAWhile) {
  VmTotals totals = after_the_first_pass();
  totals.role(kWorker, kFirst, figures(5));
  for (int missed = 0; missed < 10; ++missed) totals.finish_pass();
  totals.role(kWorker, kFirst, figures(7));
  EXPECT_THAT(totals.finish_pass(), ElementsAre(Time(kWorker, 7, 7)));
}

TEST(VmTotals, OfARoleKeepWhatAThreadDidBeforeItChanged) {
  VmTotals totals = after_the_first_pass();
  totals.role(kEmulator, kFirst, figures(5));
  totals.finish_pass();
  totals.role(kWorker, kFirst, figures(8));
  EXPECT_THAT(totals.finish_pass(),
              ElementsAre(Time(kEmulator, 5, 5), Time(kWorker, 3, 3)));
}

TEST(VmTotals, OfNoThreadsAreNone) {
  EXPECT_THAT(VmTotals().finish_pass(), IsEmpty());
}

bool at_least(const SchedStat& now, const SchedStat& before) {
  const auto count = [](const auto& later, const auto& earlier) {
    return !later || !earlier || *later >= *earlier;
  };
  return now.run_ns >= before.run_ns && now.wait_ns >= before.wait_ns &&
         now.dispatches >= before.dispatches &&
         count(now.voluntary, before.voluntary) &&
         count(now.involuntary, before.involuntary) &&
         count(now.migrations, before.migrations);
}

void run_on(SchedStat& stat, std::mt19937& random) {
  const auto more = [&] { return random() % 1000; };
  stat.run_ns += more();
  stat.wait_ns += more();
  stat.dispatches += more();
  stat.voluntary = stat.voluntary.value_or(0) + more();
  stat.involuntary = stat.involuntary.value_or(0) + more();
  stat.migrations = stat.migrations.value_or(0) + more();
}

// One vCPU whose thread is replaced at random, and the truth about it.
struct RandomVcpu {
  ThreadId thread{1, 1};
  SchedStat raw = figures(0);
  SchedStat ended = figures(0);
  SchedStat told;

  void live_on(std::mt19937& random) {
    if (random() % 4 == 0) {
      ended = truth();
      raw = figures(0);
      thread.second += 1 + random() % 9;
    }
    run_on(raw, random);
  }
  SchedStat truth() const {
    return {ended.run_ns + raw.run_ns,
            ended.wait_ns + raw.wait_ns,
            ended.dispatches + raw.dispatches,
            *ended.voluntary + *raw.voluntary,
            *ended.involuntary + *raw.involuntary,
            *ended.migrations + *raw.migrations};
  }
};

TEST(VmTotals, OfVcpusAreTrueWhateverTheirThreadsDo) {
  std::mt19937 random(1);  // NOLINT: the same lives on every run.
  VmTotals totals;
  std::vector<RandomVcpu> vcpus(4);
  for (int pass = 0; pass < 2000; ++pass) {
    for (std::size_t i = 0; i < vcpus.size(); ++i) {
      auto& vcpu = vcpus[i];
      vcpu.live_on(random);
      const auto told = totals.vcpu(static_cast<int>(i), vcpu.thread, vcpu.raw);
      const auto truth = vcpu.truth();
      ASSERT_EQ(told.run_ns, truth.run_ns);
      ASSERT_EQ(told.wait_ns, truth.wait_ns);
      ASSERT_EQ(told.dispatches, truth.dispatches);
      ASSERT_EQ(told.voluntary, truth.voluntary);
      ASSERT_EQ(told.involuntary, truth.involuntary);
      ASSERT_EQ(told.migrations, truth.migrations);
    }
    totals.finish_pass();
  }
}

// Remembers, of each optional figure, the last one that was told.
void remember(std::optional<std::uint64_t>& last,
              const std::optional<std::uint64_t>& now) {
  if (now) last = now;
}

TEST(VmTotals, OfVcpusNeverDecreaseWhateverTheKernelLeavesOut) {
  std::mt19937 random(2);  // NOLINT: the same lives on every run.
  VmTotals totals;
  std::vector<RandomVcpu> vcpus(4);
  for (int pass = 0; pass < 2000; ++pass) {
    for (std::size_t i = 0; i < vcpus.size(); ++i) {
      auto& vcpu = vcpus[i];
      vcpu.live_on(random);
      if (random() % 3 == 0) continue;  // Not seen in this pass.
      auto raw = vcpu.raw;
      if (random() % 3 == 0) raw.voluntary.reset();
      if (random() % 3 == 0) raw.involuntary.reset();
      if (random() % 3 == 0) raw.migrations.reset();
      const auto now = totals.vcpu(static_cast<int>(i), vcpu.thread, raw);
      ASSERT_TRUE(at_least(now, vcpu.told)) << "vCPU " << i << " pass " << pass;
      ASSERT_EQ(now.voluntary.has_value(), raw.voluntary.has_value());
      vcpu.told.run_ns = now.run_ns;
      vcpu.told.wait_ns = now.wait_ns;
      vcpu.told.dispatches = now.dispatches;
      remember(vcpu.told.voluntary, now.voluntary);
      remember(vcpu.told.involuntary, now.involuntary);
      remember(vcpu.told.migrations, now.migrations);
    }
    totals.finish_pass();
  }
}

TEST(VmTotals, OfRolesAreTrueWhateverTheirThreadsDo) {
  std::mt19937 random(3);  // NOLINT: the same lives on every run.
  VmTotals totals = after_the_first_pass();
  std::map<ThreadId, SchedStat> pool;
  std::uint64_t run_ns = 0;
  std::uint64_t wait_ns = 0;
  pid_t next = 1;
  for (int pass = 0; pass < 2000; ++pass) {
    if (random() % 2 == 0) pool.emplace(ThreadId{next++, pass}, SchedStat{});
    if (!pool.empty() && random() % 3 == 0) pool.erase(pool.begin());
    for (auto& [thread, stat] : pool) {
      const auto before = stat;
      run_on(stat, random);
      run_ns += stat.run_ns - before.run_ns;
      wait_ns += stat.wait_ns - before.wait_ns;
      totals.role(kWorker, thread, stat);
    }
    const auto times = totals.finish_pass();
    if (run_ns == 0) continue;
    ASSERT_THAT(times, ElementsAre(Time(kWorker, run_ns, wait_ns)));
  }
  EXPECT_GT(next, 500);
}

}  // namespace
}  // namespace vcpu
