// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/domain_names.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>

#include "collectors/base/label_text.h"
#include "collectors/inventory/precedence.h"
#include "collectors/inventory/vm_limits.h"

namespace vcpu {
namespace {

constexpr std::size_t kUuidPart = 8;

using Process = DomainNames::Process;

bool is_systems(const Process& process) {
  return is_system_user(process.owner);
}

// Without those that are the second process of a VM.
std::vector<std::size_t> one_for_each_vm(
    const std::vector<Process>& processes) {
  std::set<std::tuple<std::string, std::string, uid_t>> machines;
  auto order = by_precedence(processes, is_systems);
  std::erase_if(order, [&](std::size_t i) {
    const auto& [name, uuid, pid, start_ticks, owner] = processes[i];
    return !uuid.empty() && !machines.emplace(name, uuid, owner).second;
  });
  return order;
}

std::string with_pid(const std::string& label, pid_t pid) {
  return label + "@" + std::to_string(pid);
}

std::string qualified(const Process& process) {
  if (process.uuid.empty()) return with_pid(process.name, process.pid);
  // Whatever stands for a uuid: its first bytes may end within a character.
  return process.name + "@" + label_text(process.uuid.substr(0, kUuidPart));
}

}  // namespace

DomainNames::Names& DomainNames::shared_with(const Process& process) {
  return is_systems(process) ? shared_by_system_users_ : shared_by_others_;
}

void DomainNames::learn_shared(const std::vector<Process>& processes,
                               const std::vector<std::size_t>& shown) {
  std::set<std::string_view> of_system_users;
  std::set<std::string_view> of_others;
  for (const std::size_t i : shown) {
    const auto& process = processes[i];
    auto& of_equals = is_systems(process) ? of_system_users : of_others;
    const bool first = of_equals.insert(process.name).second;
    if (!first ||
        (!is_systems(process) && of_system_users.contains(process.name)))
      shared_with(process).insert(process.name);
  }
  const auto bound = [](Names& shared, const auto& borne) {
    if (shared.size() <= kMaxShared) return;
    std::erase_if(shared,
                  [&](const auto& name) { return !borne.contains(name); });
  };
  bound(shared_by_system_users_, of_system_users);
  bound(shared_by_others_, of_others);
}

std::vector<std::string> DomainNames::assign(
    const std::vector<Process>& processes) {
  auto shown = one_for_each_vm(processes);
  learn_shared(processes, shown);

  std::vector<std::string> labels(processes.size());
  std::set<std::string> taken;
  std::map<Identity, std::string> given;
  const auto give = [&](std::size_t i, std::string label) {
    const auto& process = processes[i];
    // A VM may be called what another one was made.
    while (!taken.insert(label).second) label = with_pid(label, process.pid);
    given.emplace(Identity{process.pid, process.start_ticks}, label);
    labels[i] = std::move(label);
  };
  // Who has a label keeps it, unless it is a name that has come to be shared.
  const auto keep = [&](std::size_t i) {
    const auto& process = processes[i];
    const auto had = given_.find({process.pid, process.start_ticks});
    if (had == given_.end() || shared_with(process).contains(had->second))
      return false;
    give(i, had->second);
    return true;
  };
  const auto name_all = [&](auto first, auto last) {
    for (auto i = std::stable_partition(first, last, keep); i != last; ++i) {
      const auto& process = processes[*i];
      give(*i, shared_with(process).contains(process.name) ? qualified(process)
                                                           : process.name);
    }
  };
  const auto others =
      std::find_if_not(shown.begin(), shown.end(),
                       [&](std::size_t i) { return is_systems(processes[i]); });
  name_all(shown.begin(), others);
  name_all(others, shown.end());
  given_ = std::move(given);
  return labels;
}

}  // namespace vcpu
