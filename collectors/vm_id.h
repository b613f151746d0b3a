// SPDX-License-Identifier: Apache-2.0
//
// VmId: one run of one VM on this host. A name comes back, and so does a pid.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <utility>

namespace vcpu {

// The VMM's process, and its start in ticks after boot (/proc/PID/stat).
using VmId = std::pair<pid_t, std::uint64_t>;

}  // namespace vcpu
