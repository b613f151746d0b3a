// SPDX-License-Identifier: Apache-2.0
#include "collectors/hardware/hypervisor_clues.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "collectors/base/file.h"
#include "collectors/base/scan.h"
#include "collectors/kernel/cpuinfo.h"

namespace vcpu {
namespace {

constexpr unsigned kFirstLeaf = 0x40000000;
constexpr unsigned kEndOfLeaves = 0x40010000;
constexpr unsigned kLeafStep = 0x100;
constexpr std::size_t kAcpiHeaderBytes = 36;

std::string signature(const CpuidLeaf& leaf) {
  const std::array<unsigned, 3> words{leaf.ebx, leaf.ecx, leaf.edx};
  std::string text(sizeof words, '\0');
  std::memcpy(text.data(), words.data(), text.size());
  return text;
}

// KVM and Xen may show themselves as another, Hyper-V for Windows' sake, and
// have their own leaves further up: Linux looks for them the same way.
std::string hypervisor_signature(const Cpuid& cpuid) {
  constexpr unsigned kHypervisorPresent = 1U << 31U;
  if ((cpuid(1).ecx & kHypervisorPresent) == 0) return "";
  for (unsigned leaf = kFirstLeaf; leaf < kEndOfLeaves; leaf += kLeafStep) {
    auto found = signature(cpuid(leaf));
    if (found.starts_with("KVMKVMKVM") || found == "XenVMMXenVMM") return found;
  }
  return signature(cpuid(kFirstLeaf));
}

class Reader {
 public:
  explicit Reader(const Roots& roots) : roots_(roots) {}

  ReadClues read(const Cpuid& cpuid) {
    auto& clues = found_.clues;
    clues.has_cpuid = static_cast<bool>(cpuid);
    if (cpuid && kernel_sees_one()) clues.cpuid = hypervisor_signature(cpuid);
    clues.dmi_vendor = line_of("/class/dmi/id/sys_vendor");
    clues.dmi_product = line_of("/class/dmi/id/product_name");
    clues.acpi_oem = oem_of("/firmware/acpi/tables/DSDT");
    clues.sysfs_type = line_of("/hypervisor/type");
    // Ends with a zero.
    clues.device_tree = known(read_file(
        roots_.sys + "/firmware/devicetree/base/hypervisor/compatible"));
    return std::move(found_);
  }

 private:
  std::string known(Result<std::string> text) {
    if (text) return *std::move(text);
    if (!is_gone(text.error()) && !found_.problem)
      found_.problem = text.error();
    return "";
  }

  std::string line_of(const char* file) {
    return known(read_as(roots_.sys + file, [](std::string_view text) {
      return Result<std::string>(std::string(text));
    }));
  }

  std::string oem_of(const char* file) {
    auto table = read_file(roots_.sys + file, kAcpiHeaderBytes);
    if (!table && table.error().code == std::errc::permission_denied) return "";
    return std::string(acpi_oem(known(std::move(table))));
  }

  bool kernel_sees_one() {
    const auto text =
        known(read_file(roots_.proc + "/cpuinfo", kFirstCpuBytes));
    const auto flags = find_line(text, "flags");
    return flags && flags->find(" hypervisor") != std::string_view::npos;
  }

  const Roots& roots_;
  ReadClues found_;
};

}  // namespace

Cpuid cpuid_here() {
#ifdef __x86_64__
  return [](unsigned leaf) {
    CpuidLeaf said;
    __cpuid(leaf, said.eax, said.ebx, said.ecx, said.edx);
    return said;
  };
#else
  return {};
#endif
}

ReadClues read_hypervisor_clues(const Roots& roots, const Cpuid& cpuid) {
  return Reader(roots).read(cpuid);
}

}  // namespace vcpu
