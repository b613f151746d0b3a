// SPDX-License-Identifier: Apache-2.0
//
// The eBPF links of this machine, by id: what is attached, and whose it is.
//
// Needs CAP_SYS_ADMIN; what fails throws std::system_error.
#pragma once

#include <cstdint>
#include <set>

namespace vcpu {

using LinkIds = std::set<std::uint32_t>;

LinkIds links_on_switch();  // Attached to sched_switch, by anybody.

LinkIds own_links();  // Of any kind, that this process holds open.

bool exists(std::uint32_t link);

}  // namespace vcpu
