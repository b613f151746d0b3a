// SPDX-License-Identifier: Apache-2.0
//
// What the configuration may tell the collectors; exporter/config.cpp has the
// flags and the keys.
#pragma once

#include "collectors/base/roots.h"

namespace vcpu {

struct RunqueueOptions {
  bool per_vcpu = false;  // A histogram per vCPU, not per VM.
  bool culprits = true;   // Who took the time; else the histogram alone.
};

struct NumaOptions {
  bool maps = false;  // Read numa_maps of VMs whose huge pages nobody counts.
};

struct CollectorOptions {
  Roots roots;
  bool ebpf = true;  // Whether eBPF programs may be loaded.
  RunqueueOptions runqueue = {};
  NumaOptions numa = {};
};

}  // namespace vcpu
