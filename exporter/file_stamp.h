// SPDX-License-Identifier: Apache-2.0
//
// What tells that a file has changed, its owner or its rights included. Empty:
// it is not there.
#pragma once

#include <string>

namespace vcpu {

std::string file_stamp(const std::string& file);

}  // namespace vcpu
