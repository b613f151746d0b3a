// SPDX-License-Identifier: Apache-2.0
//
// LibvirtCache: what libvirt said last, kept by the exporter itself, which
// never talks to libvirt.
//
// A thread of ours (the supervisor) keeps a child process (child.h) that asks
// libvirt, and reads its frames. A child that says nothing for `deadline` is
// killed and started again at once, so that one waits at libvirt's door when it
// comes back; one that sends what is no frame, or ends, after a back-off. While
// nothing suggests that there is a libvirt (socket.h) there is no child.
// Nothing here ever waits for libvirt, stop() included.
//
// Source: libvirt, by the calls that client.h lists.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "collectors/base/result.h"
#include "collectors/libvirt/backoff.h"
#include "collectors/libvirt/child_process.h"
#include "collectors/libvirt/protocol.h"
#include "collectors/libvirt/supervisor.h"
#include "collectors/libvirt/view.h"

namespace vcpu {

struct LibvirtCacheOptions {
  using Clock = std::chrono::steady_clock;

  std::string uri = "qemu:///system";
  std::string program = own_program;       // What is run as the child,
  std::vector<std::string> argv;           // and how; empty: as child.h says.
  std::chrono::milliseconds period{5000};  // Between two questions.
  std::chrono::milliseconds deadline{10000};  // Of one answer; over `period`.
  std::chrono::milliseconds oldest{30000};    // Older domains are not shown.
  std::chrono::milliseconds shortest_delay{500};   // Before a child is started
  std::chrono::milliseconds longest_delay{15000};  // again.
  std::function<Clock::time_point()> now = Clock::now;  // For ages alone.
};

class LibvirtCache {
 public:
  explicit LibvirtCache(LibvirtCacheOptions options);
  LibvirtCache(const LibvirtCache&) = delete;
  LibvirtCache& operator=(const LibvirtCache&) = delete;
  ~LibvirtCache();  // stop()

  // Starts the supervisor; once, and only after privileges were dropped, as the
  // child must not have more than we and we must be able to kill it. A cache
  // that is never started is valid: its view says that libvirt is switched off.
  Result<void> start();

  // Kills the child and ends the supervisor, whatever the child is doing.
  void stop();

  // Any thread, at any time; never blocks, never null. `age_seconds` counts
  // from the arrival of the last good answer.
  std::shared_ptr<const LibvirtView> view() const;

  // For a program that prints only once: waits until there was an answer, good
  // or bad, or until it is clear that none is to be expected. False: too long.
  bool wait_for_answer(std::chrono::milliseconds most) const;

 private:
  // All that view() is made of.
  struct State {
    bool expected = false;
    bool up = false;
    bool answered = false;
    std::string reason;
    std::optional<LibvirtCacheOptions::Clock::time_point> heard;
    std::shared_ptr<const std::vector<LibvirtDomain>> domains;
  };

  void supervise();
  std::chrono::milliseconds live_one_child();
  std::string listen();
  bool look_for_libvirt();
  void accept(LibvirtFrame frame);
  void set_down(std::string reason);
  State state() const;

  const LibvirtCacheOptions options_;
  const std::vector<std::string> argv_;
  const std::vector<std::string> sockets_;
  mutable std::mutex mutex_;  // Guards state_, for the time of a copy.
  mutable std::condition_variable answered_;
  State state_;

  // The supervisor's own.
  ChildProcess child_;
  Backoff backoff_;
  bool was_up_ = false;
  bool silent_ = false;    // So the last child was killed.
  Supervisor supervisor_;  // Last: its thread ends before the rest does.
};

}  // namespace vcpu
