// SPDX-License-Identifier: Apache-2.0
//
// Crowd: a process with many threads that sleep, all named as vCPUs.
//
// Not thread-safe; what fails throws std::runtime_error.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <vector>

#include "tests/bench/token_pipe.h"

namespace vcpu {

class Crowd {
 public:
  explicit Crowd(std::size_t threads);  // Returns when all are there.
  ~Crowd();
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  std::vector<pid_t> tids() const;

 private:
  TokenPipe done_;
  pid_t pid_;
};

}  // namespace vcpu
