// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/numa_maps.h"

#include <optional>

#include "collectors/base/scan.h"

namespace vcpu {
namespace {

constexpr std::string_view kPageSize = "kernelpagesize_kB=";

// Of one line; empty where it is garbage, nothing where it is not huge.
std::optional<NodeBytes> parse_mapping(std::string_view line) {
  NodeBytes pages;
  std::uint64_t page_bytes = 0;
  bool huge = false;
  for (auto word = take_word(line); !word.empty(); word = take_word(line)) {
    if (word == "huge") huge = true;
    const auto equals = word.find('=');
    if (equals == std::string_view::npos) continue;
    const auto value = parse_number<std::uint64_t>(word.substr(equals + 1));
    const auto node = parse_number<int>(word.substr(1, equals - 1));
    if (word.starts_with('N') && node && value) pages[*node] += *value;
    if (word.starts_with(kPageSize) && value) page_bytes = *value * 1024;
  }
  if (!huge || pages.empty()) return NodeBytes{};
  if (page_bytes == 0) return std::nullopt;
  for (auto& [node, bytes] : pages) bytes *= page_bytes;
  return pages;
}

}  // namespace

Result<NodeBytes> parse_huge_numa_maps(std::string_view text) {
  NodeBytes sum;
  while (!text.empty()) {
    const auto mapping = parse_mapping(take_line(text));
    if (!mapping) return malformed("numa_maps");
    add_to(sum, *mapping);
  }
  return sum;
}

}  // namespace vcpu
