// SPDX-License-Identifier: Apache-2.0
//
// /proc/interrupts: what of it concerns machine checks. Each CPU has a column.
// https://docs.kernel.org/filesystems/proc.html, section 1.2
//
//   NMI:          3          5   Non-maskable interrupts
//   MCE:          0          1   Machine check exceptions
//   MCP:        212        212   Machine check polls
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "collectors/base/result.h"

namespace vcpu {

struct Interrupts {
  // Exceptions, summed up over the CPUs that are online. Empty: the kernel
  // counts none (another architecture, no CONFIG_X86_MCE).
  std::optional<std::uint64_t> machine_checks;
};

// The text may be the end of the file only, and begin within a line.
Result<Interrupts> parse_interrupts(std::string_view text);

}  // namespace vcpu
