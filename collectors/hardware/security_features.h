// SPDX-License-Identifier: Apache-2.0
//
// Which protections of a virtualisation host are on.
//
//   vmx_or_svm         hardware virtualisation: a flag of the CPU
//   smep, smap         the kernel neither runs nor reads a process's memory by
//                      mistake: flags of the CPU
//   ept_or_npt         the guests' page tables are the hardware's: KVM
//   apicv_or_avic      the guests' interrupts are: KVM
//   nested             guests may be hosts themselves: KVM
//   sev, sev_es,       guests' memory, registers, and integrity can be
//   sev_snp, tdx       protected from the host: KVM
//   memory_encryption  one of these four is on, or AMD's SME was asked for with
//                      mem_encrypt=on. That Intel's TME is on, or SME by
//                      default, an ordinary user cannot see: then it is absent
//   smt                cores run two threads or more at once
//
// KVM's are parameters of kvm_intel or kvm_amd, which KVM itself switches off
// where the CPU or the firmware cannot: they tell what is, not what was wanted.
// What nothing tells is absent; of ARM all but smt.
//
// Source: /proc/cpuinfo, /proc/cmdline, /sys/module/kvm_{intel,amd}/parameters,
// /sys/devices/system/cpu/smt/active;
// https://docs.kernel.org/arch/x86/cpuinfo.html,
// https://docs.kernel.org/admin-guide/kernel-parameters.html
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "collectors/base/roots.h"

namespace vcpu {

struct SecurityFeatures {
  std::vector<std::pair<std::string_view, bool>> known;  // In the order above.
  bool flags = false;  // The CPU's flags could be read.
  bool kvm = false;    // KVM's parameters could.
  bool smt = false;    // Whether SMT is active could.
  // Files whose word is new to us: /module/kvm_intel/parameters/nested.
  std::vector<std::string> strange;
  std::vector<std::string> problems;  // What is there and could not be read.
};

// Never fails: what cannot be understood is as unknown as what is not there.
SecurityFeatures read_security_features(const Roots& roots);

}  // namespace vcpu
