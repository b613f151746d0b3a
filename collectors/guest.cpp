// SPDX-License-Identifier: Apache-2.0
#ifdef __x86_64__
#include <cpuid.h>
#endif

#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "collectors/base/file.h"
#include "collectors/base/scan.h"
#include "collectors/base/ticks.h"
#include "collectors/catalog.h"
#include "collectors/kernel/hypervisor.h"
#include "collectors/kernel/proc_stat.h"

namespace vcpu {
namespace {

// Leaf 0x40000000, empty where there is no hypervisor; nullopt: this is no x86.
std::optional<std::string> cpuid_hypervisor() {
#ifdef __x86_64__
  constexpr unsigned kHypervisorPresent = 1U << 31;
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 ||
      (ecx & kHypervisorPresent) == 0)
    return "";
  __cpuid(0x40000000, eax, ebx, ecx, edx);
  const std::array<unsigned, 3> words{ebx, ecx, edx};
  std::string signature(sizeof words, '\0');
  std::memcpy(signature.data(), words.data(), signature.size());
  return signature;
#else
  return std::nullopt;
#endif
}

class Guest final : public Collector {
 public:
  explicit Guest(Roots roots) : roots_(std::move(roots)) {}

  std::string_view name() const override { return "guest"; }

  // ACPI's tables are root's, and the rest does not change either.
  void open() override {
    if (!hypervisor_) hypervisor_ = find_hypervisor();
  }

  Result<void> collect(const Snapshot& /*snapshot*/,
                       Families& families) override {
    open();
    families.source("guest",
                    hypervisor_->empty() ? "this is no virtual machine" : "");
    if (hypervisor_->empty()) return {};
    families
        .gauge("vcpu_guest_info",
               "The hypervisor that this machine runs under, always 1; from "
               "CPUID, DMI, ACPI or the device tree.")
        .add({{"hypervisor", *hypervisor_}}, 1);
    return say_steal(families);
  }

 private:
  Result<void> say_steal(Families& families) const {
    const auto stat = read_as(roots_.proc + "/stat", parse_proc_stat);
    if (!stat) return stat.error();
    auto& steal = families.counter(
        "vcpu_guest_steal_seconds_total",
        "Time that this machine's CPU was ready to run but its hypervisor had "
        "no physical CPU for it; from /proc/stat.");
    for (const auto& [cpu, ticks] : stat->by_cpu)
      steal.add({{"cpu", std::to_string(cpu)}}, tick_seconds(ticks[kSteal]));
    return {};
  }

  std::string find_hypervisor() const {
    HypervisorClues clues;
    const auto cpuid = cpuid_hypervisor();
    clues.has_cpuid = cpuid.has_value();
    if (kernel_sees_one()) clues.cpuid = cpuid.value_or("");
    clues.dmi_vendor = text_of("/class/dmi/id/sys_vendor");
    clues.dmi_product = text_of("/class/dmi/id/product_name");
    clues.acpi_oem = acpi_oem(text_of("/firmware/acpi/tables/DSDT"));
    clues.sysfs_type = text_of("/hypervisor/type");
    clues.device_tree =
        text_of("/firmware/devicetree/base/hypervisor/compatible");
    return std::string(hypervisor(clues));
  }

  // Of the machine that --path.procfs shows.
  bool kernel_sees_one() const {
    const auto text = read_file(roots_.proc + "/cpuinfo");
    const auto flags = text ? find_line(*text, "flags") : std::nullopt;
    return flags && flags->find(" hypervisor") != std::string_view::npos;
  }

  std::string text_of(const char* file) const {
    const auto text = read_file(roots_.sys + file);
    return text ? *text : "";
  }

  const Roots roots_;
  std::optional<std::string> hypervisor_;  // Looked for once; empty: none.
};

}  // namespace

std::unique_ptr<Collector> make_guest(const CollectorOptions& options) {
  return std::make_unique<Guest>(options.roots);
}

}  // namespace vcpu
