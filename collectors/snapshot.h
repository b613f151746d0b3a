// SPDX-License-Identifier: Apache-2.0
//
// Snapshot: which VMs run on this host at this scrape, which kernel thread
// carries each of their vCPUs, and how the kernel scheduled each thread.
//
// Taken once per scrape by the Inventory (collectors/inventory/inventory.h),
// then only read. It holds what more than one collector needs, and nothing
// else. What the host does not offer is an empty optional, never a zero.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "collectors/base/families.h"
#include "collectors/inventory/vm_cgroups.h"
#include "collectors/libvirt/view.h"
#include "collectors/topology.h"
#include "collectors/vm_id.h"

namespace vcpu {

// How the kernel scheduled one thread since it began. Never decreases for the
// same vCPU of the same VM instance, even if another thread took the vCPU over.
struct SchedStat {
  std::uint64_t run_ns = 0;      // On a CPU.
  std::uint64_t wait_ns = 0;     // Runnable, waiting for a CPU (run_delay).
  std::uint64_t dispatches = 0;  // Times put on a CPU.
  std::optional<std::uint64_t> voluntary;    // Switches: gave the CPU up.
  std::optional<std::uint64_t> involuntary;  // Switches: had it taken away.
  std::optional<std::uint64_t> migrations;   // Moves between CPUs.
};

enum class ThreadRole : std::uint8_t {
  kVcpu,
  kEmulator,  // The VMM's main loop and its helpers.
  kIothread,
  kVhost,   // The kernel's network or SCSI worker for this VM.
  kWorker,  // The VMM's thread pool (asynchronous I/O).
  kOther,   // A thread whose role nothing tells.
};
std::string_view to_string(ThreadRole role);

struct Thread {
  pid_t tid = 0;
  ThreadRole role = ThreadRole::kOther;
  int vcpu = -1;                   // Its index; only where role is kVcpu.
  std::optional<SchedStat> sched;  // Empty: the kernel does not tell.
  std::optional<std::uint64_t> waiting_ns;  // For a CPU, right now; 0: it does
                                            // not wait. Empty: unknown.
  std::optional<int> cpu;                   // Logical CPU it last ran on.
  std::shared_ptr<const CpuSet> allowed;    // Online CPUs it may use; null:
                                            // unknown. Equal sets are shared.
  std::optional<bool> core_scheduled;       // Shares a core only with threads
                                            // that have its cookie; empty:
                                            // nobody tells.
  LabelSet labels;                          // domain and vcpu; only for vCPUs.
};

// What the memory of a VM's process comes to, besides itself.
struct MemoryUse {
  std::uint64_t page_table_bytes = 0;  // Its own; not KVM's (EPT, NPT).
  std::uint64_t hugetlb_bytes = 0;     // Its huge pages.
  std::uint64_t major_faults = 0;      // Never decreases.
};

// Time of all threads of one role of a VM, those that have ended included.
struct RoleTime {
  ThreadRole role = ThreadRole::kOther;
  std::uint64_t run_ns = 0;
  std::uint64_t wait_ns = 0;
};

struct Vm {
  std::string domain;  // The `domain` label: unique on this host, label-safe.
  LabelSet labels;     // It alone.
  std::string name;    // As the VMM was given it, label-safe.
  std::string uuid;    // Empty where the VMM was given none.
  std::string uuid_label;  // The same as it is shown.
  std::string vmm;         // qemu, firecracker, cloud-hypervisor.
  std::string accel;       // kvm, tcg; empty where unknown.
  std::string machine;     // QEMU's machine type; empty where there is none.
  std::optional<std::uint64_t> memory_bytes;  // By its command line; empty
                                              // where that does not fix it.
  std::string proxmox_vmid;  // Label-safe; empty where it is not Proxmox's.
  bool kubevirt = false;     // Its name is NAMESPACE_VMI.
  std::optional<uid_t> uid;  // Who started it; empty: not told.
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;  // After boot, as /proc/PID/stat has it.
  double start_time_seconds = 0;  // Since the epoch.
  std::vector<Thread> threads;    // vCPUs first, by index; then the others.
  std::vector<RoleTime> role_times;
  std::optional<MemoryUse> memory_use;     // Empty: the pass does not tell it;
                                           // /proc/PID/{status,stat} do.
  const LibvirtDomain* libvirt = nullptr;  // Null: libvirt does not know it.

  std::size_t vcpu_count = 0;  // The first so many of `threads`.
  bool whole = true;           // False: some thread of it could not be read.

  VmId id() const { return {pid, start_ticks}; }
  std::span<const Thread> vcpus() const { return {threads.data(), vcpu_count}; }
};

struct Snapshot {
  std::shared_ptr<const Topology> host;
  std::vector<Vm> vms;                         // Sorted by domain.
  std::shared_ptr<const LibvirtView> libvirt;  // Never null.
  std::shared_ptr<VmCgroups> cgroups;          // Read when it is asked.
  // False: of some VM a thread could not be read, so that a sum over all VMs
  // would be too small.
  bool whole = true;
};

}  // namespace vcpu
