// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/cpu_stat.h"

#include <limits>
#include <optional>

#include "collectors/base/scan.h"

namespace vcpu {
namespace {

constexpr std::uint64_t kNsPerUs = 1000;

std::optional<std::uint64_t> number(std::string_view text,
                                    std::string_view key) {
  const auto rest = find_line(text, key);
  return rest ? parse_number<std::uint64_t>(*rest) : std::nullopt;
}

std::optional<std::uint64_t> throttled_ns(std::string_view text) {
  const auto us = number(text, "throttled_usec ");
  if (!us) return number(text, "throttled_time ");
  if (*us > std::numeric_limits<std::uint64_t>::max() / kNsPerUs)
    return std::nullopt;
  return *us * kNsPerUs;
}

}  // namespace

Result<CpuStat> parse_cpu_stat(std::string_view text) {
  const auto periods = number(text, "nr_periods ");
  const auto throttled_periods = number(text, "nr_throttled ");
  const auto throttled = throttled_ns(text);
  if (!periods || !throttled_periods || !throttled)
    return malformed("cpu.stat");
  return CpuStat{*periods, *throttled_periods, *throttled};
}

}  // namespace vcpu
