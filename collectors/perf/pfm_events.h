// SPDX-License-Identifier: Apache-2.0
//
// Events of particular CPUs by the names that libpfm4 knows: the only caller of
// that library. Thread-safe; asks cpuid and sysfs once. Never throws but
// std::bad_alloc. Source: https://perfmon2.sourceforge.net
#pragma once

#include <linux/perf_event.h>

#include <string>

#include "collectors/base/result.h"

namespace vcpu {

// "INST_RETIRED:ANY_P", "skx::MEM_LOAD_RETIRED:L3_MISS", "CYCLES:u": an event
// of this machine's CPU, in host and guest mode unless :mg or :mh says
// otherwise. The Error is a sentence for a person.
Result<perf_event_attr> encode_by_pfm(const std::string& name);

// What is wrong with a name on whatever CPU; empty where one may know it, and
// where libpfm4 is missing.
std::string pfm_name_problem(const std::string& name);

}  // namespace vcpu
