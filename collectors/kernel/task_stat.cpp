// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/task_stat.h"

#include <array>

#include "collectors/base/scan.h"

namespace vcpu {
namespace {

constexpr std::uint64_t kPfKthread = 0x00200000;

// Positions in proc(5)'s numbering, where 1 is the pid and 2 the name.
enum Field : std::size_t {
  kState = 3,
  kPpid = 4,
  kFlags = 9,
  kMajorFaults = 12,
  kNumThreads = 20,
  kStartTime = 22,
  kProcessor = 39,
};

}  // namespace

bool TaskStat::kernel_thread() const { return (flags & kPfKthread) != 0; }

Result<TaskStat> parse_task_stat(std::string_view text) {
  const auto open = text.find('(');
  const auto close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos ||
      close < open) {
    return malformed("stat");
  }
  std::array<std::string_view, kProcessor + 1> fields;
  std::string_view rest = text.substr(close + 1);
  for (std::size_t i = kState; i < fields.size(); ++i)
    fields.at(i) = take_word(rest);

  const auto ppid = parse_number<pid_t>(fields[kPpid]);
  const auto flags = parse_number<std::uint64_t>(fields[kFlags]);
  const auto faults = parse_number<std::uint64_t>(fields[kMajorFaults]);
  const auto threads = parse_number<std::uint64_t>(fields[kNumThreads]);
  const auto start = parse_number<std::uint64_t>(fields[kStartTime]);
  const auto cpu = parse_number<int>(fields[kProcessor]);
  if (fields[kState].size() != 1 || !ppid || !flags || !faults || !threads ||
      !start || !cpu || *cpu < 0) {
    return malformed("stat");
  }
  return TaskStat{std::string(text.substr(open + 1, close - open - 1)),
                  fields[kState][0],
                  *ppid,
                  *flags,
                  *threads,
                  *start,
                  *cpu,
                  *faults};
}

}  // namespace vcpu
