// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/vm_cgroups.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <climits>
#include <set>
#include <unordered_map>
#include <utility>

#include "collectors/base/file.h"
#include "collectors/base/scan.h"
#include "collectors/inventory/thread_role.h"
#include "collectors/kernel/task_cgroup.h"

namespace vcpu {
namespace {

constexpr std::string_view kKubepods = "/kubepods";
constexpr std::string_view kShared =
    "a VM shares its control group with other processes; start it in one of "
    "its own";
constexpr std::string_view kRoot =
    "a VM is in the root control group, as are all that have none; start it "
    "in one of its own";
constexpr std::string_view kOutside =
    "a VM's control group lies outside of the exporter's cgroup namespace; "
    "run the exporter in that of the host";
constexpr std::string_view kTooDeep =
    "the path of a VM's control group is too long to be read";
constexpr std::string_view kThreaded =
    "a VM's control group is one of threads, which says nothing about the VM; "
    "start it in a group of processes (cgroup.type)";
constexpr std::string_view kNoSuch =
    "this kernel has no control groups of that kind";

std::string_view name_of(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

std::string_view parent_of(std::string_view path) {
  return path.substr(0, path.rfind('/'));
}

void note(const Error& error, std::string& problem) {
  if (!is_gone(error)) problem = error.message();
}

// Empty where the VM is alone in the group.
std::string_view why_shared(const std::string& directory, pid_t vm,
                            std::string& problem) {
  const auto processes = read_file(directory + "/cgroup.procs");
  if (!processes) {
    if (processes.error().code == std::errc::operation_not_supported)
      return kThreaded;
    if (is_refused(processes.error())) return kGroupRefused;
    note(processes.error(), problem);
    return kShared;
  }
  if (!is_whole(*processes))
    note(malformed(directory + "/cgroup.procs"), problem);
  return trim(*processes) == std::to_string(vm) ? "" : kShared;
}

// The kernel lets groups be nested deeper than their paths can be opened.
constexpr std::size_t kLongestPath = PATH_MAX - 256;

bool is_too_long(const Error& error) {
  return error.code == std::errc::filename_too_long;
}

// Empty where a VM may have a group of that path for its own.
std::string_view why_nobodys(std::string_view path) {
  if (path.empty()) return kNoSuch;
  if (path == "/") return kRoot;
  if (path.size() > kLongestPath) return kTooDeep;
  // Of the reader's own cgroup namespace, others' paths lead out of it.
  return path.find("/..") == std::string_view::npos ? "" : kOutside;
}

std::array<Cgroup*, 4> groups_of(VmCgroup& vm) {
  return {&vm.cpu, &vm.memory, &vm.hugetlb, &vm.unified};
}

}  // namespace

void say_unread(const Error& error, std::string_view source, Families& said) {
  if (is_refused(error))
    said.source(source, kGroupRefused);
  else
    said.problem(error.message());
}

std::string_view vm_group(std::string_view path) {
  if (name_of(path) == "container" &&
      path.find(kKubepods) != std::string_view::npos)
    path = parent_of(path);
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
  return path.find(kKubepods) != std::string_view::npos &&
         parent.find("pod") != std::string_view::npos;
}

std::string pod_uid(std::string_view path) {
  constexpr std::string_view kPod = "pod";
  constexpr std::string_view kShape = "00000000-0000-0000-0000-000000000000";
  // systemd has the dashes for itself.
  const auto is_as = [](char c, char shape) {
    return shape == '-' ? c == '-' || c == '_'
                        : std::isxdigit(static_cast<unsigned char>(c)) != 0;
  };
  if (!path.starts_with("/kubepods/") && !path.starts_with("/kubepods.slice/"))
    return {};
  for (auto at = path.find(kPod); at != std::string_view::npos;
       at = path.find(kPod, at + 1)) {
    std::string uid(path.substr(at + kPod.size(), kShape.size()));
    if (!std::equal(uid.begin(), uid.end(), kShape.begin(), kShape.end(),
                    is_as))
      continue;
    std::replace(uid.begin(), uid.end(), '_', '-');
    return uid;
  }
  return {};
}

void VmCgroups::begin(const std::vector<Member>& vms) {
  std::map<VmId, Known> now;
  for (const auto& [vm, groups] : vms) {
    auto& known = now[vm];
    const auto before = known_.find(vm);
    if (groups != 0 && before != known_.end() &&
        before->second.groups == groups && before->second.scrapes_left > 0) {
      known = std::move(before->second);
      --known.scrapes_left;
    }
    known.groups = groups;
  }
  known_ = std::move(now);
  all_read_ = false;
  unified_top_.clear();
}

const VmCgroup& VmCgroups::of(const VmId& vm) {
  static const VmCgroup none;
  const auto found = known_.find(vm);
  if (found == known_.end()) return none;
  if (!std::exchange(all_read_, true)) read_unknown();
  return found->second.cgroup;
}

// All, as one alone does not tell whether another VM is in its group.
void VmCgroups::read_unknown() {
  bool news = false;
  for (auto& [vm, known] : known_) {
    if (known.read) continue;
    read(vm.first, known);
    news = true;
  }
  if (news) disown_shared();
}

void VmCgroups::read(pid_t vm, Known& known) {
  known.read = true;
  const auto text =
      read_file(roots_.proc + "/" + std::to_string(vm) + "/cgroup");
  if (!text && is_too_long(text.error())) {
    for (Cgroup* const group : groups_of(known.cgroup))
      group->missing_reason = kTooDeep;
    return;
  }
  if (!text) return note(text.error(), known.cgroup.problem);
  if (!is_whole(*text)) {
    known.cgroup.problem = malformed("cgroup of a VM").message();
    return;
  }
  bool by_name = true;
  const auto find = [&](Cgroup& group, std::string_view controller) {
    auto found = own(vm, *text, controller, known.cgroup.problem);
    group = std::move(found.group);
    by_name = by_name && found.by_name;
  };
  find(known.cgroup.cpu, "cpu");
  find(known.cgroup.memory, "memory");
  find(known.cgroup.hugetlb, "hugetlb");
  find(known.cgroup.unified, "");
  // What is half known is none, and read again in the next scrape.
  if (!known.cgroup.problem.empty()) {
    known.cgroup = {{}, {}, {}, {}, std::move(known.cgroup.problem)};
    return;
  }
  // Not the groups of all VMs in the same scrape.
  if (by_name)
    known.scrapes_left =
        kScrapesKnown - static_cast<unsigned>(vm) % (kScrapesKnown / 2);
}

void VmCgroups::disown_shared() {
  std::unordered_map<std::string_view, const Known*> owners;
  std::set<std::string, std::less<>> shared;
  for (auto& [vm, known] : known_) {
    std::string_view last;  // Of version 2 they are all the same.
    for (const Cgroup* const group : groups_of(known.cgroup)) {
      if (!*group || group->directory == last) continue;
      last = group->directory;
      const auto owner = owners.try_emplace(last, &known).first;
      if (owner->second != &known) shared.emplace(last);
    }
  }
  if (shared.empty()) return;
  for (auto& [vm, known] : known_) {
    for (Cgroup* const group : groups_of(known.cgroup)) {
      if (!shared.contains(group->directory)) continue;
      *group = {{}, group->version, kShared};
      known.scrapes_left = 0;  // The other one may leave it.
    }
  }
}

VmCgroups::Own VmCgroups::own(pid_t vm, std::string_view text,
                              std::string_view controller,
                              std::string& problem) {
  const auto [full, version] = controller_cgroup(text, controller);
  const auto path = vm_group(full);
  if (const auto reason = why_nobodys(path); !reason.empty())
    return {{{}, version, reason}};
  Cgroup group{version == 1
                   ? roots_.sys + "/fs/cgroup/" + std::string(controller)
                   : unified_top(problem),
               version,
               {},
               std::string(path)};
  group.directory += path;
  if (is_named_as_vm(path)) return {std::move(group)};
  if (const auto reason = why_shared(group.directory, vm, problem);
      !reason.empty())
    return {{{}, version, reason}, false};
  return {std::move(group), false};
}

const std::string& VmCgroups::unified_top(std::string& problem) {
  if (unified_top_.empty()) {
    const auto top = roots_.sys + "/fs/cgroup";
    const auto below = Directory::open(top + "/unified");
    if (!below) note(below.error(), problem);
    if (problem.empty()) unified_top_ = below ? top + "/unified" : top;
  }
  return unified_top_;
}

}  // namespace vcpu
