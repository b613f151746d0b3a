// SPDX-License-Identifier: Apache-2.0
//
// EventGroups: which of the wanted events this host offers, found out by
// opening them on the calling thread, and in which group each is counted.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "collectors/base/result.h"
#include "collectors/perf/event_names.h"
#include "collectors/perf/event_source.h"

namespace vcpu {

struct EventGroups {
  // Counted by the kernel, always.
  std::vector<NamedEvent> software;
  // Counted by the CPU, all at the same time, so that ratios of them are right;
  // where the counters are shared with others, only part of the time.
  std::vector<NamedEvent> hardware;
  // Name, and the reason for a person.
  std::vector<std::pair<std::string, std::string>> missing;

  // What a thread needs.
  std::size_t descriptors() const { return software.size() + hardware.size(); }
};

std::vector<perf_event_attr> events_of(const std::vector<NamedEvent>& group);

// `names` are distinct. An Error, as of perf_event_open(2), is what keeps any
// event from being opened: rights, descriptors, a kernel without.
Result<EventGroups> find_event_groups(EventSource& source,
                                      const std::vector<std::string>& names);

}  // namespace vcpu
