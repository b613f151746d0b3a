// SPDX-License-Identifier: Apache-2.0
//
// USER_HZ, the unit of /proc/stat and of a task's start time.
#pragma once

#include <unistd.h>

#include <cstdint>

namespace vcpu {

inline double tick_seconds(std::uint64_t ticks) {
  static const auto per_second = static_cast<double>(::sysconf(_SC_CLK_TCK));
  return static_cast<double>(ticks) / per_second;
}

}  // namespace vcpu
