// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/vm_cgroups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/proc_tree.h"

namespace vcpu {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kScope =
    "/machine.slice/machine-qemu\\x2d1\\x2dweb.scope";

class VmCgroupsOf : public testing::Test {
 protected:
  // A process in the groups that `text`, its /proc/PID/cgroup, says.
  void process(pid_t pid, const std::string& text) {
    tree_.process(pid, "qemu", {"qemu"});
    tree_.process_file(pid, "cgroup", text);
  }

  // A group below sys/fs/cgroup and the processes in it.
  void group(const std::string& path, const std::string& processes) {
    tree_.group_file(path + "/cgroup.procs", processes);
  }

  std::string top() const { return tree_.roots().sys + "/fs/cgroup"; }

  VmCgroup of(pid_t pid) {
    VmCgroups groups(tree_.roots());
    groups.begin({{{pid, 1}, 0}});
    return groups.of({pid, 1});
  }

  ProcTree tree_;
};

TEST_F(VmCgroupsOf, LibvirtIsTheScopeOnVersionTwo) {
  process(100, "0::" + std::string(kScope) + "/libvirt/emulator\n");
  const auto found = of(100);
  EXPECT_EQ(found.cpu.directory, top() + kScope);
  EXPECT_EQ(found.cpu.version, 2);
  EXPECT_EQ(found.memory.directory, top() + kScope);
  EXPECT_EQ(found.hugetlb.directory, top() + kScope);
  EXPECT_EQ(found.unified.directory, top() + kScope);
}

TEST_F(VmCgroupsOf, LibvirtIsEachControllersDirectoryOnVersionOne) {
  process(100, "4:cpu,cpuacct:" + std::string(kScope) +
                   "/emulator\n5:memory:/machine/qemu-1-web.libvirt-qemu\n"
                   "1:name=systemd:/x\n");
  const auto found = of(100);
  EXPECT_EQ(found.cpu.directory, top() + "/cpu" + kScope);
  EXPECT_EQ(found.cpu.version, 1);
  EXPECT_EQ(found.memory.directory,
            top() + "/memory/machine/qemu-1-web.libvirt-qemu");
  EXPECT_FALSE(found.hugetlb);
  EXPECT_FALSE(found.unified);
}

TEST_F(VmCgroupsOf, AHybridHasItsPressuresInUnified) {
  std::filesystem::create_directories(top() + "/unified");
  process(100, "4:cpu:" + std::string(kScope) + "\n0::" + kScope + "\n");
  const auto found = of(100);
  EXPECT_EQ(found.cpu.directory, top() + "/cpu" + kScope);
  EXPECT_EQ(found.unified.directory, top() + "/unified" + kScope);
}

TEST_F(VmCgroupsOf, ProxmoxAndKubevirtAreKnownByName) {
  for (const std::string path :
       {"/qemu.slice/100.scope",
        "/kubepods.slice/kubepods-burstable.slice/"
        "kubepods-burstable-pod0a1b.slice/cri-containerd-77.scope",
        "/kubepods/burstable/pod0a1b/77ff",
        "/kubepods.slice/kubepods-pod0a1b.slice/crio-77.scope"}) {
    process(100, "0::" + path + "\n");
    EXPECT_EQ(of(100).memory.directory, top() + path);
  }
}

// With CRI-O; what else the container runs is there, too.
TEST_F(VmCgroupsOf, CrunsGroupInAContainerIsTheContainers) {
  const std::string scope =
      "/kubepods.slice/kubepods-pod0a1b.slice/crio-77.scope";
  process(100, "0::" + scope + "/container\n");
  group(scope + "/container", "90\n100\n");
  EXPECT_EQ(of(100).memory.directory, top() + scope);
  EXPECT_EQ(of(100).unified.directory, top() + scope);
}

TEST_F(VmCgroupsOf, AGroupOfThatNameElsewhereIsNot) {
  process(100, "0::/vms/container\n");
  group("/vms", "");
  group("/vms/container", "100\n");
  EXPECT_EQ(of(100).memory.directory, top() + "/vms/container");
}

TEST_F(VmCgroupsOf, AnyNameIsItsOwnWhereItIsAlone) {
  process(100, "0::/vms/web\n");
  group("/vms/web", "100\n");
  EXPECT_EQ(of(100).memory.directory, top() + "/vms/web");
  group("/vms/web", "100\n101\n");
  EXPECT_FALSE(of(100).memory);
}

TEST_F(VmCgroupsOf, TheRootIsNobodysOwn) {
  process(100, "0::/\n");
  group("/", "100\n");
  EXPECT_FALSE(of(100).memory);
  EXPECT_THAT(of(100).memory.missing_reason, HasSubstr("the root"));
}

TEST_F(VmCgroupsOf, WhatLiesOutsideOfOurNamespaceIsNotFound) {
  process(100, "0::/../../machine.slice/machine-qemu\\x2d1.scope\n");
  EXPECT_FALSE(of(100).memory);
  EXPECT_THAT(of(100).memory.missing_reason, HasSubstr("namespace"));
}

TEST_F(VmCgroupsOf, APathThatIsTooLongToBeReadIsNobodysAndNoProblem) {
  std::string path;
  while (path.size() < 4000) path += "/" + std::string(250, 'd');
  for (const std::string name : {"", "/machine-qemu\\x2d1\\x2dweb.scope"}) {
    process(100, "0::" + path + name + "\n");
    const auto found = of(100);
    EXPECT_FALSE(found.cpu || found.memory || found.unified);
    EXPECT_THAT(found.cpu.missing_reason, HasSubstr("too long"));
    EXPECT_EQ(found.problem, "");
  }
}

TEST_F(VmCgroupsOf, AKernelWithoutTheControllerHasNone) {
  process(100, "4:cpu:" + std::string(kScope) + "\n");
  EXPECT_EQ(of(100).cpu.missing_reason, "");
  EXPECT_FALSE(of(100).memory);
  EXPECT_THAT(of(100).memory.missing_reason, HasSubstr("this kernel has no"));
}

TEST_F(VmCgroupsOf, TwoVmsInOneAreNeithersOwnWhateverItsName) {
  const std::string shared = "0::/kubepods/burstable/pod0a1b/77ff\n";
  process(100, shared);
  process(200, shared);
  process(300, "0::/kubepods/burstable/pod0a1b/88ff\n");
  VmCgroups groups(tree_.roots());
  const std::vector<VmCgroups::Member> vms{
      {{100, 1}, 7}, {{200, 1}, 7}, {{300, 1}, 7}};
  groups.begin(vms);
  for (const pid_t pid : {100, 200}) {
    EXPECT_FALSE(groups.of({pid, 1}).memory);
    EXPECT_FALSE(groups.of({pid, 1}).unified);
    EXPECT_THAT(groups.of({pid, 1}).memory.missing_reason,
                StartsWith("a VM shares its control group"));
    EXPECT_EQ(groups.of({pid, 1}).problem, "");
  }
  EXPECT_TRUE(groups.of({300, 1}).memory);
  // It is the other's own as soon as one has left it.
  process(200, "0::/kubepods/burstable/pod0a1b/99ff\n");
  groups.begin(vms);
  for (const pid_t pid : {100, 200, 300})
    EXPECT_TRUE(groups.of({pid, 1}).memory);
}

TEST_F(VmCgroupsOf, IsNoLongerItsOwnAsSoonAsAnotherVmJoins) {
  process(100, "4:memory:/kubepods/pod0a1b/77ff\n0::/kubepods/pod0a1b/1\n");
  process(200, "4:memory:/kubepods/pod0a1b/77ff\n0::/kubepods/pod0a1b/2\n");
  VmCgroups groups(tree_.roots());
  groups.begin({{{100, 1}, 7}});
  EXPECT_TRUE(groups.of({100, 1}).memory);
  groups.begin({{{100, 1}, 7}, {{200, 1}, 7}});
  EXPECT_FALSE(groups.of({100, 1}).memory);
  EXPECT_TRUE(groups.of({100, 1}).unified);
}

TEST_F(VmCgroupsOf, WhoHasEndedHasNone) {
  EXPECT_FALSE(of(100).memory);
  process(100, "");
  EXPECT_FALSE(of(100).memory);
  VmCgroups nobody(tree_.roots());
  nobody.begin({});
  EXPECT_FALSE(nobody.of({100, 1}).memory);
}

class VmCgroupsKnown : public VmCgroupsOf {
 protected:
  // Of a VM of process 100 in the next scrape; `groups` as the kernel tells.
  std::string memory_of(std::uint64_t groups, std::uint64_t start = 1) {
    groups_.begin({{{100, start}, groups}});
    return groups_.of({100, start}).memory.directory;
  }

  VmCgroups groups_{tree_.roots()};
};

TEST_F(VmCgroupsKnown, AreNotReadAgainWhileItIsToldThatTheyAreTheSame) {
  process(100, "0::/qemu.slice/100.scope\n");
  EXPECT_EQ(memory_of(7), top() + "/qemu.slice/100.scope");
  process(100, "0::/qemu.slice/200.scope\n");
  EXPECT_EQ(memory_of(7), top() + "/qemu.slice/100.scope");
  EXPECT_EQ(memory_of(8), top() + "/qemu.slice/200.scope");
}

TEST_F(VmCgroupsKnown, AreReadAgainWhereItIsNotTold) {
  process(100, "0::/qemu.slice/100.scope\n");
  EXPECT_EQ(memory_of(0), top() + "/qemu.slice/100.scope");
  process(100, "0::/qemu.slice/200.scope\n");
  EXPECT_EQ(memory_of(0), top() + "/qemu.slice/200.scope");
}

TEST_F(VmCgroupsKnown, AreReadAgainAfterAWhile) {
  process(100, "0::/qemu.slice/100.scope\n");
  memory_of(7);
  process(100, "0::/qemu.slice/200.scope\n");  // Was given another name.
  for (unsigned i = 1; i < VmCgroups::kScrapesKnown; ++i) memory_of(7);
  EXPECT_EQ(memory_of(7), top() + "/qemu.slice/200.scope");
}

TEST_F(VmCgroupsKnown, AreAnotherProcesssWhereTheNumberIsTheSame) {
  process(100, "0::/qemu.slice/100.scope\n");
  memory_of(7);
  process(100, "0::/qemu.slice/200.scope\n");
  EXPECT_EQ(memory_of(7, 2), top() + "/qemu.slice/200.scope");
}

TEST_F(VmCgroupsKnown, AreReadAgainWhereOthersMayJoin) {
  process(100, "0::/vms/web\n");
  group("/vms/web", "100\n");
  EXPECT_EQ(memory_of(7), top() + "/vms/web");
  group("/vms/web", "100\n101\n");
  EXPECT_EQ(memory_of(7), "");
}

TEST(VmGroup, IsAboveItsThreads) {
  EXPECT_EQ(vm_group("/a.scope/libvirt/vcpu3"), "/a.scope");
  EXPECT_EQ(vm_group("/a.libvirt-qemu/iothread1"), "/a.libvirt-qemu");
  EXPECT_EQ(vm_group("/a.scope/libvirt"), "/a.scope");
  EXPECT_EQ(vm_group("/a.scope"), "/a.scope");
  EXPECT_EQ(vm_group("/kubepods/pod1/77/container"), "/kubepods/pod1/77");
  EXPECT_EQ(vm_group("/vms/container"), "/vms/container");
  EXPECT_EQ(vm_group("/"), "/");
  EXPECT_EQ(vm_group(""), "");
}

TEST(PodUid, IsThatOfThePodAtTheTop) {
  const std::string uid = "0a1b2c3d-1111-2222-3333-444455556666";
  EXPECT_EQ(pod_uid("/kubepods/burstable/pod" + uid + "/77"), uid);
  EXPECT_EQ(pod_uid("/kubepods.slice/kubepods-"
                    "pod0a1b2c3d_1111_2222_3333_444455556666.slice/a.scope"),
            uid);
  EXPECT_EQ(pod_uid("/kubepods/pod7/pod" + uid), uid);
  EXPECT_EQ(pod_uid("/kubepods/burstable/pod0a1b2c3d-1111"), "");
  EXPECT_EQ(pod_uid("/kubepods/pod0a1b2c3d-1111-2222-3333-44445555666x"), "");
  EXPECT_EQ(pod_uid("/kubepods/pod" + uid +
                    "/77/pod99999999-1111-2222-3333-444455556666"),
            uid);
  EXPECT_EQ(pod_uid("/user.slice/pod" + uid), "");
  EXPECT_EQ(pod_uid(""), "");
}

// Below a group that he has been given anybody may call his own as he likes.
TEST(PodUid, IsNotWhatAnotherGroupBelowCallsItself) {
  const std::string pod = "pod0a1b2c3d-1111-2222-3333-444455556666";
  EXPECT_EQ(pod_uid("/user.slice/user-1000.slice/user@1000.service/kubepods/" +
                    pod + "/77"),
            "");
  EXPECT_EQ(pod_uid("/docker/77/kubelet/kubepods/burstable/" + pod), "");
  EXPECT_EQ(pod_uid("/kubepods.slices/" + pod), "");
  EXPECT_EQ(pod_uid("/kubepodsandmore/" + pod), "");
}

TEST(NamedAsVm, IsNotWhatOnlyLooksLikeIt) {
  EXPECT_TRUE(is_named_as_vm("/machine.slice/machine-qemu\\x2d1\\x2da.scope"));
  EXPECT_FALSE(is_named_as_vm("/machine.slice/machine-lxc\\x2d1\\x2da.scope"));
  EXPECT_FALSE(is_named_as_vm("/machine.slice"));
  EXPECT_FALSE(is_named_as_vm("/qemu.slice"));
  EXPECT_FALSE(is_named_as_vm("/user.slice/user-0.slice/session-1.scope"));
  EXPECT_FALSE(is_named_as_vm("/kubepods.slice"));
  EXPECT_FALSE(is_named_as_vm(""));
}

}  // namespace
}  // namespace vcpu
