// SPDX-License-Identifier: Apache-2.0
//
// EventSource: opens groups of perf events on threads. An interface, so that
// what is done with them is tested without a PMU.
//
// The events of a group count at the same times or not at all, from the moment
// its last one is open. One thread. Source: perf_event_open(2).
#pragma once

#include <linux/perf_event.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "collectors/base/result.h"

namespace vcpu {

// What a group has counted since it was opened. Nothing of it ever falls.
struct GroupReading {
  std::uint64_t enabled_ns = 0;       // Time that the thread had a CPU.
  std::uint64_t running_ns = 0;       // Of it, that the events had counters.
  std::vector<std::uint64_t> values;  // As the events were listed.
};

// Closed when it goes.
class EventGroup {
 public:
  EventGroup() = default;
  EventGroup(const EventGroup&) = delete;
  EventGroup& operator=(const EventGroup&) = delete;
  virtual ~EventGroup() = default;

  // Of a thread that has ended: what it came to.
  virtual Result<GroupReading> read() = 0;
};

class EventSource {
 public:
  EventSource() = default;
  EventSource(const EventSource&) = delete;
  EventSource& operator=(const EventSource&) = delete;
  virtual ~EventSource() = default;

  // One descriptor for each event. tid 0: the calling thread. Of `events`
  // count type, config and what is excluded. An Error has the code of the
  // first event that was refused, as in perf_event_open(2).
  virtual Result<std::unique_ptr<EventGroup>> open(
      pid_t tid, const std::vector<perf_event_attr>& events) = 0;
};

}  // namespace vcpu
