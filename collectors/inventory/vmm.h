// SPDX-License-Identifier: Apache-2.0
//
// Which virtual machine a process is, from its command line. Pure.
//
// Known: QEMU as libvirt, OpenStack, Proxmox, KubeVirt or a person starts it,
// Firecracker, Cloud Hypervisor. Strings are as given: not yet label-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vcpu {

enum class Vmm : std::uint8_t { kQemu, kFirecracker, kCloudHypervisor };
std::string_view to_string(Vmm vmm);

struct VmIdentity {
  Vmm vmm = Vmm::kQemu;
  std::string name;   // Empty where the command line gives none.
  std::string uuid;   // Lower case; empty where it gives none.
  std::string accel;  // kvm, tcg, ...; empty where it leaves a choice.
  std::string
      machine;  // QEMU only, e.g. pc-q35-7.2; empty where it gives none.
  // The guest's; empty where the command line does not give it, or lets more be
  // plugged in later.
  std::optional<std::uint64_t> memory_bytes = {};
  std::string proxmox_vmid = {};  // Proxmox's QEMU alone is given one.
  bool kubevirt = false;          // Its name is NAMESPACE_VMI.
};

// Nothing for any other process, and for a QEMU that runs no machine, such as
// those that libvirt starts to ask for capabilities.
std::optional<VmIdentity> identify_vmm(const std::vector<std::string>& argv);

// /proc/PID/cmdline: arguments separated by NUL.
std::vector<std::string> split_command_line(std::string_view text);

}  // namespace vcpu
