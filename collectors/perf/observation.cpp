// SPDX-License-Identifier: Apache-2.0
#include "collectors/perf/observation.h"

#include <utility>

namespace vcpu {
namespace {

// Nothing the kernel counts here falls; if it did, nothing came.
std::uint64_t grown(std::uint64_t before, std::uint64_t now) {
  return now < before ? 0 : now - before;
}

// How much longer the thread ran than its events had counters.
double scale(const GroupReading& before, const GroupReading& now) {
  const auto running = grown(before.running_ns, now.running_ns);
  if (running == 0) return 0;
  return static_cast<double>(grown(before.enabled_ns, now.enabled_ns)) /
         static_cast<double>(running);
}

void add(const GroupReading& before, const GroupReading& now,
         std::vector<double>& totals) {
  const double scaled = scale(before, now);
  totals.resize(now.values.size());
  for (std::size_t i = 0; i < totals.size(); ++i) {
    totals[i] +=
        static_cast<double>(grown(before.values[i], now.values[i])) * scaled;
  }
}

GroupReading nothing_of(const std::vector<NamedEvent>& events) {
  return {0, 0, std::vector<std::uint64_t>(events.size())};
}

Result<std::unique_ptr<EventGroup>> open_group(
    EventSource& source, pid_t tid, const std::vector<NamedEvent>& events) {
  if (events.empty()) return std::unique_ptr<EventGroup>();
  return source.open(tid, events_of(events));
}

// Of a group that is not there: what it was.
Result<GroupReading> read_group(EventGroup* events, const GroupReading& last) {
  return events == nullptr ? last : events->read();
}

}  // namespace

Observation::Observation(Group software, Group hardware)
    : software_(std::move(software)), hardware_(std::move(hardware)) {}

Result<Observation> Observation::open(EventSource& source, pid_t tid,
                                      const EventGroups& groups) {
  auto software = open_group(source, tid, groups.software);
  if (!software) return software.error();
  auto hardware = open_group(source, tid, groups.hardware);
  if (!hardware) return hardware.error();
  return Observation({*std::move(software), nothing_of(groups.software)},
                     {*std::move(hardware), nothing_of(groups.hardware)});
}

Result<void> Observation::read(PerfTotals& totals) {
  auto software = read_group(software_.events.get(), software_.counted);
  if (!software) return software.error();
  auto hardware = read_group(hardware_.events.get(), hardware_.counted);
  if (!hardware) return hardware.error();

  const GroupReading& before = hardware_.counted;
  kept_back_ns_ = hardware->running_ns == before.running_ns
                      ? grown(before.enabled_ns, hardware->enabled_ns)
                      : 0;
  if (kept_back_ns_ > 0) return {};
  // The software events have counters always: their time is the thread's.
  const Group& clock = software_.events ? software_ : hardware_;
  const GroupReading& now = software_.events ? *software : *hardware;
  totals.observed_ns += grown(clock.counted.enabled_ns, now.enabled_ns);
  add(software_.counted, *software, totals.software);
  add(hardware_.counted, *hardware, totals.hardware);
  software_.counted = *std::move(software);
  hardware_.counted = *std::move(hardware);
  return {};
}

}  // namespace vcpu
