// SPDX-License-Identifier: Apache-2.0
//
// Reading what an eBPF iterator writes: one pass over the kernel's tasks.
//
// The link is opened with rights; reading it needs none since Linux 5.19, and
// CAP_BPF before. Never waits. Source: Documentation/bpf/bpf_iterators.rst.
#pragma once

#include <string>

#include "collectors/base/result.h"

namespace vcpu {

// All that the program writes in one pass, into a buffer that is reused.
Result<void> read_iterator(int link_fd, std::string& contents);

}  // namespace vcpu
