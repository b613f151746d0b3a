// SPDX-License-Identifier: Apache-2.0
//
// /proc/sys/kernel/osrelease: which Linux this is.
// https://docs.kernel.org/admin-guide/sysctl/kernel.html#osrelease-ostype-version
//
//   6.1.0-18-cloud-amd64
#pragma once

#include <string_view>
#include <tuple>

#include "collectors/base/result.h"

namespace vcpu {

struct Osrelease {
  int major = 0;
  int minor = 0;

  bool operator==(const Osrelease&) const = default;
  bool operator<(const Osrelease& other) const {
    return std::tie(major, minor) < std::tie(other.major, other.minor);
  }
};

Result<Osrelease> parse_osrelease(std::string_view text);

}  // namespace vcpu
