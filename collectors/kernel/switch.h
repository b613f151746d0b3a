// SPDX-License-Identifier: Apache-2.0
//
// The kernel's files that say yes or no: parameters of its modules below
// /sys/module, /sys/devices/system/cpu/smt/active.
// https://docs.kernel.org/admin-guide/kernel-parameters.html
//
//   Y
//   0
#pragma once

#include <string_view>

#include "collectors/base/result.h"
#include "collectors/base/scan.h"

namespace vcpu {

inline Result<bool> parse_switch(std::string_view text) {
  text = trim(text);
  if (text == "Y" || text == "1") return true;
  if (text == "N" || text == "0") return false;
  return malformed("switch");
}

}  // namespace vcpu
