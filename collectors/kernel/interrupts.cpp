// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/interrupts.h"

#include "collectors/base/scan.h"

namespace vcpu {
namespace {

constexpr std::string_view kMachineChecks = "MCE:";

// The counts end where the description begins.
Result<std::uint64_t> sum_of_counts(std::string_view line) {
  std::uint64_t sum = 0;
  bool has_counts = false;
  for (auto count = take_u64(line); count; count = take_u64(line)) {
    sum += *count;
    has_counts = true;
  }
  if (!has_counts) return malformed("interrupts");
  return sum;
}

}  // namespace

Result<Interrupts> parse_interrupts(std::string_view text) {
  while (!text.empty()) {
    auto line = take_line(text);
    if (take_word(line) != kMachineChecks) continue;
    const auto sum = sum_of_counts(line);
    if (!sum) return sum.error();
    return Interrupts{*sum};
  }
  return Interrupts{};
}

}  // namespace vcpu
