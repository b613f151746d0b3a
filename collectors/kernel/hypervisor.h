// SPDX-License-Identifier: Apache-2.0
//
// Which hypervisor this machine runs under, from what it shows of itself.
//
//   CPUID leaf 0x40000000  "KVMKVMKVM", "VMwareVMware", "Microsoft Hv",
//                          "XenVMMXenVMM", "TCGTCGTCGTCG"; x86 only
//   DMI                    who sells the machine, /sys/class/dmi/id
//   ACPI                   who wrote its tables; Firecracker has no DMI
//   /sys/hypervisor/type   "xen"
//   device tree            /hypervisor/compatible on ARM: "linux,kvm"
//
// https://docs.kernel.org/virt/kvm/x86/cpuid.html
#pragma once

#include <string>
#include <string_view>

namespace vcpu {

// Texts as they were read, blanks included; empty: there is none.
struct HypervisorClues {
  bool has_cpuid =
      false;  // The CPU tells of a hypervisor, or that it has none.
  std::string cpuid;
  std::string dmi_vendor;   // sys_vendor
  std::string dmi_product;  // product_name
  std::string acpi_oem;     // Of a table's header.
  std::string sysfs_type;
  std::string device_tree;
};

// nitro, google, firecracker, vmware, hyperv, xen, kvm, tcg, or `unknown` for
// one that shows itself under another name. Empty: this is no virtual machine.
std::string_view hypervisor(const HypervisorClues& clues);

// The OEM of an ACPI table, 6 bytes at 10; empty where it is too short.
std::string_view acpi_oem(std::string_view table);

}  // namespace vcpu
