// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collectors/catalog.h"
#include "tests/support/literal_snapshot.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Families collect(const Snapshot& snapshot) {
  Families families;
  EXPECT_TRUE(make_domain({})->collect(snapshot, families));
  return families;
}

TEST(Domain, SaysWhoAVmIsAndSinceWhen) {
  Vm vm = vm_of("web", {});
  vm.uuid_label = "u-1";
  vm.accel = "kvm";
  vm.machine = "pc";
  vm.uid = 64055;
  vm.start_time_seconds = 1700000002.5;
  EXPECT_THAT(
      samples_of(collect(snapshot_of({vm}))),
      ElementsAre(
          R"(vcpu_domain_info{domain="web",uuid="u-1",vmm="qemu",accel="kvm",machine="pc",uid="64055"} 1)",
          R"(vcpu_domain_start_time_seconds{domain="web"} 1700000002.5)"));
}

TEST(Domain, SaysNoUserWhereHeIsNotKnown) {
  EXPECT_THAT(samples_of(collect(snapshot_of({vm_of("web", {})}))),
              ElementsAre(HasSubstr(R"(uid="")")));
}

TEST(Domain, SaysNoStartTimeWhereItIsNotKnown) {
  EXPECT_EQ(samples_of(collect(snapshot_of({vm_of("web", {})}))).size(), 1U);
}

TEST(Domain, SaysThatAVmsVcpusCannotBeTold) {
  const Vm told = vm_of("a", {vcpu_thread("a", 0, {}, 0, {0})});
  EXPECT_EQ(reason_of(collect(snapshot_of({})), "vcpu_threads"), "-");
  EXPECT_EQ(reason_of(collect(snapshot_of({told})), "vcpu_threads"), "");
  EXPECT_THAT(
      reason_of(collect(snapshot_of({told, vm_of("b", {})})), "vcpu_threads"),
      HasSubstr("debug-threads=on"));
}

}  // namespace
}  // namespace vcpu
