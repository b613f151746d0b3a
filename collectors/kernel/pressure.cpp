// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/pressure.h"

#include "collectors/base/scan.h"

namespace vcpu {
namespace {

// Of "avg10=1.08 ... total=1418521".
std::optional<std::uint64_t> total(std::string_view line) {
  constexpr std::string_view kTotal = "total=";
  while (true) {
    const auto word = take_word(line);
    if (word.empty()) return std::nullopt;
    if (word.starts_with(kTotal))
      return parse_number<std::uint64_t>(word.substr(kTotal.size()));
  }
}

}  // namespace

Result<Pressure> parse_pressure(std::string_view text) {
  Pressure pressure;
  const auto some = find_line(text, "some ");
  const auto some_us = some ? total(*some) : std::nullopt;
  if (!some_us) return malformed("pressure");
  pressure.some_us = *some_us;
  if (const auto full = find_line(text, "full ")) {
    pressure.full_us = total(*full);
    if (!pressure.full_us) return malformed("pressure");
  }
  return pressure;
}

}  // namespace vcpu
