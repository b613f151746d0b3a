// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/ping_pong.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <new>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace vcpu {
namespace {

constexpr std::chrono::seconds kPatience{60};

void check(bool good, const char* what) {
  if (!good) throw std::system_error(errno, std::generic_category(), what);
}

SwitchCost spent_so_far() {
  timespec cpu{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  return {static_cast<std::uint64_t>(cpu.tv_sec) * 1'000'000'000 +
              static_cast<std::uint64_t>(cpu.tv_nsec),
          static_cast<std::uint64_t>(usage.ru_nvcsw + usage.ru_nivcsw)};
}

void bind_to(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  check(::sched_setaffinity(0, sizeof one, &one) == 0, "sched_setaffinity");
}

}  // namespace

struct PingPong::Shared {
  std::uint64_t times = 0;
  std::array<pid_t, kMostTasks> tids{};
  std::array<SwitchCost, kMostTasks> costs{};
};

PingPong::PingPong(std::size_t pairs, bool vcpus, int cpu)
    : tokens_(2 * pairs), starts_(2 * pairs), tasks_(2 * pairs) {
  if (tasks_.size() > kMostTasks) throw std::runtime_error("too many tasks");
  void* const memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  check(memory != MAP_FAILED, "mmap");
  shared_ = new (memory) Shared;
  for (std::size_t i = 0; i < tasks_.size(); i += 2) tokens_[i].put();
  for (std::size_t i = 0; i < tasks_.size(); ++i)
    tasks_[i].pid = start_task(i, vcpus, cpu);
  wait_for_all();
  for (std::size_t i = 0; i < tasks_.size(); ++i)
    tasks_[i].tid = shared_->tids.at(i);
}

PingPong::~PingPong() {
  for (const Task& task : tasks_) {
    if (task.pid <= 0) continue;
    ::kill(task.pid, SIGKILL);
    ::waitpid(task.pid, nullptr, 0);
  }
  ::munmap(shared_, sizeof(Shared));
}

// A vCPU is never the first thread of its process.
pid_t PingPong::start_task(std::size_t place, bool vcpu, int cpu) const {
  const pid_t pid = ::fork();
  check(pid >= 0, "fork");
  if (pid > 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // Not to outlive who measures.
  std::thread([&] {
    ::prctl(PR_SET_NAME, vcpu ? "CPU 0/KVM" : "player");
    bind_to(cpu);
    shared_->tids.at(place) = static_cast<pid_t>(::syscall(SYS_gettid));
    done_.put();
    while (true) play_on(place);
  }).join();
  ::_exit(1);
}

void PingPong::play_on(std::size_t place) const {
  const TokenPipe& mine = tokens_[place];
  const TokenPipe& partners = tokens_[place ^ 1];
  starts_[place].take();
  const SwitchCost before = spent_so_far();
  for (std::uint64_t i = 0; i < shared_->times; ++i) {
    mine.take();
    partners.put();
  }
  const SwitchCost after = spent_so_far();
  shared_->costs.at(place) = {after.cpu_ns - before.cpu_ns,
                              after.switches - before.switches};
  done_.put();
}

void PingPong::wait_for_all() const {
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    if (!done_.has_one_within(kPatience))
      throw std::runtime_error("a task of the ping-pong has ended, or hangs");
    done_.take();
  }
}

SwitchCost PingPong::play(std::uint64_t times) {
  shared_->times = times;
  for (const TokenPipe& start : starts_) start.put();
  wait_for_all();
  SwitchCost sum;
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    sum.cpu_ns += shared_->costs.at(i).cpu_ns;
    sum.switches += shared_->costs.at(i).switches;
  }
  return sum;
}

}  // namespace vcpu
