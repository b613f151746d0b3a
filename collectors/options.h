// SPDX-License-Identifier: Apache-2.0
//
// What the configuration may tell the collectors; exporter/config.cpp has the
// flags and the keys.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "collectors/base/roots.h"
#include "collectors/base/shown_name.h"

namespace vcpu {

struct SchedOptions {
  bool per_vcpu = true;  // Else sums of each VM's vCPUs.
};

struct RunqueueOptions {
  bool per_vcpu = false;  // A histogram per vCPU, not per VM.
  bool culprits = true;   // Who took the time; else the histogram alone.
};

struct PerfOptions {
  std::vector<std::string> events{
      "cycles",      "instructions",     "cache_references", "cache_misses",
      "page_faults", "context_switches", "cpu_migrations"};  // Distinct.
  int max_descriptors = 512;  // One for each event of each vCPU observed.
  std::chrono::milliseconds window{10'000};  // A vCPU is observed for so long,
                                             // where others wait for a turn.
  std::chrono::milliseconds budget{5};       // Of a scrape, for all of it.
};

struct NumaOptions {
  bool maps = false;  // Read numa_maps of VMs whose huge pages nobody counts.
};

struct BlockOptions {
  bool paths = false;  // Where each disk's image is, as a label.
};

struct KvmOptions {
  bool per_vcpu = false;  // Exits of each vCPU, where libvirt tells them.
};

// An own label of vcpu_domain_metadata_info, and the key of the libvirt
// metadata that it shows (libvirt/domain_xml.h).
struct MetadataLabel {
  std::string label;
  std::string key;
  bool operator==(const MetadataLabel&) const = default;
};

struct MetadataOptions {
  std::vector<MetadataLabel> labels;
  std::string pve = "/etc/pve";  // Proxmox's configuration.
};

class MonitorSource;
class TasksProgram;

struct CollectorOptions {
  Roots roots;
  bool ebpf = true;  // Whether eBPF programs may be loaded.
  RunqueueOptions runqueue = {};
  PerfOptions perf = {};
  NumaOptions numa = {};
  BlockOptions block = {};
  KvmOptions kvm = {};
  MetadataOptions metadata = {};
  std::shared_ptr<MonitorSource> monitor = {};  // Null: there is none.
  std::shared_ptr<TasksProgram> tasks = {};     // Likewise.
  SchedOptions sched = {};
  ShownName shown_name = {};
};

}  // namespace vcpu
