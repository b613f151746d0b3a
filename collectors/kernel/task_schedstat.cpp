// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/task_schedstat.h"

#include "collectors/base/scan.h"

namespace vcpu {

Result<TaskSchedstat> parse_task_schedstat(std::string_view text) {
  const auto run = take_u64(text);
  const auto wait = take_u64(text);
  const auto slices = take_u64(text);
  if (!run || !wait || !slices) return malformed("schedstat");
  return TaskSchedstat{*run, *wait, *slices};
}

}  // namespace vcpu
