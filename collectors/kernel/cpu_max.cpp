// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/cpu_max.h"

#include <cstdint>

#include "collectors/base/scan.h"

namespace vcpu {
namespace {

std::optional<std::uint64_t> number(std::string_view text) {
  return parse_number<std::uint64_t>(trim(text));
}

Result<QuotaCores> cores(std::string_view quota, std::string_view period,
                         const char* file) {
  const auto quota_us = number(quota);
  const auto period_us = number(period);
  if (!quota_us || !period_us || *period_us == 0) return malformed(file);
  return QuotaCores{static_cast<double>(*quota_us) /
                    static_cast<double>(*period_us)};
}

}  // namespace

Result<QuotaCores> parse_cpu_max(std::string_view text) {
  const auto quota = take_word(text);
  if (quota == "max") return QuotaCores{};
  return cores(quota, text, "cpu.max");
}

Result<QuotaCores> parse_cfs_quota(std::string_view quota,
                                   std::string_view period) {
  if (!is_cfs_limit(quota)) return QuotaCores{};
  return cores(quota, period, "cpu.cfs_quota_us");
}

bool is_cfs_limit(std::string_view quota) { return trim(quota) != "-1"; }

Result<double> parse_cpu_weight(std::string_view text) {
  const auto weight = number(text);
  if (!weight) return malformed("cpu.weight");
  return static_cast<double>(*weight);
}

Result<double> parse_cpu_shares(std::string_view text) {
  constexpr double kDefaultShares = 1024;
  constexpr double kDefaultWeight = 100;
  const auto shares = number(text);
  if (!shares) return malformed("cpu.shares");
  return static_cast<double>(*shares) / kDefaultShares * kDefaultWeight;
}

}  // namespace vcpu
