// SPDX-License-Identifier: Apache-2.0
//
// What a machine shows of the hypervisor that it runs under, read.
//
// ACPI's tables are open to root alone: to others Firecracker, which has no
// DMI, is any KVM.
//
// Source: CPUID leaves 1 and 0x40000000, /proc/cpuinfo,
// /sys/class/dmi/id/{sys_vendor,product_name}, /sys/firmware/acpi/tables/DSDT,
// /sys/hypervisor/type, /sys/firmware/devicetree/base/hypervisor/compatible
#pragma once

#include <functional>
#include <optional>

#include "collectors/base/result.h"
#include "collectors/base/roots.h"
#include "collectors/kernel/hypervisor.h"

namespace vcpu {

// The registers that CPUID fills for a leaf.
struct CpuidLeaf {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
};
using Cpuid = std::function<CpuidLeaf(unsigned leaf)>;

// Of the CPU that this runs on; empty: it is no x86, and has no such thing.
Cpuid cpuid_here();

struct ReadClues {
  HypervisorClues clues;
  // What could not be read, and may say that it is one, or which.
  std::optional<Error> problem;
};

// Whether there is a hypervisor is asked of the machine that roots.proc shows.
ReadClues read_hypervisor_clues(const Roots& roots, const Cpuid& cpuid);

}  // namespace vcpu
