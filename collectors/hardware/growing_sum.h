// SPDX-License-Identifier: Apache-2.0
//
// A sum of counters that come and go with CPUs, which itself never decreases.
//
// What is there at the first look counts as a whole. A counter that appears
// later counts from then on: it may be that of a sibling of a CPU that went
// offline, and have counted the same. What has gone stays counted.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>

namespace vcpu {

class GrowingSum {
 public:
  std::uint64_t see(const std::map<int, std::uint64_t>& counts) {
    for (const auto& [key, count] : counts) {
      const auto [known, is_new] = last_.try_emplace(key, first_ ? 0 : count);
      total_ += count - std::min(count, known->second);
      known->second = count;
    }
    first_ = first_ && counts.empty();
    return total_;
  }

 private:
  std::map<int, std::uint64_t> last_;
  std::uint64_t total_ = 0;
  bool first_ = true;
};

}  // namespace vcpu
