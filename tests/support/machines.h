// SPDX-License-Identifier: Apache-2.0
//
// Machines that a test can have without owning them: their /proc and /sys as
// far as we read them, written into a ProcTree.
//
// Built after the kernel's documentation, not copied from such machines:
// Documentation/ABI/testing/sysfs-devices-system-cpu and -vulnerabilities,
// Documentation/hwmon/{coretemp,k10temp}.rst,
// Documentation/driver-api/thermal/sysfs-api.rst,
// Documentation/admin-guide/cputopology.rst.
#pragma once

#include <string>

#include "tests/support/proc_tree.h"

namespace vcpu {

// Two packages of 16 cores with two threads each: CPUs 0-15 and 32-47, CPUs
// 16-31 and 48-63. KVM is loaded.
void build_xeon(ProcTree& tree);

// The same after `echo off >/sys/devices/system/cpu/smt/control`.
void switch_smt_off(ProcTree& tree);

// Two packages of 32 cores with two threads each, four nodes in each package
// (NPS4): CPUs 0-63 are the first threads, 64-127 the second ones. KVM is
// loaded with SEV.
void build_epyc(ProcTree& tree);

// One package of 8 fast cores with two threads (CPUs 0-15) and 8 slow ones with
// one (CPUs 16-23). KVM is not loaded.
void build_hybrid_desktop(ProcTree& tree);

// NVIDIA Jetson AGX Orin with Linux 5.10: 12 cores in three clusters, which
// this kernel calls packages.
void build_orin(ProcTree& tree);

// A virtual machine with 4 CPUs, each a package of its own as QEMU makes them.
void build_kvm_guest(ProcTree& tree);

// /sys/devices/system/cpu/cpuN/NAME, and any other file below /sys.
void write_cpu_file(const ProcTree& tree, int cpu, const std::string& name,
                    const std::string& text);
void write_sys(const ProcTree& tree, const std::string& name,
               const std::string& text);

}  // namespace vcpu
