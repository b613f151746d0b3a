// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/kib_lines.h"

#include <limits>

#include "collectors/base/scan.h"

namespace vcpu {
namespace {

constexpr std::uint64_t kBytesPerKib = 1024;

std::optional<std::uint64_t> parse_kib(std::string_view text) {
  constexpr auto kMost =
      std::numeric_limits<std::uint64_t>::max() / kBytesPerKib;
  const auto kib = take_u64(text);
  if (!kib || *kib > kMost || trim(text) != "kB") return std::nullopt;
  return *kib * kBytesPerKib;
}

}  // namespace

bool read_kib_lines(std::string_view text,
                    std::initializer_list<KibLine> wanted) {
  while (!text.empty()) {
    const auto line = take_line(text);
    for (const auto& [key, bytes] : wanted) {
      if (!line.starts_with(key)) continue;
      *bytes = parse_kib(line.substr(key.size()));
      if (!*bytes) return false;
    }
  }
  return true;
}

}  // namespace vcpu
