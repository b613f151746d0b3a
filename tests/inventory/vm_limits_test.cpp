// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/vm_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace vcpu {
namespace {

using testing::ElementsAre;

constexpr uid_t kRoot = 0;
constexpr uid_t kLibvirtOfDebian = 64055;
constexpr uid_t kAnn = 1000;
constexpr uid_t kBob = 1001;
constexpr uid_t kNobody = 65534;

TEST(VmLimits, SystemsUsersAreThoseOfPackages) {
  EXPECT_TRUE(is_system_user(kRoot));
  EXPECT_TRUE(is_system_user(107));  // qemu, of Fedora and KubeVirt.
  EXPECT_TRUE(is_system_user(999));
  EXPECT_TRUE(is_system_user(kLibvirtOfDebian));
  EXPECT_FALSE(is_system_user(kAnn));
  EXPECT_FALSE(is_system_user(59999));
  EXPECT_FALSE(is_system_user(kNobody));
  EXPECT_FALSE(is_system_user(100000));  // Root of a container.
}

TEST(VmLimits, NobodyIsLeftOutBelowThem) {
  EXPECT_THAT(beyond_limits({{1, 5, kRoot, 2}, {2, 5, kAnn, 2}}, {}),
              ElementsAre("", ""));
}

TEST(VmLimits, OfAUsersVmsTheOlderStay) {
  const VmLimits limits{10, 2, 100};
  EXPECT_THAT(beyond_limits({{1, 30, kAnn, 2},
                             {2, 10, kAnn, 2},
                             {3, 20, kAnn, 2},
                             {4, 40, kBob, 2},
                             {5, 50, {}, 2}},
                            limits),
              ElementsAre("user_vm_limit", "", "", "", ""));
}

TEST(VmLimits, AUsersThreadsAreThoseOfAllHisVms) {
  const VmLimits limits{10, 10, 100};
  EXPECT_THAT(beyond_limits({{1, 1, kAnn, 60},
                             {2, 2, kAnn, 60},
                             {3, 3, kAnn, 40},
                             {4, 4, kBob, 101}},
                            limits),
              ElementsAre("", "user_thread_limit", "", "user_thread_limit"));
}

TEST(VmLimits, SystemsUsersHaveNoneOfTheirOwn) {
  const VmLimits limits{10, 1, 10};
  EXPECT_THAT(beyond_limits({{1, 1, kLibvirtOfDebian, 5000},
                             {2, 2, kLibvirtOfDebian, 5000}},
                            limits),
              ElementsAre("", ""));
}

TEST(VmLimits, OrdinaryUsersVmsAreTheFirstToBeLeftOut) {
  const VmLimits limits{2, 10, 100};
  EXPECT_THAT(
      beyond_limits(
          {{1, 1, kAnn, 2}, {2, 2, kNobody, 2}, {3, 9, kLibvirtOfDebian, 2}},
          limits),
      ElementsAre("", "vm_limit", ""));
}

TEST(VmLimits, WhatIsLeftOutTakesNoPlace) {
  const VmLimits limits{2, 1, 100};
  EXPECT_THAT(beyond_limits({{1, 1, kAnn, 2}, {2, 2, kAnn, 2}, {3, 3, kBob, 2}},
                            limits),
              ElementsAre("", "user_vm_limit", ""));
}

}  // namespace
}  // namespace vcpu
