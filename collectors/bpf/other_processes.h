// SPDX-License-Identifier: Apache-2.0
//
// Whether eBPF is to be used: where it and /proc speak of the same processes.
//
// In a pid namespace of our own (a container without the host's) eBPF sees
// pids that mean something else in our /proc, and in a time namespace times.
// Source: the inode numbers of the first namespaces, include/linux/proc_ns.h.
#pragma once

#include <string>

#include "collectors/base/roots.h"

namespace vcpu {

// Why it is not; empty where it is. `ebpf`: whether it is switched on.
std::string no_ebpf_reason(bool ebpf, const Roots& roots);

}  // namespace vcpu
