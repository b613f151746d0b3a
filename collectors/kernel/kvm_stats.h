// SPDX-License-Identifier: Apache-2.0
//
// KvmStats: those of KVM's statistics that concern us, by KVM's own names, of a
// vCPU or summed over a VM's.
//
// They come from QEMU's query-stats, by way of libvirt, or from debugfs, a file
// for each in /sys/kernel/debug/kvm/PID-FD/: one number, of which each vCPU's
// is in it. https://docs.kernel.org/virt/kvm/api.html, 4.134
//
//   74291
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace vcpu {

enum class KvmStat : std::uint8_t {
  kExits,           // From the guest, for whatever reason.
  kHaltExits,       // The guest's HLT; those for which KVM polled included.
  kIoExits,         // A port.
  kMmioExits,       // A device's memory.
  kIrqExits,        // An interrupt of the host.
  kIrqWindowExits,  // The guest can take an interrupt now,
  kNmiWindowExits,  // or an NMI.
  kHypercalls,
  kHaltWaitNs,  // Halted and asleep; the polling before that is not in it.
  kHaltPollSuccessNs,
  kHaltPollFailNs,
  kPreemptionReported,  // The guest was told of it,
  kPreemptionOther,     // and was not.
  kDirectedYieldAttempted,
  kDirectedYieldSuccessful,
};

inline constexpr std::array<std::string_view, 15> kKvmStatNames{
    "exits",
    "halt_exits",
    "io_exits",
    "mmio_exits",
    "irq_exits",
    "irq_window_exits",
    "nmi_window_exits",
    "hypercalls",
    "halt_wait_ns",
    "halt_poll_success_ns",
    "halt_poll_fail_ns",
    "preemption_reported",
    "preemption_other",
    "directed_yield_attempted",
    "directed_yield_successful"};

class KvmStats {
 public:
  using Values = std::array<std::optional<std::uint64_t>, kKvmStatNames.size()>;

  std::optional<std::uint64_t>& operator[](KvmStat stat) {
    return values_.at(static_cast<std::size_t>(stat));
  }
  const std::optional<std::uint64_t>& operator[](KvmStat stat) const {
    return values_.at(static_cast<std::size_t>(stat));
  }
  Values& all() { return values_; }  // As kKvmStatNames.
  const Values& all() const { return values_; }
  bool empty() const {
    return std::none_of(values_.begin(), values_.end(),
                        [](const auto& value) { return value.has_value(); });
  }

 private:
  Values values_{};
};

}  // namespace vcpu
