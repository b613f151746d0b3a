// SPDX-License-Identifier: Apache-2.0
//
// Waiting for what another thread or process does: no test sleeps for a guess.
#pragma once

#include <poll.h>

#include <chrono>

namespace vcpu {

// True as soon as `condition()` is; false when that takes longer than `most`.
template <typename Condition>
bool within(std::chrono::milliseconds most, const Condition& condition) {
  const auto until = std::chrono::steady_clock::now() + most;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    ::poll(nullptr, 0, 2);
  }
  return true;
}

template <typename Condition>
bool eventually(const Condition& condition) {
  return within(std::chrono::seconds(30), condition);
}

}  // namespace vcpu
