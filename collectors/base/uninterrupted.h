// SPDX-License-Identifier: Apache-2.0
//
// A system call that a signal interrupts is made again.
#pragma once

#include <cerrno>

namespace vcpu {

// What `call` returns, which is -1 where it failed, as system calls do it.
template <typename Call>
auto uninterrupted(const Call& call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

}  // namespace vcpu
