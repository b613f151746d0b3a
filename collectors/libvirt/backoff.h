// SPDX-License-Identifier: Apache-2.0
//
// Backoff: how long to wait before the next try of something that failed.
//
// Doubles from `shortest` up to `longest`; each wait is drawn at random from
// the upper half of its step, so that a thousand hosts whose libvirtd was
// upgraded together do not come back together. Not thread-safe.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>

namespace vcpu {

class Backoff {
 public:
  Backoff(std::chrono::milliseconds shortest, std::chrono::milliseconds longest,
          std::uint32_t seed)
      : shortest_(shortest),
        longest_(longest),
        step_(shortest),
        random_(seed) {}

  std::chrono::milliseconds next() {
    std::uniform_int_distribution<std::int64_t> between(step_.count() / 2,
                                                        step_.count());
    step_ = std::min(step_ * 2, longest_);
    return std::chrono::milliseconds(between(random_));
  }

  // It worked: the next wait is a short one again.
  void reset() { step_ = shortest_; }

 private:
  std::chrono::milliseconds shortest_;
  std::chrono::milliseconds longest_;
  std::chrono::milliseconds step_;
  std::minstd_rand random_;
};

}  // namespace vcpu
