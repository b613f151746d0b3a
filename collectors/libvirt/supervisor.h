// SPDX-License-Identifier: Apache-2.0
//
// Supervisor: a thread of ours that keeps a child process, and can be ended at
// any time: whatever it waits for, it waits for stop() as well.
//
// start() and stop() are for the owner's thread, wait() for the supervisor's.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>

#include "collectors/base/result.h"

namespace vcpu {

class Supervisor {
 public:
  enum class Event : std::uint8_t { kReadable, kDeadline, kNudged, kStop };

  Supervisor() = default;
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;
  ~Supervisor();

  // Runs `work` in the thread, without signals: those are for the thread that
  // main chose. Once. `work` returns soon after wait() said kStop.
  Result<void> start(std::function<void()> work);

  // Returns when `work` has. False: it was not running.
  bool stop();

  // Until `fd` is readable, or its other end closed; kDeadline after `most`. A
  // negative `fd` is never readable. kNudged: there is something new to do.
  Event wait(int fd, std::chrono::milliseconds most) const;

  // Makes one wait() say kNudged, that which goes on or the next. Any thread;
  // nothing before start().
  void nudge() const;

 private:
  int stop_fd_ = -1;   // Readable, for good, once stop() was called.
  int nudge_fd_ = -1;  // Readable until wait() has said so.
  std::thread thread_;
};

// "10 s", "100 ms": for a reason.
std::string in_words(std::chrono::milliseconds time);

}  // namespace vcpu
