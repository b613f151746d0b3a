// SPDX-License-Identifier: Apache-2.0
#include "collectors/hardware/hypervisor_clues.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>

#include "tests/support/kernel_faults.h"
#include "tests/support/machines.h"

namespace vcpu {
namespace {

// A CPU that tells of a hypervisor, with these signatures.
Cpuid cpuid_with(std::map<unsigned, std::string> signatures) {
  return [signatures = std::move(signatures)](unsigned leaf) {
    CpuidLeaf said;
    if (leaf == 1) said.ecx = 1U << 31U;
    const auto found = signatures.find(leaf);
    if (found == signatures.end()) return said;
    auto text = found->second;
    text.resize(12);
    std::memcpy(&said.ebx, text.data(), 4);
    std::memcpy(&said.ecx, text.data() + 4, 4);
    std::memcpy(&said.edx, text.data() + 8, 4);
    return said;
  };
}

Cpuid cpuid_of(const std::string& signature) {
  return cpuid_with({{0x40000000, signature}});
}

// Of bare metal.
CpuidLeaf no_hypervisor(unsigned /*leaf*/) { return {}; }

class CluesOfAMachine : public testing::Test {
 protected:
  void SetUp() override { flags("fpu vme hypervisor lahf_lm"); }

  void flags(const std::string& all) {
    ProcTree::write(tree_.proc("cpuinfo"), "flags\t\t: " + all + "\n");
  }
  void dmi(const std::string& vendor, const std::string& product) {
    write_sys(tree_, "class/dmi/id/sys_vendor", vendor + "\n");
    write_sys(tree_, "class/dmi/id/product_name", product + "\n");
  }
  void dsdt(const std::string& oem) {
    write_sys(tree_, "firmware/acpi/tables/DSDT",
              std::string("DSDTS\x0f\0\0\2w", 10) + oem +
                  std::string("FCVMDSDT\0\0\0\0FCAT", 16) + "and the rest");
  }

  std::string told(const Cpuid& cpuid) {
    const auto read = read_hypervisor_clues(tree_.roots(), cpuid);
    EXPECT_FALSE(read.problem) << read.problem->message();
    return std::string(hypervisor(read.clues));
  }

  ProcTree tree_;
};

TEST_F(CluesOfAMachine, ThatIsAGuestOfQemu) {
  dmi("QEMU", "Standard PC (Q35 + ICH9, 2009)");
  dsdt("BOCHS ");
  EXPECT_EQ(told(cpuid_of("KVMKVMKVM")), "kvm");
  EXPECT_EQ(told(cpuid_of("TCGTCGTCGTCG")), "tcg");
}

TEST_F(CluesOfAMachine, ThatIsAnInstanceOfACloud) {
  dmi("Amazon EC2", "m7i.large");
  dsdt("AMAZON");
  EXPECT_EQ(told(cpuid_of("KVMKVMKVM")), "nitro");
  dmi("Google", "Google Compute Engine");
  dsdt("Google");
  EXPECT_EQ(told(cpuid_of("KVMKVMKVM")), "google");
}

TEST_F(CluesOfAMachine, ThatIsAFirecracker) {
  dsdt("FIRECK");
  EXPECT_EQ(told(cpuid_of("KVMKVMKVM")), "firecracker");
}

TEST_F(CluesOfAMachine, ThatIsAGuestOfVmwareHyperVOrXen) {
  dmi("VMware, Inc.", "VMware20,1");
  EXPECT_EQ(told(cpuid_of("VMwareVMware")), "vmware");
  dmi("Microsoft Corporation", "Virtual Machine");
  EXPECT_EQ(told(cpuid_of("Microsoft Hv")), "hyperv");
  dmi("Xen", "HVM domU");
  EXPECT_EQ(told(cpuid_of("XenVMMXenVMM")), "xen");
  // Paravirtualised: without DMI, and CPUID is the host's own.
  std::filesystem::remove_all(tree_.roots().sys + "/class");
  write_sys(tree_, "hypervisor/type", "xen\n");
  EXPECT_EQ(told(no_hypervisor), "xen");
}

// As QEMU's hv-* flags and Xen's viridian make it for Windows.
TEST_F(CluesOfAMachine, ThatShowsHyperVToo) {
  const auto also = [](const std::string& own) {
    return cpuid_with({{0x40000000, "Microsoft Hv"}, {0x40000100, own}});
  };
  dmi("QEMU", "Standard PC (Q35 + ICH9, 2009)");
  EXPECT_EQ(told(also("KVMKVMKVM")), "kvm");
  dmi("Amazon EC2", "m7i.large");
  EXPECT_EQ(told(also("KVMKVMKVM")), "nitro");
  dmi("Xen", "HVM domU");
  EXPECT_EQ(told(also("XenVMMXenVMM")), "xen");
  // And under a vendor of one's own choice.
  dmi("QEMU", "Standard PC (Q35 + ICH9, 2009)");
  EXPECT_EQ(told(cpuid_with(
                {{0x40000000, "GenuineThing"}, {0x40000100, "KVMKVMKVM"}})),
            "kvm");
}

TEST_F(CluesOfAMachine, ThatIsAnArmGuestOfADeviceTree) {
  flags("");
  write_sys(tree_, "firmware/devicetree/base/hypervisor/compatible",
            std::string("linux,kvm\0", 10));
  EXPECT_EQ(told({}), "kvm");
  write_sys(tree_, "firmware/devicetree/base/hypervisor/compatible",
            std::string("xen,xen-4.17\0xen,xen\0", 21));
  EXPECT_EQ(told({}), "xen");
}

TEST_F(CluesOfAMachine, ThatIsNone) {
  dmi("Dell Inc.", "PowerEdge R760");
  EXPECT_EQ(told(no_hypervisor), "");
  // /proc is that of another machine than the one this runs on.
  flags("fpu vme lahf_lm");
  EXPECT_EQ(told(cpuid_of("KVMKVMKVM")), "");
  std::filesystem::remove(tree_.proc("cpuinfo"));
  EXPECT_EQ(told(cpuid_of("KVMKVMKVM")), "");
}

TEST_F(CluesOfAMachine, ThatSaysGarbageAreNoClues) {
  dmi("\xff\xfe", "");
  write_sys(tree_, "firmware/acpi/tables/DSDT", "FIRECK");
  write_sys(tree_, "hypervisor/type", "42\n");
  write_sys(tree_, "firmware/devicetree/base/hypervisor/compatible", "\x01");
  EXPECT_EQ(told(cpuid_of("KVMKVMKVM")), "kvm");
  EXPECT_EQ(told(cpuid_of("\x01\x02")), "unknown");
  EXPECT_EQ(told({}), "");
}

TEST_F(CluesOfAMachine, ThatEndInTheMiddleAreAProblem) {
  write_sys(tree_, "class/dmi/id/sys_vendor", "Amazon E");
  const auto read = read_hypervisor_clues(tree_.roots(), cpuid_of("KVMKVMKVM"));
  ASSERT_TRUE(read.problem);
  EXPECT_TRUE(read.problem->context.ends_with("/sys_vendor"));
}

TEST_F(CluesOfAMachine, ThatCannotBeReadAreAProblemButForAcpisTables) {
  dmi("Amazon EC2", "m7i.large");
  dsdt("AMAZON");
  write_sys(tree_, "hypervisor/type", "none\n");
  write_sys(tree_, "firmware/devicetree/base/hypervisor/compatible", "other");
  const auto root =
      std::filesystem::path(tree_.roots().sys).parent_path().string();
  const KernelFaults faults(root);
  const auto read = [&](const KernelFault& fault) {
    KernelFaults::begin(fault);
    return read_hypervisor_clues(tree_.roots(), cpuid_of("KVMKVMKVM"));
  };
  EXPECT_EQ(hypervisor(read({}).clues), "nitro");
  const auto calls = KernelFaults::calls();
  std::size_t opened = 0;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    EXPECT_TRUE(read({.call = i, .error = EIO}).problem) << calls[i].path;
    if (calls[i].call != KernelCall::kOpen) continue;
    ++opened;
    // An ordinary user's.
    const bool is_acpi = calls[i].path.ends_with("/DSDT");
    EXPECT_EQ(read({.call = i, .error = EACCES}).problem.has_value(), !is_acpi)
        << calls[i].path;
  }
  EXPECT_EQ(opened, 6U);
}

}  // namespace
}  // namespace vcpu
