// SPDX-License-Identifier: Apache-2.0
//
// /proc/PID/numa_maps: on which nodes the huge pages of a process lie.
// https://docs.kernel.org/filesystems/proc.html, numa_maps
//
//   7f5800000000 bind:0 file=/dev/hugepages/web huge dirty=2 N0=1 N1=1
//   kernelpagesize_kB=2048
// (one line). Mappings without the word `huge` are of no interest here.
#pragma once

#include <string_view>

#include "collectors/base/result.h"
#include "collectors/kernel/numa_stat.h"

namespace vcpu {

Result<NodeBytes> parse_huge_numa_maps(std::string_view text);

}  // namespace vcpu
