// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/task_cgroup.h"

#include <gtest/gtest.h>

namespace vcpu {
namespace {

TEST(CpuCgroup, IsTheOnlyOneOfVersionTwo) {
  EXPECT_EQ(cpu_cgroup("0::/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/"
                       "libvirt/vcpu0\n"),
            "/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/libvirt/vcpu0");
}

TEST(CpuCgroup, IsTheCpuControllersOfVersionOne) {
  EXPECT_EQ(cpu_cgroup("5:memory:/machine/web\n"
                       "4:cpu,cpuacct:/machine/web/vcpu0\n"
                       "3:cpuset:/machine/web/other\n"
                       "1:name=systemd:/init\n"),
            "/machine/web/vcpu0");
}

TEST(CpuCgroup, PrefersVersionOneWhereBothAreMounted) {
  EXPECT_EQ(cpu_cgroup("1:cpu:/one\n0::/two\n"), "/one");
  EXPECT_EQ(cpu_cgroup("0::/two\n1:cpu:/one\n"), "/one");
}

TEST(CpuCgroup, IsVersionTwosWhereVersionOneHasOtherControllers) {
  EXPECT_EQ(cpu_cgroup("1:name=systemd:/a\n2:cpuset:/b\n0::/two\n"), "/two");
}

TEST(CpuCgroup, FindsCpuAnywhereInTheList) {
  EXPECT_EQ(cpu_cgroup("4:cpuacct,cpu:/web\n"), "/web");
  EXPECT_EQ(cpu_cgroup("4:cpuset,cpu,memory:/web\n"), "/web");
}

TEST(CpuCgroup, TellsCpuFromItsNamesakes) {
  EXPECT_EQ(cpu_cgroup("2:cpuacct:/a\n3:cpuset:/b\n4:xcpu:/c\n"), "");
  EXPECT_EQ(cpu_cgroup("4:name=cpu:/c\n"), "");
}

TEST(CpuCgroup, ReadsAHostThatMountsAllOfVersionOneApart) {
  EXPECT_EQ(cpu_cgroup("9:name=systemd:/\n8:pids:/\n7:blkio:/\n6:freezer:/\n"
                       "5:devices:/\n4:memory:/\n3:cpuset:/\n2:cpuacct:/a\n"
                       "1:cpu:/b\n0::/\n"),
            "/b");
}

TEST(CpuCgroup, KeepsColonsAndBlanksOfThePath) {
  EXPECT_EQ(cpu_cgroup("0::/a:b c:d\n"), "/a:b c:d");
  EXPECT_EQ(cpu_cgroup("0::/web (deleted)\n"), "/web (deleted)");
}

TEST(CpuCgroup, NeedsNoLastNewline) { EXPECT_EQ(cpu_cgroup("0::/a"), "/a"); }

TEST(CpuCgroup, IsEmptyWhereThereIsNone) {
  for (const auto* text :
       {"", "\n", "garbage", "0:", "0", ":", "\xff\xfe", "4:cpu", "cpu:/web"})
    EXPECT_EQ(cpu_cgroup(text), "") << text;
}

TEST(CpuCgroup, SkipsBrokenLines) {
  EXPECT_EQ(cpu_cgroup("garbage\n4:\n\n0::/web\n"), "/web");
}

}  // namespace
}  // namespace vcpu
