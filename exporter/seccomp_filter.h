// SPDX-License-Identifier: Apache-2.0
//
// A filter of system calls of our own: whoever takes the exporter over has no
// others, whatever starts it.
//
// Three answers, by what a call can only be for:
//   allowed  what serving, reading and asking libvirt take, some of it with
//            these arguments alone: files are opened, but none is made or cut
//            off; memory is never writable and executable; sockets are of
//            AF_UNIX, AF_INET and AF_INET6; of bpf(2) what reads; the one
//            program that is run is our own, once more, to ask libvirt.
//   refused  (EPERM) everything else. ENOSYS where the C library then takes the
//            older call, whose arguments can be looked at (clone3), and for
//            calls that are newer than libseccomp, as an older kernel has it.
//   fatal    (SIGSYS) what neither we nor a library of ours ever tries: ptrace,
//            mount, modules, keyrings, namespaces, other processes' memory.
//
// https://docs.kernel.org/userspace-api/seccomp_filter.html
#pragma once

#include <string>

namespace vcpu {

struct SeccompOptions {
  bool enabled = true;
  bool perf = false;  // perf_event_open(2), for collector perf.
};

// Of the calling thread and all that it starts from now on, child processes
// too: call it before the first thread is started, and after all that takes
// more is done. Sets no_new_privs. Nothing takes it off again. Empty where it
// holds, else why not: the text of vcpu_source_available{source="seccomp"}.
std::string load_seccomp_filter(const SeccompOptions& options) noexcept;

}  // namespace vcpu
