// SPDX-License-Identifier: Apache-2.0
//
// /proc/stat: how the CPUs spent their time, and when the host booted.
// https://docs.kernel.org/filesystems/proc.html, section 1.7
//
//   cpu  10132153 290696 3084719 46828483 16683 0 25195 0 175628 0
//   cpu0 1393280 32966 572056 13343292 6130 0 17875 0 23933 0
//   btime 1062191376
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "collectors/base/result.h"

namespace vcpu {

// The columns in the kernel's order.
inline constexpr std::array<std::string_view, 10> kCpuModes{
    "user", "nice",    "system", "idle",  "iowait",
    "irq",  "softirq", "steal",  "guest", "guest_nice"};
enum CpuMode : std::size_t {
  kUser,
  kNice,
  kSystem,
  kIdle,
  kIowait,
  kIrq,
  kSoftirq,
  kSteal,
  kGuest,
  kGuestNice
};

// Ticks of USER_HZ since boot, by mode. `user` contains `guest`, and `nice`
// contains `guest_nice`. Columns an old kernel lacks are 0.
using CpuTicks = std::array<std::uint64_t, kCpuModes.size()>;

struct ProcStat {
  CpuTicks all{};
  std::vector<std::pair<int, CpuTicks>> by_cpu;  // Online CPUs, ascending.
  std::optional<std::uint64_t> boot_time;        // Seconds since the epoch.
};

Result<ProcStat> parse_proc_stat(std::string_view text);

}  // namespace vcpu
