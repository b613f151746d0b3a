// SPDX-License-Identifier: Apache-2.0
//
// How fast the host's cores are clocked.
//
// One file is read of each cpufreq policy, and of the policies of siblings only
// the first's, as siblings share a clock. What this costs a guest: nothing,
//   - on x86 since Linux 5.19, which tells what it measured at the CPU's last
//     tick (APERF/MPERF), and of an idle CPU the frequency that was asked for;
//   - on other architectures, which tell the frequency that was asked for.
// Older Linux on x86 interrupts each busy CPU, its guest with it, and sleeps
// 10 ms for each: there nothing is read. cpuinfo_cur_freq asks the hardware
// everywhere, and /proc/cpuinfo costs what its flags cost for each CPU.
//
// Source: /sys/devices/system/cpu/cpufreq/policyN/scaling_cur_freq,
// https://docs.kernel.org/admin-guide/pm/cpufreq.html
#pragma once

#include <string>
#include <vector>

#include "collectors/base/result.h"
#include "collectors/base/roots.h"
#include "collectors/topology.h"

namespace vcpu {

class Frequencies {
 public:
  explicit Frequencies(Roots roots) : roots_(std::move(roots)) {}

  struct Range {  // Over cores, in Hz.
    double min = 0;
    double mean = 0;
    double max = 0;
  };
  // An error that is_gone(): the kernel scales no frequency here.
  Result<Range> read(const Topology& host);

  // Whether reading would interrupt guests.
  static bool disturbs(const Roots& roots);

 private:
  struct Policy {
    std::string file;
    std::size_t cores = 0;
  };
  Result<void> find_policies(const Topology& host);

  Roots roots_;
  CpuSet online_;  // That the policies are of; looked for again where there
                   // are none.
  std::vector<Policy> policies_;
};

}  // namespace vcpu
