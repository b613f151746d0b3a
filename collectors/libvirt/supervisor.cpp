// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/supervisor.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

namespace vcpu {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

}  // namespace

Supervisor::~Supervisor() {
  stop();
  if (nudge_fd_ >= 0) ::close(nudge_fd_);
}

Result<void> Supervisor::start(std::function<void()> work) {
  nudge_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (nudge_fd_ >= 0) stop_fd_ = ::eventfd(0, EFD_CLOEXEC);
  if (stop_fd_ < 0) return Error{{errno, std::generic_category()}, "eventfd"};
  try {
    const SignalsBlocked blocked;
    thread_ = std::thread(std::move(work));
  } catch (const std::system_error& failure) {
    return Error{failure.code(), "thread that watches over libvirt"};
  }
  return {};
}

bool Supervisor::stop() {
  if (stop_fd_ < 0) return false;
  ::eventfd_write(stop_fd_, 1);
  if (thread_.joinable()) thread_.join();
  ::close(stop_fd_);
  stop_fd_ = -1;
  return true;
}

void Supervisor::nudge() const {
  if (nudge_fd_ >= 0) ::eventfd_write(nudge_fd_, 1);
}

Supervisor::Event Supervisor::wait(int fd, milliseconds most) const {
  const auto until = Clock::now() + most;
  std::array<pollfd, 3> fds{
      {{stop_fd_, POLLIN, 0}, {fd, POLLIN, 0}, {nudge_fd_, POLLIN, 0}}};
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
    const auto timeout = std::max<milliseconds::rep>(left.count(), 0);
    const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(timeout));
    if (ready < 0 && errno == EINTR) continue;
    if (fds[0].revents != 0) return Event::kStop;
    if (fds[1].revents != 0) return Event::kReadable;
    eventfd_t nudges = 0;
    if (fds[2].revents != 0) ::eventfd_read(nudge_fd_, &nudges);
    return nudges > 0 ? Event::kNudged : Event::kDeadline;
  }
}

std::string in_words(milliseconds time) {
  constexpr int kMsPerSecond = 1000;
  return time.count() % kMsPerSecond == 0
             ? std::to_string(time.count() / kMsPerSecond) + " s"
             : std::to_string(time.count()) + " ms";
}

}  // namespace vcpu
