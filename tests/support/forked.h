// SPDX-License-Identifier: Apache-2.0
//
// For what leaves a thread behind that cannot be ended, as libvirt's event
// loop.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>

namespace vcpu {

// What `work()`, which returns a text, returns in a process of its own.
template <typename Work>
std::string in_child(const Work& work) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string text = work();
    const auto written = ::write(ends[1], text.data(), text.size());
    ::_exit(written < 0 ? 1 : 0);
  }
  ::close(ends[1]);
  std::string text;
  std::array<char, 4096> chunk{};
  for (ssize_t n = 0; (n = ::read(ends[0], chunk.data(), chunk.size())) > 0;)
    text.append(chunk.data(), static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return status == 0 ? text : "the process has failed: " + text;
}

}  // namespace vcpu
