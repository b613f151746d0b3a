// SPDX-License-Identifier: Apache-2.0
//
// How much a counter grew that may begin anew: what counts then is all that it
// has counted since. Pure; not thread-safe.
#pragma once

#include <cstdint>

namespace vcpu {

inline std::uint64_t grown(std::uint64_t before, std::uint64_t now) {
  return now < before ? now : now - before;
}

// A counter that grows by what another one grows, and goes on where that
// begins anew. What the other counted before the first look is counted.
class Growing {
 public:
  std::uint64_t see(std::uint64_t now) {
    total_ += grown(last_, now);
    last_ = now;
    return total_;
  }
  std::uint64_t total() const { return total_; }

 private:
  std::uint64_t last_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace vcpu
