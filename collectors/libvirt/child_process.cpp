// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

namespace vcpu {
namespace {

constexpr int kReapStepMs = 2;

Error system_error(int code, std::string context) {
  return {{code, std::generic_category()}, std::move(context)};
}

// True as soon as `done()` is, false when that takes too long.
template <typename Condition>
bool patiently(const Condition& done) {
  const auto until = std::chrono::steady_clock::now() + kReapPatience;
  while (!done()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    ::poll(nullptr, 0, kReapStepMs);
  }
  return true;
}

// Reaped now, or by someone else (ECHILD: SIGCHLD is ignored).
bool reaped(pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) != 0; }

class SpawnSetup {
 public:
  explicit SpawnSetup(int write_fd) {
    ::posix_spawn_file_actions_init(&actions_);
    // First, as the pipe may have any number, 0 and 1 included.
    ::posix_spawn_file_actions_adddup2(&actions_, write_fd, kChildOutFd);
    ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null",
                                       O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, "/dev/null",
                                       O_WRONLY, 0);
    ::posix_spawnattr_init(&attributes_);
    sigset_t set;
    sigfillset(&set);
    ::posix_spawnattr_setsigdefault(&attributes_, &set);
    sigemptyset(&set);
    ::posix_spawnattr_setsigmask(&attributes_, &set);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETPGROUP |
                                                 POSIX_SPAWN_SETSIGDEF |
                                                 POSIX_SPAWN_SETSIGMASK);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
  ~SpawnSetup() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

}  // namespace

ChildProcess::~ChildProcess() { end(); }

Result<void> ChildProcess::spawn(const std::string& program,
                                 const std::vector<std::string>& argv) {
  end();
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_error(errno, "pipe");

  std::vector<std::string> copies = argv;
  std::vector<char*> pointers;
  pointers.reserve(copies.size() + 1);
  for (std::string& argument : copies) pointers.push_back(argument.data());
  pointers.push_back(nullptr);

  const SpawnSetup setup(ends[1]);
  const int failure =
      ::posix_spawn(&pid_, program.c_str(), setup.actions(), setup.attributes(),
                    pointers.data(), environ);
  ::close(ends[1]);
  if (failure != 0) {
    pid_ = -1;
    ::close(ends[0]);
    return system_error(failure, program);
  }
  out_fd_ = ends[0];
  return {};
}

std::string ChildProcess::how_it_ended() const {
  siginfo_t info{};
  // WNOWAIT: until it is reaped its group's number cannot become another's.
  const bool ended = pid_ > 0 && patiently([this, &info] {
                       return ::waitid(P_PID, static_cast<id_t>(pid_), &info,
                                       WEXITED | WNOHANG | WNOWAIT) != 0 ||
                              info.si_pid != 0;
                     });
  if (!ended || info.si_pid == 0) return "still running";
  return (info.si_code == CLD_EXITED ? "exit status " : "signal ") +
         std::to_string(info.si_status);
}

void ChildProcess::end() {
  std::erase_if(unreaped_, reaped);
  if (pid_ < 0) return;
  ::kill(-pid_, SIGKILL);
  ::close(out_fd_);
  if (!patiently([this] { return reaped(pid_); })) unreaped_.push_back(pid_);
  pid_ = -1;
  out_fd_ = -1;
}

}  // namespace vcpu
