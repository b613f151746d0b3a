// SPDX-License-Identifier: Apache-2.0
#include "collectors/hardware/frequencies.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "collectors/base/file.h"
#include "collectors/base/scan.h"
#include "collectors/kernel/count.h"
#include "collectors/kernel/cpuinfo.h"
#include "collectors/kernel/osrelease.h"

namespace vcpu {
namespace {

constexpr Osrelease kFirstThatAsksNoCpu{5, 19};

// Of policy12.
std::optional<int> policy_number(std::string_view name) {
  constexpr std::string_view kBefore = "policy";
  if (!name.starts_with(kBefore)) return std::nullopt;
  return parse_number<int>(name.substr(kBefore.size()));
}

// affected_cpus: the policy's online CPUs, "0 1 2 3".
Result<CpuSet> parse_affected(std::string_view text) {
  CpuSet cpus;
  for (auto word = take_word(text); !word.empty(); word = take_word(text)) {
    const auto cpu = parse_number<int>(word);
    if (!cpu) return malformed("affected_cpus");
    cpus.push_back(*cpu);
  }
  return cpus;
}

Result<std::set<int>> cores_of(const std::string& policy,
                               const Topology& host) {
  std::set<int> cores;
  const auto cpus = read_as(policy + "/affected_cpus", parse_affected);
  if (!cpus && !is_gone(cpus.error())) return cpus.error();
  if (!cpus) return cores;
  for (const int cpu : *cpus) {
    const auto core = host.core_of.find(cpu);
    if (core != host.core_of.end()) cores.insert(core->second);
  }
  return cores;
}

}  // namespace

bool Frequencies::disturbs(const Roots& roots) {
  const auto release =
      read_as(roots.proc + "/sys/kernel/osrelease", parse_osrelease);
  if (release && !(*release < kFirstThatAsksNoCpu)) return false;
  const auto cpuinfo = read_file(roots.proc + "/cpuinfo", kFirstCpuBytes);
  return cpuinfo && parse_cpuinfo(*cpuinfo).x86;
}

// What cannot be read now is looked for again.
Result<void> Frequencies::find_policies(const Topology& host) {
  const auto root = roots_.sys + "/devices/system/cpu/cpufreq";
  online_.clear();
  policies_.clear();
  const auto names = list_directories(root);
  if (!names && !is_gone(names.error())) return names.error();
  std::map<int, std::string> by_number;
  if (names) {
    for (const auto& name : *names)
      if (const auto number = policy_number(name))
        by_number[*number] = std::string(root).append("/").append(name);
  }
  std::set<int> known;
  for (const auto& [number, path] : by_number) {
    const auto before = known.size();
    auto cores = cores_of(path, host);
    if (!cores) return cores.error();
    known.merge(*cores);
    if (known.size() > before)
      policies_.push_back({path + "/scaling_cur_freq", known.size() - before});
  }
  online_ = host.online;
  return {};
}

Result<Frequencies::Range> Frequencies::read(const Topology& host) {
  constexpr double kHzPerKhz = 1000;
  // A driver may be loaded later.
  if (host.online != online_ || policies_.empty()) {
    const auto found = find_policies(host);
    if (!found) return found.error();
  }
  Range range;
  double sum = 0;
  std::size_t cores = 0;
  for (const Policy& policy : policies_) {
    const auto text = read_file(policy.file);
    if (!text && !is_gone(text.error())) return text.error();
    if (!text) continue;  // Its CPUs have just gone offline.
    const auto khz = parse_count(*text);
    if (!khz) return malformed(policy.file);
    const double hz = static_cast<double>(*khz) * kHzPerKhz;
    range.min = cores == 0 ? hz : std::min(range.min, hz);
    range.max = std::max(range.max, hz);
    sum += hz * static_cast<double>(policy.cores);
    cores += policy.cores;
  }
  if (cores == 0)
    return Error{make_error_code(std::errc::no_such_file_or_directory),
                 "cpufreq"};
  range.mean = sum / static_cast<double>(cores);
  return range;
}

}  // namespace vcpu
