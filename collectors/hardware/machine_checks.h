// SPDX-License-Identifier: Apache-2.0
//
// How many machine check exceptions the host's CPUs took: errors of the
// hardware that were not merely corrected. Many are fatal; what is counted is
// what the host survived. Each CPU that took one counts it, and Intel's go to
// all CPUs at once.
//
// /proc/interrupts is the only place that tells an ordinary user. All of it is
// made for each read, one number for each CPU and interrupt: 0.03 ms on a
// machine with 2 CPUs, by estimate 20 ms with 256 CPUs and 2000 interrupts. So
// it is read once a minute, and told in between; only its end is kept. No CPU
// is interrupted for it.
//
// Source: /proc/interrupts, collectors/kernel/interrupts.h
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

#include "collectors/base/result.h"
#include "collectors/base/roots.h"
#include "collectors/topology.h"

namespace vcpu {

class MachineChecks {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::minutes kPeriod{1};

  explicit MachineChecks(Roots roots,
                         std::function<Clock::time_point()> now = Clock::now)
      : roots_(std::move(roots)), now_(std::move(now)) {}

  // Since boot; never decreases. An error that is_gone(): the kernel counts
  // none.
  Result<std::uint64_t> read(const CpuSet& online);

 private:
  Result<void> look(const CpuSet& online);
  void take_in(std::uint64_t sum, const CpuSet& online);

  Roots roots_;
  std::function<Clock::time_point()> now_;
  std::optional<Clock::time_point> due_;
  CpuSet online_;            // When it was read last.
  std::uint64_t last_ = 0;   // What the kernel said then.
  std::uint64_t total_ = 0;  // What we say.
  bool counted_ = false;
};

}  // namespace vcpu
