// SPDX-License-Identifier: Apache-2.0
//
// by_precedence(): who comes first where not all can have what they want:
// system users' processes, then the oldest. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <tuple>
#include <vector>

namespace vcpu {

// The places of `processes`, which have `start_ticks` and `pid`, in that order.
template <typename Process, typename IsSystems>
std::vector<std::size_t> by_precedence(const std::vector<Process>& processes,
                                       const IsSystems& is_systems) {
  std::vector<std::size_t> order(processes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto rank = [&](std::size_t i) {
    return std::tuple(!is_systems(processes[i]), processes[i].start_ticks,
                      processes[i].pid);
  };
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return rank(a) < rank(b); });
  return order;
}

}  // namespace vcpu
