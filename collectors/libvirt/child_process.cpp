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

#include "collectors/base/uninterrupted.h"

namespace vcpu {

const char* const own_program = "/proc/self/exe";

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

// Both ends, close-on-exec.
class Pipe {
 public:
  Pipe() = default;
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    for (const int fd : ends_)
      if (fd >= 0) ::close(fd);
  }
  bool open() { return ::pipe2(ends_.data(), O_CLOEXEC) == 0; }
  int reading() const { return ends_[0]; }
  int writing() const { return ends_[1]; }
  int take_reading() { return std::exchange(ends_[0], -1); }
  int take_writing() { return std::exchange(ends_[1], -1); }

 private:
  std::array<int, 2> ends_{-1, -1};
};

// The same descriptor by a number that no dup2 of ours overwrites.
int out_of_the_way(int fd) {
  return ::fcntl(fd, F_DUPFD_CLOEXEC, kChildInFd + 1);
}

class SpawnSetup {
 public:
  // Any number is fine for the two, 0 and 1 included; `in_fd` -1: none.
  SpawnSetup(int write_fd, int in_fd) : in_fd_(in_fd) {
    ::posix_spawn_file_actions_init(&actions_);
    if (in_fd >= 0) in_fd_ = out_of_the_way(in_fd);
    // First, as the pipes may have any number.
    ::posix_spawn_file_actions_adddup2(&actions_, write_fd, kChildOutFd);
    if (in_fd_ >= 0)
      ::posix_spawn_file_actions_adddup2(&actions_, in_fd_, kChildInFd);
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
    if (in_fd_ >= 0) ::close(in_fd_);
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  int in_fd_;
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

}  // namespace

ChildProcess::~ChildProcess() { end(); }

Result<void> ChildProcess::spawn(const std::string& program,
                                 const std::vector<std::string>& argv) {
  return spawn(program, argv, false);
}

Result<void> ChildProcess::spawn_listening(
    const std::string& program, const std::vector<std::string>& argv) {
  return spawn(program, argv, true);
}

Result<void> ChildProcess::spawn(const std::string& program,
                                 const std::vector<std::string>& argv,
                                 bool listening) {
  end();
  Pipe from;
  Pipe to;
  if (!from.open() || (listening && !to.open()))
    return system_error(errno, "pipe");
  // Ours alone: the child may block, we may not.
  if (listening) ::fcntl(to.writing(), F_SETFL, O_NONBLOCK);

  std::vector<std::string> copies = argv;
  std::vector<char*> pointers;
  pointers.reserve(copies.size() + 1);
  for (std::string& argument : copies) pointers.push_back(argument.data());
  pointers.push_back(nullptr);

  const SpawnSetup setup(from.writing(), to.reading());
  const char* const path =
      program == own_program ? own_program : program.c_str();
  const int failure =
      ::posix_spawn(&pid_, path, setup.actions(), setup.attributes(),
                    pointers.data(), environ);
  if (failure != 0) {
    pid_ = -1;
    return system_error(failure, program);
  }
  out_fd_ = from.take_reading();
  in_fd_ = to.take_writing();
  return {};
}

bool ChildProcess::tell(std::string_view bytes) const {
  const auto written = uninterrupted(
      [&] { return ::write(in_fd_, bytes.data(), bytes.size()); });
  return std::cmp_equal(written, bytes.size());
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
  if (in_fd_ >= 0) ::close(in_fd_);
  if (!patiently([this] { return reaped(pid_); })) unreaped_.push_back(pid_);
  pid_ = -1;
  out_fd_ = -1;
  in_fd_ = -1;
}

}  // namespace vcpu
