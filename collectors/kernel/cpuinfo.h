// SPDX-License-Identifier: Apache-2.0
//
// /proc/cpuinfo: what the first CPU can do, as far as the kernel uses it: a
// feature that is switched off at boot (nosmep) is not among them.
// https://docs.kernel.org/arch/x86/cpuinfo.html
//
//   flags		: fpu vme de pse tsc msr smep smap vmx
//
// Other architectures have lines of other names: ARM's is "Features".
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>

namespace vcpu {

struct Cpuinfo {
  bool x86 = false;  // Else there are no flags.
  std::set<std::string, std::less<>> flags;
};

// The first CPU's part is not longer; all of the file is, by as many times as
// there are CPUs.
inline constexpr std::size_t kFirstCpuBytes = std::size_t{16} << 10;

// Never fails: of text that cannot be understood it knows nothing.
Cpuinfo parse_cpuinfo(std::string_view text);

}  // namespace vcpu
