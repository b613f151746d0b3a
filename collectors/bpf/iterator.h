// SPDX-License-Identifier: Apache-2.0
//
// Reading what an eBPF iterator writes: one pass over the kernel's tasks.
//
// The link is opened with rights; reading it needs none since Linux 5.19, and
// CAP_BPF before. Never waits. Source: Documentation/bpf/bpf_iterators.rst.
#pragma once

#include <cstring>
#include <string_view>
#include <vector>

#include "collectors/base/result.h"
#include "collectors/bpf/records.h"

namespace vcpu {

// All that the program writes in one pass, in a buffer that grows as needed.
Result<std::string_view> read_iterator(int link_fd, std::vector<char>& buffer);

// Calls take(bytes) for each record of that kind. False where the rest makes no
// sense.
template <typename Take>
bool for_each_record(std::string_view records, record_kind kind,
                     const Take& take) {
  while (records.size() >= sizeof(record_head)) {
    record_head head{};
    std::memcpy(&head, records.data(), sizeof head);
    if (head.bytes < sizeof head || head.bytes > records.size()) return false;
    if (head.kind == kind) take(records.substr(0, head.bytes));
    records.remove_prefix(head.bytes);
  }
  return records.empty();
}

}  // namespace vcpu
