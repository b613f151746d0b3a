// SPDX-License-Identifier: Apache-2.0
//
// What QEMU's monitor says of one VM, by libvirt's fields (monitor_protocol.h),
// and the totals of it that never decrease while the VM runs.
// https://libvirt.org/html/libvirt-libvirt-domain.html#virConnectGetAllDomainStats
//
//   block.0.name = "vda", block.0.rd.reqs, .rd.bytes, .rd.times (ns), the same
//   of wr, .fl.reqs, .fl.times
//   vcpu.0.exits.sum, vcpu.0.halt_wait_ns.sum, ...: KVM's own statistics by
//   their names, from QEMU 7.1 and libvirt 8.9 on, and of VMs under KVM alone
//   iothread.1.poll-max-ns, .poll-grow, .poll-shrink
//
// Of the vcpu group `state`, `wait` and `halted` are left alone: they are not
// what their names say. Pure; not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collectors/base/growing.h"
#include "collectors/kernel/kvm_stats.h"
#include "collectors/libvirt/monitor_protocol.h"

namespace vcpu {

struct BlockOperation {
  std::optional<std::uint64_t> requests;
  std::optional<std::uint64_t> bytes;  // None of a flush.
  std::optional<std::uint64_t> ns;  // From request to completion, all summed.
};

struct BlockDevice {
  std::string name;  // As the guest's disk is called in the XML: "vda".
  std::string path;  // Of the image; empty: none, or not told.
  BlockOperation read;
  BlockOperation write;
  BlockOperation flush;
};

struct Iothread {
  std::uint32_t id = 0;
  std::optional<std::uint64_t> poll_max_ns;  // 0: it does not poll.
};

struct MonitorFigures {
  std::vector<BlockDevice> devices;  // In the order of the XML; names distinct.
  std::map<int, KvmStats> vcpus;     // By index; none where KVM's are not told.
  KvmStats kvm;  // Summed over vCPUs, in totals with those that are gone.
  std::vector<Iothread> iothreads;
  bool asked_qemu = false;  // False: libvirt told only what it knows itself.

  bool empty() const {
    return devices.empty() && vcpus.empty() && iothreads.empty();
  }
};

// What a hostile libvirtd sends is numbers that are wrong, and nothing worse.
MonitorFigures parse_monitor_fields(const std::vector<MonitorField>& fields);

// QEMU counts a device from 0 when it is plugged in again, and so does KVM a
// vCPU in a new process: who counts on is this. One per run of a VM.
class MonitorTotals {
 public:
  MonitorFigures add(const MonitorFigures& told);

 private:
  using OperationCounts = std::array<Growing, 3>;
  struct DeviceCounts {
    OperationCounts read;
    OperationCounts write;
    OperationCounts flush;
  };
  static void add(OperationCounts& counts, BlockOperation& operation);

  std::map<std::string, DeviceCounts> devices_;
  std::map<int, std::array<Growing, kKvmStatNames.size()>> vcpus_;
  std::array<std::optional<std::uint64_t>, kKvmStatNames.size()> kvm_{};
};

}  // namespace vcpu
