// SPDX-License-Identifier: Apache-2.0
//
// MonitorBook: which VM's QEMU is to be asked next, which is left alone, and
// what each said last.
//
// A QEMU that does not answer in time is left alone for a pause that doubles
// each time, up to `longest_pause`, until it has told figures itself: that it
// is busy is what libvirt says of it while our own question still hangs. Those
// of whom that is known come after all others; while as many as `most_unheard`
// are so, nobody else is asked: each may cost libvirtd one of its 20 workers
// for as long as it hangs, and others need libvirtd as well. What was said
// longer ago than `oldest` is not shown. After an answer nobody is asked for
// three times as long as it took, so that libvirtd has little to do with us
// however many VMs there are.
//
// Pure logic: every call is told the time. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collectors/libvirt/backoff.h"
#include "collectors/libvirt/monitor_figures.h"
#include "collectors/vm_id.h"

namespace vcpu {

struct MonitoredVm {
  VmId id;
  std::string domain;  // For the log.
  std::string uuid;    // Canonical; empty: libvirt does not know it, so nobody
                       // is to ask, but what it said is kept.
};

struct MonitorVmView {
  std::shared_ptr<const MonitorFigures> figures;  // Null: none, or too old.
  std::optional<double> age_seconds;  // Of what was said last, old or not.
};

struct MonitorView {
  std::string missing_reason;  // Empty: all that is to be asked has answered.
  std::map<VmId, MonitorVmView> vms;
};

struct MonitorBookOptions {
  using Duration = std::chrono::milliseconds;

  // Between two questions to one VM; twice that where nobody has looked at the
  // answer to the first.
  Duration period{10'000};
  Duration oldest{60'000};
  Duration look_again{1000};  // At a QEMU that is stopped.
  Duration shortest_pause{30'000};
  Duration longest_pause{600'000};
  int most_unheard = 10;
};

class MonitorBook {
 public:
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;

  MonitorBook(MonitorBookOptions options, std::uint32_t seed);

  // All VMs that run; what is known of others is forgotten. Once per scrape: it
  // counts as a look at what they have answered.
  void set(const std::vector<MonitoredVm>& vms, Time now);

  // Who is to be asked now, and when that may be somebody: at most in `most`.
  std::optional<MonitoredVm> next(Time now) const;
  std::chrono::milliseconds until_next(Time now,
                                       std::chrono::milliseconds most) const;

  // What came of it; a VM that was forgotten meanwhile is no matter. Each
  // returns a line for the log where there is news, else an empty one.
  std::string told(const VmId& vm, const MonitorFigures& figures, Time asked,
                   Time now);
  std::string stopped(const VmId& vm, char state, Time now);  // Not asked.
  std::string missed(const VmId& vm, std::chrono::milliseconds deadline,
                     Time now);
  std::string refused(const VmId& vm, const std::string& why, Time now);
  std::string gone(const VmId& vm, Time now);

  MonitorView view(Time now) const;

  // Whether of each VM that may be asked it is known what came of it.
  bool all_tried() const;

 private:
  enum class Condition : std::uint8_t {
    kNew,
    kGood,
    kBusy,
    kStopped,
    kLeftAlone,
    kRefused,
  };
  struct Entry {
    MonitoredVm vm;
    Condition condition = Condition::kNew;
    Time due = {};
    Backoff pause;
    bool suspect = false;   // Has missed a deadline since it last answered.
    bool fresh = false;     // It has answered, and nobody has looked since.
    int empty_answers = 0;  // Before it told any figures.
    MonitorTotals totals = {};
    std::shared_ptr<const MonitorFigures> figures = {};
    Time heard = {};
  };

  Entry* find(const VmId& vm);
  static void put_off(Entry& entry, Time due);  // For want of an answer.
  static bool told_by_qemu(Entry& entry, const MonitorFigures& figures);
  bool others_may_be_asked() const;
  bool shown(const Entry& entry, Time now) const;
  std::string reason_of(const Entry& entry, Time now) const;
  Time due(const Entry& entry) const;
  static bool comes_before(const Entry& one, const Entry& other);

  MonitorBookOptions options_;
  std::uint32_t seed_;
  std::map<VmId, Entry> entries_;
  Time rest_until_;
};

}  // namespace vcpu
