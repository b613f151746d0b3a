// SPDX-License-Identifier: Apache-2.0
//
// /proc/pressure/{cpu,memory,io}, and {cpu,memory,io}.pressure of a control
// group of version 2: how long work stood still for want of the resource.
// https://docs.kernel.org/accounting/psi.html
//
//   some avg10=1.08 avg60=0.95 avg300=0.40 total=1418521
//   full avg10=0.00 avg60=0.12 avg300=0.10 total=812339
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "collectors/base/result.h"

namespace vcpu {

// Totals since boot, or since the group was made.
struct Pressure {
  std::uint64_t some_us = 0;             // One task at least stood still.
  std::optional<std::uint64_t> full_us;  // All did; empty: before Linux 5.13,
                                         // of the CPU.
};

Result<Pressure> parse_pressure(std::string_view text);

}  // namespace vcpu
