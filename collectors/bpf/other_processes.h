// SPDX-License-Identifier: Apache-2.0
//
// Whether eBPF and /proc speak of the same processes.
//
// In a pid namespace of our own (a container without the host's) eBPF sees
// pids that mean something else in our /proc, and in a time namespace times.
// Source: the inode numbers of the first namespaces, include/linux/proc_ns.h.
#pragma once

#include <string>

#include "collectors/base/roots.h"

namespace vcpu {

// Why they do not; empty where they do.
std::string other_processes_reason(const Roots& roots);

}  // namespace vcpu
