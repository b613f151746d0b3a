// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/task_sched.h"

#include "collectors/base/scan.h"

namespace vcpu {

Result<TaskSched> parse_task_sched(std::string_view text) {
  // The first line holds the thread's name, which may be any text.
  take_line(text);
  const auto line = find_line(text, "se.nr_migrations");
  if (!line) return malformed("sched");
  const auto colon = line->find(':');
  if (colon == std::string_view::npos) return malformed("sched");
  const auto moves = parse_number<std::uint64_t>(trim(line->substr(colon + 1)));
  if (!moves) return malformed("sched");
  return TaskSched{*moves};
}

}  // namespace vcpu
