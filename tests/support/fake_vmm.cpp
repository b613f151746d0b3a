// SPDX-License-Identifier: Apache-2.0
//
// A process that looks like a VMM to the kernel: real threads, named like
// vCPUs, that spin on request and measure themselves what they got.
//
// Run it under the VMM's name and arguments (exec with argv[0] of choice). The
// environment variable FAKE_VMM_THREADS names the threads, separated by "|"; so
// many of one name are "NAME*COUNT".
// It prints "ready" and obeys one command per line on standard input:
//
//   spin MS [PERCENT]
//                all threads run for MS milliseconds of wall time, or for so
//                many percent of each 10 of them; then a line
//                "NAME<tab>TID<tab>WALL_NS<tab>CPU_NS" each, and "done"
//   add NAME     one more thread; prints "done"
//   remove NAME  ends that thread; prints "done"
//   allocate KIND NODE MIB
//                memory bound to that NUMA node, written to: anon, shared,
//                locked (anonymous, too) or huge (pages of 2 MiB); prints
//                "done" or what went wrong
//   vhost        the kernel serves a network device of it by a thread of its
//                own; prints "done" or what went wrong
//   kick MS      the device has work for so many milliseconds; prints "done"
//
// WALL_NS counts from the moment the thread was told to run until it stopped.
// It never slept meanwhile unless it was told a percentage: WALL_NS - CPU_NS is
// what it waited for a CPU.
#define VIRTIO_RING_NO_LEGACY  // What it leaves out is C.
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <linux/vhost.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <iostream>
#include <list>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kPeriod = kSecond / 100;

std::int64_t now(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::int64_t{time.tv_sec} * kSecond + time.tv_nsec;
}

void sleep_until(std::int64_t monotonic_ns) {
  const timespec time{monotonic_ns / kSecond, monotonic_ns % kSecond};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr);
}

struct Control {
  std::mutex mutex;
  std::condition_variable changed;   // For the threads,
  std::condition_variable answered;  // and for who told them something.
  int round = 0;
  std::int64_t told_ns = 0;   // When this round began,
  std::int64_t until_ns = 0;  // and when it ends.
  std::int64_t busy_ns = 0;   // Of each period.
};

struct Worker {
  std::string name;
  long tid = 0;
  int done_round = 0;
  bool end = false;
  std::int64_t wall_ns = 0;
  std::int64_t cpu_ns = 0;
  std::thread thread;
};

void work(Control& control, Worker& self) {
  pthread_setname_np(pthread_self(), self.name.c_str());
  std::unique_lock lock(control.mutex);
  self.tid = syscall(SYS_gettid);
  self.done_round = control.round;
  control.answered.notify_all();
  while (true) {
    control.changed.wait(
        lock, [&] { return self.end || self.done_round != control.round; });
    if (self.end) return;
    const auto told = control.told_ns;
    const auto until = control.until_ns;
    const auto busy = control.busy_ns;
    lock.unlock();
    const auto cpu_before = now(CLOCK_THREAD_CPUTIME_ID);
    std::int64_t wall = 0;
    while ((wall = now(CLOCK_MONOTONIC)) < until) {
      const auto into = (wall - told) % kPeriod;
      if (into >= busy) sleep_until(std::min(wall - into + kPeriod, until));
    }
    const auto cpu_after = now(CLOCK_THREAD_CPUTIME_ID);
    lock.lock();
    self.wall_ns = wall - told;
    self.cpu_ns = cpu_after - cpu_before;
    self.done_round = control.round;
    control.answered.notify_all();
  }
}

class Vmm {
 public:
  // Without waiting for it.
  void begin(const std::string& name) {
    Worker& worker = workers_.emplace_back();
    worker.name = name;
    worker.thread = std::thread(work, std::ref(control_), std::ref(worker));
  }

  void await_all() {
    std::unique_lock lock(control_.mutex);
    for (const Worker& worker : workers_)
      control_.answered.wait(lock, [&] { return worker.tid != 0; });
  }

  void remove(const std::string& name) {
    workers_.remove_if([&](Worker& worker) {
      if (worker.name != name) return false;
      end(worker);
      return true;
    });
  }

  void spin(const std::string& arguments) {
    std::istringstream words(arguments);
    std::int64_t ms = 0;
    std::int64_t percent = 100;
    words >> ms >> percent;
    std::unique_lock lock(control_.mutex);
    control_.told_ns = now(CLOCK_MONOTONIC);
    control_.until_ns = control_.told_ns + ms * 1'000'000;
    control_.busy_ns = kPeriod / 100 * percent;
    ++control_.round;
    control_.changed.notify_all();
    for (const Worker& worker : workers_) {
      control_.answered.wait(
          lock, [&] { return worker.done_round == control_.round; });
    }
    for (const Worker& worker : workers_) {
      std::cout << worker.name << '\t' << worker.tid << '\t' << worker.wall_ns
                << '\t' << worker.cpu_ns << '\n';
    }
  }

  ~Vmm() {
    for (Worker& worker : workers_) end(worker);
  }

 private:
  void end(Worker& worker) {
    {
      const std::lock_guard lock(control_.mutex);
      worker.end = true;
      control_.changed.notify_all();
    }
    worker.thread.join();
  }

  Control control_;
  std::list<Worker> workers_;
};

// Kept until the process ends. Returns what went wrong.
std::string allocate(const std::string& arguments) {
  std::istringstream words(arguments);
  std::string kind;
  unsigned node = 0;
  std::size_t mebibytes = 0;
  if (!(words >> kind >> node >> mebibytes) || node >= 64) return "usage";
  const int sharing = kind == "shared" ? MAP_SHARED : MAP_PRIVATE;
  const int pages = kind == "huge" ? MAP_HUGETLB : 0;
  const std::size_t bytes = mebibytes << 20;
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                            sharing | MAP_ANONYMOUS | pages, -1, 0);
  if (memory == MAP_FAILED) return std::strerror(errno);
  const std::uint64_t nodes = 1UL << node;
  if (syscall(SYS_mbind, memory, bytes, MPOL_BIND, &nodes, 65, 0) != 0 ||
      (kind == "locked" && mlock(memory, bytes) != 0))
    return std::strerror(errno);
  std::memset(memory, 1, bytes);
  return "done";
}

// A device without a ring: each kick is looked at, and found to be for nothing.
class VhostDevice {
 public:
  // Returns what went wrong.
  std::string open() {
    constexpr unsigned kTransmitQueue = 1;
    const int device = ::open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
    if (device < 0) return std::strerror(errno);
    kicked_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    vhost_vring_file kick{kTransmitQueue, kicked_};
    if (ioctl(device, VHOST_SET_OWNER) != 0 ||
        ioctl(device, VHOST_SET_VRING_KICK, &kick) != 0)
      return std::strerror(errno);
    return "done";
  }

  void kick(std::int64_t milliseconds) const {
    const auto until = now(CLOCK_MONOTONIC) + milliseconds * 1'000'000;
    while (now(CLOCK_MONOTONIC) < until) eventfd_write(kicked_, 1);
  }

 private:
  int kicked_ = -1;
};

}  // namespace

int main(int /*argc*/, char** argv) {
  const std::string path = argv[0];
  prctl(PR_SET_NAME, path.substr(path.rfind('/') + 1).c_str());
  prctl(PR_SET_PDEATHSIG, 9);  // Not to outlive a test that crashes.
  Vmm vmm;
  VhostDevice vhost;
  const char* const names = std::getenv("FAKE_VMM_THREADS");
  std::istringstream list(names == nullptr ? "" : names);
  for (std::string name; std::getline(list, name, '|');) {
    const auto star = name.find('*');
    const long count =
        star == std::string::npos ? 1 : std::stol(name.substr(star + 1));
    for (long i = 0; i < count; ++i) vmm.begin(name.substr(0, star));
  }
  vmm.await_all();
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    const auto space = line.find(' ');
    const auto command = line.substr(0, space);
    const auto argument = line.substr(space + 1);
    if (command == "spin") vmm.spin(argument);
    if (command == "add") {
      vmm.begin(argument);
      vmm.await_all();
    }
    if (command == "remove") vmm.remove(argument);
    if (command == "kick") vhost.kick(std::stol(argument));
    std::string answer = "done";
    if (command == "allocate") answer = allocate(argument);
    if (command == "vhost") answer = vhost.open();
    std::cout << answer << std::endl;
  }
}
