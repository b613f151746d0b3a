// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/temperature.h"

#include <cstdint>

#include "collectors/base/scan.h"

namespace vcpu {

Result<double> parse_temperature(std::string_view text) {
  constexpr double kPerDegree = 1000;
  text = trim(text);
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const auto thousandths = parse_number<std::uint32_t>(text);
  if (!thousandths) return malformed("temperature");
  const double celsius = *thousandths / kPerDegree;
  return negative ? -celsius : celsius;
}

}  // namespace vcpu
