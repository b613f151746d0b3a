// SPDX-License-Identifier: Apache-2.0
#include "collectors/perf/perf_event_source.h"

#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace vcpu {
namespace {

constexpr int kNoLeader = -1;

Error last_error() {
  return {std::error_code(errno, std::generic_category()), "perf_event_open"};
}

// The first event of a group leads it, and waits until it is told to begin.
int open_event(perf_event_attr event, pid_t tid, int leader) {
  constexpr int kAnyCpu = -1;
  event.size = sizeof(event);
  event.disabled = leader == kNoLeader ? 1 : 0;
  event.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED |
                      PERF_FORMAT_TOTAL_TIME_RUNNING;
  return static_cast<int>(::syscall(SYS_perf_event_open, &event, tid, kAnyCpu,
                                    leader, PERF_FLAG_FD_CLOEXEC));
}

class PerfEventGroup final : public EventGroup {
 public:
  ~PerfEventGroup() override {
    for (const int fd : fds_) ::close(fd);
  }

  Result<void> open(pid_t tid, const std::vector<perf_event_attr>& events) {
    for (const perf_event_attr& event : events) {
      const int leader = fds_.empty() ? kNoLeader : fds_.front();
      const int fd = open_event(event, tid, leader);
      if (fd < 0) return last_error();
      fds_.push_back(fd);
    }
    if (::ioctl(fds_.front(), PERF_EVENT_IOC_ENABLE, 0) != 0)
      return last_error();
    return {};
  }

  // struct read_format of perf_event_open(2): how many events, enabled,
  // running, and a value each.
  Result<GroupReading> read() override {
    constexpr std::size_t kHead = 3;
    buffer_.resize(kHead + fds_.size());
    const std::size_t size = buffer_.size() * sizeof(buffer_[0]);
    const ssize_t got = ::read(fds_.front(), buffer_.data(), size);
    if (got < 0) return last_error();
    if (static_cast<std::size_t>(got) != size || buffer_[0] != fds_.size())
      return malformed("a group of perf events");
    return GroupReading{
        buffer_[1], buffer_[2], {buffer_.begin() + kHead, buffer_.end()}};
  }

 private:
  std::vector<int> fds_;  // Of the events; the first leads.
  std::vector<std::uint64_t> buffer_;
};

}  // namespace

// An event of our own stays open. With the first one of all, the kernel makes
// every CPU look at perf events when it switches threads, and waits some 10 ms
// until all do: here, and not in a scrape.
PerfEventSource::PerfEventSource() {
  perf_event_attr nothing{};
  nothing.type = PERF_TYPE_SOFTWARE;
  nothing.config = PERF_COUNT_SW_DUMMY;
  nothing.exclude_kernel = 1;  // Else it needs a right.
  keeper_ = open_event(nothing, 0, kNoLeader);
}

PerfEventSource::~PerfEventSource() {
  if (keeper_ >= 0) ::close(keeper_);
}

Result<std::unique_ptr<EventGroup>> PerfEventSource::open(
    pid_t tid, const std::vector<perf_event_attr>& events) {
  auto group = std::make_unique<PerfEventGroup>();
  if (const auto opened = group->open(tid, events); !opened)
    return opened.error();
  return std::unique_ptr<EventGroup>(std::move(group));
}

}  // namespace vcpu
