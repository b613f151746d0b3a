// SPDX-License-Identifier: Apache-2.0
//
// Where the kernel's file systems are. Tests point these at a tree of their
// own; a container points them at the host's mounts.
#pragma once

#include <string>

namespace vcpu {

struct Roots {
  std::string proc = "/proc";
  std::string sys = "/sys";
};

}  // namespace vcpu
