// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/proc_stat.h"

#include "collectors/base/scan.h"

namespace vcpu {
namespace {

// user, nice, system, idle: the columns that every kernel has had.
constexpr std::size_t kLeastColumns = 4;

std::optional<CpuTicks> parse_ticks(std::string_view text) {
  CpuTicks ticks{};
  for (std::size_t column = 0; column < ticks.size(); ++column) {
    const auto word = take_word(text);
    if (word.empty() && column >= kLeastColumns) break;
    const auto value = parse_number<std::uint64_t>(word);
    if (!value) return std::nullopt;
    ticks.at(column) = *value;
  }
  return ticks;
}

}  // namespace

Result<ProcStat> parse_proc_stat(std::string_view text) {
  constexpr std::string_view kCpu = "cpu";
  ProcStat stat;
  bool complete = false;
  while (!text.empty()) {
    auto line = take_line(text);
    const auto key = take_word(line);
    if (key == "btime") stat.boot_time = take_u64(line);
    if (key.substr(0, kCpu.size()) != kCpu) continue;
    const auto ticks = parse_ticks(line);
    if (!ticks) return malformed("stat");
    if (key == kCpu) {
      stat.all = *ticks;
      complete = true;
      continue;
    }
    const auto cpu = parse_number<int>(key.substr(kCpu.size()));
    const bool ascending =
        cpu && (stat.by_cpu.empty() || stat.by_cpu.back().first < *cpu);
    if (!ascending) return malformed("stat");
    stat.by_cpu.emplace_back(*cpu, *ticks);
  }
  if (!complete) return malformed("stat");
  return stat;
}

}  // namespace vcpu
