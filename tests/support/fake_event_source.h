// SPDX-License-Identifier: Apache-2.0
//
// FakeEventSource: threads that run when the test says so, on a CPU with as
// many counters as it says, and a clock that stands still but for what opening,
// reading and closing cost.
#pragma once

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "collectors/perf/event_names.h"
#include "collectors/perf/event_source.h"

namespace vcpu {

class FakeEventSource final : public EventSource {
 public:
  using Clock = std::chrono::steady_clock;

  // ---- The machine.

  double hardware_share = 1;          // Of the time, that events have counters.
  std::size_t counters = 100;         // A group with more events is refused.
  std::size_t descriptors = 100'000;  // There are no more.
  std::set<pid_t> gone;
  std::set<pid_t> forbidden;
  std::map<std::pair<std::uint32_t, std::uint64_t>, int> refused;  // errno.
  Clock::duration cost{};  // Of each operation.
  // Which of them, from 0, fails with what errno; 0: it gives less than it
  // should.
  std::map<std::size_t, int> failing_opens;
  std::map<std::size_t, int> failing_reads;

  void refuse(const std::string& name, int error) {
    const auto event = *encode_event(name);
    refused[{event.type, event.config}] = error;
  }

  // The thread has a CPU for so long.
  void run(pid_t tid, double seconds) {
    for (Group* const group : groups_)
      if (group->tid == tid) group->run(seconds);
  }

  // What an event counts per second.
  static double rate(const perf_event_attr& event) {
    return 1e6 * static_cast<double>(event.config + 1);
  }

  void pass_time(Clock::duration time) { now_ += time; }
  Clock::time_point now() const { return now_; }

  // ---- What is seen of those who use it.

  std::set<pid_t> observed() const {
    std::set<pid_t> tids;
    for (const Group* const group : groups_) tids.insert(group->tid);
    return tids;
  }
  std::size_t open_events() const {
    std::size_t events = 0;
    for (const Group* const group : groups_) events += group->events.size();
    return events;
  }
  std::size_t opens = 0;
  std::size_t reads = 0;

  // ---- As the kernel does.

  Result<std::unique_ptr<EventGroup>> open(
      pid_t tid, const std::vector<perf_event_attr>& events) override {
    now_ += cost;
    const auto failing = failing_opens.find(opens++);
    if (failing != failing_opens.end()) return failure(failing->second);
    if (const int error = why_not(tid, events); error != 0)
      return Error{std::error_code(error, std::generic_category()), "fake"};
    return std::unique_ptr<EventGroup>(
        std::make_unique<Group>(*this, tid, events));
  }

 private:
  struct Group final : EventGroup {
    Group(FakeEventSource& a_source, pid_t a_tid,
          std::vector<perf_event_attr> some)
        : source(a_source), tid(a_tid), events(std::move(some)) {
      reading.values.resize(events.size());
      source.groups_.push_back(this);
    }
    ~Group() override {
      source.now_ += source.cost;
      source.groups_.remove(this);
    }

    Result<GroupReading> read() override {
      source.now_ += source.cost;
      const auto failing = source.failing_reads.find(source.reads++);
      if (failing != source.failing_reads.end())
        return failure(failing->second);
      return reading;
    }

    void run(double seconds) {
      const double share =
          is_software(events.front()) ? 1 : source.hardware_share;
      reading.enabled_ns += static_cast<std::uint64_t>(seconds * 1e9);
      reading.running_ns += static_cast<std::uint64_t>(seconds * share * 1e9);
      for (std::size_t i = 0; i < events.size(); ++i)
        reading.values[i] +=
            static_cast<std::uint64_t>(seconds * share * rate(events[i]));
    }

    FakeEventSource& source;
    const pid_t tid;
    const std::vector<perf_event_attr> events;
    GroupReading reading;
  };

  static Error failure(int error) {
    if (error == 0) return malformed("fake");
    return {std::error_code(error, std::generic_category()), "fake"};
  }

  int why_not(pid_t tid, const std::vector<perf_event_attr>& events) const {
    if (gone.contains(tid)) return ESRCH;
    if (forbidden.contains(tid)) return EACCES;
    for (const auto& event : events) {
      const auto found = refused.find({event.type, event.config});
      if (found != refused.end()) return found->second;
    }
    if (!is_software(events.front()) && events.size() > counters) return EINVAL;
    if (open_events() + events.size() > descriptors) return EMFILE;
    return 0;
  }

  std::list<Group*> groups_;
  Clock::time_point now_{};
};

}  // namespace vcpu
