// SPDX-License-Identifier: Apache-2.0
//
// /proc/sys/kernel/osrelease: which Linux this is.
// https://docs.kernel.org/admin-guide/sysctl/kernel.html#osrelease-ostype-version
//
//   6.1.0-18-cloud-amd64
#pragma once

#include <compare>
#include <string_view>

#include "collectors/base/result.h"

namespace vcpu {

struct Osrelease {
  int major = 0;
  int minor = 0;

  auto operator<=>(const Osrelease&) const = default;
};

Result<Osrelease> parse_osrelease(std::string_view text);

}  // namespace vcpu
