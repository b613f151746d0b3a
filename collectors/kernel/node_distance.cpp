// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/node_distance.h"

#include "collectors/base/scan.h"

namespace vcpu {

Result<std::vector<int>> parse_node_distances(std::string_view text) {
  std::vector<int> distances;
  for (auto word = take_word(text); !word.empty(); word = take_word(text)) {
    const auto distance = parse_number<int>(word);
    if (!distance || *distance == 0) return malformed("node distance");
    distances.push_back(*distance);
  }
  if (distances.empty()) return malformed("node distance");
  return distances;
}

}  // namespace vcpu
