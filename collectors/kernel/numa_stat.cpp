// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/numa_stat.h"

#include <initializer_list>
#include <optional>

#include "collectors/base/scan.h"

namespace vcpu {
namespace {

// "N0=12 N1=3"; empty where it is something else.
std::optional<NodeBytes> parse_nodes(std::string_view text,
                                     std::uint64_t unit) {
  NodeBytes nodes;
  for (auto word = take_word(text); !word.empty(); word = take_word(text)) {
    const auto equals = word.find('=');
    if (!word.starts_with('N') || equals == std::string_view::npos)
      return std::nullopt;
    const auto node = parse_number<int>(word.substr(1, equals - 1));
    const auto value = parse_number<std::uint64_t>(word.substr(equals + 1));
    if (!node || !value) return std::nullopt;
    nodes[*node] = *value * unit;
  }
  return nodes;
}

// The nodes of the line of that name: "anon N0=.." or "anon=374 N0=..".
std::optional<std::string_view> find_nodes(std::string_view text,
                                           std::string_view name) {
  while (!text.empty()) {
    auto line = take_line(text);
    const auto key = take_word(line);
    if (key.substr(0, key.find('=')) == name) return line;
  }
  return std::nullopt;
}

// The sum of these lines, of which every one must be there.
std::optional<NodeBytes> sum_of(std::string_view text,
                                std::initializer_list<std::string_view> names,
                                std::uint64_t unit) {
  NodeBytes sum;
  for (const auto name : names) {
    const auto line = find_nodes(text, name);
    const auto nodes = line ? parse_nodes(*line, unit) : std::nullopt;
    if (!nodes) return std::nullopt;
    add_to(sum, *nodes);
  }
  return sum;
}

}  // namespace

Result<MemoryNumaStat> parse_memory_numa_stat(std::string_view text,
                                              int version,
                                              std::uint64_t page_bytes) {
  const auto memory =
      version == 1
          ? sum_of(text, {"hierarchical_anon", "hierarchical_unevictable"},
                   page_bytes)
          : sum_of(text, {"anon", "shmem"}, 1);
  if (!memory) return malformed("memory.numa_stat");
  return MemoryNumaStat{*memory,
                        sum_of(text, {"hugetlb"}, 1).value_or(NodeBytes{})};
}

Result<NodeBytes> parse_hugetlb_numa_stat(std::string_view text) {
  auto nodes = sum_of(text, {"hierarchical_total"}, 1);
  if (!nodes) nodes = sum_of(text, {"total"}, 1);
  if (!nodes) return malformed("hugetlb numa_stat");
  return *nodes;
}

void add_to(NodeBytes& sum, const NodeBytes& more) {
  for (const auto& [node, bytes] : more) sum[node] += bytes;
}

std::uint64_t total(const NodeBytes& bytes) {
  std::uint64_t sum = 0;
  for (const auto& [node, some] : bytes) sum += some;
  return sum;
}

}  // namespace vcpu
