// SPDX-License-Identifier: Apache-2.0
//
// How often a thread takes memory by operator new, which a program that has
// allocations.cpp replaces by one that counts. What C libraries take by
// malloc(3) is not counted.
#pragma once

#include <cstdint>

namespace vcpu {

// With AddressSanitizer, which has an operator new of its own, nothing counts.
bool allocations_are_counted();

// Of the calling thread, since it began.
std::uint64_t allocations();

}  // namespace vcpu
