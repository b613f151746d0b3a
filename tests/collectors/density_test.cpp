// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collectors/catalog.h"
#include "tests/support/literal_snapshot.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::Contains;
using testing::IsSupersetOf;
using testing::Not;
using testing::StartsWith;

std::vector<std::string> collect(const Snapshot& snapshot) {
  Families families;
  EXPECT_TRUE(make_density({})->collect(snapshot, families));
  return samples_of(families);
}

Vm vm_allowed(const std::string& name, const std::vector<CpuSet>& masks) {
  std::vector<Thread> vcpus;
  for (const CpuSet& mask : masks) {
    vcpus.push_back(
        vcpu_thread(name, static_cast<int>(vcpus.size()), {}, 0, mask));
  }
  return vm_of(name, std::move(vcpus));
}

// Two nodes of two cores with two threads each.
std::shared_ptr<const Topology> eight_cpus() {
  return host_with({{0, 4}, {1, 5}, {2, 6}, {3, 7}},
                   {{0, 1, 4, 5}, {2, 3, 6, 7}});
}

TEST(Density, CountsVcpusPerPhysicalCore) {
  const CpuSet all{0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_THAT(collect(snapshot_of({vm_allowed("a", {all, all, all, all, all}),
                                   vm_allowed("b", {all})},
                                  eight_cpus())),
              IsSupersetOf({"vcpu_host_logical_cpus 8", "vcpu_host_cores 4",
                            "vcpu_host_numa_nodes 2", "vcpu_host_vcpus 6",
                            "vcpu_host_thread_density_ratio 1.5"}));
}

TEST(Density, SharesAVcpuOutOverTheCpusItMayUse) {
  const CpuSet all{0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_THAT(
      collect(snapshot_of({vm_allowed("a", {all, {2, 3}, {2, 3}, {2}})},
                          eight_cpus())),
      IsSupersetOf({R"(vcpu_node_thread_density_ratio{numa_node="0"} 0.25)",
                    R"(vcpu_node_thread_density_ratio{numa_node="1"} 1.75)",
                    R"(vcpu_cpu_assigned_vcpus{cpu="0"} 0.125)",
                    R"(vcpu_cpu_assigned_vcpus{cpu="2"} 2.125)",
                    R"(vcpu_cpu_assigned_vcpus{cpu="3"} 1.125)"}));
}

TEST(Density, ShowsOverlappingPins) {
  EXPECT_THAT(
      collect(snapshot_of({vm_allowed("a", {{1}, {2}}), vm_allowed("b", {{1}})},
                          eight_cpus())),
      IsSupersetOf({R"(vcpu_cpu_pinned_vcpus{cpu="0"} 0)",
                    R"(vcpu_cpu_pinned_vcpus{cpu="1"} 2)",
                    R"(vcpu_cpu_pinned_vcpus{cpu="2"} 1)"}));
}

TEST(Density, CountsAVcpuOfUnknownAffinityForTheHostOnly) {
  Vm vm = vm_allowed("a", {{0}});
  vm.threads[0].allowed.reset();
  const auto said = collect(snapshot_of({vm}, eight_cpus()));
  EXPECT_THAT(said, IsSupersetOf({"vcpu_host_vcpus 1",
                                  R"(vcpu_cpu_assigned_vcpus{cpu="0"} 0)"}));
}

TEST(Density, IsZeroOnAHostWithoutVms) {
  EXPECT_THAT(
      collect(snapshot_of({}, eight_cpus())),
      IsSupersetOf({"vcpu_host_vcpus 0", "vcpu_host_thread_density_ratio 0",
                    R"(vcpu_node_thread_density_ratio{numa_node="1"} 0)"}));
}

TEST(Density, SpeaksOfNoNodeWithoutNuma) {
  const auto said = collect(snapshot_of({}, host_with({{0}}, {})));
  EXPECT_THAT(said, Not(Contains(StartsWith("vcpu_node_"))));
  EXPECT_THAT(said, Not(Contains(StartsWith("vcpu_host_numa_nodes"))));
}

}  // namespace
}  // namespace vcpu
