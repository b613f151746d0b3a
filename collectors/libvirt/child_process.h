// SPDX-License-Identifier: Apache-2.0
//
// ChildProcess: one process of ours at a time, with a pipe from it to us and,
// on request, one from us to it, that can be got rid of whatever it does.
//
// No call waits for the child longer than kReapPatience: one that the kernel
// cannot kill yet (state D) is set aside and reaped at a later call. Not
// thread-safe.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "collectors/base/result.h"

namespace vcpu {

// Where the child finds the writing end of its pipe to us, and the reading end
// of ours to it.
inline constexpr int kChildOutFd = 3;
inline constexpr int kChildInFd = 4;
inline constexpr std::chrono::milliseconds kReapPatience{100};

// Our own program, to be run once more. By this address a filter of system
// calls knows it (exporter/seccomp_filter.h).
extern const char* const own_program;

class ChildProcess {
 public:
  ChildProcess() = default;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();

  // Runs `program` with `argv`, after the end of the child before. The child
  // leads a process group of its own, has default signals, /dev/null for
  // standard input and output, our standard error, and kChildOutFd.
  Result<void> spawn(const std::string& program,
                     const std::vector<std::string>& argv);

  // The same, with kChildInFd besides.
  Result<void> spawn_listening(const std::string& program,
                               const std::vector<std::string>& argv);

  // Puts all of `bytes` into the pipe to the child at once. False: it does not
  // take them (it has ended, or has left what it got before unread).
  bool tell(std::string_view bytes) const;

  // -1 where there is no child.
  pid_t pid() const { return pid_; }

  // The reading end of the pipe; -1 where there is no child.
  int out_fd() const { return out_fd_; }

  // How a child whose pipe has ended ended itself, for a person: "exit status
  // 1", "signal 11", "still running".
  std::string how_it_ended() const;

  // SIGKILL to the child and to all it started in its group; closes the pipes.
  // Without a child it only reaps those set aside.
  void end();

 private:
  Result<void> spawn(const std::string& program,
                     const std::vector<std::string>& argv, bool listening);

  pid_t pid_ = -1;
  int out_fd_ = -1;
  int in_fd_ = -1;
  std::vector<pid_t> unreaped_;
};

}  // namespace vcpu
