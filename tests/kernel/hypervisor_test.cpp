// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/hypervisor.h"

#include <gtest/gtest.h>

namespace vcpu {
namespace {

HypervisorClues x86(const std::string& cpuid) {
  HypervisorClues clues;
  clues.has_cpuid = true;
  clues.cpuid = cpuid;
  return clues;
}

HypervisorClues with_dmi(HypervisorClues clues, const std::string& vendor,
                         const std::string& product) {
  clues.dmi_vendor = vendor + "\n";
  clues.dmi_product = product + "\n";
  return clues;
}

TEST(Hypervisor, IsWhatTheCpuSays) {
  EXPECT_EQ(hypervisor(x86(std::string("KVMKVMKVM\0\0\0", 12))), "kvm");
  EXPECT_EQ(hypervisor(x86("VMwareVMware")), "vmware");
  EXPECT_EQ(hypervisor(x86("Microsoft Hv")), "hyperv");
  EXPECT_EQ(hypervisor(x86("XenVMMXenVMM")), "xen");
  EXPECT_EQ(hypervisor(x86("TCGTCGTCGTCG")), "tcg");
  EXPECT_EQ(hypervisor(x86("bhyve bhyve ")), "unknown");
}

TEST(Hypervisor, IsTheCloudWhoseFirmwareItIs) {
  const auto kvm = x86(std::string("KVMKVMKVM\0\0\0", 12));
  EXPECT_EQ(hypervisor(with_dmi(kvm, "Amazon EC2", "m5.large")), "nitro");
  EXPECT_EQ(hypervisor(with_dmi(kvm, "Google", "Google Compute Engine")),
            "google");
  EXPECT_EQ(hypervisor(with_dmi(kvm, "QEMU", "Standard PC")), "kvm");
  auto firecracker = kvm;
  firecracker.acpi_oem = "FIRECK";
  EXPECT_EQ(hypervisor(firecracker), "firecracker");
}

TEST(Hypervisor, IsNoneOnBareMetalWhateverItsFirmware) {
  EXPECT_EQ(hypervisor(x86("")), "");
  EXPECT_EQ(hypervisor(with_dmi(x86(""), "Amazon EC2", "m5.metal")), "");
  EXPECT_EQ(hypervisor(with_dmi(x86(""), "Dell Inc.", "PowerEdge R760")), "");
  EXPECT_EQ(hypervisor(with_dmi({}, "Amazon EC2", "c7g.metal")), "");
  EXPECT_EQ(hypervisor({}), "");
}

TEST(Hypervisor, WithoutCpuidIsWhatFirmwareAndDeviceTreeSay) {
  EXPECT_EQ(hypervisor(with_dmi({}, "Amazon EC2", "c7g.large")), "nitro");
  EXPECT_EQ(hypervisor(with_dmi({}, "QEMU", "KVM Virtual Machine")), "kvm");
  EXPECT_EQ(hypervisor(with_dmi({}, "VMware, Inc.", "VMware20,1")), "vmware");
  EXPECT_EQ(
      hypervisor(with_dmi({}, "Microsoft Corporation", "Virtual Machine")),
      "hyperv");
  EXPECT_EQ(hypervisor(with_dmi({}, "Microsoft Corporation", "Surface Pro")),
            "");
  HypervisorClues tree;
  tree.device_tree = std::string("linux,kvm\0", 10);
  EXPECT_EQ(hypervisor(tree), "kvm");
}

TEST(Hypervisor, IsXenWhereTheKernelSaysSo) {
  HypervisorClues clues = x86("Microsoft Hv");  // Xen's Viridian enlightenment.
  clues.sysfs_type = "xen\n";
  EXPECT_EQ(hypervisor(clues), "xen");
}

TEST(AcpiOem, IsInTheHeader) {
  EXPECT_EQ(acpi_oem(std::string("DSDTS\0\0\0\2wFIRECKFCVMDSDT", 24)),
            "FIRECK");
  EXPECT_EQ(acpi_oem("DSDT"), "");
  EXPECT_EQ(acpi_oem(""), "");
}

}  // namespace
}  // namespace vcpu
