// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/domain_names.h"

#include <algorithm>
#include <map>
#include <numeric>

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
  return process.name + "@" + process.uuid.substr(0, kUuidPart);
}

}  // namespace

std::vector<std::string> DomainNames::assign(
    const std::vector<Process>& processes) {
  const auto order = oldest_first(processes);
  std::set<std::pair<std::string, std::string>> machines;
  std::map<std::string, int> of_name;
  std::vector<std::size_t> shown;
  for (const std::size_t i : order) {
    const auto& process = processes[i];
    const bool second = !process.uuid.empty() &&
                        !machines.emplace(process.name, process.uuid).second;
    if (second) continue;
    shown.push_back(i);
    if (++of_name[process.name] > 1) shared_.insert(process.name);
  }

  std::vector<std::string> labels(processes.size());
  std::set<std::string> taken;
  for (const std::size_t i : shown) {
    const auto& process = processes[i];
    auto label =
        shared_.contains(process.name) ? qualified(process) : process.name;
    // A VM may be called what another one was made.
    while (!taken.insert(label).second) label = with_pid(label, process.pid);
    labels[i] = std::move(label);
  }
  return labels;
}

}  // namespace vcpu
