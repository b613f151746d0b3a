// SPDX-License-Identifier: Apache-2.0
//
// TokenPipe: a pipe for single bytes, between the processes that forked with
// it. What fails throws std::system_error.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>

namespace vcpu {

class TokenPipe {
 public:
  TokenPipe() { check(::pipe2(ends_.data(), O_CLOEXEC) == 0, "pipe2"); }
  ~TokenPipe() {
    for (const int end : ends_) ::close(end);
  }
  TokenPipe(const TokenPipe&) = delete;
  TokenPipe& operator=(const TokenPipe&) = delete;

  void put() const { check(::write(ends_[1], "t", 1) == 1, "write"); }

  void take() const {  // Sleeps until there is one.
    char token = 0;
    check(::read(ends_[0], &token, 1) == 1, "read");
  }

  bool has_one_within(std::chrono::milliseconds time) const {
    pollfd end{ends_[0], POLLIN, 0};
    return ::poll(&end, 1, static_cast<int>(time.count())) == 1;
  }

 private:
  static void check(bool good, const char* call) {
    if (!good) throw std::system_error(errno, std::generic_category(), call);
  }

  std::array<int, 2> ends_{-1, -1};
};

}  // namespace vcpu
