// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/thread_role.h"

#include <gtest/gtest.h>

#include <string>

namespace vcpu {
namespace {

constexpr const char* kProcess = "qemu-system-x86";

// Role of a thread that is not the main one; kOther where the name is silent.
RoleOfThread role(Vmm vmm, const std::string& thread) {
  return role_by_name(vmm, thread, kProcess, false).value_or(RoleOfThread{});
}

ThreadRole qemu(const std::string& thread) {
  return role(Vmm::kQemu, thread).role;
}

int qemu_vcpu(const std::string& thread) {
  return role(Vmm::kQemu, thread).vcpu;
}

TEST(RoleByName, KnowsQemusVcpus) {
  EXPECT_EQ(qemu("CPU 0/KVM"), ThreadRole::kVcpu);
  EXPECT_EQ(qemu_vcpu("CPU 0/KVM"), 0);
  EXPECT_EQ(qemu_vcpu("CPU 17/TCG"), 17);
  EXPECT_EQ(qemu_vcpu("CPU 1023/KVM"), 1023);
  EXPECT_EQ(qemu_vcpu("CPU 3"), 3);
}

TEST(RoleByName, TakesTheOneThreadOfSingleThreadedTcgForTheFirst) {
  EXPECT_EQ(qemu("ALL CPUs/TCG"), ThreadRole::kVcpu);
  EXPECT_EQ(qemu_vcpu("ALL CPUs/TCG"), 0);
}

TEST(RoleByName, IsNotFooledByWhatLooksLikeAVcpu) {
  for (const auto* thread :
       {"CPU", "CPU ", "CPU /KVM", "CPU x/KVM", "CPU -1", "CPU 0x1/KVM",
        "CPU 1 /KVM", "cpu 0/KVM", "vcpu0", "fc_vcpu 0", "CPU 99999999999"}) {
    EXPECT_EQ(qemu(thread), ThreadRole::kEmulator) << thread;
    EXPECT_EQ(qemu_vcpu(thread), -1) << thread;
  }
}

TEST(RoleByName, KnowsFirecrackersVcpus) {
  EXPECT_EQ(role(Vmm::kFirecracker, "fc_vcpu 0").vcpu, 0);
  EXPECT_EQ(role(Vmm::kFirecracker, "fc_vcpu 31").vcpu, 31);
  EXPECT_EQ(role(Vmm::kFirecracker, "fc_vcpu 31").role, ThreadRole::kVcpu);
  EXPECT_EQ(role(Vmm::kFirecracker, "fc_api").role, ThreadRole::kEmulator);
  EXPECT_EQ(role(Vmm::kFirecracker, "CPU 0/KVM").role, ThreadRole::kEmulator);
}

TEST(RoleByName, KnowsCloudHypervisorsVcpus) {
  EXPECT_EQ(role(Vmm::kCloudHypervisor, "vcpu0").vcpu, 0);
  EXPECT_EQ(role(Vmm::kCloudHypervisor, "vcpu12").vcpu, 12);
  EXPECT_EQ(role(Vmm::kCloudHypervisor, "vcpu12").role, ThreadRole::kVcpu);
  for (const auto* thread : {"vmm", "http-server", "vcpu", "vcpu0x"}) {
    EXPECT_EQ(role(Vmm::kCloudHypervisor, thread).role, ThreadRole::kEmulator)
        << thread;
  }
}

TEST(RoleByName, KnowsIothreads) {
  EXPECT_EQ(qemu("IO iothread1"), ThreadRole::kIothread);
  EXPECT_EQ(qemu("IO iothread-vir"), ThreadRole::kIothread);
  EXPECT_EQ(role(Vmm::kCloudHypervisor, "_disk0_q0").role,
            ThreadRole::kIothread);
  EXPECT_EQ(role(Vmm::kCloudHypervisor, "_net1_qp0").role,
            ThreadRole::kIothread);
}

TEST(RoleByName, TakesTheMonitorsThreadForAHelper) {
  EXPECT_EQ(qemu("IO mon_iothread"), ThreadRole::kEmulator);
}

TEST(RoleByName, TakesIothreadsOfOthersForHelpers) {
  EXPECT_EQ(qemu("_disk0_q0"), ThreadRole::kEmulator);
  EXPECT_EQ(role(Vmm::kFirecracker, "IO x").role, ThreadRole::kEmulator);
  EXPECT_EQ(role(Vmm::kFirecracker, "_x").role, ThreadRole::kEmulator);
}

TEST(RoleByName, KnowsVhostAndWorkers) {
  EXPECT_EQ(qemu("vhost-4242"), ThreadRole::kVhost);
  for (const auto* thread : {"worker", "vnc_worker", "pool-spawner", "pool-2",
                             "iou-wrk-4242", "iou-sqp-4242"}) {
    EXPECT_EQ(qemu(thread), ThreadRole::kWorker) << thread;
  }
}

TEST(RoleByName, TakesTheRestForHelpers) {
  for (const auto* thread : {"call_rcu", "SPICE Worker", "gmain", "IO"})
    EXPECT_EQ(qemu(thread), ThreadRole::kEmulator) << thread;
}

TEST(RoleByName, IsSilentAboutThreadsWithoutANameOfTheirOwn) {
  EXPECT_FALSE(role_by_name(Vmm::kQemu, kProcess, kProcess, false));
}

TEST(RoleByName, KnowsTheMainThread) {
  const auto main = role_by_name(Vmm::kQemu, kProcess, kProcess, true);
  ASSERT_TRUE(main);
  EXPECT_EQ(main->role, ThreadRole::kEmulator);
  EXPECT_EQ(main->vcpu, -1);
}

TEST(RoleByName, SurvivesNamesThatAreNone) {
  EXPECT_EQ(qemu(""), ThreadRole::kEmulator);
  EXPECT_EQ(qemu("/"), ThreadRole::kEmulator);
  EXPECT_EQ(qemu(std::string(15, '\xff')), ThreadRole::kEmulator);
}

TEST(RoleByCgroup, KnowsTheGroupsOfLibvirt) {
  const std::string scope =
      "/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/libvirt/";
  EXPECT_EQ(role_by_cgroup(scope + "vcpu0")->role, ThreadRole::kVcpu);
  EXPECT_EQ(role_by_cgroup(scope + "vcpu12")->vcpu, 12);
  EXPECT_EQ(role_by_cgroup(scope + "emulator")->role, ThreadRole::kEmulator);
  EXPECT_EQ(role_by_cgroup(scope + "iothread1")->role, ThreadRole::kIothread);
  EXPECT_EQ(role_by_cgroup(scope + "iothread1")->vcpu, -1);
}

TEST(RoleByCgroup, IsSilentAboutOtherGroups) {
  for (const auto* group :
       {"", "/", "/user.slice", "/libvirt/vcpu", "/libvirt/vcpux",
        "/libvirt/vcpu-1", "/libvirt/emulator2", "/libvirt/iothread", "/vcpu0/",
        "/vcpu0/other"}) {
    EXPECT_FALSE(role_by_cgroup(group)) << group;
  }
}

TEST(AccelByName, IsTheSuffixOfAVcpuThread) {
  EXPECT_EQ(accel_by_name("CPU 0/KVM"), "kvm");
  EXPECT_EQ(accel_by_name("CPU 0/TCG"), "tcg");
  EXPECT_EQ(accel_by_name("ALL CPUs/TCG"), "tcg");
}

TEST(AccelByName, IsUnknownElsewhere) {
  for (const auto* thread :
       {"", "CPU 0", "CPU 0/", "CPU 0/DUMMY", "CPU 0/kvm", "vcpu0", "/KVM/TCG"})
    EXPECT_EQ(accel_by_name(thread), "") << thread;
}

TEST(VhostOwner, IsTheProcessInTheName) {
  EXPECT_EQ(vhost_owner("vhost-4242"), 4242);
}

TEST(VhostOwner, IsUnknownElsewhere) {
  for (const auto* thread : {"", "vhost-", "vhost-x", "vhost--1", "vhost-1x",
                             "vhost 1", "vhost", "vhost-99999999999"}) {
    EXPECT_FALSE(vhost_owner(thread)) << thread;
  }
}

}  // namespace
}  // namespace vcpu
