// SPDX-License-Identifier: Apache-2.0
//
// Observation: one vCPU thread while its events are open, and what that adds to
// the vCPU's totals. Knows neither path nor clock. One thread.
//
// A CPU has few counters. Where others want them as well, the kernel gives them
// to each for part of the time, and the hardware group is scaled: what it
// counted while it had counters stands for all the time that the thread ran.
// Time in which it had none at all stands for nothing: it is kept back until
// the group has counters again, and lost where that does not come. So all
// events of a vCPU, and its observed time, are of the same stretches.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "collectors/base/result.h"
#include "collectors/perf/event_groups.h"
#include "collectors/perf/event_source.h"

namespace vcpu {

// Of one vCPU; never decreases.
struct PerfTotals {
  std::uint64_t observed_ns = 0;  // Time that its thread had a CPU.
  std::vector<double> software;   // As EventGroups lists the events.
  std::vector<double> hardware;
};

class Observation {
 public:
  // Opens the groups on a thread; one without events is left out.
  static Result<Observation> open(EventSource& source, pid_t tid,
                                  const EventGroups& groups);

  // Adds what has come since it was last read.
  Result<void> read(PerfTotals& totals);

  // How long the thread has had a CPU, and the hardware events no counters,
  // since something was added last.
  std::uint64_t kept_back_ns() const { return kept_back_ns_; }

 private:
  struct Group {
    std::unique_ptr<EventGroup> events;  // Null where there are none.
    GroupReading counted;                // In the totals.
  };
  Observation(Group software, Group hardware);

  Group software_;
  Group hardware_;
  std::uint64_t kept_back_ns_ = 0;
};

}  // namespace vcpu
