// SPDX-License-Identifier: Apache-2.0
//
// Sparingly: lines that clients can cause, so many a minute and no more, as
// they must not fill the log. Thread-safe.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <utility>

namespace vcpu {

class Sparingly {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Sparingly(int lines_per_minute) : most_(lines_per_minute) {}

  // Nothing: leave this line out. Else how many were left out since the last
  // that was not.
  std::optional<int> next(Clock::time_point now = Clock::now()) {
    const std::lock_guard lock(mutex_);
    if (now - begin_ >= std::chrono::minutes(1) || said_ == 0) {
      begin_ = now;
      said_ = 0;
    }
    if (said_ >= most_) {
      ++left_out_;
      return std::nullopt;
    }
    ++said_;
    return std::exchange(left_out_, 0);
  }

 private:
  const int most_;
  std::mutex mutex_;
  Clock::time_point begin_;
  int said_ = 0;
  int left_out_ = 0;
};

}  // namespace vcpu
