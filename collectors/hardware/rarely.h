// SPDX-License-Identifier: Apache-2.0
//
// Rarely: what hardly ever changes while a host runs, read every five minutes
// and when a CPU went online or offline.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <utility>

#include "collectors/topology.h"

namespace vcpu {

template <typename T>
class Rarely {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::minutes kPeriod{5};

  explicit Rarely(std::function<Clock::time_point()> now = Clock::now)
      : now_(std::move(now)) {}

  template <typename Read>
  const T& get(const CpuSet& online, const Read& read) {
    const auto now = now_();
    if (!value_ || now >= due_ || online != online_) {
      value_ = read();
      due_ = now + kPeriod;
      online_ = online;
    }
    return *value_;
  }

 private:
  std::function<Clock::time_point()> now_;
  std::optional<T> value_;
  Clock::time_point due_;
  CpuSet online_;
};

}  // namespace vcpu
