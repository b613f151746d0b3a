// SPDX-License-Identifier: Apache-2.0
//
// The promise that matters: steal and run as we tell them against what every
// thread measured itself, with more busy threads than CPUs.
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "tests/support/fake_vm.h"
#include "tests/support/host_under_test.h"

namespace vcpu {
namespace {

constexpr int kSpinMs = 4000;
constexpr double kTolerance = 0.01;

const Thread* thread_of(const Snapshot& snapshot, const char* domain,
                        pid_t tid) {
  const Vm* const vm = find_vm(snapshot, domain);
  if (vm == nullptr) return nullptr;
  for (const Thread& thread : vm->threads)
    if (thread.tid == tid) return &thread;
  return nullptr;
}

void expect_within(double told, double truth, const std::string& what) {
  EXPECT_LT(std::abs(told - truth), kTolerance * truth)
      << what << ": told " << told / kNsPerSecond << " s, truth "
      << truth / kNsPerSecond << " s";
}

TEST(Accuracy, StealAndRunAgreeWithEachThreadsOwnClockWithinOnePercent) {
  // Three threads per CPU: each waits for about two thirds of the time.
  const unsigned cpus = std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::string> names;
  for (unsigned i = 0; i < 2 * cpus; ++i)
    names.push_back("CPU " + std::to_string(i) + "/KVM");
  FakeVm first(qemu_argv("first", "bbbbbbbb-0000-0000-0000-000000000001"),
               names);
  names.resize(cpus);
  FakeVm second(qemu_argv("second", "bbbbbbbb-0000-0000-0000-000000000002"),
                names);

  auto inventory = inventory_on({});
  Families said;
  const Snapshot before = *inventory.take(said);
  first.start_spin(kSpinMs);
  second.start_spin(kSpinMs);
  const auto of_first = first.finish_spin();
  const auto of_second = second.finish_spin();
  const Snapshot after = *inventory.take(said);

  const auto check = [&](const char* domain, const FakeVm::Truth& truth) {
    const Thread* const then = thread_of(before, domain, truth.tid);
    const Thread* const now = thread_of(after, domain, truth.tid);
    ASSERT_NE(then, nullptr);
    ASSERT_NE(now, nullptr);
    const auto grown = [](std::uint64_t a, std::uint64_t b) {
      return static_cast<double>(b - a);
    };
    const auto name = std::string(domain) + " " + truth.name;
    expect_within(grown(then->sched->run_ns, now->sched->run_ns),
                  static_cast<double>(truth.cpu_ns), name + " run");
    expect_within(grown(then->sched->wait_ns, now->sched->wait_ns),
                  static_cast<double>(truth.wall_ns - truth.cpu_ns),
                  name + " steal");
  };
  ASSERT_EQ(of_first.size(), 2 * cpus);
  for (const auto& truth : of_first) check("first", truth);
  for (const auto& truth : of_second) check("second", truth);
}

}  // namespace
}  // namespace vcpu
