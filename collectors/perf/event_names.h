// SPDX-License-Identifier: Apache-2.0
//
// Perf events by name: the generic ones, which every kernel knows, and those of
// particular CPUs by libpfm4 (pfm_events.h). Thread-safe. Source:
// perf_event_open(2), linux/perf_event.h.
#pragma once

#include <linux/perf_event.h>

#include <string>
#include <vector>

#include "collectors/base/result.h"

namespace vcpu {

struct NamedEvent {
  std::string name;  // The label `event`: see canonical_event_name().
  perf_event_attr event{};
};

// "cycles", "page_faults" ..., as they are written in the label.
std::vector<std::string> generic_event_names();

// A generic event may be written as `perf list` does ("cache-misses"); any
// other name stays as it is, made fit for a label.
std::string canonical_event_name(const std::string& name);

// What is wrong with a name, whatever CPU there is ("is no event that ...");
// empty: nothing that can be told without asking the kernel.
std::string event_name_problem(const std::string& name);

// Kernel, user, host and guest mode count, unless the name says otherwise. The
// Error is a sentence for a person.
Result<perf_event_attr> encode_event(const std::string& name);

// Counted by the kernel itself: such an event needs no counter of the CPU.
bool is_software(const perf_event_attr& event);

}  // namespace vcpu
