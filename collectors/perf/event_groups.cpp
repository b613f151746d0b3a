// SPDX-License-Identifier: Apache-2.0
#include "collectors/perf/event_groups.h"

namespace vcpu {
namespace {

constexpr pid_t kSelf = 0;

// What perf_event_open(2) says of an event, and not of us.
bool is_about_the_event(const Error& error) {
  return error.code == std::errc::no_such_file_or_directory ||
         error.code == std::errc::operation_not_supported ||
         error.code == std::errc::no_such_device ||
         error.code == std::errc::no_such_device_or_address ||
         error.code == std::errc::invalid_argument;
}

std::string reason_of_refusal(const NamedEvent& event, const Error& error) {
  if (error.code == std::errc::invalid_argument)
    return "the kernel refuses to count it for a thread";
  if (is_software(event.event)) return "not offered by this kernel";
  return "not offered by this CPU, or hidden by the hypervisor (no PMU)";
}

// Adds the event to its group where both can be opened. Returns why not; an
// Error where that is not the event's fault.
Result<std::string> add(EventSource& source, NamedEvent event,
                        std::vector<NamedEvent>& group) {
  if (const auto alone = source.open(kSelf, {event.event}); !alone) {
    if (!is_about_the_event(alone.error())) return alone.error();
    return reason_of_refusal(event, alone.error());
  }
  auto together = events_of(group);
  together.push_back(event.event);
  if (const auto opened = source.open(kSelf, together); !opened) {
    if (!is_about_the_event(opened.error())) return opened.error();
    return std::string(
        "the CPU cannot count it together with the events before it; list "
        "fewer");
  }
  group.push_back(std::move(event));
  return std::string();
}

}  // namespace

std::vector<perf_event_attr> events_of(const std::vector<NamedEvent>& group) {
  std::vector<perf_event_attr> events;
  events.reserve(group.size());
  for (const NamedEvent& event : group) events.push_back(event.event);
  return events;
}

Result<EventGroups> find_event_groups(EventSource& source,
                                      const std::vector<std::string>& names) {
  EventGroups groups;
  for (const std::string& name : names) {
    const std::string label = canonical_event_name(name);
    const auto event = encode_event(name);
    if (!event) {
      groups.missing.emplace_back(label, event.error().message());
      continue;
    }
    auto& group = is_software(*event) ? groups.software : groups.hardware;
    const auto reason = add(source, {label, *event}, group);
    if (!reason) return reason.error();
    if (!reason->empty()) groups.missing.emplace_back(label, *reason);
  }
  return groups;
}

}  // namespace vcpu
