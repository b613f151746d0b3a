// SPDX-License-Identifier: Apache-2.0
#include "collectors/numa_placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/literal_snapshot.h"

namespace vcpu {
namespace {

using testing::DoubleEq;
using testing::Optional;

// Two nodes of two CPUs, 10 within and 30 across, and node 2 without CPUs.
Topology host() {
  Topology host = *host_with({{0}, {1}, {2}, {3}}, {{0, 1}, {2, 3}});
  host.distance = {{{0, 0}, 10}, {{0, 1}, 30}, {{0, 2}, 20},
                   {{1, 0}, 30}, {{1, 1}, 10}, {{1, 2}, 40},
                   {{2, 0}, 20}, {{2, 1}, 40}, {{2, 2}, 10}};
  return host;
}

// A vCPU on each of these CPUs, which all have run alike.
Vm vm_on(const std::vector<int>& cpus, std::uint64_t run_ns = 7) {
  std::vector<Thread> vcpus;
  SchedStat sched;
  sched.run_ns = run_ns;
  for (const int cpu : cpus) {
    vcpus.push_back(
        vcpu_thread("a", static_cast<int>(vcpus.size()), sched, cpu, {cpu}));
  }
  return vm_of("a", std::move(vcpus));
}

void expect(const std::optional<NumaPlacement>& placement, double misplacement,
            double distance) {
  ASSERT_TRUE(placement);
  EXPECT_DOUBLE_EQ(placement->misplacement, misplacement);
  EXPECT_THAT(placement->distance, Optional(DoubleEq(distance)));
}

std::optional<NumaPlacement> placement(const Vm& vm, const NodeBytes& memory) {
  return placement_of(vm, host(), &memory);
}

TEST(NumaPlacement, IsTheShareOfMemoryElsewhere) {
  expect(placement(vm_on({0, 1}), {{0, 100}, {1, 0}}), 0, 1);
  expect(placement(vm_on({2, 3}), {{0, 100}, {1, 0}}), 1, 3);
  expect(placement(vm_on({0, 1}), {{0, 50}, {1, 50}}), 0.5, 2);
  expect(placement(vm_on({0, 3}), {{0, 100}}), 0.5, 2);
  expect(placement(vm_on({0, 0, 0, 2}), {{0, 75}, {1, 25}}), 0.375, 1.75);
}

TEST(NumaPlacement, WeighsVcpusByTheirRunTime) {
  Vm vm = vm_on({0, 2});
  vm.threads[0].sched->run_ns = 30;
  vm.threads[1].sched->run_ns = 10;
  expect(placement(vm, {{0, 100}}), 0.25, 1.5);
  // What one of them has run is not told: it may be most of it.
  vm.threads[1].sched.reset();
  EXPECT_FALSE(placement(vm, {{0, 100}}));
}

TEST(NumaPlacement, WeighsAllAlikeWhereNoneHasRun) {
  expect(placement(vm_on({0, 2}, 0), {{0, 100}}), 0.5, 2);
  Vm untold = vm_on({0, 2});
  for (Thread& thread : untold.threads) thread.sched.reset();
  expect(placement(untold, {{0, 100}}), 0.5, 2);
}

TEST(NumaPlacement, LeavesOutAVcpuThatIsNowhere) {
  Vm vm = vm_on({0, 2});
  vm.threads[0].cpu.reset();
  expect(placement(vm, {{0, 100}}), 1, 3);
  vm.threads[1].cpu = 99;
  EXPECT_FALSE(placement(vm, {{0, 100}}));
  EXPECT_FALSE(placement(vm_on({}), {{0, 100}}));
}

TEST(NumaPlacement, CrossesToANodeWithoutCpus) {
  expect(placement(vm_on({0}), {{0, 50}, {2, 50}}), 0.5, 1.5);
  expect(placement(vm_on({2}), {{2, 100}}), 1, 4);
}

TEST(NumaPlacement, IsZeroAndOneOnOneNode) {
  Topology one = *host_with({{0}, {1}}, {{0, 1}});
  one.distance = {{{0, 0}, 10}};
  const NodeBytes memory{{0, 1}};
  expect(placement_of(vm_on({0, 1}), one, &memory), 0, 1);
}

TEST(NumaPlacement, KeepsItsBoundsWhateverIsAddedUp) {
  for (int vcpus = 1; vcpus < 60; ++vcpus) {
    Vm vm = vm_on(std::vector<int>(static_cast<std::size_t>(vcpus), 0), 0);
    for (Thread& thread : vm.threads)
      thread.sched->run_ns =
          1 + 1000000007UL * static_cast<unsigned>(thread.vcpu);
    const auto near = placement(vm, {{0, 333}});
    EXPECT_EQ(near->misplacement, 0);
    EXPECT_EQ(near->distance, 1);
    const auto far = placement(vm, {{1, 333}});
    EXPECT_EQ(far->misplacement, 1);
    EXPECT_EQ(far->distance, 3);
  }
}

TEST(NumaPlacement, IsUnknownWithoutNodes) {
  const NodeBytes memory{{0, 1}};
  EXPECT_FALSE(placement_of(vm_on({0}), *host_with({{0}}, {}), &memory));
}

TEST(NumaPlacement, IsUnknownWhereTheMemoryIs) {
  EXPECT_FALSE(placement_of(vm_on({0}), host(), nullptr));
  EXPECT_FALSE(placement(vm_on({0}), {}));
  EXPECT_FALSE(placement(vm_on({0}), {{0, 0}, {1, 0}}));
}

TEST(NumaPlacement, HasNoDistanceWhereOneIsNotTold) {
  Topology untold = host();
  untold.distance.erase({1, 0});
  const NodeBytes memory{{0, 100}};
  const auto known = placement_of(vm_on({0}), untold, &memory);
  ASSERT_TRUE(known);
  EXPECT_TRUE(known->distance);
  for (const auto& cpus : {std::vector{0, 2}, std::vector{2, 0}}) {
    const auto far = placement_of(vm_on(cpus), untold, &memory);
    ASSERT_TRUE(far);
    EXPECT_DOUBLE_EQ(far->misplacement, 0.5);
    EXPECT_FALSE(far->distance);
  }
  untold.distance.clear();
  EXPECT_FALSE(placement_of(vm_on({0}), untold, &memory)->distance);
}

class BoundCells : public testing::Test {
 protected:
  // Its vCPUs 0 and 1 in one cell, 2 and 3 in the other.
  std::optional<NumaPlacement> running_on(const std::vector<int>& cpus,
                                          const std::vector<int>& first,
                                          const std::vector<int>& second) {
    return placed(vm_on(cpus), first, second);
  }
  std::optional<NumaPlacement> placed(Vm vm, const std::vector<int>& first,
                                      const std::vector<int>& second) {
    libvirt_.cells = {{{0, 1}, first}, {{2, 3}, second}};
    vm.libvirt = &libvirt_;
    return placement_of(vm, host(), memory_);
  }

  LibvirtDomain libvirt_;
  const NodeBytes* memory_ = nullptr;
};

TEST_F(BoundCells, AreMisplacedByTheShareOfVcpusOffTheirCellsNode) {
  expect(running_on({0, 1, 2, 3}, {0}, {1}), 0, 1);
  expect(running_on({0, 1, 2, 0}, {0}, {1}), 0.25, 1.5);
  expect(running_on({2, 3, 0, 1}, {0}, {1}), 1, 3);
}

TEST_F(BoundCells, CountVcpusByHeadsHoweverLongTheyRan) {
  Vm vm = vm_on({0, 1, 2, 0});
  vm.threads[3].sched->run_ns = 1'000'000;
  expect(placed(vm, {0}, {1}), 0.25, 1.5);
  vm.threads[3].sched->run_ns = 0;
  expect(placed(vm, {0}, {1}), 0.25, 1.5);
  vm.threads[3].sched.reset();
  expect(placed(vm, {0}, {1}), 0.25, 1.5);
}

TEST_F(BoundCells, CountWhateverTheWholeVmsMemory) {
  const NodeBytes memory{{0, 50}, {1, 50}};
  memory_ = &memory;
  expect(running_on({0, 1, 2, 3}, {0}, {1}), 0, 1);
}

TEST_F(BoundCells, MayHaveSeveralNodes) {
  expect(running_on({0, 2, 2, 2}, {0, 1}, {1}), 0, 1);
  // Node 0 to nodes 1 and 2: (30 + 20) / 2 / 10.
  expect(running_on({0, 1, 0, 0}, {0}, {1, 2}), 0.5, 1.75);
}

TEST_F(BoundCells, AreNotAskedWhereOneOfThemIsNotBound) {
  EXPECT_FALSE(running_on({0, 1, 2, 3}, {0}, {}));
  const NodeBytes memory{{0, 100}};
  memory_ = &memory;
  expect(running_on({0, 1, 2, 3}, {0}, {}), 0.5, 2);
  // A vCPU that is in no cell.
  expect(running_on({0, 1, 2, 3, 3}, {0}, {1}), 0.6, 2.2);
}

TEST_F(BoundCells, OfANodeThatIsOfflineHaveNoDistance) {
  const auto placement = running_on({0, 1, 2, 3}, {0}, {7});
  ASSERT_TRUE(placement);
  EXPECT_DOUBLE_EQ(placement->misplacement, 0.5);
  EXPECT_FALSE(placement->distance);
}

}  // namespace
}  // namespace vcpu
