// SPDX-License-Identifier: Apache-2.0
//
// Slots: so many may be in flight at one time. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

namespace vcpu {

class Slots {
 public:
  // 0: no limit.
  explicit Slots(int most) : state_(std::make_shared<State>(most)) {}

  // Null where none is free by then. Given back with the last copy, which may
  // outlive us.
  std::shared_ptr<void> take(std::chrono::milliseconds patience) {
    std::unique_lock lock(state_->mutex);
    const auto free = [this] {
      return state_->most == 0 || state_->taken < state_->most;
    };
    if (!state_->given_back.wait_for(lock, patience, free)) return nullptr;
    ++state_->taken;
    lock.unlock();
    return {state_.get(), [state = state_](void*) { give_back(*state); }};
  }

 private:
  struct State {
    explicit State(int limit) : most(limit) {}
    const int most;
    std::mutex mutex;
    std::condition_variable given_back;
    int taken = 0;
  };

  static void give_back(State& state) {
    const std::lock_guard lock(state.mutex);
    --state.taken;
    state.given_back.notify_one();
  }

  const std::shared_ptr<State> state_;
};

}  // namespace vcpu
