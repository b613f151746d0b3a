// SPDX-License-Identifier: Apache-2.0
//
// What anybody on the host may choose: names of processes and threads, command
// lines, control groups.
#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "collectors/base/label_text.h"
#include "collectors/base/scan.h"
#include "collectors/inventory/domain_names.h"
#include "collectors/inventory/thread_role.h"
#include "collectors/inventory/vm_cgroups.h"
#include "collectors/inventory/vmm.h"
#include "collectors/proxmox_tags.h"
#include "tests/fuzz/common/fuzz.h"

namespace vcpu::fuzz {
namespace {

// An argument per line.
void look_command_line(std::string_view text) {
  std::string command_line(text);
  std::replace(command_line.begin(), command_line.end(), '\n', '\0');
  const auto argv = split_command_line(command_line);
  std::string joined;
  for (const auto& argument : argv) joined += argument + '\0';
  expect(joined == command_line || joined == command_line + '\0',
         "arguments joined are the command line");
  const auto vm = identify_vmm(argv);
  if (!vm) return;
  constexpr std::uint64_t kMost = std::uint64_t{1} << 60;
  expect(!vm->memory_bytes ||
             (*vm->memory_bytes > 0 && *vm->memory_bytes <= kMost),
         "memory is within reason");
  for (const auto* part :
       {&vm->name, &vm->uuid, &vm->accel, &vm->machine, &vm->proxmox_vmid})
    expect(part->size() <= command_line.size() + 32,
           "nothing is longer than what was written");
  expect(std::none_of(vm->uuid.begin(), vm->uuid.end(),
                      [](char c) { return c >= 'A' && c <= 'Z'; }),
         "a uuid is in lower case");
  expect(vm->machine != "none", "a VM has a machine");
}

// The name of a thread, and of its process.
void look_thread_name(std::string_view text) {
  constexpr int kMost = 8192;
  const auto thread = take_line(text);
  for (const auto vmm :
       {Vmm::kQemu, Vmm::kFirecracker, Vmm::kCloudHypervisor}) {
    const auto role = role_by_name(vmm, thread, text, false);
    if (!role) continue;
    const bool vcpu = role->role == ThreadRole::kVcpu;
    expect(vcpu ? role->vcpu >= 0 && role->vcpu < kMost : role->vcpu == -1,
           "a vCPU has an index, and nobody else");
  }
  expect(role_by_name(Vmm::kQemu, thread, text, true).has_value(),
         "a main thread has a role");
  const auto accel = accel_by_name(thread);
  expect(accel.empty() || accel == "kvm" || accel == "tcg", "two of them");
  if (const auto owner = vhost_owner(thread))
    expect(*owner >= 0 && stands_in(static_cast<std::uint64_t>(*owner), thread),
           "an owner stands in the name");
}

void look_cgroup(std::string_view text) {
  const auto group = vm_group(text);
  expect(text.starts_with(group), "a VM's group is above its threads'");
  expect(vm_group(group).size() <= group.size(), "and goes no further down");
  is_named_as_vm(text);
  const auto pod = pod_uid(text);
  expect(pod.size() <= 64 && label_text(pod) == pod, "a pod's uid is a label");
  const auto role = role_by_cgroup(text);
  expect(!role || role->role != ThreadRole::kVcpu || role->vcpu >= 0,
         "a vCPU has an index");
}

// "NAME UUID PID OWNER" a line.
void look_domain_names(std::string_view text) {
  std::vector<DomainNames::Process> processes;
  std::set<pid_t> pids;
  while (!text.empty() && processes.size() < 64) {
    auto line = take_line(text);
    DomainNames::Process process;
    process.name = label_text(take_word(line));
    process.uuid = take_word(line);
    process.pid = static_cast<pid_t>(take_u64(line).value_or(0) % 100000);
    process.owner = static_cast<uid_t>(take_u64(line).value_or(0) % 3);
    process.start_ticks = 7;
    if (!process.name.empty() && pids.insert(process.pid).second)
      processes.push_back(process);
  }
  DomainNames names;
  // All of them, then without the first, then again all.
  for (const std::size_t from : {0U, 1U, 0U}) {
    if (from > processes.size()) return;
    const std::vector some(
        processes.begin() + static_cast<std::ptrdiff_t>(from), processes.end());
    const auto labels = names.assign(some);
    expect(labels.size() == some.size(), "everyone gets an answer");
    std::set<std::string> given;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      if (labels[i].empty()) {
        expect(!some[i].uuid.empty(), "who has no uuid is no second process");
        continue;
      }
      expect(given.insert(labels[i]).second, "a label is one VM's");
    }
  }
}

// What whoever may write Proxmox's configuration writes there.
void look_proxmox_tags(std::string_view text) {
  const auto tags = parse_proxmox_tags(text);
  expect(tags.find('\n') == std::string_view::npos, "tags are of one line");
  expect(text.find(tags) != std::string_view::npos, "tags are in the text");
  expect(parse_proxmox_tags("tags: " + std::string(tags)) == tags,
         "tags are read as they are");
}

constexpr std::array kLooks{
    Look{"command_line", look_command_line},
    Look{"thread_name", look_thread_name},
    Look{"cgroup", look_cgroup},
    Look{"domain_names", look_domain_names},
    Look{"proxmox_tags", look_proxmox_tags},
};

}  // namespace

std::span<const Look> looks() { return kLooks; }

}  // namespace vcpu::fuzz
