// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/vm_cgroups.h"

#include <utility>

#include "collectors/base/file.h"
#include "collectors/base/scan.h"
#include "collectors/inventory/thread_role.h"
#include "collectors/kernel/task_cgroup.h"

namespace vcpu {
namespace {

std::string_view name_of(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

std::string_view parent_of(std::string_view path) {
  return path.substr(0, path.rfind('/'));
}

bool is_alone(const std::string& directory, pid_t vm) {
  const auto processes = read_file(directory + "/cgroup.procs");
  return processes && trim(*processes) == std::to_string(vm);
}

}  // namespace

std::string_view vm_group(std::string_view path) {
  if (role_by_cgroup(path)) path = parent_of(path);
  if (name_of(path) == "libvirt") path = parent_of(path);
  return path;
}

bool is_named_as_vm(std::string_view path) {
  const auto name = name_of(path);
  const auto parent = name_of(parent_of(path));
  if (name.starts_with("machine-qemu\\x2d") && name.ends_with(".scope"))
    return true;
  if (name.ends_with(".libvirt-qemu")) return true;
  if (parent == "qemu.slice" && name.ends_with(".scope")) return true;
  return path.find("/kubepods") != std::string_view::npos &&
         parent.find("pod") != std::string_view::npos;
}

VmCgroups::VmCgroups(Roots roots, std::vector<pid_t> vms)
    : roots_(std::move(roots)), vms_(std::move(vms)) {}

const VmCgroup& VmCgroups::of(pid_t vm) {
  static const VmCgroup none;
  if (!read_) read();
  const auto found = groups_.find(vm);
  return found == groups_.end() ? none : found->second;
}

void VmCgroups::read() {
  read_ = true;
  for (const pid_t vm : vms_) groups_.emplace(vm, read(vm));
}

VmCgroup VmCgroups::read(pid_t vm) const {
  const auto text =
      read_file(roots_.proc + "/" + std::to_string(vm) + "/cgroup");
  if (!text) return {};
  return {own(vm, *text, "cpu"), own(vm, *text, "memory"),
          own(vm, *text, "hugetlb"), own(vm, *text, "")};
}

Cgroup VmCgroups::own(pid_t vm, std::string_view text,
                      std::string_view controller) const {
  const auto [full, version] = controller_cgroup(text, controller);
  const auto path = vm_group(full);
  // Of the reader's own cgroup namespace, others' paths lead out of it.
  if (path.size() < 2 || path.find("/..") != std::string_view::npos) return {};
  std::string top = roots_.sys + "/fs/cgroup";
  if (version == 1) {
    top += "/" + std::string(controller);
  } else if (exists(top + "/unified")) {
    top += "/unified";
  }
  Cgroup group{top + std::string(path), version};
  if (!is_named_as_vm(path) && !is_alone(group.directory, vm)) return {};
  return group;
}

}  // namespace vcpu
