// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "collectors/base/file.h"
#include "collectors/base/scan.h"
#include "collectors/catalog.h"
#include "collectors/perf/event_groups.h"
#include "collectors/perf/perf_event_source.h"
#include "collectors/perf/perf_on.h"
#include "collectors/perf/rotation.h"

namespace vcpu {
namespace {

constexpr const char* kNotOpened =
    "has not been on since the start, when rights are given up; restart to "
    "count";
constexpr const char* kNoEvent = "none of perf.events can be counted here";
constexpr const char* kStarved =
    "the hardware events get no counters, and nothing counts meanwhile: list "
    "fewer in perf.events, or see who has them (perf, the NMI watchdog)";

// The server needs descriptors as well.
std::size_t descriptors_allowed(int wanted) {
  constexpr rlim_t kShare = 4;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = 0;
  return std::min(static_cast<std::size_t>(wanted),
                  static_cast<std::size_t>(limit.rlim_cur / kShare));
}

class Perf final : public Collector {
 public:
  Perf(std::function<std::unique_ptr<EventSource>()> open_source,
       Rotation::Now now, const CollectorOptions& options)
      : open_source_(std::move(open_source)),
        now_(std::move(now)),
        roots_(options.roots),
        options_(options.perf) {}

  std::string_view name() const override { return "perf"; }

  void open() override {
    source_ = open_source_();
    auto groups = find_event_groups(*source_, options_.events);
    if (!groups) {
      reason_ = explain(groups.error());
      return;
    }
    groups_ = *std::move(groups);
    const Rotation::Limits limits{descriptors_allowed(options_.max_descriptors),
                                  options_.window, options_.budget};
    reason_ = what_is_wrong_with(limits);
    if (reason_.empty()) rotation_.emplace(*source_, groups_, limits, now_);
  }

  void close() override {
    rotation_.reset();
    source_.reset();
    groups_ = {};
    reason_ = kNotOpened;
  }

  Result<void> collect(const Snapshot& snapshot, Families& families) override {
    if (rotation_) {
      rotation_->pass(vcpus_of(snapshot));
      say_totals(snapshot, families);
    }
    families.source("perf", rotation_ ? reason_now() : reason_);
    say_events(families);
    return {};
  }

 private:
  static Rotation::VcpuId id_of(const Vm& vm, const Thread& vcpu) {
    return {vm.id(), vcpu.vcpu};
  }

  static std::vector<Rotation::Vcpu> vcpus_of(const Snapshot& snapshot) {
    std::vector<Rotation::Vcpu> all;
    for (const Vm& vm : snapshot.vms)
      for (const Thread& vcpu : vm.vcpus())
        all.push_back({id_of(vm, vcpu), vcpu.tid});
    return all;
  }

  std::string what_is_wrong_with(const Rotation::Limits& limits) const {
    const std::size_t needed = groups_.descriptors();
    if (needed == 0) return kNoEvent;
    if (needed <= limits.descriptors) return "";
    return "a vCPU takes " + std::to_string(needed) +
           " descriptors, one for each event, and only " +
           std::to_string(limits.descriptors) +
           " may be taken; raise perf.max_descriptors, or the limit of open "
           "files, of which it is a quarter at most";
  }

  std::string reason_now() const {
    if (const auto refusal = rotation_->refusal()) return explain(*refusal);
    return rotation_->starved() ? kStarved : "";
  }

  std::string explain(const Error& error) const {
    if (error.code == std::errc::permission_denied ||
        error.code == std::errc::operation_not_permitted)
      return explain_refusal();
    if (error.code == std::errc::function_not_supported)
      return "the kernel has no perf events (CONFIG_PERF_EVENTS)";
    if (error.code == std::errc::too_many_files_open ||
        error.code == std::errc::too_many_files_open_in_system)
      return "no file descriptor is left; lower perf.max_descriptors, or raise "
             "the limit of open files";
    return error.message();
  }

  // Debian's kernels know a level 3, and Ubuntu's a 4, which our capability
  // does not satisfy.
  std::string explain_refusal() const {
    constexpr int kMostOfLinux = 2;
    const auto text =
        read_file(roots_.proc + "/sys/kernel/perf_event_paranoid");
    const auto level =
        text ? parse_number<int>(trim(*text)) : std::optional<int>();
    if (level && *level > kMostOfLinux) {
      return "not allowed: kernel.perf_event_paranoid is " +
             std::to_string(*level) +
             ", which needs CAP_SYS_ADMIN; set it to 2";
    }
    return "not allowed: needs CAP_PERFMON at the start (as root, or by the "
           "systemd unit), and perf_event_open where system calls are filtered";
  }

  void say_totals(const Snapshot& snapshot, Families& families) const {
    auto& events = families.counter(
        "vcpu_perf_events_total",
        "Events of the vCPU's thread, its guest's included, while they were "
        "counted; divide the rate by that of vcpu_perf_observed_seconds_total. "
        "Hardware events are scaled where they shared counters; starts at 0 "
        "when the exporter starts; from perf_event_open(2).");
    auto& observed = families.counter(
        "vcpu_perf_observed_seconds_total",
        "Time that the vCPU's thread had a physical CPU while its events were "
        "counted; starts at 0 when the exporter starts; from "
        "perf_event_open(2), time_enabled.");
    for (const Vm& vm : snapshot.vms) {
      for (const Thread& vcpu : vm.vcpus()) {
        const PerfTotals* const totals = rotation_->totals(id_of(vm, vcpu));
        if (totals == nullptr) continue;
        observed.add(vcpu.labels, seconds(totals->observed_ns));
        say_group(vcpu, groups_.hardware, totals->hardware, events);
        say_group(vcpu, groups_.software, totals->software, events);
      }
    }
  }

  static void say_group(const Thread& vcpu,
                        const std::vector<NamedEvent>& group,
                        const std::vector<double>& counts, Family& events) {
    for (std::size_t i = 0; i < group.size(); ++i)
      events.add(vcpu.labels.with("event", group[i].name), counts[i]);
  }

  void say_events(Families& families) const {
    for (const auto* const group : {&groups_.hardware, &groups_.software})
      for (const NamedEvent& event : *group)
        families.source("perf_" + event.name, "");
    for (const auto& [event, reason] : groups_.missing)
      families.source("perf_" + event, reason);
  }

  const std::function<std::unique_ptr<EventSource>()> open_source_;
  const Rotation::Now now_;
  const Roots roots_;
  const PerfOptions options_;
  std::unique_ptr<EventSource> source_;
  EventGroups groups_;
  std::optional<Rotation> rotation_;
  std::string reason_ = kNotOpened;
};

}  // namespace

std::unique_ptr<Collector> make_perf_on(
    std::function<std::unique_ptr<EventSource>()> open_source,
    Rotation::Now now, const CollectorOptions& options) {
  return std::make_unique<Perf>(std::move(open_source), std::move(now),
                                options);
}

std::unique_ptr<Collector> make_perf(const CollectorOptions& options) {
  return make_perf_on([] { return std::make_unique<PerfEventSource>(); },
                      Rotation::Clock::now, options);
}

}  // namespace vcpu
