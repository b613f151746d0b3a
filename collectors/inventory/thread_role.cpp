// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/thread_role.h"

#include <algorithm>
#include <array>

#include "collectors/base/scan.h"

namespace vcpu {
namespace {

// "<prefix>12" -> 12.
std::optional<int> numbered(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return std::nullopt;
  const auto number = parse_number<int>(text.substr(prefix.size()));
  if (!number || *number < 0) return std::nullopt;
  return number;
}

// As above, for the number of a vCPU.
std::optional<int> vcpu_index(std::string_view text, std::string_view prefix) {
  // No VMM offers as many; a larger number is somebody's joke.
  constexpr int kMost = 8192;
  const auto index = numbered(text, prefix);
  return index && *index < kMost ? index : std::nullopt;
}

bool is_worker(std::string_view name) {
  constexpr std::array<std::string_view, 5> kPrefixes{
      "worker", "vnc_worker", "pool-", "iou-wrk-", "iou-sqp-"};
  return std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](auto prefix) { return name.starts_with(prefix); });
}

std::optional<int> vcpu_by_name(Vmm vmm, std::string_view name) {
  switch (vmm) {
    case Vmm::kFirecracker:
      return vcpu_index(name, "fc_vcpu ");
    case Vmm::kCloudHypervisor:
      return vcpu_index(name, "vcpu");
    case Vmm::kQemu:
      break;
  }
  // TCG with thread=single runs all vCPUs in one thread.
  if (name.starts_with("ALL CPUs/")) return 0;
  return vcpu_index(name.substr(0, name.find('/')), "CPU ");
}

bool is_iothread(Vmm vmm, std::string_view name) {
  // QEMU's monitor has an I/O thread of its own, which is no disk's.
  if (vmm == Vmm::kQemu)
    return name.starts_with("IO ") && name != "IO mon_iothread";
  // Cloud Hypervisor: a thread per queue, "_disk0_q0", "_net1_qp0".
  return vmm == Vmm::kCloudHypervisor && name.starts_with("_");
}

}  // namespace

std::optional<RoleOfThread> role_by_name(Vmm vmm, std::string_view thread,
                                         std::string_view process,
                                         bool main_thread) {
  if (const auto vcpu = vcpu_by_name(vmm, thread))
    return RoleOfThread{ThreadRole::kVcpu, *vcpu};
  if (is_iothread(vmm, thread)) return RoleOfThread{ThreadRole::kIothread};
  if (thread.starts_with("vhost-")) return RoleOfThread{ThreadRole::kVhost};
  if (is_worker(thread)) return RoleOfThread{ThreadRole::kWorker};
  if (!main_thread && thread == process) return std::nullopt;
  return RoleOfThread{ThreadRole::kEmulator};
}

std::optional<RoleOfThread> role_by_cgroup(std::string_view cgroup) {
  const auto group = cgroup.substr(cgroup.rfind('/') + 1);
  if (const auto vcpu = vcpu_index(group, "vcpu"))
    return RoleOfThread{ThreadRole::kVcpu, *vcpu};
  if (numbered(group, "iothread")) return RoleOfThread{ThreadRole::kIothread};
  if (group == "emulator") return RoleOfThread{ThreadRole::kEmulator};
  return std::nullopt;
}

std::string accel_by_name(std::string_view thread) {
  const auto slash = thread.find('/');
  if (slash == std::string_view::npos) return {};
  const auto suffix = thread.substr(slash + 1);
  if (suffix == "KVM") return "kvm";
  if (suffix == "TCG") return "tcg";
  return {};
}

std::optional<pid_t> vhost_owner(std::string_view thread) {
  return numbered(thread, "vhost-");
}

}  // namespace vcpu
