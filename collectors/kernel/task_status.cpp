// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/task_status.h"

#include "collectors/base/scan.h"
#include "collectors/kernel/kib_lines.h"

namespace vcpu {

Result<TaskStatus> parse_task_status(std::string_view text) {
  const auto allowed = find_line(text, "Cpus_allowed_list:");
  const auto voluntary = find_line(text, "voluntary_ctxt_switches:");
  const auto involuntary = find_line(text, "nonvoluntary_ctxt_switches:");
  if (!allowed || !voluntary || !involuntary) return malformed("status");
  const auto given_up = parse_number<std::uint64_t>(trim(*voluntary));
  const auto lost = parse_number<std::uint64_t>(trim(*involuntary));
  if (!given_up || !lost) return malformed("status");
  return TaskStatus{trim(*allowed), *given_up, *lost};
}

Result<ProcessMemory> parse_process_memory(std::string_view text) {
  ProcessMemory memory;
  if (!read_kib_lines(text, {{"VmPTE:", &memory.page_table_bytes},
                             {"VmSwap:", &memory.swap_bytes},
                             {"VmRSS:", &memory.resident_bytes},
                             {"HugetlbPages:", &memory.hugetlb_bytes}}))
    return malformed("status");
  return memory;
}

std::optional<std::uint32_t> real_uid(std::string_view status) {
  auto uids = find_line(status, "Uid:");
  if (!uids) return std::nullopt;
  return parse_number<std::uint32_t>(take_word(*uids));
}

}  // namespace vcpu
