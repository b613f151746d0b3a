// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "collectors/catalog.h"
#include "tests/support/literal_snapshot.h"
#include "tests/support/proc_tree.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class GuestView : public testing::Test {
 protected:
  Families collect() {
    Families families;
    EXPECT_TRUE(make_guest({.roots = tree_.roots()})
                    ->collect(snapshot_of({}), families));
    return families;
  }

  ProcTree tree_;
};

TEST_F(GuestView, TellsTheHypervisorAndTheStealOfEachCpu) {
  if (::sysconf(_SC_CLK_TCK) != 100) GTEST_SKIP() << "USER_HZ is not 100";
  ProcTree::write(tree_.roots().sys + "/hypervisor/type", "xen\n");
  tree_.stat(
      "cpu 1 0 0 4 0 0 0 950 0 0\ncpu0 1 0 0 4 0 0 0 250 0 0\n"
      "cpu2 1 0 0 4 0 0 0 700 0 0\n");
  const auto said = collect();
  EXPECT_THAT(samples_of(said),
              ElementsAre(R"(vcpu_guest_info{hypervisor="xen"} 1)",
                          R"(vcpu_guest_steal_seconds_total{cpu="0"} 2.5)",
                          R"(vcpu_guest_steal_seconds_total{cpu="2"} 7)"));
  EXPECT_EQ(reason_of(said, "guest"), "");
}

TEST_F(GuestView, OfTheMachineThatProcShowsNotOfTheOneTheTestRunsOn) {
  ProcTree::write(tree_.proc("cpuinfo"), "flags\t\t: fpu vme lahf_lm\n");
  const auto said = collect();
  EXPECT_THAT(samples_of(said), IsEmpty());
  EXPECT_EQ(reason_of(said, "guest"), "this is no virtual machine");
}

// This machine, whatever it is.
TEST(GuestViewHere, IsAGuestWhereTheKernelSeesAHypervisor) {
  std::ifstream cpuinfo("/proc/cpuinfo");
  const std::string text(std::istreambuf_iterator<char>(cpuinfo), {});
  const bool expected = text.find(" hypervisor") != std::string::npos;
  if (text.find("flags") == std::string::npos) GTEST_SKIP() << "no x86";
  const auto collector = make_guest(CollectorOptions{});
  Families families;
  ASSERT_TRUE(collector->collect(snapshot_of({}), families));
  const auto cpus = static_cast<std::size_t>(::sysconf(_SC_NPROCESSORS_ONLN));
  EXPECT_THAT(samples_of(families), SizeIs(expected ? 1 + cpus : 0));
}

}  // namespace
}  // namespace vcpu
