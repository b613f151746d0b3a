// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/group_roles.h"

#include <gtest/gtest.h>

#include "tests/support/proc_tree.h"

namespace vcpu {
namespace {

class GroupRolesTest : public testing::Test {
 protected:
  void move_to(const std::string& group) {
    tree_.process(100, "fake", {"fake"})
        .thread(101, "fake", {.cgroup = "/machine/vm/libvirt/" + group});
  }
  ThreadRole look() {
    const auto role =
        roles_.of({101, 7}, tree_.roots().proc + "/100/task/101").role;
    roles_.finish_pass();
    return role;
  }

  ProcTree tree_;
  GroupRoles roles_;
};

TEST_F(GroupRolesTest, FollowAThreadThatIsMovedWhenItHasBegun) {
  move_to("emulator");
  EXPECT_EQ(look(), ThreadRole::kEmulator);
  move_to("vcpu0");
  EXPECT_EQ(look(), ThreadRole::kVcpu);
}

TEST_F(GroupRolesTest, AreLookedAtNowAndThenOnly) {
  move_to("emulator");
  for (unsigned pass = 0; pass < GroupRoles::kAtFirst; ++pass) (void)look();
  move_to("iothread1");
  unsigned late = 0;
  while (look() == ThreadRole::kEmulator) ++late;
  EXPECT_GT(late, 0U);
  EXPECT_LE(late, GroupRoles::kEvery);
}

TEST_F(GroupRolesTest, OfAThreadThatWasNotAskedForAreForgotten) {
  move_to("emulator");
  for (unsigned pass = 0; pass < GroupRoles::kAtFirst; ++pass) (void)look();
  roles_.finish_pass();
  move_to("iothread1");
  EXPECT_EQ(look(), ThreadRole::kIothread);
}

TEST_F(GroupRolesTest, OfAThreadOfTheSameNumberAreItsOwn) {
  move_to("emulator");
  for (unsigned pass = 0; pass < GroupRoles::kAtFirst; ++pass) (void)look();
  move_to("vcpu3");
  const auto other = roles_.of({101, 8}, tree_.roots().proc + "/100/task/101");
  EXPECT_EQ(other.role, ThreadRole::kVcpu);
  EXPECT_EQ(other.vcpu, 3);
}

TEST_F(GroupRolesTest, AreOtherWhereNothingTellsThem) {
  EXPECT_EQ(look(), ThreadRole::kOther);
}

}  // namespace
}  // namespace vcpu
