// SPDX-License-Identifier: Apache-2.0
//
// PerfEventSource: the kernel's perf events. The only caller of
// perf_event_open(2).
//
// For threads of other users it needs CAP_PERFMON (Linux 5.8) at every open;
// reading what is open needs no right. Neither waits for the thread: one that
// runs on another CPU is interrupted there for some microseconds. One thread.
#pragma once

#include <memory>
#include <vector>

#include "collectors/perf/event_source.h"

namespace vcpu {

class PerfEventSource final : public EventSource {
 public:
  PerfEventSource();
  ~PerfEventSource() override;

  Result<std::unique_ptr<EventGroup>> open(
      pid_t tid, const std::vector<perf_event_attr>& events) override;

 private:
  int keeper_ = -1;
};

}  // namespace vcpu
