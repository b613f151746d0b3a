// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collectors/catalog.h"
#include "tests/support/fake_monitor.h"
#include "tests/support/literal_snapshot.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::IsSupersetOf;

Families collect(const LibvirtView& view, std::vector<Vm> vms) {
  Snapshot snapshot = snapshot_of(std::move(vms));
  snapshot.libvirt = std::make_shared<const LibvirtView>(view);
  Families families;
  EXPECT_TRUE(make_libvirt({})->collect(snapshot, families));
  return families;
}

TEST(Libvirt, SaysNothingButTheReasonOnAHostWithoutOne) {
  LibvirtView view;
  view.reason = "no libvirt socket";
  const auto said = collect(view, {vm_of("web", {})});
  EXPECT_THAT(samples_of(said), IsEmpty());
  EXPECT_EQ(reason_of(said, "libvirt"), "no libvirt socket");
}

TEST(Libvirt, SaysThatItIsUpAndHowOldItsFiguresAre) {
  LibvirtView view;
  view.expected = view.up = true;
  view.age_seconds = 2.5;
  const auto said = collect(view, {});
  EXPECT_THAT(
      samples_of(said),
      ElementsAre("vcpu_libvirt_up 1", "vcpu_libvirt_cache_age_seconds 2.5"));
  EXPECT_EQ(reason_of(said, "libvirt"), "");
}

TEST(Libvirt, SaysThatItIsDown) {
  LibvirtView view;
  view.expected = true;
  view.reason = "connection refused";
  const auto said = collect(view, {});
  EXPECT_THAT(samples_of(said), ElementsAre("vcpu_libvirt_up 0"));
  EXPECT_EQ(reason_of(said, "libvirt"), "connection refused");
}

TEST(Libvirt, SaysStateCountsAndPinsOfAVmItKnows) {
  const LibvirtDomain domain{"u-1", "web", "paused", 2, 4, {1, 8}};
  Vm vm = vm_of("web", {vcpu_thread("web", 0, {}, 0, {0})});
  vm.libvirt = &domain;
  const auto said = samples_of(collect({}, {vm}));
  EXPECT_THAT(said, IsSupersetOf({
                        R"(vcpu_domain_state{domain="web",state="paused"} 1)",
                        R"(vcpu_domain_state{domain="web",state="running"} 0)",
                        R"(vcpu_domain_vcpus{domain="web",kind="current"} 2)",
                        R"(vcpu_domain_vcpus{domain="web",kind="maximum"} 4)",
                        R"(vcpu_configured_cpus{domain="web",vcpu="0"} 1)",
                    }));
  // Not of vCPU 1, which is not plugged in.
  EXPECT_EQ(said.size(), 8U + 2U + 1U);
}

TEST(Libvirt, SaysWhyAVmIsInItsState) {
  LibvirtDomain domain{"u-1", "web", "paused", {}, {}, {}};
  domain.state_reason = "ioerror";
  Vm vm = vm_of("web", {});
  vm.libvirt = &domain;
  EXPECT_THAT(
      samples_of(collect({}, {vm})),
      Contains(
          R"(vcpu_domain_state_reason_info{domain="web",state="paused",reason="ioerror"} 1)"));
}

TEST(Libvirt, SaysHowOldTheMonitorsFiguresAre) {
  const auto monitor = std::make_shared<FakeMonitor>();
  Vm vm = vm_of("web", {});
  vm.pid = 7;
  monitor->told[7] = {};
  monitor->asked = {{vm.id(), "web", "u-1"}};
  CollectorOptions options;
  options.monitor = monitor;
  Families families;
  ASSERT_TRUE(make_libvirt(options)->collect(snapshot_of({vm}), families));
  EXPECT_THAT(
      samples_of(families),
      ElementsAre(R"(vcpu_libvirt_monitor_age_seconds{domain="web"} 4.5)"));
  EXPECT_THAT(monitor->groups, IsEmpty());
}

TEST(Libvirt, LeavesOutWhatItCouldNotLearn) {
  const LibvirtDomain domain{"u-1", "web", "running", {}, {}, {}};
  Vm vm = vm_of("web", {});
  vm.libvirt = &domain;
  EXPECT_EQ(samples_of(collect({}, {vm})).size(), 8U);
}

}  // namespace
}  // namespace vcpu
