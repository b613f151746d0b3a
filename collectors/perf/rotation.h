// SPDX-License-Identifier: Apache-2.0
//
// Rotation: which vCPUs' events are open now. Few are at a time, as each event
// takes a descriptor and makes every switch of its thread dearer.
//
// vCPUs stand in one line, those of a VM together. Those in front are opened as
// long as there are descriptors; when a vCPU has been observed for a window and
// another one waits, it is read, closed, and goes to the end of the line. So
// whoever waits comes next but for those before it, and where there is room for
// all, nothing is ever closed. A pass takes no longer than its budget allows:
// half of it for reading what is open, the rest for turns; one of each is
// always done. What is left over is done first in the next pass.
//
// Totals are kept for as long as the VM is there, and for some passes more. One
// thread; the clock comes in by the constructor.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "collectors/base/result.h"
#include "collectors/perf/event_groups.h"
#include "collectors/perf/event_source.h"
#include "collectors/perf/observation.h"
#include "collectors/vm_id.h"

namespace vcpu {

class Rotation {
 public:
  using Clock = std::chrono::steady_clock;
  using Now = std::function<Clock::time_point()>;

  struct Limits {
    std::size_t descriptors = 0;  // Open at most; at least what a vCPU needs.
    Clock::duration window{};     // Observed at least so long at a time.
    Clock::duration budget{};     // Of a pass.
  };

  struct VcpuId {
    VmId vm;
    int index = 0;
    auto operator<=>(const VcpuId&) const = default;
  };

  struct Vcpu {  // One that there is now.
    VcpuId id;
    pid_t tid = 0;
  };

  // `source` and `groups` outlive it; the groups have an event at least.
  Rotation(EventSource& source, const EventGroups& groups, Limits limits,
           Now now = Clock::now);

  // `present`: all vCPUs, those of a VM together.
  void pass(const std::vector<Vcpu>& present);

  // Null: never observed yet.
  const PerfTotals* totals(const VcpuId& id) const;

  // What keeps one of the present vCPUs, at least, from being observed.
  std::optional<Error> refusal() const;

  // Whether the hardware events of a vCPU have had no counters for kStarvedNs
  // of its time on a CPU.
  static constexpr std::uint64_t kStarvedNs = 1'000'000'000;
  bool starved() const;

  std::size_t open_descriptors() const;

 private:
  struct Known {
    pid_t tid = 0;
    bool present = false;
    bool in_line = false;  // Or open.
    PerfTotals totals;
    std::optional<Error> refusal;  // Of the last attempt to open it.
    std::optional<Observation> observation;
    pid_t observed_tid = 0;
    Clock::time_point since;       // Of the observation.
    std::uint64_t starved_ns = 0;  // In observations before this one.
  };
  struct Vm {
    std::map<int, Known> vcpus;
    int missed = 0;  // Passes in which it was not to be seen.
  };

  Known& known(const VcpuId& id) { return vms_[id.vm].vcpus[id.index]; }
  const Known* find(const VcpuId& id) const;
  void take_in(const std::vector<Vcpu>& present);
  void forget_vms();
  void read_open(Clock::time_point until);
  void read_next();
  static void read(Known& vcpu);
  void take_turns(Clock::time_point until);
  bool make_room();
  bool open_next();
  void close(std::size_t position);

  EventSource& source_;
  const EventGroups& groups_;
  const Limits limits_;
  const Now now_;
  std::map<VmId, Vm> vms_;
  std::deque<VcpuId> waiting_;  // The line.
  std::deque<VcpuId> open_;     // The longest observed first.
  std::size_t next_read_ = 0;   // In open_: the one that was read longest ago.
};

}  // namespace vcpu
