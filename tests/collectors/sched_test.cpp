// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collectors/catalog.h"
#include "tests/support/literal_snapshot.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

Families collect(const Snapshot& snapshot) {
  Families families;
  EXPECT_TRUE(make_sched({})->collect(snapshot, families));
  return families;
}

TEST(Sched, SaysEveryFigureOfAVcpu) {
  const SchedStat sched{1'500'000'000, 250'000'001, 12, 7, 5, 3};
  const auto said = collect(
      snapshot_of({vm_of("web", {vcpu_thread("web", 0, sched, 1, {0, 1})})}));
  EXPECT_THAT(
      samples_of(said),
      ElementsAre(
          R"(vcpu_run_seconds_total{domain="web",vcpu="0"} 1.5)",
          R"(vcpu_steal_seconds_total{domain="web",vcpu="0"} 0.250000001)",
          R"(vcpu_dispatches_total{domain="web",vcpu="0"} 12)",
          R"(vcpu_context_switches_total{domain="web",vcpu="0",kind="voluntary"} 7)",
          R"(vcpu_context_switches_total{domain="web",vcpu="0",kind="involuntary"} 5)",
          R"(vcpu_migrations_total{domain="web",vcpu="0"} 3)",
          R"(vcpu_cpu{domain="web",vcpu="0"} 1)",
          R"(vcpu_numa_node{domain="web",vcpu="0"} 0)",
          R"(vcpu_allowed_cpus{domain="web",vcpu="0"} 2)"));
}

TEST(Sched, SaysThePinOfAVcpuThatMayUseOneCpu) {
  const auto said =
      collect(snapshot_of({vm_of("web", {vcpu_thread("web", 3, {}, 1, {1})})}));
  EXPECT_THAT(samples_of(said),
              Contains(R"(vcpu_pinned_info{domain="web",vcpu="3",cpu="1"} 1)"));
}

TEST(Sched, SaysNothingOfWhatTheKernelDoesNotTell) {
  const SchedStat only_times{1, 2, 3, {}, {}, {}};
  auto thread = vcpu_thread("web", 0, only_times, 0, {0});
  thread.cpu.reset();
  thread.allowed.reset();
  const auto said = collect(snapshot_of({vm_of("web", {thread})}));
  EXPECT_THAT(samples_of(said),
              ElementsAre(StartsWith("vcpu_run_seconds_total"),
                          StartsWith("vcpu_steal_seconds_total"),
                          StartsWith("vcpu_dispatches_total")));
}

TEST(Sched, SaysNoNodeOfACpuWithoutOne) {
  const auto said =
      collect(snapshot_of({vm_of("web", {vcpu_thread("web", 0, {}, 7, {0})})}));
  EXPECT_THAT(samples_of(said), Not(Contains(StartsWith("vcpu_numa_node"))));
}

TEST(Sched, SaysTheLongestOfTheWaitsThatGoOn) {
  Thread first = vcpu_thread("web", 0, {}, 7, {0});
  Thread second = vcpu_thread("web", 1, {}, 7, {0});
  first.waiting_ns = 30'000'000;
  second.waiting_ns = 2'500'000'000;
  const auto said = collect(snapshot_of({vm_of("web", {first, second})}));
  EXPECT_THAT(samples_of(said),
              Contains("vcpu_waiting_seconds{domain=\"web\"} 2.5"));
}

TEST(Sched, SaysThatNobodyWaits) {
  Thread thread = vcpu_thread("web", 0, {}, 7, {0});
  thread.waiting_ns = 0;
  const auto said = collect(snapshot_of({vm_of("web", {thread})}));
  EXPECT_THAT(samples_of(said),
              Contains("vcpu_waiting_seconds{domain=\"web\"} 0"));
}

TEST(Sched, SaysNothingOfWaitsThatItCannotSee) {
  const auto said =
      collect(snapshot_of({vm_of("web", {vcpu_thread("web", 0, {}, 7, {0})})}));
  EXPECT_THAT(samples_of(said),
              Not(Contains(StartsWith("vcpu_waiting_seconds"))));
}

TEST(Sched, LeavesThreadsThatAreNoVcpusAlone) {
  Vm vm = vm_of("web", {});
  Thread& emulator = vm.threads.emplace_back();
  emulator.role = ThreadRole::kEmulator;
  emulator.sched = SchedStat{1, 2, 3, 4, 5, 6};
  EXPECT_THAT(samples_of(collect(snapshot_of({vm}))), IsEmpty());
}

}  // namespace
}  // namespace vcpu
