// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/domain_names.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

#include "collectors/base/label_text.h"

namespace vcpu {
namespace {

constexpr std::size_t kUuidPart = 8;

using Process = DomainNames::Process;

std::vector<std::size_t> oldest_first(const std::vector<Process>& processes) {
  std::vector<std::size_t> order(processes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const auto& left = processes[a];
    const auto& right = processes[b];
    return std::pair(left.start_ticks, left.pid) <
           std::pair(right.start_ticks, right.pid);
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

std::vector<std::string> DomainNames::assign(
    const std::vector<Process>& processes) {
  std::set<std::tuple<std::string, std::string, uid_t>> machines;
  std::map<std::string, int> of_name;
  std::vector<std::size_t> shown;
  for (const std::size_t i : oldest_first(processes)) {
    const auto& process = processes[i];
    const bool second =
        !process.uuid.empty() &&
        !machines.emplace(process.name, process.uuid, process.owner).second;
    if (second) continue;
    shown.push_back(i);
    if (++of_name[process.name] > 1) shared_.insert(process.name);
  }
  if (shared_.size() > kMaxShared)
    std::erase_if(shared_,
                  [&](const auto& name) { return !of_name.contains(name); });

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
  std::erase_if(shown, [&](std::size_t i) {
    const auto& process = processes[i];
    const auto had = given_.find({process.pid, process.start_ticks});
    if (had == given_.end() || shared_.contains(had->second)) return false;
    give(i, had->second);
    return true;
  });
  for (const std::size_t i : shown) {
    const auto& process = processes[i];
    give(i, shared_.contains(process.name) ? qualified(process) : process.name);
  }
  given_ = std::move(given);
  return labels;
}

}  // namespace vcpu
