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
using testing::HasSubstr;
using testing::IsEmpty;

class BlockTest : public testing::Test {
 protected:
  BlockTest() {
    vm_ = vm_of("web", {});
    vm_.pid = 7;
    vm_.libvirt = &domain_;
  }

  Families collect(bool paths = false, bool expected = true) {
    CollectorOptions options;
    options.monitor = monitor_;
    options.block.paths = paths;
    auto snapshot = snapshot_of({vm_});
    LibvirtView view;
    view.expected = expected;
    view.reason = "no libvirt socket";
    snapshot.libvirt = std::make_shared<const LibvirtView>(view);
    Families families;
    EXPECT_TRUE(make_block(options)->collect(snapshot, families));
    return families;
  }

  const LibvirtDomain domain_{"u-1", "web", "running", {}, {}, {}};
  Vm vm_;
  std::shared_ptr<FakeMonitor> monitor_ = std::make_shared<FakeMonitor>();
};

TEST_F(BlockTest, SaysRequestsBytesAndTimeOfEachDisk) {
  monitor_->told[7].devices = {{"vda",
                                "/images/a.img",
                                {2, 4608, 1386896},
                                {3, 1024, 2'000'000'000},
                                {1, {}, 500'000'000}}};
  const auto said = collect();
  EXPECT_THAT(
      samples_of(said),
      ElementsAre(
          R"(vcpu_domain_block_requests_total{domain="web",device="vda",op="read"} 2)",
          R"(vcpu_domain_block_requests_total{domain="web",device="vda",op="write"} 3)",
          R"(vcpu_domain_block_requests_total{domain="web",device="vda",op="flush"} 1)",
          R"(vcpu_domain_block_bytes_total{domain="web",device="vda",op="read"} 4608)",
          R"(vcpu_domain_block_bytes_total{domain="web",device="vda",op="write"} 1024)",
          R"(vcpu_domain_block_seconds_total{domain="web",device="vda",op="read"} 0.001386896)",
          R"(vcpu_domain_block_seconds_total{domain="web",device="vda",op="write"} 2)",
          R"(vcpu_domain_block_seconds_total{domain="web",device="vda",op="flush"} 0.5)"));
  EXPECT_EQ(reason_of(said, "libvirt_monitor"), "");
  EXPECT_THAT(monitor_->groups, ElementsAre(MonitorGroup::kBlock));
}

TEST_F(BlockTest, SaysPathsWhereItIsTold) {
  monitor_->told[7].devices = {{"vda", "/images/\xff\n.img", {}, {}, {}},
                               {"sda", "", {}, {}, {}}};
  EXPECT_THAT(samples_of(collect()), IsEmpty());
  EXPECT_THAT(
      samples_of(collect(true)),
      ElementsAre("vcpu_domain_block_info{domain=\"web\",device=\"vda\","
                  "path=\"/images/\xef\xbf\xbd.img\"} 1"));
}

TEST_F(BlockTest, SaysHowLongIothreadsPoll) {
  monitor_->told[7].iothreads = {{1, 32768}, {2, 0}, {3, {}}};
  EXPECT_THAT(
      samples_of(collect()),
      ElementsAre(
          R"(vcpu_domain_iothread_poll_max_seconds{domain="web",iothread="1"} 3.2768e-05)",
          R"(vcpu_domain_iothread_poll_max_seconds{domain="web",iothread="2"} 0)"));
}

TEST_F(BlockTest, HasThoseAskedWhomLibvirtKnows) {
  collect();
  ASSERT_EQ(monitor_->asked.size(), 1U);
  EXPECT_EQ(monitor_->asked[0].uuid, "u-1");
  EXPECT_EQ(monitor_->asked[0].domain, "web");
  vm_.libvirt = nullptr;
  collect();
  EXPECT_EQ(monitor_->asked[0].uuid, "");
}

TEST_F(BlockTest, SaysWhyThereIsNothing) {
  monitor_->reason = "a VM's QEMU does not answer";
  EXPECT_EQ(reason_of(collect(), "libvirt_monitor"),
            "a VM's QEMU does not answer");
  monitor_->groups.clear();
  EXPECT_EQ(reason_of(collect(false, false), "libvirt_monitor"),
            "no libvirt socket");
  EXPECT_THAT(monitor_->groups, IsEmpty());
  monitor_ = nullptr;
  EXPECT_EQ(reason_of(collect(), "libvirt_monitor"), "no libvirt socket");
}

}  // namespace
}  // namespace vcpu
