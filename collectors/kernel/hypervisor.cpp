// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/hypervisor.h"

#include "collectors/base/scan.h"

namespace vcpu {
namespace {

// Who is a hypervisor's own vendor, or a cloud's.
std::string_view by_firmware(const HypervisorClues& clues) {
  const auto vendor = trim(clues.dmi_vendor);
  const auto product = trim(clues.dmi_product);
  if (vendor == "Amazon EC2") return "nitro";
  if (vendor == "Google" && product == "Google Compute Engine") return "google";
  if (trim(clues.acpi_oem) == "FIRECK") return "firecracker";
  if (vendor.starts_with("VMware")) return "vmware";
  if (vendor == "Microsoft Corporation" && product == "Virtual Machine")
    return "hyperv";
  if (vendor == "Xen") return "xen";
  if (vendor == "QEMU" || product == "KVM" || product.starts_with("KVM "))
    return "kvm";
  return {};
}

std::string_view by_cpuid(std::string_view signature) {
  // Padded with zeros to twelve characters.
  signature = signature.substr(0, signature.find('\0'));
  if (signature.empty()) return {};
  if (signature == "KVMKVMKVM" || signature == "Linux KVM Hv") return "kvm";
  if (signature == "VMwareVMware") return "vmware";
  if (signature == "Microsoft Hv") return "hyperv";
  if (signature == "XenVMMXenVMM") return "xen";
  if (signature == "TCGTCGTCGTCG") return "tcg";
  return "unknown";
}

std::string_view by_device_tree(std::string_view compatible) {
  if (compatible.find("linux,kvm") != std::string_view::npos) return "kvm";
  if (compatible.find("xen") != std::string_view::npos) return "xen";
  if (compatible.find("vmware") != std::string_view::npos) return "vmware";
  return {};
}

bool is_cloud(std::string_view name) {
  return name == "nitro" || name == "google" || name == "firecracker";
}

// ARM has no such instruction as CPUID.
std::string_view without_cpuid(const HypervisorClues& clues) {
  const auto firmware = by_firmware(clues);
  if (trim(clues.dmi_product).ends_with(".metal")) return {};
  if (!firmware.empty()) return firmware;
  return by_device_tree(clues.device_tree);
}

}  // namespace

std::string_view hypervisor(const HypervisorClues& clues) {
  if (trim(clues.sysfs_type) == "xen") return "xen";
  if (!clues.has_cpuid) return without_cpuid(clues);
  // Clouds are KVM to the CPU. A bare-metal instance of theirs has the same
  // firmware, and no hypervisor to the CPU.
  const auto cpuid = by_cpuid(clues.cpuid);
  const auto firmware = by_firmware(clues);
  return cpuid == "kvm" && is_cloud(firmware) ? firmware : cpuid;
}

std::string_view acpi_oem(std::string_view table) {
  constexpr std::size_t kAt = 10;
  constexpr std::size_t kSize = 6;
  return table.size() < kAt + kSize ? std::string_view{}
                                    : table.substr(kAt, kSize);
}

}  // namespace vcpu
