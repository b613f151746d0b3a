// SPDX-License-Identifier: Apache-2.0
//
// LibvirtMonitor: what libvirt learns from the QEMUs' monitors, asked in the
// background and kept, for collectors to look at.
//
// A thread of ours (the supervisor) keeps a child process (child.h) that asks
// libvirt of one VM at a time, as the book (monitor_book.h) has it. A QEMU that
// is stopped or in the middle of uninterruptible I/O by /proc/PID/stat (states
// T, t and D) is not asked. An answer that does not come within `deadline`
// costs the child its life: nothing else ends such a call. The QEMU is held to
// account only if libvirt itself still lets a new child in; else it was
// libvirtd that hung. While no collector has looked for `idle` there is no
// child. Nothing here ever waits for libvirt or a QEMU, stop() included.
//
// Source: libvirt, by the calls that monitor_client.h lists.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "collectors/base/result.h"
#include "collectors/base/roots.h"
#include "collectors/libvirt/backoff.h"
#include "collectors/libvirt/child_process.h"
#include "collectors/libvirt/monitor_book.h"
#include "collectors/libvirt/monitor_protocol.h"
#include "collectors/libvirt/supervisor.h"

namespace vcpu {

// What collectors see of it.
class MonitorSource {
 public:
  virtual ~MonitorSource() = default;

  // What is known now of these VMs, which are all that run; has them asked for
  // that group from now on. A scrape looks once for each group that it wants.
  // Any thread; never blocks.
  virtual MonitorView look(MonitorGroup group,
                           const std::vector<MonitoredVm>& vms) = 0;

  // The same, without having anybody asked.
  virtual MonitorView view() = 0;
};

struct LibvirtMonitorOptions {
  using Clock = std::chrono::steady_clock;

  std::string uri = "qemu:///system";
  std::string proc = "/proc";                // Where the QEMUs' states are.
  std::string program = own_program;         // What is run as the child,
  std::vector<std::string> argv;             // and how; empty: as child.h says.
  std::chrono::milliseconds deadline{3000};  // Of an answer.
  std::chrono::milliseconds idle{300'000};
  std::chrono::milliseconds shortest_delay{500};   // Before a child is started
  std::chrono::milliseconds longest_delay{15000};  // again.
  MonitorBookOptions book = {};
  std::function<void(const std::string&)> log = [](const std::string&) {};
};

class LibvirtMonitor final : public MonitorSource {
 public:
  explicit LibvirtMonitor(LibvirtMonitorOptions options);
  LibvirtMonitor(const LibvirtMonitor&) = delete;
  LibvirtMonitor& operator=(const LibvirtMonitor&) = delete;
  ~LibvirtMonitor() override;  // stop()

  // As LibvirtCache::start(): once, after privileges were dropped. One that is
  // never started says that libvirt is switched off.
  Result<void> start();
  void stop();

  MonitorView look(MonitorGroup group,
                   const std::vector<MonitoredVm>& vms) override;
  MonitorView view() override;

  // Waits until of each VM that was looked for it is known what came of asking
  // it, or nobody can be asked, or the time is over.
  void wait_until_tried(std::chrono::milliseconds most);

 private:
  using Clock = LibvirtMonitorOptions::Clock;

  struct Reply {
    enum Kind : std::uint8_t { kAnswer, kLate, kStopping, kEnded } kind;
    MonitorFrame frame;
    std::string why;  // It ended.
  };

  void supervise();
  Supervisor::Event try_one_child();
  bool wanted();
  std::chrono::milliseconds live_one_child();
  std::string greet();
  std::string talk();
  std::string ask(const MonitoredVm& vm);
  std::string take_in(const MonitoredVm& vm, const MonitorFrame& frame,
                      Clock::time_point asked);
  MonitorView locked_view(Clock::time_point now);
  bool begins_scrape(MonitorGroup group);
  Reply receive();
  std::string ended() const;
  void blame_suspect();
  std::optional<MonitoredVm> next();
  std::chrono::milliseconds until_next();
  std::uint8_t groups();
  void set_down(std::string reason);
  void note(const std::function<std::string()>& write);

  const LibvirtMonitorOptions options_;
  const std::vector<std::string> argv_;
  std::mutex mutex_;  // Guards what follows, for the time of a copy.
  MonitorBook book_;
  std::map<MonitorGroup, Clock::time_point> looked_;
  std::set<MonitorGroup> looked_in_scrape_;
  bool first_scrape_ = true;  // It may not have looked for all it wants yet.
  std::string down_;          // Why nobody can be asked; empty: it works.
  std::condition_variable changed_;

  // The supervisor's own.
  ChildProcess child_;
  std::optional<MonitorFrameDecoder> decoder_;
  std::optional<MonitoredVm> suspect_;  // Missed the deadline, or libvirtd did.
  Backoff backoff_;
  Supervisor supervisor_;  // Last: its thread ends before the rest does.
};

}  // namespace vcpu
