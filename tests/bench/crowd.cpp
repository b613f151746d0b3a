// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/crowd.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <stdexcept>
#include <string>

#include "collectors/base/file.h"

namespace vcpu {
namespace {

constexpr std::chrono::seconds kPatience{60};
constexpr std::size_t kStack = std::size_t{32} << 10;

void* sleep_on(void* /*unused*/) {
  while (true) ::pause();
}

// In the child.
[[noreturn]] void be_a_crowd(std::size_t threads, const TokenPipe& done) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // Not to outlive who measures.
  ::prctl(PR_SET_NAME, "CPU 0/KVM");   // Threads inherit it.
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, kStack);
  for (std::size_t i = 0; i < threads; ++i) {
    pthread_t thread{};
    if (::pthread_create(&thread, &attributes, sleep_on, nullptr) != 0) break;
  }
  done.put();
  while (true) ::pause();
}

}  // namespace

Crowd::Crowd(std::size_t threads) : pid_(::fork()) {
  if (pid_ == 0) be_a_crowd(threads, done_);
  if (pid_ < 0 || !done_.has_one_within(kPatience) || tids().size() <= threads)
    throw std::runtime_error("cannot start " + std::to_string(threads) +
                             " threads; choose fewer with --threads=N");
}

Crowd::~Crowd() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

std::vector<pid_t> Crowd::tids() const {
  const auto tids = list_numbers("/proc/" + std::to_string(pid_) + "/task");
  if (!tids) throw std::runtime_error(tids.error().message());
  return {tids->begin(), tids->end()};
}

}  // namespace vcpu
